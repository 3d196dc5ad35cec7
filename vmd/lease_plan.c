// SPDX-License-Identifier: MIT
/* See lease_plan.h. Any thread. */
#include "vmd/lease_plan.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "lib/auto.h"
#include "vmd/journal.h"

/* a quarter of a second a GiB where the kernel finds no huge ones by itself */
#define LEASE_SLOW_MEMORY ((int64_t)16 << 30)

#define LEASE_CLASS_NVME 0x0108 /* PCI Code and ID Assignment 1.11, 1.2: mass storage, NVM */

/* --- what is wanted --------------------------------------------------------------------------------- */

/* The members of a VF's properties that have the same name in a VM file. */
static struct json_object *lease_parse_set(struct json_object *device)
{
	static const char *const same[] = { "mac", "vlan", "qos", "spoofchk", "trust" };
	struct json_object *set = json_new(), *rate = json_get(device, "rate");

	for (size_t i = 0; i < ARRAY_SIZE(same); i++)
		if (json_get(device, same[i]))
			json_add(set, same[i], json_object_get(json_get(device, same[i])));
	if (json_object_is_type(rate, json_type_object)) {
		json_add_int(set, "min_tx_rate", json_get_int(rate, "min", 0));
		json_add_int(set, "max_tx_rate", json_get_int(rate, "max", 0));
	} else if (rate) {
		json_add_int(set, "max_tx_rate", json_object_get_int64(rate));
	}
	if (json_object_object_length(set))
		return set;
	json_object_put(set);
	return NULL;
}

static int lease_parse(struct lease_want *want, struct json_object *device, struct err *e)
{
	const char *pci = json_get_str(device, "pci", "");
	struct pci_addr addr;
	int ret = pci[0] ? pci_addr_parse(pci, &addr, e) : 0;

	if (ret < 0)
		return ret;
	if (pci[0])
		pci_addr_format(&addr, want->lease.address);
	snprintf(want->lease.device, sizeof(want->lease.device), "%s",
		 json_get_str(device, "id", ""));
	snprintf(want->lease.pool, sizeof(want->lease.pool), "%s",
		 json_get_str(device, "pool", ""));
	snprintf(want->lease.mac, sizeof(want->lease.mac), "%s", json_get_str(device, "mac", ""));
	for (char *p = want->lease.mac; *p; p++) /* one way to write it: it is looked for */
		*p = (char)tolower((unsigned char)*p);
	if (pci[0])
		snprintf(want->lease.reason, sizeof(want->lease.reason),
			 "the VM names its address");
	want->numa = pci_numa_parse(json_get_str(device, "numa", "prefer"));
	want->set = lease_parse_set(device);
	want->identity = json_object_get(json_get(device, "identity"));
	return 0;
}

int lease_wants_init(struct lease_wants *w, struct json_object *config, struct err *e)
{
	struct json_object *devices = json_get(config, "devices");
	size_t count = devices ? json_object_array_length(devices) : 0;
	int ret = 0;

	w->n = 0;
	w->node = (int)json_get_int(json_get(config, "memory"), "node", -1);
	for (size_t i = 0; i < count && ret >= 0; i++) {
		struct json_object *device = json_object_array_get_idx(devices, i);

		if (strcmp(json_get_str(device, "type", ""), "vfio-pci") != 0)
			continue;
		if (w->n == LEASE_WANTS_MAX)
			return err_set(e, EINVAL, "more than %d devices of the host",
				       LEASE_WANTS_MAX);
		w->list[w->n] = (struct lease_want){ 0 };
		ret = lease_parse(&w->list[w->n++], device, e);
	}
	return ret;
}

void lease_wants_fini(struct lease_wants *w)
{
	for (size_t i = 0; i < w->n; i++) {
		json_object_put(w->list[i].set);
		json_object_put(w->list[i].identity);
		json_object_put(w->list[i].before);
		json_object_put(w->list[i].steps);
		free(w->list[i].pool);
	}
	w->n = 0;
}

/* --- what a device is ------------------------------------------------------------------------------- */

static bool lease_differs(char *out, size_t size, const char *what, const char *is,
			  const char *wanted)
{
	if (!strcasecmp(is, wanted))
		return false;
	snprintf(out, size, "%s %s instead of %s", what, is[0] ? is : "none", wanted);
	return true;
}

static bool lease_number_differs(char *out, size_t size, const char *what, unsigned int is,
				 const char *wanted)
{
	char text[8];

	snprintf(text, sizeof(text), "%04x", is);
	return lease_differs(out, size, what, text, wanted);
}

int lease_identity_differs(struct json_object *wanted, const struct pci_function *f, char *out,
			   size_t size)
{
	const struct pci_identity *id = &f->id;
	char vf[16];

	if (!wanted)
		return 0;
	snprintf(vf, sizeof(vf), "%d", id->vf_index);
	json_object_object_foreach(wanted, key, value) {
		const char *text = json_object_get_string(value);

		if ((!strcmp(key, "vendor") &&
		     lease_number_differs(out, size, key, id->vendor, text)) ||
		    (!strcmp(key, "device") &&
		     lease_number_differs(out, size, key, id->device, text)) ||
		    (!strcmp(key, "serial") && lease_differs(out, size, key, id->serial, text)) ||
		    (!strcmp(key, "mac") && lease_differs(out, size, key, id->mac, text)) ||
		    (!strcmp(key, "vf") && lease_differs(out, size, key, vf, text)))
			return 1;
	}
	return 0;
}

bool lease_is_stray(const struct pci_function *f)
{
	return !strcmp(f->driver, "vfio-pci") ||
	       (f->override[0] && strcmp(f->override, f->driver) != 0);
}

static bool lease_is_nvme_vf(const struct lease_want *want)
{
	return want->f.is_vf && want->f.class_code >> 8 == LEASE_CLASS_NVME;
}

const char *lease_vf_op(const struct lease_want *want)
{
	if (lease_is_nvme_vf(want))
		return "nvme-get";
	return want->f.is_vf && want->pf.n_netdevs ? "vf-get" : NULL;
}

/* --- steps ------------------------------------------------------------------------------------------ */

static struct json_object *lease_step(const char *op, const struct lease_want *want)
{
	return json_add_str(json_add_str(json_new(), "op", op), "pci", want->lease.address);
}

static struct json_object *lease_vf_step(const char *op, const struct lease_want *want)
{
	struct json_object *step = json_add_str(json_new(), "op", op);
	char pf[PCI_ADDR_SIZE];

	json_add_str(step, "pf", pci_addr_format(&want->f.pf, pf));
	return json_add_int(step, "vf", want->f.id.vf_index);
}

/* Back to what it had: its driver, and an override that named it. */
static struct json_object *lease_give_back(const struct lease_want *want)
{
	struct json_object *step =
		json_add_str(lease_step("driver", want), "driver", want->f.driver);

	return want->f.override[0] ? step : json_add_bool(step, "override", false);
}

static struct json_object *lease_unbind(const struct lease_want *want)
{
	struct json_object *step = json_add_str(lease_step("driver", want), "driver", "");

	return json_add_bool(step, "override", false);
}

/* It is there, can be read, and has the driver and the settings that it had. */
static struct json_object *lease_clean(const struct lease_want *want)
{
	struct json_object *step = lease_step("clean", want);
	char pf[PCI_ADDR_SIZE];

	if (want->before && !lease_is_nvme_vf(want)) {
		json_add_str(step, "pf", pci_addr_format(&want->f.pf, pf));
		json_add_int(step, "vf", want->f.id.vf_index);
		json_add(step, "set", json_object_get(want->before));
	}
	return json_add_str(step, "driver", want->f.driver);
}

/*
 * What the VF's settings are put back to: those that are changed, and the MAC always, for a guest without one from
 * us may have asked the PF for its own. What the PF did not tell cannot be put back.
 */
static struct json_object *lease_restore(const struct lease_want *want)
{
	struct json_object *set = json_new();

	json_object_object_foreach(want->before, key, value)
		if (!strcmp(key, "mac") || json_get(want->set, key))
			json_add(set, key, json_object_get(value));
	return json_add(lease_vf_step("vf-set", want), "set", set);
}

static void lease_plan_vf(struct lease_want *want)
{
	struct json_object *set = want->set ? json_object_get(want->set) : NULL;
	struct json_object *mac = json_get(want->before, "mac");

	if (!set && mac)
		set = json_add(json_new(), "mac", json_object_get(mac));
	if (set)
		journal_add(want->steps, json_add(lease_vf_step("vf-set", want), "set", set),
			    lease_restore(want));
}

static struct json_object *lease_nvme(const struct lease_want *want, int64_t queues,
				      int64_t interrupts, bool online)
{
	struct json_object *step = lease_vf_step("nvme-vf", want);

	json_add_int(json_add_int(step, "queues", queues), "interrupts", interrupts);
	return json_add_bool(step, "online", online);
}

static void lease_plan_nvme(struct lease_want *want)
{
	int64_t interrupts = want->pool ? want->pool->interrupts : LEASE_NVME_QUEUES;
	int64_t queues = want->pool ? want->pool->queues : LEASE_NVME_QUEUES;
	struct json_object *before = want->before;

	journal_add(want->steps, lease_nvme(want, queues, interrupts, true),
		    lease_nvme(want, json_get_int(before, "queues", 0),
			       json_get_int(before, "interrupts", 0),
			       json_get_bool(before, "online", false)));
}

static bool lease_wants_function(const struct lease_wants *w, const struct pci_function *f)
{
	for (size_t i = 0; i < w->n; i++)
		if (!pci_addr_cmp(&w->list[i].f.addr, &f->addr))
			return true;
	return false;
}

bool lease_resets_with_bus(const struct lease_wants *w, const struct lease_want *want,
			   const struct pci_inventory *inventory)
{
	const struct pci_addr *own = &want->f.addr;
	bool shared = false;

	if (strcmp(want->f.reset_methods, "bus") != 0)
		return false;
	for (size_t i = 0; i < inventory->n; i++) {
		const struct pci_function *f = &inventory->functions[i];

		if (f->addr.domain != own->domain || f->addr.bus != own->bus ||
		    !pci_addr_cmp(&f->addr, own))
			continue;
		if (!lease_wants_function(w, f))
			return false;
		shared = true;
	}
	return shared;
}

void lease_plan(struct lease_want *want)
{
	json_object_put(want->steps);
	want->steps = json_object_new_array();
	journal_add(want->steps, lease_clean(want), lease_clean(want));
	if (want->f.driver[0])
		journal_add(want->steps, lease_unbind(want), lease_give_back(want));
	if (lease_is_nvme_vf(want))
		lease_plan_nvme(want);
	else if (want->before)
		lease_plan_vf(want);
	journal_add(want->steps, json_add_str(lease_step("driver", want), "driver", "vfio-pci"),
		    lease_unbind(want));
	if (want->f.reset_methods[0] && !want->resets_with_bus)
		journal_add(want->steps, lease_step("reset", want), lease_step("reset", want));
}

const char *lease_memory_advice(struct json_object *memory)
{
	if (json_get_int(memory, "size", 0) <= LEASE_SLOW_MEMORY ||
	    json_get_int(memory, "hugepages", 0))
		return NULL;
	return "huge pages are pinned several times faster than small ones: "
	       "memory: {size: ..., hugepages: 2MiB}";
}

enum state_lease_state lease_state_after(struct json_object *action, enum state_lease_state state)
{
	const char *op = json_get_str(action, "op", "");

	if (!strcmp(op, "vf-set") || !strcmp(op, "nvme-vf"))
		return STATE_LEASE_CONFIGURED;
	if (!strcmp(op, "driver") && !strcmp(json_get_str(action, "driver", ""), "vfio-pci"))
		return STATE_LEASE_BOUND;
	return state;
}
