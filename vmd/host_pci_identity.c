// SPDX-License-Identifier: MIT
/* What a PCI function is, wherever it is plugged in: see host_pci.h. Any thread. */
#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/errcat.h"
#include "vmd/host_pci.h"

#define IDENTITY_VFS_MAX 65535

struct identity_difference {
	char *out;
	size_t size;
	unsigned int n;
};

static void pci_identity_say(struct identity_difference *d, const char *what, const char *now,
			     const char *stored)
{
	size_t at = strlen(d->out);

	snprintf(d->out + at, d->size - at, "%s%s %s instead of %s", d->n++ ? ", " : "", what, now,
		 stored);
}

static void pci_identity_number(struct identity_difference *d, const char *what, unsigned int now,
				unsigned int stored)
{
	char a[8], b[8];

	snprintf(a, sizeof(a), "%04x", now & 0xffff);
	snprintf(b, sizeof(b), "%04x", stored & 0xffff);
	if (strcmp(a, b))
		pci_identity_say(d, what, a, b);
}

/* What one of them does not know says nothing. */
static void pci_identity_text(struct identity_difference *d, const char *what, const char *now,
			      const char *stored)
{
	if (now[0] && stored[0] && strcasecmp(now, stored))
		pci_identity_say(d, what, now, stored);
}

static const char *pci_identity_vf(const struct pci_identity *id, char out[static 24])
{
	if (id->vf_index < 0)
		return "no VF";
	snprintf(out, 24, "VF %d", id->vf_index);
	return out;
}

int pci_identity_differs(const struct pci_identity *stored, const struct pci_identity *now,
			 char *out, size_t size)
{
	struct identity_difference d = { .out = out, .size = size };
	char a[24], b[24];

	out[0] = '\0';
	pci_identity_number(&d, "vendor", now->vendor, stored->vendor);
	pci_identity_number(&d, "device", now->device, stored->device);
	pci_identity_number(&d, "subsystem vendor", now->subsystem_vendor,
			    stored->subsystem_vendor);
	pci_identity_number(&d, "subsystem device", now->subsystem_device,
			    stored->subsystem_device);
	pci_identity_text(&d, "serial number", now->serial, stored->serial);
	pci_identity_text(&d, "MAC", now->mac, stored->mac);
	if (now->vf_index != stored->vf_index) {
		pci_identity_say(&d, "it is", pci_identity_vf(now, a), pci_identity_vf(stored, b));
	}
	pci_identity_text(&d, "slot", now->slot, stored->slot);
	return d.n > 0;
}

static void pci_identity_add_hex(struct json_object *o, const char *key, unsigned int value)
{
	json_add_fmt(o, key, "%04x", value & 0xffff);
}

struct json_object *pci_identity_json(const struct pci_identity *id)
{
	struct json_object *o = json_new();

	pci_identity_add_hex(o, "vendor", id->vendor);
	pci_identity_add_hex(o, "device", id->device);
	pci_identity_add_hex(o, "subsystem_vendor", id->subsystem_vendor);
	pci_identity_add_hex(o, "subsystem_device", id->subsystem_device);
	if (id->serial[0])
		json_add_str(o, "serial", id->serial);
	if (id->mac[0])
		json_add_str(o, "mac", id->mac);
	if (id->vf_index >= 0)
		json_add_int(o, "vf", id->vf_index);
	if (id->slot[0])
		json_add_str(o, "slot", id->slot);
	return o;
}

static int pci_identity_hex(struct json_object *o, const char *key, bool required, uint16_t *ret,
			    struct err *e)
{
	const char *text = json_get_str(o, key, NULL);
	char *end;

	if (!text && !required && !json_get(o, key))
		return 0;
	if (!text || strlen(text) != 4 || strspn(text, "0123456789abcdefABCDEF") != 4)
		return err_set(e, ERR_INVALID,
			       "%s of a PCI device is four hexadecimal digits: "
			       "\"8086\"",
			       key);
	*ret = (uint16_t)strtoul(text, &end, 16);
	return 0;
}

static int pci_identity_string(struct json_object *o, const char *key, char *out, size_t size,
			       struct err *e)
{
	const char *text = json_get_str(o, key, NULL);

	if (json_get(o, key) && (!text || strlen(text) >= size))
		return err_set(e, ERR_INVALID, "%s of a PCI device is a text of at most %zu bytes",
			       key, size - 1);
	snprintf(out, size, "%s", text ? text : "");
	return 0;
}

int pci_identity_parse(struct json_object *o, struct pci_identity *ret_id, struct err *e)
{
	struct pci_identity id = { .vf_index = -1 };
	int64_t vf = -1;
	int ret = pci_identity_hex(o, "vendor", true, &id.vendor, e);

	if (ret >= 0)
		ret = pci_identity_hex(o, "device", true, &id.device, e);
	if (ret >= 0)
		ret = pci_identity_hex(o, "subsystem_vendor", false, &id.subsystem_vendor, e);
	if (ret >= 0)
		ret = pci_identity_hex(o, "subsystem_device", false, &id.subsystem_device, e);
	if (ret >= 0)
		ret = pci_identity_string(o, "serial", id.serial, sizeof(id.serial), e);
	if (ret >= 0)
		ret = pci_identity_string(o, "mac", id.mac, sizeof(id.mac), e);
	if (ret >= 0)
		ret = pci_identity_string(o, "slot", id.slot, sizeof(id.slot), e);
	if (ret < 0)
		return ret;
	if (json_get(o, "vf") &&
	    (!json_int(json_get(o, "vf"), &vf) || vf < 0 || vf > IDENTITY_VFS_MAX))
		return err_set(e, ERR_INVALID, "vf of a PCI device is a number from 0 to %d",
			       IDENTITY_VFS_MAX);
	id.vf_index = (int)vf;
	*ret_id = id;
	return 0;
}
