// SPDX-License-Identifier: MIT
// SMBIOS tables, walked as a guest does (DSP0134 2.8, sections 5.2.1, 6.1 and 7).
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "lib/errcat.h"
#include "tests/unit/fake_board.h"
#include "vmm/dev/dev.h"
#include "vmm/dev/fw_cfg.h"
#include "vmm/x86/smbios.h"

#define UUID "1b4e28ba-2fa1-11d2-883f-0016d3cca427"

struct fixture {
	struct fake_board fb;
	struct device *fw_cfg;
	struct gmem g;
	struct smbios_config c;
	uint8_t anchor[64], tables[70000];
	uint32_t size;
};

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	fake_board_init(&f->fb, MIB);
	f->fw_cfg = fake_board_add(&f->fb, &fw_cfg_class, "fw-cfg", NULL);
	f->g = (struct gmem){ .size = 512 * MIB,
			      .nregions = 1,
			      .regions = { { .size = 512 * MIB } } };
	f->c = (struct smbios_config){ .uuid = UUID, .nvcpus = 6 };
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	json_object_put(f->c.system);
	fake_board_remove(&f->fb, f->fw_cfg);
	fake_board_fini(&f->fb);
	free(f);
	return 0;
}

static uint32_t file(struct fixture *f, unsigned int index, uint8_t *out, size_t max)
{
	uint8_t dir[4 + 8 * 64];
	const uint8_t *at = dir + 4 + (size_t)index * 64;
	uint32_t size;

	fake_out(&f->fb, 0x510, 2, FW_CFG_FILE_DIR);
	for (size_t i = 0; i < sizeof(dir); i++)
		dir[i] = fake_in8(&f->fb, 0x511);
	size = (uint32_t)at[1] << 16 | at[2] << 8 | at[3];
	assert_true(size <= max);
	fake_out(&f->fb, 0x510, 2, at[4] << 8 | at[5]);
	for (uint32_t k = 0; k < size; k++)
		out[k] = fake_in8(&f->fb, 0x511);
	return size;
}

static void make(struct fixture *f)
{
	struct err e = { 0 };

	if (smbios_add(f->fw_cfg, &f->g, &f->c, &e) < 0)
		fail_msg("%s", e.msg);
	f->size = file(f, 0, f->tables, sizeof(f->tables));
	assert_int_equal(file(f, 1, f->anchor, sizeof(f->anchor)), 0x1f);
}

static uint64_t get(const uint8_t *p, size_t n)
{
	uint64_t v = 0;

	memcpy(&v, p, n);
	return v;
}

/* Behind the strings of a structure; its strings are counted */
static const uint8_t *next(const uint8_t *at, unsigned int *ret_strings)
{
	const uint8_t *p = at + at[1];

	*ret_strings = 0;
	if (!*p)
		return p + 2;
	for (; *p; p += strlen((const char *)p) + 1)
		(*ret_strings)++;
	return p + 1;
}

/* The n-th structure of a type; NULL: there is none */
static const uint8_t *find(const struct fixture *f, uint8_t type, unsigned int n)
{
	const uint8_t *at = f->tables;
	unsigned int strings;

	for (; at < f->tables + f->size; at = next(at, &strings))
		if (at[0] == type && !n--)
			return at;
	return NULL;
}

/* The text that the byte at this offset names; "": none */
static const char *text(const uint8_t *at, unsigned int off)
{
	const char *p = (const char *)at + at[1];

	assert_in_range(off, 4, at[1] - 1);
	if (!at[off])
		return "";
	for (unsigned int i = 1; i < at[off]; i++)
		p += strlen(p) + 1;
	return p;
}

static uint8_t sum(const uint8_t *p, size_t n)
{
	uint8_t s = 0;

	while (n--)
		s += *p++;
	return s;
}

static void test_walk(void **state)
{
	/* type and length of each */
	static const uint8_t all[][2] = { { 0, 24 },  { 1, 27 },  { 3, 22 },  { 4, 42 }, { 16, 23 },
					  { 17, 40 }, { 19, 31 }, { 32, 11 }, { 127, 4 } };
	struct fixture *f = *state;
	unsigned int strings, largest = 0;
	const uint8_t *at = f->tables, *after;

	make(f);
	for (unsigned int i = 0; i < ARRAY_SIZE(all); i++, at = after) {
		assert_int_equal(at[0], all[i][0]);
		assert_int_equal(at[1], all[i][1]);
		after = next(at, &strings);
		largest = MAX(largest, (unsigned int)(after - at));
	}
	assert_ptr_equal(at, f->tables + f->size);
	assert_memory_equal(f->anchor, "_SM_", 4);
	assert_int_equal(sum(f->anchor, 0x1f), 0);
	assert_memory_equal(f->anchor + 0x10, "_DMI_", 5);
	assert_int_equal(sum(f->anchor + 0x10, 0xf), 0);
	assert_int_equal(f->anchor[6] << 8 | f->anchor[7], 0x208);
	assert_int_equal(get(f->anchor + 8, 2), largest);
	assert_int_equal(get(f->anchor + 0x16, 2), f->size);
	assert_int_equal(get(f->anchor + 0x1c, 2), ARRAY_SIZE(all));
}

static void test_defaults(void **state)
{
	struct fixture *f = *state;
	const uint8_t *t;

	make(f);
	t = find(f, 0, 0);
	assert_string_equal(text(t, 4), "vmd");
	assert_int_equal(t[0x13], 0x10); /* a virtual machine */
	t = find(f, 1, 0);
	assert_string_equal(text(t, 4), "vmd");
	assert_string_equal(text(t, 5), "virtual machine");
	assert_string_equal(text(t, 7), "");
	/* the VM's own; three fields of it are little endian */
	assert_memory_equal(t + 8,
			    "\xba\x28\x4e\x1b\xa1\x2f\xd2\x11\x88\x3f\x00\x16\xd3\xcc\xa4\x27", 16);
	t = find(f, 4, 0);
	assert_int_equal(t[0x18], 0x41);
	assert_int_equal(t[0x23], 6);
	assert_int_equal(t[0x25], 6);
	assert_null(find(f, 11, 0));
}

static void test_given(void **state)
{
	static const char system[] =
		"{\"manufacturer\":\"M\",\"product\":\"P\",\"version\":\"V\",\"serial\":\"S\","
		"\"sku\":\"K\",\"family\":\"F\",\"uuid\":\"00112233-4455-6677-8899-aabbccddeeff\","
		"\"oem_strings\":[\"one\",\"two\"]}";
	struct fixture *f = *state;
	const uint8_t *t;

	assert_int_equal(json_parse(system, strlen(system), &f->c.system, NULL), 0);
	make(f);
	t = find(f, 1, 0);
	assert_string_equal(text(t, 4), "M");
	assert_string_equal(text(t, 5), "P");
	assert_string_equal(text(t, 6), "V");
	assert_string_equal(text(t, 7), "S");
	assert_string_equal(text(t, 25), "K");
	assert_string_equal(text(t, 26), "F");
	assert_memory_equal(t + 8,
			    "\x33\x22\x11\x00\x55\x44\x77\x66\x88\x99\xaa\xbb\xcc\xdd\xee\xff", 16);
	t = find(f, 3, 0);
	assert_string_equal(text(t, 4), "M");
	assert_string_equal(text(t, 7), "S");
	t = find(f, 11, 0);
	assert_int_equal(t[4], 2);
	assert_memory_equal(t + t[1], "one\0two\0", 9);
}

/* Sizes that the old fields have, and those that they have not: sections 7.17.1, 7.18.5 and 7.20 */
static void memory(struct fixture *f, uint64_t low, uint64_t high)
{
	f->g.size = low + high;
	f->g.nregions = high ? 2 : 1;
	f->g.regions[0] = (struct gmem_region){ .size = low };
	f->g.regions[1] = (struct gmem_region){ .gpa = 4 * GIB, .size = high };
	make(f);
}

static void test_memory(void **state)
{
	struct fixture *f = *state;
	const uint8_t *t;

	memory(f, 512 * MIB, 0);
	assert_int_equal(get(find(f, 16, 0) + 7, 4), 512 * KIB);
	t = find(f, 17, 0);
	assert_int_equal(get(t + 4, 2), get(find(f, 16, 0) + 2, 2));
	assert_int_equal(get(t + 12, 2), 512);
	assert_int_equal(get(t + 28, 4), 0);
	t = find(f, 19, 0);
	assert_int_equal(get(t + 4, 4), 0);
	assert_int_equal(get(t + 8, 4), 512 * KIB - 1);
	assert_null(find(f, 19, 1));
}

static void test_memory_large(void **state)
{
	struct fixture *f = *state;
	const uint8_t *t;

	memory(f, 3 * GIB, 61 * GIB);
	t = find(f, 17, 0);
	assert_int_equal(get(t + 12, 2), 0x7fff);
	assert_int_equal(get(t + 28, 4), 64 * 1024);
	t = find(f, 19, 1);
	assert_int_not_equal(get(t + 2, 2), get(find(f, 19, 0) + 2, 2)); /* handles */
	assert_int_equal(get(t + 4, 4), 4 * MIB);
	assert_int_equal(get(t + 8, 4), 65 * MIB - 1);
}

static void test_memory_huge(void **state)
{
	struct fixture *f = *state;
	const uint8_t *t;

	memory(f, 3 * GIB, 5 * 1024 * GIB);
	t = find(f, 16, 0);
	assert_int_equal(get(t + 7, 4), 0x80000000);
	assert_int_equal(get(t + 15, 8), 5 * 1024 * GIB + 3 * GIB);
	t = find(f, 19, 1);
	assert_int_equal(get(t + 4, 4), 0xffffffff);
	assert_int_equal(get(t + 15, 8), 4 * GIB);
	assert_int_equal(get(t + 23, 8), 5 * 1024 * GIB + 4 * GIB - 1);
}

/* As much as the schema lets through fits; more is an error and no overflow. */
static void test_strings(void **state)
{
	struct fixture *f = *state;
	struct json_object *list = json_object_new_array();
	struct err e = { 0 };
	char line[300];

	memset(line, 'x', sizeof(line));
	line[sizeof(line) - 1] = '\0';
	for (unsigned int i = 0; i < 31; i++)
		json_object_array_add(list, json_object_new_string(line));
	f->c.system = json_add(json_new(), "oem_strings", list);
	assert_int_equal(smbios_add(f->fw_cfg, &f->g, &f->c, &e), -ERR_INVALID);
	assert_string_equal(e.msg, "the SMBIOS tables do not fit into 64 KiB");
	line[240] = '\0'; /* 60 characters of four bytes */
	for (size_t i = 0; i < 31; i++)
		json_object_array_put_idx(list, i, json_object_new_string(line));
	make(f);
	assert_int_equal(find(f, 11, 0)[4], 31);
	assert_non_null(find(f, 127, 0));
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(test_walk),	      T(test_defaults),	   T(test_given),   T(test_memory),
		T(test_memory_large), T(test_memory_huge), T(test_strings),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
