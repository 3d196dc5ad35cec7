// SPDX-License-Identifier: MIT
/*
 * User CPU of an exit that the monitor serves: a byte to the UART, and a write to the IOAPIC's index
 * register (QEMU with a split irqchip, as ours, so that its IOAPIC is in user space too). User time alone:
 * the kernel's part is the same whoever serves the exit. It comes in ticks of 4 ms, so that many exits are
 * taken together: the sums of all rounds, less those of a guest without exits.
 */
#include <stdio.h>

#include "lib/util.h"
#include "tests/bench/bench.h"

#define EXITS_N 100000u
#define EXITS_SMOKE 200u

enum exits_monitor { EXITS_FLOOR, EXITS_VMM, EXITS_QEMU, EXITS_MONITORS };

static const char *exits_file(const char *kind, unsigned int n)
{
	char name[32];

	snprintf(name, sizeof(name), "%s-%u.json", kind, n);
	return bench_file(name,
			  "{\"name\": \"bench\", \"profile\": \"micro\", \"memory\": \"128MiB\", "
			  "\"boot\": {\"kernel\": \"%s\", \"cmdline\": \"%s=%u\"}, "
			  "\"devices\": [{\"type\": \"debug-port\"}, "
			  "{\"type\": \"virtio-blk\", \"path\": \"%s\"}]}\n",
			  bench_path("tests/guest/exits"), kind, n,
			  bench_disk("disk.raw", 16 * MIB));
}

/* Three commands with n exits of a kind. count and text are the caller's, they live as long as the commands. */
static void exits_commands(struct bench_command *c, const char *kind, unsigned int n, char *count,
			   size_t count_size, char *text, size_t text_size, bool qemu)
{
	snprintf(count, count_size, "%u", n);
	snprintf(text, text_size, "%s=%u", kind, n);
	c[EXITS_FLOOR].name = "floor";
	c[EXITS_FLOOR].argv[0] = bench_path("tests/bench/kvm_floor");
	c[EXITS_FLOOR].argv[1] = "128";
	c[EXITS_FLOOR].argv[2] = kind;
	c[EXITS_FLOOR].argv[3] = count;
	c[EXITS_VMM].name = "vmm";
	c[EXITS_VMM].argv[0] = bench_path("bin/vmm");
	c[EXITS_VMM].argv[1] = "--config";
	c[EXITS_VMM].argv[2] = exits_file(kind, n);
	if (qemu)
		bench_qemu(&c[EXITS_QEMU], 128, bench_path("tests/guest/exits"), text,
			   ",kernel-irqchip=split");
}

static double exits_us(const struct bench_command *many, const struct bench_command *none,
		       unsigned int n)
{
	return (bench_sum(&many->user_ms) - bench_sum(&none->user_ms)) * 1e3 /
	       ((double)many->user_ms.n * n);
}

static void exits_measure(const char *kind, const char *what)
{
	unsigned int n = bench_smoke() ? EXITS_SMOKE : EXITS_N, rounds = bench_rounds();
	bool qemu = bench_has_qemu();
	struct bench_command c[2 * EXITS_MONITORS] = { 0 };
	struct bench_row row = { .bench = "exits", .name = what, .unit = "us user" };
	char count[2][16], text[2][32];

	exits_commands(c, kind, n, count[0], sizeof(count[0]), text[0], sizeof(text[0]), qemu);
	exits_commands(c + EXITS_MONITORS, kind, 0, count[1], sizeof(count[1]), text[1],
		       sizeof(text[1]), qemu);
	for (unsigned int r = 0; r < rounds; r++)
		for (unsigned int i = 0; i < 2 * EXITS_MONITORS; i++)
			if (c[i].name)
				bench_interleave(&c[i], 1, 1);
	row.floor = MAX(exits_us(&c[EXITS_FLOOR], &c[EXITS_MONITORS + EXITS_FLOOR], n), 1e-3);
	row.ours = MAX(exits_us(&c[EXITS_VMM], &c[EXITS_MONITORS + EXITS_VMM], n), 1e-3);
	row.peer = qemu ? MAX(exits_us(&c[EXITS_QEMU], &c[EXITS_MONITORS + EXITS_QEMU], n), 1e-3)
			: BENCH_NONE;
	row.against = BENCH_PEER;
	row.target = 0.6;
	bench_row(&row);
	row.against = BENCH_FLOOR;
	row.target = 1.5;
	bench_row(&row);
}

int main(void)
{
	exits_measure("uart", "UART byte");
	exits_measure("mmio", "MMIO write");
	return 0;
}
