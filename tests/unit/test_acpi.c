// SPDX-License-Identifier: MIT
/* vmm/x86/acpi.c: structure and checksums of every table; iasl's opinion where iasl is installed. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "lib/errcat.h"
#include "vmm/x86/acpi.h"
#include "vmm/x86/map.h"
#include "tests/lib/skip.h"

#define RAM (2 * MIB)

struct fixture {
	uint8_t *ram;
	struct gmem g;
	struct acpi_config c;
	uint64_t rsdp;
	struct err e;
};

static int acpi_setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	f->ram = mmap(NULL, RAM, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	assert_true(f->ram != MAP_FAILED);
	gmem_init_buffer(&f->g, f->ram, RAM);
	f->c = (struct acpi_config){
		.nvcpus = 2, .rtc = true, .i8042 = true, .com = { true }, .ecam = true
	};
	*state = f;
	return 0;
}

static int acpi_teardown(void **state)
{
	struct fixture *f = *state;

	gmem_fini(&f->g);
	munmap(f->ram, RAM);
	free(f);
	return 0;
}

static uint64_t acpi_get(const uint8_t *p, size_t len)
{
	uint64_t v = 0;

	memcpy(&v, p, len);
	return v;
}

static uint8_t acpi_sum(const uint8_t *p, size_t len)
{
	uint8_t sum = 0;

	while (len--)
		sum += *p++;
	return sum;
}

/* A table at gpa: inside of the tables' area and with a right checksum. */
static const uint8_t *acpi_at(struct fixture *f, uint64_t gpa, const char *signature)
{
	const uint8_t *t = gmem_ptr(&f->g, gpa, 36);
	size_t len;

	assert_non_null(t);
	assert_true(gpa >= MAP_ACPI_TABLES);
	assert_memory_equal(t, signature, 4);
	len = acpi_get(t + 4, 4);
	assert_true(len <= MAP_KERNEL - gpa);
	if (memcmp(signature, "FACS", 4) != 0)
		assert_int_equal(acpi_sum(t, len), 0);
	return t;
}

static const uint8_t *acpi_table(struct fixture *f, const char *signature)
{
	const uint8_t *xsdt = acpi_at(f, acpi_get(f->ram + f->rsdp + 24, 8), "XSDT");
	size_t n = (acpi_get(xsdt + 4, 4) - 36) / 8;

	for (size_t i = 0; i < n; i++) {
		uint64_t gpa = acpi_get(xsdt + 36 + 8 * i, 8);

		if (memcmp(f->ram + gpa, signature, 4) == 0)
			return acpi_at(f, gpa, signature);
	}
	fail_msg("no %s in the XSDT", signature);
	return NULL;
}

static void acpi_make(struct fixture *f)
{
	assert_int_equal(acpi_build(&f->g, &f->c, &f->rsdp, &f->e), 0);
}

static void rsdp_and_dsdt(void **state)
{
	struct fixture *f = *state;
	const uint8_t *rsdp, *fadt;

	acpi_make(f);
	assert_int_equal(f->rsdp, MAP_ACPI_RSDP);
	rsdp = f->ram + f->rsdp;
	assert_memory_equal(rsdp, "RSD PTR ", 8);
	assert_int_equal(acpi_sum(rsdp, 20), 0);
	assert_int_equal(acpi_sum(rsdp, 36), 0);
	assert_int_equal(rsdp[15], 2);
	fadt = acpi_table(f, "FACP");
	acpi_at(f, acpi_get(fadt + 140, 8), "DSDT");
	assert_int_equal(acpi_get(fadt + 40, 4), acpi_get(fadt + 140, 8));
	acpi_at(f, acpi_get(fadt + 36, 4), "FACS");
	assert_int_equal(acpi_get(fadt + 36, 4) % 64, 0);
}

static void fadt_fields(void **state)
{
	struct fixture *f = *state;
	const uint8_t *t;

	acpi_make(f);
	t = acpi_table(f, "FACP");
	assert_int_equal(acpi_get(t + 4, 4), 276);
	assert_int_equal(t[8], 6);
	assert_int_equal(acpi_get(t + 46, 2), MAP_GSI_SCI);
	assert_int_equal(acpi_get(t + 56, 4), MAP_PM1_EVT);
	assert_int_equal(acpi_get(t + 64, 4), MAP_PM1_CNT);
	assert_int_equal(acpi_get(t + 76, 4), MAP_PM_TMR);
	assert_int_equal(acpi_get(t + 109, 2), 0x17);  /* ISA, 8042, no VGA, no ASPM */
	assert_int_equal(acpi_get(t + 112, 4), 0x525); /* an RTC that can wake */
	assert_int_equal(acpi_get(t + 120, 8), MAP_RESET_REG);
	assert_int_equal(t[128], MAP_RESET_VALUE);
	f->c = (struct acpi_config){ .nvcpus = 1 };
	acpi_make(f);
	assert_int_equal(acpi_get(acpi_table(f, "FACP") + 109, 2), 0x34); /* no RTC either */
	assert_int_equal(acpi_get(acpi_table(f, "FACP") + 112, 4), 0x565);
}

/* The FACS is the guest's: whatever it writes there. Section 5.2.10 */
static void waking_vectors(void **state)
{
	static const struct {
		uint32_t vector;
		uint64_t x_vector;
		uint8_t version;
		bool there, protected_mode;
		uint32_t to;
	} cases[] = {
		{ 0, 0, 2, false, false, 0 },
		{ 0x9a123, 0, 2, true, false, 0x9a123 },
		{ 0xfffff, 0, 2, true, false, 0xfffff },
		{ 0x100000, 0, 2, false, false, 0 }, /* real mode does not reach it */
		{ 0xffffffff, 0, 2, false, false, 0 },
		{ 0x9a000, 0x100000, 2, true, true, 0x100000 },
		{ 0, 0xfffffff0, 2, true, true, 0xfffffff0 },
		{ 0x9a000, 0x100000000, 2, false, false, 0 },
		{ 0x9a000, 0x100000, 0, true, false, 0x9a000 }, /* before there was such a field */
	};
	struct fixture *f = *state;
	struct acpi_waking w;
	struct gmem small;
	uint8_t *facs;

	acpi_make(f);
	facs = gmem_ptr(&f->g, acpi_get(acpi_table(f, "FACP") + 36, 4), 64);
	assert_ptr_equal(facs, f->ram + MAP_ACPI_FACS);
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		memcpy(facs + 12, &cases[i].vector, 4);
		memcpy(facs + 24, &cases[i].x_vector, 8);
		facs[32] = cases[i].version;
		assert_int_equal(acpi_get_waking(&f->g, &w), cases[i].there);
		if (!cases[i].there)
			continue;
		assert_int_equal(w.vector, cases[i].to);
		assert_int_equal(w.protected_mode, cases[i].protected_mode);
	}
	gmem_init_buffer(&small, f->ram, MAP_ACPI_FACS);
	assert_false(acpi_get_waking(&small, &w));
	gmem_fini(&small);
}

/* Bytes of the MADT's entries of a type; count in *ret_n. */
static const uint8_t *madt_find(const uint8_t *madt, unsigned int type, unsigned int *ret_n)
{
	size_t len = acpi_get(madt + 4, 4);
	const uint8_t *first = NULL;
	size_t pos = 44;

	*ret_n = 0;
	while (pos < len) {
		if (madt[pos] == type) {
			if (!first)
				first = madt + pos;
			(*ret_n)++;
		}
		assert_true(madt[pos + 1] >= 2);
		pos += madt[pos + 1];
	}
	assert_int_equal(pos, len);
	return first;
}

static void madt_split(void **state)
{
	struct fixture *f = *state;
	const uint8_t *t, *p;
	unsigned int n;

	acpi_make(f);
	t = acpi_table(f, "APIC");
	assert_int_equal(acpi_get(t + 36, 4), GMEM_LAPIC_BASE);
	assert_int_equal(acpi_get(t + 40, 4), 0);
	p = madt_find(t, 0, &n);
	assert_int_equal(n, 2);
	assert_int_equal(p[8 + 3], 1);
	p = madt_find(t, 1, &n);
	assert_int_equal(n, 1);
	assert_int_equal(acpi_get(p + 4, 4), GMEM_IOAPIC_BASE);
	p = madt_find(t, 2, &n);
	assert_int_equal(n, 1);
	assert_int_equal(p[3], MAP_GSI_SCI);
	assert_int_equal(acpi_get(p + 8, 2), 0xd);
	madt_find(t, 9, &n);
	assert_int_equal(n, 0);
}

static void madt_pic_and_many(void **state)
{
	struct fixture *f = *state;
	const uint8_t *t, *p;
	unsigned int n;

	f->c.pic = true;
	f->c.nvcpus = 300;
	acpi_make(f);
	t = acpi_table(f, "APIC");
	assert_int_equal(acpi_get(t + 40, 4), 1);
	madt_find(t, 0, &n);
	assert_int_equal(n, 255);
	p = madt_find(t, 9, &n);
	assert_int_equal(n, 45);
	assert_int_equal(acpi_get(p + 4, 4), 255);
	p = madt_find(t, 2, &n);
	assert_int_equal(n, 2);
	assert_int_equal(p[3], 0);
	assert_int_equal(acpi_get(p + 4, 4), MAP_GSI_PIT);
	madt_find(t, 10, &n);
	assert_int_equal(n, 1);
}

static void mcfg_and_ssdt(void **state)
{
	struct fixture *f = *state;
	const uint8_t *t;

	f->c.com[2] = f->c.floppy = f->c.pvpanic = true;
	f->c.rtc = false;
	f->c.pci32 = (struct gmem_window){ .base = 0x80000000, .size = 0x7ec00000 };
	f->c.pci64 = (struct gmem_window){ .base = 256 * GIB, .size = 128 * GIB };
	acpi_make(f);
	t = acpi_table(f, "MCFG");
	assert_int_equal(acpi_get(t + 44, 8), GMEM_ECAM_START);
	assert_int_equal(t[55], 255);
	t = acpi_table(f, "SSDT");
	assert_memory_equal(t + 36,
			    "\x08HCM1\x0a\x01\x08HCM2\x0a\x00\x08HCM3\x0a\x01\x08HCM4\x0a\x00"
			    "\x08HRTC\x0a\x00\x08HKBD\x0a\x01\x08HECM\x0a\x01\x08HFDC\x0a\x01"
			    "\x08HPVP\x0a\x01"
			    "\x08P32B\x0e\0\0\0\x80\0\0\0\0\x08P32L\x0e\0\0\xc0\x7e\0\0\0\0"
			    "\x08P64B\x0e\0\0\0\0\x40\0\0\0\x08P64L\x0e\0\0\0\0\x20\0\0\0",
			    119);
	assert_int_equal(acpi_get(t + 4, 4), 36 + 119);
}

/* A chipset without configuration space in memory: no MCFG, and nothing reserved for it. */
static void no_ecam(void **state)
{
	struct fixture *f = *state;
	const uint8_t *xsdt, *ssdt;

	f->c.ecam = false;
	acpi_make(f);
	xsdt = acpi_at(f, acpi_get(f->ram + f->rsdp + 24, 8), "XSDT");
	assert_int_equal(acpi_get(xsdt + 4, 4), 36 + 3 * 8);
	ssdt = acpi_table(f, "SSDT");
	assert_memory_equal(ssdt + 36 + 6 * 7, "\x08HECM\x0a\x00", 7);
}

static void does_not_fit(void **state)
{
	struct fixture *f = *state;

	f->c.nvcpus = 100000;
	assert_int_equal(acpi_build(&f->g, &f->c, &f->rsdp, &f->e), -ERR_MEMORY);
	assert_string_equal(f->e.msg, "the ACPI tables of 100000 vCPUs do not fit below 1 MiB");
	gmem_fini(&f->g);
	gmem_init_buffer(&f->g, f->ram, 4096);
	f->c.nvcpus = 1;
	assert_int_equal(acpi_build(&f->g, &f->c, &f->rsdp, &f->e), -ERR_MEMORY);
	gmem_init_buffer(&f->g, f->ram, MAP_ACPI_TABLES + 2048); /* the last tables have no room */
	f->c.nvcpus = 255;
	assert_int_equal(acpi_build(&f->g, &f->c, &f->rsdp, &f->e), -ERR_MEMORY);
}

/* --- iasl ------------------------------------------------------------------------------------- */

static void iasl_dump(const char *dir, const char *name, const uint8_t *t)
{
	char path[128];
	FILE *out;

	snprintf(path, sizeof(path), "%s/%s.dat", dir, name);
	out = fopen(path, "w");
	assert_non_null(out);
	assert_int_equal(fwrite(t, acpi_get(t + 4, 4), 1, out), 1);
	fclose(out);
}

/* Disassemble and compile again: each output must be free of errors and warnings. */
static void iasl_agrees(void **state)
{
	struct fixture *f = *state;
	char dir[] = "/tmp/acpi-XXXXXX", cmd[1024];
	const uint8_t *fadt;

	if (system("command -v iasl >/dev/null 2>&1") != 0)
		SKIP_BECAUSE("no iasl");
	f->c.pic = true;
	f->c.nvcpus = 257;
	acpi_make(f);
	fadt = acpi_table(f, "FACP");
	assert_non_null(mkdtemp(dir));
	iasl_dump(dir, "facp", fadt);
	iasl_dump(dir, "dsdt", acpi_at(f, acpi_get(fadt + 140, 8), "DSDT"));
	iasl_dump(dir, "apic", acpi_table(f, "APIC"));
	iasl_dump(dir, "mcfg", acpi_table(f, "MCFG"));
	iasl_dump(dir, "ssdt", acpi_table(f, "SSDT"));
	snprintf(cmd, sizeof(cmd),
		 "cd %s && iasl -e ssdt.dat -d dsdt.dat >d.log 2>&1 && iasl -d facp.dat apic.dat "
		 "mcfg.dat ssdt.dat >>d.log 2>&1 && ! grep -Ei 'warning|error|incorrect|unknown' "
		 "d.log && "
		 "for t in dsdt facp apic mcfg ssdt; do iasl -vs -p out $t.dsl >c.log 2>&1 && "
		 "grep -q '0 Errors, 0 Warnings' c.log || { echo \"# $t\"; sed 's/^/# /' c.log; "
		 "exit 1; }; done",
		 dir);
	assert_int_equal(system(cmd), 0);
	snprintf(cmd, sizeof(cmd), "rm -rf %s", dir);
	assert_int_equal(system(cmd), 0);
}

#define ACPI_TEST(f) cmocka_unit_test_setup_teardown(f, acpi_setup, acpi_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		ACPI_TEST(rsdp_and_dsdt), ACPI_TEST(fadt_fields),	ACPI_TEST(waking_vectors),
		ACPI_TEST(madt_split),	  ACPI_TEST(madt_pic_and_many), ACPI_TEST(mcfg_and_ssdt),
		ACPI_TEST(no_ecam),	  ACPI_TEST(does_not_fit),	ACPI_TEST(iasl_agrees),
	};

	return cmocka_run_group_tests_name("acpi", tests, NULL, NULL);
}
