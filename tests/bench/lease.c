// SPDX-License-Identifier: MIT
/*
 * VMs that get a VF and give it back, one after the other over all VFs of a simulated card, with a monitor that does
 * nothing: what vmd, its database and its helpers take. At the end nothing may be left of any: no row, and each VF
 * with the driver that it had.
 */
#include <err.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/bench/bench.h"
#include "tests/functional/harness.h"
#include "tests/functional/simhost.h"

#define LEASE_VFS 512
#define LEASE_CYCLES 50 /* a round */

/* The n-th VF of 0000:10:00.0: its first is 0x80 functions behind it. */
static void lease_vf(unsigned int n, char out[static 20])
{
	unsigned int id = 0x1080 + n;

	snprintf(out, 20, "0000:%02x:%02x.%u", id >> 8 & 0xff, id >> 3 & 0x1f, id & 7);
}

static void lease_make(struct harness *h, unsigned int vfs)
{
	char number[16], step[128];

	snprintf(number, sizeof(number), "%u", vfs);
	simhost_new(h, "1", number, "0");
	snprintf(step, sizeof(step), "{'op':'vfs','pf':'0000:10:00.0','count':%u,'autoprobe':true}",
		 vfs);
	json_object_put(simhost_step(h, step));
	/* VFs of one that is down are not given away */
	json_object_put(simhost_step(h, "{'op':'link-up','pf':'0000:10:00.0'}"));
}

static double lease_call(struct client *c, const char *method, const char *params)
{
	double begin = bench_now_ms();

	json_object_put(client_result(c, method, params));
	return bench_now_ms() - begin;
}

static void lease_cycle(struct harness *h, struct client *c, const char *pci,
			struct bench_series *start, struct bench_series *stop)
{
	char params[512];

	snprintf(params, sizeof(params),
		 "{'definition': {'name': 'one', 'profile': 'micro', 'memory': '16MiB', "
		 "'boot': {'kernel': '%s/kernel'}, 'devices': [{'type': 'vfio-pci', "
		 "'pci': '%s'}]}}",
		 h->dir, pci);
	json_object_put(client_result(c, "vm.apply", params));
	bench_add(start, lease_call(c, "vm.start", "{'vm': 'one'}"));
	if (strcmp(simhost_driver(h, pci), "vfio-pci") != 0)
		errx(1, "%s is not bound to vfio-pci", pci);
	bench_add(stop, lease_call(c, "vm.kill", "{'vm': 'one'}"));
	if (strcmp(simhost_driver(h, pci), "igbvf") != 0)
		errx(1, "%s has not got its driver back", pci);
}

/* How many host writes one has: those of its plan, each with an undo. */
static double lease_steps(struct client *c)
{
	struct json_object *o = client_result(c, "vm.start", "{'vm': 'one', 'dry_run': true}");
	struct json_object *devices = json_get(json_get(o, "plan"), "devices");
	struct json_object *steps = json_get(json_object_array_get_idx(devices, 0), "steps");
	double n = 2.0 * (double)json_object_array_length(steps);

	json_object_put(o);
	return n;
}

static void lease_check(struct harness *h, struct client *c, unsigned int vfs)
{
	struct json_object *o = client_result(c, "lease.list", NULL);
	char pci[20];

	if (json_object_array_length(json_get(o, "leases")))
		errx(1, "leases are left");
	json_object_put(o);
	for (unsigned int i = 0; i < vfs; i++) {
		lease_vf(i, pci);
		if (strcmp(simhost_driver(h, pci), "igbvf") != 0)
			errx(1, "%s has driver '%s'", pci, simhost_driver(h, pci));
	}
}

int main(void)
{
	unsigned int vfs = bench_smoke() ? 8 : LEASE_VFS,
		     cycles = bench_smoke() ? 10
					    : MIN(LEASE_CYCLES * bench_rounds(), BENCH_SAMPLES_MAX);
	struct bench_series start = { .n = 0 }, stop = { .n = 0 };
	struct bench_row row = {
		.bench = "lease", .unit = "ms", .peer = BENCH_NONE, .floor = BENCH_NONE
	};
	struct harness *h = harness_new();
	struct client *c;
	char pci[20];

	lease_make(h, vfs);
	harness_file(h, "kernel", "not looked at");
	harness_vmd(h, "ok", "--sysroot", simhost_root(h), "--cgroup", "none", "--log-level",
		    "error", NULL);
	c = harness_client(h);
	for (unsigned int i = 0; i < cycles; i++) {
		lease_vf(i % vfs, pci);
		lease_cycle(h, c, pci, &start, &stop);
	}
	lease_check(h, c, vfs);
	row.name = "a VF taken, and the start";
	row.ours = bench_median(&start);
	bench_row(&row);
	row.name = "the kill, and the VF back";
	row.ours = bench_median(&stop);
	bench_row(&row);
	row.name = "steps on the host, both ways";
	row.unit = "steps";
	row.ours = lease_steps(c);
	bench_row(&row);
	harness_free(h);
	return 0;
}
