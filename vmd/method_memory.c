// SPDX-License-Identifier: MIT
/*
 * Methods vm.balloon and vm.stats: what a VM has and uses. The VM's monitor is asked, and a worker reads what the
 * kernel says of its process. On the loop's thread.
 */
#include "vmd/methods.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/auto.h"
#include "lib/errcat.h"
#include "vmd/daemon.h"
#include "vmd/guest.h"
#include "vmd/host.h"

/* For statistics: who wants them wants them now, and the rest is there without vmm's word */
#define MEMORY_STATS_MS 1000

struct memory_call {
	struct call *call;
	uv_work_t work;
	struct daemon *d;
	pid_t pid;
	uint64_t start_time;
	struct json_object *result; /* owned */
	struct host_usage usage;
	int ret;
};

/* --- what vmm says, as far as it can be true --------------------------------------------------------------- */

static bool memory_copy(struct json_object *out, struct json_object *from, const char *name)
{
	int64_t n = json_get_int(from, name, -1);

	if (n < 0)
		return false;
	json_add_int(out, name, n);
	return true;
}

static void memory_copy_all(struct json_object *out, struct json_object *from,
			    const char *const *names)
{
	for (; *names; names++)
		memory_copy(out, from, *names);
}

/* {target, actual, driver, stats?}; NULL when the VM has no balloon */
static struct json_object *memory_balloon(struct json_object *said)
{
	static const char *const names[] = {
		"age_ms",	    "free",	"total",	"available",	"caches",
		"swap_in",	    "swap_out", "major_faults", "minor_faults", "hugepages_taken",
		"hugepages_failed", NULL
	};
	struct json_object *o = json_new(), *stats = json_get(said, "stats"), *copy;

	if (!memory_copy(o, said, "target") || !memory_copy(o, said, "actual")) {
		json_object_put(o);
		return NULL;
	}
	json_add_bool(o, "driver", json_get_bool(said, "driver", false));
	if (!json_object_is_type(stats, json_type_object))
		return o;
	copy = json_new();
	memory_copy_all(copy, stats, names);
	return json_add(o, "stats", copy);
}

/* --- vm.balloon -------------------------------------------------------------------------------------------- */

static void memory_balloon_done(void *arg, struct json_object *said, const struct err *why)
{
	struct memory_call *m = arg;
	bool dry_run = json_get_bool(m->call->params, "dry_run", false);
	bool changed = json_get_bool(said, "changed", false);
	struct json_object *balloon = why ? NULL : memory_balloon(said);
	struct err e;

	if (why && why->code == ERR_INVALID) {
		err_set(&e, ERR_RPC_PARAMS, "vm.balloon: /size: %.400s", why->msg);
		call_fail(m->call, &e, json_add_str(json_new(), "path", "/size"));
	} else if (why) {
		call_fail(m->call, why, NULL);
	} else if (!balloon) {
		err_set(&e, ERR_VMM_PROTOCOL, "vmm has not said how large the balloon is");
		call_fail(m->call, &e, NULL);
	} else {
		json_add_bool(m->result, "changed", changed && !dry_run);
		if (!changed)
			json_add_str(m->result, "note", "it shall have that much already");
		else if (dry_run)
			json_add_str(m->result, "note", "would be asked for");
		else if (!json_get_bool(balloon, "driver", false))
			json_add_str(m->result, "note",
				     "its guest has no driver for the balloon yet");
		json_object_object_foreach(balloon, key, value) {
			json_add(m->result, key, json_object_get(value));
		}
		call_reply(m->call, TAKE_PTR(m->result));
	}
	json_object_put(balloon);
	json_object_put(m->result);
	free(m);
}

/* NULL: the call has been answered. */
static struct memory_call *memory_call_new(struct guest *g, struct call *call)
{
	struct memory_call *m = calloc(1, sizeof(*m));
	struct err e;

	if (!m) {
		err_set(&e, ERR_RPC_INTERNAL, "out of memory");
		call_fail(call, &e, NULL);
		return NULL;
	}
	*m = (struct memory_call){ .call = call, .d = g->d, .pid = vmproc_pid(g->proc) };
	m->start_time = vmproc_start_time(g->proc);
	m->result = json_add_str(json_new(), "name", g->name);
	json_add_str(m->result, "state", guest_state_name(g));
	return m;
}

int64_t method_size(struct json_object *size)
{
	uint64_t bytes = 0;

	if (json_object_is_type(size, json_type_string)) {
		json_size_parse(json_object_get_string(size), &bytes);
		return (int64_t)bytes;
	}
	return json_object_get_int64(size);
}

void method_vm_balloon(struct daemon *d, struct call *call)
{
	int64_t size = method_size(json_get(call->params, "size"));
	struct guest *g = method_running_guest(d, call);
	struct memory_call *m = g ? memory_call_new(g, call) : NULL;
	struct json_object *params;

	if (m) {
		params = json_add_int(json_new(), "size", size);
		json_add_bool(params, "dry_run", json_get_bool(call->params, "dry_run", false));
		vmproc_call(g->proc, "machine.memory", params, NULL, guest_call_ms(g),
			    memory_balloon_done, m);
	}
	if (g)
		guest_put(g);
}

/* --- vm.stats ---------------------------------------------------------------------------------------------- */

static void memory_stats_read(uv_work_t *work)
{
	struct memory_call *m = container_of(work, struct memory_call, work);

	m->ret = host_process_usage(m->pid, m->start_time, &m->usage, NULL);
}

static void memory_stats_end(uv_work_t *work, int status)
{
	struct memory_call *m = container_of(work, struct memory_call, work);
	struct err e;

	if (status < 0 || m->ret < 0) {
		err_set(&e, ERR_VM_STATE, "VM '%s' has ended meanwhile",
			json_get_str(m->result, "name", ""));
		call_fail(m->call, &e, NULL);
	} else {
		json_add_int(m->result, "cpu_us", (int64_t)m->usage.cpu_us);
		json_add_int(m->result, "rss", (int64_t)m->usage.rss);
		call_reply(m->call, TAKE_PTR(m->result));
	}
	json_object_put(m->result);
	free(m);
}

/* A vmm that does not answer leaves its part out. */
static void memory_stats_said(void *arg, struct json_object *said, const struct err *why)
{
	struct memory_call *m = arg;
	struct json_object *balloon = why ? NULL : memory_balloon(said);

	if (balloon)
		json_add(m->result, "balloon", balloon);
	if (uv_queue_work(&m->d->loop, &m->work, memory_stats_read, memory_stats_end) < 0)
		memory_stats_end(&m->work, -1);
}

void method_vm_stats(struct daemon *d, struct call *call)
{
	struct guest *g = method_running_guest(d, call);
	struct memory_call *m = g ? memory_call_new(g, call) : NULL;
	struct state_vm vm;

	if (m && state_vm_get(d->state, g->id, &vm, NULL) >= 0) {
		json_add_int(m->result, "cpus", vm.vcpus);
		json_add_int(m->result, "memory", vm.memory);
	}
	if (m)
		vmproc_call(g->proc, "machine.memory", NULL, NULL,
			    MIN((unsigned int)MEMORY_STATS_MS, guest_call_ms(g)), memory_stats_said,
			    m);
	if (g)
		guest_put(g);
}
