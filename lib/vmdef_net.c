// SPDX-License-Identifier: MIT
/* Network cards in a definition: what no schema can say of them, and their expansion. See vmdef_plan.h. Any thread. */
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "lib/netdef.h"
#include "lib/vmdef_plan.h"

static const char *const vmdef_networks[] = { "user", "bridge", "private", "tap" };

static int vmdef_net_refuse(const struct vmdef_slot *s, const char *key, const char *why,
			    struct schema_error *where, struct err *e)
{
	char pointer[64];

	if (!json_get(json_get(s->entry, "network"), key))
		return vmdef_slot_refuse(where, e, s, "network", "%s", why);
	snprintf(pointer, sizeof(pointer), "/%s/%d/network/%s", s->list, s->index, key);
	return vmdef_refuse(where, e, pointer, "%s", why);
}

static int vmdef_check_network(const struct vmdef_slot *s, struct schema_error *where,
			       struct err *e)
{
	struct json_object *network = json_get(s->entry, "network");
	const char *last = "";
	unsigned int n = 0;

	if (!json_object_is_type(network, json_type_object))
		return 0;
	for (size_t i = 0; i < ARRAY_SIZE(vmdef_networks); i++)
		if (json_get(network, vmdef_networks[i])) {
			last = vmdef_networks[i];
			n++;
		}
	if (n != 1)
		return vmdef_net_refuse(
			s, last, "a network is one of user, bridge, private and tap", where, e);
	if (json_get(network, "vlan") && !json_get(network, "bridge"))
		return vmdef_net_refuse(s, "vlan", "goes with bridge", where, e);
	return 0;
}

static bool vmdef_net_user(const struct vmdef_slot *s)
{
	struct json_object *network = json_get(s->entry, "network");

	return json_object_is_type(network, json_type_string) || json_get(network, "user");
}

int vmdef_check_net(const struct vmdef_slot *s, struct schema_error *where, struct err *e)
{
	int ret = vmdef_check_network(s, where, e);

	if (ret < 0 || !vmdef_net_user(s))
		return ret;
	if (json_get_int(s->entry, "queues", 1) > 1)
		return vmdef_slot_refuse(where, e, s, "queues",
					 "network user has one pair of queues");
	if (!strcmp(json_get_str(s->entry, "vhost", ""), "on"))
		return vmdef_slot_refuse(where, e, s, "vhost",
					 "network user goes by passt, not by the host's kernel");
	return 0;
}

int vmdef_check_net_pair(const struct vmdef_slot *a, const struct vmdef_slot *b,
			 struct schema_error *where, struct err *e)
{
	const char *mac = json_get_str(b->entry, "mac", NULL);
	const char *other = json_get_str(a->entry, "mac", NULL);

	if (!mac || !other || strcasecmp(mac, other) != 0)
		return 0;
	return vmdef_slot_refuse(where, e, b, "mac", "'%s' and '%s' both have %s", a->id, b->id,
				 mac);
}

void vmdef_expand_net(struct json_object *device, const char *vm, const struct json_object *before)
{
	struct json_object *network = json_get(device, "network");
	const char *mac = json_get_str(before, "mac", NULL);
	char made[NETDEF_MAC_TEXT];

	if (json_object_is_type(network, json_type_string))
		json_add(device, "network", json_add(json_new(), "user", json_new()));
	network = json_get(json_get(device, "network"), "user");
	if (network && !json_get(network, "forwards"))
		json_add(network, "forwards", json_object_new_array());
	if (!json_get(device, "mac"))
		json_add_str(device, "mac",
			     mac ? mac : netdef_mac_make(vm, json_get_str(device, "id", ""), made));
}
