// SPDX-License-Identifier: MIT
/*
 * The VM's side of KVM (Linux Documentation/virt/kvm/api.rst): see kvm.h. The route table of the kernel is
 * replaced as a whole at each change, so that it is kept here and built anew.
 */
#include "vmm/kvm.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/auto.h"
#include "lib/errcat.h"

#define KVM_FIXED_MAX (KVM_PINS + 16) /* routes of the in-kernel IOAPIC and PICs */

struct kvm_need {
	int cap;
	const char *name;
};

static const struct kvm_need kvm_needs[] = {
	{ KVM_CAP_IMMEDIATE_EXIT, "KVM_CAP_IMMEDIATE_EXIT" },
	{ KVM_CAP_IRQFD, "KVM_CAP_IRQFD" },
	{ KVM_CAP_IOEVENTFD, "KVM_CAP_IOEVENTFD" },
	{ KVM_CAP_IOEVENTFD_ANY_LENGTH, "KVM_CAP_IOEVENTFD_ANY_LENGTH" },
	{ KVM_CAP_SIGNAL_MSI, "KVM_CAP_SIGNAL_MSI" },
};

/* From the file, not by the C library's services, which a static program cannot load. */
static void kvm_group_name(gid_t gid, char *out, size_t size)
{
	FILE *f = fopen("/etc/group", "re");
	const struct group *group;

	snprintf(out, size, "kvm");
	while (f && (group = fgetgrent(f)))
		if (group->gr_gid == gid)
			snprintf(out, size, "%s", group->gr_name);
	if (f)
		fclose(f);
}

int kvm_open(struct err *e)
{
	int fd = open("/dev/kvm", O_RDWR | O_CLOEXEC);
	struct stat st;
	char group[64];

	if (fd >= 0)
		return fd;
	if (errno == ENOENT || errno == ENODEV || errno == ENXIO) {
		err_set(e, ERR_KVM, "no /dev/kvm: %s", strerror(errno));
		return err_hint(e, "load kvm_intel or kvm_amd, and enable virtualization in the "
				   "firmware setup (or nested virtualization of the outer host)");
	}
	if (errno != EACCES && errno != EPERM)
		return err_set(e, ERR_KVM, "cannot open /dev/kvm: %s", strerror(errno));
	err_set(e, ERR_KVM, "no right to open /dev/kvm: %s", strerror(errno));
	if (stat("/dev/kvm", &st) || !(st.st_mode & S_IWGRP))
		return err_hint(e, "run as root, or let a group in: chgrp kvm /dev/kvm && "
				   "chmod 660 /dev/kvm");
	kvm_group_name(st.st_gid, group, sizeof(group));
	return err_hint(e, "join the group '%s', or run as root", group);
}

/* --- making it -------------------------------------------------------------------------------- */

int kvm_has(const struct kvm *k, int cap)
{
	return ioctl(k->fd, KVM_CHECK_EXTENSION, cap);
}

static int kvm_check(struct kvm *k, struct err *e)
{
	int version = ioctl(k->fd, KVM_GET_API_VERSION, 0), n;

	if (version != KVM_API_VERSION)
		return err_set(e, ERR_KVM, "not /dev/kvm, or its API version %d is not %d", version,
			       KVM_API_VERSION);
	for (unsigned int i = 0; i < ARRAY_SIZE(kvm_needs); i++)
		if (kvm_has(k, kvm_needs[i].cap) <= 0)
			return err_set(e, ERR_KVM, "the host's KVM is too old: no %s",
				       kvm_needs[i].name);
	n = kvm_has(k, KVM_CAP_MAX_VCPUS);
	k->max_vcpus = n > 0 ? (unsigned int)n : 4;
	n = ioctl(k->fd, KVM_GET_VCPU_MMAP_SIZE, 0);
	if (n < (int)sizeof(struct kvm_run))
		return err_set(e, ERR_KVM, "KVM_GET_VCPU_MMAP_SIZE gave %d", n);
	k->run_size = (size_t)n;
	return 0;
}

int kvm_new_vm(int kvm_fd, struct err *e)
{
	int fd;

	do {
		fd = ioctl(kvm_fd, KVM_CREATE_VM, 0);
	} while (fd < 0 && errno == EINTR);
	if (fd < 0)
		return err_set(e, ERR_KVM, "cannot make a VM: KVM_CREATE_VM: %s", strerror(errno));
	return fd;
}

static int kvm_create(struct kvm *k, struct err *e)
{
	uint64_t identity = GMEM_KVM_IDENTITY_MAP;

	if (k->vm_fd < 0)
		k->vm_fd = kvm_new_vm(k->fd, e);
	if (k->vm_fd < 0)
		return k->vm_fd;
	/* Intel hosts without "unrestricted guest" need these pages; others ignore them */
	if (ioctl(k->vm_fd, KVM_SET_IDENTITY_MAP_ADDR, &identity) ||
	    ioctl(k->vm_fd, KVM_SET_TSS_ADDR, GMEM_KVM_TSS))
		return err_set(e, ERR_KVM, "cannot place KVM's pages: %s", strerror(errno));
	return 0;
}

static int kvm_make_split(struct kvm *k, struct err *e)
{
	struct kvm_enable_cap cap = { .cap = KVM_CAP_SPLIT_IRQCHIP, .args = { KVM_PINS } };
	struct kvm_enable_cap x2apic = {
		.cap = KVM_CAP_X2APIC_API,
		.args = { KVM_X2APIC_API_USE_32BIT_IDS | KVM_X2APIC_API_DISABLE_BROADCAST_QUIRK },
	};

	if (ioctl(k->vm_fd, KVM_ENABLE_CAP, &cap))
		return err_set(e, ERR_KVM, "no split interrupt chip: %s", strerror(errno));
	/* where it is not there, 8-bit ids do: CONFIG_VCPUS_MAX fits them */
	(void)ioctl(k->vm_fd, KVM_ENABLE_CAP, &x2apic);
	return 0;
}

static int kvm_commit_routes(struct kvm *k, struct err *e);

static int kvm_make_chip(struct kvm *k, struct err *e)
{
	struct kvm_pit_config pit = { .flags = KVM_PIT_SPEAKER_DUMMY };

	if (ioctl(k->vm_fd, KVM_CREATE_IRQCHIP, 0))
		return err_set(e, ERR_KVM, "no interrupt chip: %s", strerror(errno));
	if (ioctl(k->vm_fd, KVM_CREATE_PIT2, &pit))
		return err_set(e, ERR_KVM, "no interval timer: %s", strerror(errno));
	for (unsigned int i = 0; i < ARRAY_SIZE(k->chips); i++) {
		k->chips[i].chip_id = i;
		if (ioctl(k->vm_fd, KVM_GET_IRQCHIP, &k->chips[i]))
			return err_errno(e, "KVM_GET_IRQCHIP");
	}
	if (ioctl(k->vm_fd, KVM_GET_PIT2, &k->pit))
		return err_errno(e, "KVM_GET_PIT2");
	return kvm_commit_routes(k, e);
}

int kvm_init(struct kvm *k, int take_fd, int take_vm_fd, const struct gmem *g, bool split,
	     const struct log *log, struct err *e)
{
	int r;

	memset(k, 0, sizeof(*k));
	k->fd = take_fd;
	k->vm_fd = take_vm_fd;
	k->vfio_fd = -1;
	k->split = split;
	k->log = log;
	r = kvm_check(k, e);
	if (r >= 0)
		r = kvm_create(k, e);
	if (r >= 0)
		r = kvm_map_list(k, g, e);
	if (r >= 0 && !kvm_maps_beside(g->size, split))
		r = kvm_map(k, e);
	if (r >= 0)
		r = split ? kvm_make_split(k, e) : kvm_make_chip(k, e);
	if (r < 0)
		kvm_fini(k);
	return r;
}

void kvm_fini(struct kvm *k)
{
	if (!k)
		return;
	if (k->vfio_fd >= 0)
		close(k->vfio_fd);
	if (k->vm_fd >= 0)
		close(k->vm_fd);
	if (k->fd >= 0)
		close(k->fd);
	k->vm_fd = -1;
	k->vfio_fd = -1;
	k->fd = -1;
}

int kvm_irqchip_reset(struct kvm *k, struct err *e)
{
	if (k->split)
		return 0;
	for (unsigned int i = 0; i < ARRAY_SIZE(k->chips); i++)
		if (ioctl(k->vm_fd, KVM_SET_IRQCHIP, &k->chips[i]))
			return err_errno(e, "KVM_SET_IRQCHIP");
	if (ioctl(k->vm_fd, KVM_SET_PIT2, &k->pit))
		return err_errno(e, "KVM_SET_PIT2");
	return 0;
}

/* --- routes -------------------------------------------------------------------------------------- */

static struct kvm_irq_routing_entry *kvm_add_msi(struct kvm_irq_routing_entry *out,
						 unsigned int gsi, const struct msi_msg *msg)
{
	*out = (struct kvm_irq_routing_entry){
		.gsi = gsi,
		.type = KVM_IRQ_ROUTING_MSI,
		.u.msi = { .address_lo = (uint32_t)msg->addr,
			   .address_hi = (uint32_t)(msg->addr >> 32),
			   .data = msg->data },
	};
	return out + 1;
}

static struct kvm_irq_routing_entry *kvm_add_chip(struct kvm_irq_routing_entry *out,
						  unsigned int gsi, unsigned int chip,
						  unsigned int pin)
{
	*out = (struct kvm_irq_routing_entry){
		.gsi = gsi,
		.type = KVM_IRQ_ROUTING_IRQCHIP,
		.u.irqchip = { .irqchip = chip, .pin = pin },
	};
	return out + 1;
}

/* The in-kernel chips. The PIT raises GSI 0, which a PC wires to pin 2 of the IOAPIC (MAP_GSI_PIT). */
static struct kvm_irq_routing_entry *kvm_add_chips(struct kvm_irq_routing_entry *out)
{
	for (unsigned int i = 0; i < 16; i++)
		if (i != 2)
			out = kvm_add_chip(out, i,
					   i < 8 ? KVM_IRQCHIP_PIC_MASTER : KVM_IRQCHIP_PIC_SLAVE,
					   i % 8);
	for (unsigned int i = 0; i < KVM_PINS; i++)
		if (i != 2)
			out = kvm_add_chip(out, i, KVM_IRQCHIP_IOAPIC, i ? i : 2);
	return out;
}

static int kvm_commit_routes(struct kvm *k, struct err *e)
{
	size_t max = KVM_FIXED_MAX + k->nmsis;
	AUTO_FREE struct kvm_irq_routing *table =
		calloc(1, sizeof(*table) + max * sizeof(table->entries[0]));
	struct kvm_irq_routing_entry *out;

	if (!table)
		return err_ret(e, -ENOMEM, "interrupt routes");
	out = table->entries;
	if (!k->split)
		out = kvm_add_chips(out);
	for (unsigned int i = 0; i < KVM_PINS; i++)
		if (k->pins[i].msg.addr)
			out = kvm_add_msi(out, i, &k->pins[i].msg);
	for (unsigned int i = 0; i < k->nmsis; i++)
		if (k->msis[i].msg.addr)
			out = kvm_add_msi(out, KVM_PINS + i, &k->msis[i].msg);
	table->nr = (uint32_t)(out - table->entries);
	if (ioctl(k->vm_fd, KVM_SET_GSI_ROUTING, table))
		return err_errno(e, "cannot set interrupt routes");
	return 0;
}

static bool kvm_same_msi(const struct msi_msg *a, const struct msi_msg *b)
{
	return a->addr == b->addr && a->data == b->data;
}

void kvm_ioapic_route(struct kvm *k, unsigned int pin, const struct msi_msg *msg, bool level)
{
	/* KVM only wants these to know which EOIs to report: edge pins have none */
	struct msi_msg wanted = level ? *msg : (struct msi_msg){ 0 };
	struct err err = { 0 };

	if (!k->split || pin >= KVM_PINS || kvm_same_msi(&k->pins[pin].msg, &wanted))
		return;
	k->pins[pin].msg = wanted;
	if (kvm_commit_routes(k, &err) < 0)
		log_limited(k->log, &k->log_limit, "IOAPIC pin %u: %s", pin, err.msg);
}

static int kvm_route_alloc(struct kvm *k, struct err *e)
{
	unsigned int i;

	for (i = 0; i < k->nmsis && k->msis[i].used; i++)
		;
	if (i == KVM_MSI_ROUTES_MAX)
		return err_set(e, ENOSPC, "all %d interrupt routes are taken", KVM_MSI_ROUTES_MAX);
	k->nmsis = MAX(k->nmsis, i + 1);
	k->msis[i] = (struct kvm_route){ .used = true };
	return (int)(KVM_PINS + i);
}

static int kvm_irqfd(struct kvm *k, int eventfd, int gsi, uint32_t flags)
{
	struct kvm_irqfd irqfd = { .fd = (uint32_t)eventfd, .gsi = (uint32_t)gsi, .flags = flags };

	return ioctl(k->vm_fd, KVM_IRQFD, &irqfd) ? -errno : 0;
}

int kvm_irqfd_attach(struct kvm *k, int eventfd, const struct msi_msg *msg, int *gsi, struct err *e)
{
	int n = *gsi < 0 ? kvm_route_alloc(k, e) : *gsi, r;
	struct kvm_route *route;

	if (n < KVM_PINS)
		return n;
	route = &k->msis[n - KVM_PINS];
	*gsi = n;
	if (!kvm_same_msi(&route->msg, msg)) {
		route->msg = *msg;
		r = kvm_commit_routes(k, e);
		if (r < 0)
			return r;
	}
	r = kvm_irqfd(k, eventfd, n, 0);
	/* it is attached already: only the message was new */
	return r < 0 && r != -EBUSY ? err_ret(e, r, "cannot attach an interrupt") : 0;
}

void kvm_irqfd_detach(struct kvm *k, int eventfd, int gsi)
{
	(void)kvm_irqfd(k, eventfd, gsi, KVM_IRQFD_FLAG_DEASSIGN);
}

int kvm_level_irqfd(struct kvm *k, unsigned int gsi, int raise_fd, int ended_fd, bool assign,
		    struct err *e)
{
	struct kvm_irqfd irqfd = {
		.fd = (uint32_t)raise_fd,
		.gsi = gsi,
		.flags = assign ? KVM_IRQFD_FLAG_RESAMPLE : KVM_IRQFD_FLAG_DEASSIGN,
		.resamplefd = assign ? (uint32_t)ended_fd : 0,
	};

	if (gsi >= KVM_PINS)
		return err_set(e, EINVAL, "there is no interrupt %u", gsi);
	return ioctl(k->vm_fd, KVM_IRQFD, &irqfd) ? err_errno(e, "interrupt %u", gsi) : 0;
}

void kvm_irqfd_release(struct kvm *k, int gsi)
{
	unsigned int i = (unsigned int)gsi - KVM_PINS;

	if (gsi < KVM_PINS || i >= k->nmsis)
		return;
	/* the kernel's copy goes with the next change; nothing is attached to it */
	k->msis[i] = (struct kvm_route){ 0 };
	while (k->nmsis && !k->msis[k->nmsis - 1].used)
		k->nmsis--;
}

/* --- events ---------------------------------------------------------------------------------------- */

void kvm_irq_line(struct kvm *k, unsigned int gsi, bool level)
{
	struct kvm_irq_level irq = { .irq = gsi, .level = level };

	if (ioctl(k->vm_fd, KVM_IRQ_LINE, &irq))
		log_limited(k->log, &k->log_limit, "interrupt %u: %s", gsi, strerror(errno));
}

void kvm_signal_msi(struct kvm *k, const struct msi_msg *msg)
{
	struct kvm_msi msi = {
		.address_lo = (uint32_t)msg->addr,
		.address_hi = (uint32_t)(msg->addr >> 32),
		.data = msg->data,
	};

	/* 0: no vCPU takes it, which is the guest's business */
	if (ioctl(k->vm_fd, KVM_SIGNAL_MSI, &msi) < 0)
		log_limited(k->log, &k->log_limit, "MSI 0x%llx: %s", (unsigned long long)msg->addr,
			    strerror(errno));
}

int kvm_ioeventfd(struct kvm *k, uint64_t addr, unsigned int size, int eventfd, bool assign,
		  struct err *e)
{
	struct kvm_ioeventfd io = {
		.addr = addr,
		.len = size,
		.fd = eventfd,
		.flags = assign ? 0 : KVM_IOEVENTFD_FLAG_DEASSIGN,
	};

	if (ioctl(k->vm_fd, KVM_IOEVENTFD, &io))
		return err_errno(e, "cannot %s the doorbell at 0x%llx", assign ? "make" : "remove",
				 (unsigned long long)addr);
	return 0;
}

int kvm_vfio_file(struct kvm *k, int fd, bool add, struct err *e)
{
	struct kvm_create_device device = { .type = KVM_DEV_TYPE_VFIO };
	struct kvm_device_attr attr = {
		.group = KVM_DEV_VFIO_GROUP,
		.attr = add ? KVM_DEV_VFIO_GROUP_ADD : KVM_DEV_VFIO_GROUP_DEL,
		.addr = (uintptr_t)&fd,
	};

	if (k->vfio_fd < 0) {
		if (ioctl(k->vm_fd, KVM_CREATE_DEVICE, &device))
			return err_errno(e, "the host's KVM has no VFIO device");
		k->vfio_fd = (int)device.fd;
	}
	if (ioctl(k->vfio_fd, KVM_SET_DEVICE_ATTR, &attr))
		return err_errno(e, "KVM does not %s the VFIO descriptor",
				 add ? "take" : "release");
	return 0;
}
