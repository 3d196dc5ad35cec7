// SPDX-License-Identifier: MIT
/*
 * Which devices a machine has: those of the profile, in its order, with what the definition says of
 * them, then the definition's own in the order of the file. Any thread.
 */
#include "lib/vmdef_plan.h"

#include <ctype.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/un.h>

#include "lib/auto.h"
#include "lib/errcat.h"
#include "lib/netdef.h"
#include "lib/vmdef_memory.h"

/* The definition's lists of devices, in the order of the machine's. */
static const char *const vmdef_lists[] = { "devices", "passthrough" };

struct vmdef_planner {
	struct vmdef_plan *p;
	struct schema_set *set;	 /* borrowed */
	struct json_object *def; /* borrowed */
	struct schema_error *where;
	struct err *e;
};

int vmdef_refuse(struct schema_error *where, struct err *e, const char *pointer, const char *fmt,
		 ...)
{
	struct schema_error w = { 0 };
	va_list ap;

	snprintf(w.pointer, sizeof(w.pointer), "%s", pointer);
	va_start(ap, fmt);
	vsnprintf(w.msg, sizeof(w.msg), fmt, ap);
	va_end(ap);
	if (where)
		*where = w;
	return err_set(e, ERR_INVALID, "%s%s%s", w.pointer, w.pointer[0] ? ": " : "", w.msg);
}

int vmdef_slot_refuse(struct schema_error *where, struct err *e, const struct vmdef_slot *s,
		      const char *key, const char *fmt, ...)
{
	char pointer[64], what[200];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(what, sizeof(what), fmt, ap);
	va_end(ap);
	if (json_get(s->entry, key))
		snprintf(pointer, sizeof(pointer), "/%s/%d/%s", s->list, s->index, key);
	else
		snprintf(pointer, sizeof(pointer), "/%s/%d", s->list, s->index);
	return vmdef_refuse(where, e, pointer, "%s", what);
}

struct json_object *vmdef_slot_property(const struct vmdef_slot *s, const char *name)
{
	return json_get(json_get(s->schema, "properties"), name);
}

struct json_object *vmdef_slot_value(const struct vmdef_slot *s, const char *name)
{
	struct json_object *value = json_get(s->entry, name);

	return value ? value : json_get(vmdef_slot_property(s, name), "default");
}

unsigned int vmdef_pci_device(const char *address)
{
	if (!schema_format_valid("pci-address", address))
		return 0;
	return (unsigned int)strtoul(address + strlen("00:"), NULL, 16);
}

/* --- ids ------------------------------------------------------------------------------------------- */

static bool vmdef_id_given(struct json_object *list, const char *id)
{
	size_t count = list ? json_object_array_length(list) : 0;

	for (size_t i = 0; i < count; i++) {
		const char *given = json_get_str(json_object_array_get_idx(list, i), "id", NULL);

		if (given && !strcmp(given, id))
			return true;
	}
	return false;
}

static bool vmdef_id_used(const struct vmdef_planner *r, const char *id)
{
	for (size_t i = 0; i < ARRAY_SIZE(vmdef_lists); i++)
		if (vmdef_id_given(json_get(r->def, vmdef_lists[i]), id))
			return true;
	for (size_t i = 0; i < r->p->n; i++)
		if (r->p->slots[i].index >= 0 && !strcmp(r->p->slots[i].id, id))
			return true;
	return false;
}

/* disk0 is taken: disk1, and so on. There are fewer devices than numbers. */
static void vmdef_number_id(const struct vmdef_planner *r, const char *first, char *out,
			    size_t out_size)
{
	size_t stem = strlen(first);

	while (stem && isdigit((unsigned char)first[stem - 1]))
		stem--;
	for (unsigned int i = 0; i <= 2 * VMDEF_DEVICES_MAX; i++) {
		snprintf(out, out_size, "%.*s%u", (int)stem, first, i);
		if (!vmdef_id_used(r, out))
			return;
	}
}

static void vmdef_slot_name(const struct vmdef_planner *r, struct vmdef_slot *s)
{
	const char *given = json_get_str(s->entry, "id", NULL);
	struct json_object *by_default = vmdef_slot_value(s, "id");
	struct json_object *port = vmdef_slot_value(s, "port");

	if (given)
		snprintf(s->id, sizeof(s->id), "%s", given);
	else if (port)
		snprintf(s->id, sizeof(s->id), "%s", json_object_get_string(port));
	else if (vmdef_slot_property(s, "address"))
		vmdef_number_id(r, by_default ? json_object_get_string(by_default) : s->type, s->id,
				sizeof(s->id));
	else
		snprintf(s->id, sizeof(s->id), "%s",
			 by_default ? json_object_get_string(by_default) : s->type);
}

/* --- one slot after the other ---------------------------------------------------------------------- */

static int vmdef_slot_schema(const struct vmdef_planner *r, struct vmdef_slot *s)
{
	char name[96];

	snprintf(name, sizeof(name), "device/%s.json", s->type);
	return schema_set_json(r->set, name, &s->schema, r->e);
}

static int vmdef_plan_presets(struct vmdef_planner *r)
{
	struct vmdef_plan *p = r->p;

	for (size_t i = 0; i < p->profile->npresets; i++) {
		const struct vmdef_preset *preset = &p->profile->presets[i];
		struct vmdef_slot *s = &p->slots[p->n];
		int ret;

		const char *firmware = json_get_str(json_get(r->def, "boot"), "firmware", "");

		if (preset->firmware && !*firmware)
			continue;
		if (preset->uefi && strcmp(firmware, VMDEF_FIRMWARE_UEFI) != 0)
			continue;
		p->n++;
		*s = (struct vmdef_slot){ .type = preset->type, .index = -1, .preset = preset };
		snprintf(s->id, sizeof(s->id), "%s", preset->id);
		ret = vmdef_slot_schema(r, s);
		if (ret < 0)
			return ret;
	}
	return 0;
}

/* s, from the definition, has the id of another slot: it takes its place, or is one too many. */
static int vmdef_plan_replace(struct vmdef_planner *r, struct vmdef_slot *old, struct vmdef_slot *s)
{
	const char *profile = r->p->profile->name;

	if (old->index >= 0)
		return vmdef_slot_refuse(r->where, r->e, s, "id",
					 "duplicate device id '%s'; /%s/%d has it", s->id,
					 old->list, old->index);
	if (strcmp(old->type, s->type) != 0)
		return vmdef_slot_refuse(r->where, r->e, s, "id",
					 "id '%s' is the %s of profile '%s'", s->id, old->type,
					 profile);
	if (s->off && old->preset->needed)
		return vmdef_slot_refuse(r->where, r->e, s, "enabled",
					 "profile '%s' needs its %s: %s", profile, s->type,
					 old->preset->reason);
	s->preset = old->preset;
	*old = *s;
	return 0;
}

static int vmdef_plan_entry(struct vmdef_planner *r, struct json_object *entry, const char *list,
			    int index)
{
	bool devices = !strcmp(list, "devices");
	struct vmdef_plan *p = r->p;
	struct vmdef_slot s = { .type = devices ? json_get_str(entry, "type", "") : VMDEF_VFIO,
				.list = list,
				.index = index,
				.entry = entry,
				.off = !json_get_bool(entry, "enabled", true) };
	int ret = vmdef_slot_schema(r, &s);

	if (ret < 0)
		return ret;
	vmdef_slot_name(r, &s);
	for (size_t i = 0; i < p->n; i++) {
		if (strcmp(p->slots[i].id, s.id) != 0)
			continue;
		return vmdef_plan_replace(r, &p->slots[i], &s);
	}
	if (p->n == VMDEF_DEVICES_MAX)
		return vmdef_refuse(r->where, r->e, "/devices", "too many devices");
	p->slots[p->n++] = s;
	if (netdef_is_card(s.type))
		return vmdef_check_net(&s, r->where, r->e);
	if (strcmp(s.type, VMDEF_VFIO) != 0)
		return 0;
	ret = vmdef_check_passthrough(&s, r->where, r->e);
	if (ret < 0 || !p->profile->chipset)
		return ret;
	return vmdef_check_passthrough_chipset(&s, p->profile->name, r->where, r->e);
}

static int vmdef_plan_list(struct vmdef_planner *r, const char *list)
{
	struct json_object *entries = json_get(r->def, list);
	size_t count = entries ? json_object_array_length(entries) : 0;
	int ret = 0;

	for (size_t i = 0; !ret && i < count; i++)
		ret = vmdef_plan_entry(r, json_object_array_get_idx(entries, i), list, (int)i);
	return ret;
}

/* --- what two devices may not share ---------------------------------------------------------------- */

static int vmdef_check_pair(const struct vmdef_planner *r, const struct vmdef_slot *a,
			    const struct vmdef_slot *b)
{
	const char *address = json_get_str(b->entry, "address", NULL);
	const char *other = json_get_str(a->entry, "address", NULL);

	if (address && other && !strcmp(address, other))
		return vmdef_slot_refuse(r->where, r->e, b, "address",
					 "'%s' and '%s' are both at %s", a->id, b->id, address);
	if (netdef_is_card(a->type) && netdef_is_card(b->type))
		return vmdef_check_net_pair(a, b, r->where, r->e);
	if (strcmp(a->type, b->type) != 0)
		return 0;
	if (!strcmp(a->type, VMDEF_VFIO))
		return vmdef_check_passthrough_pair(a, b, r->where, r->e);
	if (vmdef_slot_property(a, "address"))
		return 0;
	if (!vmdef_slot_property(a, "port"))
		return vmdef_slot_refuse(r->where, r->e, b, "id",
					 "a machine has one %s; '%s' and '%s' would be two",
					 a->type, a->id, b->id);
	if (!json_equal(vmdef_slot_value(a, "port"), vmdef_slot_value(b, "port")))
		return 0;
	return vmdef_slot_refuse(r->where, r->e, b, "port", "'%s' and '%s' are both at port %s",
				 a->id, b->id, json_object_get_string(vmdef_slot_value(b, "port")));
}

static int vmdef_check_chipset(const struct vmdef_planner *r, const struct vmdef_slot *s)
{
	const char *address = json_get_str(s->entry, "address", "");

	if (!strcmp(s->type, VMDEF_IDE) && !r->p->profile->chipset)
		return vmdef_slot_refuse(
			r->where, r->e, s, "type",
			"profile '%s' has no chipset with IDE; 'legacy-pc' has one",
			r->p->profile->name);
	if (!(r->p->profile->chipset & BIT(vmdef_pci_device(address))))
		return 0;
	return vmdef_slot_refuse(r->where, r->e, s, "address",
				 "the chipset of profile '%s' is at %s", r->p->profile->name,
				 address);
}

/* Where the file names it, among all of its devices; those of the profile come first. */
static int vmdef_slot_order(const struct vmdef_slot *s)
{
	bool devices = s->index < 0 || !strcmp(s->list, "devices");

	return s->index + (devices ? 0 : VMDEF_DEVICES_MAX);
}

static int vmdef_check_shared(const struct vmdef_planner *r)
{
	const struct vmdef_plan *p = r->p;
	unsigned int most = VMDEF_PCI_LAST - VMDEF_PCI_FIRST + 1 -
			    (unsigned int)__builtin_popcount(p->profile->chipset);
	unsigned int pci = 0;

	for (size_t i = 0; i < p->n; i++) {
		if (p->slots[i].off)
			continue;
		if (vmdef_slot_property(&p->slots[i], "address") && ++pci > most)
			return vmdef_refuse(r->where, r->e, "/devices",
					    "more than %u PCI devices, with those of the profile",
					    most);
		if (vmdef_check_chipset(r, &p->slots[i]) < 0)
			return -ERR_INVALID;
		for (size_t j = 0; j < i; j++) {
			/* the one that the file names last is at fault */
			bool swap = vmdef_slot_order(&p->slots[j]) > vmdef_slot_order(&p->slots[i]);
			int ret = p->slots[j].off ? 0
						  : vmdef_check_pair(r, &p->slots[swap ? i : j],
								     &p->slots[swap ? j : i]);

			if (ret < 0)
				return ret;
		}
	}
	return 0;
}

/* PIC, PIT and IOAPIC come together: where KVM has them, there is no place for an IOAPIC of ours. */
static int vmdef_check_irqchip(const struct vmdef_planner *r)
{
	const struct vmdef_plan *p = r->p;

	for (size_t i = 0; i < p->n; i++)
		if (!p->slots[i].off && !strcmp(p->slots[i].type, "ioapic") &&
		    strcmp(p->profile->irqchip, "kernel") == 0)
			return vmdef_slot_refuse(r->where, r->e, &p->slots[i], "type",
						 "profile '%s' has its IOAPIC in the kernel",
						 p->profile->name);
	return 0;
}

static const struct vmdef_slot *vmdef_plan_find(const struct vmdef_plan *p, const char *type)
{
	for (size_t i = 0; i < p->n; i++)
		if (!p->slots[i].off && !strcmp(p->slots[i].type, type))
			return &p->slots[i];
	return NULL;
}

/* A disk that wants all memory pinned */
static const struct vmdef_slot *vmdef_plan_pinning(const struct vmdef_plan *p)
{
	for (size_t i = 0; i < p->n; i++)
		if (!p->slots[i].off && json_get_bool(p->slots[i].entry, "pin_memory", false))
			return &p->slots[i];
	return NULL;
}

static int vmdef_refuse_balloon(const struct vmdef_planner *r, const struct vmdef_slot *s,
				const struct vmdef_slot *vfio)
{
	const struct vmdef_slot *pins = vmdef_plan_pinning(r->p);

	if (!vfio && pins)
		return vmdef_slot_refuse(r->where, r->e, s, "type",
					 "all memory is pinned for disk '%s': a balloon could give "
					 "none back",
					 pins->id);
	if (vfio)
		return vmdef_slot_refuse(r->where, r->e, s, "type",
					 "all memory is pinned for '%s', a device of the host: a "
					 "balloon could give none back",
					 vfio->id);
	if (!vmdef_memory(r->def).hugepages)
		return vmdef_slot_refuse(r->where, r->e, s, "type",
					 "all memory is taken from one node (policy: strict): a "
					 "balloon could not get back what it gave");
	return vmdef_slot_refuse(r->where, r->e, s, "type",
				 "memory of huge pages stays the guest's: a balloon could give "
				 "none back");
}

/* The profile's goes without a word where it is of no use, one that the definition asks for is refused. */
static int vmdef_check_balloon(const struct vmdef_planner *r)
{
	const struct vmdef_slot *vfio = vmdef_plan_find(r->p, VMDEF_VFIO);
	bool useless = vfio || vmdef_plan_pinning(r->p) || vmdef_memory(r->def).hugepages ||
		       vmdef_memory(r->def).strict;
	unsigned int n = 0;

	for (size_t i = 0; i < r->p->n; i++) {
		struct vmdef_slot *s = &r->p->slots[i];

		if (s->off || strcmp(s->type, VMDEF_BALLOON) != 0)
			continue;
		s->off = useless && !s->entry;
		if (useless && s->entry)
			return vmdef_refuse_balloon(r, s, vfio);
		n += !s->off;
		if (n > 1)
			return vmdef_slot_refuse(r->where, r->e, s, "id",
						 "a machine has one balloon");
	}
	return 0;
}

/* What it answers at is at fixed places. */
static int vmdef_check_screen(const struct vmdef_planner *r)
{
	const struct vmdef_slot *first = vmdef_plan_find(r->p, VMDEF_VGA);

	for (size_t i = 0; first && i < r->p->n; i++) {
		const struct vmdef_slot *s = &r->p->slots[i];

		if (s == first || s->off || strcmp(s->type, VMDEF_VGA) != 0)
			continue;
		return vmdef_slot_refuse(r->where, r->e, s, "type",
					 "a machine has one screen; '%s' is one", first->id);
	}
	return 0;
}

/* There is something to show; and who may look is decided by a file's mode, or by a password. */
static int vmdef_check_display(const struct vmdef_planner *r)
{
	struct json_object *display = json_get(r->def, "display");
	const char *path = json_get_str(display, "path", "");
	const struct sockaddr_un *un = NULL;

	if (!display)
		return 0;
	if (!vmdef_plan_find(r->p, VMDEF_VGA))
		return vmdef_refuse(r->where, r->e, "/display",
				    "there is no screen to show: add `- {type: vga}` to devices");
	if (json_get(display, "path") && json_get(display, "port"))
		return vmdef_refuse(r->where, r->e, "/display/port",
				    "either a 'path', for a socket, or a 'port' of TCP");
	if (json_get(display, "port") && !json_get(display, "password_file"))
		return vmdef_refuse(r->where, r->e, "/display/port",
				    "every user of the host reaches it: needs a 'password_file'");
	if (strlen(path) >= sizeof(un->sun_path))
		return vmdef_refuse(r->where, r->e, "/display/path",
				    "expected at most %zu bytes, got %zu", sizeof(un->sun_path) - 1,
				    strlen(path));
	return 0;
}

/* A kernel, or firmware; and the chips that firmware is made for. */
static int vmdef_check_boot(const struct vmdef_planner *r)
{
	static const char *const kernels[] = { "kernel", "initrd", "cmdline" };
	struct json_object *boot = json_get(r->def, "boot");
	bool bios = !strcmp(json_get_str(boot, "firmware", ""), VMDEF_FIRMWARE_BIOS);
	char pointer[32];

	if (!json_get(boot, "firmware") && !json_get(boot, "kernel"))
		return vmdef_refuse(r->where, r->e, "/boot", "expected 'kernel' or 'firmware'");
	if (!json_get(boot, "firmware") && json_get(r->def, "smbios"))
		return vmdef_refuse(r->where, r->e, "/smbios",
				    "only firmware tells a guest of it: 'boot.firmware'");
	if (!json_get(boot, "firmware") && json_get(boot, "order"))
		return vmdef_refuse(r->where, r->e, "/boot/order",
				    "a kernel is started from nowhere else; it is for 'firmware'");
	if (!json_get(boot, "firmware"))
		return 0;
	for (size_t i = 0; i < ARRAY_SIZE(kernels); i++) {
		snprintf(pointer, sizeof(pointer), "/boot/%s", kernels[i]);
		if (json_get(boot, kernels[i]) && !bios)
			return vmdef_refuse(r->where, r->e, pointer,
					    "not beside this firmware; 'bios' starts a kernel");
		if (json_get(boot, kernels[i]) && !json_get(boot, "kernel"))
			return vmdef_refuse(r->where, r->e, pointer,
					    "is for a 'kernel', and there is none");
	}
	if (json_get(boot, "kernel") && json_get(boot, "order"))
		return vmdef_refuse(r->where, r->e, "/boot/order",
				    "it is 'kernel' that the firmware starts");
	if (r->p->profile->chipset)
		return 0;
	return vmdef_refuse(r->where, r->e, "/boot/firmware",
			    "profile '%s' has no chipset that firmware knows; 'legacy-pc' has one",
			    r->p->profile->name);
}

/* A device that firmware starts from is on the PCI bus, or a disk of one that is. */
static bool vmdef_can_start(const struct vmdef_plan *p, const char *id)
{
	bool found = false;

	for (size_t i = 0; i < p->n && !found; i++) {
		const struct vmdef_slot *s = &p->slots[i];

		if (s->off)
			continue;
		if (!strcmp(s->type, VMDEF_SCSI) || !strcmp(s->type, VMDEF_IDE) ||
		    !strcmp(s->type, VMDEF_AHCI) || !strcmp(s->type, VMDEF_FLOPPY))
			found = vmdef_scsi_has(s, id);
		else
			found = !strcmp(s->id, id) &&
				(!strcmp(s->type, VMDEF_BLK) || netdef_is_card(s->type) ||
				 !strcmp(s->type, VMDEF_VFIO));
	}
	return found;
}

static int vmdef_check_order(const struct vmdef_planner *r)
{
	struct json_object *order = json_at(r->def, "/boot/order");
	size_t n = order ? json_object_array_length(order) : 0;

	for (size_t i = 0; i < n; i++) {
		const char *id = json_object_get_string(json_object_array_get_idx(order, i));
		char pointer[48];

		snprintf(pointer, sizeof(pointer), "/boot/order/%zu", i);
		if (!vmdef_can_start(r->p, id))
			return vmdef_refuse(r->where, r->e, pointer,
					    "there is no disk or network card '%s'", id);
	}
	return 0;
}

/* Those of a profile go with its controller. */
static int vmdef_check_keyboard(const struct vmdef_planner *r)
{
	if (vmdef_plan_find(r->p, VMDEF_I8042))
		return 0;
	for (size_t i = 0; i < r->p->n; i++) {
		struct vmdef_slot *s = &r->p->slots[i];

		if (s->off || (strcmp(s->type, VMDEF_KEYBOARD) && strcmp(s->type, VMDEF_MOUSE)))
			continue;
		if (s->entry)
			return vmdef_slot_refuse(r->where, r->e, s, "type",
						 "a %s needs the keyboard controller, a device of "
						 "type " VMDEF_I8042,
						 s->type);
		s->off = true;
	}
	return 0;
}

static int vmdef_plan_fill(struct vmdef_planner *r)
{
	int ret = vmdef_check_boot(r);

	if (!ret)
		ret = vmdef_plan_presets(r);
	for (size_t i = 0; !ret && i < ARRAY_SIZE(vmdef_lists); i++)
		ret = vmdef_plan_list(r, vmdef_lists[i]);
	if (!ret)
		ret = vmdef_check_irqchip(r);
	if (!ret)
		ret = vmdef_check_keyboard(r);
	if (!ret)
		ret = vmdef_check_balloon(r);
	if (!ret)
		ret = vmdef_check_screen(r);
	if (!ret)
		ret = vmdef_check_display(r);
	if (!ret)
		ret = vmdef_check_scsi(r->p, r->where, r->e);
	if (!ret)
		ret = vmdef_check_ports(r->p, r->where, r->e);
	if (!ret)
		ret = vmdef_check_uefi(r->p, r->def, r->where, r->e);
	if (!ret)
		ret = vmdef_check_order(r);
	return ret ? ret : vmdef_check_shared(r);
}

int vmdef_plan_init(struct vmdef_plan *p, struct schema_set *set, struct json_object *def,
		    struct schema_error *where, struct err *e)
{
	struct vmdef_planner r = { .p = p, .set = set, .def = def, .where = where, .e = e };
	const char *profile = json_get_str(def, "profile", "modern");

	p->n = 0;
	p->profile = vmdef_profile_find(profile);
	if (!p->profile)
		return vmdef_refuse(where, e, "/profile", "no profile '%s'", profile);
	return vmdef_plan_fill(&r);
}
