// SPDX-License-Identifier: MIT
/*
 * From the monitor's spawn to the tiny guest's exit: vmm alone (profile micro with a disk, entropy and the
 * debug port; reading and checking its file is in the figure), the floor program, and QEMU's microvm with
 * the same devices.
 */
#include <stdio.h>

#include "lib/util.h"
#include "tests/bench/bench.h"

static void startup_rows(unsigned int mib, struct bench_command *c, size_t n)
{
	struct bench_row row = { .bench = "startup", .unit = "ms" };
	char name[64];

	row.name = name;
	row.floor = bench_median(&c[0].wall_ms);
	row.ours = bench_median(&c[1].wall_ms);
	row.peer = n > 2 ? bench_median(&c[2].wall_ms) : BENCH_NONE;
	snprintf(name, sizeof(name), "%u MiB, wall", mib);
	row.against = BENCH_PEER;
	row.target = 0.12;
	bench_row(&row);
	row.against = BENCH_FLOOR;
	row.target = 2;
	bench_row(&row);

	row.against = BENCH_INFO;
	snprintf(name, sizeof(name), "%u MiB, CPU", mib);
	row.floor = bench_median(&c[0].cpu_ms);
	row.ours = bench_median(&c[1].cpu_ms);
	row.peer = n > 2 ? bench_median(&c[2].cpu_ms) : BENCH_NONE;
	bench_row(&row);

	snprintf(name, sizeof(name), "%u MiB, largest RSS", mib);
	row.unit = "MiB";
	row.floor = (double)c[0].rss_kib / 1024;
	row.ours = (double)c[1].rss_kib / 1024;
	row.peer = n > 2 ? (double)c[2].rss_kib / 1024 : BENCH_NONE;
	bench_row(&row);
}

static void startup_measure(unsigned int mib)
{
	const char *guest = bench_path("tests/guest/exit");
	const char *disk = bench_disk("disk.raw", 16 * MIB);
	const char *file = bench_file("vm.json",
				      "{\"name\": \"bench\", \"profile\": \"micro\", "
				      "\"memory\": \"%uMiB\", \"boot\": {\"kernel\": \"%s\"}, "
				      "\"devices\": [{\"type\": \"debug-port\"}, "
				      "{\"type\": \"virtio-blk\", \"path\": \"%s\"}]}\n",
				      mib, guest, disk);
	size_t n = bench_has_qemu() ? 3 : 2;
	struct bench_command c[3] = { 0 };
	char size[16];

	snprintf(size, sizeof(size), "%u", mib);
	c[0].name = "floor";
	c[0].argv[0] = bench_path("tests/bench/kvm_floor");
	c[0].argv[1] = size;
	c[1].name = "vmm";
	c[1].argv[0] = bench_path("bin/vmm");
	c[1].argv[1] = "--config";
	c[1].argv[2] = file;
	if (n > 2)
		bench_qemu(&c[2], mib, guest, "", "");
	bench_interleave(c, n, bench_rounds());
	startup_rows(mib, c, n);
}

int main(void)
{
	startup_measure(128);
	startup_measure(4096);
	return 0;
}
