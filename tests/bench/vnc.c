// SPDX-License-Identifier: MIT
/*
 * A viewer looks at a screen on which nothing happens, in a linear mode, in which the monitor has to ask the kernel whether
 * something was written: what that costs the display's process and the monitor, in a window of 10 s behind the first picture.
 */
#include <dirent.h>
#include <err.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "lib/auto.h"
#include "tests/bench/bench.h"
#include "tests/functional/harness.h"
#include "tests/functional/rfb.h"

#define VNC_WINDOW_S 10
#define VNC_ENCODING "zrle"

struct vnc_process {
	const char *program;
	double cpu_ms, wakeups; /* of all its threads: when the window began; then, in it */
};

/* The one process of that program whose uid is the harness's first. */
static int vnc_pid(const struct harness *h, const char *program)
{
	char path[64], line[4096], uid[32];
	DIR *dir = opendir("/proc");
	struct dirent *entry;
	int found = 0;

	snprintf(uid, sizeof(uid), "%u", h->uid_first);
	while (dir && !found && (entry = readdir(dir))) {
		size_t n = 0;
		FILE *f;

		snprintf(path, sizeof(path), "/proc/%.16s/cmdline", entry->d_name);
		f = atoi(entry->d_name) ? fopen(path, "re") : NULL;
		if (!f)
			continue;
		n = fread(line, 1, sizeof(line) - 1, f);
		fclose(f);
		line[n] = '\0';
		if (!strrchr(line, '/') || strcmp(strrchr(line, '/') + 1, program) != 0)
			continue;
		for (size_t i = 0; i < n; i += strlen(line + i) + 1)
			if (!strcmp(line + i, uid))
				found = atoi(entry->d_name);
	}
	if (dir)
		closedir(dir);
	return found;
}

/* schedstat: time on a processor in ns, time in wait for one, how often it came onto one */
static void vnc_add_thread(const char *task, const char *tid, double *ret_ms, double *ret_runs)
{
	unsigned long long ns = 0, waited = 0, runs = 0;
	char path[128];
	FILE *f;

	snprintf(path, sizeof(path), "%s/%.16s/schedstat", task, tid);
	f = fopen(path, "re");
	if (f && fscanf(f, "%llu %llu %llu", &ns, &waited, &runs) == 3) {
		*ret_ms += (double)ns / 1e6;
		*ret_runs += (double)runs;
	}
	if (f)
		fclose(f);
}

static void vnc_look(const struct harness *h, struct vnc_process *p, bool ends)
{
	double ms = 0, runs = 0;
	int pid = vnc_pid(h, p->program);
	struct dirent *entry;
	char task[64];
	DIR *dir;

	snprintf(task, sizeof(task), "/proc/%d/task", pid);
	dir = pid ? opendir(task) : NULL;
	if (!dir)
		errx(1, "no %s runs", p->program);
	while ((entry = readdir(dir)))
		if (entry->d_name[0] != '.')
			vnc_add_thread(task, entry->d_name, &ms, &runs);
	closedir(dir);
	p->cpu_ms = ends ? ms - p->cpu_ms : ms;
	p->wakeups = ends ? runs - p->wakeups : runs;
}

/* Where viewers connect, once somebody answers there. */
static void vnc_start(struct client *c, char *out, size_t size)
{
	char params[700];

	snprintf(params, sizeof(params),
		 "{'definition': {'name': 'one', 'profile': 'legacy-pc', 'memory': '32MiB',"
		 " 'boot': {'kernel': '%s'}, 'devices': [{'type': 'vga'}], 'display': {}}}",
		 bench_path("tests/guest/look"));
	json_object_put(client_result(c, "vm.apply", params));
	json_object_put(client_result(c, "vm.start", "{'vm': 'one'}"));
	json_object_put(
		client_result(c, "vm.wait", "{'vm': 'one', 'for': 'console', 'regex': '^ready'}"));
	for (double until = bench_now_ms() + 10000; bench_now_ms() < until;) {
		AUTO_JSON struct json_object *r = client_result(c, "vm.display", "{'vm': 'one'}");

		snprintf(out, size, "%s", json_get_str(r, "address", ""));
		if (!strcmp(json_get_str(r, "state", ""), "up"))
			return;
	}
	errx(1, "the display does not come up");
}

static void vnc_rows(const struct vnc_process *p, unsigned int window_s)
{
	struct bench_row row = {
		.bench = "vnc", .peer = BENCH_NONE, .floor = BENCH_NONE, .against = BENCH_ABSOLUTE
	};
	char name[64];

	row.name = name;
	snprintf(name, sizeof(name), "idle session: %s, CPU", p->program);
	row.unit = "ms/s";
	row.ours = p->cpu_ms / window_s;
	row.against = !strcmp(p->program, "vmm-display") ? BENCH_ABSOLUTE : BENCH_INFO;
	bench_row(&row);
	snprintf(name, sizeof(name), "idle session: %s, wake-ups", p->program);
	row.unit = "1/s";
	row.ours = p->wakeups / window_s;
	bench_row(&row);
}

int main(void)
{
	struct vnc_process processes[] = { { .program = "vmm-display" }, { .program = "vmm" } };
	unsigned int window_s = bench_smoke() ? 1 : VNC_WINDOW_S;
	struct timespec window = { .tv_sec = window_s };
	struct harness *h = harness_new();
	struct client *c;
	char address[256];
	struct rfb r;

	harness_vmd(h, NULL, "--cgroup", "none", NULL);
	c = harness_client(h);
	vnc_start(c, address, sizeof(address));
	if (!rfb_connect(&r, address, 0, VNC_ENCODING, NULL))
		errx(1, "the viewer was sent away");
	rfb_update(&r);
	/* what was on its way with the first picture */
	while (WaitForMessage(r.client, 1000000) > 0)
		if (!HandleRFBServerMessage(r.client))
			errx(1, "the display has closed the connection");
	for (size_t i = 0; i < ARRAY_SIZE(processes); i++)
		vnc_look(h, &processes[i], false);
	nanosleep(&window, NULL);
	for (size_t i = 0; i < ARRAY_SIZE(processes); i++)
		vnc_look(h, &processes[i], true);
	for (size_t i = 0; i < ARRAY_SIZE(processes); i++)
		vnc_rows(&processes[i], window_s);
	rfb_close(&r);
	harness_free(h);
	return 0;
}
