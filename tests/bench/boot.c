// SPDX-License-Identifier: MIT
/*
 * From the monitor's spawn until Debian's kernel has started its init, as the serial console tells: vmm
 * (profile micro), QEMU's microvm with ACPI and its q35, each with entropy and the same kernel (ELF, by its
 * PVH entry) and initrd. For the lab (tests/bench/lab), where an unmodified kernel runs.
 * Usage: boot KERNEL INITRD QEMU; QEMU is a program that takes its arguments, "" for none.
 */
#include <err.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/util.h"
#include "tests/bench/bench.h"

#define BOOT_WAIT_MS 120000
#define BOOT_MARK "init-is-here"
/* the shell is PID 1; the mark is not in what the kernel says of its command line */
#define BOOT_CMDLINE \
	"console=ttyS0 quiet panic=-1 rdinit=/bin/sh -- -c \"echo init-is''-here; sleep 99\""

/* Reads until the mark has come. */
static void boot_read(const char *name, int fd)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };
	char seen[65536];
	size_t len = 0;

	for (;;) {
		ssize_t n;

		if (poll(&p, 1, BOOT_WAIT_MS) != 1)
			errx(1, "%s: no init within %d s; last: %.300s", name, BOOT_WAIT_MS / 1000,
			     seen + (len > 300 ? len - 300 : 0));
		n = read(fd, seen + len, sizeof(seen) - 1 - len);
		if (n <= 0)
			errx(1, "%s ended before its guest's init: %.300s", name,
			     seen + (len > 300 ? len - 300 : 0));
		len += (size_t)n;
		seen[len] = '\0';
		if (strstr(seen, BOOT_MARK))
			return;
		if (len == sizeof(seen) - 1)
			errx(1, "%s: too much output without an init", name);
	}
}

static double boot_once(struct bench_command *c)
{
	double begin = bench_now_ms(), end;
	int out[2];
	pid_t pid;

	if (pipe2(out, O_CLOEXEC) < 0)
		err(1, "pipe");
	pid = bench_spawn(c->argv, out[1]);
	close(out[1]);
	boot_read(c->name, out[0]);
	end = bench_now_ms();
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	close(out[0]);
	return end - begin;
}

static void boot_qemu(struct bench_command *c, const char *name, const char *qemu,
		      const char *machine, const char *rng, const char *const *files)
{
	const char *argv[] = { qemu,
			       "-M",
			       machine,
			       "-accel",
			       "kvm",
			       "-cpu",
			       "host",
			       "-m",
			       "256",
			       "-nodefaults",
			       "-no-user-config",
			       "-no-reboot",
			       "-display",
			       "none",
			       "-serial",
			       "stdio",
			       "-device",
			       rng,
			       "-kernel",
			       files[0],
			       "-initrd",
			       files[1],
			       "-append",
			       BOOT_CMDLINE };

	c->name = name;
	memcpy(c->argv, argv, sizeof(argv));
}

static void boot_rows(struct bench_command *c, size_t n)
{
	struct bench_row row = { .bench = "lab", .unit = "ms", .floor = BENCH_NONE };
	double best = BENCH_NONE;

	for (size_t i = 1; i < n; i++) {
		double wall = bench_median(&c[i].wall_ms);

		if (best < 0 || wall < best)
			best = wall;
		row.name = c[i].name;
		row.ours = wall;
		row.peer = BENCH_NONE;
		bench_row(&row);
	}
	row.name = "Debian's kernel to its init";
	row.ours = bench_median(&c[0].wall_ms);
	row.peer = best;
	row.against = BENCH_PEER;
	row.target = 0.8;
	bench_row(&row);
}

int main(int argc, char **argv)
{
	struct bench_command c[3] = { { .name = "vmm" } };
	unsigned int rounds = bench_rounds();
	size_t n;

	if (argc != 4)
		errx(2, "usage: boot KERNEL INITRD QEMU");
	n = argv[3][0] ? 3 : 1;
	c[0].argv[0] = bench_path("bin/vmm");
	c[0].argv[1] = "--config";
	c[0].argv[2] = bench_file("vm.yaml",
				  "name: boot\nprofile: micro\nmemory: 256MiB\nboot:\n"
				  "  kernel: %s\n  initrd: %s\n  cmdline: '%s'\n",
				  argv[1], argv[2],
				  "console=ttyS0 quiet panic=-1 rdinit=/bin/sh -- -c \"echo "
				  "init-is''''-here; sleep 99\"");
	if (n > 1) {
		boot_qemu(&c[1], "QEMU microvm, ACPI", argv[3], "microvm,acpi=on",
			  "virtio-rng-device", (const char *const *)argv + 1);
		boot_qemu(&c[2], "QEMU q35", argv[3], "q35", "virtio-rng-pci",
			  (const char *const *)argv + 1);
	}
	for (unsigned int r = 0; r <= rounds; r++)
		for (size_t i = 0; i < n; i++) {
			double wall = boot_once(&c[i]);

			fprintf(stderr, "round %u: %s %.0f ms\n", r, c[i].name, wall);
			if (r || bench_smoke())
				bench_add(&c[i].wall_ms, wall);
		}
	boot_rows(c, n);
	return 0;
}
