// SPDX-License-Identifier: MIT
/* Which firmware of a host `firmware: uefi` is: hosts of descriptions of our own, and those of Debian's package ovmf. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/auto.h"
#include "lib/errcat.h"
#include "lib/vmdef.h"

#define ETC "/etc/qemu/firmware"
#define USR "/usr/share/qemu/firmware"

struct host {
	char root[64];
};

static int setup(void **state)
{
	static const char *const folders[] = { "/etc",	     "/etc/qemu",	ETC, "/usr",
					       "/usr/share", "/usr/share/qemu", USR };
	struct host *h = calloc(1, sizeof(*h));
	char path[128];

	snprintf(h->root, sizeof(h->root), "/tmp/test_vmdef_uefi.XXXXXX");
	assert_non_null(mkdtemp(h->root));
	for (size_t i = 0; i < ARRAY_SIZE(folders); i++) {
		snprintf(path, sizeof(path), "%s%s", h->root, folders[i]);
		assert_int_equal(mkdir(path, 0700), 0);
	}
	*state = h;
	return 0;
}

static int teardown(void **state)
{
	struct host *h = *state;
	char command[128];

	snprintf(command, sizeof(command), "rm -r '%s'", h->root);
	assert_int_equal(system(command), 0);
	free(h);
	return 0;
}

static void put(const struct host *h, const char *folder, const char *name, const char *text)
{
	char path[160];
	FILE *f;

	snprintf(path, sizeof(path), "%s%s/%s", h->root, folder, name);
	f = fopen(path, "w");
	assert_non_null(f);
	fputs(text, f);
	fclose(f);
}

/* A description whose files are /NAME.code and /NAME.vars */
static void describe(const struct host *h, const char *folder, const char *name,
		     const char *machines, const char *features)
{
	char text[1024], file[64];

	snprintf(text, sizeof(text),
		 "{\"interface-types\":[\"uefi\"],\"mapping\":{\"device\":\"flash\","
		 "\"executable\":{\"filename\":\"/%s.code\",\"format\":\"raw\"},"
		 "\"nvram-template\":{\"filename\":\"/%s.vars\",\"format\":\"raw\"}},"
		 "\"targets\":[{\"architecture\":\"aarch64\",\"machines\":[\"virt-*\"]},"
		 "{\"architecture\":\"x86_64\",\"machines\":[%s]}],\"features\":[%s]}",
		 name, name, machines, features);
	snprintf(file, sizeof(file), "%s.json", name);
	put(h, folder, file, text);
}

#define BOTH "\"pc-i440fx-*\",\"pc-q35-*\""

/* "CODE VARS" of what was found, or "CODE: message" */
static const char *found(const struct host *h, bool secure, const char *vars)
{
	static char out[1024];
	AUTO_JSON struct json_object *config = NULL;
	struct err e = { 0 };
	int ret;

	snprintf(out, sizeof(out),
		 "{\"boot\":{\"firmware\":\"uefi\"%s},\"devices\":[{\"type\":\"rtc\"},"
		 "{\"type\":\"cfi-flash\"%s%s%s}]}",
		 secure ? ",\"secure\":true" : "", vars ? ",\"vars\":\"" : "", vars ? vars : "",
		 vars ? "\"" : "");
	assert_int_equal(json_parse(out, strlen(out), &config, NULL), 0);
	ret = vmdef_find_firmware(config, h->root, &e);
	if (ret < 0)
		snprintf(out, sizeof(out), "%d: %s", -ret, e.msg);
	else
		snprintf(out, sizeof(out), "%s %s",
			 json_get_str(json_get(config, "boot"), "firmware", ""),
			 json_get_str(json_at(config, "/devices/1"), "vars", ""));
	return out;
}

static void the_first_that_fits(void **state)
{
	struct host *h = *state;

	describe(h, USR, "10-arm", "", "");
	describe(h, USR, "20-q35", "\"pc-q35-*\"", "");
	describe(h, USR, "30-keys", BOTH, "\"secure-boot\",\"enrolled-keys\"");
	describe(h, USR, "40-smm", BOTH, "\"requires-smm\"");
	describe(h, USR, "60-late", BOTH, "");
	describe(h, USR, "50-good", BOTH, "\"acpi-s3\",\"secure-boot\"");
	assert_string_equal(found(h, false, NULL), "/50-good.code /50-good.vars");
	assert_string_equal(found(h, true, NULL), "/30-keys.code /30-keys.vars");
	assert_string_equal(found(h, false, "/mine"), "/50-good.code /mine");
}

/* /etc is the administrator's: a file there is in the place of the package's, an empty one takes it away. */
static void the_administrator_decides(void **state)
{
	struct host *h = *state;

	describe(h, USR, "50-a", BOTH, "");
	describe(h, USR, "60-b", BOTH, "");
	put(h, ETC, "50-a.json", "");
	assert_string_equal(found(h, false, NULL), "/60-b.code /60-b.vars");
	describe(h, ETC, "05-own", BOTH, "");
	assert_string_equal(found(h, false, NULL), "/05-own.code /05-own.vars");
}

/* No flash, a unified image, qcow2, a BIOS, JSON of another shape: what is no pair of files for a flash is no error. */
static void what_is_strange_is_passed_over(void **state)
{
	struct host *h = *state;

	put(h, USR, "1.json", "[1,2");
	put(h, USR, "2.json", "{\"interface-types\":\"uefi\",\"targets\":{},\"mapping\":[]}");
	put(h, USR, "3.json",
	    "{\"interface-types\":[\"uefi\",7],\"mapping\":{\"device\":\"memory\",\"filename\":"
	    "\"/x\"},\"targets\":[3,{\"architecture\":\"x86_64\",\"machines\":[null]}]}");
	put(h, USR, "4.json",
	    "{\"interface-types\":[\"uefi\"],\"mapping\":{\"device\":\"flash\",\"mode\":"
	    "\"combined\",\"executable\":{\"filename\":\"/x\",\"format\":\"raw\"}},\"targets\":"
	    "[{\"architecture\":\"x86_64\",\"machines\":[\"pc-i440fx-*\"]}],\"features\":[]}");
	describe(h, USR, "5", BOTH, "");
	put(h, USR, "README", "text");
	assert_string_equal(found(h, false, NULL), "/5.code /5.vars");
}

static void none_fits(void **state)
{
	struct host *h = *state;

	assert_string_equal(found(h, false, NULL),
			    "1402: no UEFI firmware for this machine: 0 descriptions in " ETC
			    " and " USR ", and none fits");
	describe(h, USR, "a", "\"pc-q35-*\"", "");
	assert_string_equal(found(h, true, NULL),
			    "1402: no UEFI firmware with Secure Boot for this machine: 1 "
			    "descriptions in " ETC " and " USR ", and none fits");
}

/* Debian's three descriptions, by their features */
static void debians_secure_boot_needs_smm(void **state)
{
	struct host *h = *state;

	describe(h, USR, "40-enrolled", "\"pc-q35-*\"",
		 "\"enrolled-keys\",\"requires-smm\",\"secure-boot\"");
	describe(h, USR, "50-secure", "\"pc-q35-*\"", "\"requires-smm\",\"secure-boot\"");
	describe(h, USR, "60-plain", BOTH, "\"acpi-s3\",\"amd-sev\",\"verbose-dynamic\"");
	assert_string_equal(found(h, false, NULL), "/60-plain.code /60-plain.vars");
	assert_string_equal(found(h, true, NULL),
			    "1402: Secure Boot: '/40-enrolled.code' of the host needs system "
			    "management mode, which the machine has not");
}

static void other_firmware_is_left_alone(void **state)
{
	AUTO_JSON struct json_object *config =
		json_add(json_new(), "boot", json_add_str(json_new(), "firmware", "/x"));
	struct host *h = *state;

	assert_int_equal(vmdef_find_firmware(config, h->root, NULL), 0);
	assert_string_equal(json_get_str(json_get(config, "boot"), "firmware", ""), "/x");
}

/* A template is opened to be read; which firmware it goes with is not known before it was found. */
static void its_files(void **state)
{
	static const char text[] = "{\"boot\":{\"firmware\":\"uefi\"},\"devices\":[{\"type\":"
				   "\"cfi-flash\",\"id\":\"nvram\",\"vars\":\"/v\"}]}";
	AUTO_JSON struct json_object *config = NULL;
	struct vmdef_file files[VMDEF_FILES_MAX];

	(void)state;
	assert_int_equal(json_parse(text, strlen(text), &config, NULL), 0);
	assert_int_equal(vmdef_files(config, files, NULL), 1);
	assert_string_equal(files[0].pointer, "/devices/0/vars");
	assert_string_equal(files[0].what, "template of variables");
	assert_int_equal(files[0].open_flags, O_RDONLY | O_CLOEXEC);
	assert_false(files[0].image);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define UEFI_TEST(t) cmocka_unit_test_setup_teardown(t, setup, teardown)
		UEFI_TEST(the_first_that_fits),
		UEFI_TEST(the_administrator_decides),
		UEFI_TEST(what_is_strange_is_passed_over),
		UEFI_TEST(none_fits),
		UEFI_TEST(debians_secure_boot_needs_smm),
		UEFI_TEST(other_firmware_is_left_alone),
		cmocka_unit_test(its_files),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
