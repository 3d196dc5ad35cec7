// SPDX-License-Identifier: MIT
/*
 * Of a process that shows a screen: when it says hello it gets the listening socket, and a link whose other end the monitor gets;
 * how it ends is told, and another one begun. It is not trusted: one that does not get so far is ended. On the loop's thread.
 */
#include "vmd/display_priv.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "lib/auto.h"
#include "lib/errcat.h"
#include "vmd/event.h"

#define DISPLAY_LOG 2048 /* bytes of what one has said that are passed on when it has ended … */
#define DISPLAY_LOG_LINES 16 /* … and lines */
#define DISPLAY_AGAIN_MS 300
#define DISPLAY_LINK_MS (3600 * 1000) /* a monitor may take long to make its machine */

/* --- serving ------------------------------------------------------------------------------------------------------ */

static void display_kill(struct display *w, const struct err *why)
{
	if (w->killed || w->ending)
		return;
	log_warn(&w->d->log, "display of VM '%s': %s", w->name, why->msg);
	snprintf(w->message, sizeof(w->message), "%s", why->msg);
	w->killed = true;
	vmproc_kill(w->proc);
}

static void display_late(uv_timer_t *timer)
{
	struct display *w = container_of(timer, struct display, timer);
	char lost[sizeof(w->message)];
	struct err e;

	snprintf(lost, sizeof(lost), "%s", w->message);
	err_set(&e, ERR_TIMEOUT, "vmm-display serves nobody after %.1f s%s%s",
		w->d->options->step_timeout_ms / 1000.0, lost[0] ? ": " : "", lost);
	display_kill(w, &e);
}

void display_await(struct display *w)
{
	uv_timer_start(&w->timer, display_late, w->d->options->step_timeout_ms, 0);
}

static void display_up(struct display *w)
{
	w->served = true;
	uv_timer_stop(&w->timer);
}

/* A connection that broke is made again, and hello tells; or the process has ended, and how it did is still to come. */
static void display_served(void *arg, struct json_object *result, const struct err *why)
{
	struct display *w = arg;

	(void)result;
	if (!why)
		display_up(w);
	else if (why->code != ERR_VMM_PROTOCOL && why->code != ERR_VMM_DIED && !w->closing)
		display_kill(w, why);
}

/* Where the monitor does not take its end of the link, the process ends with the other one, which is told. */
static void display_linked(void *arg, struct json_object *result, const struct err *why)
{
	const struct daemon *d = arg;

	(void)result;
	if (why && why->code != ERR_VMM_DIED && why->code != ECANCELED)
		log_warn(&d->log, "a monitor shows its screen to nobody: %s", why->msg);
}

static int display_give(struct fdset *fds, struct json_object *params, const char *key, int take_fd)
{
	int index = fdset_add(fds, take_fd);

	if (index >= 0)
		json_add(params, key, json_add_int(json_new(), "fd", index));
	return index;
}

static void display_serve(struct display *w, struct guest *g)
{
	struct json_object *params = json_add_str(json_new(), "name", w->name);
	struct json_object *link = json_new();
	struct fdset fds, monitor_fds;
	struct err e;
	int ends[2];

	fdset_init(&fds);
	fdset_init(&monitor_fds);
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, ends) < 0) {
		err_errno(&e, "a socket");
		json_object_put(params);
		json_object_put(link);
		display_kill(w, &e);
		return;
	}
	display_give(&fds, params, "link", ends[0]);
	display_give(&fds, params, "listen", TAKE_FD(w->files.listen_fd));
	display_give(&monitor_fds, link, "link", ends[1]);
	if (w->files.password[0])
		json_add_str(params, "password", w->files.password);
	gather_display_fini(&w->files);
	w->message[0] = '\0';
	display_await(w);
	vmproc_call(w->proc, "display.serve", params, &fds, w->d->options->step_timeout_ms,
		    display_served, w);
	vmproc_call(g->proc, "screen.view", link, &monitor_fds, DISPLAY_LINK_MS, display_linked,
		    w->d);
}

/* --- what its process tells ------------------------------------------------------------------------------------------ */

static void display_hello(void *arg, const char *state);

/* Its monitor's connection is made anew meanwhile, or is not. */
static void display_greet_again(uv_timer_t *timer)
{
	struct display *w = container_of(timer, struct display, timer);

	if (uv_now(&w->d->loop) - w->since_ms < w->d->options->step_timeout_ms)
		display_hello(w, "empty");
	else
		display_late(timer);
}

static void display_hello(void *arg, const char *state)
{
	struct display *w = arg;
	struct guest *g = display_guest(w);
	struct err e;

	if (!strcmp(state, "running") && w->files.listen_fd < 0) {
		display_up(w);
	} else if (!strcmp(state, "running")) {
		err_set(&e, ERR_VMM_PROTOCOL, "vmm-display shows a screen that it was never given");
		display_kill(w, &e);
	} else if (w->files.listen_fd >= 0 && g && vmproc_connected(g->proc)) {
		display_serve(w, g);
	} else if (w->files.listen_fd >= 0 && g) {
		snprintf(w->message, sizeof(w->message), "its monitor cannot be asked");
		uv_timer_start(&w->timer, display_greet_again, DISPLAY_AGAIN_MS, 0);
	} else {
		/* the vmd that had its socket has died */
		err_set(&e, ERR_CANCELLED, "it was never given a screen");
		display_kill(w, &e);
	}
}

static void display_event(void *arg, const char *type, const char *message)
{
	(void)arg, (void)type, (void)message;
}

static void display_panic(void *arg, bool handled, const char *console)
{
	(void)arg, (void)handled, (void)console;
}

static void display_removed(void *arg, const char *device)
{
	(void)arg, (void)device;
}

static void display_timeline(void *arg, struct json_object *said)
{
	(void)arg, (void)said;
}

static void display_lost(void *arg, const struct err *why)
{
	struct display *w = arg;

	log_debug(&w->d->log, "display of VM '%s': %s", w->name, why->msg);
	if (!w->killed)
		snprintf(w->message, sizeof(w->message), "%s", why->msg);
}

/* What it has said, which is of a process that is not trusted: printable, and not much. */
static void display_log(const struct display *w)
{
	AUTO_CLOSE int fd = vmproc_take_log(w->proc, NULL); /* never waits: vmproc_open_log */
	char text[DISPLAY_LOG + 1], *rest = NULL;
	ssize_t n = fd < 0 ? 0 : read(fd, text, DISPLAY_LOG);
	unsigned int lines = 0;

	if (n <= 0)
		return;
	text[n] = '\0';
	for (char *p = text; p < text + n; p++)
		if (*p != '\n' && (*p < ' ' || *p > '~'))
			*p = '?';
	for (char *line = strtok_r(text, "\n", &rest); line && lines < DISPLAY_LOG_LINES;
	     line = strtok_r(NULL, "\n", &rest), lines++)
		log_warn(&w->d->log, "display of VM '%s' said: %s", w->name, line);
}

static void display_tell(struct display *w, bool again)
{
	struct json_object *data = json_add_str(json_new(), "name", w->name);

	log_warn(&w->d->log, "display of VM '%s' has ended: %s%s", w->name, w->message,
		 again ? "; another one is started" : "");
	json_add_str(json_add_str(data, "state", "ended"), "message", w->message);
	event_emit(w->d->events, "vm.display", w->vm, json_add_bool(data, "again", again));
}

static void display_timeout(uv_timer_t *timer)
{
	struct display *w = container_of(timer, struct display, timer);
	bool steady = uv_now(&w->d->loop) - w->since_ms >= DISPLAY_STEADY_MS, again;

	if (w->ending || !display_guest(w))
		return;
	w->tries = steady ? 0 : w->tries;
	again = w->tries < DISPLAY_TRIES;
	display_tell(w, again);
	if (again)
		display_again(w);
}

static void display_fall(struct display *w)
{
	uv_timer_start(&w->timer, display_timeout, DISPLAY_AGAIN_MS, 0);
}

void display_fallen(struct display *w, const char *message)
{
	snprintf(w->message, sizeof(w->message), "%s", message);
	display_fall(w);
}

static void display_gone(void *arg, const struct state_exit *exit)
{
	struct display *w = arg;
	struct err e;

	if (!w->ending)
		display_log(w);
	if (state_display_delete(w->d->state, w->vm, vmproc_pid(w->proc), &e) < 0)
		log_error(&w->d->log, "display: %s", e.msg);
	w->proc = NULL;
	w->served = false;
	vmproc_clean(w->dir);
	/* one that was adopted is no child of ours: how it ended nobody knows */
	if (w->ending)
		display_drop(w);
	else if (w->killed)
		display_fall(w);
	else
		display_fallen(w, strcmp(exit->reason, "lost") ? exit->message
							       : "vmm-display has ended");
}

static const struct vmproc_ops display_ops = {
	.hello = display_hello,
	.event = display_event,
	.panic = display_panic,
	.removed = display_removed,
	.timeline = display_timeline,
	.lost = display_lost,
	.gone = display_gone,
};

void display_options(struct display *w, struct vmproc_options *ret)
{
	*ret = (struct vmproc_options){ .program = "vmm-display",
					.loop = &w->d->loop,
					.log = &w->d->log,
					.dir = w->dir,
					.ops = &display_ops,
					.arg = w };
}
