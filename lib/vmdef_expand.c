// SPDX-License-Identifier: MIT
/*
 * From a checked definition to the machine configuration (vmdef.h shows one). Defaults come from the
 * schemas' `default`, so that what a schema says is what a machine gets. Any thread.
 */
#include "lib/vmdef.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

#include "lib/auto.h"
#include "lib/errcat.h"
#include "lib/netdef.h"
#include "lib/vmdef_limits.h"
#include "lib/vmdef_memory.h"
#include "lib/vmdef_plan.h"

/* A size that was written with a unit is bytes. */
static struct json_object *vmdef_value(struct json_object *value,
				       const struct json_object *property)
{
	uint64_t bytes;

	if (strcmp(json_get_str(property, "format", ""), "size") != 0 ||
	    !json_object_is_type(value, json_type_string) ||
	    json_size_parse(json_object_get_string(value), &bytes) < 0)
		return json_clone(value);
	return json_object_new_int64((int64_t)bytes);
}

void vmdef_copy(struct json_object *out, const struct json_object *from,
		struct json_object *properties, const char *const *except)
{
	json_object_object_foreach(properties, key, property) {
		struct json_object *value = json_get(from, key);
		bool skip = false;

		for (const char *const *name = except; name && *name; name++)
			skip = skip || !strcmp(*name, key);
		if (!value)
			value = json_get(property, "default");
		if (value && !skip)
			json_add(out, key, vmdef_value(value, property));
	}
}

static void vmdef_add_string(struct json_object *out, const struct json_object *def,
			     const struct json_object *schema, const char *key)
{
	struct json_object *property = json_get(json_get(schema, "properties"), key);

	json_add_str(out, key, json_get_str(def, key, json_get_str(property, "default", "")));
}

/* --- PCI addresses --------------------------------------------------------------------------------- */

struct vmdef_places {
	unsigned int device[VMDEF_DEVICES_MAX]; /* of each slot, 0: none yet, or no PCI device */
	unsigned int taken;			/* a bit a device */
};

static void vmdef_place(struct vmdef_places *pl, size_t slot, unsigned int device)
{
	if (!device || pl->device[slot] || pl->taken & BIT(device))
		return;
	pl->device[slot] = device;
	pl->taken |= BIT(device);
}

/* The same device in the configuration before, or NULL. */
static struct json_object *vmdef_before(struct json_object *previous, const struct vmdef_slot *s)
{
	struct json_object *devices = json_get(previous, "devices");
	size_t count = json_object_is_type(devices, json_type_array)
			       ? json_object_array_length(devices)
			       : 0;

	for (size_t i = 0; i < count; i++) {
		struct json_object *d = json_object_array_get_idx(devices, i);

		if (!strcmp(json_get_str(d, "id", ""), s->id) &&
		    !strcmp(json_get_str(d, "type", ""), s->type))
			return d;
	}
	return NULL;
}

static unsigned int vmdef_place_before(struct json_object *previous, const struct vmdef_slot *s)
{
	return vmdef_pci_device(json_get_str(vmdef_before(previous, s), "address", ""));
}

/*
 * An address in the definition holds; then what was before stays; the rest fills up from below. The place of a device that
 * is off now stays free: it may be switched off by the newcomer (a balloon by a device of the host) and run still.
 */
static void vmdef_place_all(const struct vmdef_plan *p, struct json_object *previous,
			    struct vmdef_places *pl)
{
	pl->taken = p->profile->chipset;
	for (size_t i = 0; i < p->n; i++)
		if (!p->slots[i].off)
			vmdef_place(
				pl, i,
				vmdef_pci_device(json_get_str(p->slots[i].entry, "address", "")));
	for (size_t i = 0; i < p->n; i++)
		if (!p->slots[i].off && vmdef_slot_property(&p->slots[i], "address"))
			vmdef_place(pl, i, vmdef_place_before(previous, &p->slots[i]));
	for (size_t i = 0; i < p->n; i++)
		if (p->slots[i].off)
			pl->taken |= BIT(vmdef_place_before(previous, &p->slots[i]));
	for (size_t i = 0; i < p->n; i++) {
		if (p->slots[i].off || !vmdef_slot_property(&p->slots[i], "address"))
			continue;
		for (unsigned int d = VMDEF_PCI_FIRST; d <= VMDEF_PCI_LAST && !pl->device[i]; d++)
			vmdef_place(pl, i, d);
	}
}

/* --- the parts ------------------------------------------------------------------------------------- */

/* MAC addresses are compared as text. */
static void vmdef_lower(struct json_object *string)
{
	char text[32];

	if (!string)
		return;
	snprintf(text, sizeof(text), "%s", json_object_get_string(string));
	for (char *p = text; *p; p++)
		*p = (char)tolower((unsigned char)*p);
	json_object_set_string(string, text);
}

static struct json_object *vmdef_expand_devices(const struct vmdef_plan *p, const char *vm,
						bool firmware, struct json_object *previous)
{
	static const char *const own[] = { "type", "id", "enabled", "address", NULL };
	struct json_object *out = json_object_new_array();
	struct vmdef_places pl = { 0 };

	vmdef_place_all(p, previous, &pl);
	for (size_t i = 0; i < p->n; i++) {
		const struct vmdef_slot *s = &p->slots[i];
		struct json_object *d, *disks;

		if (s->off)
			continue;
		d = json_add_str(json_add_str(json_new(), "type", s->type), "id", s->id);
		if (pl.device[i])
			json_add_fmt(d, "address", "00:%02x.0", pl.device[i]);
		vmdef_copy(d, s->entry, json_get(s->schema, "properties"), own);
		vmdef_lower(json_get(d, "mac"));
		if (netdef_is_card(s->type))
			vmdef_expand_net(d, vm, vmdef_before(previous, s));
		/* nobody else starts it */
		if (!strcmp(s->type, VMDEF_VGA) &&
		    (!firmware || !strcmp(json_get_str(d, "rom", ""), "none")))
			json_object_object_del(d, "rom");
		disks = vmdef_expand_scsi(s, previous);
		if (disks)
			json_add(d, "disks", disks);
		if (!strcmp(s->type, VMDEF_CONSOLE) && json_get(d, "ports"))
			json_add(d, "ports", vmdef_expand_ports(s));
		if (!strcmp(s->type, VMDEF_SERIAL))
			vmdef_expand_serial(d);
		json_object_array_add(out, d);
	}
	return out;
}

static struct json_object *vmdef_expand_memory(struct json_object *def)
{
	struct vmdef_memory m = vmdef_memory(def);
	struct json_object *o = json_add_int(json_new(), "size", (int64_t)m.size);

	json_add_int(o, "hugepages", (int64_t)m.hugepages);
	if (m.node >= 0)
		json_add_int(o, "node", m.node);
	return m.strict ? json_add_str(o, "policy", "strict") : o;
}

int vmdef_expand_in(struct schema_set *set, struct json_object *def, struct json_object *previous,
		    struct json_object **ret_config, struct err *e)
{
	static const char *const no_kernel[] = { "cmdline", NULL };
	struct json_object *schema = NULL, *out, *boot;
	struct vmdef_plan p;
	int64_t cpus;
	int ret = schema_set_json(set, "vm.json", &schema, e);

	if (ret < 0)
		return ret;
	ret = vmdef_plan_init(&p, set, def, NULL, e);
	if (ret < 0)
		return ret;
	out = json_add_str(json_new(), "name", json_get_str(def, "name", ""));
	vmdef_add_string(out, def, schema, "profile");
	cpus = json_object_get_int64(json_at(schema, "/properties/cpus/default"));
	cpus = json_get_int(def, "cpus", cpus);
	json_add_int(out, "vcpus", cpus);
	json_add(out, "memory", vmdef_expand_memory(def));
	json_add_str(out, "irqchip", p.profile->irqchip);
	vmdef_add_string(out, def, schema, "on_reboot");
	vmdef_add_string(out, def, schema, "on_crash");
	json_add(out, "limits", vmdef_expand_limits(def, cpus));
	boot = json_new();
	vmdef_copy(boot, json_get(def, "boot"), json_at(schema, "/properties/boot/properties"),
		   json_at(def, "/boot/kernel") ? NULL : no_kernel);
	json_add(out, "boot", boot);
	if (json_get(def, "display"))
		json_add(out, "display", json_clone(json_get(def, "display")));
	if (json_get(def, "smbios"))
		json_add(out, "smbios", json_clone(json_get(def, "smbios")));
	json_add(out, "devices",
		 vmdef_expand_devices(&p, json_get_str(def, "name", ""),
				      json_at(def, "/boot/firmware"), previous));
	*ret_config = out;
	return 0;
}

int vmdef_expand(struct json_object *def, struct json_object *previous,
		 struct json_object **ret_config, struct err *e)
{
	struct schema_set *set = schema_set_new();
	int ret = vmdef_expand_in(set, def, previous, ret_config, e);

	schema_set_free(set);
	return ret;
}
