// SPDX-License-Identifier: MIT
/* The processes that show screens, of the vmd before this one: see display.h. On the loop's thread. */
#include "vmd/display_priv.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/auto.h"
#include "lib/hostport.h"
#include "vmd/ports.h"

/* Of a VM that runs: what its definition says of its display, the path filled in; NULL: nothing. */
static struct json_object *display_config(const struct guest *g)
{
	AUTO_FREE char *text = NULL;
	AUTO_JSON struct json_object *config = NULL;
	struct json_object *display;
	char path[300];

	if (state_revision_get(g->d->state, g->id, g->revision, NULL, &text, NULL) < 0 ||
	    json_parse(text, strlen(text), &config, NULL) < 0)
		return NULL;
	display = json_get(config, "display");
	if (!display)
		return NULL;
	display = json_clone(display);
	if (json_get(display, "path") || json_get(display, "port"))
		return display;
	snprintf(path, sizeof(path), "%s/" PORTS_FOLDER "/%s/" HOSTPORT_DISPLAY,
		 g->d->options->run_dir, g->id);
	return json_add_str(display, "path", path);
}

struct display_rows {
	struct state_process *rows; /* owned */
	size_t n;
};

static int display_take_row(void *arg, const struct state_process *p)
{
	struct display_rows *r = arg;
	struct state_process *rows = realloc(r->rows, (r->n + 1) * sizeof(*rows));

	if (!rows)
		return -ENOMEM;
	r->rows = rows;
	rows[r->n++] = *p;
	return 0;
}

/* The process of a row, if it lives; with its VM, or to be ended as that is. */
static void display_adopt_row(struct daemon *d, const struct state_process *p)
{
	struct guest *g = guest_find(d, p->vm);
	bool runs = g && g->proc;
	struct display *w = NULL;
	struct vmproc_options options;
	struct err e;

	if (runs)
		w = display_new(g, display_config(g));
	else
		w = calloc(1, sizeof(*w));
	if (!w)
		return;
	if (!runs) {
		*w = (struct display){ .next = d->displays, .d = d, .ending = true };
		memcpy(w->vm, p->vm, sizeof(w->vm));
		snprintf(w->dir, sizeof(w->dir), "%.*s", (int)(strrchr(p->socket, '/') - p->socket),
			 p->socket);
		w->files.listen_fd = -1;
		uv_timer_init(&d->loop, &w->timer);
		d->displays = w;
	}
	display_options(w, &options);
	w->since_ms = uv_now(&d->loop);
	if (strcmp(p->boot_id, d->boot_id) != 0 ||
	    vmproc_adopt(&options, p, -1, &w->proc, &e) < 0) {
		if (state_display_delete(d->state, p->vm, p->pid, &e) < 0)
			log_error(&d->log, "display: %s", e.msg);
		vmproc_clean(w->dir);
		if (runs)
			display_fallen(w, "it ended while no vmd was there");
	} else if (!runs) {
		vmproc_kill(w->proc);
	} else {
		display_await(w);
	}
	if (!runs)
		display_drop(w);
}

/* Directories of those whose process was never written down. */
static void displays_sweep(struct daemon *d)
{
	char parent[256], dir[600];
	struct dirent *entry;
	DIR *folder;

	snprintf(parent, sizeof(parent), "%s/" DISPLAY_FOLDER, d->options->run_dir);
	folder = opendir(parent);
	while (folder && (entry = readdir(folder))) {
		const struct display *w = d->displays;

		snprintf(dir, sizeof(dir), "%s/%s", parent, entry->d_name);
		while (w && strcmp(w->dir, dir) != 0)
			w = w->next;
		if (!w && entry->d_name[0] != '.')
			vmproc_clean(dir);
	}
	if (folder)
		closedir(folder);
}

void displays_adopt(struct daemon *d)
{
	struct display_rows r = { 0 };
	struct err e;

	if (state_display_list(d->state, display_take_row, &r, &e) < 0)
		log_error(&d->log, "cannot look for displays: %s", e.msg);
	for (size_t i = 0; i < r.n; i++)
		display_adopt_row(d, &r.rows[i]);
	free(r.rows);
	displays_sweep(d);
}

void display_missing(struct guest *g)
{
	struct json_object *config;
	struct display *w;

	if (!g->proc || display_find(g->d, g->id))
		return;
	config = display_config(g);
	w = config ? display_new(g, config) : NULL;
	if (w)
		display_fallen(w, "it ended while no vmd was there");
}
