// SPDX-License-Identifier: MIT
/* vmd/pci_choose.c: members of pools and the choice of a VF, over inventories made by hand. */
#include "tests/lib/test.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/auto.h"
#include "lib/errcat.h"
#include "vmd/pci_choose.h"

#define CARDS 3
#define VFS 4
#define N (CARDS * (1 + VFS))

/* Cards 10:00.0, 11:00.0 (node 0) and 12:00.0 (node 1), 4 VFs each: 10:10.0 to 10:10.3. */
struct host {
	struct pci_function f[N];
	unsigned char marks[N];
	struct pci_inventory inventory;
	struct pci_pool pool;
};

static struct pci_function *host_pf(struct host *h, int card)
{
	return &h->f[card * (1 + VFS)];
}

static size_t host_vf(int card, int vf)
{
	return (size_t)(card * (1 + VFS) + 1 + vf);
}

static void host_card(struct host *h, int card)
{
	struct pci_function *pf = host_pf(h, card);

	*pf = (struct pci_function){ .addr = { .bus = (uint8_t)(0x10 + card) },
				     .id = { .vendor = 0x8086, .device = 0x10c9, .vf_index = -1 },
				     .class_code = 0x020000,
				     .driver = "igb",
				     .iommu_group = card * 100,
				     .numa_node = card / 2,
				     .n_netdevs = 1,
				     .is_pf = true,
				     .total_vfs = 7,
				     .num_vfs = VFS };
	snprintf(pf->netdevs[0], sizeof(pf->netdevs[0]), "ens%d", card + 1);
	for (int i = 0; i < VFS; i++) {
		struct pci_function *vf = &h->f[host_vf(card, i)];

		*vf = (struct pci_function){
			.addr = { .bus = pf->addr.bus, .dev = 0x10, .fn = (uint8_t)i },
			.id = { .vendor = 0x8086, .vf_index = i },
			.class_code = 0x020000,
			.iommu_group = card * 100 + 1 + i,
			.numa_node = pf->numa_node,
			.is_vf = true,
			.pf = pf->addr
		};
	}
}

static struct host *host_new(const char *definition)
{
	struct host *h = test_calloc(1, sizeof(*h));
	AUTO_JSON struct json_object *o = NULL;
	char text[512];
	struct err e;

	for (int i = 0; i < CARDS; i++)
		host_card(h, i);
	h->inventory = (struct pci_inventory){ h->f, N };
	snprintf(text, sizeof(text), "%s", definition);
	for (char *p = text; *p; p++)
		*p = *p == '\'' ? '"' : *p;
	if (json_parse(text, strlen(text), &o, &e) < 0)
		fail_msg("%s", e.msg);
	pci_pool_parse(o, &h->pool);
	return h;
}

#define ALL "{'name':'front','class':'nic','vfs':4,'pfs':[{'vendor':'8086'}]}"

static void mark(struct host *h, int card, int vfs, unsigned char how)
{
	for (int i = 0; i < vfs; i++)
		h->marks[host_vf(card, i)] |= how;
}

static void expect(struct host *h, enum pci_numa numa, int node, const char *address,
		   const char *reason)
{
	struct pci_wish wish = { &h->pool, numa, node, "pci0", NULL };
	const struct pci_function *f;
	char got[PCI_ADDR_SIZE], why[PCI_REASON_SIZE];
	struct err e = { 0 };

	if (pci_choose(&h->inventory, h->marks, &wish, &f, why, &e) < 0)
		fail_msg("%s", e.msg);
	assert_string_equal(pci_addr_format(&f->addr, got), address);
	assert_string_equal(why, reason);
}

/* Where all nodes are not equally far from each other. */
static void expect_near(struct host *h, int node, const uint8_t distances[3], const char *address,
			const char *reason)
{
	struct host_numa numa = { .nodes = 7 };
	struct pci_wish wish = { &h->pool, PCI_NUMA_PREFER, node, "the VM's memory", &numa };
	const struct pci_function *f;
	char got[PCI_ADDR_SIZE], why[PCI_REASON_SIZE];
	struct err e = { 0 };

	memcpy(numa.distance[node], distances, 3);
	assert_int_equal(pci_choose(&h->inventory, h->marks, &wish, &f, why, &e), 0);
	assert_string_equal(pci_addr_format(&f->addr, got), address);
	assert_string_equal(why, reason);
}

static void test_distance(void **state)
{
	static const uint8_t distances[] = { 32, 21, 10 };
	struct host *h = host_new(ALL);

	(void)state;
	/* cards on nodes 0, 0 and 1; the VM is on 2 */
	expect_near(h, 2, distances, "0000:12:10.0",
		    "pool front; NUMA node 1, distance 21, none free on 2 like the VM's memory; "
		    "0 of 4 in use");
	/* nearer before emptier, also of those that are far */
	mark(h, 2, 3, PCI_MARK_LEASED);
	expect_near(h, 2, distances, "0000:12:10.3",
		    "pool front; NUMA node 1, distance 21, none free on 2 like the VM's memory; "
		    "3 of 4 in use");
	mark(h, 2, 4, PCI_MARK_LEASED);
	expect_near(h, 2, distances, "0000:10:10.0",
		    "pool front; NUMA node 0, distance 32, none free on 2 like the VM's memory; "
		    "emptier card: 0 of 4 in use");
	/* one that nobody knows the distance of comes last */
	host_pf(h, 0)->numa_node = 5;
	host_pf(h, 1)->numa_node = 0;
	expect_near(h, 2, distances, "0000:11:10.0",
		    "pool front; NUMA node 0, distance 32, none free on 2 like the VM's memory; "
		    "0 of 4 in use");
	test_free(h);
}

static void refuse(struct host *h, enum pci_numa numa, int node, int code, const char *msg,
		   const char *hint)
{
	struct pci_wish wish = { &h->pool, numa, node, "pci0", NULL };
	const struct pci_function *f = NULL;
	char why[PCI_REASON_SIZE];
	struct err e = { 0 };

	assert_int_equal(pci_choose(&h->inventory, h->marks, &wish, &f, why, &e), -code);
	assert_null(f);
	assert_int_equal(e.code, code);
	assert_string_equal(e.msg, msg);
	assert_string_equal(e.hint, hint);
}

static size_t members(const char *definition)
{
	struct host *h = host_new(definition);
	const struct pci_function *pfs[PCI_POOL_MEMBERS_MAX];
	size_t n = pci_pool_members(&h->pool, &h->inventory, pfs), sum = 0;

	for (size_t i = 0; i < n; i++)
		sum = sum * 10 + (size_t)(pfs[i]->addr.bus - 0x10 + 1);
	test_free(h);
	return sum; /* cards as digits: 13 is the first and the third */
}

static void test_members(void **state)
{
	(void)state;
	assert_int_equal(members("{'pfs':[{'vendor':'8086'}]}"), 123);
	assert_int_equal(members("{'pfs':['0000:12:00.0','10:00.0']}"), 13);
	assert_int_equal(members("{'pfs':[{'netdev':'ens2'}]}"), 2);
	assert_int_equal(members("{'pfs':[{'numa':0}]}"), 12);
	assert_int_equal(members("{'pfs':[{'numa':0,'netdev':'ens3'}]}"), 0);
	assert_int_equal(members("{'pfs':[{'driver':'igb','device':'10C9'}]}"), 123);
	assert_int_equal(members("{'pfs':[{'driver':'ixgbe'}]}"), 0);
	assert_int_equal(members("{'pfs':[{'device':'10ca'}]}"), 0);
	assert_int_equal(members("{'pfs':[{'vendor':'144d'}, '0000:11:00.0']}"), 2);
	assert_int_equal(members("{'class':'nvme','pfs':[{'vendor':'8086'}]}"), 0);
	assert_int_equal(members("{'class':'gpu','pfs':['0000:10:00.0']}"), 0);
	assert_int_equal(members("{'class':'nic','pfs':['0000:10:00.0']}"), 1);
	/* a VF is no PF, whatever is said of it */
	assert_int_equal(members("{'pfs':['0000:10:10.0']}"), 0);
}

static void test_emptier_card(void **state)
{
	struct host *h = host_new(ALL);

	(void)state;
	expect(h, PCI_NUMA_PREFER, -1, "0000:10:10.0",
	       "pool front; NUMA node 0; emptier card: 0 of 4 in use");
	mark(h, 0, 1, PCI_MARK_LEASED);
	expect(h, PCI_NUMA_PREFER, -1, "0000:11:10.0",
	       "pool front; NUMA node 0; emptier card: 0 of 4 in use");
	mark(h, 1, 2, PCI_MARK_LEASED);
	mark(h, 2, 3, PCI_MARK_LEASED);
	expect(h, PCI_NUMA_PREFER, -1, "0000:10:10.1",
	       "pool front; NUMA node 0; emptier card: 1 of 4 in use");
	test_free(h);
}

static void test_numa(void **state)
{
	struct host *h = host_new(ALL);

	(void)state;
	expect(h, PCI_NUMA_PREFER, 1, "0000:12:10.0",
	       "pool front; NUMA node 1 like pci0; 0 of 4 in use");
	expect(h, PCI_NUMA_IGNORE, 1, "0000:10:10.0",
	       "pool front; NUMA nodes ignored; emptier card: 0 of 4 in use");
	mark(h, 2, 3, PCI_MARK_LEASED);
	/* nearer before emptier */
	expect(h, PCI_NUMA_PREFER, 1, "0000:12:10.3",
	       "pool front; NUMA node 1 like pci0; 3 of 4 in use");
	expect(h, PCI_NUMA_STRICT, 1, "0000:12:10.3",
	       "pool front; NUMA node 1 like pci0; 3 of 4 in use");
	mark(h, 2, 4, PCI_MARK_LEASED);
	expect(h, PCI_NUMA_PREFER, 1, "0000:10:10.0",
	       "pool front; NUMA node 0, none free on 1 like pci0; emptier card: 0 of 4 in use");
	refuse(h, PCI_NUMA_STRICT, 1, ERR_POOL_EXHAUSTED,
	       "VF pool 'front' has no free VF on node 1 (4 in use)",
	       "vmctl lease list says who has them");
	/* a host with one node does not say which */
	for (int i = 0; i < CARDS; i++)
		host_pf(h, i)->numa_node = -1;
	expect(h, PCI_NUMA_STRICT, 1, "0000:10:10.0", "pool front; emptier card: 0 of 4 in use");
	test_free(h);
}

static void test_not_free(void **state)
{
	struct host *h = host_new("{'name':'front','vfs':4,'pfs':['0000:10:00.0']}");

	(void)state;
	h->marks[host_vf(0, 0)] = PCI_MARK_QUARANTINED;
	h->marks[host_vf(0, 1)] = PCI_MARK_HOST;
	h->f[host_vf(0, 2)].broken = true;
	expect(h, PCI_NUMA_PREFER, -1, "0000:10:10.3", "pool front; NUMA node 0; 3 of 4 in use");
	strcpy(h->f[host_vf(0, 3)].driver, "vfio-pci");
	refuse(h, PCI_NUMA_PREFER, -1, ERR_POOL_EXHAUSTED,
	       "VF pool 'front' has no free VF (0 in use, 1 in quarantine, 3 not vmd's)",
	       "vmctl lease list says who has them and what is in quarantine; vmctl pci release "
	       "ADDRESS clears that");
	strcpy(h->f[host_vf(0, 3)].driver, "");
	strcpy(h->f[host_vf(0, 3)].override, "vfio-pci");
	h->marks[host_vf(0, 0)] = PCI_MARK_LEASED;
	refuse(h, PCI_NUMA_PREFER, -1, ERR_POOL_EXHAUSTED,
	       "VF pool 'front' has no free VF (1 in use, 3 not vmd's)",
	       "vmctl lease list says who has them");
	test_free(h);
}

/* What shares an IOMMU group with a leased one cannot go to another VM. */
static void test_group(void **state)
{
	struct host *h = host_new("{'name':'front','vfs':4,'pfs':['0000:10:00.0']}");

	(void)state;
	h->f[host_vf(0, 1)].iommu_group = h->f[host_vf(0, 0)].iommu_group;
	h->marks[host_vf(0, 0)] = PCI_MARK_LEASED;
	expect(h, PCI_NUMA_PREFER, -1, "0000:10:10.2", "pool front; NUMA node 0; 1 of 4 in use");
	test_free(h);
}

static void test_no_pf(void **state)
{
	struct host *h = host_new("{'name':'front','vfs':4,'pfs':['0000:13:00.0']}");

	(void)state;
	refuse(h, PCI_NUMA_PREFER, -1, ERR_POOL_PF,
	       "VF pool 'front' has no physical function on this host",
	       "vmctl sriov pf list shows those of the host, vmctl sriov pool show front what the "
	       "pool wants");
	test_free(h);
	h = host_new("{'name':'front','vfs':4,'pfs':['0000:10:00.0']}");
	host_pf(h, 0)->is_pf = false;
	refuse(h, PCI_NUMA_PREFER, -1, ERR_POOL_PF,
	       "device 0000:10:00.0 of VF pool 'front' has no SR-IOV", "");
	test_free(h);
}

static void test_pf_down(void **state)
{
	struct host *h = host_new("{'name':'front','vfs':4,'pfs':['0000:10:00.0','0000:12:00.0']}");

	(void)state;
	h->marks[host_pf(h, 0) - h->f] = PCI_MARK_DOWN;
	expect(h, PCI_NUMA_PREFER, -1, "0000:12:10.0", "pool front; NUMA node 1; 0 of 4 in use");
	h->marks[host_pf(h, 2) - h->f] = PCI_MARK_DOWN;
	refuse(h, PCI_NUMA_PREFER, -1, ERR_POOL_DOWN,
	       "PF ens1 (0000:10:00.0) of VF pool 'front' is down", "ip link set ens1 up");
	test_free(h);
}

static void test_unmade(void **state)
{
	struct host *h = host_new("{'name':'front','vfs':8,'pfs':['0000:10:00.0']}");

	(void)state;
	/* being changed: what is there now may go any moment */
	h->marks[host_pf(h, 0) - h->f] = PCI_MARK_CHANGE;
	refuse(h, PCI_NUMA_PREFER, -1, ERR_POOL_UNREADY,
	       "VF pool 'front' has no VFs yet: PF 0000:10:00.0 has none of 8",
	       "vmctl sriov pool show front says why");
	for (int i = 0; i < VFS; i++)
		h->f[host_vf(0, i)].is_vf = false;
	h->marks[host_pf(h, 0) - h->f] = 0;
	refuse(h, PCI_NUMA_PREFER, -1, ERR_POOL_UNREADY,
	       "VF pool 'front' has no VFs yet: PF 0000:10:00.0 has none of 8",
	       "vmctl sriov pool show front says why");
	test_free(h);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_members),	 cmocka_unit_test(test_emptier_card),
		cmocka_unit_test(test_numa),	 cmocka_unit_test(test_distance),
		cmocka_unit_test(test_not_free), cmocka_unit_test(test_group),
		cmocka_unit_test(test_no_pf),	 cmocka_unit_test(test_pf_down),
		cmocka_unit_test(test_unmade),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
