// SPDX-License-Identifier: MIT
/*
 * vmd with 1, 1,000 and 10,000 definitions: `vmctl list` (one vmd for each, the three in turn), vmd's start
 * to its first answer, and its memory after that and after a list. Absolute targets. The databases are
 * filled through state/, in one transaction.
 */
#include <err.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "lib/json.h"
#include "lib/vmdef.h"
#include "state/state.h"
#include "tests/bench/bench.h"
#include "tests/functional/harness.h"

static const struct {
	unsigned int n;
	double list_ms;
} scale_sizes[] = { { 1, 4 }, { 1000, 8 }, { 10000, 40 } };

#define SCALE_SMOKE 20

static void scale_add(struct state *s, unsigned int i)
{
	struct state_actor actor = { .program = "bench" };
	AUTO_JSON struct json_object *def = json_new();
	AUTO_JSON struct json_object *config = NULL;
	struct state_vm vm = { .vcpus = 1, .memory = 128 << 20, .profile = "micro" };
	struct err e = { 0 };

	snprintf(vm.name, sizeof(vm.name), "machine-%05u", i);
	state_uuid(vm.id);
	json_add_str(json_add_str(def, "name", vm.name), "profile", vm.profile);
	json_add_str(json_add_str(def, "memory", "128MiB"), "description", "one of many");
	json_add(def, "boot", json_add_str(json_new(), "kernel", "/srv/images/vmlinux"));
	if (vmdef_expand(def, NULL, &config, &e) < 0 ||
	    state_vm_insert(s, &vm, json_object_to_json_string_ext(def, JSON_C_TO_STRING_PLAIN),
			    json_object_to_json_string_ext(config, JSON_C_TO_STRING_PLAIN), &actor,
			    &e) < 0)
		errx(1, "%s", e.msg);
}

static void scale_fill(const char *dir, unsigned int n)
{
	struct err e = { 0 };
	struct state *s;

	if (mkdir(dir, 0700) < 0 || state_open(dir, &s, &e) < 0 || state_begin(s, &e) < 0)
		errx(1, "%s: %s", dir, e.msg);
	for (unsigned int i = 0; i < n; i++)
		scale_add(s, i);
	if (state_commit(s, &e) < 0)
		errx(1, "%s: %s", dir, e.msg);
	state_close(s);
}

static double scale_status_mib(pid_t pid, const char *key)
{
	char line[256];
	unsigned long kib = 0;
	FILE *f;

	snprintf(line, sizeof(line), "/proc/%d/status", (int)pid);
	f = fopen(line, "re");
	if (!f)
		err(1, "%s", line);
	while (fgets(line, sizeof(line), f))
		if (!strncmp(line, key, strlen(key)) && line[strlen(key)] == ':')
			kib = strtoul(line + strlen(key) + 1, NULL, 10);
	fclose(f);
	return (double)kib / 1024;
}

static void scale_start(struct harness *h, unsigned int rounds)
{
	struct bench_row row = { .bench = "scale", .peer = BENCH_NONE, .floor = BENCH_NONE };
	struct bench_series start = { .n = 0 }, rss = { .n = 0 }, rss_list = { .n = 0 };

	for (unsigned int r = 0; r < rounds; r++) {
		double begin;
		struct client *c;

		if (h->vmd)
			harness_vmd_end(h, SIGTERM);
		begin = bench_now_ms();
		harness_vmd(h, NULL, NULL);
		c = harness_client(h);
		json_object_put(client_result(c, "daemon.ping", NULL));
		bench_add(&start, bench_now_ms() - begin);
		bench_add(&rss, scale_status_mib(h->vmd, "VmRSS"));
		json_object_put(client_result(c, "vm.list", NULL));
		bench_add(&rss_list, scale_status_mib(h->vmd, "VmRSS"));
		client_close(h, c);
	}
	row.name = "vmd's start to its answer, 10,000";
	row.unit = "ms";
	row.ours = bench_median(&start);
	row.against = BENCH_ABSOLUTE;
	row.target = 60;
	bench_row(&row);
	row.name = "vmd's RSS, 10,000";
	row.unit = "MiB";
	row.ours = bench_median(&rss);
	row.target = 40;
	bench_row(&row);
	row.name = "vmd's RSS after a list, 10,000";
	row.ours = bench_median(&rss_list);
	bench_row(&row);
}

static void scale_list(struct harness *const *h, unsigned int rounds)
{
	struct bench_row row = {
		.bench = "scale",
		.unit = "ms",
		.peer = BENCH_NONE,
		.floor = BENCH_NONE,
		.against = BENCH_ABSOLUTE,
	};
	struct bench_command c[ARRAY_SIZE(scale_sizes)] = { 0 };
	char name[64];

	for (size_t i = 0; i < ARRAY_SIZE(scale_sizes); i++) {
		c[i].name = "vmctl list";
		c[i].argv[0] = bench_path("bin/vmctl");
		c[i].argv[1] = "--socket";
		c[i].argv[2] = h[i]->socket;
		c[i].argv[3] = "list";
	}
	bench_interleave(c, ARRAY_SIZE(scale_sizes), rounds);
	for (size_t i = 0; i < ARRAY_SIZE(scale_sizes); i++) {
		snprintf(name, sizeof(name), "vmctl list, %u", scale_sizes[i].n);
		row.name = name;
		row.ours = bench_median(&c[i].wall_ms);
		row.target = scale_sizes[i].list_ms;
		bench_row(&row);
	}
}

int main(void)
{
	struct harness *h[ARRAY_SIZE(scale_sizes)];
	unsigned int rounds = bench_rounds();

	for (size_t i = 0; i < ARRAY_SIZE(scale_sizes); i++) {
		unsigned int n = scale_sizes[i].n;

		h[i] = harness_new();
		scale_fill(h[i]->state_dir, bench_smoke() ? MIN(n, SCALE_SMOKE) : n);
		harness_vmd(h[i], NULL, NULL);
	}
	scale_list(h, rounds);
	scale_start(h[ARRAY_SIZE(h) - 1], rounds);
	for (size_t i = 0; i < ARRAY_SIZE(scale_sizes); i++)
		harness_free(h[i]);
	return 0;
}
