// SPDX-License-Identifier: MIT
/*
 * 256 disks on one virtio-scsi controller: from the monitor's spawn until a tiny guest has found each at its LUN and read a
 * block of it. vmm alone, and QEMU's microvm with a PCIe bus, no firmware's search for boot disks, and the same guest,
 * controller, disks and LUNs; the guest gives the controller its addresses there, as no firmware does.
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "lib/util.h"
#include "tests/bench/bench.h"

#define SCSI_MEMORY 128
#define SCSI_DISKS 256

/* A disk of one block with its number in it */
static const char *scsi_disk(unsigned int i)
{
	uint8_t block[512] = { (uint8_t)i };
	char name[32];
	const char *path;
	int fd;

	snprintf(name, sizeof(name), "scsi%u.raw", i);
	path = bench_disk(name, sizeof(block));
	fd = open(path, O_WRONLY | O_CLOEXEC);
	if (fd < 0 || write(fd, block, sizeof(block)) != sizeof(block)) {
		perror(path);
		exit(1);
	}
	close(fd);
	return path;
}

/* The disks in both forms: entries of a VM file, and sections for QEMU's -readconfig */
static void scsi_files(unsigned int n, const char **ret_vm, const char **ret_qemu)
{
	size_t size = 512 * (size_t)n, j = 0, q = 0;
	char *json = malloc(size), *ini = malloc(size);

	if (!json || !ini)
		abort();
	for (unsigned int i = 0; i < n; i++) {
		const char *path = scsi_disk(i);

		j += (size_t)snprintf(json + j, size - j, "%s{\"path\": \"%s\"}", i ? ", " : "",
				      path);
		q += (size_t)snprintf(ini + q, size - q,
				      "[drive \"d%u\"]\n  if = \"none\"\n  file = \"%s\"\n"
				      "  format = \"raw\"\n[device \"s%u\"]\n"
				      "  driver = \"scsi-hd\"\n  drive = \"d%u\"\n"
				      "  bus = \"scsi0.0\"\n  scsi-id = \"0\"\n  lun = \"%u\"\n",
				      i, path, i, i, i);
	}
	*ret_vm = bench_file("vm.json",
			     "{\"name\": \"bench\", \"profile\": \"micro\", \"memory\": "
			     "\"%uMiB\", \"boot\": {\"kernel\": \"%s\", \"cmdline\": \"all=%u\"}, "
			     "\"devices\": [{\"type\": \"debug-port\"}, {\"type\": "
			     "\"virtio-scsi\", \"disks\": [%s]}]}\n",
			     SCSI_MEMORY, bench_path("tests/guest/scsi"), n, json);
	*ret_qemu = bench_file("qemu.ini",
			       "[device \"scsi0\"]\n  driver = \"virtio-scsi-pci\"\n"
			       "  disable-legacy = \"on\"\n%s",
			       ini);
	free(json);
	free(ini);
}

static void scsi_qemu(struct bench_command *c, unsigned int n, const char *config)
{
	static char append[32], memory[16];
	const char *argv[] = { "qemu-system-x86_64",
			       "-M",
			       "microvm,pcie=on,acpi=on,x-option-roms=off",
			       "-accel",
			       "kvm",
			       "-m",
			       memory,
			       "-nodefaults",
			       "-no-user-config",
			       "-display",
			       "none",
			       "-device",
			       "isa-debug-exit,iobase=0xf4,iosize=1",
			       "-kernel",
			       bench_path("tests/guest/scsi"),
			       "-append",
			       append,
			       "-readconfig",
			       config };

	snprintf(append, sizeof(append), "all=%u ecam=1", n);
	snprintf(memory, sizeof(memory), "%u", SCSI_MEMORY);
	c->name = "QEMU microvm";
	for (size_t i = 0; i < ARRAY_SIZE(argv); i++)
		c->argv[i] = argv[i];
}

static void scsi_rows(struct bench_command *c, size_t n, unsigned int disks)
{
	struct bench_row row = { .bench = "scsi",
				 .unit = "ms",
				 .floor = BENCH_NONE,
				 .against = BENCH_PEER,
				 .target = 0.8 };
	char name[64];

	row.name = name;
	row.ours = bench_median(&c[0].wall_ms);
	row.peer = n > 1 ? bench_median(&c[1].wall_ms) : BENCH_NONE;
	snprintf(name, sizeof(name), "%u disks read, wall", disks);
	bench_row(&row);
	row.against = BENCH_INFO;
	row.ours = bench_median(&c[0].cpu_ms);
	row.peer = n > 1 ? bench_median(&c[1].cpu_ms) : BENCH_NONE;
	snprintf(name, sizeof(name), "%u disks read, CPU", disks);
	bench_row(&row);
	row.unit = "MiB";
	row.ours = (double)c[0].rss_kib / 1024;
	row.peer = n > 1 ? (double)c[1].rss_kib / 1024 : BENCH_NONE;
	snprintf(name, sizeof(name), "%u disks read, largest RSS", disks);
	bench_row(&row);
}

int main(void)
{
	unsigned int disks = bench_smoke() ? 8 : SCSI_DISKS;
	struct bench_command c[2] = { 0 };
	size_t n = bench_has_qemu() ? 2 : 1;
	const char *vm, *qemu;

	scsi_files(disks, &vm, &qemu);
	c[0].name = "vmm";
	c[0].argv[0] = bench_path("bin/vmm");
	c[0].argv[1] = "--config";
	c[0].argv[2] = vm;
	scsi_qemu(&c[1], disks, qemu);
	bench_interleave(c, n, bench_rounds());
	scsi_rows(c, n, disks);
	return 0;
}
