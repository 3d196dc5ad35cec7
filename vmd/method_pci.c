// SPDX-License-Identifier: MIT
/*
 * Methods pci.list, pci.get, pci.groups, pci.doctor and host.doctor: what the host has to pass through. Workers read it;
 * on the loop's thread each function gets what vmd itself knows of it: its lease, and so its state.
 */
#include <stdlib.h>
#include <string.h>

#include "lib/errcat.h"
#include "vmd/call_work.h"
#include "vmd/daemon.h"
#include "vmd/host_doctor.h"
#include "vmd/lease.h"
#include "vmd/methods.h"
#include "vmd/pci_json.h"

/* --- on the loop's thread -------------------------------------------------------------------------- */

/*
 * With a lease that lease's; without: "broken"; "stray", on a driver of VFIO's that vmd has not bound it to; "host", on a driver
 * of the host's; "idle", on none.
 */
static const char *pci_state(struct json_object *function)
{
	const char *driver = json_get_str(function, "driver", "");

	if (json_get_bool(function, "broken", false))
		return "broken";
	if (pci_driver_on_vfio(driver))
		return "stray";
	return driver[0] ? "host" : "idle";
}

static void pci_finish_one(struct daemon *d, struct json_object *function)
{
	struct json_object *lease = lease_of(d, json_get_str(function, "pci", ""));

	json_add_str(function, "state",
		     lease ? json_get_str(lease, "state", "") : pci_state(function));
	json_add(function, "lease", lease);
}

static void pci_finish_each(struct daemon *d, struct json_object *list)
{
	for (size_t i = 0; list && i < json_object_array_length(list); i++)
		pci_finish_one(d, json_object_array_get_idx(list, i));
}

static void pci_finish_list(struct daemon *d, struct json_object *params,
			    struct json_object *result)
{
	const char *state = json_get_str(params, "state", NULL);
	struct json_object *list = json_get(result, "functions"), *kept;

	pci_finish_each(d, list);
	if (!state)
		return;
	kept = json_object_new_array();
	for (size_t i = 0; i < json_object_array_length(list); i++) {
		struct json_object *f = json_object_array_get_idx(list, i);

		if (!strcmp(json_get_str(f, "state", ""), state))
			json_object_array_add(kept, json_object_get(f));
	}
	json_add(result, "functions", kept);
}

static void pci_finish_function(struct daemon *d, struct json_object *params,
				struct json_object *result)
{
	(void)params;
	pci_finish_one(d, result);
	pci_finish_each(d, json_get(result, "members"));
}

static void pci_finish_groups(struct daemon *d, struct json_object *params,
			      struct json_object *result)
{
	struct json_object *groups = json_get(result, "groups");

	(void)params;
	for (size_t i = 0; i < json_object_array_length(groups); i++)
		pci_finish_each(d, json_get(json_object_array_get_idx(groups, i), "members"));
}

/* --- on workers -------------------------------------------------------------------------------------- */

/* The class's first digits, or "": all. */
static const char *pci_class_prefix(const char *name)
{
	static const char *const classes[][2] = { { "nic", "02" },
						  { "nvme", "0108" },
						  { "gpu", "03" } };

	for (size_t i = 0; i < ARRAY_SIZE(classes); i++)
		if (!strcmp(classes[i][0], name))
			return classes[i][1];
	return "";
}

static bool pci_is(struct json_object *function, struct json_object *params, const char *key)
{
	const char *wanted = json_get_str(params, key, NULL);

	return !wanted || !strcasecmp(json_get_str(function, key, ""), wanted);
}

static bool pci_wanted(struct json_object *function, struct json_object *params)
{
	const char *prefix = pci_class_prefix(json_get_str(params, "class", ""));
	int64_t group = json_get_int(params, "group", -1);

	return !strncmp(json_get_str(function, "class", ""), prefix, strlen(prefix)) &&
	       pci_is(function, params, "driver") && pci_is(function, params, "vendor") &&
	       pci_is(function, params, "role") &&
	       (group < 0 || json_get_int(function, "group", -1) == group);
}

static int pci_make_list(const struct daemon *d, struct json_object *params,
			 struct json_object **ret_result, struct err *e)
{
	struct json_object *list;
	struct pci_inventory inventory;
	struct pci_names *names;
	int ret = pci_inventory_read(&d->hostfs, &inventory, e);

	if (ret < 0)
		return ret;
	list = json_object_new_array();
	names = pci_names_new();
	for (size_t i = 0; i < inventory.n; i++) {
		struct json_object *f = pci_json_function(names, &inventory.functions[i]);

		if (pci_wanted(f, params))
			json_object_array_add(list, f);
		else
			json_object_put(f);
	}
	pci_names_free(names);
	pci_inventory_fini(&inventory);
	*ret_result = json_add(json_new(), "functions", list);
	return 0;
}

static int pci_group_compare(const void *a, const void *b)
{
	const int *x = a, *y = b;

	return (*x > *y) - (*x < *y);
}

static int pci_make_groups(const struct daemon *d, struct json_object *params,
			   struct json_object **ret_result, struct err *e)
{
	struct json_object *list;
	struct pci_inventory inventory;
	struct pci_names *names;
	int *groups, ret = pci_inventory_read(&d->hostfs, &inventory, e);

	(void)params;
	if (ret < 0)
		return ret;
	groups = calloc(inventory.n + 1, sizeof(*groups));
	if (!groups) {
		pci_inventory_fini(&inventory);
		return err_set(e, ERR_RPC_INTERNAL, "out of memory");
	}
	list = json_object_new_array();
	names = pci_names_new();
	for (size_t i = 0; i < inventory.n; i++)
		groups[i] = inventory.functions[i].iommu_group;
	qsort(groups, inventory.n, sizeof(*groups), pci_group_compare);
	for (size_t i = 0; i < inventory.n; i++)
		if (groups[i] >= 0 && (!i || groups[i] != groups[i - 1]))
			json_object_array_add(list,
					      pci_json_group(NULL, &inventory, names, groups[i]));
	pci_names_free(names);
	pci_inventory_fini(&inventory);
	free(groups);
	*ret_result = json_add(json_new(), "groups", list);
	return 0;
}

/* The one that the parameters name, in the inventory, which the caller ends. */
static int pci_make_find(const struct daemon *d, struct json_object *params,
			 struct pci_inventory *ret_inventory,
			 const struct pci_function **ret_function, struct err *e)
{
	struct pci_addr addr;
	int ret = pci_addr_parse(json_get_str(params, "pci", ""), &addr, e);

	if (ret < 0) {
		e->code = ERR_RPC_PARAMS;
		return ERR_RPC_PARAMS;
	}
	ret = pci_inventory_read(&d->hostfs, ret_inventory, e);
	if (ret < 0)
		return ret;
	*ret_function = pci_inventory_find(ret_inventory, &addr);
	if (*ret_function)
		return 0;
	ret = pci_missing(ret_inventory, &addr, e);
	pci_inventory_fini(ret_inventory);
	return ret;
}

static int pci_make_get(const struct daemon *d, struct json_object *params,
			struct json_object **ret_result, struct err *e)
{
	const struct pci_function *f;
	struct pci_inventory inventory;
	struct json_object *o;
	struct pci_names *names;
	int ret = pci_make_find(d, params, &inventory, &f, e);

	if (ret < 0)
		return ret;
	names = pci_names_new();
	o = pci_json_function(names, f);
	ret = pci_json_details(&d->hostfs, &inventory, f, o, e);
	pci_names_free(names);
	pci_inventory_fini(&inventory);
	if (ret < 0)
		json_object_put(o);
	else
		*ret_result = o;
	return ret;
}

static int pci_make_doctor(const struct daemon *d, struct json_object *params,
			   struct json_object **ret_result, struct err *e)
{
	const struct pci_function *f;
	struct pci_inventory inventory;
	struct pci_names *names;
	int ret = pci_make_find(d, params, &inventory, &f, e);

	if (ret < 0)
		return ret;
	names = pci_names_new();
	ret = pci_doctor(&d->hostfs, &inventory, d->policy, names, f, ret_result, e);
	pci_names_free(names);
	pci_inventory_fini(&inventory);
	return ret;
}

static int pci_make_host_doctor(const struct daemon *d, struct json_object *params,
				struct json_object **ret_result, struct err *e)
{
	(void)params, (void)e;
	*ret_result = host_doctor(&d->hostfs);
	return 0;
}

/* --- the methods ------------------------------------------------------------------------------------- */

void method_pci_list(struct daemon *d, struct call *call)
{
	(void)d;
	call_work(call, pci_make_list, pci_finish_list);
}

void method_pci_get(struct daemon *d, struct call *call)
{
	(void)d;
	call_work(call, pci_make_get, pci_finish_function);
}

void method_pci_groups(struct daemon *d, struct call *call)
{
	(void)d;
	call_work(call, pci_make_groups, pci_finish_groups);
}

void method_pci_doctor(struct daemon *d, struct call *call)
{
	(void)d;
	call_work(call, pci_make_doctor, pci_finish_function);
}

void method_host_doctor(struct daemon *d, struct call *call)
{
	(void)d;
	call_work(call, pci_make_host_doctor, NULL);
}
