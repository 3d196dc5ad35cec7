// SPDX-License-Identifier: MIT
/*
 * See display.h. A worker makes the socket, reads the password and makes the process (gather_display.c); here it is written down
 * and let run. When it says hello it gets the socket, and a link whose other end the monitor gets. On the loop's thread.
 */
#include "vmd/display_priv.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "lib/auto.h"
#include "lib/errcat.h"
#include "vmd/cage.h"
#include "vmd/cgroup.h"
#include "vmd/event.h"
#include "vmd/ports.h"

#define DISPLAY_LOG 2048 /* bytes of what one has said that are passed on when it has ended */
#define DISPLAY_AGAIN_MS 300
#define DISPLAY_LINK_MS (3600 * 1000) /* a monitor may take long to make its machine */

/* --- what there is ---------------------------------------------------------------------------------------------- */

struct display *display_find(const struct daemon *d, const char *vm)
{
	struct display *w = d->displays;

	while (w && (w->ending || strcmp(w->vm, vm) != 0))
		w = w->next;
	return w;
}

struct json_object *display_json(const struct display *w)
{
	int64_t port = json_get_int(w->config, "port", 0);
	struct json_object *o = json_add_str(json_new(), "type", "vnc");
	char address[300];

	if (port) {
		snprintf(address, sizeof(address), "127.0.0.1:%lld", (long long)port);
		json_add_str(json_add_str(o, "address", address), "host", "127.0.0.1");
		json_add_int(o, "port", port);
	} else {
		json_add_str(o, "address", w->socket);
		json_add_str(o, "path", w->socket);
	}
	json_add_bool(o, "password", json_get(w->config, "password_file") != NULL);
	return json_add_str(o, "state", w->served ? "up" : "down");
}

struct vmproc *display_process(const struct display *w)
{
	return w->served ? w->proc : NULL;
}

int display_check(const struct daemon *d, struct json_object *config, struct err *e)
{
	if (!json_get(config, "display") || !access(d->options->display, X_OK))
		return 0;
	err_set(e, ERR_FILE, "display: there is no '%s': %s", d->options->display, strerror(errno));
	return err_hint(e, "it is built where libvncserver (libvncserver-dev) is");
}

int display_ended_fd(const struct daemon *d, const char *vm)
{
	const struct display *w = d->displays;

	while (w && !(w->ending && w->proc && !strcmp(w->vm, vm)))
		w = w->next;
	return w ? fcntl(vmproc_pidfd(w->proc), F_DUPFD_CLOEXEC, 0) : -1;
}

static void display_freed(uv_handle_t *handle)
{
	struct display *w = container_of((uv_timer_t *)handle, struct display, timer);

	gather_display_fini(&w->files);
	json_object_put(w->config);
	free(w);
}

void display_drop(struct display *w)
{
	struct display **link = &w->d->displays;

	if (w->gather || w->proc)
		return;
	while (*link != w)
		link = &(*link)->next;
	*link = w->next;
	uv_close((uv_handle_t *)&w->timer, display_freed);
}

/* --- serving ------------------------------------------------------------------------------------------------------ */

static void display_kill(struct display *w, const struct err *why)
{
	log_warn(&w->d->log, "display of VM '%s': %s", w->name, why->msg);
	vmproc_kill(w->proc);
}

static void display_served(void *arg, struct json_object *result, const struct err *why)
{
	struct display *w = arg;

	(void)result;
	if (why && w->proc && !vmproc_gone(w->proc) && !w->closing)
		display_kill(w, why);
	w->served = !why;
}

/* Where the monitor does not take its end of the link, the process ends with the other one, which is told. */
static void display_linked(void *arg, struct json_object *result, const struct err *why)
{
	(void)arg, (void)result, (void)why;
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
	vmproc_call(w->proc, "display.serve", params, &fds, w->d->options->step_timeout_ms,
		    display_served, w);
	vmproc_call(g->proc, "screen.view", link, &monitor_fds, DISPLAY_LINK_MS, display_linked,
		    NULL);
}

/* --- what its process tells ------------------------------------------------------------------------------------------ */

static void display_again(struct display *w);

/* The guest that it was started for, or NULL: that one is gone, whatever has its VM now. */
static struct guest *display_guest(const struct display *w)
{
	struct guest *g = guest_find(w->d, w->vm);

	return g && g->proc && !vmproc_gone(g->proc) && vmproc_pid(g->proc) == w->monitor ? g
											  : NULL;
}

static void display_hello(void *arg, const char *state)
{
	struct display *w = arg;
	struct guest *g = display_guest(w);
	struct err e;

	if (!strcmp(state, "running")) {
		w->served = true;
	} else if (w->files.listen_fd >= 0 && g && vmproc_connected(g->proc)) {
		display_serve(w, g);
	} else if (w->files.listen_fd >= 0 && g) {
		err_set(&e, ERR_VMM_PROTOCOL, "its monitor cannot be asked now");
		display_kill(w, &e);
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
	const struct display *w = arg;

	log_debug(&w->d->log, "display of VM '%s': %s", w->name, why->msg);
}

/* What it has said, which is of a process that is not trusted: printable, and not much. */
static void display_log(const struct display *w)
{
	AUTO_CLOSE int fd = vmproc_take_log(w->proc, NULL);
	char text[DISPLAY_LOG + 1], *line = text, *end;
	ssize_t n = fd < 0 ? 0 : read(fd, text, DISPLAY_LOG);

	if (n <= 0)
		return;
	text[n] = '\0';
	for (; *line; line = end) {
		end = line + strcspn(line, "\n");
		if (*end)
			*end++ = '\0';
		for (char *p = line; *p; p++)
			if (*p < ' ' || *p == 0x7f)
				*p = '?';
		log_warn(&w->d->log, "display of VM '%s' said: %s", w->name, line);
	}
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

void display_fallen(struct display *w, const char *message)
{
	snprintf(w->message, sizeof(w->message), "%s", message);
	uv_timer_start(&w->timer, display_timeout, DISPLAY_AGAIN_MS, 0);
}

void display_timer_init(struct display *w)
{
	uv_timer_init(&w->d->loop, &w->timer);
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

/* --- starting ------------------------------------------------------------------------------------------------------- */

void display_options(struct display *w, struct vmproc_options *ret)
{
	*ret = (struct vmproc_options){ .program = "vmm-display",
					.loop = &w->d->loop,
					.log = &w->d->log,
					.dir = w->dir,
					.ops = &display_ops,
					.arg = w };
}

static int display_record(void *arg, const struct state_process *process, struct err *e)
{
	struct display *w = arg;
	struct state *s = w->d->state;
	struct state_process p = *process;
	int ret = state_begin_boot(s, e);

	snprintf(p.vm, sizeof(p.vm), "%s", w->vm);
	snprintf(p.boot_id, sizeof(p.boot_id), "%s", w->d->boot_id);
	if (ret >= 0)
		ret = state_display_put(s, &p, e);
	if (ret >= 0)
		ret = state_commit(s, e);
	if (ret < 0)
		state_rollback(s);
	return ret;
}

static void display_gathered(struct gather *gather)
{
	struct display *w = gather->arg;
	struct guest *g = display_guest(w);
	struct vmproc_options options;
	struct err e;
	int ret = gather->ret;

	w->gather = NULL;
	if (w->closing || w->ending || !g) {
		gather_free(gather);
		if (w->closing || w->ending)
			display_drop(w);
		return;
	}
	e = gather->err;
	if (ret >= 0) {
		w->files = gather->display;
		gather->display = (struct gather_display){ .listen_fd = -1 };
		display_options(w, &options);
		ret = vmproc_spawn(&options, TAKE_PTR(gather->child), g->uid, display_record,
				   &w->proc, &e);
	}
	gather_free(gather);
	if (ret < 0) {
		display_fallen(w, e.msg);
		return;
	}
	log_info(&w->d->log, "display of VM '%s' is process %d", w->name, (int)vmproc_pid(w->proc));
	vmproc_go(w->proc);
}

static void display_start(struct display *w, struct guest *g)
{
	struct vmproc_program program;
	char folder[512] = "", vm_dir[256];
	struct gather_process process = {
		.program = &program, .ports = ports_lock(w->d), .cgroup = folder, .before_fd = -1
	};
	struct state_vm vm;
	struct err e;

	w->tries++;
	w->since_ms = uv_now(&w->d->loop);
	cage_program(w->d, &program);
	program.vmm = w->d->options->display;
	guest_dir(w->d, w->vm, vm_dir, sizeof(vm_dir));
	if (g->cgroup[0] && cgroup_of(w->monitor, folder, sizeof(folder)) < 0)
		folder[0] = '\0';
	if (state_vm_get(w->d->state, w->vm, &vm, &e) < 0) {
		display_fallen(w, e.msg);
		return;
	}
	w->gather = gather_viewer(&w->d->loop, &w->d->hostfs, &vm, vm_dir, w->dir, &w->files,
				  &process, display_gathered, w);
	if (!w->gather)
		display_fallen(w, "out of memory");
}

static void display_again(struct display *w)
{
	struct guest *g = display_guest(w);

	gather_display_fini(&w->files);
	w->files.config = json_clone(w->config);
	if (g)
		display_start(w, g);
}

struct display *display_new(struct guest *g, struct json_object *take_config)
{
	struct display *w = calloc(1, sizeof(*w));

	if (!w) {
		json_object_put(take_config);
		return NULL;
	}
	w->d = g->d;
	w->monitor = vmproc_pid(g->proc);
	memcpy(w->vm, g->id, sizeof(w->vm));
	memcpy(w->name, g->name, sizeof(w->name));
	/* its own: the one of the start before may just be ending */
	snprintf(w->dir, sizeof(w->dir), "%s/" DISPLAY_FOLDER "/%s.%d", g->d->options->run_dir,
		 g->id, (int)w->monitor);
	snprintf(w->socket, sizeof(w->socket), "%s", json_get_str(take_config, "path", ""));
	w->config = take_config;
	w->files.listen_fd = -1;
	display_timer_init(w);
	w->next = g->d->displays;
	g->d->displays = w;
	return w;
}

void display_begin(struct guest *g, struct gather_display *take_files)
{
	struct display *w = display_new(g, json_clone(take_files->config));

	if (!w) {
		gather_display_fini(take_files);
		return;
	}
	w->files = *take_files;
	*take_files = (struct gather_display){ .listen_fd = -1 };
	display_start(w, g);
}

/* --- ending -------------------------------------------------------------------------------------------------------- */

void display_end(struct daemon *d, const char *vm)
{
	struct display *w = display_find(d, vm);

	if (!w)
		return;
	w->ending = true;
	if (w->proc)
		vmproc_kill(w->proc);
	display_drop(w);
}

void displays_close(struct daemon *d)
{
	struct display *next;

	for (struct display *w = d->displays; w; w = next) {
		struct vmproc *proc = w->proc;

		next = w->next;
		w->closing = true;
		if (proc)
			vmproc_release(proc);
		w->proc = NULL;
		display_drop(w);
	}
}
