// SPDX-License-Identifier: MIT
// The flash of UEFI variables by its commands, as OVMF's driver and Intel's data sheet have them, and the file behind it.
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

#include "lib/errcat.h"
#include "tests/unit/fake_board.h"
#include "vmm/dev/dev.h"
#include "vmm/gmem.h"

#define SIZE (16 * KIB)
#define BASE (GMEM_HOLE_END - SIZE)
#define BLOCK 4096

/* as cfi_flash.c has it */
struct cfg {
	int vars_fd;
};

struct fixture {
	struct fake_board fb;
	struct device *d;
	int fd; /* the test's view of the file */
};

/* size bytes of ones, but the first of each block, which is its number */
static int store(size_t size)
{
	int fd = memfd_create("vars", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	uint8_t *bytes = malloc(size);

	memset(bytes, 0xff, size);
	for (size_t i = 0; i < size / BLOCK; i++)
		bytes[i * BLOCK] = (uint8_t)(i + 1);
	assert_int_equal(pwrite(fd, bytes, size, 0), (ssize_t)size);
	free(bytes);
	return fd;
}

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	fake_board_init(&f->fb, MIB);
	f->fd = store(SIZE);
	f->d = fake_board_add(&f->fb, &cfi_flash_class, "nvram", &(struct cfg){ dup(f->fd) });
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	fake_board_remove(&f->fb, f->d);
	fake_board_run(&f->fb);
	fake_board_fini(&f->fb);
	close(f->fd);
	free(f);
	return 0;
}

static void out(struct fixture *f, uint64_t off, uint8_t val)
{
	fake_mmio_write(&f->fb, BASE + off, 1, val);
}

static uint8_t in(struct fixture *f, uint64_t off)
{
	return (uint8_t)fake_mmio_read(&f->fb, BASE + off, 1);
}

static uint8_t in_file(const struct fixture *f, off_t off)
{
	uint8_t byte;

	assert_int_equal(pread(f->fd, &byte, 1, off), 1);
	return byte;
}

static void program(struct fixture *f, uint64_t off, uint8_t val)
{
	out(f, off, 0x10);
	out(f, off, val);
}

/* the worker and who waits for it, as the loops have them */
static void run(struct fixture *f)
{
	fake_board_run(&f->fb);
	fake_board_watched(&f->fb);
}

/* --- the chip ------------------------------------------------------------------------------------------ */

static void the_array_is_memory_that_is_read_only(void **state)
{
	struct fixture *f = *state;
	const struct fake_slot *slot = fake_slot_at(&f->fb, BASE);

	assert_non_null(slot);
	assert_true(slot->rom);
	assert_int_equal(slot->size, SIZE);
	assert_int_equal(((uint8_t *)slot->host)[2 * BLOCK], 3);
	assert_int_equal(in(f, 2 * BLOCK), 3);
	assert_int_equal(fake_mmio_read(&f->fb, BASE + BLOCK, 8), 0xffffffffffffff02);
}

/* QemuFlashDetected of OVMF: neither RAM, which would give 50h or 70h, nor a ROM, which would give its byte. */
static void ovmf_finds_a_flash(void **state)
{
	struct fixture *f = *state;

	out(f, 1, 0x50);
	assert_int_equal(in(f, 1), 0xff);
	assert_non_null(fake_slot_at(&f->fb, BASE));
	out(f, 1, 0x70);
	assert_null(fake_slot_at(&f->fb, BASE));
	assert_int_equal(in(f, 1), 0);
	out(f, 1, 0xff);
	assert_non_null(fake_slot_at(&f->fb, BASE));
	assert_int_equal(in(f, 1), 0xff);
}

static void programming_takes_bits_away(void **state)
{
	struct fixture *f = *state;

	program(f, 5, 0x3c);
	assert_int_equal(in(f, 5), 0x80); /* the status: ready */
	assert_null(fake_slot_at(&f->fb, BASE));
	out(f, 6, 0x40); /* the other code of the same */
	out(f, 6, 0x7f);
	program(f, 5, 0xf0);
	out(f, 5, 0xff);
	assert_int_equal(in(f, 4), 0xff);
	assert_int_equal(in(f, 5), 0x30);
	assert_int_equal(in(f, 6), 0x7f);
	assert_int_equal(((uint8_t *)fake_slot_at(&f->fb, BASE)->host)[5], 0x30);
}

static void an_erase_is_of_one_block(void **state)
{
	struct fixture *f = *state;

	program(f, BLOCK + 7, 0);
	out(f, BLOCK + 100, 0x20);
	out(f, BLOCK + 100, 0xd0);
	assert_int_equal(in(f, 0), 0x80);
	out(f, 0, 0xff);
	assert_int_equal(in(f, 0), 1);
	for (unsigned int i = 0; i < BLOCK; i++)
		assert_int_equal(in(f, BLOCK + i), 0xff);
	assert_int_equal(in(f, 2 * BLOCK), 3);
}

/* P30: SR.4 and SR.5 together are a wrong sequence, and stay until they are cleared */
static void an_erase_that_is_not_confirmed_is_none(void **state)
{
	struct fixture *f = *state;

	out(f, 0, 0x20);
	out(f, 0, 0xff);
	assert_int_equal(in(f, 0), 0xb0);
	program(f, 1, 0xfe);
	assert_int_equal(in(f, 0), 0xb0);
	out(f, 0, 0x50);
	assert_int_equal(in(f, 0), 0);
	out(f, 0, 0xff);
	assert_int_equal(in(f, 0), 1);
	assert_int_equal(in(f, 1), 0xfe);
}

static void it_tells_what_it_is(void **state)
{
	static const uint8_t query[] = { 'Q', 'R', 'Y', 1, 0, 0x31, 0 };
	struct fixture *f = *state;

	out(f, 0, 0x90);
	assert_int_equal(in(f, 0), 0x89);
	assert_int_equal(in(f, 1), 0x18);
	assert_int_equal(in(f, 3 * BLOCK + 2), 0); /* not locked */
	assert_null(fake_slot_at(&f->fb, BASE));
	out(f, 0x55, 0x98);
	for (unsigned int i = 0; i < sizeof(query); i++)
		assert_int_equal(in(f, 0x10 + i), query[i]);
	assert_int_equal(in(f, 0x27), 14);				    /* 2^14 bytes */
	assert_int_equal(in(f, 0x2a), 0);				    /* no write buffer */
	assert_int_equal(in(f, 0x2c), 1);				    /* region … */
	assert_int_equal(in(f, 0x2d) | in(f, 0x2e) << 8, SIZE / BLOCK - 1); /* … of 4 … */
	assert_int_equal(256 * (in(f, 0x2f) | in(f, 0x30) << 8), BLOCK);    /* … blocks */
	assert_int_equal(in(f, 0x31), 'P');
	assert_int_equal(in(f, SIZE - 1), 0);
	out(f, 0, 0xff);
	assert_int_equal(in(f, 0), 1);
}

static void locks_are_taken_and_not_kept(void **state)
{
	struct fixture *f = *state;

	out(f, 0, 0x60);
	out(f, 0, 0x01);
	assert_int_equal(in(f, 0), 0x80);
	program(f, 0, 0);
	out(f, 0, 0xff);
	assert_int_equal(in(f, 0), 0);
}

/* E8h: the write buffer that the query says is not there; its data must not be taken for programming. */
static void a_command_that_there_is_none_of_does_nothing(void **state)
{
	struct fixture *f = *state;

	out(f, 0, 0x70);
	out(f, 0, 0xe8);
	assert_non_null(fake_slot_at(&f->fb, BASE));
	out(f, 0, 0x03);
	for (unsigned int i = 0; i < BLOCK; i++)
		assert_int_equal(in(f, i), i ? 0xff : 1);
}

static void a_reset_is_power_on_and_keeps_what_it_has(void **state)
{
	struct fixture *f = *state;

	program(f, 9, 0x55);
	out(f, 0, 0x20);
	f->d->class->reset(f->d);
	assert_non_null(fake_slot_at(&f->fb, BASE));
	assert_int_equal(in(f, 9), 0x55);
	out(f, 0, 0xd0); /* confirms nothing */
	assert_int_equal(in(f, 0), 1);
	out(f, 0, 0x70);
	assert_int_equal(in(f, 0), 0x80);
}

/* A wide write is a cycle for each byte of this chip, as the bus has them. */
static void wide_writes_are_cycles(void **state)
{
	struct fixture *f = *state;

	fake_mmio_write(&f->fb, BASE + 16, 2, 0x1240);
	out(f, 0, 0xff);
	assert_int_equal(in(f, 16), 0xff);
	assert_int_equal(in(f, 17), 0x12);
}

/* --- the file ------------------------------------------------------------------------------------------- */

static void read_array_is_a_flush_point(void **state)
{
	struct fixture *f = *state;

	program(f, 5, 0x11);
	run(f);
	assert_int_equal(in_file(f, 5), 0xff);
	out(f, 0, 0xff);
	run(f);
	assert_int_equal(in_file(f, 5), 0x11);
	out(f, BLOCK, 0x20);
	out(f, BLOCK, 0xd0);
	out(f, 0, 0xff);
	run(f);
	assert_int_equal(in_file(f, BLOCK), 0xff);
	assert_int_equal(in_file(f, 0), 1);
	assert_int_equal(in_file(f, 5), 0x11);
}

/* What comes while a write is under way is of the next one: the file has no state that the chip had not. */
static void one_write_is_under_way(void **state)
{
	struct fixture *f = *state;

	program(f, 5, 0x11);
	out(f, 0, 0xff);
	program(f, 5, 0x10);
	program(f, SIZE - 1, 0x22);
	out(f, 0, 0xff);
	fake_board_run(&f->fb);
	assert_int_equal(in_file(f, 5), 0x11);
	assert_int_equal(in_file(f, SIZE - 1), 0xff);
	fake_board_watched(&f->fb);
	run(f);
	assert_int_equal(in_file(f, 5), 0x10);
	assert_int_equal(in_file(f, SIZE - 1), 0x22);
}

static void a_stop_leaves_nothing_behind(void **state)
{
	struct fixture *f = *state;

	program(f, 5, 0x11);
	out(f, 0, 0xff);
	program(f, 6, 0x22);
	f->d->class->stop(f->d);
	assert_int_equal(in_file(f, 5), 0x11);
	assert_int_equal(in_file(f, 6), 0x22);
	/* and what was under way is not done once more */
	assert_int_equal(pwrite(f->fd, "x", 1, 6), 1);
	run(f);
	assert_int_equal(in_file(f, 6), 'x');
	out(f, 0, 0xff);
	program(f, 7, 0x33);
	out(f, 0, 0xff);
	run(f);
	assert_int_equal(in_file(f, 7), 0x33);
}

static void a_full_disk_is_told_once_and_tried_again(void **state)
{
	struct rlimit old, none;
	struct fixture *f = *state;

	signal(SIGXFSZ, SIG_IGN);
	assert_int_equal(getrlimit(RLIMIT_FSIZE, &old), 0);
	none = (struct rlimit){ 0, old.rlim_max };
	program(f, 5, 0x11);
	out(f, 0, 0xff);
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &none), 0);
	run(f);
	assert_int_equal(f->fb.nnotices, 1);
	assert_string_equal(f->fb.notice,
			    "device: nvram: the variables cannot be written: File too large");
	out(f, 0, 0xff);
	run(f);
	assert_int_equal(f->fb.nnotices, 1);
	assert_int_equal(in_file(f, 5), 0xff);
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &old), 0);
	program(f, 6, 0x22);
	out(f, 0, 0xff);
	run(f);
	assert_int_equal(in_file(f, 5), 0x11);
	assert_int_equal(in_file(f, 6), 0x22);
}

static void a_template_is_never_written(void **state)
{
	char path[64];
	int fd = store(SIZE), ro;
	struct fixture f = { .fd = fd };

	(void)state;
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	ro = open(path, O_RDONLY | O_CLOEXEC);
	fake_board_init(&f.fb, MIB);
	f.d = fake_board_add(&f.fb, &cfi_flash_class, "nvram", &(struct cfg){ ro });
	program(&f, 5, 0x11);
	out(&f, 0, 0xff);
	run(&f);
	f.d->class->stop(f.d);
	assert_int_equal(in(&f, 5), 0x11);
	assert_int_equal(in_file(&f, 5), 0xff);
	assert_int_equal(f.fb.nnotices, 0);
	fake_board_remove(&f.fb, f.d);
	fake_board_fini(&f.fb);
	close(fd);
}

/* --- what does not fit -------------------------------------------------------------------------------------- */

static void refused(size_t code, size_t vars, const char *message, const char *hint)
{
	struct fake_board fb;
	struct err e = { 0 };

	fake_board_init(&fb, MIB);
	if (code)
		fb.gmem.rom = (struct gmem_rom){ &fb, GMEM_HOLE_END - code, code };
	assert_int_equal(fake_board_add_fails(&fb, &cfi_flash_class, "nvram",
					      &(struct cfg){ vars ? store(vars) : -1 }, &e),
			 vars ? -ERR_FIRMWARE : -ERR_INVALID);
	assert_string_equal(e.msg, message);
	if (hint)
		assert_string_equal(e.hint, hint);
	fake_board_fini(&fb);
}

static void a_store_of_the_wrong_size_is_refused(void **state)
{
	(void)state;
	refused(3653632, 131072,
		"the variable store has 131072 bytes; firmware of 3653632 bytes has room for "
		"540672",
		"take both files from one build: OVMF_CODE_4M.fd with OVMF_VARS_4M.fd");
	refused(0, 4095,
		"a variable store of 4095 bytes is none: 4 KiB to 8 MiB in blocks of 4 KiB", NULL);
	refused(0, 9 * MIB,
		"a variable store of 9437184 bytes is none: 4 KiB to 8 MiB in blocks of 4 KiB",
		NULL);
	refused(2 * MIB, 131072,
		"the firmware has 2097152 bytes, with its variables in it: it has no room for a "
		"store below it",
		NULL);
	refused(2 * MIB, 0, "no variable store", NULL);
}

static void it_lies_right_below_the_code(void **state)
{
	struct fixture f = { .fd = store(540672) };

	(void)state;
	fake_board_init(&f.fb, MIB);
	f.fb.gmem.rom = (struct gmem_rom){ &f, GMEM_HOLE_END - 3653632, 3653632 };
	f.d = fake_board_add(&f.fb, &cfi_flash_class, "nvram", &(struct cfg){ dup(f.fd) });
	assert_non_null(fake_slot_at(&f.fb, 0xffc00000));
	assert_int_equal(fake_mmio_read(&f.fb, 0xffc00000 + 3 * BLOCK, 1), 4);
	fake_board_remove(&f.fb, f.d);
	f.fb.gmem.rom = (struct gmem_rom){ 0 };
	fake_board_run(&f.fb);
	fake_board_fini(&f.fb);
	close(f.fd);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define FLASH_TEST(t) cmocka_unit_test_setup_teardown(t, setup, teardown)
		FLASH_TEST(the_array_is_memory_that_is_read_only),
		FLASH_TEST(ovmf_finds_a_flash),
		FLASH_TEST(programming_takes_bits_away),
		FLASH_TEST(an_erase_is_of_one_block),
		FLASH_TEST(an_erase_that_is_not_confirmed_is_none),
		FLASH_TEST(it_tells_what_it_is),
		FLASH_TEST(locks_are_taken_and_not_kept),
		FLASH_TEST(a_command_that_there_is_none_of_does_nothing),
		FLASH_TEST(a_reset_is_power_on_and_keeps_what_it_has),
		FLASH_TEST(wide_writes_are_cycles),
		FLASH_TEST(read_array_is_a_flush_point),
		FLASH_TEST(one_write_is_under_way),
		FLASH_TEST(a_stop_leaves_nothing_behind),
		FLASH_TEST(a_full_disk_is_told_once_and_tried_again),
		cmocka_unit_test(a_template_is_never_written),
		cmocka_unit_test(a_store_of_the_wrong_size_is_refused),
		cmocka_unit_test(it_lies_right_below_the_code),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
