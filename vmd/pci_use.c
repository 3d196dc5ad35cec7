// SPDX-License-Identifier: MIT
/*
 * What the host does with a PCI function: see pci_use.h. sysfs's class/net, class/block, class/graphics, class/tty,
 * and proc(5)'s mountinfo, swaps, net/route, net/ipv6_route, consoles. Any thread.
 */
#include "vmd/pci_use.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/auto.h"
#include "vmd/pci_use_priv.h"

bool pci_use_add(struct pci_uses *uses, enum pci_use_kind kind, bool vital, const char *name,
		 const char *detail)
{
	struct pci_use use = { .kind = kind, .vital = vital };

	snprintf(use.name, sizeof(use.name), "%s", name);
	snprintf(use.detail, sizeof(use.detail), "%s", detail);
	for (size_t i = 0; i < uses->n; i++)
		if (uses->uses[i].kind == kind && !strcmp(uses->uses[i].name, use.name) &&
		    !strcmp(uses->uses[i].detail, use.detail))
			return false;
	if (uses->n < PCI_USES_MAX) {
		uses->uses[uses->n++] = use;
		return true;
	}
	uses->more = true;
	/* what is vital must be told */
	for (size_t i = PCI_USES_MAX; vital && i > 0; i--)
		if (!uses->uses[i - 1].vital) {
			uses->uses[i - 1] = use;
			return true;
		}
	return false;
}

/* --- interfaces --------------------------------------------------------------------------------------- */

struct pci_use_nets {
	const struct pci_use_reader *r;
	char routes[16][16]; /* interfaces with a default route */
	size_t n_routes;
	bool other_carrier; /* an interface of another device has one */
	unsigned int depth;
	char via[16];	  /* what has the default route above it */
	char master[16];  /* what it is a part of */
	char carrier[16]; /* one of ours that has one */
};

static void pci_use_route(struct pci_use_nets *n, const char *name)
{
	if (strlen(name) < sizeof(n->routes[0]) && n->n_routes < ARRAY_SIZE(n->routes) &&
	    strcmp(name, "lo"))
		snprintf(n->routes[n->n_routes++], sizeof(n->routes[0]), "%s", name);
}

/* Of the host, which is where its init is: vmd itself may be in a network namespace without any route. */
static char *pci_use_net_file(const struct hostfs *h, const char *name)
{
	char path[40];
	char *text;

	snprintf(path, sizeof(path), "proc/1/net/%s", name);
	text = pci_use_file(h, path);
	if (text)
		return text;
	snprintf(path, sizeof(path), "proc/net/%s", name);
	return pci_use_file(h, path);
}

/* proc/net/route: interface, destination, gateway, flags, …, mask in the 8th column. */
static void pci_use_routes(struct pci_use_nets *n)
{
	AUTO_FREE char *v4 = pci_use_net_file(n->r->h, "route");
	AUTO_FREE char *v6 = pci_use_net_file(n->r->h, "ipv6_route");
	char name[32], to[40], mask[16];
	unsigned int prefix;

	for (char *line = v4; line && *line; line = pci_use_next_line(line))
		if (sscanf(line, "%31s %39s %*s %*s %*s %*s %*s %15s", name, to, mask) == 3 &&
		    !strcmp(to, "00000000") && !strcmp(mask, "00000000"))
			pci_use_route(n, name);
	for (char *line = v6; line && *line; line = pci_use_next_line(line))
		if (sscanf(line, "%39s %x %*s %*s %*s %*s %*s %*s %*s %31s", to, &prefix, name) ==
			    3 &&
		    !prefix && strspn(to, "0") == strlen(to))
			pci_use_route(n, name);
}

static bool pci_use_has_route(const struct pci_use_nets *n, const char *name)
{
	for (size_t i = 0; i < n->n_routes; i++)
		if (!strcmp(n->routes[i], name))
			return true;
	return false;
}

static void pci_use_look_up(struct pci_use_nets *n, const char *name);

/* "upper_br0" in sys/class/net/eth0: a bridge, a bond, a VLAN on top of it. */
static int pci_use_upper(void *arg, const char *entry)
{
	struct pci_use_nets *n = arg;

	if (strncmp(entry, "upper_", 6) || strlen(entry + 6) >= sizeof(n->via))
		return 0;
	if (n->depth == 1)
		snprintf(n->master, sizeof(n->master), "%s", entry + 6);
	pci_use_look_up(n, entry + 6);
	return 0;
}

static void pci_use_look_up(struct pci_use_nets *n, const char *name)
{
	char path[96];

	if (pci_use_has_route(n, name))
		snprintf(n->via, sizeof(n->via), "%.15s", name);
	if (n->via[0] || n->depth == PCI_USE_DEPTH)
		return;
	snprintf(path, sizeof(path), "sys/class/net/%.40s", name);
	n->depth++;
	hostfs_each(n->r->h, path, pci_use_upper, n, NULL);
	n->depth--;
}

static bool pci_use_carrier(const struct hostfs *h, const char *name)
{
	char path[96], text[8];

	snprintf(path, sizeof(path), "sys/class/net/%.40s/carrier", name);
	return hostfs_read(h, path, text, sizeof(text), NULL) > 0 && !strcmp(text, "1");
}

static void pci_use_netdev(struct pci_use_nets *n, const char *name)
{
	char path[96], state[24], detail[64];

	snprintf(path, sizeof(path), "sys/class/net/%.40s/operstate", name);
	if (hostfs_read(n->r->h, path, state, sizeof(state), NULL) <= 0)
		snprintf(state, sizeof(state), "unknown");
	n->via[0] = n->master[0] = '\0';
	pci_use_look_up(n, name);
	snprintf(detail, sizeof(detail), "%s%s%s", state, n->master[0] ? ", in " : "", n->master);
	pci_use_add(n->r->uses, PCI_USE_NETDEV, false, name, detail);
	if (n->via[0])
		pci_use_add(n->r->uses, PCI_USE_DEFAULT_ROUTE, true, name,
			    strcmp(n->via, name) ? n->via : "");
	if (!n->carrier[0] && pci_use_carrier(n->r->h, name))
		snprintf(n->carrier, sizeof(n->carrier), "%.15s", name);
}

/* A VF's interface goes with its PF. */
static bool pci_use_goes_with(const struct pci_use_reader *r, const struct pci_addr *addr)
{
	const struct pci_function *f = pci_inventory_find(r->inventory, addr);

	return !pci_addr_cmp(addr, &r->f->addr) ||
	       (f && f->is_vf && !pci_addr_cmp(&f->pf, &r->f->addr));
}

static int pci_use_class_net(void *arg, const char *name)
{
	struct pci_use_nets *n = arg;
	struct pci_addr addr;
	char path[96];

	snprintf(path, sizeof(path), "sys/class/net/%.40s", name);
	if (host_pci_of_link(n->r->h, path, &addr) < 0)
		return 0;
	if (!pci_addr_cmp(&addr, &n->r->f->addr))
		pci_use_netdev(n, name);
	else if (!pci_use_goes_with(n->r, &addr) && pci_use_carrier(n->r->h, name))
		n->other_carrier = true;
	return 0;
}

static void pci_use_read_nets(const struct pci_use_reader *r)
{
	struct pci_use_nets n = { .r = r };

	pci_use_routes(&n);
	hostfs_each(r->h, "sys/class/net", pci_use_class_net, &n, NULL);
	if (n.carrier[0] && !n.other_carrier)
		pci_use_add(r->uses, PCI_USE_ONLY_NIC, true, n.carrier, "");
}

bool pci_link_is_down(const struct hostfs *h, const struct pci_function *f)
{
	char path[96], text[32];
	unsigned int flags;

	if (!f->n_netdevs)
		return false;
	snprintf(path, sizeof(path), "sys/class/net/%.15s/flags", f->netdevs[0]);
	return hostfs_read(h, path, text, sizeof(text), NULL) > 0 &&
	       sscanf(text, "%x", &flags) == 1 && !(flags & IFF_UP);
}

/* --- the console ------------------------------------------------------------------------------------------ */

static int pci_use_framebuffer(void *arg, const char *name)
{
	const struct pci_use_reader *r = arg;
	struct pci_addr addr;
	char path[96];

	snprintf(path, sizeof(path), "sys/class/graphics/%.40s", name);
	if (!strncmp(name, "fb", 2) && host_pci_of_link(r->h, path, &addr) >= 0 &&
	    !pci_addr_cmp(&addr, &r->f->addr))
		pci_use_add(r->uses, PCI_USE_CONSOLE, true, name, "");
	return 0;
}

static void pci_use_read_console(const struct pci_use_reader *r)
{
	AUTO_FREE char *consoles = pci_use_file(r->h, "proc/consoles");
	char path[96], text[PCI_ADDR_SIZE], name[32];
	struct pci_addr addr;

	snprintf(path, sizeof(path), "sys/bus/pci/devices/%s/boot_vga",
		 pci_addr_format(&r->f->addr, text));
	if (hostfs_read(r->h, path, text, sizeof(text), NULL) > 0 && !strcmp(text, "1"))
		pci_use_add(r->uses, PCI_USE_CONSOLE, true, "boot display", "");
	hostfs_each(r->h, "sys/class/graphics", pci_use_framebuffer, (void *)r, NULL);
	for (char *line = consoles; line && *line; line = pci_use_next_line(line)) {
		if (sscanf(line, "%31s", name) != 1)
			continue;
		snprintf(path, sizeof(path), "sys/class/tty/%s", name);
		if (host_pci_of_link(r->h, path, &addr) >= 0 && !pci_addr_cmp(&addr, &r->f->addr))
			pci_use_add(r->uses, PCI_USE_CONSOLE, true, name, "");
	}
}

/* --- all ------------------------------------------------------------------------------------------------------ */

int pci_uses_read(const struct hostfs *h, const struct pci_inventory *inventory,
		  const struct pci_function *f, struct pci_uses *ret_uses, struct err *e)
{
	struct pci_uses uses = { 0 };
	const struct pci_use_reader r = { .h = h, .inventory = inventory, .f = f, .uses = &uses };
	char text[16];
	int ret;

	if (pci_function_is_bridge(f)) { /* what is behind it is not its own */
		*ret_uses = uses;
		return 0;
	}
	ret = pci_use_read_blocks(&r, e);
	if (ret < 0)
		return ret;
	pci_use_read_nets(&r);
	pci_use_read_console(&r);
	if (f->num_vfs) {
		snprintf(text, sizeof(text), "%u", f->num_vfs);
		pci_use_add(&uses, PCI_USE_VFS, true, "", text);
	}
	*ret_uses = uses;
	return 0;
}

const char *pci_use_text(const struct pci_use *use, char *out, size_t size)
{
	const char *name = use->name, *detail = use->detail;

	switch (use->kind) {
	case PCI_USE_NETDEV:
		snprintf(out, size, "network interface %s (%s)", name, detail);
		break;
	case PCI_USE_BLOCK:
		snprintf(out, size, "block device %s%s%s", name, detail[0] ? ", used by " : "",
			 detail);
		break;
	case PCI_USE_MOUNT:
		snprintf(out, size, "the file system %s is on %s", detail, name);
		break;
	case PCI_USE_ROOT:
		snprintf(out, size, "the host's root file system is on %s", name);
		break;
	case PCI_USE_SWAP:
		snprintf(out, size, "the host swaps to %s", name);
		break;
	case PCI_USE_DEFAULT_ROUTE:
		snprintf(out, size, "network interface %s has the default route%s%s", name,
			 detail[0] ? ", through " : "", detail);
		break;
	case PCI_USE_ONLY_NIC:
		snprintf(out, size, "network interface %s is the only one with a link", name);
		break;
	case PCI_USE_CONSOLE:
		snprintf(out, size, "it has the host's console (%s)", name);
		break;
	case PCI_USE_VFS:
		snprintf(out, size, "%s VFs of it exist", detail);
		break;
	}
	return out;
}

const char *pci_use_kind_name(enum pci_use_kind kind)
{
	static const char *const names[] = {
		[PCI_USE_NETDEV] = "netdev",	 [PCI_USE_BLOCK] = "block",
		[PCI_USE_MOUNT] = "mount",	 [PCI_USE_ROOT] = "root",
		[PCI_USE_SWAP] = "swap",	 [PCI_USE_DEFAULT_ROUTE] = "default-route",
		[PCI_USE_ONLY_NIC] = "only-nic", [PCI_USE_CONSOLE] = "console",
		[PCI_USE_VFS] = "vfs",
	};

	return names[kind];
}
