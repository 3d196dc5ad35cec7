// SPDX-License-Identifier: MIT
/*
 * Devices that come, change and go while the machine is there: see machine.h and pci/hotplug.h. On the control loop;
 * vCPUs are held meanwhile, as for every other init and fini, and go on where they were.
 */
#include "vmm/machine_impl.h"

#include <stdio.h>
#include <string.h>

#include "lib/errcat.h"
#include "vmm/dev/acpi_pm.h"
#include "vmm/devices.h"
#include "vmm/pci/hotplug.h"
#include "vmm/virtio/blk.h"
#include "vmm/x86/map.h"

#define MACHINE_PLUG_HOLD_MS 5000

/* --- standing still --------------------------------------------------------------------------------- */

static int machine_still(struct machine *m, struct err *e)
{
	if (!vcpus_hold(&m->vcpus, MACHINE_PLUG_HOLD_MS))
		return 0;
	machine_go_on(m);
	return err_set(e, ERR_TIMEOUT, "a vCPU did not stop within %d ms", MACHINE_PLUG_HOLD_MS);
}

/* --- which one -------------------------------------------------------------------------------------- */

/* Its place in m->devices, or -1. */
static int machine_device_index(const struct machine *m, const char *id)
{
	for (unsigned int i = 0; i < m->ndevices; i++)
		if (!strcmp(m->devices[i]->id, id))
			return (int)i;
	return -1;
}

/* What a guest is told by; the state in which it can be. */
static int machine_can_plug(const struct machine *m, const char *what, struct err *e)
{
	if (m->state != MACHINE_RUNNING && m->state != MACHINE_PAUSED)
		return err_set(e, ERR_VM_STATE, "cannot %s a device: the VM is %s", what,
			       machine_state_name(m->state));
	if (m->board.pci && machine_device_of(m, &acpi_pm_class))
		return 0;
	err_set(e, ERR_VM_DEVICE_FIXED, "the VM cannot be told of devices: it has no %s",
		m->board.pci ? "acpi-pm" : "pci-host");
	return err_hint(e, "stop the VM, change its definition, start it");
}

bool machine_device_at(const struct machine *m, unsigned int index, struct machine_device *ret)
{
	int slot;

	if (index >= m->ndevices)
		return false;
	ret->id = m->devices[index]->id;
	slot = m->board.pci ? pci_hotplug_find(m->board.pci, ret->id) : -1;
	ret->ejecting = slot >= 0 && pci_hotplug_asked(m->board.pci) & BIT(slot);
	return true;
}

/* --- coming ------------------------------------------------------------------------------------------- */

static int machine_check_new(const struct machine *m, struct json_object *json, struct err *e)
{
	const char *type = json_get_str(json, "type", ""), *id = json_get_str(json, "id", "");
	const struct device_class *class = device_class_find(type);

	if (!class)
		return err_set(e, ERR_INVALID, "unknown device type '%.40s'", type);
	if (!class->hotplug) {
		err_set(e, ERR_VM_DEVICE_FIXED,
			"a device of type %s cannot be added to a VM that runs", type);
		return err_hint(e, "add it to the definition, and restart the VM");
	}
	if (machine_device_index(m, id) >= 0)
		return err_set(e, ERR_VM_DEVICE_EXISTS, "the VM has a device '%s' already", id);
	if (m->ndevices == CONFIG_DEVICES_MAX)
		return err_set(e, ERR_INVALID, "more than %d devices", CONFIG_DEVICES_MAX);
	return 0;
}

/* As every device before the first start, then what tells the guest. Under machine.lock. */
static int machine_plug(struct machine *m, struct json_object *json, struct fdset *fds,
			struct err *e)
{
	struct device *d;
	int r = device_new(&m->board, json, fds, &d, e), slot;

	if (r < 0)
		return r;
	if (d->class->reset)
		d->class->reset(d);
	if (m->state == MACHINE_RUNNING && d->class->start)
		d->class->start(d);
	m->devices[m->ndevices++] = d;
	slot = pci_hotplug_find(m->board.pci, d->id);
	pci_hotplug_came(m->board.pci, (unsigned int)slot);
	acpi_pm_gpe(machine_device_of(m, &acpi_pm_class), MAP_GPE_PCI);
	log_info(m->log, "%s: device '%s' (%s) was added", m->config.name, d->id, d->class->type);
	return 0;
}

int machine_device_add(struct machine *m, struct json_object *json, struct fdset *fds,
		       struct err *e)
{
	int r = machine_can_plug(m, "add", e);

	if (r >= 0)
		r = machine_check_new(m, json, e);
	if (r >= 0)
		r = machine_still(m, e);
	if (r < 0)
		return r;
	pthread_mutex_lock(&m->lock);
	r = machine_plug(m, json, fds, e);
	pthread_mutex_unlock(&m->lock);
	machine_go_on(m);
	return r;
}

/* --- going ------------------------------------------------------------------------------------------- */

int machine_device_remove(struct machine *m, const char *id, struct err *e)
{
	int r = machine_can_plug(m, "remove", e), at, slot;

	if (r < 0)
		return r;
	at = machine_device_index(m, id);
	if (at < 0)
		return err_set(e, ERR_VM_NO_DEVICE, "the VM has no device '%.60s'", id);
	slot = pci_hotplug_find(m->board.pci, id);
	if (slot < 0 || !m->devices[at]->class->hotplug) {
		err_set(e, ERR_VM_DEVICE_FIXED,
			"device '%s' of type %s cannot be removed from a VM that runs", id,
			m->devices[at]->class->type);
		return err_hint(e, "remove it from the definition, and restart the VM");
	}
	pthread_mutex_lock(&m->lock);
	pci_hotplug_ask(m->board.pci, (unsigned int)slot);
	acpi_pm_gpe(machine_device_of(m, &acpi_pm_class), MAP_GPE_PCI);
	pthread_mutex_unlock(&m->lock);
	return 0;
}

int machine_device_set(struct machine *m, const char *id, struct json_object *change,
		       struct json_object **ret_settings, struct err *e)
{
	int at = machine_device_index(m, id), r;
	struct device *d = at < 0 ? NULL : m->devices[at];

	if (m->state == MACHINE_ENDED)
		return err_set(e, ERR_VM_STATE, "the VM has ended");
	if (!d)
		return machine_disk_set(m, id, change, ret_settings, e);
	if (!d->class->set)
		return err_set(e, ERR_VM_DEVICE_FIXED,
			       "nothing of device '%s' of type %s can be changed while the VM runs",
			       id, d->class->type);
	pthread_mutex_lock(&m->lock);
	r = d->class->set(d, change, e);
	if (r >= 0 && d->class->settings)
		*ret_settings = d->class->settings(d);
	pthread_mutex_unlock(&m->lock);
	return r < 0 ? err_wrap(e, "device '%s'", id) : r;
}

/* Under machine.lock; its descriptors are closed after. */
static void machine_unplug(struct machine *m, int at)
{
	struct device *d = m->devices[at];

	if (d->class->stop && m->state == MACHINE_RUNNING)
		d->class->stop(d);
	device_free(d);
	m->ndevices--;
	memmove(&m->devices[at], &m->devices[at + 1],
		(m->ndevices - (unsigned int)at) * sizeof(struct device *));
}

static void machine_unplug_slot(struct machine *m, unsigned int slot)
{
	const char *name = pci_hotplug_name(m->board.pci, slot);
	char id[DEVICE_ID_MAX];
	int at;

	snprintf(id, sizeof(id), "%s", name ? name : "");
	at = machine_device_index(m, id);
	if (at < 0)
		return;
	pthread_mutex_lock(&m->lock);
	machine_unplug(m, at);
	pthread_mutex_unlock(&m->lock);
	log_info(m->log, "%s: device '%s' was removed", m->config.name, id);
	if (m->ops->removed)
		m->ops->removed(m->arg, id);
}

static void machine_unplug_slots(struct machine *m, uint32_t slots)
{
	for (unsigned int slot = 0; slots; slot++, slots >>= 1)
		if (slots & 1)
			machine_unplug_slot(m, slot);
}

void machine_unplug_asked(struct machine *m)
{
	if (m->board.pci)
		machine_unplug_slots(m, pci_hotplug_asked(m->board.pci));
}

void machine_unplug_gone(struct machine *m)
{
	struct err e = { 0 };
	uint32_t slots;

	if (m->state == MACHINE_ENDED || !atomic_exchange(&m->slots_gone, false))
		return;
	if (machine_still(m, &e) < 0) {
		log_limited(m->log, &m->log_limit, "%s: %s", m->config.name, e.msg);
		atomic_store(&m->slots_gone, true); /* with the next wake-up */
		return;
	}
	pthread_mutex_lock(&m->lock);
	slots = pci_hotplug_gone(m->board.pci);
	pthread_mutex_unlock(&m->lock);
	machine_unplug_slots(m, slots);
	machine_go_on(m);
}

void machine_pci_gone(void *arg)
{
	struct machine *m = arg;

	atomic_store(&m->slots_gone, true);
	uv_async_send(&m->wake);
}

/* --- a disk that grows ------------------------------------------------------------------------------- */

int machine_disk_grow(struct machine *m, const char *id, bool dry_run, uint64_t *ret_size,
		      struct err *e)
{
	struct device *owner = machine_disk_owner(m, id);
	int i = machine_device_index(m, id), ret;

	if (m->state != MACHINE_RUNNING && m->state != MACHINE_PAUSED)
		return err_set(e, ERR_VM_STATE, "cannot resize a disk: the VM is %s",
			       machine_state_name(m->state));
	if (i < 0 ? !owner : m->devices[i]->class != &virtio_blk_class)
		return err_set(e, ERR_VM_NO_DEVICE, "the VM has no %s '%s'",
			       i < 0 ? "device" : "disk", id);
	if (i < 0 && !owner->class->unit_grow)
		return err_set(e, ERR_VM_DEVICE_FIXED, "disk '%s' keeps its size", id);
	pthread_mutex_lock(&m->lock);
	ret = i < 0 ? owner->class->unit_grow(owner, id, dry_run, ret_size, e)
		    : blk_grow(m->devices[i], dry_run, ret_size, e);
	pthread_mutex_unlock(&m->lock);
	if (ret < 0)
		err_wrap(e, "disk '%s'", id);
	return ret;
}
