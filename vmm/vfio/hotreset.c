// SPDX-License-Identifier: MIT
/*
 * Reset of a function that has none of its own: that of its bus or slot, with all that is on it
 * (VFIO_DEVICE_PCI_HOT_RESET of <linux/vfio.h>), where all of that is this VM's. Only while the guest does not run: its
 * driver of a neighbour would not know. Control loop, under machine.lock.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "lib/errcat.h"
#include "lib/pci_addr.h"
#include "vmm/vfio/iommufd_abi.h"
#include "vmm/vfio/vfio_pci.h"

#define VFIO_HOT_MAX 256 /* functions of a bus */

/* What is reset together, as the kernel says. */
struct vfio_hot {
	unsigned int n;
	bool owned; /* iommufd: by this VM's descriptor, all of it */
	struct vfio_pci_dependent_device list[VFIO_HOT_MAX];
};

/* The kernel's struct, which ends in its list. */
struct vfio_hot_info {
	uint32_t head[sizeof(struct vfio_pci_hot_reset_info) / sizeof(uint32_t)];
	struct vfio_pci_dependent_device list[VFIO_HOT_MAX];
};

struct vfio_hot_fds {
	uint32_t head[sizeof(struct vfio_pci_hot_reset) / sizeof(uint32_t)];
	int32_t fds[VFIO_GROUPS_MAX];
};

_Static_assert(offsetof(struct vfio_hot_info, list) ==
			       offsetof(struct vfio_pci_hot_reset_info, devices) &&
		       offsetof(struct vfio_hot_fds, fds) ==
			       offsetof(struct vfio_pci_hot_reset, group_fds),
	       "the lists follow the heads");

static int vfio_hot_ask(struct vfio_pci *v, struct vfio_hot *ret)
{
	struct vfio_pci_hot_reset_info head = { .argsz = sizeof(struct vfio_hot_info) };
	struct vfio_hot_info info = { 0 };
	int r;

	memcpy(info.head, &head, sizeof(info.head));
	r = vfio_ioctl(v, VFIO_DEVICE_GET_PCI_HOT_RESET_INFO, &info);
	if (r < 0)
		return r;
	memcpy(&head, info.head, sizeof(info.head));
	ret->n = MIN(head.count, (unsigned int)VFIO_HOT_MAX);
	ret->owned = head.flags & VFIO_ABI_HOT_RESET_DEV_ID_OWNED;
	memcpy(ret->list, info.list, ret->n * sizeof(info.list[0]));
	return ret->n ? 0 : -ENODEV;
}

static bool vfio_hot_has(const struct vfio_hot *hot, const struct vfio_pci *m)
{
	struct pci_addr a;

	if (pci_addr_parse(m->door.host, &a, NULL) < 0)
		return false;
	for (unsigned int i = 0; i < hot->n; i++)
		if (hot->list[i].segment == a.domain && hot->list[i].bus == a.bus &&
		    hot->list[i].devfn == (a.dev << 3 | a.fn))
			return true;
	return false;
}

static bool vfio_hot_add_fd(struct vfio_hot_fds *fds, unsigned int *n, int fd)
{
	for (unsigned int i = 0; i < *n; i++)
		if (fds->fds[i] == fd)
			return true;
	if (*n == VFIO_GROUPS_MAX)
		return false;
	fds->fds[(*n)++] = fd;
	return true;
}

/* Groups: whose descriptors prove that the VM has all of it. */
static int vfio_hot_groups(const struct vfio_dma *dma, const struct vfio_hot *hot,
			   struct vfio_hot_fds *fds, unsigned int *ret_n, struct err *e)
{
	for (unsigned int i = 0; i < hot->n; i++) {
		const struct vfio_pci_dependent_device *d = &hot->list[i];
		const struct vfio_group *group = vfio_dma_group(dma, d->group_id);

		if (!group || !vfio_hot_add_fd(fds, ret_n, group->fd))
			return err_set(e, ERR_VFIO_DEVICE,
				       "%04x:%02x:%02x.%x would be reset with it, and is not this "
				       "VM's (IOMMU group %u)",
				       d->segment, d->bus, d->devfn >> 3u, d->devfn & 7u,
				       d->group_id);
	}
	return 0;
}

static int vfio_hot_go(struct vfio_pci *v, const struct vfio_hot *hot, struct err *e)
{
	const struct vfio_dma *dma = v->dev.board->vfio;
	struct vfio_pci_hot_reset head = { 0 };
	struct vfio_hot_fds fds = { 0 };
	int r = 0;

	if (dma->iommufd && !hot->owned)
		return err_set(e, ERR_VFIO_DEVICE,
			       "others of its bus would be reset with it, and are not this VM's");
	if (!dma->iommufd) /* there an empty list stands for the descriptor that it is bound to */
		r = vfio_hot_groups(dma, hot, &fds, &head.count, e);
	if (r < 0)
		return r;
	head.argsz = (uint32_t)(sizeof(fds.head) + head.count * sizeof(fds.fds[0]));
	memcpy(fds.head, &head, sizeof(fds.head));
	r = vfio_ioctl(v, VFIO_DEVICE_PCI_HOT_RESET, &fds);
	return r < 0 ? err_set(e, ERR_VFIO_DEVICE, "the reset of its bus fails: %s", strerror(-r))
		     : 0;
}

int vfio_hot_reset(struct vfio_pci *v, struct err *e)
{
	struct vfio_pci *members = v->dev.board->vfio->members;
	struct vfio_hot hot;
	int r = vfio_hot_ask(v, &hot);

	if (r < 0)
		return err_set(e, ERR_VFIO_DEVICE, "neither it nor its bus has a reset (%s)",
			       strerror(-r));
	/* one that comes to a VM that runs: the guest uses the others, unless the whole machine is being reset */
	for (struct vfio_pci *m = members; m; m = m->next)
		if (m->started && !v->started && vfio_hot_has(&hot, m))
			return err_set(e, ERR_VFIO_DEVICE,
				       "device '%s', which the guest uses, would be reset with it",
				       m->dev.id);
	for (struct vfio_pci *m = members; m; m = m->next)
		if (vfio_hot_has(&hot, m))
			vfio_irqs_off(m);
	r = vfio_hot_go(v, &hot, e);
	for (struct vfio_pci *m = members; m; m = m->next) {
		if (m == v || !vfio_hot_has(&hot, m))
			continue;
		m->fresh = m->fresh || (r >= 0 && !m->resettable);
		vfio_irqs_sync(m);
	}
	return r < 0 ? r : (int)hot.n;
}
