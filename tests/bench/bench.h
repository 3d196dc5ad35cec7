/* SPDX-License-Identifier: MIT */
/*
 * What the programs of the figures share: commands run in turn (A B C A B C …), medians, and rows.
 *
 * A row is one JSON object on a line of standard output:
 *	{"bench", "name", "unit", "ours", "peer", "floor", "against", "ratio", "target", "met"}
 * peer, floor, ratio, target and met are null where there is none. tests/bench/run makes the table.
 * What fails ends the program with a message.
 */
#ifndef TESTS_BENCH_BENCH_H
#define TESTS_BENCH_BENCH_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#define BENCH_SAMPLES_MAX 2000
#define BENCH_ARGS_MAX 40
#define BENCH_NONE -1.0 /* a figure that is not there */

struct bench_series {
	double v[BENCH_SAMPLES_MAX];
	size_t n;
};

void bench_add(struct bench_series *s, double v);
double bench_median(struct bench_series *s); /* sorts; BENCH_NONE when it is empty */
double bench_sum(const struct bench_series *s);

/* What a figure is held against: "at most target" for all but BENCH_PEER_LEAST. */
enum bench_against {
	BENCH_INFO, /* nothing */
	BENCH_ABSOLUTE,
	BENCH_FLOOR,
	BENCH_PEER,
	BENCH_PEER_LEAST,
};

struct bench_row {
	const char *bench, *name, *unit;
	double ours, peer, floor; /* BENCH_NONE: none */
	enum bench_against against;
	double target;
};

void bench_row(const struct bench_row *row);

/* --- commands --- */

struct bench_command {
	const char *name;
	const char *argv[BENCH_ARGS_MAX]; /* ended by NULL */
	struct bench_series wall_ms, user_ms, cpu_ms;
	long rss_kib; /* the largest */
};

double bench_now_ms(void);
/* Medians of how many rounds: BENCH_ROUNDS, 21. */
unsigned int bench_rounds(void);
/* BENCH_SMOKE is set: the least work that shows that the program works. */
bool bench_smoke(void);
/* A program of the build below its folder: "bin/vmm", "tests/guest/exit". Never freed. */
const char *bench_path(const char *name);
/* Start with standard input from /dev/null, output to out_fd or, below 0, to /dev/null. */
pid_t bench_spawn(const char *const *argv, int out_fd);
/* Wait for its end. Statuses up to 33 are a guest's orderly ways to end (QEMU's debug exit is 2n + 1). */
void bench_wait(pid_t pid, const char *name);
/* One round is not counted. */
void bench_interleave(struct bench_command *commands, size_t n, unsigned int rounds);

/* --- monitors --- */

/* A temporary folder, removed at the program's end; the same one at each call. */
const char *bench_dir(void);
/* A file of the given size, without content. Its path, never freed. */
const char *bench_disk(const char *name, size_t size);
/* dir/name with formatted text. Its path, never freed. */
const char *bench_file(const char *name, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));
/* Is there a QEMU to compare with? Without one the peer's column is empty. */
bool bench_has_qemu(void);
/*
 * QEMU's microvm with a disk, entropy, the debug-exit port and a serial port on standard output; guest
 * memory is a memfd, as ours. More arguments may follow; returns how many there are.
 */
size_t bench_qemu(struct bench_command *c, unsigned int mib, const char *kernel,
		  const char *cmdline, const char *machine);

#endif
