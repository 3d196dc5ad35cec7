// SPDX-License-Identifier: MIT
/*
 * What vmctl and vmd add. Start: from the spawn of `vmctl start` until a subscriber hears that the guest,
 * which ends with its first instructions, has ended; less the same guest under a bare `vmm --config`. That
 * is more than the way to the first instruction: vmd's part of the end is in it. Kill: from the spawn of
 * `vmctl kill` until the monitor's pidfd says that it is gone.
 */
#include <err.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "tests/bench/bench.h"
#include "tests/functional/harness.h"

static void latency_apply(struct client *c, const char *name, const char *guest, const char *disk)
{
	char params[1024];

	snprintf(params, sizeof(params),
		 "{'definition': {'name': '%s', 'profile': 'micro', 'memory': '128MiB', "
		 "'boot': {'kernel': '%s'}, 'devices': [{'type': 'debug-port'}, "
		 "{'type': 'virtio-blk', 'path': '%s'}]}}",
		 name, bench_path(guest), disk);
	json_object_put(client_result(c, "vm.apply", params));
}

static pid_t latency_vmctl(struct harness *h, const char *verb, const char *vm, const char *option)
{
	const char *argv[] = {
		bench_path("bin/vmctl"), "--socket", h->socket, verb, vm, option, NULL
	};

	return bench_spawn(argv, -1);
}

static double latency_start(struct harness *h, struct client *c)
{
	double begin = bench_now_ms(), end;
	pid_t pid = latency_vmctl(h, "start", "short", NULL);

	json_object_put(client_event(c, "vm.state", "stopped"));
	end = bench_now_ms();
	bench_wait(pid, "vmctl start");
	return end - begin;
}

static double latency_kill(struct harness *h, struct client *c)
{
	AUTO_JSON struct json_object *vm = NULL;
	double begin, end;
	pid_t pid;
	int pidfd;

	json_object_put(client_result(c, "vm.start", "{'vm': 'long'}"));
	vm = client_result(c, "vm.get", "{'vm': 'long'}");
	pidfd = harness_pidfd((pid_t)json_get_int(json_get(vm, "observed"), "pid", 0));
	if (pidfd < 0)
		errx(1, "the VM has no process");
	begin = bench_now_ms();
	pid = latency_vmctl(h, "kill", "long", "--yes");
	harness_wait_pidfd(pidfd);
	end = bench_now_ms();
	bench_wait(pid, "vmctl kill");
	json_object_put(client_event(c, "vm.state", "stopped")); /* its own, not the next round's */
	return end - begin;
}

static void latency_measure(struct harness *h, struct bench_command *bare)
{
	struct bench_row row = { .bench = "latency", .unit = "ms", .peer = BENCH_NONE };
	struct bench_series start = { .n = 0 }, added = { .n = 0 }, end = { .n = 0 };
	unsigned int rounds = bench_rounds();
	struct client *c = harness_client(h);

	latency_apply(c, "short", "tests/guest/exit", bench_disk("short.raw", 16 * MIB));
	latency_apply(c, "long", "tests/guest/idle", bench_disk("long.raw", 16 * MIB));
	json_object_put(client_result(c, "event.subscribe", NULL));
	for (unsigned int r = 0; r < rounds; r++) {
		bench_interleave(bare, 1, 1);
		bench_add(&start, latency_start(h, c));
		bench_add(&added, start.v[r] - bare->wall_ms.v[r]);
		bench_add(&end, latency_kill(h, c));
	}
	row.name = "vmctl start to the guest's end";
	row.ours = bench_median(&start);
	row.floor = bench_median(&bare->wall_ms);
	bench_row(&row);
	row.name = "the same, less a bare vmm";
	row.ours = MAX(bench_median(&added), 0.0);
	row.floor = BENCH_NONE;
	row.against = BENCH_ABSOLUTE;
	row.target = 15;
	bench_row(&row);
	row.name = "vmctl kill to the process gone";
	row.ours = bench_median(&end);
	row.target = 10;
	bench_row(&row);
}

int main(void)
{
	struct bench_command bare = { .name = "vmm" };
	struct harness *h = harness_new();

	bare.argv[0] = bench_path("bin/vmm");
	bare.argv[1] = "--config";
	bare.argv[2] = bench_file("vm.json",
				  "{\"name\": \"bench\", \"profile\": \"micro\", "
				  "\"memory\": \"128MiB\", \"boot\": {\"kernel\": \"%s\"}, "
				  "\"devices\": [{\"type\": \"debug-port\"}, "
				  "{\"type\": \"virtio-blk\", \"path\": \"%s\"}]}\n",
				  bench_path("tests/guest/exit"), bench_disk("disk.raw", 16 * MIB));
	harness_vmd(h, NULL, NULL);
	latency_measure(h, &bare);
	harness_free(h);
	return 0;
}
