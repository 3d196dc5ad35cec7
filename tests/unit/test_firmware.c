// SPDX-License-Identifier: MIT
// Firmware's ROM, and what the machine tells it: read back as firmware does, by the ports.
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "lib/errcat.h"
#include "tests/unit/fake_board.h"
#include "vmm/dev/dev.h"
#include "vmm/dev/fw_cfg.h"
#include "vmm/x86/firmware.h"

#define MEM_SIZE (32 * MIB)

struct fixture {
	struct fake_board fb;
	struct device *fw_cfg, *rtc;
	struct acpi_config acpi;
	struct firmware_config c;
};

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	fake_board_init(&f->fb, MEM_SIZE);
	f->fw_cfg = fake_board_add(&f->fb, &fw_cfg_class, "fw-cfg", NULL);
	f->rtc = fake_board_add(&f->fb, &rtc_class, "rtc", NULL);
	f->acpi = (struct acpi_config){ .nvcpus = 3, .pic = true, .com = { true } };
	f->c = (struct firmware_config){ .fw_cfg = f->fw_cfg,
					 .rtc = f->rtc,
					 .acpi = &f->acpi,
					 .smbios = { .uuid = "", .nvcpus = 3 },
					 .bootorder = "" };
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	firmware_unload(f->fb.board.gmem);
	fake_board_remove(&f->fb, f->rtc);
	fake_board_remove(&f->fb, f->fw_cfg);
	fake_board_fini(&f->fb);
	free(f);
	return 0;
}

/* --- the ROM ---------------------------------------------------------------------------------------- */

/* size bytes, each page with its number, and a jump at the end */
static int image(size_t size, bool entry)
{
	int fd = memfd_create("firmware", MFD_CLOEXEC);

	assert_int_equal(ftruncate(fd, (off_t)size), 0);
	for (size_t page = 0; page < size / 4096; page++) {
		uint8_t number = (uint8_t)(page + 1);

		assert_int_equal(pwrite(fd, &number, 1, (off_t)(page * 4096)), 1);
	}
	if (entry)
		assert_int_equal(pwrite(fd, "\xea", 1, (off_t)size - 16), 1);
	return fd;
}

static void refused(struct fixture *f, int take_fd, const char *message)
{
	struct err e = { 0 };

	assert_int_equal(firmware_load(f->fb.board.gmem, take_fd, &e), -ERR_FIRMWARE);
	assert_string_equal(e.msg, message);
	assert_null(f->fb.board.gmem->rom.base);
	close(take_fd);
}

static void test_refused(void **state)
{
	struct fixture *f = *state;
	int pipes[2];

	refused(f, image(16 * MIB + 4096, true),
		"the firmware has 16781312 bytes; there is room for 16 MiB below 4 GiB");
	refused(f, image(60 * KIB, true),
		"the firmware has 61440 bytes, not 64 KiB or more in pages of 4 KiB");
	refused(f, image(0, false),
		"the firmware has 0 bytes, not 64 KiB or more in pages of 4 KiB");
	refused(f, image(128 * KIB + 512, true),
		"the firmware has 131584 bytes, not 64 KiB or more in pages of 4 KiB");
	refused(f, image(256 * KIB, false),
		"not firmware: there is no code at its end, where a processor begins");
	assert_int_equal(pipe(pipes), 0);
	close(pipes[1]);
	refused(f, pipes[0], "the firmware is no regular file");
}

static void loaded(struct fixture *f, size_t size, size_t low)
{
	struct gmem *g = f->fb.board.gmem;
	int fd = image(size, true);
	const uint8_t *rom;

	assert_int_equal(firmware_load(g, fd, NULL), 0);
	close(fd);
	rom = g->rom.base;
	assert_int_equal(g->rom.size, size);
	assert_int_equal(g->rom.gpa + g->rom.size, 4 * GIB);
	assert_int_equal(rom[size - 4096], (uint8_t)(size / 4096));
	/* no device reaches it */
	assert_null(gmem_ptr(g, g->rom.gpa, 1));
	/* the end of it below 1 MiB, whatever a guest made of that, and nothing before */
	memset(f->fb.mem, 0xcc, MIB);
	firmware_shadow(g);
	assert_memory_equal(f->fb.mem + MIB - low, rom + size - low, low);
	assert_int_equal(f->fb.mem[MIB - low - 1], 0xcc);
	firmware_unload(g);
}

static void test_loaded(void **state)
{
	loaded(*state, 64 * KIB, 64 * KIB);
	loaded(*state, 128 * KIB, 128 * KIB);
	loaded(*state, 256 * KIB, 128 * KIB);
	loaded(*state, 16 * MIB, 128 * KIB);
}

/* --- what it is told -------------------------------------------------------------------------------- */

static void item(struct fixture *f, uint16_t key, void *out, size_t n)
{
	fake_out(&f->fb, 0x510, 2, key);
	for (size_t i = 0; i < n; i++)
		((uint8_t *)out)[i] = fake_in8(&f->fb, 0x511);
}

/* The file's number and size; 0: there is none of that name. */
static uint16_t file(struct fixture *f, const char *name, uint32_t *ret_size)
{
	uint8_t dir[4 + 32 * 64];

	item(f, FW_CFG_FILE_DIR, dir, sizeof(dir));
	for (unsigned int i = 0; i < dir[3]; i++) {
		const uint8_t *at = dir + 4 + i * 64;

		if (strcmp((const char *)at + 8, name) != 0)
			continue;
		*ret_size = (uint32_t)at[0] << 24 | (uint32_t)at[1] << 16 | at[2] << 8 | at[3];
		return (uint16_t)(at[4] << 8 | at[5]);
	}
	return 0;
}

static uint64_t get(const uint8_t *p, size_t n)
{
	uint64_t v = 0;

	memcpy(&v, p, n);
	return v;
}

static uint64_t number(struct fixture *f, uint16_t key)
{
	uint8_t b[8];

	item(f, key, b, sizeof(b)); /* behind its end it is 0 */
	return get(b, 8);
}

static void tell(struct fixture *f)
{
	struct err e = { 0 };

	if (firmware_tell(f->fb.board.gmem, &f->c, &e) < 0)
		fail_msg("%s", e.msg);
}

static void test_numbers(void **state)
{
	struct fixture *f = *state;

	tell(f);
	assert_int_equal(number(f, FW_CFG_RAM_SIZE), MEM_SIZE);
	assert_int_equal(number(f, FW_CFG_NB_CPUS), 3);
	assert_int_equal(number(f, FW_CFG_MAX_CPUS), 3);
	assert_int_equal(number(f, FW_CFG_NOGRAPHIC), 1);
	assert_int_equal(number(f, FW_CFG_BOOT_MENU), 0);
	assert_int_equal(number(f, FW_CFG_IRQ0_OVERRIDE), 1);
}

static void test_e820(void **state)
{
	struct fixture *f = *state;
	struct gmem g = *f->fb.board.gmem;
	uint8_t map[60];
	uint32_t size = 0;
	uint16_t key;

	/* as of a guest with 4 GiB */
	g.regions[0].size = 3 * GIB;
	g.regions[1] = (struct gmem_region){ .gpa = 4 * GIB, .size = GIB };
	g.nregions = 2;
	assert_int_equal(firmware_tell(&g, &f->c, NULL), 0);
	key = file(f, "etc/e820", &size);
	assert_int_equal(size, sizeof(map));
	item(f, key, map, sizeof(map));
	assert_int_equal(get(map, 8), 0);
	assert_int_equal(get(map + 8, 8), 3 * GIB);
	assert_int_equal(get(map + 16, 4), 1);
	assert_int_equal(get(map + 20, 8), 4 * GIB);
	assert_int_equal(get(map + 28, 8), GIB);
	assert_int_equal(get(map + 36, 4), 1);
	assert_int_equal(get(map + 40, 8), 0xfeffc000);
	assert_int_equal(get(map + 48, 8), 0x4000);
	assert_int_equal(get(map + 56, 4), 2);
}

static uint8_t cmos(struct fixture *f, uint8_t reg)
{
	fake_out8(&f->fb, 0x70, reg);
	return fake_in8(&f->fb, 0x71);
}

static void test_cmos(void **state)
{
	struct fixture *f = *state;

	tell(f);
	assert_int_equal(cmos(f, 0x15) | cmos(f, 0x16) << 8, 640);
	assert_int_equal(cmos(f, 0x17) | cmos(f, 0x18) << 8, 31 * 1024);
	assert_int_equal(cmos(f, 0x30) | cmos(f, 0x31) << 8, 31 * 1024);
	assert_int_equal(cmos(f, 0x34) | cmos(f, 0x35) << 8, 16 * 16);
	assert_int_equal(cmos(f, 0x5b) | cmos(f, 0x5c) << 8 | cmos(f, 0x5d) << 16, 0);
	assert_int_equal(cmos(f, 0x5f), 2);
	assert_int_equal(cmos(f, 0x3d), 0x32); /* disks, CD-ROM drives … */
	assert_int_equal(cmos(f, 0x38), 0x10); /* … floppies */
	assert_int_equal(cmos(f, 0x10), 0);    /* no floppy drive */
	assert_int_equal(cmos(f, 0x14), 0x02); /* equipment: a coprocessor … */
	firmware_tell_floppies(f->rtc, 0x40);
	assert_int_equal(cmos(f, 0x10), 0x40);
	assert_int_equal(cmos(f, 0x14), 0x03); /* … one drive … */
	firmware_tell_floppies(f->rtc, 0x45);
	assert_int_equal(cmos(f, 0x14), 0x43); /* … or two */
}

/* Much memory does not fit the old registers; those for more have it. */
static void test_cmos_large(void **state)
{
	struct fixture *f = *state;
	struct gmem g = *f->fb.board.gmem;

	g.regions[0].size = 3 * GIB;
	g.regions[1] = (struct gmem_region){ .gpa = 4 * GIB, .size = 5 * GIB };
	g.nregions = 2;
	assert_int_equal(firmware_tell(&g, &f->c, NULL), 0);
	assert_int_equal(cmos(f, 0x17) | cmos(f, 0x18) << 8, 0xffff);
	assert_int_equal(cmos(f, 0x34) | cmos(f, 0x35) << 8, (3 * 1024 - 16) * 16);
	assert_int_equal(cmos(f, 0x5b) | cmos(f, 0x5c) << 8 | cmos(f, 0x5d) << 16, 5 * 16384);
}

static void test_files(void **state)
{
	struct fixture *f = *state;
	char order[64] = "";
	uint32_t size = 0;
	uint16_t key;

	f->c.bootorder = "/pci@i0cf8/*@2\n";
	tell(f);
	key = file(f, "etc/sercon-port", &size);
	assert_int_equal(size, 8);
	assert_int_equal(number(f, key), 0x3f8);
	key = file(f, "bootorder", &size);
	assert_int_equal(size, strlen(f->c.bootorder) + 1);
	item(f, key, order, size);
	assert_string_equal(order, f->c.bootorder);
	assert_true(file(f, "etc/table-loader", &size) && size);
	assert_true(file(f, "etc/smbios/smbios-anchor", &size) && size);
}

/* What is not there is not told of. */
static void test_without(void **state)
{
	struct fixture *f = *state;
	uint32_t size;

	f->acpi.com[0] = false;
	f->c.rtc = NULL;
	tell(f);
	assert_int_equal(file(f, "etc/sercon-port", &size), 0);
	assert_int_equal(file(f, "bootorder", &size), 0);
	assert_int_equal(cmos(f, 0x15), 0);
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(test_refused), T(test_loaded),     T(test_numbers), T(test_e820),
		T(test_cmos),	 T(test_cmos_large), T(test_files),   T(test_without),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
