// SPDX-License-Identifier: MIT
/*
 * Requests of 4 KiB at random places of a disk, from a tiny guest that drives the queue itself (tests/guest/blkload.c):
 * operations a second, and CPU time of an operation, of the whole monitor and of its threads without the vCPU's (where KVM
 * emulates instructions, the guest itself is most of it), between the guest's marks. QEMU has an iothread,
 * io_uring and cache=none, ours has `cache: direct`; both have the same file, full of data. With four queues QEMU has its
 * iothread for all of them, ours that or a thread each. The file is in BENCH_BLK_DIR,
 * /dev/shm where that is not said: there the medium costs next to nothing.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "lib/auto.h"
#include "lib/util.h"
#include "tests/bench/bench.h"

#define BLK_MIB 64u
#define BLK_SMOKE_OPS 128u
#define BLK_POLL_US 200u
#define BLK_MARK_MS 120000

struct blk_load {
	const char *name;
	unsigned int kib, write, depth, ops; /* depth: of each queue */
	unsigned int queues;		     /* 0: one */
	const char *worker;		     /* of ours */
	unsigned int poll_us; /* both poll so long at most; 0: as they do by default */
};

struct blk_monitor {
	struct bench_series ops_s, cpu_us, io_us;
};

struct blk_cpu {
	double all_ms, io_ms; /* io_ms: without the threads of vCPUs */
};

static _Noreturn void blk_fail(const char *what)
{
	fprintf(stderr, "blk: %s: %s\n", what, strerror(errno));
	exit(1);
}

/* The same for both, so that neither reads holes. */
static const char *blk_disk(void)
{
	const char *dir = getenv("BENCH_BLK_DIR");
	static char path[256];
	static const char bytes[64 * KIB] = "not a hole";
	int fd;

	if (path[0])
		return path;
	snprintf(path, sizeof(path), "%.200s/vmd-bench-%d.raw", dir ? dir : "/dev/shm",
		 (int)getpid());
	fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	if (fd < 0)
		blk_fail(path);
	for (size_t i = 0; i < BLK_MIB * MIB / sizeof(bytes); i++)
		if (write(fd, bytes, sizeof(bytes)) != sizeof(bytes))
			blk_fail(path);
	fsync(fd);
	close(fd);
	return path;
}

/* One thread's, from the kernel's scheduler (Documentation/scheduler/sched-stats.rst); 0 for a vCPU. */
static double blk_thread_ms(pid_t pid, const char *tid)
{
	unsigned long long ns = 0;
	char path[64], name[32] = "";
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/task/%.16s/comm", (int)pid, tid);
	f = fopen(path, "re");
	if (!f || !fgets(name, sizeof(name), f))
		name[0] = '\0';
	if (f)
		fclose(f);
	snprintf(path, sizeof(path), "/proc/%d/task/%.16s/schedstat", (int)pid, tid);
	f = fopen(path, "re");
	if (!f || fscanf(f, "%llu", &ns) != 1)
		ns = 0;
	if (f)
		fclose(f);
	/* ours, and QEMU's with debug-threads=on */
	return strncmp(name, "vcpu ", 5) && !strstr(name, "/KVM") ? (double)ns / 1e6 : 0;
}

static struct blk_cpu blk_cpu(pid_t pid)
{
	struct blk_cpu cpu = { 0 };
	struct dirent *entry;
	struct timespec t;
	clockid_t clock;
	char path[64];
	DIR *dir;

	snprintf(path, sizeof(path), "/proc/%d/task", (int)pid);
	dir = opendir(path);
	if (!dir || clock_getcpuclockid(pid, &clock) || clock_gettime(clock, &t))
		blk_fail("the monitor's CPU time");
	cpu.all_ms = (double)t.tv_sec * 1e3 + (double)t.tv_nsec / 1e6;
	while ((entry = readdir(dir)))
		if (entry->d_name[0] != '.')
			cpu.io_ms += blk_thread_ms(pid, entry->d_name);
	closedir(dir);
	return cpu;
}

static void blk_mark(int fd, char mark)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };
	char c = 0;

	do {
		if (poll(&p, 1, BLK_MARK_MS) <= 0 || read(fd, &c, 1) != 1)
			blk_fail("the guest does not come to its mark");
		if (c == 'F') {
			fprintf(stderr, "blk: a request failed\n");
			exit(1);
		}
	} while (c != mark);
}

static void blk_measure(unsigned int ops, const char *const *argv, struct blk_monitor *m)
{
	struct blk_cpu before, after;
	double wall;
	int out[2];
	pid_t pid;

	if (pipe2(out, O_CLOEXEC) < 0)
		blk_fail("pipe");
	pid = bench_spawn(argv, out[1]);
	close(out[1]);
	blk_mark(out[0], 'B');
	wall = bench_now_ms();
	before = blk_cpu(pid);
	blk_mark(out[0], 'E');
	wall = bench_now_ms() - wall;
	after = blk_cpu(pid);
	blk_mark(out[0], 'D');
	kill(pid, SIGKILL);
	if (waitpid(pid, NULL, 0) != pid)
		blk_fail("waitpid");
	close(out[0]);
	bench_add(&m->ops_s, ops * 1e3 / wall);
	bench_add(&m->cpu_us, (after.all_ms - before.all_ms) * 1e3 / ops);
	bench_add(&m->io_us, (after.io_ms - before.io_ms) * 1e3 / ops);
}

static void blk_vmm(const struct blk_load *load, const char *cmdline, const char **argv)
{
	char poll[32] = "";

	if (load->poll_us)
		snprintf(poll, sizeof(poll), ", \"poll_us\": %u", load->poll_us);
	argv[0] = bench_path("bin/vmm");
	argv[1] = "--console";
	argv[2] = "debug0";
	argv[3] = "--config";
	argv[4] =
		bench_file("blk.json",
			   "{\"name\": \"bench\", \"profile\": \"micro\", \"memory\": \"128MiB\", "
			   "\"boot\": {\"kernel\": \"%s\", \"cmdline\": \"%s\"}, "
			   "\"devices\": [{\"type\": \"debug-port\"}, {\"type\": \"virtio-blk\", "
			   "\"path\": \"%s\", \"cache\": \"direct\", \"queues\": %u, "
			   "\"worker\": \"%s\"%s}]}\n",
			   bench_path("tests/guest/blkload"), cmdline, blk_disk(),
			   MAX(load->queues, 1u), load->worker ? load->worker : "own", poll);
	argv[5] = NULL;
}

static void blk_qemu(const struct blk_load *load, const char *cmdline, const char **argv)
{
	static char drive[512], device[128], iothread[64];
	const char *all[] = { "qemu-system-x86_64",
			      "-M",
			      "q35",
			      "-accel",
			      "kvm",
			      "-name",
			      "bench,debug-threads=on",
			      "-m",
			      "128",
			      "-nodefaults",
			      "-no-user-config",
			      "-display",
			      "none",
			      "-debugcon",
			      "stdio",
			      "-device",
			      "isa-debug-exit,iobase=0xf4,iosize=1",
			      "-object",
			      iothread,
			      "-drive",
			      drive,
			      "-device",
			      device,
			      "-kernel",
			      bench_path("tests/guest/blkload"),
			      "-append",
			      cmdline,
			      NULL };
	snprintf(device, sizeof(device),
		 "virtio-blk-pci,drive=d0,iothread=io0,disable-legacy=on,num-queues=%u",
		 MAX(load->queues, 1u));
	snprintf(iothread, sizeof(iothread), "iothread,id=io0");
	if (load->poll_us)
		snprintf(iothread, sizeof(iothread), "iothread,id=io0,poll-max-ns=%u",
			 load->poll_us * 1000);
	snprintf(drive, sizeof(drive), "if=none,id=d0,format=raw,cache=none,aio=io_uring,file=%s",
		 blk_disk());
	memcpy(argv, all, sizeof(all));
}

static void blk_rows(const struct blk_load *load, struct blk_monitor m[2])
{
	struct bench_row row = { .bench = "blk", .floor = BENCH_NONE };
	char name[64];

	row.name = name;
	if (load->queues)
		snprintf(name, sizeof(name), "%s, %u x %u, %s", load->name, load->queues,
			 load->depth, load->worker);
	else
		snprintf(name, sizeof(name), "%s, depth %u%s", load->name, load->depth,
			 load->poll_us ? ", polling" : "");
	row.unit = "op/s";
	row.ours = bench_median(&m[0].ops_s);
	row.peer = bench_median(&m[1].ops_s);
	row.against = load->queues ? BENCH_INFO : BENCH_PEER_LEAST;
	row.target = 1.3;
	bench_row(&row);
	row.unit = "us CPU";
	row.ours = bench_median(&m[0].cpu_us);
	row.peer = bench_median(&m[1].cpu_us);
	row.against = load->queues ? BENCH_INFO : BENCH_PEER;
	row.target = 0.8;
	bench_row(&row);
	row.unit = "us I/O";
	row.ours = bench_median(&m[0].io_us);
	row.peer = bench_median(&m[1].io_us);
	row.against = BENCH_INFO;
	bench_row(&row);
}

static void blk_load(const struct blk_load *load, bool with_peer)
{
	unsigned int ops = bench_smoke() ? BLK_SMOKE_OPS : load->ops;
	struct blk_monitor *m = calloc(2, sizeof(*m));
	const char *ours[BENCH_ARGS_MAX], *peer[BENCH_ARGS_MAX];
	char cmdline[96];

	if (!m)
		blk_fail("memory");
	snprintf(cmdline, sizeof(cmdline), "ops=%u depth=%u write=%u queues=%u kib=%u stay=1", ops,
		 load->depth, load->write, MAX(load->queues, 1u), load->kib);
	blk_vmm(load, cmdline, ours);
	blk_qemu(load, cmdline, peer);
	for (unsigned int r = 0; r < bench_rounds(); r++) {
		blk_measure(ops, ours, &m[0]);
		if (with_peer)
			blk_measure(ops, peer, &m[1]);
	}
	blk_rows(load, m);
	free(m);
}

int main(void)
{
	static const struct blk_load loads[] = {
		{ "4 KiB reads", 4, 0, 1, 6000, 0, NULL, 0 },
		{ "4 KiB writes", 4, 1, 1, 6000, 0, NULL, 0 },
		{ "4 KiB reads", 4, 0, 32, 64000, 0, NULL, 0 },
		{ "4 KiB writes", 4, 1, 32, 64000, 0, NULL, 0 },
		{ "4 KiB reads", 4, 0, 1, 6000, 0, NULL, BLK_POLL_US },
		{ "4 KiB writes", 4, 1, 1, 6000, 0, NULL, BLK_POLL_US },
		{ "4 KiB reads", 4, 0, 32, 64000, 0, NULL, BLK_POLL_US },
		{ "4 KiB writes", 4, 1, 32, 64000, 0, NULL, BLK_POLL_US },
		{ "4 KiB reads", 4, 0, 8, 12000, 4, "own", 0 },
		{ "4 KiB reads", 4, 0, 8, 12000, 4, "per-queue", 0 },
		{ "4 KiB writes", 4, 1, 8, 12000, 4, "own", 0 },
		{ "4 KiB writes", 4, 1, 8, 12000, 4, "per-queue", 0 },
		{ "64 KiB reads", 64, 0, 2, 6000, 4, "own", 0 },
		{ "64 KiB reads", 64, 0, 2, 6000, 4, "per-queue", 0 },
	};

	/* the peer's firmware takes seconds, and one load shows that it works */
	for (size_t i = 0; i < ARRAY_SIZE(loads); i++)
		blk_load(&loads[i], bench_has_qemu() && (!bench_smoke() || !i));
	unlink(blk_disk());
	return 0;
}
