// SPDX-License-Identifier: MIT
/*
 * See acpi_loader.h. The tables are built as for a kernel (acpi.c), into a buffer in the place of the guest's memory. Then
 * every address in them becomes an offset into the file, and a command tells the firmware to add where it put the file; and
 * each table with such addresses gets its checksum once more. All multi-byte values are little endian.
 */
#include "vmm/x86/acpi_loader.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "vmm/dev/fw_cfg.h"
#include "vmm/x86/map.h"

#define ACPI_LOADER_TABLES "etc/acpi/tables"
#define ACPI_LOADER_RSDP "etc/acpi/rsdp"
#define ACPI_LOADER_ALIGN 64 /* the FACS wants it */
#define ACPI_LOADER_RSDP_ALIGN 16
#define ACPI_LOADER_COMMANDS 64 /* far more than the tables have addresses */

enum acpi_loader_command { ACPI_LOADER_ALLOCATE = 1, ACPI_LOADER_POINTER = 2, ACPI_LOADER_SUM = 3 };
enum acpi_loader_zone { ACPI_LOADER_HIGH = 1, ACPI_LOADER_FSEG = 2 };

/* One command, 128 bytes; names are NUL-terminated */
struct acpi_loader_entry {
	uint32_t command;
	union {
		struct {
			char file[56];
			uint32_t align;
			uint8_t zone;
		} allocate;
		struct {
			char in[56], to[56];
			uint32_t offset;
			uint8_t size;
		} pointer;
		struct {
			char file[56];
			uint32_t offset, start, length;
		} sum;
		uint8_t pad[124];
	};
} __attribute__((packed));

static_assert(sizeof(struct acpi_loader_entry) == 128, "a loader command");

/* Places in tables: ACPI 6.4, sections 5.2.5.3, 5.2.6, 5.2.8 and 5.2.9 */
enum acpi_loader_place {
	ACPI_LOADER_LENGTH = 4, /* of every table but the RSDP */
	ACPI_LOADER_CHECKSUM = 9,
	ACPI_LOADER_ENTRIES = 36, /* of RSDT and XSDT */
	ACPI_LOADER_FADT_FACS = 36,
	ACPI_LOADER_FADT_DSDT = 40,
	ACPI_LOADER_FADT_X_DSDT = 140,
	ACPI_LOADER_RSDP_SUM = 8,
	ACPI_LOADER_RSDP_RSDT = 16,
	ACPI_LOADER_RSDP_V1 = 20, /* bytes that the first checksum is of */
	ACPI_LOADER_RSDP_XSDT = 24,
	ACPI_LOADER_RSDP_SUM2 = 32,
	ACPI_LOADER_RSDP_SIZE = 36,
};

struct acpi_loader {
	uint8_t *ram; /* owned: the tables at their addresses of a kernel's boot */
	struct acpi_loader_entry commands[ACPI_LOADER_COMMANDS];
	unsigned int n;
};

static uint64_t acpi_loader_get(const uint8_t *p, size_t size)
{
	uint64_t v = 0;

	memcpy(&v, p, size);
	return v;
}

static void acpi_loader_put(struct acpi_loader *l, const struct acpi_loader_entry *entry)
{
	assert(l->n < ACPI_LOADER_COMMANDS);
	l->commands[l->n++] = *entry;
}

static void acpi_loader_allocate(struct acpi_loader *l, const char *file, uint32_t align,
				 enum acpi_loader_zone zone)
{
	struct acpi_loader_entry entry = { .command = ACPI_LOADER_ALLOCATE };

	snprintf(entry.allocate.file, sizeof(entry.allocate.file), "%s", file);
	entry.allocate.align = align;
	entry.allocate.zone = (uint8_t)zone;
	acpi_loader_put(l, &entry);
}

/* An address of a table, at this place: base is where the file that it is in begins. */
static void acpi_loader_pointer(struct acpi_loader *l, const char *file, uint64_t base,
				uint64_t place, unsigned int size)
{
	struct acpi_loader_entry entry = { .command = ACPI_LOADER_POINTER };
	uint64_t v = acpi_loader_get(l->ram + place, size);

	assert(v >= MAP_ACPI_TABLES && v < MAP_KERNEL);
	v -= MAP_ACPI_TABLES;
	memcpy(l->ram + place, &v, size);
	snprintf(entry.pointer.in, sizeof(entry.pointer.in), "%s", file);
	snprintf(entry.pointer.to, sizeof(entry.pointer.to), "%s", ACPI_LOADER_TABLES);
	entry.pointer.offset = (uint32_t)(place - base);
	entry.pointer.size = (uint8_t)size;
	acpi_loader_put(l, &entry);
}

static void acpi_loader_sum(struct acpi_loader *l, const char *file, uint64_t base, uint64_t table,
			    uint64_t place, uint64_t length)
{
	struct acpi_loader_entry entry = { .command = ACPI_LOADER_SUM };

	l->ram[place] = 0;
	snprintf(entry.sum.file, sizeof(entry.sum.file), "%s", file);
	entry.sum.offset = (uint32_t)(place - base);
	entry.sum.start = (uint32_t)(table - base);
	entry.sum.length = (uint32_t)length;
	acpi_loader_put(l, &entry);
}

static void acpi_loader_sum_table(struct acpi_loader *l, uint64_t table)
{
	acpi_loader_sum(l, ACPI_LOADER_TABLES, MAP_ACPI_TABLES, table, table + ACPI_LOADER_CHECKSUM,
			acpi_loader_get(l->ram + table + ACPI_LOADER_LENGTH, 4));
}

static void acpi_loader_fadt(struct acpi_loader *l, uint64_t fadt)
{
	acpi_loader_pointer(l, ACPI_LOADER_TABLES, MAP_ACPI_TABLES, fadt + ACPI_LOADER_FADT_FACS,
			    4);
	acpi_loader_pointer(l, ACPI_LOADER_TABLES, MAP_ACPI_TABLES, fadt + ACPI_LOADER_FADT_DSDT,
			    4);
	acpi_loader_pointer(l, ACPI_LOADER_TABLES, MAP_ACPI_TABLES, fadt + ACPI_LOADER_FADT_X_DSDT,
			    8);
	acpi_loader_sum_table(l, fadt);
}

/* RSDT and XSDT: a list of addresses, of this size each */
static void acpi_loader_list(struct acpi_loader *l, uint64_t list, unsigned int size)
{
	uint64_t end = list + acpi_loader_get(l->ram + list + ACPI_LOADER_LENGTH, 4);

	for (uint64_t at = list + ACPI_LOADER_ENTRIES; at < end; at += size)
		acpi_loader_pointer(l, ACPI_LOADER_TABLES, MAP_ACPI_TABLES, at, size);
	acpi_loader_sum_table(l, list);
}

/* Before the list's addresses are offsets. */
static uint64_t acpi_loader_find(const struct acpi_loader *l, uint64_t xsdt, const char *signature)
{
	uint64_t at = xsdt + ACPI_LOADER_ENTRIES, table = 0;

	do {
		assert(at < MAP_KERNEL);
		table = acpi_loader_get(l->ram + at, 8);
		at += 8;
	} while (memcmp(l->ram + table, signature, 4) != 0);
	return table;
}

static void acpi_loader_rsdp(struct acpi_loader *l, uint64_t rsdp)
{
	acpi_loader_pointer(l, ACPI_LOADER_RSDP, rsdp, rsdp + ACPI_LOADER_RSDP_RSDT, 4);
	acpi_loader_pointer(l, ACPI_LOADER_RSDP, rsdp, rsdp + ACPI_LOADER_RSDP_XSDT, 8);
	acpi_loader_sum(l, ACPI_LOADER_RSDP, rsdp, rsdp, rsdp + ACPI_LOADER_RSDP_SUM,
			ACPI_LOADER_RSDP_V1);
	acpi_loader_sum(l, ACPI_LOADER_RSDP, rsdp, rsdp, rsdp + ACPI_LOADER_RSDP_SUM2,
			ACPI_LOADER_RSDP_SIZE);
}

static void acpi_loader_commands(struct acpi_loader *l, uint64_t rsdp)
{
	uint64_t rsdt = acpi_loader_get(l->ram + rsdp + ACPI_LOADER_RSDP_RSDT, 4);
	uint64_t xsdt = acpi_loader_get(l->ram + rsdp + ACPI_LOADER_RSDP_XSDT, 8);

	acpi_loader_allocate(l, ACPI_LOADER_RSDP, ACPI_LOADER_RSDP_ALIGN, ACPI_LOADER_FSEG);
	acpi_loader_allocate(l, ACPI_LOADER_TABLES, ACPI_LOADER_ALIGN, ACPI_LOADER_HIGH);
	acpi_loader_fadt(l, acpi_loader_find(l, xsdt, "FACP"));
	acpi_loader_list(l, rsdt, 4);
	acpi_loader_list(l, xsdt, 8);
	acpi_loader_rsdp(l, rsdp);
}

static int acpi_loader_files(struct acpi_loader *l, struct device *fw_cfg,
			     const struct acpi_config *c, struct err *e)
{
	uint64_t rsdp, last, end;
	struct gmem g;
	int r;

	gmem_init_buffer(&g, l->ram, MAP_KERNEL);
	r = acpi_build(&g, c, &rsdp, e);
	gmem_fini(&g);
	if (r < 0)
		return r;
	/* the XSDT is the last one: acpi_build */
	last = acpi_loader_get(l->ram + rsdp + ACPI_LOADER_RSDP_XSDT, 8);
	end = last + acpi_loader_get(l->ram + last + ACPI_LOADER_LENGTH, 4);
	acpi_loader_commands(l, rsdp);
	r = fw_cfg_add_file(fw_cfg, ACPI_LOADER_RSDP, l->ram + rsdp, ACPI_LOADER_RSDP_SIZE, e);
	if (r >= 0)
		r = fw_cfg_add_file(fw_cfg, ACPI_LOADER_TABLES, l->ram + MAP_ACPI_TABLES,
				    end - MAP_ACPI_TABLES, e);
	if (r >= 0)
		r = fw_cfg_add_file(fw_cfg, "etc/table-loader", l->commands,
				    l->n * sizeof(l->commands[0]), e);
	return r;
}

int acpi_loader_add(struct device *fw_cfg, const struct acpi_config *c, struct err *e)
{
	struct acpi_loader l = { .ram = calloc(1, MAP_KERNEL) };
	int r = l.ram ? acpi_loader_files(&l, fw_cfg, c, e) : err_ret(e, -ENOMEM, "ACPI tables");

	free(l.ram);
	return r;
}
