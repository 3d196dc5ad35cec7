// SPDX-License-Identifier: MIT
/*
 * The life of an AHCI controller and its drives: resets and pauses of the machine, what the host
 * cannot do, drives that come and go (AHCI 1.3.1, section 7.3.1), limits.
 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "lib/auto.h"
#include "lib/errcat.h"
#include "lib/json.h"
#include "tests/unit/ahci_fixture.h"
#include "vmm/block/engine.h"
#include "vmm/scsi/unit.h"

static bool pin(struct fahci *f)
{
	return f->fb.irq[pci_intx_gsi(&f->ahci->pci)];
}

/* --- life ----------------------------------------------------------------------------------------------- */

static void test_reset(void **state)
{
	struct fahci *f = *state;

	fahci_command(f, 0, 0, READ_ONE(5));
	fahci_region(f, 0, 0, 0, AHCI_DATA, 512);
	fahci_issue(f, 0, 1);
	f->dev->class->stop(f->dev);
	f->dev->class->reset(f->dev);
	f->dev->class->start(f->dev);
	assert_int_equal(fahci_get(f, 0, AHCI_CMD), BIT(1) | BIT(2) | BIT(18));
	assert_int_equal(fahci_get(f, 0, AHCI_CLB), 0);
	assert_int_equal(fahci_get(f, 0, AHCI_SSTS), LINK_UP);
	assert_int_equal(fahci_get(f, 0, AHCI_SERR), LINK_BITS);
	assert_int_equal(fahci_read(f, 0x04), 0x80000000);
	assert_false(pin(f));
}

static void test_pause(void **state)
{
	struct fahci *f = *state;

	fahci_command(f, 0, 0, READ_EXT(0, 3000));
	fahci_region(f, 0, 0, 0, AHCI_DATA, 3000 * 512);
	fahci_issue(f, 0, 1);
	fahci_stop_start(f);
	fahci_settle(f);
	assert_int_equal(fahci_get(f, 0, AHCI_TFD), AHCI_READY);
	fahci_expect_sector(f, AHCI_DATA + 2999 * 512, 2999);
}

static int64_t failing(const struct block *b, const struct block_step *s)
{
	(void)b;
	(void)s;
	return -EIO;
}

/* on_error: stop. The drive is busy until the machine was paused, and goes on. */
static void test_held(void **state)
{
	struct fahci *f = fahci_begin(
		"{\"id\":\"root\",\"unit\":4,\"path\":{\"fd\":0},\"on_error\":\"stop\"}");
	struct block *b = f->ahci->set.target->units[4]->block;
	int64_t (*step)(const struct block *of, const struct block_step *s) = b->step;

	(void)state;
	fahci_up(f, 4);
	b->step = failing;
	fahci_command(f, 4, 0, READ_ONE(33));
	fahci_region(f, 4, 0, 0, AHCI_DATA, 512);
	fahci_issue(f, 4, 1);
	fake_board_run(&f->fb);
	fake_board_watched(&f->fb);
	assert_non_null(strstr(f->fb.notice, "disk-stopped"));
	assert_int_equal(fahci_get(f, 4, AHCI_TFD), ATA_BSY);
	b->step = step;
	fahci_stop_start(f);
	fahci_settle(f);
	assert_int_equal(fahci_get(f, 4, AHCI_TFD), AHCI_READY);
	fahci_expect_sector(f, AHCI_DATA, 33);
	fahci_end(f);
}

/* --- drives that come and go: section 7.3.1 ------------------------------------------------------------- */

static int come(struct fahci *f, const char *json, struct err *e)
{
	AUTO_JSON struct json_object *o = NULL;
	struct device_unit *unit = NULL;
	struct fdset fds;
	int ret;

	assert_int_equal(json_parse(json, strlen(json), &o, NULL), 0);
	fdset_init(&fds);
	fdset_add(&fds, dup(f->disk));
	ret = f->dev->class->unit_new(f->dev, o, &fds, &unit, e);
	fdset_fini(&fds);
	return ret < 0 ? ret : f->dev->class->unit_add(f->dev, unit, e);
}

static void test_come_and_go(void **state)
{
	const struct device_class *class;
	struct fahci *f = *state;
	struct err e = { 0 };

	class = f->dev->class;
	assert_string_equal(class->unit(f->dev, 0), "root");
	assert_string_equal(class->unit(f->dev, 1), "cd");
	assert_null(class->unit(f->dev, 2));
	fahci_command(f, 0, 0, READ_ONE(44)); /* in the middle of it */
	fahci_region(f, 0, 0, 0, AHCI_DATA, 512);
	fahci_issue(f, 0, 1);
	assert_int_equal(class->unit_remove(f->dev, "root", &e), 0);
	fahci_expect_sector(f, AHCI_DATA, 44); /* that has ended */
	assert_int_equal(f->ahci->ports[0].running, 0);
	assert_string_equal(class->unit(f->dev, 0), "cd");
	assert_int_equal(fahci_get(f, 0, AHCI_SSTS), 0);
	assert_int_equal(fahci_get(f, 0, AHCI_TFD), 0x7f);
	assert_int_equal(fahci_get(f, 0, AHCI_SERR), AHCI_DIAG_N);
	assert_true(pin(f));
	assert_int_equal(fahci_causes(f, 0), AHCI_PRCS);
	fahci_set(f, 0, AHCI_SERR, UINT32_MAX);
	assert_int_equal(fahci_get(f, 0, AHCI_PIS), 0);
	assert_int_equal(class->unit_remove(f->dev, "root", &e), -ERR_VM_NO_DEVICE);

	assert_int_equal(come(f, "{\"id\":\"new\",\"unit\":2,\"path\":{\"fd\":0}}", &e),
			 -ERR_INVALID);
	assert_string_equal(e.msg, "unit 2 is taken");
	assert_int_equal(come(f, "{\"id\":\"new\",\"unit\":6,\"path\":{\"fd\":0}}", &e),
			 -ERR_INVALID);
	assert_int_equal(come(f, "{\"id\":\"new\",\"unit\":4}", &e), -ERR_INVALID);
	assert_int_equal(come(f, "{\"id\":\"new\",\"unit\":4,\"path\":{\"fd\":0}}", &e), 0);
	assert_int_equal(fahci_get(f, 4, AHCI_SSTS), LINK_UP);
	assert_int_equal(fahci_get(f, 4, AHCI_SIG), 0x101);
	assert_int_equal(fahci_get(f, 4, AHCI_PIS), AHCI_PCS | AHCI_PRCS);
	fahci_up(f, 4);
	assert_int_equal(fahci_do(f, 4, READ_ONE(55), 512), AHCI_READY);
	fahci_expect_sector(f, AHCI_DATA, 55);
}

/* vmctl set-rate: a command waits, and goes at once when there is no limit any more. */
static void test_rates(void **state)
{
	AUTO_JSON struct json_object *slow = json_add_int(json_new(), "bytes_per_second", 1);
	AUTO_JSON struct json_object *fast = json_add_int(json_new(), "bytes_per_second", 0);
	AUTO_JSON struct json_object *said = NULL, *then = NULL, *wrong = NULL;
	struct fahci *f = *state;
	struct err e = { 0 };

	assert_int_equal(f->dev->class->unit_set(f->dev, "root", slow, &said, &e), 1);
	assert_int_equal(json_get_int(said, "bytes_per_second", -1), 1);
	fahci_do(f, 0, READ_ONE(1), 512); /* of 512 seconds */
	fahci_command(f, 0, 0, READ_ONE(66));
	fahci_region(f, 0, 0, 0, AHCI_DATA, 512);
	fahci_issue(f, 0, 1);
	fake_board_run(&f->fb);
	fake_board_watched(&f->fb);
	assert_int_equal(fahci_get(f, 0, AHCI_CI), 1);
	assert_int_equal(f->dev->class->unit_set(f->dev, "root", fast, &then, &e), 1);
	fake_board_watched(&f->fb);
	assert_int_equal(fahci_get(f, 0, AHCI_CI), 0);
	fahci_expect_sector(f, AHCI_DATA, 66);
	assert_int_equal(f->dev->class->unit_set(f->dev, "none", fast, &wrong, &e),
			 -ERR_VM_NO_DEVICE);
}

/* In a pause: what the old drive had to do is not the new one's. */
static void test_exchanged(void **state)
{
	struct fahci *f = *state;
	struct err e = { 0 };
	uint32_t got;

	memset(f->fb.mem + AHCI_DATA, 0x77, 512);
	f->dev->class->stop(f->dev);
	fahci_command(f, 0, 0,
		      &(struct fahci_cmd){ .command = 0x35, .device = 0x40, .lba = 3, .count = 1 });
	fahci_region(f, 0, 0, 0, AHCI_DATA, 512);
	fahci_issue(f, 0, 1);
	assert_int_equal(f->dev->class->unit_remove(f->dev, "root", &e), 0);
	assert_int_equal(come(f, "{\"id\":\"new\",\"unit\":0,\"path\":{\"fd\":0}}", &e), 0);
	f->dev->class->start(f->dev);
	fahci_settle(f);
	assert_int_equal(pread(f->disk, &got, sizeof(got), 3 * 512), sizeof(got));
	assert_int_equal(got, 3);
	fahci_set(f, 0, AHCI_CMD, AHCI_FRE);
	fahci_up(f, 0);
	assert_int_equal(fahci_do(f, 0, READ_ONE(56), 512), AHCI_READY);
	fahci_expect_sector(f, AHCI_DATA, 56);
}

static void test_bad_configurations(void **state)
{
	(void)state;
	fahci_expect_bad("{\"id\":\"a\",\"unit\":6,\"path\":{\"fd\":0}}",
			 "device 'ahci0': disk 'a': unit 6 is too large");
	fahci_expect_bad("{\"id\":\"a\",\"unit\":1,\"path\":{\"fd\":0}},{\"id\":\"b\",\"unit\":1}",
			 "device 'ahci0': disk 'b': unit 1 is taken");
	fahci_expect_bad("{\"id\":\"a\",\"unit\":5}", "device 'ahci0': disk 'a': no image");
}

int main(void)
{
#define T(fn) cmocka_unit_test_setup_teardown(fn, fahci_setup, fahci_teardown)
	const struct CMUnitTest tests[] = {
		T(test_reset),
		T(test_pause),
		cmocka_unit_test(test_held),
		T(test_come_and_go),
		T(test_rates),
		T(test_exchanged),
		cmocka_unit_test(test_bad_configurations),
	};
#undef T

	return cmocka_run_group_tests(tests, NULL, NULL);
}
