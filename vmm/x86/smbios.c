// SPDX-License-Identifier: MIT
/*
 * SMBIOS tables: see smbios.h. Each structure is its fixed part and the strings that it names by number, from 1 on. Sections
 * below are those of DSP0134 2.8. The firmware sets the address in the entry point, and makes its checksums anew.
 */
#include "vmm/x86/smbios.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "lib/buf.h"
#include "lib/errcat.h"
#include "vmm/dev/fw_cfg.h"

#define SMBIOS_MAX (64 * KIB) /* what the entry point can say */
#define SMBIOS_UUID 16
#define SMBIOS_NONE 0xffff     /* no handle of a cache */
#define SMBIOS_NO_ERROR 0xfffe /* no error information */

enum smbios_type {
	SMBIOS_BIOS = 0,
	SMBIOS_SYSTEM = 1,
	SMBIOS_CHASSIS = 3,
	SMBIOS_PROCESSOR = 4,
	SMBIOS_OEM_STRINGS = 11,
	SMBIOS_MEMORY_ARRAY = 16,
	SMBIOS_MEMORY_DEVICE = 17,
	SMBIOS_MEMORY_RANGE = 19,
	SMBIOS_BOOT = 32,
	SMBIOS_END = 127,
};

/* Handles are type << 8 and a number: whoever names another structure knows its handle. */
#define SMBIOS_HANDLE(type) ((uint16_t)((type) << 8))

struct smbios {
	struct buf out;
	unsigned int n, largest;
	/* the structure that is being made */
	uint8_t fixed[64];
	size_t len;
	char strings[8192];
	size_t strings_len;
	unsigned int nstrings;
	bool full;
};

static void smbios_begin(struct smbios *s, enum smbios_type type, unsigned int number)
{
	uint16_t handle = (uint16_t)(SMBIOS_HANDLE(type) + number);

	s->fixed[0] = (uint8_t)type;
	memcpy(s->fixed + 2, &handle, sizeof(handle));
	s->len = 4;
	s->strings_len = 0;
	s->nstrings = 0;
}

/* A number of so many bytes, little endian */
static void smbios_put(struct smbios *s, uint64_t val, size_t bytes)
{
	memcpy(s->fixed + s->len, &val, bytes);
	s->len += bytes;
}

static void smbios_keep(struct smbios *s, const char *text)
{
	size_t size = strlen(text) + 1;

	if (size > sizeof(s->strings) - 1 - s->strings_len) {
		s->full = true;
		return;
	}
	memcpy(s->strings + s->strings_len, text, size);
	s->strings_len += size;
	s->nstrings++;
}

/* The number of a text; 0 stands for none. Section 6.1.3 */
static void smbios_text(struct smbios *s, const char *text)
{
	if (text[0])
		smbios_keep(s, text);
	smbios_put(s, text[0] ? s->nstrings : 0, 1);
}

/* Without any strings there are two NULs, too. */
static void smbios_end(struct smbios *s)
{
	static const char nuls[2];

	s->fixed[1] = (uint8_t)s->len;
	if (buf_add(&s->out, s->fixed, s->len) < 0 ||
	    buf_add(&s->out, s->strings, s->strings_len) < 0 ||
	    buf_add(&s->out, nuls, s->nstrings ? 1 : 2) < 0)
		s->full = true;
	s->largest =
		MAX(s->largest, (unsigned int)(s->len + s->strings_len + (s->nstrings ? 1 : 2)));
	s->n++;
}

/* --- the structures --------------------------------------------------------------------------------- */

/* Section 7.1 */
static void smbios_bios(struct smbios *s)
{
	smbios_begin(s, SMBIOS_BIOS, 0);
	smbios_text(s, "vmd");
	smbios_text(s, VERSION);
	smbios_put(s, 0xe800, 2); /* its segment: 96 KiB */
	smbios_text(s, "01/01/2026");
	smbios_put(s, 0, 1);
	smbios_put(s, BIT(3), 8); /* characteristics: nothing is said about them */
	smbios_put(s, 0, 1);
	smbios_put(s, BIT(4), 1); /* a virtual machine */
	smbios_put(s, 0xffffffff, 4);
	smbios_end(s);
}

/* As text, "12345678-9abc-…", to bytes: the first three fields are little endian. Section 7.2.1 */
static void smbios_uuid(const char *text, uint8_t out[static SMBIOS_UUID])
{
	static const uint8_t order[SMBIOS_UUID] = { 3, 2, 1,  0,  5,  4,  7,  6,
						    8, 9, 10, 11, 12, 13, 14, 15 };
	unsigned int byte, i = 0;

	memset(out, 0, SMBIOS_UUID);
	while (i < SMBIOS_UUID && sscanf(text, "%2x", &byte) == 1) {
		out[order[i++]] = (uint8_t)byte;
		text += 2;
		text += *text == '-';
	}
}

/* Section 7.2 */
static void smbios_system(struct smbios *s, const struct smbios_config *c)
{
	uint8_t uuid[SMBIOS_UUID];

	smbios_uuid(json_get_str(c->system, "uuid", c->uuid), uuid);
	smbios_begin(s, SMBIOS_SYSTEM, 0);
	smbios_text(s, json_get_str(c->system, "manufacturer", "vmd"));
	smbios_text(s, json_get_str(c->system, "product", "virtual machine"));
	smbios_text(s, json_get_str(c->system, "version", ""));
	smbios_text(s, json_get_str(c->system, "serial", ""));
	for (unsigned int i = 0; i < SMBIOS_UUID; i++)
		smbios_put(s, uuid[i], 1);
	smbios_put(s, 6, 1); /* woken by the power switch */
	smbios_text(s, json_get_str(c->system, "sku", ""));
	smbios_text(s, json_get_str(c->system, "family", ""));
	smbios_end(s);
}

/* Section 7.4 */
static void smbios_chassis(struct smbios *s, const struct smbios_config *c)
{
	smbios_begin(s, SMBIOS_CHASSIS, 0);
	smbios_text(s, json_get_str(c->system, "manufacturer", "vmd"));
	smbios_put(s, 1, 1); /* other */
	smbios_text(s, "");
	smbios_text(s, json_get_str(c->system, "serial", ""));
	smbios_text(s, "");
	smbios_put(s, 0x030303, 3); /* boot-up, power supply, temperature: safe */
	smbios_put(s, 2, 1);	    /* security: unknown */
	smbios_put(s, 0, 4);
	smbios_put(s, 0, 4); /* height, power cords, no contained elements */
	smbios_text(s, "");
	smbios_end(s);
}

/* Section 7.5: what it can do, it says itself, by CPUID */
static void smbios_processor(struct smbios *s, const struct smbios_config *c)
{
	smbios_begin(s, SMBIOS_PROCESSOR, 0);
	smbios_text(s, "CPU 0");
	smbios_put(s, 3, 1); /* a central processor */
	smbios_put(s, 1, 1); /* family: other */
	smbios_text(s, "vmd");
	smbios_put(s, 0, 8);
	smbios_text(s, "");
	smbios_put(s, 0, 1);	/* voltage */
	smbios_put(s, 0, 6);	/* clocks: unknown */
	smbios_put(s, 0x41, 1); /* the socket is populated, the CPU is on */
	smbios_put(s, 1, 1);
	for (unsigned int cache = 0; cache < 3; cache++)
		smbios_put(s, SMBIOS_NONE, 2);
	for (unsigned int text = 0; text < 3; text++)
		smbios_text(s, "");
	for (unsigned int count = 0; count < 3; count++)
		smbios_put(s, MIN(c->nvcpus, 255u), 1);
	smbios_put(s, BIT(2), 2); /* 64 bits */
	smbios_put(s, 1, 2);
	smbios_end(s);
}

/* Section 7.12 */
static void smbios_oem_strings(struct smbios *s, const struct smbios_config *c)
{
	struct json_object *list = json_get(c->system, "oem_strings");
	size_t n = list ? json_object_array_length(list) : 0;

	if (!n)
		return;
	smbios_begin(s, SMBIOS_OEM_STRINGS, 0);
	for (size_t i = 0; i < n; i++)
		smbios_keep(s, json_object_get_string(json_object_array_get_idx(list, i)));
	smbios_put(s, n, 1);
	smbios_end(s);
}

/* Sections 7.17 and 7.18. Sizes beyond the old fields are in the extended ones. */
static void smbios_memory(struct smbios *s, const struct gmem *g)
{
	uint64_t kib = g->size / KIB, mib = g->size / MIB;

	smbios_begin(s, SMBIOS_MEMORY_ARRAY, 0);
	smbios_put(s, 1, 1); /* where it is: other */
	smbios_put(s, 3, 1); /* system memory */
	smbios_put(s, 3, 1); /* without error correction */
	smbios_put(s, kib < 0x80000000 ? kib : 0x80000000, 4);
	smbios_put(s, SMBIOS_NO_ERROR, 2);
	smbios_put(s, 1, 2);
	smbios_put(s, kib < 0x80000000 ? 0 : g->size, 8);
	smbios_end(s);

	smbios_begin(s, SMBIOS_MEMORY_DEVICE, 0);
	smbios_put(s, SMBIOS_HANDLE(SMBIOS_MEMORY_ARRAY), 2);
	smbios_put(s, SMBIOS_NO_ERROR, 2);
	smbios_put(s, 0xffffffff, 4); /* widths: unknown */
	smbios_put(s, MIN(mib, 0x7fffu), 2);
	smbios_put(s, 9, 1); /* a DIMM */
	smbios_put(s, 0, 1);
	smbios_text(s, "DIMM 0");
	smbios_text(s, "");
	smbios_put(s, 7, 1);	  /* RAM */
	smbios_put(s, BIT(1), 2); /* other */
	smbios_put(s, 0, 2);
	smbios_text(s, "vmd");
	for (unsigned int text = 0; text < 3; text++)
		smbios_text(s, "");
	smbios_put(s, 0, 1);
	smbios_put(s, mib < 0x7fff ? 0 : mib, 4);
	smbios_put(s, 0, 8); /* its clock, and three voltages: unknown */
	smbios_end(s);
}

/* Section 7.20 */
static void smbios_ranges(struct smbios *s, const struct gmem *g)
{
	for (unsigned int i = 0; i < g->nregions; i++) {
		uint64_t start = g->regions[i].gpa, last = start + g->regions[i].size - 1;
		bool fits = last / KIB < 0xffffffff;

		smbios_begin(s, SMBIOS_MEMORY_RANGE, i);
		smbios_put(s, fits ? start / KIB : 0xffffffff, 4);
		smbios_put(s, fits ? last / KIB : 0xffffffff, 4);
		smbios_put(s, SMBIOS_HANDLE(SMBIOS_MEMORY_ARRAY), 2);
		smbios_put(s, 1, 1);
		smbios_put(s, fits ? 0 : start, 8);
		smbios_put(s, fits ? 0 : last, 8);
		smbios_end(s);
	}
}

static void smbios_tables(struct smbios *s, const struct gmem *g, const struct smbios_config *c)
{
	smbios_bios(s);
	smbios_system(s, c);
	smbios_chassis(s, c);
	smbios_processor(s, c);
	smbios_oem_strings(s, c);
	smbios_memory(s, g);
	smbios_ranges(s, g);
	smbios_begin(s, SMBIOS_BOOT, 0); /* section 7.33: no errors detected */
	smbios_put(s, 0, 7);
	smbios_end(s);
	smbios_begin(s, SMBIOS_END, 0);
	smbios_end(s);
}

/* --- the entry point: section 5.2.1 ----------------------------------------------------------------- */

struct smbios_anchor {
	char anchor[4];
	uint8_t checksum, length, major, minor;
	uint16_t largest;
	uint8_t revision, formatted[5];
	char dmi[5];
	uint8_t dmi_checksum;
	uint16_t tables_length;
	uint32_t tables;
	uint16_t count;
	uint8_t bcd;
} __attribute__((packed));

static_assert(sizeof(struct smbios_anchor) == 0x1f, "SMBIOS entry point");

static uint8_t smbios_checksum(const void *data, size_t len)
{
	const uint8_t *p = data;
	uint8_t sum = 0;

	while (len--)
		sum += *p++;
	return (uint8_t)-sum;
}

static struct smbios_anchor smbios_anchor(const struct smbios *s)
{
	struct smbios_anchor a = {
		.anchor = { '_', 'S', 'M', '_' },
		.length = sizeof(a),
		.major = 2,
		.minor = 8,
		.largest = (uint16_t)s->largest,
		.dmi = { '_', 'D', 'M', 'I', '_' },
		.tables_length = (uint16_t)buf_len(&s->out),
		.count = (uint16_t)s->n,
		.bcd = 0x28,
	};
	size_t dmi = offsetof(struct smbios_anchor, dmi);

	a.dmi_checksum = smbios_checksum((uint8_t *)&a + dmi, sizeof(a) - dmi);
	a.checksum = smbios_checksum(&a, sizeof(a));
	return a;
}

int smbios_add(struct device *fw_cfg, const struct gmem *g, const struct smbios_config *c,
	       struct err *e)
{
	struct smbios s = { .n = 0 };
	struct smbios_anchor anchor;
	int r;

	buf_init(&s.out, SMBIOS_MAX - 1);
	smbios_tables(&s, g, c);
	anchor = smbios_anchor(&s);
	if (s.full)
		r = err_set(e, ERR_INVALID, "the SMBIOS tables do not fit into %llu KiB",
			    SMBIOS_MAX / KIB);
	else
		r = fw_cfg_add_file(fw_cfg, "etc/smbios/smbios-tables", buf_head(&s.out),
				    buf_len(&s.out), e);
	if (r >= 0)
		r = fw_cfg_add_file(fw_cfg, "etc/smbios/smbios-anchor", &anchor, sizeof(anchor), e);
	buf_fini(&s.out);
	return r;
}
