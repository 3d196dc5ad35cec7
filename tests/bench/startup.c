// SPDX-License-Identifier: MIT
/*
 * From the monitor's spawn to the tiny guest's exit: vmm alone (profile micro with a disk, entropy and the
 * debug port; reading and checking its file is in the figure), the floor program, and QEMU's microvm with
 * the same devices. vmm is in the cage that vmd gives it: empty namespaces that are there already, a uid of its
 * own, Landlock, seccomp. Without the right to make them it makes what it may, and says so below the table.
 */
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <unistd.h>

#include "lib/emptyns.h"
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

/* Where vmd's monitors are: the others here get them too, but for the empty root. False: no right to. */
static bool startup_cage(char *root_fd, size_t size)
{
	struct emptyns ns;
	struct err e;

	if (geteuid() || emptyns_make(&ns, &e) < 0 || setns(ns.net, CLONE_NEWNET) ||
	    setns(ns.ipc, CLONE_NEWIPC) || setns(ns.uts, CLONE_NEWUTS) || fcntl(ns.mnt, F_SETFD, 0))
		return false;
	snprintf(root_fd, size, "%d", ns.mnt);
	return true;
}

static void startup_measure(unsigned int mib, const char *root_fd)
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
	if (root_fd) {
		c[1].argv[3] = "--root-fd";
		c[1].argv[4] = root_fd;
		c[1].argv[5] = "--uid";
		c[1].argv[6] = "1879048192";
	}
	if (n > 2)
		bench_qemu(&c[2], mib, guest, "", "");
	bench_interleave(c, n, bench_rounds());
	startup_rows(mib, c, n);
}

int main(void)
{
	char root_fd[16];
	bool caged = startup_cage(root_fd, sizeof(root_fd));

	startup_measure(128, caged ? root_fd : NULL);
	startup_measure(4096, caged ? root_fd : NULL);
	if (!caged)
		fputs("startup: not in vmd's cage: that takes root\n", stderr);
	return 0;
}
