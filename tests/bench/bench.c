// SPDX-License-Identifier: MIT
/* What the programs of the figures share: see bench.h. */
#include "tests/bench/bench.h"

#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <spawn.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "lib/json.h"
#include "tests/lib/tempdir.h"

extern char **environ;

/* --- numbers --- */

void bench_add(struct bench_series *s, double v)
{
	if (s->n == BENCH_SAMPLES_MAX)
		errx(1, "more than %d samples", BENCH_SAMPLES_MAX);
	s->v[s->n++] = v;
}

static int bench_compare(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

double bench_median(struct bench_series *s)
{
	if (!s->n)
		return BENCH_NONE;
	qsort(s->v, s->n, sizeof(s->v[0]), bench_compare);
	return s->n % 2 ? s->v[s->n / 2] : (s->v[s->n / 2 - 1] + s->v[s->n / 2]) / 2;
}

double bench_sum(const struct bench_series *s)
{
	double sum = 0;

	for (size_t i = 0; i < s->n; i++)
		sum += s->v[i];
	return sum;
}

/* --- rows --- */

static void bench_add_number(struct json_object *o, const char *key, double v, bool there)
{
	char text[32];

	snprintf(text, sizeof(text), "%.4g", v);
	json_add(o, key, there ? json_object_new_double_s(v, text) : NULL);
}

void bench_row(const struct bench_row *r)
{
	static const char *const against[] = {
		[BENCH_INFO] = NULL,
		[BENCH_ABSOLUTE] = "absolute",
		[BENCH_FLOOR] = "floor",
		[BENCH_PEER] = "peer",
		[BENCH_PEER_LEAST] = "peer, at least",
	};
	bool has_peer = r->peer >= 0, has_floor = r->floor >= 0, judged = r->against != BENCH_INFO;
	double ratio = BENCH_NONE, figure = r->ours;
	struct json_object *o = json_new();

	if (r->against == BENCH_FLOOR)
		ratio = has_floor ? r->ours / r->floor : BENCH_NONE;
	else if (r->against == BENCH_PEER || r->against == BENCH_PEER_LEAST)
		ratio = has_peer ? r->ours / r->peer : BENCH_NONE;
	if (r->against >= BENCH_FLOOR) {
		figure = ratio;
		judged = ratio >= 0;
	}
	json_add_str(json_add_str(o, "bench", r->bench), "name", r->name);
	json_add_str(o, "unit", r->unit);
	bench_add_number(o, "ours", r->ours, true);
	bench_add_number(o, "peer", r->peer, has_peer);
	bench_add_number(o, "floor", r->floor, has_floor);
	json_add_str(o, "against", against[r->against]);
	bench_add_number(o, "ratio", ratio, ratio >= 0);
	bench_add_number(o, "target", r->target, r->against != BENCH_INFO);
	if (judged)
		json_add_bool(o, "met",
			      r->against == BENCH_PEER_LEAST ? figure >= r->target
							     : figure <= r->target);
	else
		json_add(o, "met", NULL);
	printf("%s\n", json_object_to_json_string_ext(o, JSON_C_TO_STRING_PLAIN |
								 JSON_C_TO_STRING_NOSLASHESCAPE));
	fflush(stdout);
	json_object_put(o);
}

/* --- commands --- */

double bench_now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec * 1e3 + (double)t.tv_nsec / 1e6;
}

unsigned int bench_rounds(void)
{
	const char *text = getenv("BENCH_ROUNDS");
	int n = text ? atoi(text) : 21;

	if (n < 1 || n > 200)
		errx(2, "BENCH_ROUNDS is from 1 to 200");
	return (unsigned int)n;
}

bool bench_smoke(void)
{
	return getenv("BENCH_SMOKE") != NULL;
}

const char *bench_path(const char *name)
{
	char self[4096], *path = NULL;
	ssize_t n = readlink("/proc/self/exe", self, sizeof(self) - 1);

	if (n < 0)
		err(1, "/proc/self/exe");
	self[n] = '\0';
	/* BUILD/tests/bench/x */
	for (int i = 0; i < 3; i++)
		*strrchr(self, '/') = '\0';
	if (asprintf(&path, "%s/%s", self, name) < 0)
		err(1, "%s", name);
	return path;
}

pid_t bench_spawn(const char *const *argv, int out_fd)
{
	posix_spawn_file_actions_t actions;
	pid_t pid;
	int ret;

	posix_spawn_file_actions_init(&actions);
	posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0);
	if (out_fd < 0)
		posix_spawn_file_actions_addopen(&actions, 1, "/dev/null", O_WRONLY, 0);
	else
		posix_spawn_file_actions_adddup2(&actions, out_fd, 1);
	if (!getenv("BENCH_VERBOSE"))
		posix_spawn_file_actions_addopen(&actions, 2, "/dev/null", O_WRONLY, 0);
	ret = posix_spawnp(&pid, argv[0], &actions, NULL, (char **)argv, environ);
	posix_spawn_file_actions_destroy(&actions);
	if (ret)
		errx(1, "%s: %s", argv[0], strerror(ret));
	return pid;
}

/* A guest's orderly ways to end go up to 33 (bench.h); vmctl has one. */
static void bench_check_status(int status, const char *name)
{
	int max = !strncmp(name, "vmctl", 5) ? 0 : 33;

	if (!WIFEXITED(status) || WEXITSTATUS(status) > max)
		errx(1, "%s ended with status 0x%x (BENCH_VERBOSE=1 shows what it says)", name,
		     status);
}

void bench_wait(pid_t pid, const char *name)
{
	int status;

	if (waitpid(pid, &status, 0) != pid)
		err(1, "%s", name);
	bench_check_status(status, name);
}

static double bench_ms(const struct timeval *t)
{
	return (double)t->tv_sec * 1e3 + (double)t->tv_usec / 1e3;
}

static void bench_round(struct bench_command *c, bool counts)
{
	double start = bench_now_ms(), end;
	pid_t pid = bench_spawn(c->argv, -1);
	struct rusage usage;
	int status;

	if (wait4(pid, &status, 0, &usage) != pid)
		err(1, "%s", c->name);
	end = bench_now_ms();
	bench_check_status(status, c->name);
	if (!counts)
		return;
	bench_add(&c->wall_ms, end - start);
	bench_add(&c->user_ms, bench_ms(&usage.ru_utime));
	bench_add(&c->cpu_ms, bench_ms(&usage.ru_utime) + bench_ms(&usage.ru_stime));
	if (usage.ru_maxrss > c->rss_kib)
		c->rss_kib = usage.ru_maxrss;
}

void bench_interleave(struct bench_command *commands, size_t n, unsigned int rounds)
{
	for (unsigned int r = 0; r <= rounds; r++)
		for (size_t i = 0; i < n; i++)
			bench_round(&commands[i], r > 0);
}

/* --- monitors --- */

static void bench_remove_dir(void)
{
	tempdir_remove((char *)bench_dir());
}

const char *bench_dir(void)
{
	static char *dir; /* a program's whole life */

	if (!dir) {
		dir = tempdir_new();
		atexit(bench_remove_dir);
	}
	return dir;
}

const char *bench_disk(const char *name, size_t size)
{
	char *path = NULL;
	int fd;

	if (asprintf(&path, "%s/%s", bench_dir(), name) < 0)
		err(1, "%s", name);
	fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	if (fd < 0 || ftruncate(fd, (off_t)size) < 0)
		err(1, "%s", path);
	close(fd);
	return path;
}

const char *bench_file(const char *name, const char *fmt, ...)
{
	char *path = NULL;
	va_list ap;
	FILE *f;

	if (asprintf(&path, "%s/%s", bench_dir(), name) < 0)
		err(1, "%s", name);
	f = fopen(path, "we");
	if (!f)
		err(1, "%s", path);
	va_start(ap, fmt);
	vfprintf(f, fmt, ap);
	va_end(ap);
	if (fclose(f))
		err(1, "%s", path);
	return path;
}

bool bench_has_qemu(void)
{
	return !system("command -v qemu-system-x86_64 >/dev/null");
}

static char *bench_format(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

static char *bench_format(const char *fmt, ...)
{
	char *text = NULL;
	va_list ap;

	va_start(ap, fmt);
	if (vasprintf(&text, fmt, ap) < 0)
		err(1, "memory");
	va_end(ap);
	return text;
}

size_t bench_qemu(struct bench_command *c, unsigned int mib, const char *kernel,
		  const char *cmdline, const char *machine)
{
	const char *disk = bench_disk("qemu.raw", 16u << 20);
	const char *argv[] = {
		"qemu-system-x86_64",
		"-M",
		bench_format("microvm,acpi=off,memory-backend=ram%s", machine),
		"-accel",
		"kvm",
		"-m",
		bench_format("%u", mib),
		"-object",
		bench_format("memory-backend-memfd,id=ram,size=%uM", mib),
		"-nodefaults",
		"-no-user-config",
		"-display",
		"none",
		"-serial",
		"stdio",
		"-device",
		"isa-debug-exit,iobase=0xf4,iosize=1",
		"-kernel",
		kernel,
		"-append",
		cmdline,
		"-drive",
		bench_format("if=none,id=d0,format=raw,file.locking=off,file=%s", disk),
		"-device",
		"virtio-blk-device,drive=d0",
		"-device",
		"virtio-rng-device",
	};

	c->name = "QEMU microvm";
	memcpy(c->argv, argv, sizeof(argv));
	return sizeof(argv) / sizeof(argv[0]);
}
