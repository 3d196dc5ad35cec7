// SPDX-License-Identifier: MIT
/*
 * See display.h. A worker makes the socket, reads the password and makes the process (gather_display.c); here it is written down
 * and let run. What it then says, and how it ends, is display_serve.c's. On the loop's thread.
 */
#include "vmd/display_priv.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lib/auto.h"
#include "lib/errcat.h"
#include "vmd/cage.h"
#include "vmd/cgroup.h"
#include "vmd/ports.h"

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

struct guest *display_guest(const struct display *w)
{
	struct guest *g = guest_find(w->d, w->vm);

	return g && g->proc && !vmproc_gone(g->proc) && vmproc_pid(g->proc) == w->monitor ? g
											  : NULL;
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
	if (!w->closing)
		vmproc_clean(w->dir); /* also of one that was never made whole */
	uv_close((uv_handle_t *)&w->timer, display_freed);
}

/* --- starting ------------------------------------------------------------------------------------------------------- */

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
	display_await(w);
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
	w->message[0] = '\0';
	w->killed = false;
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

void display_again(struct display *w)
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
	uv_timer_init(&w->d->loop, &w->timer);
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
	gather_display_fini(&w->files); /* the next start may want its socket's place */
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
