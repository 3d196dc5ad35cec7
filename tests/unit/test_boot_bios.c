// SPDX-License-Identifier: MIT
/*
 * A kernel that a BIOS starts: what is in memory before, and what its option ROM and fw_cfg have (boot.rst of Linux, "The
 * Real-Mode Kernel Header"; BIOS Boot Specification 1.01).
 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <endian.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "lib/errcat.h"
#include "tests/unit/fake_board.h"
#include "vmm/dev/dev.h"
#include "vmm/dev/fw_cfg.h"
#include "vmm/x86/boot_bios.h"

#define MEM_SIZE (32 * MIB)
#define TOP (MEM_SIZE - 8 * MIB) /* above is the firmware's */
#define SETUP_SECTS 3
#define SETUP_SIZE (4 * 512)
#define BODY_SIZE 5000
#define SELECTOR 0x510
#define DATA 0x511

struct fixture {
	struct fake_board fb;
	struct device *fw_cfg;
	uint8_t file[SETUP_SIZE + BODY_SIZE];
	struct boot_config c;
	struct err e;
};

static void put(struct fixture *f, unsigned int off, unsigned int size, uint64_t val)
{
	val = htole64(val);
	memcpy(f->file + off, &val, size);
}

static uint64_t get(const uint8_t *p, unsigned int size)
{
	uint64_t val = 0;

	memcpy(&val, p, size);
	return le64toh(val);
}

static int memory_file(const void *data, size_t size)
{
	int fd = memfd_create("file", MFD_CLOEXEC);

	assert_int_equal(write(fd, data, size), size);
	return fd;
}

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	fake_board_init(&f->fb, MEM_SIZE);
	f->fw_cfg = fake_board_add(&f->fb, &fw_cfg_class, "fw-cfg", NULL);
	for (size_t i = 0; i < sizeof(f->file); i++)
		f->file[i] = (uint8_t)(i * 7);
	put(f, 0x1f1, 1, SETUP_SECTS);
	put(f, 0x1fe, 2, 0xaa55);
	put(f, 0x200, 2, 0x66eb); /* to 0x268 */
	put(f, 0x202, 4, 0x53726448);
	put(f, 0x206, 2, 0x207);
	put(f, 0x211, 1, 0x01);
	put(f, 0x22c, 4, 0x37ffffff);
	put(f, 0x238, 4, 255);
	f->c = (struct boot_config){ .kernel_fd = -1, .initrd_fd = -1, .cmdline = "a=b c" };
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	if (f->c.kernel_fd >= 0)
		close(f->c.kernel_fd);
	if (f->c.initrd_fd >= 0)
		close(f->c.initrd_fd);
	fake_board_remove(&f->fb, f->fw_cfg);
	fake_board_fini(&f->fb);
	free(f);
	return 0;
}

static int boot(struct fixture *f, bool first)
{
	if (f->c.kernel_fd < 0)
		f->c.kernel_fd = memory_file(f->file, sizeof(f->file));
	return boot_bios(f->fb.board.gmem, &f->c, first ? f->fw_cfg : NULL, &f->e);
}

static void read_item(struct fixture *f, uint16_t key, void *out, size_t size)
{
	fake_out(&f->fb, SELECTOR, 2, key);
	for (size_t i = 0; i < size; i++)
		((uint8_t *)out)[i] = fake_in8(&f->fb, DATA);
}

static void what_is_in_memory(void **state)
{
	struct fixture *f = *state;
	const char initrd[] = "an initial RAM disk";
	uint8_t setup[SETUP_SIZE];
	uint64_t gpa;

	f->c.initrd_fd = memory_file(initrd, sizeof(initrd));
	assert_int_equal(boot(f, true), 0);
	assert_memory_equal(f->fb.mem + MIB, f->file + SETUP_SIZE, BODY_SIZE);
	read_item(f, FW_CFG_SETUP_DATA, setup, sizeof(setup));
	gpa = get(setup + 0x218, 4);
	assert_in_range(gpa, TOP - 8192, TOP - 1);
	assert_int_equal(gpa % 4096, 0);
	assert_int_equal(get(setup + 0x21c, 4), sizeof(initrd));
	assert_memory_equal(f->fb.mem + gpa, initrd, sizeof(initrd));
	/* and again, where a guest has been */
	memset(f->fb.mem, 0xcc, MEM_SIZE);
	assert_int_equal(boot(f, false), 0);
	assert_memory_equal(f->fb.mem + MIB, f->file + SETUP_SIZE, BODY_SIZE);
	assert_memory_equal(f->fb.mem + gpa, initrd, sizeof(initrd));
}

/* All but what boot.rst has a loader write is as it was in the file. */
static void what_the_loader_writes(void **state)
{
	struct fixture *f = *state;
	uint8_t setup[SETUP_SIZE];
	char cmdline[8];

	assert_int_equal(boot(f, true), 0);
	read_item(f, FW_CFG_SETUP_DATA, setup, sizeof(setup));
	read_item(f, FW_CFG_CMDLINE_DATA, cmdline, sizeof(cmdline));
	assert_string_equal(cmdline, "a=b c");
	assert_int_equal(setup[0x210], 0xff);		  /* type_of_loader */
	assert_int_equal(setup[0x211], 0x81);		  /* CAN_USE_HEAP */
	assert_int_equal(get(setup + 0x224, 2), 0xfe00);  /* heap_end_ptr */
	assert_int_equal(get(setup + 0x228, 4), 0x20000); /* cmd_line_ptr */
	assert_int_equal(get(setup + 0x218, 8), 0);	  /* no initrd */
	memcpy(setup + 0x210, f->file + 0x210, 2);
	memcpy(setup + 0x218, f->file + 0x218, 8);
	memcpy(setup + 0x224, f->file + 0x224, 2);
	memcpy(setup + 0x228, f->file + 0x228, 4);
	assert_memory_equal(setup, f->file, sizeof(setup));
}

/* What a BIOS looks at, and the two transfers that the ROM's code makes */
static void the_rom(void **state)
{
	struct fixture *f = *state;
	uint8_t rom[512], sum = 0, *pnp, *item;

	assert_int_equal(boot(f, true), 0);
	read_item(f, FW_CFG_FILES, rom, sizeof(rom)); /* the first file */
	assert_int_equal(get(rom, 2), 0xaa55);
	assert_int_equal(rom[2] * 512, sizeof(rom));
	for (unsigned int i = 0; i < sizeof(rom); i++)
		sum += rom[i];
	assert_int_equal(sum, 0);
	pnp = rom + get(rom + 0x1a, 2);
	assert_memory_equal(pnp, "$PnP\1\2", 6);
	assert_int_equal(get(pnp + 0x16, 2), 0);
	assert_in_range(get(pnp + 0x1a, 2), 0x60, sizeof(rom));
	item = memmem(rom, sizeof(rom), "\0\x18\0\x0a", 4);
	assert_non_null(item);
	assert_int_equal(be32toh((uint32_t)get(item + 4, 4)), SETUP_SIZE);
	assert_int_equal(be64toh(get(item + 8, 8)), 0x10000);
	assert_memory_equal(item + 16, "\0\x15\0\x0a", 4);
	assert_int_equal(be32toh((uint32_t)get(item + 20, 4)), 6);
	assert_int_equal(be64toh(get(item + 24, 8)), 0x20000);
}

static void refused(struct fixture *f, int code, const char *message)
{
	assert_int_equal(boot(f, true), -code);
	assert_string_equal(f->e.msg, message);
	close(f->c.kernel_fd);
	f->c.kernel_fd = -1;
}

static void what_is_no_kernel(void **state)
{
	struct fixture *f = *state;

	put(f, 0x206, 2, 0x202);
	refused(f, ERR_KERNEL_IMAGE,
		"a kernel that is loaded below 1 MiB (boot protocol 2.02): only bzImage of 2.03 or "
		"newer is supported");
	put(f, 0x206, 2, 0x20f);
	put(f, 0x211, 1, 0);
	refused(f, ERR_KERNEL_IMAGE,
		"a kernel that is loaded below 1 MiB (boot protocol 2.15): only bzImage of 2.03 or "
		"newer is supported");
	put(f, 0x211, 1, 1);
	put(f, 0x1f1, 1, 65);
	refused(f, ERR_KERNEL_IMAGE,
		"the header says that its 16-bit part has 65 sectors; there is room for 64");
	put(f, 0x1f1, 1, 13); /* 14 sectors; the file has 13 and a bit */
	refused(f, ERR_KERNEL_IMAGE, "truncated kernel: there is no 32-bit part");
	put(f, 0x1f1, 1, SETUP_SECTS);
	put(f, 0x202, 4, 0);
	refused(f, ERR_KERNEL_IMAGE, "not a kernel: no HdrS at 0x202");
}

static void what_does_not_fit(void **state)
{
	struct fixture *f = *state;
	char cmdline[300];

	/* where it moves itself to, and what it needs there */
	put(f, 0x200, 2, 0x7eeb);
	put(f, 0x206, 2, 0x20a);
	put(f, 0x258, 8, 16 * MIB);
	put(f, 0x260, 4, 9 * MIB);
	refused(f, ERR_MEMORY, "the kernel needs memory up to 25 MiB, the guest has 24 MiB");
	put(f, 0x258, 8, UINT64_MAX);
	refused(f, ERR_KERNEL_IMAGE,
		"the kernel, 18446744073708503039 bytes at 0x100000, is not below the 32-bit hole "
		"(0xc0000000)");
	put(f, 0x258, 8, 16 * MIB);
	put(f, 0x260, 4, 8 * MIB);
	memset(cmdline, 'x', sizeof(cmdline));
	cmdline[256] = '\0';
	f->c.cmdline = cmdline;
	refused(f, ERR_INVALID, "the command line has 256 bytes, this kernel takes at most 255");
	cmdline[255] = '\0';
	assert_int_equal(boot(f, true), 0);
}

int main(void)
{
#define T(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(what_is_in_memory), T(what_the_loader_writes), T(the_rom),
		T(what_is_no_kernel), T(what_does_not_fit),
	};
#undef T

	return cmocka_run_group_tests(tests, NULL, NULL);
}
