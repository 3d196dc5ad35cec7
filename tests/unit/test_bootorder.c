// SPDX-License-Identifier: MIT
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include <string.h>

#include "lib/auto.h"
#include "lib/errcat.h"
#include "vmm/x86/bootorder.h"

static const char devices[] =
	"[{\"type\":\"serial\",\"id\":\"com1\",\"port\":\"com1\"},"
	"{\"type\":\"virtio-blk\",\"id\":\"disk0\",\"address\":\"00:02.0\"},"
	"{\"type\":\"virtio-scsi\",\"id\":\"scsi0\",\"address\":\"00:1e.0\",\"disks\":["
	"{\"id\":\"scsi0.0\",\"lun\":0},{\"id\":\"cd\",\"lun\":255}]},"
	"{\"type\":\"ide\",\"id\":\"ide0\",\"disks\":[{\"id\":\"hd\",\"unit\":1},{\"id\":\"dvd\","
	"\"unit\":2}]},"
	"{\"type\":\"ahci\",\"id\":\"ahci0\",\"address\":\"00:07.0\",\"disks\":[{\"id\":"
	"\"sata\",\"unit\":5}]},"
	"{\"type\":\"floppy\",\"id\":\"floppy0\",\"disks\":[{\"id\":\"b\",\"unit\":1}]},"
	"{\"type\":\"virtio-net\",\"id\":\"net0\",\"address\":\"00:0a.0\"},"
	"{\"type\":\"e1000\",\"id\":\"net1\",\"address\":\"00:0b.0\"},"
	"{\"type\":\"vfio-pci\",\"id\":\"pci0\",\"address\":\"00:05.0\"}]";

static int text(const char *order, char out[static BOOTORDER_MAX], struct err *e)
{
	AUTO_JSON struct json_object *list = NULL, *all = NULL;

	assert_int_equal(json_parse(devices, strlen(devices), &all, NULL), 0);
	if (order)
		assert_int_equal(json_parse(order, strlen(order), &list, NULL), 0);
	return bootorder_text(list, all, out, e);
}

static void test_paths(void **state)
{
	char out[BOOTORDER_MAX];

	(void)state;
	assert_int_equal(
		text("[\"cd\",\"disk0\",\"net0\",\"net1\",\"pci0\",\"scsi0.0\"]", out, NULL), 0);
	assert_string_equal(out, "/pci@i0cf8/scsi@1e/channel@0/disk@0,ff\n"
				 "/pci@i0cf8/scsi@2/disk@0,0\n"
				 "/pci@i0cf8/ethernet@a/ethernet-phy@0\n"
				 "/pci@i0cf8/ethernet@b/ethernet-phy@0\n"
				 "/pci@i0cf8/pci@5\n"
				 "/pci@i0cf8/scsi@1e/channel@0/disk@0,0");
	assert_int_equal(text("[\"dvd\",\"hd\"]", out, NULL), 0);
	assert_string_equal(out, "/pci@i0cf8/ide@1,1/drive@1/disk@0\n"
				 "/pci@i0cf8/ide@1,1/drive@0/disk@1");
	assert_int_equal(text("[\"sata\"]", out, NULL), 0);
	assert_string_equal(out, "/pci@i0cf8/pci8086,2922@7/drive@5/disk@0");
	assert_int_equal(text("[\"b\"]", out, NULL), 0);
	assert_string_equal(out, "/pci@i0cf8/isa@1/fdc@03f0/floppy@1");
	assert_int_equal(text(NULL, out, NULL), 0);
	assert_string_equal(out, "");
}

static void test_refused(void **state)
{
	char out[BOOTORDER_MAX];
	struct err e = { 0 };

	(void)state;
	assert_int_equal(text("[\"disk0\",\"disk1\"]", out, &e), -ERR_INVALID);
	assert_string_equal(e.msg, "boot order: nothing to start from is 'disk1'");
	assert_int_equal(text("[\"com1\"]", out, &e), -ERR_INVALID);
	assert_int_equal(text("[\"scsi0\"]", out, &e), -ERR_INVALID); /* one of its disks */
	assert_int_equal(text("[null]", out, &e), -ERR_INVALID);
}

/* So many that they do not fit are an error, and no overflow. */
static void test_many(void **state)
{
	AUTO_JSON struct json_object *list = json_object_new_array(), *all = NULL;
	char out[BOOTORDER_MAX];
	struct err e = { 0 };

	(void)state;
	assert_int_equal(json_parse(devices, strlen(devices), &all, NULL), 0);
	for (unsigned int i = 0; i < 1000; i++)
		json_object_array_add(list, json_object_new_string("cd"));
	assert_int_equal(bootorder_text(list, all, out, &e), -ERR_INVALID);
	assert_string_equal(e.msg, "boot order: more than 4096 bytes");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_paths),
		cmocka_unit_test(test_refused),
		cmocka_unit_test(test_many),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
