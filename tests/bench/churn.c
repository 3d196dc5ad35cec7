// SPDX-License-Identifier: MIT
/*
 * Machines made and ended per second, 16 at a time: through vmd (vm.apply, vm.start, vm.wait for its end,
 * vm.delete, on 16 connections), by QEMU alone and by the floor program, batches of each in turn. vmd's run
 * directory is on a tmpfs, as /run is, and its database on the disk.
 */
#include <err.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/bench/bench.h"
#include "tests/functional/harness.h"
#include "tests/lib/tempdir.h"

#define CHURN_PARALLEL 16
#define CHURN_EACH 4 /* machines of each of them in a batch */

struct churn_lane {
	pthread_t thread;
	unsigned int index, n;
	struct client *client;		     /* borrowed; NULL: run the command */
	const struct bench_command *command; /* borrowed */
};

static void churn_vm(struct client *c, unsigned int lane)
{
	char params[1024], name[32];

	snprintf(name, sizeof(name), "lane%u", lane);
	snprintf(params, sizeof(params),
		 "{'definition': {'name': '%s', 'profile': 'micro', 'memory': '128MiB', "
		 "'boot': {'kernel': '%s'}, 'devices': [{'type': 'debug-port'}]}}",
		 name, bench_path("tests/guest/exit"));
	json_object_put(client_result(c, "vm.apply", params));
	snprintf(params, sizeof(params), "{'vm': '%s'}", name);
	json_object_put(client_result(c, "vm.start", params));
	snprintf(params, sizeof(params), "{'vm': '%s', 'for': 'stopped'}", name);
	json_object_put(client_result(c, "vm.wait", params));
	snprintf(params, sizeof(params), "{'vm': '%s'}", name);
	json_object_put(client_result(c, "vm.delete", params));
}

static void *churn_main(void *arg)
{
	struct churn_lane *lane = arg;

	for (unsigned int i = 0; i < lane->n; i++) {
		if (lane->client)
			churn_vm(lane->client, lane->index);
		else
			bench_wait(bench_spawn(lane->command->argv, -1), lane->command->name);
	}
	return NULL;
}

/* Machines per second. */
static double churn_batch(struct churn_lane *lanes, unsigned int each)
{
	double begin = bench_now_ms();

	for (unsigned int i = 0; i < CHURN_PARALLEL; i++) {
		lanes[i].index = i;
		lanes[i].n = each;
		if (pthread_create(&lanes[i].thread, NULL, churn_main, &lanes[i]))
			errx(1, "no thread");
	}
	for (unsigned int i = 0; i < CHURN_PARALLEL; i++)
		pthread_join(lanes[i].thread, NULL);
	return CHURN_PARALLEL * each * 1e3 / (bench_now_ms() - begin);
}

static void churn_measure(struct churn_lane (*lanes)[CHURN_PARALLEL], size_t n)
{
	struct bench_row row = { .bench = "churn",
				 .name = "VMs per second, 16 at a time",
				 .unit = "1/s" };
	unsigned int rounds = bench_rounds(), each = bench_smoke() ? 1 : CHURN_EACH;
	struct bench_series rate[3] = { { .n = 0 } };

	for (unsigned int r = 0; r < rounds; r++)
		for (size_t i = 0; i < n; i++)
			bench_add(&rate[i], churn_batch(lanes[i], each));
	row.ours = bench_median(&rate[0]);
	row.floor = bench_median(&rate[1]);
	row.peer = bench_median(&rate[2]);
	row.against = BENCH_PEER_LEAST;
	row.target = 6;
	bench_row(&row);
}

/* A directory in memory, to be removed; NULL where there is none: it stays as it is. */
static char *churn_run_dir(struct harness *h)
{
	char *dir = strdup("/dev/shm/vmd-bench-XXXXXX");

	if (!dir || !mkdtemp(dir)) {
		warn("the run directory is on a disk: /dev/shm");
		free(dir);
		return NULL;
	}
	snprintf(h->run_dir, sizeof(h->run_dir), "%s", dir);
	return dir;
}

int main(void)
{
	struct churn_lane lanes[3][CHURN_PARALLEL] = { { { .n = 0 } } };
	struct bench_command commands[3] = { { .name = "vmd" }, { .name = "floor" } };
	size_t n = bench_has_qemu() ? 3 : 2;
	struct harness *h = harness_new();
	char *run_dir = churn_run_dir(h);

	commands[1].argv[0] = bench_path("tests/bench/kvm_floor");
	commands[1].argv[1] = "128";
	if (n > 2)
		bench_qemu(&commands[2], 128, bench_path("tests/guest/exit"), "", "");
	harness_vmd(h, NULL, NULL);
	for (unsigned int i = 0; i < CHURN_PARALLEL; i++) {
		lanes[0][i].client = harness_client(h);
		lanes[1][i].command = &commands[1];
		lanes[2][i].command = &commands[2];
	}
	churn_measure(lanes, n);
	harness_free(h);
	tempdir_remove(run_dir);
	return 0;
}
