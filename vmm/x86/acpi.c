// SPDX-License-Identifier: MIT
/*
 * ACPI tables: ACPI 6.4, section 5.2, and the MCFG of PCI Firmware 3.2, section 4.1.2. The DSDT comes
 * from dsdt.asl; an SSDT made here tells it which devices there are. The tables follow one another from
 * MAP_ACPI_TABLES on, RSDP before them. On the control loop, once a boot; the FACS again at each wake-up.
 */
#include "vmm/x86/acpi.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

#include "lib/errcat.h"
#include "vmm/x86/map.h"

#define PACKED __attribute__((packed))
#define ACPI_ALIGN 64		    /* the FACS wants it */
#define ACPI_REAL_MODE_END 0x100000 /* what CS:IP reaches */
#define ACPI_LAPIC_IDS 255 /* APIC ids from here on need x2APIC entries; so does 255, "all" */

/* From dsdt.asl, by way of the Makefile; its header says how long it is */
extern const uint8_t acpi_dsdt[];

struct acpi_header {
	char signature[4];
	uint32_t length;
	uint8_t revision, checksum;
	char oem_id[6], oem_table_id[8];
	uint32_t oem_revision;
	char creator_id[4];
	uint32_t creator_revision;
} PACKED;

struct acpi_rsdp {
	char signature[8];
	uint8_t checksum;
	char oem_id[6];
	uint8_t revision;
	uint32_t rsdt, length;
	uint64_t xsdt;
	uint8_t extended_checksum, reserved[3];
} PACKED;

/* Generic address structure: section 5.2.3.2 */
struct acpi_gas {
	uint8_t space, width, offset,
		access; /* space 1: port I/O; access 1: byte, 2: word, 3: dword */
	uint64_t address;
} PACKED;

struct acpi_fadt {
	struct acpi_header h;
	uint32_t firmware_ctrl, dsdt;
	uint8_t reserved0, pm_profile;
	uint16_t sci_int;
	uint32_t smi_cmd;
	uint8_t acpi_enable, acpi_disable, s4bios_req, pstate_cnt;
	uint32_t pm1a_evt, pm1b_evt, pm1a_cnt, pm1b_cnt, pm2_cnt, pm_tmr, gpe0, gpe1;
	uint8_t pm1_evt_len, pm1_cnt_len, pm2_cnt_len, pm_tmr_len, gpe0_len, gpe1_len, gpe1_base;
	uint8_t cst_cnt;
	uint16_t p_lvl2_lat, p_lvl3_lat, flush_size, flush_stride;
	uint8_t duty_offset, duty_width, day_alarm, month_alarm, century;
	uint16_t iapc_boot_arch;
	uint8_t reserved1;
	uint32_t flags;
	struct acpi_gas reset_reg;
	uint8_t reset_value;
	uint16_t arm_boot_arch;
	uint8_t minor_version;
	uint64_t x_firmware_ctrl, x_dsdt;
	struct acpi_gas x_pm1a_evt, x_pm1b_evt, x_pm1a_cnt, x_pm1b_cnt, x_pm2_cnt, x_pm_tmr, x_gpe0,
		x_gpe1, sleep_control, sleep_status;
	uint64_t hypervisor_vendor;
} PACKED;

struct acpi_facs {
	char signature[4];
	uint32_t length, hardware_signature, waking_vector, global_lock, flags;
	uint64_t x_waking_vector;
	uint8_t version, reserved[31];
} PACKED;

struct acpi_madt {
	struct acpi_header h;
	uint32_t lapic, flags;
} PACKED;

struct acpi_madt_lapic {
	uint8_t type, length, uid, apic_id;
	uint32_t flags;
} PACKED;

struct acpi_madt_x2apic {
	uint8_t type, length;
	uint16_t reserved;
	uint32_t apic_id, flags, uid;
} PACKED;

struct acpi_madt_ioapic {
	uint8_t type, length, id, reserved;
	uint32_t address, gsi_base;
} PACKED;

struct acpi_madt_override {
	uint8_t type, length, bus, source;
	uint32_t gsi;
	uint16_t flags;
} PACKED;

struct acpi_madt_lapic_nmi {
	uint8_t type, length, uid;
	uint16_t flags;
	uint8_t lint;
} PACKED;

struct acpi_madt_x2apic_nmi {
	uint8_t type, length;
	uint16_t flags;
	uint32_t uid;
	uint8_t lint, reserved[3];
} PACKED;

struct acpi_mcfg {
	struct acpi_header h;
	uint64_t reserved0;
	uint64_t base;
	uint16_t segment;
	uint8_t first_bus, last_bus;
	uint32_t reserved1;
} PACKED;

static_assert(sizeof(struct acpi_header) == 36, "ACPI table header");
static_assert(sizeof(struct acpi_rsdp) == 36, "RSDP");
static_assert(sizeof(struct acpi_fadt) == 276, "FADT revision 6");
static_assert(sizeof(struct acpi_facs) == 64, "FACS");
static_assert(MAP_ACPI_FACS == MAP_ACPI_TABLES, "the FACS is the first table");
static_assert(sizeof(struct acpi_mcfg) == 60, "MCFG with one segment");

/* IAPC_BOOT_ARCH: section 5.2.9.3 */
#define ACPI_BOOT_LEGACY_DEVICES BIT(0)
#define ACPI_BOOT_8042 BIT(1)
#define ACPI_BOOT_NO_VGA BIT(2)
#define ACPI_BOOT_NO_ASPM BIT(4)
#define ACPI_BOOT_NO_RTC BIT(5)

/* FADT flags: table 5.10. Bit 4 clear: the power button is a fixed feature. */
#define ACPI_FADT_WBINVD BIT(0)
#define ACPI_FADT_PROC_C1 BIT(2)
#define ACPI_FADT_NO_SLP_BUTTON BIT(5)
#define ACPI_FADT_NO_FIX_RTC BIT(6)
#define ACPI_FADT_TMR_VAL_EXT BIT(8)
#define ACPI_FADT_RESET_REG BIT(10)

#define ACPI_MADT_PCAT_COMPAT BIT(0)
#define ACPI_MADT_ENABLED BIT(0)
#define ACPI_MADT_HIGH_LEVEL 0x000d /* active high, level triggered: table 5.26 */

/* Where the next table goes. A table that does not fit is remembered until the end. */
struct acpi_area {
	const struct gmem *g;
	uint64_t next;
	bool full;
};

static uint8_t acpi_checksum(const void *data, size_t len)
{
	const uint8_t *p = data;
	uint8_t sum = 0;

	while (len--)
		sum += *p++;
	return (uint8_t)-sum;
}

/* Room for len bytes, zeroed; NULL when there is none. */
static void *acpi_alloc(struct acpi_area *a, size_t len, uint64_t *ret_gpa)
{
	uint64_t gpa = align_up(a->next, ACPI_ALIGN);
	void *p;

	if (gpa > MAP_KERNEL || len > MAP_KERNEL - gpa) {
		a->full = true;
		return NULL;
	}
	p = gmem_ptr(a->g, gpa, len);
	if (!p) {
		a->full = true;
		return NULL;
	}
	memset(p, 0, len);
	a->next = gpa + len;
	*ret_gpa = gpa;
	return p;
}

static void acpi_header_init(struct acpi_header *h, const char *signature, uint8_t revision,
			     size_t len)
{
	memcpy(h->signature, signature, 4);
	h->length = (uint32_t)len;
	h->revision = revision;
	memcpy(h->oem_id, "VMD   ", 6);
	memcpy(h->oem_table_id, "VMM     ", 8);
	h->oem_revision = 1;
	memcpy(h->creator_id, "VMD ", 4);
	h->creator_revision = 1;
}

static void acpi_seal(struct acpi_header *h)
{
	h->checksum = 0;
	h->checksum = acpi_checksum(h, h->length);
}

static uint64_t acpi_dsdt_copy(struct acpi_area *a)
{
	struct acpi_header h;
	uint64_t gpa = 0;
	void *p;

	memcpy(&h, acpi_dsdt, sizeof(h));
	p = acpi_alloc(a, h.length, &gpa);
	if (p)
		memcpy(p, acpi_dsdt, h.length);
	return gpa;
}

/* Name (name, value) in AML: NameOp, NameSeg, BytePrefix, ByteData. ACPI 6.4, section 20.2.5.1 */
#define ACPI_AML_NAME_SIZE 7

static void acpi_aml_name(uint8_t *aml, const char *name, uint8_t value)
{
	aml[0] = 0x08;
	memcpy(aml + 1, name, 4);
	aml[5] = 0x0a;
	aml[6] = value;
}

/* Name (name, value): QWordPrefix, QWordData */
#define ACPI_AML_NAME64_SIZE 14

static void acpi_aml_name64(uint8_t *aml, const char *name, uint64_t value)
{
	aml[0] = 0x08;
	memcpy(aml + 1, name, 4);
	aml[5] = 0x0e;
	memcpy(aml + 6, &value, 8);
}

static uint64_t acpi_ssdt(struct acpi_area *a, const struct acpi_config *c)
{
	const struct {
		const char *name;
		bool present;
	} devices[] = {
		{ "HCM1", c->com[0] }, { "HCM2", c->com[1] }, { "HCM3", c->com[2] },
		{ "HCM4", c->com[3] }, { "HRTC", c->rtc },    { "HKBD", c->i8042 },
		{ "HECM", c->ecam },   { "HFDC", c->floppy }, { "HPVP", c->pvpanic },
	};
	size_t len = sizeof(struct acpi_header) + ARRAY_SIZE(devices) * ACPI_AML_NAME_SIZE +
		     4 * ACPI_AML_NAME64_SIZE;
	uint64_t gpa = 0;
	struct acpi_header *h = acpi_alloc(a, len, &gpa);
	uint8_t *aml;

	if (!h)
		return 0;
	acpi_header_init(h, "SSDT", 2, len);
	aml = (uint8_t *)(h + 1);
	for (size_t i = 0; i < ARRAY_SIZE(devices); i++)
		acpi_aml_name(aml + i * ACPI_AML_NAME_SIZE, devices[i].name, devices[i].present);
	aml += ARRAY_SIZE(devices) * ACPI_AML_NAME_SIZE;
	acpi_aml_name64(aml, "P32B", c->pci32.base);
	acpi_aml_name64(aml + ACPI_AML_NAME64_SIZE, "P32L", c->pci32.size);
	acpi_aml_name64(aml + 2 * ACPI_AML_NAME64_SIZE, "P64B", c->pci64.base);
	acpi_aml_name64(aml + 3 * ACPI_AML_NAME64_SIZE, "P64L", c->pci64.size);
	acpi_seal(h);
	return gpa;
}

static uint64_t acpi_facs(struct acpi_area *a)
{
	uint64_t gpa = 0;
	struct acpi_facs *f = acpi_alloc(a, sizeof(*f), &gpa);

	if (!f)
		return 0;
	memcpy(f->signature, "FACS", 4);
	f->length = sizeof(*f);
	f->version = 2;
	return gpa;
}

static struct acpi_gas acpi_port(uint64_t port, uint8_t width, uint8_t access)
{
	return (struct acpi_gas){ .space = 1, .width = width, .access = access, .address = port };
}

static uint16_t acpi_boot_arch(const struct acpi_config *c)
{
	uint16_t v = ACPI_BOOT_NO_VGA | ACPI_BOOT_NO_ASPM;

	if (c->pic || c->i8042 || c->floppy || c->com[0] || c->com[1] || c->com[2] || c->com[3])
		v |= ACPI_BOOT_LEGACY_DEVICES;
	if (c->i8042)
		v |= ACPI_BOOT_8042;
	if (!c->rtc)
		v |= ACPI_BOOT_NO_RTC;
	return v;
}

static void acpi_fadt_ports(struct acpi_fadt *f)
{
	f->sci_int = MAP_GSI_SCI;
	f->pm1a_evt = MAP_PM1_EVT;
	f->pm1_evt_len = 4;
	f->x_pm1a_evt = acpi_port(MAP_PM1_EVT, 32, 2);
	f->pm1a_cnt = MAP_PM1_CNT;
	f->pm1_cnt_len = 2;
	f->x_pm1a_cnt = acpi_port(MAP_PM1_CNT, 16, 2);
	f->pm_tmr = MAP_PM_TMR;
	f->pm_tmr_len = 4;
	f->x_pm_tmr = acpi_port(MAP_PM_TMR, 32, 3);
	f->gpe0 = MAP_GPE0;
	f->gpe0_len = 2;
	f->x_gpe0 = acpi_port(MAP_GPE0, 16, 1);
	f->reset_reg = acpi_port(MAP_RESET_REG, 8, 1);
	f->reset_value = MAP_RESET_VALUE;
}

static uint64_t acpi_fadt(struct acpi_area *a, const struct acpi_config *c, uint64_t dsdt,
			  uint64_t facs)
{
	uint64_t gpa = 0;
	struct acpi_fadt *f = acpi_alloc(a, sizeof(*f), &gpa);

	if (!f)
		return 0;
	acpi_header_init(&f->h, "FACP", 6, sizeof(*f));
	f->minor_version = 4;
	f->firmware_ctrl = (uint32_t)facs;
	f->dsdt = (uint32_t)dsdt;
	f->x_dsdt = dsdt;
	acpi_fadt_ports(f);
	f->p_lvl2_lat = 0xfff; /* above 100 and 1000: no C2, no C3 */
	f->p_lvl3_lat = 0xfff;
	f->century = c->rtc ? 0x32 : 0;
	f->iapc_boot_arch = acpi_boot_arch(c);
	f->flags = ACPI_FADT_WBINVD | ACPI_FADT_PROC_C1 | ACPI_FADT_NO_SLP_BUTTON |
		   ACPI_FADT_TMR_VAL_EXT | ACPI_FADT_RESET_REG;
	if (!c->rtc)
		f->flags |= ACPI_FADT_NO_FIX_RTC;
	memcpy(&f->hypervisor_vendor, "VMDVMM\0", 8);
	acpi_seal(&f->h);
	return gpa;
}

static size_t acpi_madt_size(const struct acpi_config *c)
{
	size_t nlapic = MIN(c->nvcpus, ACPI_LAPIC_IDS), nx2apic = c->nvcpus - nlapic;

	return sizeof(struct acpi_madt) + nlapic * sizeof(struct acpi_madt_lapic) +
	       nx2apic * sizeof(struct acpi_madt_x2apic) + sizeof(struct acpi_madt_ioapic) +
	       (c->pic ? 2 : 1) * sizeof(struct acpi_madt_override) +
	       sizeof(struct acpi_madt_lapic_nmi) +
	       (nx2apic ? sizeof(struct acpi_madt_x2apic_nmi) : 0);
}

/* Copies an entry and returns where the next one goes. */
static uint8_t *acpi_put(uint8_t *p, const void *entry, size_t len)
{
	memcpy(p, entry, len);
	return p + len;
}

static uint8_t *acpi_madt_cpus(uint8_t *p, unsigned int nvcpus)
{
	for (unsigned int i = 0; i < nvcpus; i++) {
		struct acpi_madt_lapic lapic = { 0, sizeof(lapic), (uint8_t)i, (uint8_t)i,
						 ACPI_MADT_ENABLED };
		struct acpi_madt_x2apic x2apic = { 9, sizeof(x2apic), 0, i, ACPI_MADT_ENABLED, i };

		if (i < ACPI_LAPIC_IDS)
			p = acpi_put(p, &lapic, sizeof(lapic));
		else
			p = acpi_put(p, &x2apic, sizeof(x2apic));
	}
	return p;
}

static uint64_t acpi_madt(struct acpi_area *a, const struct acpi_config *c)
{
	const struct acpi_madt_ioapic ioapic = { 1, sizeof(ioapic), 0, 0, GMEM_IOAPIC_BASE, 0 };
	const struct acpi_madt_override pit = { 2, sizeof(pit), 0, 0, MAP_GSI_PIT, 0 };
	const struct acpi_madt_override sci = { 2,	     sizeof(sci), 0,
						MAP_GSI_SCI, MAP_GSI_SCI, ACPI_MADT_HIGH_LEVEL };
	const struct acpi_madt_lapic_nmi nmi = { 4, sizeof(nmi), 0xff, 0, 1 };
	const struct acpi_madt_x2apic_nmi nmi2 = { 10, sizeof(nmi2), 0, 0xffffffff, 1, { 0 } };
	size_t len = acpi_madt_size(c);
	uint64_t gpa = 0;
	struct acpi_madt *m = acpi_alloc(a, len, &gpa);
	uint8_t *p;

	if (!m)
		return 0;
	acpi_header_init(&m->h, "APIC", 5, len);
	m->lapic = (uint32_t)GMEM_LAPIC_BASE;
	m->flags = c->pic ? ACPI_MADT_PCAT_COMPAT : 0;
	p = acpi_madt_cpus((uint8_t *)(m + 1), c->nvcpus);
	p = acpi_put(p, &ioapic, sizeof(ioapic));
	if (c->pic)
		p = acpi_put(p, &pit, sizeof(pit));
	p = acpi_put(p, &sci, sizeof(sci));
	p = acpi_put(p, &nmi, sizeof(nmi));
	if (c->nvcpus > ACPI_LAPIC_IDS)
		p = acpi_put(p, &nmi2, sizeof(nmi2));
	assert(p == (uint8_t *)m + len);
	acpi_seal(&m->h);
	return gpa;
}

static uint64_t acpi_mcfg(struct acpi_area *a)
{
	uint64_t gpa = 0;
	struct acpi_mcfg *m = acpi_alloc(a, sizeof(*m), &gpa);

	if (!m)
		return 0;
	acpi_header_init(&m->h, "MCFG", 1, sizeof(*m));
	m->base = GMEM_ECAM_START;
	m->last_bus = 255;
	acpi_seal(&m->h);
	return gpa;
}

/* What systems of before ACPI 2.0 read: the same addresses in 32 bits */
static uint64_t acpi_rsdt(struct acpi_area *a, const uint64_t *tables, size_t n)
{
	size_t len = sizeof(struct acpi_header) + n * sizeof(uint32_t);
	uint64_t gpa = 0;
	struct acpi_header *h = acpi_alloc(a, len, &gpa);

	if (!h)
		return 0;
	acpi_header_init(h, "RSDT", 1, len);
	for (size_t i = 0; i < n; i++) {
		uint32_t table = (uint32_t)tables[i];

		memcpy((uint8_t *)(h + 1) + i * sizeof(table), &table, sizeof(table));
	}
	acpi_seal(h);
	return gpa;
}

static uint64_t acpi_xsdt(struct acpi_area *a, const uint64_t *tables, size_t n)
{
	size_t len = sizeof(struct acpi_header) + n * sizeof(*tables);
	uint64_t gpa = 0;
	struct acpi_header *h = acpi_alloc(a, len, &gpa);

	if (!h)
		return 0;
	acpi_header_init(h, "XSDT", 1, len);
	memcpy(h + 1, tables, n * sizeof(*tables));
	acpi_seal(h);
	return gpa;
}

static void acpi_rsdp_init(struct acpi_rsdp *r, uint64_t rsdt, uint64_t xsdt)
{
	memset(r, 0, sizeof(*r));
	memcpy(r->signature, "RSD PTR ", 8);
	memcpy(r->oem_id, "VMD   ", 6);
	r->revision = 2;
	r->length = sizeof(*r);
	r->rsdt = (uint32_t)rsdt;
	r->xsdt = xsdt;
	r->checksum = acpi_checksum(r, 20); /* of the ACPI 1.0 part */
	r->extended_checksum = acpi_checksum(r, sizeof(*r));
}

int acpi_build(const struct gmem *g, const struct acpi_config *c, uint64_t *ret_rsdp, struct err *e)
{
	struct acpi_area a = { .g = g, .next = MAP_ACPI_TABLES };
	struct acpi_rsdp *rsdp = gmem_ptr(g, MAP_ACPI_RSDP, sizeof(*rsdp));
	uint64_t dsdt, facs, rsdt, xsdt, tables[4];
	size_t n = 0;

	if (!rsdp)
		return err_set(e, ERR_MEMORY,
			       "the guest has too little memory for its ACPI tables");
	facs = acpi_facs(&a); /* at MAP_ACPI_FACS */
	dsdt = acpi_dsdt_copy(&a);
	tables[n++] = acpi_fadt(&a, c, dsdt, facs);
	tables[n++] = acpi_madt(&a, c);
	if (c->ecam)
		tables[n++] = acpi_mcfg(&a);
	tables[n++] = acpi_ssdt(&a, c);
	rsdt = acpi_rsdt(&a, tables, n);
	xsdt = acpi_xsdt(&a, tables, n); /* the last one: acpi_loader.c */
	if (a.full)
		return err_set(e, ERR_MEMORY, "the ACPI tables of %u vCPUs do not fit below 1 MiB",
			       c->nvcpus);
	acpi_rsdp_init(rsdp, rsdt, xsdt);
	*ret_rsdp = MAP_ACPI_RSDP;
	return 0;
}

bool acpi_get_waking(const struct gmem *g, struct acpi_waking *ret)
{
	struct acpi_facs f;

	if (gmem_read(g, MAP_ACPI_FACS, &f, sizeof(f)) < 0)
		return false;
	if (f.version && f.x_waking_vector) {
		*ret = (struct acpi_waking){ (uint32_t)f.x_waking_vector, true };
		return f.x_waking_vector <= UINT32_MAX;
	}
	*ret = (struct acpi_waking){ f.waking_vector, false };
	return f.waking_vector && f.waking_vector < ACPI_REAL_MODE_END;
}
