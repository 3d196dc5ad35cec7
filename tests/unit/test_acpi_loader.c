// SPDX-License-Identifier: MIT
// The ACPI tables as firmware makes them: the commands are carried out as SeaBIOS does, at addresses of the test's choice.
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "tests/unit/fake_board.h"
#include "vmm/dev/dev.h"
#include "vmm/dev/fw_cfg.h"
#include "vmm/x86/acpi_loader.h"

#define RSDP_AT 0xf1230
#define TABLES_AT 0x3fe000
#define MEM_SIZE (5 * MIB)

struct fixture {
	struct fake_board fb;
	struct device *fw_cfg;
	uint8_t *mem; /* the guest's, as firmware has made it */
	unsigned int pointers, sums;
};

static uint64_t get(const uint8_t *p, size_t n)
{
	uint64_t v = 0;

	memcpy(&v, p, n);
	return v;
}

/* By name to out; its size */
static uint32_t file(struct fixture *f, const char *name, uint8_t *out, size_t max)
{
	uint8_t dir[4 + 32 * 64];

	fake_out(&f->fb, 0x510, 2, FW_CFG_FILE_DIR);
	for (size_t i = 0; i < sizeof(dir); i++)
		dir[i] = fake_in8(&f->fb, 0x511);
	for (unsigned int i = 0; i < dir[3]; i++) {
		const uint8_t *at = dir + 4 + i * 64;
		uint32_t size = (uint32_t)at[1] << 16 | at[2] << 8 | at[3];

		if (strcmp((const char *)at + 8, name) != 0)
			continue;
		assert_true(size <= max);
		fake_out(&f->fb, 0x510, 2, at[4] << 8 | at[5]);
		for (uint32_t k = 0; k < size; k++)
			out[k] = fake_in8(&f->fb, 0x511);
		return size;
	}
	fail_msg("no file %s", name);
	return 0;
}

static uint32_t place(const uint8_t *name)
{
	if (!strcmp((const char *)name, "etc/acpi/rsdp"))
		return RSDP_AT;
	assert_string_equal((const char *)name, "etc/acpi/tables");
	return TABLES_AT;
}

static void command(struct fixture *f, const uint8_t *c)
{
	uint32_t at, value;
	uint64_t v;
	uint8_t sum = 0;

	switch (get(c, 4)) {
	case 1: /* allocate: file, alignment, zone */
		at = place(c + 4);
		assert_int_equal(at % get(c + 60, 4), 0);
		assert_int_equal(c[64], at < MIB ? 2 : 1);
		file(f, (const char *)c + 4, f->mem + at, MIB - 0x1000);
		break;
	case 2: /* add the address of a file: in, to, offset, size */
		at = place(c + 4) + (uint32_t)get(c + 116, 4);
		assert_true(c[120] == 4 || c[120] == 8);
		v = get(f->mem + at, c[120]) + place(c + 60);
		memcpy(f->mem + at, &v, c[120]);
		f->pointers++;
		break;
	case 3: /* checksum: file, place, start, length. OVMF wants a 0 there */
		at = place(c + 4);
		value = at + (uint32_t)get(c + 60, 4);
		assert_int_equal(f->mem[value], 0);
		for (uint32_t i = 0; i < get(c + 68, 4); i++)
			sum += f->mem[at + get(c + 64, 4) + i];
		f->mem[value] = (uint8_t)-sum;
		f->sums++;
		break;
	default:
		fail_msg("command %u", (unsigned int)get(c, 4));
	}
}

static int setup(void **state)
{
	struct acpi_config acpi = {
		.nvcpus = 4, .pic = true, .rtc = true, .com = { true }, .ecam = true
	};
	struct fixture *f = calloc(1, sizeof(*f));
	uint8_t commands[64 * 128];
	struct err e = { 0 };
	uint32_t n;

	fake_board_init(&f->fb, MIB);
	f->fw_cfg = fake_board_add(&f->fb, &fw_cfg_class, "fw-cfg", NULL);
	if (acpi_loader_add(f->fw_cfg, &acpi, &e) < 0)
		fail_msg("%s", e.msg);
	f->mem = calloc(1, MEM_SIZE);
	n = file(f, "etc/table-loader", commands, sizeof(commands));
	assert_int_equal(n % 128, 0);
	for (uint32_t i = 0; i < n; i += 128)
		command(f, commands + i);
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	fake_board_remove(&f->fb, f->fw_cfg);
	fake_board_fini(&f->fb);
	free(f->mem);
	free(f);
	return 0;
}

static const uint8_t *table(struct fixture *f, uint64_t at, const char *signature)
{
	uint32_t length = (uint32_t)get(f->mem + at + 4, 4);
	uint8_t sum = 0;

	assert_in_range(at, TABLES_AT, TABLES_AT + 0x20000);
	assert_memory_equal(f->mem + at, signature, 4);
	assert_in_range(length, 36, 0x10000);
	for (uint32_t i = 0; i < length; i++)
		sum += f->mem[at + i];
	if (strcmp(signature, "FACS") != 0)
		assert_int_equal(sum, 0);
	return f->mem + at;
}

static void test_tables(void **state)
{
	static const char *const signatures[] = { "FACP", "APIC", "MCFG", "SSDT" };
	struct fixture *f = *state;
	const uint8_t *rsdp = f->mem + RSDP_AT, *rsdt, *xsdt, *fadt;
	uint8_t sum = 0, sum2 = 0;

	assert_memory_equal(rsdp, "RSD PTR ", 8);
	for (unsigned int i = 0; i < 36; i++) {
		sum += i < 20 ? rsdp[i] : 0;
		sum2 += rsdp[i];
	}
	assert_int_equal(sum, 0);
	assert_int_equal(sum2, 0);
	rsdt = table(f, get(rsdp + 16, 4), "RSDT");
	xsdt = table(f, get(rsdp + 24, 8), "XSDT");
	assert_int_equal(get(rsdt + 4, 4), 36 + 4 * ARRAY_SIZE(signatures));
	assert_int_equal(get(xsdt + 4, 4), 36 + 8 * ARRAY_SIZE(signatures));
	for (unsigned int i = 0; i < ARRAY_SIZE(signatures); i++) {
		assert_int_equal(get(rsdt + 36 + 4 * i, 4), get(xsdt + 36 + 8 * i, 8));
		table(f, get(xsdt + 36 + 8 * i, 8), signatures[i]);
	}
	fadt = table(f, get(xsdt + 36, 8), "FACP");
	table(f, get(fadt + 40, 4), "DSDT");
	assert_int_equal(get(fadt + 40, 4), get(fadt + 140, 8));
	table(f, get(fadt + 36, 4), "FACS");
	assert_int_equal(get(fadt + 36, 4) % 64, 0);
	/* every address that there is, and every table with addresses */
	assert_int_equal(f->pointers, 3 + 2 * ARRAY_SIZE(signatures) + 2);
	assert_int_equal(f->sums, 1 + 2 + 2);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_tables, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
