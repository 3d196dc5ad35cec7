// SPDX-License-Identifier: MIT
/* Configuration space of simulated devices: see sim_config.h. */
#include "hostio/sim_config.h"

#include <endian.h>
#include <linux/pci_regs.h>
#include <stdio.h>
#include <string.h>

#define SIM_CAP_EXP 0x40
#define SIM_CAP_MSIX 0x80
#define SIM_EXT_FIRST 0x100
#define SIM_EXT_SIZE 0x40

static void sim_config_16(char *c, unsigned int at, uint16_t value)
{
	value = htole16(value);
	memcpy(c + at, &value, sizeof(value));
}

static void sim_config_32(char *c, unsigned int at, uint32_t value)
{
	value = htole32(value);
	memcpy(c + at, &value, sizeof(value));
}

static void sim_config_capabilities(const struct sim_function *f, char *c)
{
	bool port = f->class_code == 0x060400;

	sim_config_16(c, PCI_STATUS, PCI_STATUS_CAP_LIST);
	c[PCI_CAPABILITY_LIST] = SIM_CAP_EXP;
	c[SIM_CAP_EXP] = PCI_CAP_ID_EXP;
	c[SIM_CAP_EXP + 1] = f->bridge ? 0 : (char)SIM_CAP_MSIX;
	sim_config_16(c, SIM_CAP_EXP + PCI_EXP_FLAGS,
		      (uint16_t)(2 | (port ? PCI_EXP_TYPE_ROOT_PORT : PCI_EXP_TYPE_ENDPOINT) << 4));
	sim_config_32(c, SIM_CAP_EXP + PCI_EXP_DEVCAP,
		      strstr(f->reset_method, "flr") ? PCI_EXP_DEVCAP_FLR : 0);
	sim_config_32(c, SIM_CAP_EXP + PCI_EXP_LNKCAP, PCI_EXP_LNKCAP_SLS_8_0GB | 8 << 4);
	sim_config_16(c, SIM_CAP_EXP + PCI_EXP_LNKSTA, PCI_EXP_LNKSTA_CLS_8_0GB | 8 << 4);
	if (f->bridge)
		return;
	c[SIM_CAP_MSIX] = PCI_CAP_ID_MSIX;
	sim_config_16(c, SIM_CAP_MSIX + PCI_MSIX_FLAGS, 7);
	sim_config_32(c, SIM_CAP_MSIX + PCI_MSIX_TABLE, 1);
	sim_config_32(c, SIM_CAP_MSIX + PCI_MSIX_PBA, 0x800 | 1);
}

/* The next extended capability; the one before points at it. */
static unsigned int sim_config_extended(char *c, unsigned int *at, uint16_t id)
{
	unsigned int here = *at;

	if (here > SIM_EXT_FIRST) {
		uint32_t before;

		memcpy(&before, c + here - SIM_EXT_SIZE, sizeof(before));
		sim_config_32(c, here - SIM_EXT_SIZE, le32toh(before) | here << 20);
	}
	sim_config_32(c, here, (uint32_t)id | 1 << 16);
	*at = here + SIM_EXT_SIZE;
	return here;
}

static void sim_config_extend(const struct sim_function *f, char *c)
{
	unsigned int next = SIM_EXT_FIRST, at;

	if (f->bridge) {
		at = sim_config_extended(c, &next, PCI_EXT_CAP_ID_ACS);
		sim_config_16(c, at + PCI_ACS_CAP,
			      PCI_ACS_SV | PCI_ACS_RR | PCI_ACS_CR | PCI_ACS_UF);
		sim_config_16(c, at + PCI_ACS_CTRL,
			      PCI_ACS_SV | PCI_ACS_RR | PCI_ACS_CR | PCI_ACS_UF);
	}
	if (f->serial) {
		at = sim_config_extended(c, &next, PCI_EXT_CAP_ID_DSN);
		sim_config_32(c, at + 4, (uint32_t)f->serial);
		sim_config_32(c, at + 8, (uint32_t)(f->serial >> 32));
	}
	if (f->total_vfs || f->vf)
		sim_config_extended(c, &next, PCI_EXT_CAP_ID_ARI);
	if (f->total_vfs) {
		at = sim_config_extended(c, &next, PCI_EXT_CAP_ID_SRIOV);
		sim_config_16(c, at + PCI_SRIOV_INITIAL_VF, (uint16_t)f->total_vfs);
		sim_config_16(c, at + PCI_SRIOV_TOTAL_VF, (uint16_t)f->total_vfs);
		sim_config_16(c, at + PCI_SRIOV_VF_OFFSET,
			      (uint16_t)json_get_int(f->facts, "vf_offset", 0));
		sim_config_16(c, at + PCI_SRIOV_VF_STRIDE,
			      (uint16_t)json_get_int(f->facts, "vf_stride", 0));
		sim_config_16(c, at + PCI_SRIOV_VF_DID,
			      (uint16_t)json_get_int(f->facts, "vf_device", 0));
	}
}

size_t sim_config_make(const struct sim_function *f, char out[static SIM_CONFIG_SIZE])
{
	bool express = !json_get_bool(f->facts, "conventional", false);

	memset(out, 0, SIM_CONFIG_SIZE);
	/* a VF's own registers say nothing: sysfs has its PF's numbers */
	sim_config_16(out, PCI_VENDOR_ID, f->vf ? 0xffff : f->vendor);
	sim_config_16(out, PCI_DEVICE_ID, f->vf ? 0xffff : f->device);
	sim_config_32(out, PCI_CLASS_REVISION, f->class_code << 8 | 1);
	out[PCI_HEADER_TYPE] = f->bridge ? PCI_HEADER_TYPE_BRIDGE : PCI_HEADER_TYPE_NORMAL;
	if (!f->bridge) {
		sim_config_16(out, PCI_SUBSYSTEM_VENDOR_ID, f->vendor);
		sim_config_16(out, PCI_SUBSYSTEM_ID, f->subsystem);
	}
	if (!express)
		return PCI_CFG_SPACE_SIZE;
	sim_config_capabilities(f, out);
	sim_config_extend(f, out);
	return SIM_CONFIG_SIZE;
}

const char *sim_config_resource(const struct sim_function *f, char *out, size_t size)
{
	size_t len = 0;

	for (unsigned int i = 0; i < 7; i++)
		len += (size_t)snprintf(out + len, size - len, "0x%016x 0x%016x 0x%016x\n",
					f->bridge || i ? 0 : 0xf0000000u,
					f->bridge || i ? 0 : 0xf000ffffu,
					f->bridge || i ? 0 : 0x140204u);
	return out;
}
