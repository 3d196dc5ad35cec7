// SPDX-License-Identifier: MIT
/* See nvram.h. One worker at a time removes files; on the loop's thread, but for nvram_work. */
#include "vmd/nvram.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <uv.h>

#include "lib/errcat.h"
#include "vmd/daemon.h"

#define NVRAM_AT_ONCE 64 /* files that a worker removes before the next one is asked */

struct nvram {
	struct daemon *d;
	bool wanted, at_work, ended;
	uv_work_t work;
	int64_t ids[NVRAM_AT_ONCE]; /* the worker's while at_work */
	int ret[NVRAM_AT_ONCE];
	unsigned int n;
	struct log_limit limit;
};

struct nvram *nvram_new(struct daemon *d)
{
	struct nvram *n = calloc(1, sizeof(*n));

	if (n)
		n->d = d;
	return n;
}

void nvram_close(struct nvram *n)
{
	if (n)
		n->ended = true;
}

void nvram_free(struct nvram *n)
{
	free(n);
}

static void nvram_path(const struct daemon *d, int64_t id, char *out, size_t size)
{
	snprintf(out, size, "%s/" NVRAM_FOLDER "/%lld.fd", d->options->state_dir, (long long)id);
}

/* --- those that nobody has any more -------------------------------------------------------------------------- */

static int nvram_unlink(const char *path)
{
	return unlink(path) < 0 && errno != ENOENT ? -errno : 0;
}

/* With what a vmd that died in a first start has left beside it */
static void nvram_work(uv_work_t *work)
{
	struct nvram *n = container_of(work, struct nvram, work);
	char path[512], part[sizeof(path) + sizeof(NVRAM_PART)];

	for (unsigned int i = 0; i < n->n; i++) {
		nvram_path(n->d, n->ids[i], path, sizeof(path));
		snprintf(part, sizeof(part), "%s" NVRAM_PART, path);
		n->ret[i] = nvram_unlink(part);
		if (n->ret[i] >= 0)
			n->ret[i] = nvram_unlink(path);
	}
}

static void nvram_begin(struct nvram *n);

static void nvram_worked(uv_work_t *work, int status)
{
	struct nvram *n = container_of(work, struct nvram, work);
	bool more = n->n == NVRAM_AT_ONCE;
	struct err e;

	n->at_work = false;
	if (n->ended)
		return;
	for (unsigned int i = 0; i < n->n && status >= 0; i++) {
		if (n->ret[i] < 0)
			log_limited(&n->d->log, &n->limit, "cannot remove variables %lld: %s",
				    (long long)n->ids[i], strerror(-n->ret[i]));
		else if (state_nvram_delete(n->d->state, n->ids[i], &e) < 0)
			log_error(&n->d->log, "%s", e.msg);
		more = more && n->ret[i] >= 0; /* those of the next turn may be the same */
	}
	n->wanted = n->wanted || more;
	nvram_begin(n);
}

static int nvram_add(void *arg, int64_t id)
{
	struct nvram *n = arg;

	if (n->n < NVRAM_AT_ONCE)
		n->ids[n->n++] = id;
	return 0;
}

static void nvram_begin(struct nvram *n)
{
	struct err e;

	if (!n->wanted || n->at_work || n->ended)
		return;
	n->wanted = false;
	n->n = 0;
	if (state_nvram_list_over(n->d->state, nvram_add, n, &e) < 0)
		log_error(&n->d->log, "variables: %s", e.msg);
	n->at_work = n->n && uv_queue_work(&n->d->loop, &n->work, nvram_work, nvram_worked) >= 0;
}

void nvram_sweep(struct daemon *d)
{
	d->nvram->wanted = true;
	nvram_begin(d->nvram);
}

/* --- a start ------------------------------------------------------------------------------------------------ */

static struct json_object *nvram_device(struct json_object *config)
{
	struct json_object *devices = json_get(config, "devices");
	size_t count = devices ? json_object_array_length(devices) : 0;

	for (size_t i = 0; i < count; i++) {
		struct json_object *d = json_object_array_get_idx(devices, i);

		if (!strcmp(json_get_str(d, "type", ""), NVRAM_TYPE))
			return d;
	}
	return NULL;
}

static int nvram_write(struct daemon *d, const struct state_vm *vm, int64_t *ret_id, struct err *e)
{
	int ret = state_begin(d->state, e);

	if (ret >= 0)
		ret = state_nvram_add(d->state, vm, ret_id, e);
	if (ret >= 0)
		ret = state_commit(d->state, e);
	if (ret < 0)
		state_rollback(d->state);
	return ret;
}

int nvram_reserve(struct daemon *d, const struct state_vm *vm, struct json_object *config,
		  struct err *e)
{
	struct json_object *device = nvram_device(config);
	char path[512];
	int64_t id;
	int ret;

	if (!device)
		return 0;
	ret = state_nvram_of(d->state, vm->id, &id, e);
	if (!ret)
		ret = nvram_write(d, vm, &id, e);
	if (ret < 0)
		return ret;
	nvram_path(d, id, path, sizeof(path));
	json_add_str(device, NVRAM_STORE, path);
	return 0;
}
