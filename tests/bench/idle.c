// SPDX-License-Identifier: MIT
/*
 * A machine with one vCPU that halts: the private dirty memory of its monitor beyond the guest's RAM (its
 * largest mapping), and its wake-ups a second: the context switches of all of its threads over a window.
 * All machines are up together, started in turn; the window is one for all.
 */
#include <dirent.h>
#include <err.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "lib/util.h"
#include "tests/bench/bench.h"

#define IDLE_RAM_MIB 128
#define IDLE_WINDOW_S 10
#define IDLE_READY_MS 60000
#define IDLE_MAX 64

struct idle_monitor {
	struct bench_command c;
	pid_t pids[IDLE_MAX];
	int outs[IDLE_MAX];
	double switches[IDLE_MAX];
	struct bench_series dirty_mib, wakeups;
};

/* Start one; it is up when its guest has said so on the console. False: it has not. */
static bool idle_start(struct idle_monitor *m, unsigned int i)
{
	struct pollfd p = { .events = POLLIN };
	int out[2];
	char byte;

	if (pipe2(out, O_CLOEXEC) < 0)
		err(1, "pipe");
	m->pids[i] = bench_spawn(m->c.argv, out[1]);
	close(out[1]);
	m->outs[i] = out[0];
	p.fd = out[0];
	return poll(&p, 1, IDLE_READY_MS) == 1 && read(out[0], &byte, 1) == 1;
}

/* Sum of Private_Dirty of all mappings that are not the guest's RAM: one, or its first 2 MiB apart (small pages). */
static double idle_dirty_mib(pid_t pid)
{
	unsigned long start, next, end = 0, kib, low = 0, sum = 0;
	bool ram = false;
	char line[512];
	FILE *f;

	snprintf(line, sizeof(line), "/proc/%d/smaps", (int)pid);
	f = fopen(line, "re");
	if (!f)
		err(1, "%s", line);
	while (fgets(line, sizeof(line), f)) {
		/* a mapping's first line has its addresses, the others begin with a key */
		if (sscanf(line, "%lx-%lx ", &start, &next) == 2) {
			ram = next - start >= (IDLE_RAM_MIB - 2) * MIB;
			if (ram && start == end)
				sum -= low;
			low = 0;
			end = next - start == 2 * MIB ? next : 0;
		} else if (!ram && sscanf(line, "Private_Dirty: %lu kB", &kib) == 1) {
			sum += kib;
			low = kib;
		}
	}
	fclose(f);
	return (double)sum / 1024;
}

static double idle_thread_switches(int pid, const char *tid)
{
	unsigned long n, sum = 0;
	char line[512];
	FILE *f;

	snprintf(line, sizeof(line), "/proc/%d/task/%s/status", pid, tid);
	f = fopen(line, "re");
	if (!f)
		return 0; /* it has ended */
	while (fgets(line, sizeof(line), f))
		if (sscanf(line, "voluntary_ctxt_switches: %lu", &n) == 1 ||
		    sscanf(line, "nonvoluntary_ctxt_switches: %lu", &n) == 1)
			sum += n;
	fclose(f);
	return (double)sum;
}

static double idle_switches(pid_t pid)
{
	struct dirent *entry;
	double sum = 0;
	char path[64];
	DIR *dir;

	snprintf(path, sizeof(path), "/proc/%d/task", (int)pid);
	dir = opendir(path);
	if (!dir)
		err(1, "%s", path);
	while ((entry = readdir(dir)))
		if (entry->d_name[0] != '.')
			sum += idle_thread_switches((int)pid, entry->d_name);
	closedir(dir);
	return sum;
}

static void idle_end(struct idle_monitor *m, unsigned int n)
{
	for (unsigned int i = 0; i < n; i++) {
		kill(m->pids[i], SIGKILL);
		waitpid(m->pids[i], NULL, 0);
		close(m->outs[i]);
	}
}

/* All of a round; none is left when one does not come up. */
static void idle_start_round(struct idle_monitor *m, size_t nmonitors, unsigned int i)
{
	for (size_t k = 0; k < nmonitors; k++) {
		if (idle_start(&m[k], i))
			continue;
		for (size_t j = 0; j < nmonitors; j++)
			idle_end(&m[j], j <= k ? i + 1 : i);
		errx(1, "%s: the guest does not run", m[k].c.name);
	}
}

static void idle_measure(struct idle_monitor *m, size_t nmonitors, unsigned int rounds,
			 unsigned int window_s)
{
	struct timespec window = { .tv_sec = window_s };

	for (unsigned int i = 0; i < rounds; i++)
		idle_start_round(m, nmonitors, i);
	for (unsigned int i = 0; i < rounds; i++)
		for (size_t k = 0; k < nmonitors; k++) {
			bench_add(&m[k].dirty_mib, idle_dirty_mib(m[k].pids[i]));
			m[k].switches[i] = idle_switches(m[k].pids[i]);
		}
	nanosleep(&window, NULL);
	for (unsigned int i = 0; i < rounds; i++)
		for (size_t k = 0; k < nmonitors; k++)
			bench_add(&m[k].wakeups,
				  (idle_switches(m[k].pids[i]) - m[k].switches[i]) / window_s);
	for (size_t k = 0; k < nmonitors; k++)
		idle_end(&m[k], rounds);
}

int main(void)
{
	struct bench_row row = { .bench = "idle", .floor = BENCH_NONE, .against = BENCH_ABSOLUTE };
	unsigned int rounds = MIN(bench_rounds(), (unsigned int)IDLE_MAX);
	size_t n = bench_has_qemu() ? 2 : 1;
	struct idle_monitor *m = calloc(n, sizeof(*m));
	const char *guest = bench_path("tests/guest/idle");

	if (!m)
		err(1, "memory");
	m[0].c.name = "vmm";
	m[0].c.argv[0] = bench_path("bin/vmm");
	m[0].c.argv[1] = "--config";
	m[0].c.argv[2] =
		bench_file("vm.json",
			   "{\"name\": \"bench\", \"profile\": \"micro\", "
			   "\"memory\": \"%luMiB\", \"boot\": {\"kernel\": \"%s\"}, "
			   "\"devices\": [{\"type\": \"virtio-blk\", \"path\": \"%s\", "
			   "\"readonly\": true}]}\n",
			   (unsigned long)IDLE_RAM_MIB, guest, bench_disk("disk.raw", 16 * MIB));
	if (n > 1)
		bench_qemu(&m[1].c, IDLE_RAM_MIB, guest, "", "");
	idle_measure(m, n, rounds, bench_smoke() ? 1 : IDLE_WINDOW_S);
	row.name = "private dirty memory";
	row.unit = "MiB";
	row.ours = bench_median(&m[0].dirty_mib);
	row.peer = n > 1 ? bench_median(&m[1].dirty_mib) : BENCH_NONE;
	row.target = 0.5;
	bench_row(&row);
	row.name = "wake-ups";
	row.unit = "1/s";
	row.ours = bench_median(&m[0].wakeups);
	row.peer = n > 1 ? bench_median(&m[1].wakeups) : BENCH_NONE;
	row.target = 0;
	bench_row(&row);
	free(m);
	return 0;
}
