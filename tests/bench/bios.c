// SPDX-License-Identifier: MIT
/*
 * From the monitor's spawn to the boot sector of a disk, by SeaBIOS: vmm alone (profile legacy-pc, a virtio disk, a serial
 * port) and QEMU's `-M pc` with the same devices and the same file of firmware. The sector ends the guest.
 */
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include "lib/util.h"
#include "tests/bench/bench.h"
#include "tests/lib/bootsector.h"

#define BIOS_FIRMWARE "/usr/share/seabios/bios-256k.bin"
#define BIOS_ROUNDS 7 /* a boot takes seconds where KVM interprets the guest */
#define BIOS_EXIT 0xf4

static const char *bios_disk(void)
{
	const char *path = bench_disk("disk.raw", MIB);
	uint8_t sector[BOOTSECTOR_SIZE];
	int fd = open(path, O_WRONLY | O_CLOEXEC);

	bootsector_make(sector, "", BIOS_EXIT, 0);
	if (fd < 0 || pwrite(fd, sector, sizeof(sector), 0) != sizeof(sector)) {
		perror("bios: the disk");
		_exit(1);
	}
	close(fd);
	return path;
}

/* drive: room for an option, for as long as the command */
static void bios_qemu(struct bench_command *c, const char *disk, char *drive, size_t size)
{
	const char *const argv[] = {
		"qemu-system-x86_64",
		"-M",
		"pc",
		"-accel",
		"kvm",
		"-m",
		"128",
		"-nodefaults",
		"-no-user-config",
		"-display",
		"none",
		"-bios",
		BIOS_FIRMWARE,
		"-serial",
		"stdio",
		"-device",
		"isa-debug-exit,iobase=0xf4,iosize=4",
		"-drive",
		drive,
		"-device",
		"virtio-blk-pci,drive=d,disable-legacy=on,romfile=",
	};

	snprintf(drive, size, "if=none,id=d,format=raw,file.locking=off,file=%s", disk);
	c->name = "QEMU";
	for (size_t i = 0; i < ARRAY_SIZE(argv); i++)
		c->argv[i] = argv[i];
}

int main(void)
{
	const char *disk = bios_disk();
	struct bench_row row = { .bench = "bios", .unit = "ms", .floor = BENCH_NONE };
	struct bench_command c[2] = { 0 };
	size_t n = bench_has_qemu() ? 2 : 1;
	char drive[512];

	if (access(BIOS_FIRMWARE, R_OK)) {
		fputs("bios: " BIOS_FIRMWARE " is not there: install the package seabios\n",
		      stderr);
		return 1;
	}
	c[0].name = "vmm";
	c[0].argv[0] = bench_path("bin/vmm");
	c[0].argv[1] = "--config";
	c[0].argv[2] = bench_file("vm.json",
				  "{\"name\": \"bench\", \"profile\": \"legacy-pc\", "
				  "\"memory\": \"128MiB\", \"boot\": {\"firmware\": \"%s\"}, "
				  "\"devices\": [{\"type\": \"debug-port\"}, "
				  "{\"type\": \"debug-console\", \"enabled\": false}, "
				  "{\"type\": \"virtio-blk\", \"path\": \"%s\"}]}\n",
				  BIOS_FIRMWARE, disk);
	if (n > 1)
		bios_qemu(&c[1], disk, drive, sizeof(drive));
	bench_interleave(c, n, MIN(bench_rounds(), (unsigned int)BIOS_ROUNDS));
	row.name = "SeaBIOS to a boot sector, wall";
	row.ours = bench_median(&c[0].wall_ms);
	row.peer = n > 1 ? bench_median(&c[1].wall_ms) : BENCH_NONE;
	row.against = BENCH_PEER;
	row.target = 0.7;
	bench_row(&row);
	row.name = "SeaBIOS to a boot sector, CPU";
	row.ours = bench_median(&c[0].cpu_ms);
	row.peer = n > 1 ? bench_median(&c[1].cpu_ms) : BENCH_NONE;
	row.against = BENCH_INFO;
	bench_row(&row);
	return 0;
}
