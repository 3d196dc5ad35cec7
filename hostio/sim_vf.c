// SPDX-License-Identifier: MIT
/*
 * What drivers of simulated PFs do for their VFs: see sim.h. NICs keep properties as an igb does, NVMe controllers have
 * the commands of hostio/nvme.c.
 */
#include <endian.h>
#include <errno.h>
#include <linux/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "hostio/sim.h"
#include "lib/auto.h"

#define SIM_NVME_INVALID 0x02 /* generic status: Invalid Field in Command */
#define SIM_NVME_STATE 0x120  /* command specific: Invalid Secondary Controller State */

int sim_link_up(struct kernel *k, const char *netdev, bool up, struct err *e)
{
	AUTO_CLOSE int lock = -1;
	struct sim_fault fault;
	char path[SIM_PATH], text[32];
	unsigned int flags;
	int ret = sim_fault(k, "link", &fault, e);

	if (ret < 0 || fault.ignore)
		return ret;
	lock = sim_lock(k, e);
	snprintf(path, sizeof(path), "sys/class/net/%s/flags", netdev);
	ret = lock < 0 ? lock : (int)hostfs_read(&k->fs, path, text, sizeof(text), e);
	if (ret < 0)
		return ret;
	flags = (unsigned int)strtoul(text, NULL, 16);
	flags = up ? flags | IFF_UP : flags & ~(unsigned int)IFF_UP;
	ret = sim_put(k, path, e, "0x%x\n", flags);
	snprintf(path, sizeof(path), "sys/class/net/%s/operstate", netdev);
	if (ret >= 0)
		ret = sim_put(k, path, e, "%s\n", up ? "up" : "down");
	snprintf(path, sizeof(path), "sys/class/net/%s/carrier", netdev);
	return ret < 0 ? ret : up ? sim_put(k, path, e, "1\n") : sim_remove(k, path, e);
}

/* The PCI device of an interface or controller of a class. */
static int sim_owner(struct kernel *k, const char *class, const char *name,
		     char out[static SIM_NAME], struct err *e)
{
	char path[SIM_PATH], to[SIM_PATH];
	ssize_t n;

	snprintf(path, sizeof(path), "sys/class/%s/%s/device", class, name);
	n = hostfs_readlink(&k->fs, path, to, sizeof(to), e);
	if (n < 0)
		return (int)n;
	/* from the folder of the interface up to the device's: "../.." or "../../../0000:10:00.0" */
	if (strrchr(to, '/') && strcmp(strrchr(to, '/'), "/.."))
		snprintf(out, SIM_NAME, "%.60s", strrchr(to, '/') + 1);
	else
		return err_set(e, ENODEV, "'%s' has no device", name);
	return 0;
}

static bool sim_has_vf(struct kernel *k, const char *pf, unsigned int vf)
{
	char path[SIM_PATH];

	snprintf(path, sizeof(path), "sys/bus/pci/devices/%s/virtfn%u", pf, vf);
	return sim_exists(k, path);
}

/* As after it was made: no MAC of its own, what the driver's default is. */
static int sim_vf_load(struct kernel *k, const char *netdev, unsigned int n,
		       char pf[static SIM_NAME], struct vf *ret_vf, struct err *e)
{
	static const struct vf fresh = { .has = BIT(VF_PARTS) - 1, .spoofchk = true };
	AUTO_JSON struct json_object *o = NULL;
	char path[SIM_PATH];
	int ret = sim_owner(k, "net", netdev, pf, e);

	if (ret < 0)
		return ret;
	if (!sim_has_vf(k, pf, n))
		return err_set(e, ENODEV, "no VF %u", n);
	*ret_vf = fresh;
	snprintf(path, sizeof(path), "sim/vf/%s/%u.json", pf, n);
	return sim_json_read(k, path, &o, NULL) < 0 ? 0 : vf_parse(o, &fresh, ret_vf, e);
}

int sim_vf_get(struct kernel *k, const char *netdev, unsigned int vf, struct vf *ret_vf,
	       struct err *e)
{
	AUTO_CLOSE int lock = -1;
	struct sim_fault fault;
	char pf[SIM_NAME];
	int ret = sim_fault(k, "vf-get", &fault, e);

	if (ret < 0)
		return ret;
	lock = sim_lock(k, e);
	return lock < 0 ? lock : sim_vf_load(k, netdev, vf, pf, ret_vf, e);
}

int sim_vf_macs(struct kernel *k, const char *netdev,
		int (*each)(void *arg, unsigned int vf, const uint8_t mac[static 6]), void *arg,
		struct err *e)
{
	AUTO_CLOSE int lock = -1;
	struct sim_fault fault;
	char pf[SIM_NAME];
	struct vf vf;
	int ret = sim_fault(k, "vf-macs", &fault, e);

	if (ret >= 0) {
		lock = sim_lock(k, e);
		ret = MIN(lock, 0);
	}
	if (ret >= 0)
		ret = sim_owner(k, "net", netdev, pf, e);
	for (unsigned int n = 0; ret >= 0 && sim_has_vf(k, pf, n); n++) {
		ret = sim_vf_load(k, netdev, n, pf, &vf, e);
		if (ret >= 0)
			ret = each(arg, n, vf.mac);
	}
	return MIN(ret, 0);
}

static void sim_vf_take(struct vf *vf, enum vf_part part, const struct vf *want)
{
	switch (part) {
	case VF_MAC:
		memcpy(vf->mac, want->mac, sizeof(vf->mac));
		break;
	case VF_VLAN:
		vf->vlan = want->vlan;
		vf->qos = want->qos;
		break;
	case VF_SPOOFCHK:
		vf->spoofchk = want->spoofchk;
		break;
	case VF_TRUST:
		vf->trust = want->trust;
		break;
	case VF_RATE:
		vf->min_tx_rate = want->min_tx_rate;
		vf->max_tx_rate = want->max_tx_rate;
		break;
	default:
		vf->link_state = want->link_state;
		break;
	}
}

int sim_vf_set(struct kernel *k, const char *netdev, unsigned int n, enum vf_part part,
	       const struct vf *want, struct err *e)
{
	AUTO_JSON struct json_object *o = NULL;
	AUTO_CLOSE int lock = -1;
	struct sim_fault fault;
	char pf[SIM_NAME], path[SIM_PATH];
	struct vf vf;
	int ret = sim_fault(k, vf_part_name(part), &fault, e);

	if (ret < 0 || fault.ignore)
		return ret;
	/* what every driver refuses */
	if (part == VF_MAC && want->mac[0] & 1)
		return err_set(e, EINVAL, "%s", strerrordesc_np(EINVAL));
	lock = sim_lock(k, e);
	ret = lock < 0 ? lock : sim_vf_load(k, netdev, n, pf, &vf, e);
	if (ret < 0)
		return ret;
	sim_vf_take(&vf, part, want);
	o = vf_json(&vf);
	snprintf(path, sizeof(path), "sim/vf/%s/%u.json", pf, n);
	return sim_json_write(k, path, o, e);
}

/* --- NVMe ------------------------------------------------------------------------------------ */

static struct json_object *sim_nvme_load(struct kernel *k, const char *pf, unsigned int vf)
{
	struct json_object *o = NULL;
	char path[SIM_PATH];

	snprintf(path, sizeof(path), "sim/nvme/%s/%u.json", pf, vf);
	return sim_json_read(k, path, &o, NULL) < 0 ? json_new() : o;
}

bool sim_nvme_alive(struct kernel *k, const char *pf, unsigned int vf)
{
	AUTO_JSON struct json_object *o = sim_nvme_load(k, pf, vf);

	return json_get_bool(o, "online", false) && json_get_int(o, "queues", 0) > 1 &&
	       json_get_int(o, "interrupts", 0) > 0;
}

/* Secondary controller n + 1 is VF n's, as a controller with one PF numbers them. */
static int sim_nvme_list(struct kernel *k, const char *pf, struct kernel_nvme *cmd)
{
	unsigned int from = cmd->cdw10 >> 16, n = 0;
	unsigned char *out = cmd->data;

	if ((cmd->cdw10 & 0xff) != 0x15 || cmd->size != 4096)
		return SIM_NVME_INVALID;
	memset(out, 0, cmd->size);
	for (unsigned int vf = 0; n < 127 && sim_has_vf(k, pf, vf); vf++) {
		AUTO_JSON struct json_object *o = sim_nvme_load(k, pf, vf);
		uint16_t words[16] = { 0 };

		if (vf + 1 < from)
			continue;
		words[0] = htole16((uint16_t)(vf + 1));
		words[2] = htole16(json_get_bool(o, "online", false));
		words[4] = htole16((uint16_t)(vf + 1));
		words[5] = htole16((uint16_t)json_get_int(o, "queues", 0));
		words[6] = htole16((uint16_t)json_get_int(o, "interrupts", 0));
		memcpy(out + 32 + 32 * n++, words, sizeof(words));
	}
	out[0] = (unsigned char)n;
	return 0;
}

static int sim_nvme_manage(struct kernel *k, const char *pf, struct kernel_nvme *cmd, struct err *e)
{
	unsigned int vf = (cmd->cdw10 >> 16) - 1, action = cmd->cdw10 & 15;
	AUTO_JSON struct json_object *o = sim_nvme_load(k, pf, vf);
	char path[SIM_PATH];

	if (!sim_has_vf(k, pf, vf))
		return SIM_NVME_INVALID;
	if (action == 8 && json_get_bool(o, "online", false))
		return SIM_NVME_STATE;
	if (action == 7)
		json_add_bool(o, "online", false);
	else if (action == 8)
		json_add_int(o, cmd->cdw10 >> 8 & 7 ? "interrupts" : "queues", cmd->cdw11);
	else if (action == 9 && json_get_int(o, "queues", 0) && json_get_int(o, "interrupts", 0))
		json_add_bool(o, "online", true);
	else
		return SIM_NVME_STATE;
	snprintf(path, sizeof(path), "sim/nvme/%s/%u.json", pf, vf);
	return sim_json_write(k, path, o, e);
}

int sim_nvme(struct kernel *k, const char *name, struct kernel_nvme *cmd, struct err *e)
{
	static const char *const actions[16] = { [7] = "offline", [8] = "assign", [9] = "online" };
	AUTO_CLOSE int lock = -1;
	struct sim_fault fault;
	const char *at = cmd->opcode == 0x1c ? actions[cmd->cdw10 & 15] : "identify";
	char pf[SIM_NAME];
	int ret = sim_fault(k, at ? at : "nvme", &fault, e);

	if (ret < 0 || fault.ignore)
		return ret;
	lock = sim_lock(k, e);
	ret = lock < 0 ? lock : sim_owner(k, "nvme", name, pf, e);
	if (ret < 0)
		return ret;
	if (cmd->opcode == 0x06)
		return sim_nvme_list(k, pf, cmd);
	return cmd->opcode == 0x1c ? sim_nvme_manage(k, pf, cmd, e) : 1;
}
