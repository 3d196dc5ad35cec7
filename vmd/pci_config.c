// SPDX-License-Identifier: MIT
/* Configuration space of the host's PCI functions: see pci_config.h. Any thread. */
#include "vmd/pci_config.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/pci_regs.h>
#include <stdio.h>

#include "lib/auto.h"
#include "lib/fdio.h"

struct pci_config_search {
	uint16_t id;
	size_t at;
};

/* clang-format off */
static const struct {
	bool extended;
	uint16_t id;
	const char *name;
} pci_config_names[] = {
	{ false, PCI_CAP_ID_PM, "Power Management" },
	{ false, PCI_CAP_ID_VPD, "Vital Product Data" },
	{ false, PCI_CAP_ID_MSI, "MSI" },
	{ false, PCI_CAP_ID_PCIX, "PCI-X" },
	{ false, PCI_CAP_ID_VNDR, "Vendor Specific" },
	{ false, PCI_CAP_ID_SHPC, "Hot-Plug" },
	{ false, PCI_CAP_ID_SSVID, "Subsystem of a Bridge" },
	{ false, PCI_CAP_ID_EXP, "PCI Express" },
	{ false, PCI_CAP_ID_MSIX, "MSI-X" },
	{ false, PCI_CAP_ID_SATA, "SATA" },
	{ false, PCI_CAP_ID_AF, "Advanced Features" },
	{ false, PCI_CAP_ID_EA, "Enhanced Allocation" },
	{ true, PCI_EXT_CAP_ID_ERR, "Advanced Error Reporting" },
	{ true, PCI_EXT_CAP_ID_VC, "Virtual Channel" },
	{ true, PCI_EXT_CAP_ID_DSN, "Device Serial Number" },
	{ true, PCI_EXT_CAP_ID_PWR, "Power Budgeting" },
	{ true, PCI_EXT_CAP_ID_VNDR, "Vendor Specific" },
	{ true, PCI_EXT_CAP_ID_ACS, "Access Control Services" },
	{ true, PCI_EXT_CAP_ID_ARI, "Alternative Routing-ID" },
	{ true, PCI_EXT_CAP_ID_ATS, "Address Translation Services" },
	{ true, PCI_EXT_CAP_ID_SRIOV, "SR-IOV" },
	{ true, PCI_EXT_CAP_ID_PRI, "Page Request Interface" },
	{ true, PCI_EXT_CAP_ID_REBAR, "Resizable BAR" },
	{ true, PCI_EXT_CAP_ID_DPA, "Dynamic Power Allocation" },
	{ true, PCI_EXT_CAP_ID_TPH, "Processing Hints" },
	{ true, PCI_EXT_CAP_ID_LTR, "Latency Tolerance Reporting" },
	{ true, PCI_EXT_CAP_ID_SECPCI, "Secondary PCI Express" },
	{ true, PCI_EXT_CAP_ID_PASID, "Process Address Space ID" },
	{ true, PCI_EXT_CAP_ID_DPC, "Downstream Port Containment" },
	{ true, PCI_EXT_CAP_ID_L1SS, "L1 Substates" },
	{ true, PCI_EXT_CAP_ID_PTM, "Precision Time Measurement" },
	{ true, PCI_EXT_CAP_ID_DVSEC, "Designated Vendor Specific" },
	{ true, PCI_EXT_CAP_ID_DLF, "Data Link Feature" },
	{ true, PCI_EXT_CAP_ID_PL_16GT, "Physical Layer 16 GT/s" },
};
/* clang-format on */

int pci_config_read_part(const struct hostfs *folder, size_t most, struct pci_config *ret_config)
{
	AUTO_CLOSE int fd = hostfs_open(folder, "config", O_RDONLY, NULL);
	ssize_t n;

	if (fd < 0)
		return fd;
	n = fdio_read(fd, ret_config->bytes, MIN(most, sizeof(ret_config->bytes)));
	if (n < PCI_STD_HEADER_SIZEOF)
		return n < 0 ? (int)n : -EIO;
	ret_config->size = (size_t)n;
	return 0;
}

int pci_config_read(const struct hostfs *h, const struct pci_addr *addr,
		    struct pci_config *ret_config)
{
	char path[96], text[PCI_ADDR_SIZE];
	struct hostfs folder;
	int ret;

	snprintf(path, sizeof(path), "sys/bus/pci/devices/%s", pci_addr_format(addr, text));
	ret = hostfs_sub(h, path, &folder, NULL);
	if (ret < 0)
		return ret;
	ret = pci_config_read_part(&folder, PCI_CONFIG_SIZE, ret_config);
	hostfs_fini(&folder);
	return ret;
}

uint16_t pci_config_word(const struct pci_config *c, size_t at)
{
	return range_fits(at, 2, c->size) ? (uint16_t)(c->bytes[at] | c->bytes[at + 1] << 8) : 0;
}

uint32_t pci_config_dword(const struct pci_config *c, size_t at)
{
	return range_fits(at, 4, c->size)
		       ? pci_config_word(c, at) | (uint32_t)pci_config_word(c, at + 2) << 16
		       : 0;
}

bool pci_config_dead(const struct pci_config *c)
{
	for (size_t i = 0; i < PCI_STD_HEADER_SIZEOF; i++)
		if (c->bytes[i] != 0xff)
			return false;
	return true;
}

static void pci_config_each_standard(const struct pci_config *c,
				     void (*fn)(void *arg, const struct pci_config *c, uint16_t id,
						size_t at),
				     void *arg)
{
	size_t at = c->bytes[PCI_CAPABILITY_LIST] & ~3u;

	if (!(pci_config_word(c, PCI_STATUS) & PCI_STATUS_CAP_LIST))
		return;
	for (unsigned int n = 0; n < PCI_CFG_SPACE_SIZE / 4; n++) {
		uint16_t head = pci_config_word(c, at);

		if (at < PCI_STD_HEADER_SIZEOF || !head || head == 0xffff)
			return;
		fn(arg, c, head & 0xff, at);
		at = head >> 8 & ~3u;
	}
}

void pci_config_each(const struct pci_config *c, bool extended,
		     void (*fn)(void *arg, const struct pci_config *c, uint16_t id, size_t at),
		     void *arg)
{
	size_t at = PCI_CFG_SPACE_SIZE;

	if (!extended) {
		pci_config_each_standard(c, fn, arg);
		return;
	}
	for (unsigned int n = 0; n < PCI_CONFIG_SIZE / 8 && at >= PCI_CFG_SPACE_SIZE; n++) {
		uint32_t head = pci_config_dword(c, at);

		if (!head || head == UINT32_MAX)
			return;
		fn(arg, c, PCI_EXT_CAP_ID(head), at);
		at = PCI_EXT_CAP_NEXT(head);
	}
}

static void pci_config_match(void *arg, const struct pci_config *c, uint16_t id, size_t at)
{
	struct pci_config_search *s = arg;

	(void)c;
	if (id == s->id && !s->at)
		s->at = at;
}

size_t pci_config_find(const struct pci_config *c, bool extended, uint16_t id)
{
	struct pci_config_search s = { .id = id };

	pci_config_each(c, extended, pci_config_match, &s);
	return s.at;
}

const char *pci_config_name(bool extended, uint16_t id)
{
	for (size_t i = 0; i < ARRAY_SIZE(pci_config_names); i++)
		if (pci_config_names[i].extended == extended && pci_config_names[i].id == id)
			return pci_config_names[i].name;
	return NULL;
}
