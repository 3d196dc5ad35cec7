// SPDX-License-Identifier: MIT
/*
 * What a guest sees of a function's configuration space, byte by byte. What has no row is hidden: it reads as 0,
 * and a capability without a row is not in the list. PCI Local Bus 3.0, chapter 6 and appendix H; PCI Express
 * Base 4.0, chapter 7. Pure: from the bytes that the device has to those of the guest; the device's bytes are
 * not trusted.
 *
 * The function stands on bus 0 without a port above it: it is a Root Complex Integrated Endpoint, which has no
 * link. What belongs to the fabric or to the host's handling of errors is hidden: AER (unless the guest is to hear of errors), ACS, ARI, ATS, PRI,
 * PASID, SR-IOV, resizable BARs, LTR, virtual channels, multicast, DPC, PTM, TPH.
 */
#include <linux/pci_regs.h>
#include <string.h>

#include "vmm/vfio/vfio_pci.h"

#define VFIO_CAPS_MAX 48 /* as many as fit into the space */
#define VFIO_ECAPS_MAX 480

struct vfio_cfg_row {
	uint16_t off, len;
	enum vfio_cfg_how how;
	uint32_t clear; /* OURS, of the first 4 bytes: bits that read as 0 */
	uint32_t write; /* the same: bits that the guest may write, kept here */
};

struct vfio_cap_row {
	uint8_t id;
	uint16_t need; /* bytes without which it is hidden */
	const struct vfio_cfg_row *rows;
	unsigned int nrows;
};

#define ROWS(r) (r), ARRAY_SIZE(r)
#define REST UINT16_MAX /* up to the capability's end */

/* Command, BARs, ROM, cache line size and the pin are vmm/pci's; latencies, BIST and CIS are not there. */
static const struct vfio_cfg_row vfio_header_rows[] = {
	{ PCI_VENDOR_ID, 4, VFIO_CFG_OURS },
	{ PCI_STATUS, 2, VFIO_CFG_THROUGH },
	{ PCI_CLASS_REVISION, 4, VFIO_CFG_OURS },
	{ PCI_SUBSYSTEM_VENDOR_ID, 4, VFIO_CFG_OURS },
};

/* The state is ours (config.c); without PME: nothing wakes the guest. */
static const struct vfio_cfg_row vfio_pm_rows[] = {
	{ PCI_PM_PMC, 2, VFIO_CFG_OURS, .clear = PCI_PM_CAP_PME_MASK | PCI_PM_CAP_PME_CLOCK },
	{ PCI_PM_CTRL, 2, VFIO_CFG_OURS, .clear = (uint16_t)~PCI_PM_CTRL_NO_SOFT_RESET,
	  .write = PCI_PM_CTRL_STATE_MASK },
};

static const struct vfio_cfg_row vfio_vpd_rows[] = {
	{ PCI_VPD_ADDR, 6, VFIO_CFG_THROUGH },
};

static const struct vfio_cfg_row vfio_vendor_rows[] = {
	{ 2, 1, VFIO_CFG_OURS },
	{ 3, REST, VFIO_CFG_THROUGH },
};

static const struct vfio_cfg_row vfio_ssvid_rows[] = {
	{ 4, 4, VFIO_CFG_OURS },
};

/* FLR: config.c looks for the bit. Link, slot and root registers: not there. */
static const struct vfio_cfg_row vfio_pcie_rows[] = {
	{ PCI_EXP_FLAGS, 2, VFIO_CFG_OURS, .clear = PCI_EXP_FLAGS_TYPE | PCI_EXP_FLAGS_SLOT },
	{ PCI_EXP_DEVCAP, 4, VFIO_CFG_OURS },
	{ PCI_EXP_DEVCTL, 4, VFIO_CFG_THROUGH },
	{ PCI_EXP_DEVCAP2, 4, VFIO_CFG_OURS,
	  .clear = PCI_EXP_DEVCAP2_ARI | PCI_EXP_DEVCAP2_ATOMIC_ROUTE | PCI_EXP_DEVCAP2_LTR |
		   PCI_EXP_DEVCAP2_OBFF_MASK | PCI_EXP_DEVCAP2_EE_PREFIX },
	{ PCI_EXP_DEVCTL2, 2, VFIO_CFG_READ },
};

static const struct vfio_cfg_row vfio_af_rows[] = {
	{ 2, 2, VFIO_CFG_OURS },
	{ PCI_AF_CTRL, 1, VFIO_CFG_OURS, .clear = UINT32_MAX, .write = PCI_AF_CTRL_FLR },
	{ PCI_AF_STATUS, 1, VFIO_CFG_READ },
};

/* MSI and MSI-X: their registers are msi.c's and msix.c's, which irqs.c sets up. */
static const struct vfio_cfg_row vfio_msi_rows[] = {
	{ PCI_MSI_FLAGS, 2, VFIO_CFG_OURS },
};

static const struct vfio_cfg_row vfio_msix_rows[] = {
	{ PCI_MSIX_FLAGS, 10, VFIO_CFG_OURS },
};

static const struct vfio_cap_row vfio_cap_rows[] = {
	{ PCI_CAP_ID_PM, PCI_PM_SIZEOF, ROWS(vfio_pm_rows) },
	{ PCI_CAP_ID_VPD, PCI_CAP_VPD_SIZEOF, ROWS(vfio_vpd_rows) },
	{ PCI_CAP_ID_MSI, 10, ROWS(vfio_msi_rows) },
	{ PCI_CAP_ID_VNDR, 3, ROWS(vfio_vendor_rows) },
	{ PCI_CAP_ID_SSVID, 8, ROWS(vfio_ssvid_rows) },
	{ PCI_CAP_ID_EXP, PCI_EXP_LNKCAP, ROWS(vfio_pcie_rows) },
	{ PCI_CAP_ID_MSIX, PCI_CAP_MSIX_SIZEOF, ROWS(vfio_msix_rows) },
	{ PCI_CAP_ID_AF, PCI_CAP_AF_SIZEOF, ROWS(vfio_af_rows) },
};

static const struct vfio_cfg_row vfio_dsn_rows[] = {
	{ 4, 8, VFIO_CFG_OURS },
};

static const struct vfio_cfg_row vfio_vsec_rows[] = {
	{ PCI_VNDR_HEADER, 4, VFIO_CFG_OURS },
	{ 8, REST, VFIO_CFG_THROUGH },
};

/* Of a guest that hears of errors (aer.c), which keeps what it writes; what the header of a packet was is the host's. */
static const struct vfio_cfg_row vfio_aer_rows[] = {
	{ PCI_ERR_UNCOR_STATUS, 4, VFIO_CFG_OURS, .clear = UINT32_MAX },
	{ PCI_ERR_UNCOR_MASK, 4, VFIO_CFG_OURS, .clear = ~VFIO_AER_ERRORS,
	  .write = VFIO_AER_ERRORS },
	{ PCI_ERR_UNCOR_SEVER, 4, VFIO_CFG_OURS, .clear = ~VFIO_AER_ERRORS,
	  .write = VFIO_AER_ERRORS },
	{ PCI_ERR_COR_MASK, 4, VFIO_CFG_OURS, .clear = ~VFIO_AER_CORRECTABLE,
	  .write = VFIO_AER_CORRECTABLE },
};

/* ids of extended capabilities */
static const struct vfio_cap_row vfio_ecap_rows[] = {
	{ PCI_EXT_CAP_ID_ERR, 0x2c, ROWS(vfio_aer_rows) },
	{ PCI_EXT_CAP_ID_DSN, 12, ROWS(vfio_dsn_rows) },
	{ PCI_EXT_CAP_ID_VNDR, 8, ROWS(vfio_vsec_rows) },
};

static const struct vfio_cap_row *vfio_cap_row(const struct vfio_cap_row *rows, size_t n,
					       unsigned int id)
{
	for (size_t i = 0; i < n; i++)
		if (rows[i].id == id)
			return &rows[i];
	return NULL;
}

static uint32_t vfio_get32(const uint8_t *raw, unsigned int off)
{
	uint32_t v;

	memcpy(&v, raw + off, sizeof(v));
	return v;
}

/* One row at base + row->off, of which `room` bytes are the capability's. */
static void vfio_row_apply(struct vfio_pci *v, const uint8_t *raw, unsigned int base,
			   unsigned int room, const struct vfio_cfg_row *row)
{
	for (unsigned int i = 0; i < row->len && row->off + i < room; i++) {
		unsigned int at = base + row->off + i;

		v->how[at] = (uint8_t)row->how;
		v->pci.cfg[at] = raw[at];
		if (row->how == VFIO_CFG_THROUGH)
			v->pci.wmask[at] = 0xff;
		if (i >= 4)
			continue;
		v->pci.cfg[at] &= (uint8_t) ~(row->clear >> (8 * i));
		v->pci.wmask[at] |= (uint8_t)(row->write >> (8 * i));
	}
}

static void vfio_cap_apply(struct vfio_pci *v, const uint8_t *raw, unsigned int at,
			   unsigned int room, const struct vfio_cap_row *cap)
{
	for (unsigned int i = 0; i < cap->nrows; i++)
		vfio_row_apply(v, raw, at, room, &cap->rows[i]);
}

/* --- the old list ------------------------------------------------------------------------------------------ */

/* Offsets of the list's members, in its order; 0 ends it. Loops and bad pointers end it too. */
static unsigned int vfio_caps_walk(const uint8_t *raw, uint8_t out[static VFIO_CAPS_MAX])
{
	unsigned int at = raw[PCI_CAPABILITY_LIST] & ~3u, n = 0;

	if (!(raw[PCI_STATUS] & PCI_STATUS_CAP_LIST))
		return 0;
	while (at >= PCI_STD_HEADER_SIZEOF && n < VFIO_CAPS_MAX) {
		for (unsigned int i = 0; i < n; i++)
			if (out[i] == at)
				return n;
		out[n++] = (uint8_t)at;
		at = raw[at + PCI_CAP_LIST_NEXT] & ~3u;
	}
	return n;
}

unsigned int vfio_table_find(const uint8_t *raw, uint8_t id)
{
	uint8_t caps[VFIO_CAPS_MAX];
	unsigned int n = vfio_caps_walk(raw, caps);

	for (unsigned int i = 0; i < n; i++)
		if (raw[caps[i]] == id)
			return caps[i];
	return 0;
}

/* How far it can reach: to the next one in space. Vendor-specific ones say it themselves. */
static unsigned int vfio_cap_room(const uint8_t *raw, const uint8_t *caps, unsigned int n,
				  unsigned int at)
{
	unsigned int end = PCI_CFG_SPACE_SIZE;

	for (unsigned int i = 0; i < n; i++)
		if (caps[i] > at && caps[i] < end)
			end = caps[i];
	if (raw[at] == PCI_CAP_ID_VNDR)
		return MIN(end - at, (unsigned int)raw[at + 2]);
	return end - at;
}

/* Its type, and the length that its version has. */
static unsigned int vfio_pcie_fix(struct vfio_pci *v, unsigned int at)
{
	uint16_t flags = pci_get16(&v->pci, at + PCI_EXP_FLAGS);
	uint32_t devcap = vfio_get32(v->pci.cfg, at + PCI_EXP_DEVCAP);

	pci_set16(&v->pci, at + PCI_EXP_FLAGS, flags | PCI_EXP_TYPE_RC_END << 4);
	if (!v->resettable)
		pci_set32(&v->pci, at + PCI_EXP_DEVCAP, devcap & ~PCI_EXP_DEVCAP_FLR);
	return at;
}

static unsigned int vfio_af_fix(struct vfio_pci *v, unsigned int at)
{
	if (!v->resettable)
		v->pci.cfg[at + PCI_AF_CAP] &= (uint8_t)~PCI_AF_CAP_FLR;
	return at;
}

static void vfio_cap_noted(struct vfio_pci *v, unsigned int at)
{
	switch (v->pci.cfg[at]) {
	case PCI_CAP_ID_PM:
		v->cap_pm = at;
		break;
	case PCI_CAP_ID_EXP:
		v->cap_pcie = vfio_pcie_fix(v, at);
		break;
	case PCI_CAP_ID_AF:
		v->cap_af = vfio_af_fix(v, at);
		break;
	default:
		break;
	}
}

/* A second one of a kind is hidden: what follows the registers knows one. */
static bool vfio_cap_shown(const struct vfio_pci *v, const uint8_t *raw, unsigned int at)
{
	return raw[at] == PCI_CAP_ID_VNDR || (vfio_table_find(raw, raw[at]) == at && !v->how[at]);
}

/* At the offsets that it has in the device: a driver may know them. */
static void vfio_caps_apply(struct vfio_pci *v, const uint8_t *raw)
{
	uint8_t caps[VFIO_CAPS_MAX];
	unsigned int n = vfio_caps_walk(raw, caps), link = PCI_CAPABILITY_LIST;

	for (unsigned int i = 0; i < n; i++) {
		unsigned int at = caps[i], room = vfio_cap_room(raw, caps, n, at);
		const struct vfio_cap_row *cap =
			vfio_cap_row(vfio_cap_rows, ARRAY_SIZE(vfio_cap_rows), raw[at]);

		if (!cap || room < cap->need || !vfio_cap_shown(v, raw, at))
			continue;
		vfio_cap_apply(v, raw, at, room, cap);
		v->pci.cfg[at] = raw[at];
		v->pci.cfg[link] = (uint8_t)at;
		link = at + PCI_CAP_LIST_NEXT;
		vfio_cap_noted(v, at);
	}
	v->pci.cfg[PCI_STATUS] &= (uint8_t)~PCI_STATUS_CAP_LIST;
	if (v->pci.cfg[PCI_CAPABILITY_LIST])
		v->pci.cfg[PCI_STATUS] |= PCI_STATUS_CAP_LIST;
}

/* --- the extended list ------------------------------------------------------------------------------------ */

static unsigned int vfio_ecaps_walk(const uint8_t *raw, uint16_t out[static VFIO_ECAPS_MAX])
{
	unsigned int at = PCI_CFG_SPACE_SIZE, n = 0;

	while (at >= PCI_CFG_SPACE_SIZE && at <= PCI_CFG_SIZE - 8 && n < VFIO_ECAPS_MAX) {
		uint32_t header = vfio_get32(raw, at);

		for (unsigned int i = 0; i < n; i++)
			if (out[i] == at)
				return n;
		if (!header || header == UINT32_MAX)
			return n;
		out[n++] = (uint16_t)at;
		at = PCI_EXT_CAP_NEXT(header) & ~3u;
	}
	return n;
}

static unsigned int vfio_ecap_room(const uint8_t *raw, const uint16_t *caps, unsigned int n,
				   unsigned int at)
{
	unsigned int end = PCI_CFG_SIZE;

	for (unsigned int i = 0; i < n; i++)
		if (caps[i] > at && caps[i] < end)
			end = caps[i];
	if (PCI_EXT_CAP_ID(vfio_get32(raw, at)) == PCI_EXT_CAP_ID_VNDR)
		return MIN(end - at, vfio_get32(raw, at + PCI_VNDR_HEADER) >> 20);
	return end - at;
}

static bool vfio_ecap_shown(const struct vfio_pci *v, unsigned int id)
{
	return id != PCI_EXT_CAP_ID_ERR || (v->aer.wanted && !v->aer.cap && v->cap_pcie);
}

/* The list begins at 0x100 whatever is there: a null capability, where that one is hidden. */
static void vfio_ecaps_apply(struct vfio_pci *v, const uint8_t *raw)
{
	uint16_t caps[VFIO_ECAPS_MAX];
	unsigned int n = vfio_ecaps_walk(raw, caps), link = 0;

	for (unsigned int i = 0; i < n; i++) {
		unsigned int at = caps[i], room = vfio_ecap_room(raw, caps, n, at);
		uint32_t header = vfio_get32(raw, at);
		const struct vfio_cap_row *cap = vfio_cap_row(
			vfio_ecap_rows, ARRAY_SIZE(vfio_ecap_rows), PCI_EXT_CAP_ID(header));

		if (!cap || room < cap->need || !vfio_ecap_shown(v, cap->id))
			continue;
		if (cap->id == PCI_EXT_CAP_ID_ERR)
			v->aer.cap = at;
		vfio_cap_apply(v, raw, at, room, cap);
		pci_set32(&v->pci, at, header & 0xfffff); /* the last one, so far */
		if (!link && at != PCI_CFG_SPACE_SIZE)
			link = PCI_CFG_SPACE_SIZE;
		if (link)
			pci_set32(&v->pci, link, vfio_get32(v->pci.cfg, link) | (uint32_t)at << 20);
		link = at;
	}
}

void vfio_table_apply(struct vfio_pci *v, const uint8_t *raw, unsigned int size)
{
	for (unsigned int i = 0; i < ARRAY_SIZE(vfio_header_rows); i++)
		vfio_row_apply(v, raw, 0, PCI_STD_HEADER_SIZEOF, &vfio_header_rows[i]);
	vfio_caps_apply(v, raw);
	if (size == PCI_CFG_SIZE)
		vfio_ecaps_apply(v, raw);
}
