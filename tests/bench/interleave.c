// SPDX-License-Identifier: MIT
/*
 * Runs several commands in turn, A B C A B C …, and prints each one's median wall time, user and system
 * CPU time and largest resident memory, and the ratios to the first. One round is not counted.
 *
 * Usage: interleave ROUNDS NAME COMMAND... -- NAME COMMAND... [-- …]. A command that fails ends it.
 */
#include <errno.h>
#include <fcntl.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "lib/util.h"

#define INTERLEAVE_COMMANDS_MAX 8
#define INTERLEAVE_ROUNDS_MAX 1000

extern char **environ;

struct interleave_command {
	const char *name;
	char **argv;
	double wall[INTERLEAVE_ROUNDS_MAX], cpu[INTERLEAVE_ROUNDS_MAX];
	long rss_kib;
};

static double interleave_now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec * 1e3 + (double)t.tv_nsec / 1e6;
}

static double interleave_ms(const struct timeval *t)
{
	return (double)t->tv_sec * 1e3 + (double)t->tv_usec / 1e3;
}

/* Exit statuses from 0 to 33 are a guest's orderly ways to end (QEMU's debug exit is 2n + 1). */
static int interleave_run(struct interleave_command *c, int round)
{
	posix_spawn_file_actions_t actions;
	double start = interleave_now();
	struct rusage usage;
	int status, ret;
	pid_t pid;

	posix_spawn_file_actions_init(&actions);
	posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0);
	posix_spawn_file_actions_addopen(&actions, 1, "/dev/null", O_WRONLY, 0);
	posix_spawn_file_actions_addopen(&actions, 2, "/dev/null", O_WRONLY, 0);
	ret = posix_spawnp(&pid, c->argv[0], &actions, NULL, c->argv, environ);
	posix_spawn_file_actions_destroy(&actions);
	if (ret) {
		fprintf(stderr, "interleave: %s: %s\n", c->argv[0], strerror(ret));
		return -ret;
	}
	if (wait4(pid, &status, 0, &usage) != pid)
		return -errno;
	if (!WIFEXITED(status) || WEXITSTATUS(status) > 33) {
		fprintf(stderr, "interleave: %s ended with status 0x%x\n", c->name, status);
		return -EIO;
	}
	if (round < 0)
		return 0;
	c->wall[round] = interleave_now() - start;
	c->cpu[round] = interleave_ms(&usage.ru_utime) + interleave_ms(&usage.ru_stime);
	c->rss_kib = MAX(c->rss_kib, usage.ru_maxrss);
	return 0;
}

static int interleave_compare(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

static double interleave_median(double *values, int n)
{
	qsort(values, (size_t)n, sizeof(values[0]), interleave_compare);
	return n % 2 ? values[n / 2] : (values[n / 2 - 1] + values[n / 2]) / 2;
}

static int interleave_parse(int argc, char **argv, struct interleave_command *commands)
{
	int n = 0;

	for (int i = 2; i < argc && n < INTERLEAVE_COMMANDS_MAX; n++) {
		commands[n].name = argv[i];
		commands[n].argv = argv + i + 1;
		while (i < argc && strcmp(argv[i], "--"))
			i++;
		argv[i++] = NULL;
	}
	return n;
}

int main(int argc, char **argv)
{
	struct interleave_command *commands = calloc(INTERLEAVE_COMMANDS_MAX, sizeof(*commands));
	int rounds = argc > 3 ? atoi(argv[1]) : 0;
	double first = 0;
	int n;

	if (rounds < 1 || rounds > INTERLEAVE_ROUNDS_MAX || !commands) {
		fprintf(stderr, "usage: interleave ROUNDS NAME COMMAND... [-- NAME COMMAND...]\n");
		return 2;
	}
	n = interleave_parse(argc, argv, commands);
	for (int r = -1; r < rounds; r++)
		for (int i = 0; i < n; i++)
			if (interleave_run(&commands[i], r) < 0)
				return 1;
	printf("%-24s %10s %8s %10s %12s\n", "", "wall ms", "ratio", "cpu ms", "max RSS MiB");
	for (int i = 0; i < n; i++) {
		double wall = interleave_median(commands[i].wall, rounds);

		if (!i)
			first = wall;
		printf("%-24s %10.2f %8.2f %10.2f %12.1f\n", commands[i].name, wall, wall / first,
		       interleave_median(commands[i].cpu, rounds),
		       (double)commands[i].rss_kib / 1024);
	}
	free(commands);
	return 0;
}
