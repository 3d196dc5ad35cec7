// SPDX-License-Identifier: MIT
/*
 * PCI functions as JSON: see pci_json.h. Capabilities and the link are PCI Express 5.0, 7.5.3; BARs are sysfs's file
 * "resource", whose flags are linux/ioport.h's. Any thread.
 */
#include "vmd/pci_json.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "vmd/pci_config.h"

#define PCI_JSON_BARS 6
#define PCI_JSON_ROM 6 /* the row behind them */

/* linux/ioport.h, which user space does not have */
#define PCI_JSON_IO 0x00000100ull
#define PCI_JSON_PREFETCH 0x00002000ull
#define PCI_JSON_MEM_64 0x00100000ull

static void pci_json_addr(struct json_object *o, const char *key, const struct pci_addr *a)
{
	char text[PCI_ADDR_SIZE];

	json_add_str(o, key, pci_addr_format(a, text));
}

static void pci_json_words(struct json_object *o, const char *key, const char *text)
{
	struct json_object *list = json_object_new_array();

	for (size_t len; *text; text += len) {
		text += strspn(text, " ");
		len = strcspn(text, " ");
		if (len)
			json_object_array_add(list, json_object_new_string_len(text, (int)len));
	}
	json_add(o, key, list);
}

static const char *pci_json_role(const struct pci_function *f)
{
	if (f->is_pf)
		return "pf";
	if (f->is_vf)
		return "vf";
	return pci_function_is_bridge(f) ? "bridge" : "device";
}

static void pci_json_names(struct pci_names *names, const struct pci_function *f,
			   struct json_object *o)
{
	char text[128];

	json_add_fmt(o, "class", "%06x", f->class_code);
	json_add_str(o, "class_name", pci_names_class(names, f->class_code, text, sizeof(text)));
	json_add_fmt(o, "vendor", "%04x", f->id.vendor);
	json_add_str(o, "vendor_name", pci_names_vendor(names, f->id.vendor, text, sizeof(text)));
	json_add_fmt(o, "device", "%04x", f->id.device);
	json_add_str(o, "device_name",
		     pci_names_device(names, f->id.vendor, f->id.device, text, sizeof(text)));
}

static void pci_json_sriov(const struct pci_function *f, struct json_object *o)
{
	struct json_object *vfs;

	json_add_str(o, "role", pci_json_role(f));
	if (f->is_vf) {
		pci_json_addr(o, "pf", &f->pf);
		if (f->id.vf_index >= 0)
			json_add_int(o, "vf", f->id.vf_index);
	}
	if (!f->is_pf)
		return;
	vfs = json_add_int(json_new(), "total", f->total_vfs);
	json_add_bool(json_add_int(vfs, "count", f->num_vfs), "autoprobe", f->autoprobe);
	json_add(o, "vfs", vfs);
}

struct json_object *pci_json_function(struct pci_names *names, const struct pci_function *f)
{
	struct json_object *o = json_new(), *netdevs = json_object_new_array();

	pci_json_addr(o, "pci", &f->addr);
	pci_json_names(names, f, o);
	json_add_str(o, "driver", f->driver);
	if (f->override[0])
		json_add_str(o, "override", f->override);
	if (f->iommu_group >= 0)
		json_add_int(o, "group", f->iommu_group);
	if (f->numa_node >= 0)
		json_add_int(o, "numa", f->numa_node);
	pci_json_sriov(f, o);
	pci_json_words(o, "reset", f->reset_methods);
	json_add_bool(o, "broken", f->broken);
	for (unsigned int i = 0; i < f->n_netdevs; i++)
		json_object_array_add(netdevs, json_object_new_string(f->netdevs[i]));
	return json_add(o, "netdevs", netdevs);
}

/* --- details ------------------------------------------------------------------------------------------ */

struct pci_json_list {
	struct json_object *list;
	bool extended;
};

static void pci_json_capability(void *arg, const struct pci_config *c, uint16_t id, size_t at)
{
	struct pci_json_list *l = arg;
	const char *name = pci_config_name(l->extended, id);
	struct json_object *o = json_add_int(json_new(), "at", (int64_t)at);

	(void)c;
	json_add_bool(json_add_int(o, "id", id), "extended", l->extended);
	json_object_array_add(l->list, name ? json_add_str(o, "name", name)
					    : json_add_fmt(o, "name", "%04x", id));
}

static void pci_json_capabilities(const struct hostfs *h, const struct pci_function *f,
				  struct json_object *o)
{
	struct pci_json_list l = { .list = json_object_new_array() };
	struct pci_config c;

	json_add(o, "capabilities", l.list);
	if (f->broken || pci_config_read(h, &f->addr, &c) < 0)
		return;
	pci_config_each(&c, false, pci_json_capability, &l);
	l.extended = true;
	pci_config_each(&c, true, pci_json_capability, &l);
}

static ssize_t pci_json_file(const struct hostfs *h, const struct pci_function *f, const char *file,
			     char *out, size_t size)
{
	char path[96], addr[PCI_ADDR_SIZE];

	snprintf(path, sizeof(path), "sys/bus/pci/devices/%s/%s", pci_addr_format(&f->addr, addr),
		 file);
	return hostfs_read(h, path, out, size, NULL);
}

/* "0x00000000febc0000 0x00000000febdffff 0x0000000000040200", a line each; zeros where there is none. */
static void pci_json_bars(const struct hostfs *h, const struct pci_function *f,
			  struct json_object *o)
{
	struct json_object *list = json_object_new_array(), *bar;
	uint64_t start, end, flags;
	char text[2048], *line = text;

	json_add(o, "bars", list);
	if (pci_json_file(h, f, "resource", text, sizeof(text)) < 0)
		return;
	for (int i = 0; i <= PCI_JSON_ROM && *line; i++) {
		if (sscanf(line, "%" SCNx64 " %" SCNx64 " %" SCNx64, &start, &end, &flags) != 3)
			return;
		line += strcspn(line, "\n");
		line += *line == '\n';
		if (!end || end < start)
			continue;
		bar = json_add_int(json_new(), "bar", i);
		json_add_str(bar, "type",
			     i == PCI_JSON_ROM	   ? "rom"
			     : flags & PCI_JSON_IO ? "io"
						   : "memory");
		json_add_int(bar, "size", (int64_t)MIN(end - start + 1, (uint64_t)JSON_INT_MAX));
		json_add_bool(bar, "prefetchable", flags & PCI_JSON_PREFETCH);
		json_object_array_add(list, json_add_bool(bar, "64bit", flags & PCI_JSON_MEM_64));
	}
}

static void pci_json_link(const struct hostfs *h, const struct pci_function *f,
			  struct json_object *o)
{
	static const char *const files[][2] = { { "current_link_speed", "speed" },
						{ "current_link_width", "width" },
						{ "max_link_speed", "max_speed" },
						{ "max_link_width", "max_width" } };
	struct json_object *link = json_new();
	char text[64];

	for (size_t i = 0; i < ARRAY_SIZE(files); i++)
		if (pci_json_file(h, f, files[i][0], text, sizeof(text)) > 0)
			json_add_str(link, files[i][1], text);
	if (json_object_object_length(link))
		json_add(o, "link", link);
	else
		json_object_put(link);
}

/* The VFs of a PF; of a VF, those beside it. */
static void pci_json_family(const struct pci_inventory *inventory, const struct pci_function *f,
			    struct json_object *o)
{
	const struct pci_addr *pf = f->is_vf ? &f->pf : &f->addr;
	struct json_object *list;
	char text[PCI_ADDR_SIZE];

	if (!f->is_pf && !f->is_vf)
		return;
	list = json_object_new_array();
	for (size_t i = 0; i < inventory->n; i++) {
		const struct pci_function *m = &inventory->functions[i];

		if (m->is_vf && m != f && !pci_addr_cmp(&m->pf, pf))
			json_object_array_add(
				list, json_object_new_string(pci_addr_format(&m->addr, text)));
	}
	json_add(o, f->is_vf ? "siblings" : "children", list);
}

static struct json_object *pci_json_uses(const struct pci_uses *uses)
{
	struct json_object *list = json_object_new_array();
	char text[256];

	for (size_t i = 0; i < uses->n; i++) {
		const struct pci_use *u = &uses->uses[i];
		struct json_object *o =
			json_add_str(json_new(), "kind", pci_use_kind_name(u->kind));

		json_add_bool(json_add_str(o, "name", u->name), "vital", u->vital);
		if (u->detail[0])
			json_add_str(o, "detail", u->detail);
		json_add_str(o, "text", pci_use_text(u, text, sizeof(text)));
		json_object_array_add(list, o);
	}
	return list;
}

int pci_json_details(const struct hostfs *h, const struct pci_inventory *inventory,
		     const struct pci_function *f, struct json_object *o, struct err *e)
{
	struct pci_uses uses;
	int ret = pci_uses_read(h, inventory, f, &uses, e);

	if (ret < 0)
		return ret;
	json_add(o, "identity", pci_identity_json(&f->id));
	json_add_fmt(o, "revision", "%02x", f->revision);
	if (f->parent.domain != UINT32_MAX)
		pci_json_addr(o, "parent", &f->parent);
	pci_json_capabilities(h, f, o);
	pci_json_bars(h, f, o);
	pci_json_link(h, f, o);
	pci_json_family(inventory, f, o);
	json_add_bool(o, "more_uses", uses.more);
	json_add(o, "uses", pci_json_uses(&uses));
	return 0;
}

struct json_object *pci_json_group(const struct hostfs *h, const struct pci_inventory *inventory,
				   struct pci_names *names, int group)
{
	struct json_object *o = json_add_int(json_new(), "group", group);
	struct json_object *members = json_object_new_array();

	for (size_t i = 0; i < inventory->n; i++) {
		const struct pci_function *m = &inventory->functions[i];
		struct pci_uses uses = { 0 };
		struct json_object *member;

		if (m->iommu_group != group)
			continue;
		member = pci_json_function(names, m);
		if (h && pci_uses_read(h, inventory, m, &uses, NULL) >= 0)
			json_add(member, "uses", pci_json_uses(&uses));
		json_object_array_add(members, member);
	}
	return json_add(o, "members", members);
}
