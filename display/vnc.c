// SPDX-License-Identifier: MIT
/*
 * See vnc.h. libvncserver has no loop here: its clients' sockets are watched by ours, and it is called when there is something to
 * read, or to send to somebody who takes it. It waits for the rest of a message that was begun, and for who takes an update half,
 * VNC_WAIT_MS at most: that long one viewer can hold up the others, never the guest.
 */
#include "display/vnc.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/input-event-codes.h>
#include <poll.h>
#include <rfb/rfb.h>
#include <rfb/rfbregion.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "display/keymap.h"
#include "lib/errcat.h"
#include "vmm/input.h"

#define VNC_WAIT_MS 2000
#define VNC_LOGIN_MS 30000	  /* from connecting to the first request */
#define VNC_SLICE_RAW (96 * 1024) /* bytes of pixels in one update */
#define VNC_SLICE (1024 * 1024)
#define VNC_QEMU_KEYS (-258) /* rfbproto: "QEMU Extended Key Event Pseudo-encoding" */
#define VNC_QEMU_MESSAGE 255
#define VNC_QEMU_REST 11 /* bytes of it behind its type */

struct vnc_viewer {
	struct vnc_viewer *next;
	struct vnc *vnc;
	rfbClientPtr client; /* owned */
	uv_poll_t poll;
	uv_timer_t login;
	unsigned int handles;
	bool waits;   /* until it takes more */
	bool resized; /* the screen has another size than it was told, or knows by an update */
	bool ext_due; /* it is to be told of the extended key event */
	uint64_t down[(KEY_CNT + 63) / 64];
	bool moved; /* x and y are known */
	int x, y, mask;
};

struct vnc {
	struct vnc_options o;
	char *passwords[2];
	int listen_fd; /* owned */
	uv_poll_t listen;
	rfbScreenInfoPtr rfb;	    /* owned */
	struct vnc_viewer *viewers; /* owned */
	unsigned int nviewers, looking;
	bool fresh; /* a frame has come since somebody looks */
	struct keymap keymap;
};

/* --- keys and pointers ------------------------------------------------------------------------------------ */

static void vnc_key(struct vnc_viewer *w, uint16_t key, bool down)
{
	uint64_t bit = BIT64(key % 64), *held = &w->down[key / 64];

	if (key == KEY_RESERVED || (!down && !(*held & bit)))
		return;
	*held = down ? *held | bit : *held & ~bit;
	w->vnc->o.ops->key(w->vnc->o.arg, key, down);
}

static void vnc_keysym(rfbBool down, rfbKeySym keysym, rfbClientPtr client)
{
	if (client->clientData)
		vnc_key(client->clientData, keymap_keysym((uint32_t)keysym), down);
}

static int vnc_clamp(int way)
{
	return MIN(MAX(way, -LINK_MOVE_MAX), LINK_MOVE_MAX);
}

/* A viewer says where its pointer is, the guest's mouse by how much it was moved. */
static void vnc_pointer(int mask, int x, int y, rfbClientPtr client)
{
	static const struct {
		int bit;
		uint32_t button;
	} buttons[] = { { BIT(0), INPUT_LEFT },
			{ BIT(1), INPUT_MIDDLE },
			{ BIT(2), INPUT_RIGHT },
			{ BIT(7), INPUT_SIDE } };
	struct vnc_viewer *w = client->clientData;
	struct link_pointer p = { .type = LINK_POINTER };
	int pressed;

	if (!w)
		return;
	pressed = mask & ~w->mask;
	p.dx = w->moved ? vnc_clamp(x - w->x) : 0;
	p.dy = w->moved ? vnc_clamp(y - w->y) : 0;
	p.dz = (pressed & BIT(4) ? 1 : 0) - (pressed & BIT(3) ? 1 : 0);
	for (size_t i = 0; i < ARRAY_SIZE(buttons); i++)
		p.buttons |= mask & buttons[i].bit ? buttons[i].button : 0;
	w->moved = true;
	w->x = x;
	w->y = y;
	w->mask = mask;
	w->vnc->o.ops->pointer(w->vnc->o.arg, &p);
}

static void vnc_let_go(struct vnc_viewer *w)
{
	for (uint16_t key = 1; key < KEY_CNT; key++)
		vnc_key(w, key, false);
	if (w->mask)
		w->vnc->o.ops->pointer(w->vnc->o.arg, &(struct link_pointer){ LINK_POINTER });
}

/*
 * Asked for it, a server says that it knows the encoding by a rectangle of it, which has no pixels. That goes behind the first
 * update: libvncclient forgets it when the library's own list of messages comes, which is in that.
 */
static rfbBool vnc_ext_enable(rfbClientPtr client, void **data, int encoding)
{
	struct vnc_viewer *w = client->clientData;

	(void)data;
	if (encoding != VNC_QEMU_KEYS || !w)
		return FALSE;
	w->ext_due = true;
	return TRUE;
}

static void vnc_ext_tell(struct vnc_viewer *w)
{
	struct __attribute__((packed)) {
		uint8_t type, pad;
		uint16_t count, x, y, width, height;
		int32_t encoding;
	} update = { .count = htons(1),
		     .width = htons((uint16_t)w->client->screen->width),
		     .height = htons((uint16_t)w->client->screen->height),
		     .encoding = (int32_t)htonl((uint32_t)VNC_QEMU_KEYS) };

	w->ext_due = false;
	if (rfbWriteExact(w->client, (const char *)&update, sizeof(update)) <= 0)
		rfbCloseClient(w->client);
}

static rfbBool vnc_ext_message(rfbClientPtr client, void *data, const rfbClientToServerMsg *msg)
{
	struct vnc_viewer *w = client->clientData;
	uint8_t rest[VNC_QEMU_REST];
	uint32_t keysym, code;
	uint16_t key;

	(void)data;
	if (msg->type != VNC_QEMU_MESSAGE)
		return FALSE;
	if (rfbReadExact(client, (char *)rest, sizeof(rest)) <= 0 || rest[0] != 0) {
		rfbCloseClient(client);
		return TRUE;
	}
	keysym = (uint32_t)rest[3] << 24 | (uint32_t)rest[4] << 16 | (uint32_t)rest[5] << 8 |
		 rest[6];
	code = (uint32_t)rest[7] << 24 | (uint32_t)rest[8] << 16 | (uint32_t)rest[9] << 8 |
	       rest[10];
	if (!w)
		return TRUE;
	key = keymap_scancode(&w->vnc->keymap, code);
	if (key == KEY_RESERVED)
		key = keymap_keysym(keysym);
	vnc_key(w, key, rest[1] || rest[2]);
	return TRUE;
}

/* --- viewers ---------------------------------------------------------------------------------------------- */

static void vnc_closed(uv_handle_t *h)
{
	struct vnc_viewer *w = h->data;

	if (!--w->handles)
		free(w);
}

static void vnc_drop(struct vnc_viewer **link)
{
	struct vnc_viewer *w = *link;

	*link = w->next;
	w->vnc->nviewers--;
	vnc_let_go(w);
	w->client->clientData = NULL;
	rfbClientConnectionGone(w->client);
	uv_close((uv_handle_t *)&w->poll, vnc_closed);
	uv_close((uv_handle_t *)&w->login, vnc_closed);
}

/* Those that are gone, and whether one is left that looks. */
static void vnc_sweep(struct vnc *v)
{
	struct vnc_viewer **link = &v->viewers;
	unsigned int looked = v->looking;

	v->looking = 0;
	while (*link) {
		struct vnc_viewer *w = *link;

		if (w->client->sock == RFB_INVALID_SOCKET) {
			vnc_drop(link);
			continue;
		}
		if (w->client->state == RFB_NORMAL) {
			uv_timer_stop(&w->login);
			v->looking++;
		}
		link = &w->next;
	}
	if (v->looking && !looked) {
		v->fresh = false;
		v->o.ops->look(v->o.arg);
	} else if (!v->looking && looked) {
		v->o.ops->rest(v->o.arg);
	}
}

/*
 * A part of the picture that a socket with room takes whole, so that nobody waits for who does not read; each is asked for by
 * the viewer. What is compressed is a fraction of that.
 */
static int vnc_slice(const struct vnc_viewer *w)
{
	int raw = w->client->preferredEncoding == rfbEncodingRaw ||
		  w->client->preferredEncoding == rfbEncodingHextile ||
		  w->client->preferredEncoding < 0;
	int bytes = raw ? VNC_SLICE_RAW : VNC_SLICE;

	return MAX(bytes / (w->client->screen->width * SCREEN_PIXEL), 1);
}

static void vnc_event(uv_poll_t *poll, int status, int events);

/* What is new for it, unless it still has to take what was. */
static void vnc_update(struct vnc_viewer *w)
{
	struct pollfd p = { .fd = w->client->sock, .events = POLLOUT };
	bool waits;

	if (w->client->state != RFB_NORMAL || sraRgnEmpty(w->client->requestedRegion) ||
	    !FB_UPDATE_PENDING(w->client))
		return;
	/* it has said what it knows before it has asked: one that knows of no sizes takes no picture of another one */
	if (w->resized && !w->client->useNewFBSize) {
		rfbCloseClient(w->client);
		return;
	}
	waits = poll(&p, 1, 0) == 0;
	if (waits != w->waits)
		uv_poll_start(&w->poll, UV_READABLE | (waits ? UV_WRITABLE : 0), vnc_event);
	w->waits = waits;
	if (waits)
		return;
	w->resized = false;
	w->vnc->rfb->progressiveSliceHeight = vnc_slice(w);
	rfbUpdateClient(w->client);
	if (w->ext_due && w->client->sock != RFB_INVALID_SOCKET)
		vnc_ext_tell(w);
}

static void vnc_updates(struct vnc *v)
{
	vnc_sweep(v);
	if (!v->fresh)
		return;
	for (struct vnc_viewer *w = v->viewers; w; w = w->next)
		vnc_update(w);
	vnc_sweep(v);
}

static void vnc_event(uv_poll_t *poll, int status, int events)
{
	struct vnc_viewer *w = poll->data;
	struct vnc *v = w->vnc;

	if (status < 0)
		rfbCloseClient(w->client);
	if (status >= 0 && events & UV_READABLE)
		do
			rfbProcessClientMessage(w->client);
		while (w->client->sock != RFB_INVALID_SOCKET &&
		       webSocketsHasDataInBuffer(w->client));
	if (events & UV_WRITABLE && w->client->sock != RFB_INVALID_SOCKET) {
		w->waits = false;
		uv_poll_start(&w->poll, UV_READABLE, vnc_event);
	}
	vnc_updates(v);
}

/* It came, and then did nothing: its place is for others. */
static void vnc_late(uv_timer_t *timer)
{
	struct vnc_viewer *w = timer->data;

	rfbCloseClient(w->client);
	vnc_updates(w->vnc);
}

static void vnc_welcome(struct vnc *v, int take_fd)
{
	struct vnc_viewer *w = calloc(1, sizeof(*w));

	if (!w || v->nviewers == VNC_VIEWERS_MAX) {
		log_warn(v->o.log, "a viewer is sent away: %s",
			 w ? "there are enough" : "no memory");
		close(take_fd);
		free(w);
		return;
	}
	w->client = rfbNewClient(v->rfb, take_fd);
	if (!w->client || uv_poll_init(v->o.loop, &w->poll, w->client->sock) < 0) {
		if (w->client)
			rfbCloseClient(w->client);
		if (w->client)
			rfbClientConnectionGone(w->client);
		free(w);
		return;
	}
	uv_timer_init(v->o.loop, &w->login);
	w->handles = 2;
	w->vnc = v;
	w->poll.data = w->login.data = w->client->clientData = w;
	w->next = v->viewers;
	v->viewers = w;
	v->nviewers++;
	uv_timer_start(&w->login, vnc_late, VNC_LOGIN_MS, 0);
	uv_poll_start(&w->poll, UV_READABLE, vnc_event);
}

static void vnc_listen(uv_poll_t *poll, int status, int events)
{
	struct vnc *v = poll->data;
	int fd;

	(void)events;
	if (status < 0)
		return;
	fd = accept4(v->listen_fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
	if (fd >= 0)
		vnc_welcome(v, fd);
}

/* --- the screen ------------------------------------------------------------------------------------------- */

static void vnc_resized(void *arg, unsigned int width, unsigned int height)
{
	struct vnc *v = arg;

	rfbNewFramebuffer(v->rfb, (char *)v->o.screen->pixels, (int)width, (int)height, 8, 3,
			  SCREEN_PIXEL);
	for (struct vnc_viewer *w = v->viewers; w; w = w->next)
		w->resized = w->resized || w->client->state == RFB_NORMAL;
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
	v->rfb->kbdAddEvent = vnc_keysym;
	v->rfb->ptrAddEvent = vnc_pointer;
	rfbSetCursor(v->rfb, NULL); /* the guest draws its own */
	return v->rfb->desktopName ? vnc_password(v, v->o.password, e) : err_ret(e, -ENOMEM, "VNC");
}

static void vnc_extension(void)
{
	static int encodings[] = { VNC_QEMU_KEYS, 0 };
	static rfbProtocolExtension extension = {
		.pseudoEncodings = encodings,
		.enablePseudoEncoding = vnc_ext_enable,
		.handleMessage = vnc_ext_message,
	};

	rfbRegisterProtocolExtension(&extension);
}

static void vnc_free(struct vnc *v)
{
	if (v->rfb) {
		free((char *)v->rfb->desktopName);
		v->rfb->frameBuffer = NULL; /* the screen's */
		rfbScreenCleanup(v->rfb);
	}
	free(v->passwords[0]);
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
	keymap_init(&v->keymap);
	r = vnc_screen(v, e);
	if (r >= 0) {
		r = uv_poll_init(o->loop, &v->listen, take_listen_fd);
		if (r < 0)
			err_ret(e, r, "VNC");
	}
	if (r < 0) {
		vnc_free(v);
		return r;
	}
	vnc_extension();
	v->listen.data = v;
	uv_poll_start(&v->listen, UV_READABLE, vnc_listen);
	*ret = v;
	return 0;
}
