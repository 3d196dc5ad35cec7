// SPDX-License-Identifier: MIT
/*
 * See vnc.h: the screen's side. libvncserver has no loop here: it is called when somebody has said something whole (vnc_door.c), or
 * takes what there is to send. It waits for who takes an update half, 5 s at least: so none is larger than what fits.
 */
#include "display/vnc_impl.h"

#include <errno.h>
#include <rfb/rfbregion.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "display/slice.h"
#include "lib/errcat.h"

#define VNC_WAIT_MS 2000
#define VNC_SLICE (1024 * 1024) /* bytes of pixels in an update, at most */

/* --- viewers ---------------------------------------------------------------------------------------------- */

static void vnc_closed(uv_handle_t *h)
{
	free(h->data);
}

static void vnc_drop(struct vnc_viewer **link)
{
	struct vnc_viewer *w = *link;

	*link = w->next;
	vnc_hands_let_go(w);
	if (w->client) {
		w->client->clientData = NULL;
		rfbClientConnectionGone(w->client);
	}
	uv_close((uv_handle_t *)&w->timer, vnc_closed);
}

static void vnc_enter(struct vnc_viewer *w)
{
	w->in = true;
	uv_timer_stop(&w->timer);
	if (w->vnc->looking < VNC_VIEWERS_MAX)
		return;
	log_warn(w->vnc->o.log, "a viewer is sent away: there are enough");
	vnc_door_end(w);
}

/* Those that are gone, and whether one is left that looks. */
static void vnc_sweep(struct vnc *v)
{
	struct vnc_viewer **link = &v->viewers;
	unsigned int looked = v->looking;

	for (struct vnc_viewer *w = v->viewers; w; w = w->next)
		if (!w->in && !vnc_door_ended(w) && w->client && w->client->state == RFB_NORMAL)
			vnc_enter(w);
	v->looking = 0;
	while (*link) {
		struct vnc_viewer *w = *link;

		if (vnc_door_ended(w)) {
			vnc_drop(link);
			continue;
		}
		v->looking += w->in;
		link = &w->next;
	}
	if (v->looking && !looked) {
		v->fresh = false;
		v->o.ops->look(v->o.arg);
	} else if (!v->looking && looked) {
		v->o.ops->rest(v->o.arg);
	}
}

static bool vnc_packs(const struct vnc_viewer *w)
{
	switch (w->client->preferredEncoding) {
	case rfbEncodingZlib:
	case rfbEncodingTight:
	case (int)rfbEncodingTightPng:
	case rfbEncodingUltra:
	case rfbEncodingZRLE:
	case rfbEncodingZYWRLE:
		return true;
	default:
		return false;
	}
}

/*
 * A part of the picture that a socket with room takes whole, so that nobody waits for who does not read; each is asked for by
 * the viewer. The library begins where it ended, if something is new there, else with the first row that has.
 */
static int vnc_slice(const struct vnc_viewer *w)
{
	sraRegionPtr box = sraRgnBBox(w->client->modifiedRegion);
	int from = w->client->progressiveSliceY;
	sraRect at;

	if (sraRgnPopRect(box, &at, 0) && (from < at.y1 || from >= at.y2))
		from = at.y1;
	sraRgnDestroy(box);
	return (int)slice_rows(w->vnc->o.screen, (unsigned int)from, vnc_packs(w), w->room,
			       VNC_SLICE);
}

/* What is new for it, unless it still has to take what was. */
static void vnc_update(struct vnc_viewer *w)
{
	if (!w->in || vnc_door_ended(w) || sraRgnEmpty(w->client->requestedRegion) ||
	    !FB_UPDATE_PENDING(w->client))
		return;
	/* it has said what it knows before it has asked: one that knows of no sizes takes no picture of another one */
	if (w->resized && !w->client->useNewFBSize) {
		vnc_door_end(w);
		return;
	}
	if (!vnc_door_room(w))
		return;
	w->resized = false;
	w->vnc->rfb->progressiveSliceHeight = vnc_slice(w);
	rfbUpdateClient(w->client);
	vnc_hands_tell(w);
}

void vnc_updates(struct vnc *v)
{
	vnc_sweep(v);
	if (!v->fresh)
		return;
	for (struct vnc_viewer *w = v->viewers; w; w = w->next)
		vnc_update(w);
	vnc_sweep(v);
}

/* --- the screen ------------------------------------------------------------------------------------------- */

static void vnc_resized(void *arg, unsigned int width, unsigned int height)
{
	struct vnc *v = arg;

	rfbNewFramebuffer(v->rfb, (char *)v->o.screen->pixels, (int)width, (int)height, 8, 3,
			  SCREEN_PIXEL);
	for (struct vnc_viewer *w = v->viewers; w; w = w->next)
		w->resized = w->resized || w->in;
}

static void vnc_changed(void *arg, unsigned int x, unsigned int y, unsigned int to_x,
			unsigned int to_y)
{
	struct vnc *v = arg;

	rfbMarkRectAsModified(v->rfb, (int)x, (int)y, (int)to_x, (int)to_y);
}

const struct screen_ops vnc_screen_ops = { .resized = vnc_resized, .changed = vnc_changed };

void vnc_drawn(struct vnc *v)
{
	v->fresh = true;
	vnc_updates(v);
}

unsigned int vnc_viewers(const struct vnc *v)
{
	return v->looking;
}

/* --- making it ---------------------------------------------------------------------------------------------- */

/* What the library's libraries do with their first use, they do now: the cage forbids it. */
static void vnc_warm_up(void)
{
	unsigned char bytes[CHALLENGESIZE];
	char password[] = "warm up";

	rfbRandomBytes(bytes);
	rfbEncryptBytes(bytes, password);
}

static int vnc_password(struct vnc *v, const char *password, struct err *e)
{
	if (!password)
		return 0;
	if (!*password || strlen(password) > VNC_PASSWORD_MAX)
		return err_set(e, ERR_INVALID, "a VNC password has 1 to %d characters",
			       VNC_PASSWORD_MAX);
	v->passwords[0] = strdup(password);
	if (!v->passwords[0])
		return err_ret(e, -ENOMEM, "VNC");
	v->rfb->authPasswdData = v->passwords;
	v->rfb->passwordCheck = rfbCheckPasswordByList;
	return 0;
}

static int vnc_screen(struct vnc *v, struct err *e)
{
	const struct screen *s = v->o.screen;

	rfbLogEnable(FALSE);
	vnc_warm_up();
	v->rfb = rfbGetScreen(NULL, NULL, (int)s->width, (int)s->height, 8, 3, SCREEN_PIXEL);
	if (!v->rfb)
		return err_ret(e, -ENOMEM, "VNC");
	v->rfb->desktopName = strdup(v->o.name);
	v->rfb->frameBuffer = (char *)s->pixels;
	v->rfb->alwaysShared = TRUE;
	v->rfb->deferUpdateTime = 0;
	v->rfb->deferPtrUpdateTime = 0;
	v->rfb->maxClientWait = VNC_WAIT_MS;
	v->rfb->permitFileTransfer = FALSE;
	rfbSetCursor(v->rfb, NULL); /* the guest draws its own */
	return v->rfb->desktopName ? vnc_password(v, v->o.password, e) : err_ret(e, -ENOMEM, "VNC");
}

static void vnc_fini(struct vnc *v)
{
	if (v->rfb) {
		free((char *)v->rfb->desktopName);
		v->rfb->frameBuffer = NULL; /* the screen's */
		rfbScreenCleanup(v->rfb);
	}
	free(v->passwords[0]);
	if (v->listen_fd >= 0)
		close(v->listen_fd);
	free(v);
}

int vnc_new(const struct vnc_options *o, int take_listen_fd, struct vnc **ret, struct err *e)
{
	struct vnc *v = calloc(1, sizeof(*v));
	int r;

	if (!v) {
		close(take_listen_fd);
		return err_ret(e, -ENOMEM, "VNC");
	}
	v->o = *o;
	v->listen_fd = take_listen_fd;
	r = vnc_screen(v, e);
	if (r >= 0)
		r = vnc_door_open(v, e);
	if (r < 0) {
		edge_free(v->edge);
		vnc_fini(v);
		return r;
	}
	vnc_hands_init(v);
	*ret = v;
	return 0;
}

static void vnc_gone(uv_handle_t *h)
{
	vnc_fini(h->data);
}

void vnc_free(struct vnc *v)
{
	if (!v)
		return;
	vnc_door_close(v);
	uv_close((uv_handle_t *)&v->listen, vnc_gone);
}
