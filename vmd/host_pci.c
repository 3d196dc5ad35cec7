// SPDX-License-Identifier: MIT
/*
 * The host's PCI functions: see host_pci.h. Documentation/ABI/testing/sysfs-bus-pci, sysfs-pci.rst; PCI
 * Express Base Specification 5.0, 7.9.3 (Device Serial Number). Every file may be missing, unreadable or
 * garbage, and a function may go while it is read. Any thread.
 */
#include "vmd/host_pci.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/ethtool.h>
#include <linux/pci_regs.h>
#include <linux/sockios.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include "lib/auto.h"
#include "vmd/pci_config.h"

#define HOST_PCI_DEVICES "sys/bus/pci/devices"
#define HOST_PCI_MAX 65536 /* functions; a segment has as many */
#define HOST_PCI_CLASS_BRIDGE 0x0604

struct host_pci_reader {
	const struct hostfs *h;
	struct pci_function *functions; /* owned */
	size_t n, cap;
	struct host_pci_slot {
		uint32_t domain;
		uint8_t bus, dev;
		char name[32];
	} * slots; /* owned */
	size_t n_slots;
};

/* "sys/bus/pci/devices/0000:3b:00.0" */
static const char *host_pci_path(const struct pci_function *f, char out[static 96])
{
	char addr[PCI_ADDR_SIZE];

	snprintf(out, 96, HOST_PCI_DEVICES "/%s", pci_addr_format(&f->addr, addr));
	return out;
}

/* One line of a device's file; "" when it cannot be read. */
static ssize_t host_pci_text(const struct hostfs *folder, const char *file, char *out, size_t size)
{
	ssize_t n = hostfs_read(folder, file, out, size, NULL);

	if (n < 0)
		out[0] = '\0';
	out[strcspn(out, "\n")] = '\0';
	return n;
}

/* A number between min and max ("0x8086", "-1"), else fallback. */
static long host_pci_number(const struct hostfs *folder, const char *file, int base, long max,
			    long fallback)
{
	char text[32], *end;
	long value;

	if (host_pci_text(folder, file, text, sizeof(text)) <= 0)
		return fallback;
	errno = 0;
	value = strtol(text, &end, base);
	return errno || end == text || *end || value < 0 || value > max ? fallback : value;
}

/* The last part of where a device's link leads; "" when it is none. */
static void host_pci_link(const struct hostfs *folder, const char *link, char *out, size_t size)
{
	char target[512];
	const char *name = "";

	if (hostfs_readlink(folder, link, target, sizeof(target), NULL) > 0)
		name = strrchr(target, '/') ? strrchr(target, '/') + 1 : target;
	snprintf(out, size, "%.*s", (int)size - 1, name);
}

/* One part of a path, as sysfs writes an address. */
static bool host_pci_part(const char *part, size_t len, struct pci_addr *ret_addr)
{
	char text[PCI_ADDR_SIZE];

	if (len < strlen("0000:00:00.0") || len >= sizeof(text))
		return false;
	memcpy(text, part, len);
	text[len] = '\0';
	return pci_addr_parse(text, ret_addr, NULL) >= 0;
}

int host_pci_of_link(const struct hostfs *h, const char *path, struct pci_addr *ret_addr)
{
	char target[1024];
	ssize_t n = hostfs_readlink(h, path, target, sizeof(target), NULL);
	bool found = false;

	if (n < 0)
		return (int)n;
	for (const char *p = target; *p; p += strcspn(p, "/"), p += strspn(p, "/"))
		found |= host_pci_part(p, strcspn(p, "/"), ret_addr);
	return found ? 0 : -ENOENT;
}

bool pci_function_is_bridge(const struct pci_function *f)
{
	return f->header_type == PCI_HEADER_TYPE_BRIDGE ||
	       f->class_code >> 8 == HOST_PCI_CLASS_BRIDGE;
}

/* Device Serial Number, in lspci's order: the vendor's part first. */
static void host_pci_serial(const struct pci_config *c, char out[static 24])
{
	size_t at = pci_config_find(c, true, PCI_EXT_CAP_ID_DSN);
	uint32_t low = pci_config_dword(c, at + 4), high = pci_config_dword(c, at + 8);

	if (!at || !range_fits(at, 12, c->size))
		return;
	snprintf(out, 24, "%02x-%02x-%02x-%02x-%02x-%02x-%02x-%02x", high >> 24, high >> 16 & 0xff,
		 high >> 8 & 0xff, high & 0xff, low >> 24, low >> 16 & 0xff, low >> 8 & 0xff,
		 low & 0xff);
}

/* What a VF's capabilities say is its PF's: of it only the header is read. */
static void host_pci_config(const struct hostfs *folder, struct pci_function *f)
{
	struct pci_config c;

	f->header_type = f->class_code >> 8 == HOST_PCI_CLASS_BRIDGE;
	if (pci_config_read_part(folder, f->is_vf ? PCI_STD_HEADER_SIZEOF : PCI_CONFIG_SIZE, &c) <
	    0)
		return;
	if (pci_config_dead(&c)) {
		f->broken = true;
		return;
	}
	f->header_type = c.bytes[PCI_HEADER_TYPE] & PCI_HEADER_TYPE_MASK;
	host_pci_serial(&c, f->id.serial);
}

/* --- one function ---------------------------------------------------------------------------------- */

static void host_pci_ids(const struct hostfs *folder, struct pci_function *f)
{
	struct pci_identity *id = &f->id;

	f->class_code = (uint32_t)host_pci_number(folder, "class", 16, 0xffffff, 0);
	f->revision = (uint8_t)host_pci_number(folder, "revision", 16, 0xff, 0);
	id->device = (uint16_t)host_pci_number(folder, "device", 16, 0xffff, 0xffff);
	id->subsystem_vendor = (uint16_t)host_pci_number(folder, "subsystem_vendor", 16, 0xffff, 0);
	id->subsystem_device = (uint16_t)host_pci_number(folder, "subsystem_device", 16, 0xffff, 0);
}

static void host_pci_sriov(const struct hostfs *folder, struct pci_function *f)
{
	char name[64];

	f->id.vf_index = -1;
	f->autoprobe = true;
	host_pci_link(folder, "physfn", name, sizeof(name));
	f->is_vf = host_pci_part(name, strlen(name), &f->pf);
	if (f->is_vf) /* and has none of its own */
		return;
	f->total_vfs = (unsigned int)host_pci_number(folder, "sriov_totalvfs", 10, 0xffff, 0);
	f->is_pf = f->total_vfs > 0;
	if (!f->is_pf)
		return;
	f->num_vfs = (unsigned int)host_pci_number(folder, "sriov_numvfs", 10, 0xffff, 0);
	f->vf_offset = (unsigned int)host_pci_number(folder, "sriov_offset", 10, 0xffff, 0);
	f->vf_stride = (unsigned int)host_pci_number(folder, "sriov_stride", 10, 0xffff, 0);
	f->autoprobe = host_pci_number(folder, "sriov_drivers_autoprobe", 10, 1, 1) == 1;
}

/* The part before its own in where its link leads: "…/0000:00:08.0/0000:01:00.0". */
static void host_pci_parent(const struct hostfs *h, struct pci_function *f)
{
	char path[96], target[1024], *at;

	f->parent.domain = UINT32_MAX;
	if (hostfs_readlink(h, host_pci_path(f, path), target, sizeof(target), NULL) < 0)
		return;
	at = strrchr(target, '/');
	if (!at)
		return;
	*at = '\0';
	at = strrchr(target, '/');
	if (at && !host_pci_part(at + 1, strlen(at + 1), &f->parent))
		f->parent.domain = UINT32_MAX;
}

static void host_pci_binding(const struct hostfs *folder, struct pci_function *f)
{
	char text[64], *end;

	host_pci_link(folder, "driver", f->driver, sizeof(f->driver));
	host_pci_text(folder, "driver_override", f->override, sizeof(f->override));
	if (!strcmp(f->override, "(null)"))
		f->override[0] = '\0';
	host_pci_link(folder, "iommu_group", text, sizeof(text));
	f->iommu_group = (int)strtol(text, &end, 10);
	if (end == text || *end || f->iommu_group < 0)
		f->iommu_group = -1;
	f->numa_node = (int)host_pci_number(folder, "numa_node", 10, 0xffff, -1);
	if (host_pci_text(folder, "reset_method", f->reset_methods, sizeof(f->reset_methods)) < 0) {
		AUTO_CLOSE int fd = hostfs_open(folder, "reset", O_PATH, NULL);

		snprintf(f->reset_methods, sizeof(f->reset_methods), "%s", fd < 0 ? "" : "any");
	}
}

static void host_pci_add_netdev(struct pci_function *f, const char *name)
{
	if (strlen(name) >= sizeof(f->netdevs[0]) || f->n_netdevs == HOST_PCI_NETDEVS)
		return;
	for (unsigned int i = 0; i < f->n_netdevs; i++)
		if (!strcmp(f->netdevs[i], name))
			return;
	memcpy(f->netdevs[f->n_netdevs++], name, strlen(name) + 1);
}

static int host_pci_own_net(void *arg, const char *name)
{
	host_pci_add_netdev(arg, name);
	return 0;
}

/* False: it has gone meanwhile. */
static bool host_pci_read(const struct hostfs *h, const struct hostfs *folder,
			  struct pci_function *f)
{
	char text[8];
	long vendor;

	host_pci_ids(folder, f);
	host_pci_sriov(folder, f);
	host_pci_binding(folder, f);
	host_pci_parent(h, f);
	host_pci_config(folder, f);
	hostfs_each(folder, "net", host_pci_own_net, f, NULL);
	/* last: while this is there, what was read before it was of a device that is */
	if (host_pci_text(folder, "vendor", text, sizeof(text)) < 0)
		return false;
	vendor = host_pci_number(folder, "vendor", 16, 0xffff, -1);
	f->id.vendor = vendor < 0 ? 0xffff : (uint16_t)vendor;
	f->broken |= f->id.vendor == 0xffff;
	return true;
}

static int host_pci_add(void *arg, const char *name)
{
	struct host_pci_reader *r = arg;
	struct pci_function f = { 0 };
	struct hostfs folder;
	char path[96];
	bool there;

	if (!host_pci_part(name, strlen(name), &f.addr) || r->n == HOST_PCI_MAX ||
	    hostfs_sub(r->h, host_pci_path(&f, path), &folder, NULL) < 0)
		return 0;
	there = host_pci_read(r->h, &folder, &f);
	hostfs_fini(&folder);
	if (!there)
		return 0;
	if (r->n == r->cap) {
		size_t cap = r->cap ? 2 * r->cap : 64;
		void *grown = realloc(r->functions, cap * sizeof(*r->functions));

		if (!grown)
			return -ENOMEM;
		r->functions = grown;
		r->cap = cap;
	}
	r->functions[r->n++] = f;
	return 0;
}

/* --- what needs all of them ---------------------------------------------------------------------- */

static int host_pci_compare(const void *a, const void *b)
{
	const struct pci_function *x = a, *y = b;

	return pci_addr_cmp(&x->addr, &y->addr);
}

const struct pci_function *pci_inventory_find(const struct pci_inventory *inventory,
					      const struct pci_addr *addr)
{
	const struct pci_function key = { .addr = *addr };

	return inventory->n ? bsearch(&key, inventory->functions, inventory->n, sizeof(key),
				      host_pci_compare)
			    : NULL;
}

const struct pci_function *pci_inventory_vf(const struct pci_inventory *inventory,
					    const struct pci_function *pf, unsigned int index)
{
	for (size_t i = 0; i < inventory->n; i++) {
		const struct pci_function *f = &inventory->functions[i];

		if (f->is_vf && f->id.vf_index == (int)index && !pci_addr_cmp(&f->pf, &pf->addr))
			return f;
	}
	return NULL;
}

static struct pci_function *host_pci_find(struct host_pci_reader *r, const struct pci_addr *addr)
{
	const struct pci_inventory inventory = { .functions = r->functions, .n = r->n };
	const struct pci_function *f = pci_inventory_find(&inventory, addr);

	return f ? &r->functions[f - r->functions] : NULL;
}

/* By sys/class/net: virtio, USB and the like have devices of their own between. */
static int host_pci_class_net(void *arg, const char *name)
{
	struct host_pci_reader *r = arg;
	struct pci_function *f = NULL;
	struct pci_addr addr;
	char path[96];

	snprintf(path, sizeof(path), "sys/class/net/%.40s", name);
	if (host_pci_of_link(r->h, path, &addr) >= 0)
		f = host_pci_find(r, &addr);
	if (f)
		host_pci_add_netdev(f, name);
	return 0;
}

/* What the card was made with: the kernel's word, since anybody may set another. */
static bool host_pci_ask_mac(const char *netdev, char out[static 18])
{
	union {
		struct ethtool_perm_addr head;
		uint8_t space[sizeof(struct ethtool_perm_addr) + 32];
	} ask = { .head = { .cmd = ETHTOOL_GPERMADDR, .size = 32 } };
	AUTO_CLOSE int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	struct ifreq request = { .ifr_data = (void *)&ask };
	const uint8_t *b = ask.space + sizeof(ask.head);

	snprintf(request.ifr_name, sizeof(request.ifr_name), "%s", netdev);
	if (fd < 0 || ioctl(fd, SIOCETHTOOL, &request) < 0 || ask.head.size != 6 ||
	    !(b[0] | b[1] | b[2] | b[3] | b[4] | b[5]))
		return false;
	snprintf(out, 18, "%02x:%02x:%02x:%02x:%02x:%02x", b[0], b[1], b[2], b[3], b[4], b[5]);
	return true;
}

/* A VF's is its PF's: see host_pci_number_vfs. */
static void host_pci_mac(const struct hostfs *h, struct pci_function *f)
{
	char path[160], text[64], type[8], addr[PCI_ADDR_SIZE];

	if (!f->n_netdevs || f->is_vf || (h->host && host_pci_ask_mac(f->netdevs[0], f->id.mac)))
		return;
	/* NET_ADDR_PERM; also where nothing is said of it */
	snprintf(path, sizeof(path), "sys/class/net/%s/addr_assign_type", f->netdevs[0]);
	if (hostfs_read(h, path, type, sizeof(type), NULL) > 0 && strcmp(type, "0"))
		return;
	snprintf(path, sizeof(path), "sys/class/net/%s/address", f->netdevs[0]);
	if (hostfs_read(h, path, text, sizeof(text), NULL) != 17) {
		snprintf(path, sizeof(path), HOST_PCI_DEVICES "/%s/net/%s/address",
			 pci_addr_format(&f->addr, addr), f->netdevs[0]);
		if (hostfs_read(h, path, text, sizeof(text), NULL) != 17)
			return;
	}
	memcpy(f->id.mac, text, sizeof(f->id.mac));
}

static void host_pci_nets(struct host_pci_reader *r)
{
	hostfs_each(r->h, "sys/class/net", host_pci_class_net, r, NULL);
	for (size_t i = 0; i < r->n; i++)
		host_pci_mac(r->h, &r->functions[i]);
}

/* sys/bus/pci/slots/NAME/address: "0000:01:00", the device without its function. */
static int host_pci_add_slot(void *arg, const char *name)
{
	struct host_pci_reader *r = arg;
	struct host_pci_slot slot = { 0 }, *grown;
	char path[128], device[32], text[40];
	struct pci_addr addr;

	snprintf(path, sizeof(path), "sys/bus/pci/slots/%.60s/address", name);
	if (strlen(name) >= sizeof(slot.name) || r->n_slots == 4096 ||
	    hostfs_read(r->h, path, device, sizeof(device), NULL) < 0)
		return 0;
	snprintf(text, sizeof(text), "%s.0", device);
	if (!host_pci_part(text, strlen(text), &addr))
		return 0;
	grown = realloc(r->slots, (r->n_slots + 1) * sizeof(*r->slots));
	if (!grown)
		return -ENOMEM;
	r->slots = grown;
	slot.domain = addr.domain;
	slot.bus = addr.bus;
	slot.dev = addr.dev;
	memcpy(slot.name, name, strlen(name) + 1);
	r->slots[r->n_slots++] = slot;
	return 0;
}

static void host_pci_slot_of(const struct host_pci_reader *r, struct pci_function *f)
{
	for (size_t i = 0; i < r->n_slots; i++) {
		const struct host_pci_slot *s = &r->slots[i];

		if (s->domain == f->addr.domain && s->bus == f->addr.bus && s->dev == f->addr.dev)
			memcpy(f->id.slot, s->name, sizeof(s->name));
	}
}

/* The VFs of a PF learn their numbers, and what their identity has of it. */
static void host_pci_number_vfs(struct host_pci_reader *r, const struct pci_function *pf,
				const struct hostfs *folder)
{
	for (unsigned int i = 0; i < pf->total_vfs; i++) {
		char link[32], name[64];
		struct pci_function *vf;
		struct pci_addr addr;

		snprintf(link, sizeof(link), "virtfn%u", i);
		host_pci_link(folder, link, name, sizeof(name));
		if (!name[0] && i >= pf->num_vfs)
			return;
		if (!host_pci_part(name, strlen(name), &addr))
			continue;
		vf = host_pci_find(r, &addr);
		if (!vf || !vf->is_vf || pci_addr_cmp(&vf->pf, &pf->addr))
			continue;
		vf->id.vf_index = (int)i;
		memcpy(vf->id.serial, pf->id.serial, sizeof(vf->id.serial));
		memcpy(vf->id.mac, pf->id.mac, sizeof(vf->id.mac));
		memcpy(vf->id.slot, pf->id.slot, sizeof(vf->id.slot));
	}
}

static void host_pci_number_all(struct host_pci_reader *r)
{
	struct hostfs folder;
	char path[96];

	for (size_t i = 0; i < r->n; i++) {
		const struct pci_function *pf = &r->functions[i];

		if (!pf->is_pf || hostfs_sub(r->h, host_pci_path(pf, path), &folder, NULL) < 0)
			continue;
		host_pci_number_vfs(r, pf, &folder);
		hostfs_fini(&folder);
	}
}

int pci_inventory_read(const struct hostfs *h, struct pci_inventory *ret_inventory, struct err *e)
{
	struct host_pci_reader r = { .h = h };
	int ret = hostfs_each(h, HOST_PCI_DEVICES, host_pci_add, &r, e);

	if (ret < 0) {
		free(r.functions);
		return ret == -ENOMEM ? err_ret(e, ret, "cannot read the PCI devices") : ret;
	}
	if (r.n)
		qsort(r.functions, r.n, sizeof(*r.functions), host_pci_compare);
	host_pci_nets(&r);
	hostfs_each(h, "sys/bus/pci/slots", host_pci_add_slot, &r, NULL);
	for (size_t i = 0; i < r.n; i++)
		host_pci_slot_of(&r, &r.functions[i]);
	host_pci_number_all(&r);
	free(r.slots);
	*ret_inventory = (struct pci_inventory){ .functions = r.functions, .n = r.n };
	return 0;
}

void pci_inventory_fini(struct pci_inventory *inventory)
{
	free(inventory->functions);
	*inventory = (struct pci_inventory){ 0 };
}
