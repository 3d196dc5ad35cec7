// SPDX-License-Identifier: MIT
/*
 * Devices of a VM that go back together: an IOMMU group belongs to one process as a whole, so that no driver of the host takes
 * a function of it as long as vmm has another; and a function that has no reset of its own is only reset with its bus,
 * which none of the guest's may be on then. What is read are links of sysfs, which wait for nothing. On the loop's thread.
 */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "lib/errcat.h"
#include "lib/pci_addr.h"
#include "vmd/daemon.h"
#include "vmd/lease.h"

#define LEASE_GROUP 16

struct lease_shared {
	const struct daemon *d;
	struct state_lease own; /* generation 0: none */
	struct pci_addr addr;
	char group[LEASE_GROUP];		 /* its number; "" for none */
	bool resets;				 /* by itself */
	struct state_lease with_group, with_bus; /* another one; generation 0: none */
};

static void lease_shared_group(const struct daemon *d, const char *address,
			       char out[static LEASE_GROUP])
{
	char path[96], link[256], *name = NULL;

	snprintf(path, sizeof(path), "sys/bus/pci/devices/%s/iommu_group", address);
	if (hostfs_readlink(&d->hostfs, path, link, sizeof(link), NULL) >= 0)
		name = strrchr(link, '/');
	snprintf(out, LEASE_GROUP, "%s", name ? name + 1 : "");
}

static bool lease_shared_resets(const struct daemon *d, const char *address)
{
	char path[96], methods[64];
	int fd;

	snprintf(path, sizeof(path), "sys/bus/pci/devices/%s/reset_method", address);
	if (hostfs_read(&d->hostfs, path, methods, sizeof(methods), NULL) >= 0) {
		methods[strcspn(methods, "\n")] = '\0';
		return methods[0] && strcmp(methods, "bus") != 0;
	}
	/* a kernel before 5.15 says only that there is one */
	snprintf(path, sizeof(path), "sys/bus/pci/devices/%s/reset", address);
	fd = hostfs_open(&d->hostfs, path, O_PATH | O_CLOEXEC, NULL);
	if (fd >= 0)
		close(fd);
	return fd >= 0;
}

static int lease_shared_own(void *arg, const struct state_lease *lease)
{
	struct lease_shared *s = arg;

	if (!strcmp(lease->device, s->own.device) && lease->state != STATE_LEASE_QUARANTINED)
		s->own = *lease;
	return 0;
}

static int lease_shared_other(void *arg, const struct state_lease *lease)
{
	struct lease_shared *s = arg;
	char group[LEASE_GROUP];
	struct pci_addr addr;

	if (lease->generation == s->own.generation || lease->state == STATE_LEASE_QUARANTINED)
		return 0;
	lease_shared_group(s->d, lease->address, group);
	if (s->group[0] && !strcmp(group, s->group))
		s->with_group = *lease;
	if (pci_addr_parse(lease->address, &addr, NULL) >= 0 && addr.domain == s->addr.domain &&
	    addr.bus == s->addr.bus)
		s->with_bus = *lease;
	return 0;
}

static int lease_shared_say(const struct lease_shared *s, struct err *e)
{
	const struct state_lease *other = s->with_group.generation ? &s->with_group : &s->with_bus;

	if (s->with_group.generation)
		err_set(e, ERR_VM_DEVICE_FIXED,
			"device '%s' (%s) shares IOMMU group %s with '%s' (%s), and does not go "
			"without it",
			s->own.device, s->own.address, s->group, other->device, other->address);
	else
		err_set(e, ERR_VM_DEVICE_FIXED,
			"device '%s' (%s) has no reset of its own, only with its bus, where "
			"'%s' (%s) is",
			s->own.device, s->own.address, other->device, other->address);
	return err_hint(e, "vmctl stop %s gives both back", s->own.name);
}

int lease_goes_alone(const struct daemon *d, const char *vm, const char *device, struct err *e)
{
	struct lease_shared s = { .d = d };
	int ret;

	snprintf(s.own.device, sizeof(s.own.device), "%s", device);
	ret = state_lease_list(d->state, vm, lease_shared_own, &s, e);
	if (ret < 0 || !s.own.generation)
		return ret;
	ret = pci_addr_parse(s.own.address, &s.addr, e);
	if (ret < 0)
		return ret;
	lease_shared_group(d, s.own.address, s.group);
	s.resets = lease_shared_resets(d, s.own.address);
	ret = state_lease_list(d->state, vm, lease_shared_other, &s, e);
	if (ret < 0)
		return ret;
	return s.with_group.generation || (s.with_bus.generation && !s.resets)
		       ? lease_shared_say(&s, e)
		       : 0;
}
