// SPDX-License-Identifier: MIT
/* See leases.h. */
#include "tests/functional/leases.h"
#include "tests/functional/rows.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

#include "tests/functional/crash.h"
#include "tests/functional/scene.h"

void leases_begin_vmd(struct leases_world *w, const char *fake, const char *timeout)
{
	harness_vmd(w->h, fake, "--sysroot", simhost_root(w->h), "--cgroup", "none",
		    "--step-timeout", timeout, "--log-level", "error", NULL);
	w->c = harness_client(w->h);
}

void leases_end_vmd(struct leases_world *w, int signal)
{
	client_close(w->h, w->c);
	harness_vmd_end(w->h, signal);
}

void leases_define(struct leases_world *w, const char *name, const char *first, const char *second)
{
	char params[1024], device[2][128] = { "", "" };

	if (first)
		snprintf(device[0], sizeof(device[0]), "{'type': 'vfio-pci', 'pci': '%s'}", first);
	if (second)
		snprintf(device[1], sizeof(device[1]), ",{'type': 'vfio-pci', 'pci': '%s'}",
			 second);
	snprintf(params, sizeof(params),
		 "{'definition': {'name': '%s', 'memory': '64MiB', 'boot': {'kernel': '%s'},"
		 " 'devices': [%s%s]}}",
		 name, harness_file(w->h, "kernel", "not looked at"), device[0], device[1]);
	json_object_put(client_result(w->c, "vm.apply", params));
}

void leases_define_passthrough(struct leases_world *w, const char *name, const char *passthrough)
{
	char params[1024];

	snprintf(params, sizeof(params),
		 "{'definition': {'name': '%s', 'memory': '64MiB', 'boot': {'kernel': '%s'},"
		 " 'passthrough': [%s]}}",
		 name, harness_file(w->h, "kernel", "not looked at"), passthrough);
	json_object_put(client_result(w->c, "vm.apply", params));
}

static struct leases_world *leases_new(void **state)
{
	struct leases_world *w = calloc(1, sizeof(*w));

	*state = w;
	w->h = harness_new();
	setenv("ASAN_OPTIONS", "detect_leaks=0", 1); /* it cannot look for them under ptrace */
	return w;
}

int leases_setup_pools(void **state, const char *vfs)
{
	struct leases_world *w = leases_new(state);

	if (!harness_has_kvm())
		return 0;
	simhost_new(w->h, "2", vfs, "1");
	leases_begin_vmd(w, "ok", SCENE_LONG);
	simhost_snapshot(w->h, w->before);
	return 0;
}

int leases_setup(void **state)
{
	struct leases_world *w = leases_new(state);

	if (!harness_has_kvm())
		return 0;
	simhost_make(w->h);
	leases_begin_vmd(w, "ok", SCENE_LONG);
	leases_define(w, "one", VF, NVME);
	leases_define(w, "two", VF, NULL);
	simhost_snapshot(w->h, w->before);
	return 0;
}

int leases_teardown(void **state)
{
	struct leases_world *w = *state;

	if (w->c)
		simhost_faults(w->h, "");
	harness_free(w->h);
	free(w);
	return 0;
}

/* --- what is looked at ---------------------------------------------------------------------------- */

struct json_object *leases_find(struct leases_world *w, const char *pci)
{
	AUTO_JSON struct json_object *o = client_result(w->c, "lease.list", NULL);
	struct json_object *list = json_get(o, "leases");

	for (size_t i = 0; i < json_object_array_length(list); i++) {
		struct json_object *lease = json_object_array_get_idx(list, i);

		if (!strcmp(json_get_str(lease, "pci", ""), pci))
			return json_object_get(lease);
	}
	return NULL;
}

void leases_expect(struct leases_world *w, const char *pci, const char *vm, const char *state)
{
	AUTO_JSON struct json_object *lease = leases_find(w, pci);

	assert_string_equal(json_get_str(lease, "vm", ""), vm);
	assert_string_equal(json_get_str(lease, "state", ""), state);
}

void leases_expect_clean(struct leases_world *w)
{
	simhost_snapshot(w->h, w->after);
	assert_string_equal(w->after, w->before);
	assert_int_equal(rows_count(w->h, "lease"), 0);
	assert_int_equal(rows_count(w->h, "journal"), w->journal);
}

void leases_expect_taken(struct leases_world *w)
{
	leases_expect(w, VF, "one", "in-use");
	leases_expect(w, NVME, "one", "in-use");
	assert_string_equal(simhost_driver(w->h, VF), "vfio-pci");
	assert_string_equal(simhost_driver(w->h, NVME), "vfio-pci");
}

void leases_expect_error(struct leases_world *w, const char *method, const char *params, int code,
			 const char *part)
{
	AUTO_JSON struct json_object *o = client_error(w->c, method, params);

	assert_int_equal(json_get_int(o, "code", 0), code);
	if (!strstr(json_get_str(o, "message", ""), part))
		fail_msg("'%s' does not say '%s'", json_get_str(o, "message", ""), part);
}

/* --- vmd is killed at each step ------------------------------------------------------------------------ */

bool leases_ask_and_die(struct leases_world *w, const char *method, const char *params,
			unsigned int n)
{
	struct crash crash = { .kill_at = n };
	int status;

	crash_attach(&crash, w->h->vmd);
	client_ask(w->c, method, params);
	if (crash_run(&crash, client_fd(w->c), &status)) {
		json_object_put(client_next(w->c));
		crash_detach(&crash);
		return false;
	}
	assert_true(WIFSIGNALED(status));
	client_close(w->h, w->c);
	w->h->vmd = 0;
	leases_begin_vmd(w, "ok", SCENE_LONG);
	return true;
}

static size_t leases_jobs(struct leases_world *w, char *job, size_t size)
{
	AUTO_JSON struct json_object *o = client_result(w->c, "job.list", "{'state': 'running'}");
	struct json_object *list = json_get(o, "jobs");
	size_t n = json_object_array_length(list);

	if (n)
		snprintf(job, size, "%s",
			 json_get_str(json_object_array_get_idx(list, 0), "job", ""));
	return n;
}

void leases_wait_idle(struct leases_world *w)
{
	char job[32], params[64];
	int id;

	/* changes of VFs come one after the other: once this is answered, those before it are over */
	id = client_ask(w->c, "sriov.pf.set", "{'pci': '0000:10:00.0', 'vfs': 0, 'dry_run': true}");
	json_object_put(client_answer(w->c, id));
	while (leases_jobs(w, job, sizeof(job))) {
		snprintf(params, sizeof(params), "{'job': '%s'}", job);
		json_object_put(client_result(w->c, "job.wait", params));
	}
}

const char *leases_settled(struct leases_world *w, const char *vm)
{
	static char state[16];
	char params[96];

	snprintf(params, sizeof(params), "{'vm': '%s'}", vm);
	do {
		AUTO_JSON struct json_object *o = NULL;

		leases_wait_idle(w);
		o = client_result(w->c, "vm.get", params);
		snprintf(state, sizeof(state), "%s",
			 json_get_str(json_get(o, "observed"), "state", ""));
	} while (strcmp(state, "running") != 0 && strcmp(state, "stopped") != 0);
	return state;
}
