// SPDX-License-Identifier: MIT
/*
 * Memory that a guest gives back: one that has written to 512 MiB puts all of it into its balloon. How long until the
 * monitor's process holds 500 MiB less than it did, from the guest's last write on, and what it still holds of
 * the 512 at the end.
 */
#include <err.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "lib/util.h"
#include "tests/bench/bench.h"

#define BALLOON_MIB 512u
#define BALLOON_SMOKE_MIB 16u
#define BALLOON_SLACK_MIB 12u /* that may stay: 512 given back, at least 500 fewer */
#define BALLOON_DEADLINE_MS 60000

/* A line of /proc/PID/status in MiB: VmRSS, VmHWM. */
static double balloon_status(pid_t pid, const char *key)
{
	char line[256], format[32];
	unsigned long kib, found = 0;
	FILE *f;

	snprintf(line, sizeof(line), "/proc/%d/status", (int)pid);
	snprintf(format, sizeof(format), "%s:", key);
	f = fopen(line, "re");
	if (!f)
		err(1, "%s", line);
	while (fgets(line, sizeof(line), f))
		if (!strncmp(line, format, strlen(format)) &&
		    sscanf(line + strlen(format), "%lu", &kib) == 1)
			found = kib;
	fclose(f);
	return (double)found / 1024;
}

/* The guest says T when it has written, and I when its balloon is as large as it wanted. */
static void balloon_hear(int fd, char what)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };
	char byte = 0;

	if (poll(&p, 1, BALLOON_DEADLINE_MS) != 1 || read(fd, &byte, 1) != 1 || byte != what)
		errx(1, "the guest did not say %c", what);
}

static double balloon_wait(pid_t pid, double begin_ms, double least_mib)
{
	const struct timespec tick = { .tv_nsec = 1000000 };

	while (balloon_status(pid, "VmHWM") - balloon_status(pid, "VmRSS") < least_mib) {
		if (bench_now_ms() - begin_ms > BALLOON_DEADLINE_MS)
			errx(1, "the memory did not come back");
		nanosleep(&tick, NULL);
	}
	return (bench_now_ms() - begin_ms) / 1e3;
}

static void balloon_round(const char *const *argv, unsigned int mib, struct bench_series *seconds,
			  struct bench_series *kept)
{
	double begin_ms;
	int out[2];
	pid_t pid;

	if (pipe2(out, O_CLOEXEC) < 0)
		err(1, "pipe");
	pid = bench_spawn(argv, out[1]);
	close(out[1]);
	balloon_hear(out[0], 'T');
	begin_ms = bench_now_ms();
	bench_add(seconds, balloon_wait(pid, begin_ms, mib - BALLOON_SLACK_MIB));
	balloon_hear(out[0], 'I');
	bench_add(kept,
		  MAX(mib - (balloon_status(pid, "VmHWM") - balloon_status(pid, "VmRSS")), 0.0));
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	close(out[0]);
}

int main(void)
{
	unsigned int mib = bench_smoke() ? BALLOON_SMOKE_MIB : BALLOON_MIB, n = bench_rounds();
	const char *file = bench_file(
		"vm.json",
		"{\"name\": \"bench\", \"profile\": \"micro\", \"memory\": \"640MiB\", "
		"\"boot\": {\"kernel\": \"%s\", \"cmdline\": \"dirty=%u self=%u serve=1\"}, "
		"\"devices\": [{\"type\": \"debug-port\"}, {\"type\": \"virtio-balloon\"}]}\n",
		bench_path("tests/guest/balloon"), mib, mib << 8);
	const char *const argv[] = { bench_path("bin/vmm"), "--config", file,
				     "--console",	    "debug0",	NULL };
	struct bench_row row = { .bench = "balloon",
				 .peer = BENCH_NONE,
				 .floor = BENCH_NONE,
				 .against = BENCH_ABSOLUTE };
	static struct bench_series seconds, kept;

	for (unsigned int i = 0; i < n; i++)
		balloon_round(argv, mib, &seconds, &kept);
	row.name = "512 MiB given back: 500 MiB less RSS";
	row.unit = "s";
	row.ours = bench_median(&seconds);
	row.target = 2;
	bench_row(&row);
	row.name = "512 MiB given back: still held";
	row.unit = "MiB";
	row.ours = bench_median(&kept);
	row.target = BALLOON_SLACK_MIB;
	bench_row(&row);
	return 0;
}
