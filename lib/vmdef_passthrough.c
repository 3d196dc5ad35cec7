// SPDX-License-Identifier: MIT
/* Devices of the host in a definition: what no schema can say of them. See vmdef_plan.h. Any thread. */
#include "lib/vmdef_plan.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "lib/pci_addr.h"

static int vmdef_check_rate(const struct vmdef_slot *s, struct schema_error *where, struct err *e)
{
	struct json_object *rate = json_get(s->entry, "rate");
	char pointer[64];
	int64_t min, max;

	if (!json_get(rate, "min") || !json_get(rate, "max"))
		return 0;
	min = json_get_int(rate, "min", 0);
	max = json_get_int(rate, "max", 0);
	if (min <= max)
		return 0;
	snprintf(pointer, sizeof(pointer), "/%s/%d/rate/min", s->list, s->index);
	return vmdef_refuse(where, e, pointer, "expected at most max, %lld, got %lld",
			    (long long)max, (long long)min);
}

int vmdef_check_passthrough(const struct vmdef_slot *s, struct schema_error *where, struct err *e)
{
	bool pci = json_get(s->entry, "pci"), pool = json_get(s->entry, "pool");

	if (pci && pool)
		return vmdef_slot_refuse(
			where, e, s, "pool",
			"pci names the device already; a device is one of the two");
	if (!pci && !pool)
		return vmdef_slot_refuse(where, e, s, "pci",
					 "needs pci, the address of a device, or pool, the name of "
					 "a pool of virtual functions");
	if (pool && json_get(s->entry, "identity"))
		return vmdef_slot_refuse(where, e, s, "identity",
					 "goes with pci; any device of a pool may come");
	if (pci && json_get(s->entry, "numa"))
		return vmdef_slot_refuse(where, e, s, "numa",
					 "goes with pool; pci leaves no choice");
	if (json_get(s->entry, "qos") && !json_get(s->entry, "vlan"))
		return vmdef_slot_refuse(where, e, s, "qos",
					 "is the priority in a VLAN, and there is no vlan");
	return vmdef_check_rate(s, where, e);
}

int vmdef_check_passthrough_chipset(const struct vmdef_slot *s, const char *profile,
				    struct schema_error *where, struct err *e)
{
	if (strcmp(json_get_str(s->entry, "on_device_error", ""), "guest") != 0)
		return 0;
	return vmdef_slot_refuse(where, e, s, "on_device_error",
				 "profile '%s' has no PCI Express, by which its guest could hear "
				 "of errors",
				 profile);
}

static bool vmdef_same_function(const char *a, const char *b)
{
	struct pci_addr one, two;

	return a && b && pci_addr_parse(a, &one, NULL) >= 0 && pci_addr_parse(b, &two, NULL) >= 0 &&
	       !pci_addr_cmp(&one, &two);
}

int vmdef_check_passthrough_pair(const struct vmdef_slot *a, const struct vmdef_slot *b,
				 struct schema_error *where, struct err *e)
{
	const char *pci = json_get_str(b->entry, "pci", NULL);
	const char *mac = json_get_str(b->entry, "mac", NULL);
	const char *other = json_get_str(a->entry, "mac", NULL);

	if (vmdef_same_function(json_get_str(a->entry, "pci", NULL), pci))
		return vmdef_slot_refuse(where, e, b, "pci", "'%s' and '%s' are both %s", a->id,
					 b->id, pci);
	if (mac && other && !strcasecmp(mac, other))
		return vmdef_slot_refuse(where, e, b, "mac", "'%s' and '%s' both have %s", a->id,
					 b->id, mac);
	return 0;
}
