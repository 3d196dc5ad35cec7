// SPDX-License-Identifier: MIT
/*
 * Pools of virtual functions, on a simulated host with a fake vmm: declared, made, chosen of, exhausted, and as the host was
 * when anything fails. FIELD 1, 3, 14, 15, 18.
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/errcat.h"
#include "tests/functional/leases.h"
#include "tests/functional/pools.h"
#include "tests/lib/tempdir.h"
#include "tests/functional/scene.h"

/* VFs of a PF. Of more, a busy disk does not have the simulated card's files within a step's deadline. */
#define MANY 32

static int setup(void **state)
{
	return leases_setup_pools(state, "8");
}

static int setup_many(void **state)
{
	return leases_setup_pools(state, "32");
}

/* --- declared ----------------------------------------------------------------------------------------- */

static void test_declare_and_delete(void **state)
{
	struct leases_world *w = *state;
	AUTO_JSON struct json_object *plan = NULL;
	struct json_object *step;

	NEEDS_KVM;
	plan = client_result(w->c, "pool.apply",
			     "{'dry_run': true, 'pool': {'kind': 'pool', 'name': 'front',"
			     " 'vfs': 4, 'pfs': ['" PF "']}}");
	assert_int_equal(json_object_array_length(json_get(plan, "steps")), 2);
	step = json_object_array_get_idx(json_get(plan, "steps"), 1);
	assert_string_equal(json_get_str(step, "do", ""),
			    "make 4 VFs on " PF ", drivers for them off");
	assert_string_equal(json_get_str(step, "undo", ""), "remove the VFs of " PF);
	pools_expect_pf(w, PF, 0, "down");
	client_expect_error(
		w->c, "pool.get", "{'name': 'front'}", ERR_POOL_NOT_FOUND,
		"there is no VF pool 'front'",
		"vmctl sriov pool list shows those that there are; a file of kind: pool "
		"declares one");

	pools_apply(w, "front", "['" PF "']", 4, "created");
	pools_expect(w, "front", "ready", 4, 0, 4);
	pools_expect_pf(w, PF, 4, "up");
	pools_expect_pf(w, FAR, 0, "down"); /* nobody has named it */
	assert_string_equal(simhost_driver(w->h, "0000:10:10.0"), "");
	pools_apply(w, "front", "['" PF "']", 4, "unchanged");
	pools_apply(w, "front", "['" PF "']", 6, "updated");
	pools_expect(w, "front", "ready", 6, 0, 6);
	/* what leaves is as it was */
	pools_apply(w, "front", "['" FAR "']", 6, "updated");
	pools_expect_pf(w, PF, 0, "down");
	pools_expect_pf(w, FAR, 6, "up");
	json_object_put(client_result(w->c, "pool.delete", "{'name': 'front'}"));
	pools_expect_pf(w, FAR, 0, "down");
}

static void test_many(void **state)
{
	struct leases_world *w = *state;

	NEEDS_KVM;
	pools_apply(w, "front", "[{'driver': 'igb'}]", MANY, "created");
	pools_expect(w, "front", "ready", 2 * MANY, 0, 2 * MANY);
	leases_define_passthrough(w, "one", "{'pool': 'front', 'mac': '52:54:00:00:00:01'}");
	pools_start_vm(w, "one");
	pools_expect(w, "front", "ready", 2 * MANY, 1, 2 * MANY - 1);
	pools_stop_vm(w, "one");
	pools_expect(w, "front", "ready", 2 * MANY, 0, 2 * MANY);
}

static void test_refused(void **state)
{
	struct leases_world *w = *state;

	NEEDS_KVM;
	client_expect_error(w->c, "pool.apply", pools_params("a", "['0000:00:19.0']", 2),
			    ERR_POOL_PF, "device 0000:00:19.0 has no SR-IOV",
			    "vmctl sriov pf list shows what can have VFs; some cards have it "
			    "switched off in their firmware");
	client_expect_error(w->c, "pool.apply", pools_params("a", "['" PF "']", 9), ERR_POOL_PF,
			    "PF " PF " can have 8 VFs, not 9", "");
	client_expect_error(w->c, "pool.apply", pools_params("a", "['0000:77:00.0']", 2),
			    ERR_PCI_NOT_FOUND, "the host has no PCI device 0000:77:00.0",
			    "vmctl pci list shows what there is; addresses change when cards are "
			    "added or moved");
	client_expect_error(w->c, "pool.apply", pools_params("a", "[{'driver': 'ixgbe'}]", 2),
			    ERR_POOL_PF, "no device of this host is what VF pool 'a' asks for",
			    "vmctl sriov pf list shows what can have VFs");
	client_expect_error(
		w->c, "pool.get", "{'name': 'a'}", ERR_POOL_NOT_FOUND, "there is no VF pool 'a'",
		"vmctl sriov pool list shows those that there are; a file of kind: pool "
		"declares one");
	pools_apply(w, "front", "['" PF "']", 4, "created");
	client_expect_error(w->c, "pool.apply", pools_params("back", "[{'driver': 'igb'}]", 4),
			    ERR_POOL_SHARED,
			    "PF " PF " belongs to VF pool 'front', which says how many VFs it has",
			    "a PF is in one pool; vmctl sriov pool show front says why it is in "
			    "that one");
	client_expect_error(w->c, "sriov.pf.set", "{'pci': '" PF "', 'vfs': 2}", ERR_POOL_SHARED,
			    "PF " PF " belongs to VF pool 'front', which says how many VFs it has",
			    "change vfs in the pool's file, then vmctl apply -f FILE");
	client_expect_error(w->c, "sriov.pf.set", "{'pci': '0000:10:10.1', 'vfs': 2}", ERR_POOL_PF,
			    "device 0000:10:10.1 is a VF itself",
			    "vmctl sriov pf list shows what can have VFs; some cards have it "
			    "switched off in their firmware");
	pools_expect_pf(w, FAR, 0, "down");
}

/* --- chosen of ---------------------------------------------------------------------------------------- */

static void test_choice(void **state)
{
	struct leases_world *w = *state;

	NEEDS_KVM;
	pools_apply(w, "front", "[{'driver': 'igb'}]", 2, "created");
	leases_define_passthrough(w, "one",
				  "{'pool': 'front'}, {'pool': 'front', 'numa': 'strict'}");
	pools_start_vm(w, "one");
	pools_expect_lease(w, "one", 0, "0000:10:10.0",
			   "pool front; NUMA node 0; emptier card: 0 of 2 in use");
	pools_expect_lease(w, "one", 1, "0000:10:10.1",
			   "pool front; NUMA node 0 like pci0; 1 of 2 in use");
	leases_define_passthrough(w, "two", "{'pool': 'front'}");
	pools_start_vm(w, "two");
	pools_expect_lease(w, "two", 0, "0000:20:10.0", "pool front; NUMA node 1; 0 of 2 in use");
	/* two on one node are not to be had any more, and the first is not kept */
	leases_define_passthrough(w, "three",
				  "{'pool': 'front'}, {'pool': 'front', 'numa': 'strict'}");
	pools_refuse_start(w, "three", ERR_POOL_EXHAUSTED,
			   "VF pool 'front' has no free VF on node 1 (2 in use)",
			   "vmctl lease list says who has them");
	pools_expect(w, "front", "ready", 4, 3, 1);
	pools_stop_vm(w, "one");
	pools_stop_vm(w, "two");
	pools_expect(w, "front", "ready", 4, 0, 4);
}

/* numa and distance of a VM's n-th lease. */
static void expect_node(struct leases_world *w, const char *vm, size_t n, int node, int distance)
{
	AUTO_JSON struct json_object *o = NULL;
	struct json_object *lease;
	char params[128];

	snprintf(params, sizeof(params), "{'vm': '%s'}", vm);
	o = client_result(w->c, "vm.get", params);
	lease = json_object_array_get_idx(json_get(o, "leases"), n);
	assert_int_equal(json_get_int(lease, "numa", -1), node);
	assert_int_equal(json_get_int(lease, "distance", -1), distance);
}

static void define_on(struct leases_world *w, const char *name, int node, const char *passthrough)
{
	char params[1024];

	snprintf(params, sizeof(params),
		 "{'definition': {'name': '%s', 'memory': {'size': '64MiB', 'node': %d},"
		 " 'boot': {'kernel': '%s'}, 'passthrough': [%s]}}",
		 name, node, harness_file(w->h, "kernel", "not looked at"), passthrough);
	json_object_put(client_result(w->c, "vm.apply", params));
}

/* The VM's memory says where it is: what it gets comes from there, and it is told how far away the rest is. */
static void test_memory_node(void **state)
{
	struct leases_world *w = *state;
	AUTO_JSON struct json_object *plan = NULL;
	struct json_object *device;

	NEEDS_KVM;
	pools_apply(w, "front", "[{'driver': 'igb'}]", 1, "created");
	define_on(w, "one", 1, "{'pool': 'front'}");
	plan = client_result(w->c, "vm.start", "{'vm': 'one', 'dry_run': true}");
	device = json_at(plan, "/plan/devices/0");
	assert_int_equal(json_get_int(device, "numa", -1), 1);
	assert_int_equal(json_get_int(device, "distance", -1), 10);
	pools_start_vm(w, "one");
	pools_expect_lease(w, "one", 0, "0000:20:10.0",
			   "pool front; NUMA node 1 like the VM's memory; 0 of 1 in use");
	expect_node(w, "one", 0, 1, 10);
	/* there is none left */
	define_on(w, "two", 1, "{'pool': 'front', 'numa': 'strict'}");
	pools_refuse_start(w, "two", ERR_POOL_EXHAUSTED,
			   "VF pool 'front' has no free VF on node 1 (1 in use)",
			   "vmctl lease list says who has them");
	define_on(w, "two", 1, "{'pool': 'front'}");
	pools_start_vm(w, "two");
	pools_expect_lease(
		w, "two", 0, "0000:10:10.0",
		"pool front; NUMA node 0, distance 21, none free on 1 like the VM's memory; "
		"0 of 1 in use");
	expect_node(w, "two", 0, 0, 21);
	pools_stop_vm(w, "one");
	pools_stop_vm(w, "two");
	/* it comes to a VM that runs, and one that is named has a node too */
	define_on(w, "two", 1, "{'pci': '0000:10:10.0'}");
	pools_start_vm(w, "two");
	pools_expect_lease(
		w, "two", 0, "0000:10:10.0",
		"the VM names its address; NUMA node 0, distance 21 from the VM's memory");
	expect_node(w, "two", 0, 0, 21);
	pools_stop_vm(w, "two");
	define_on(w, "three", 1, "");
	pools_start_vm(w, "three");
	json_object_put(client_result(w->c, "vm.attach",
				      "{'vm': 'three', 'passthrough': {'pool': 'front'}}"));
	pools_expect_lease(w, "three", 0, "0000:20:10.0",
			   "pool front; NUMA node 1 like the VM's memory; 0 of 1 in use");
	pools_stop_vm(w, "three");
	pools_expect(w, "front", "ready", 2, 0, 2);
}

static void test_no_such_node(void **state)
{
	struct leases_world *w = *state;

	NEEDS_KVM;
	pools_apply(w, "front", "['" PF "']", 1, "created");
	define_on(w, "one", 7, "{'pool': 'front'}");
	pools_refuse_start(
		w, "one", ERR_NUMA_NODE, "the host has no NUMA node 7 with memory",
		"numactl -H, or /sys/devices/system/node/has_memory, shows which it has");
	pools_expect(w, "front", "ready", 1, 0, 1);
}

/* All memory is to be of a node that has less: neither a device nor a process before that is known. */
static void test_node_short(void **state)
{
	static const char definition[] =
		"{'definition': {'name': 'one', 'memory': {'size': '%s', 'node': 1, 'policy': "
		"'strict'%s}, 'boot': {'kernel': '%s'}, 'passthrough': [{'pool': 'front'}]}}";
	static const char hint[] = "numactl -H shows what is free where; memory: {policy: prefer} "
				   "takes memory of other nodes too";
	static const char msg[] = "NUMA node 1 has 300MiB of memory for the VM, which wants 512MiB";
	struct leases_world *w = *state;
	const char *root, *kernel;
	char params[1024];

	NEEDS_KVM;
	pools_apply(w, "front", "['" PF "']", 1, "created");
	root = simhost_root(w->h);
	tempdir_file(root, "sys/devices/system/node/node1/meminfo",
		     "Node 1 MemTotal: 8388608 kB\nNode 1 MemFree: 204800 kB\n"
		     "Node 1 Inactive(file): 102400 kB\n");
	tempdir_file(root,
		     "sys/devices/system/node/node1/hugepages/hugepages-2048kB/free_hugepages",
		     "7\n");
	kernel = harness_file(w->h, "kernel", "not looked at");
	snprintf(params, sizeof(params), definition, "512MiB", "", kernel);
	json_object_put(client_result(w->c, "vm.apply", params));
	client_expect_error(w->c, "vm.start", "{'vm': 'one', 'dry_run': true}", ERR_NUMA_MEMORY,
			    msg, hint);
	pools_refuse_start(w, "one", ERR_NUMA_MEMORY, msg, hint);
	pools_expect(w, "front", "ready", 1, 0, 1);
	snprintf(params, sizeof(params), definition, "64MiB", ", 'hugepages': '2MiB'", kernel);
	json_object_put(client_result(w->c, "vm.apply", params));
	pools_refuse_start(
		w, "one", ERR_NUMA_MEMORY,
		"NUMA node 1 has 14MiB of huge pages for the VM, which wants 64MiB",
		"raise nr_hugepages in "
		"/sys/devices/system/node/node1/hugepages/hugepages-2048kB; memory: {policy: "
		"prefer} takes those of other nodes too");
	pools_expect(w, "front", "ready", 1, 0, 1);
	snprintf(params, sizeof(params), definition, "300MiB", "", kernel);
	json_object_put(client_result(w->c, "vm.apply", params));
	pools_start_vm(w, "one");
	pools_stop_vm(w, "one");
}

static void test_exhausted(void **state)
{
	struct leases_world *w = *state;

	NEEDS_KVM;
	leases_define_passthrough(w, "one",
				  "{'pool': 'front', 'mac': '52:54:00:00:00:01', 'vlan': 100}");
	pools_refuse_start(w, "one", ERR_POOL_NOT_FOUND, "there is no VF pool 'front'",
			   "vmctl sriov pool list shows those that there are; a file of kind: pool "
			   "declares one");
	pools_apply(w, "front", "['" PF "']", 1, "created");
	leases_define_passthrough(w, "two", "{'pool': 'front'}");
	pools_start_vm(w, "one");
	pools_refuse_start(w, "two", ERR_POOL_EXHAUSTED,
			   "VF pool 'front' has no free VF (1 in use)",
			   "vmctl lease list says who has them");
	/* in use: neither more nor fewer nor none */
	client_expect_error(w->c, "pool.apply", pools_params("front", "['" PF "']", 2),
			    ERR_POOL_IN_USE,
			    "PF " PF " has 1 VFs, which cannot become 2 while 0000:10:10.0 belongs "
			    "to VM 'one'",
			    "vmctl stop one gives it back");
	client_expect_error(w->c, "pool.delete", "{'name': 'front'}", ERR_POOL_IN_USE,
			    "VM 'one' has VF 0000:10:10.0 of pool 'front' (in-use)",
			    "vmctl stop one gives it back");
	pools_expect(w, "front", "ready", 1, 1, 0);
	pools_stop_vm(w, "one");
	pools_start_vm(w, "two");
	pools_stop_vm(w, "two");
}

static void test_nvme(void **state)
{
	struct leases_world *w = *state;
	AUTO_JSON struct json_object *vf = NULL, *after = NULL;

	NEEDS_KVM;
	json_object_put(client_result(w->c, "pool.apply",
				      "{'pool': {'kind': 'pool', 'name': 'disks', 'class': 'nvme',"
				      " 'vfs': 2, 'pfs': ['" NVME_PF "'], 'queues': 3,"
				      " 'interrupts': 4}}"));
	leases_define_passthrough(w, "one", "{'pool': 'disks'}");
	pools_start_vm(w, "one");
	vf = simhost_step(w->h, "{'op':'nvme-get','pf':'" NVME_PF "','vf':0}");
	assert_true(json_get_bool(vf, "online", false));
	assert_int_equal(json_get_int(vf, "queues", 0), 3);
	assert_int_equal(json_get_int(vf, "interrupts", 0), 4);
	pools_stop_vm(w, "one");
	after = simhost_step(w->h, "{'op':'nvme-get','pf':'" NVME_PF "','vf':0}");
	assert_false(json_get_bool(after, "online", true));
}

static void test_pf_down(void **state)
{
	struct leases_world *w = *state;

	NEEDS_KVM;
	pools_apply(w, "front", "['" PF "']", 2, "created");
	leases_define_passthrough(w, "one", "{'pool': 'front'}");
	json_object_put(simhost_step(w->h, "{'op':'link-down','pf':'" PF "'}"));
	pools_refuse_start(w, "one", ERR_POOL_DOWN, "PF ens1 (" PF ") of VF pool 'front' is down",
			   "ip link set ens1 up");
	json_object_put(simhost_step(w->h, "{'op':'link-up','pf':'" PF "'}"));
	pools_start_vm(w, "one");
	pools_stop_vm(w, "one");
}

/* --- what fails --------------------------------------------------------------------------------------- */

static void test_shortfall(void **state)
{
	struct leases_world *w = *state;
	AUTO_JSON struct json_object *e = NULL, *pool = NULL;
	struct json_object *cause;

	NEEDS_KVM;
	simhost_faults(w->h, "[{'op':'vfs','pci':'" PF "','count':3}]");
	e = client_error(w->c, "pool.apply", pools_params("front", "['" PF "']", 5));
	assert_int_equal(json_get_int(e, "code", 0), ERR_HOST_VFS);
	assert_string_equal(json_get_str(e, "message", ""),
			    "cannot make 5 VFs on " PF ", drivers for them off");
	cause = json_object_array_get_idx(json_get(json_get(e, "data"), "cause"), 0);
	assert_string_equal(json_object_get_string(cause), PF " made 3 of 5 VFs");
	pool = client_result(w->c, "pool.get", "{'name': 'front'}");
	assert_string_equal(json_get_str(pool, "message", ""),
			    "cannot make 5 VFs on " PF ", drivers for them off: " PF
			    " made 3 of 5 VFs");
	pools_expect(w, "front", "failed", 0, 0, 0);
	pools_expect_pf(w, PF, 0, "down"); /* as it was */
	leases_define_passthrough(w, "one", "{'pool': 'front'}");
	pools_refuse_start(w, "one", ERR_POOL_UNREADY,
			   "VF pool 'front' has no VFs yet: PF " PF " has none of 5",
			   "vmctl sriov pool show front says why");
	simhost_faults(w->h, "");
	pools_apply(w, "front", "['" PF "']", 5, "unchanged");
	pools_expect(w, "front", "ready", 5, 0, 5);
}

/* Which property of which VF, and the host as it was before. */
static void test_property_rejected(void **state)
{
	struct leases_world *w = *state;

	NEEDS_KVM;
	pools_apply(w, "front", "['" PF "']", 2, "created");
	leases_define_passthrough(w, "one",
				  "{'pool': 'front', 'mac': '52:54:00:00:00:01', 'vlan': 100}");
	simhost_faults(w->h, "[{'op':'vf-set','at':'vlan','error':'EOPNOTSUPP','times':1}]");
	leases_expect_error(w, "vm.start", "{'vm': 'one'}", ERR_HOST_VF,
			    "VM 'one' does not get device 0000:10:10.0");
	pools_expect(w, "front", "ready", 2, 0, 2);
	simhost_faults(w->h, "");
	pools_start_vm(w, "one");
	pools_stop_vm(w, "one");
}

static void test_mac_in_use(void **state)
{
	struct leases_world *w = *state;

	NEEDS_KVM;
	pools_apply(w, "front", "[{'driver': 'igb'}]", 2, "created");
	leases_define_passthrough(w, "one", "{'pool': 'front', 'mac': '52:54:00:00:00:01'}");
	leases_define_passthrough(w, "two", "{'pool': 'front', 'mac': '52:54:00:00:00:01'}");
	pools_start_vm(w, "one");
	pools_refuse_start(
		w, "two", ERR_LEASE_MAC,
		"MAC address 52:54:00:00:00:01 is that of 0000:10:10.0, which VM 'one' has",
		"give one of the two VMs another; vmctl stop one frees it");
	pools_stop_vm(w, "one");
	json_object_put(simhost_step(w->h, "{'op':'vf-set','pf':'" FAR
					   "','vf':1,'set':{'mac':'52:54:00:00:00:01'}}"));
	pools_refuse_start(
		w, "two", ERR_LEASE_MAC, "MAC address 52:54:00:00:00:01 is that of VF 0000:20:10.1",
		"give the VM another; if it was left behind there: ip link set ens2 vf 1 mac "
		"00:00:00:00:00:00");
	pools_expect(w, "front", "ready", 4, 0, 4);
}

/* --- vmd and the host begin anew ------------------------------------------------------------------------ */

static void test_reboot(void **state)
{
	struct leases_world *w = *state;

	NEEDS_KVM;
	pools_apply(w, "front", "['" PF "']", 4, "created");
	json_object_put(client_result(w->c, "sriov.pf.set", "{'pci': '" FAR "', 'vfs': 3}"));
	leases_end_vmd(w, SIGTERM);
	leases_begin_vmd(w, "ok", SCENE_LONG);
	leases_wait_idle(w);
	pools_expect(w, "front", "ready", 4, 0, 4);
	pools_expect_pf(w, FAR, 3, "up");
	leases_end_vmd(w, SIGKILL);
	simhost_reboot(w->h);
	leases_begin_vmd(w, "ok", SCENE_LONG);
	leases_wait_idle(w);
	pools_expect(w, "front", "ready", 4, 0, 4);
	pools_expect_pf(w, FAR, 0, "down"); /* set by hand, until the boot */
	json_object_put(client_result(w->c, "pool.delete", "{'name': 'front'}"));
	pools_expect_pf(w, PF, 0, "down");
}

/* vmd is killed while a helper makes the VFs; the next one goes on with the job. */
static void test_killed_in_the_middle(void **state)
{
	static const char *const ops[] = { "link-up", "vfs" };
	struct leases_world *w = *state;

	NEEDS_KVM;
	for (size_t i = 0; i < ARRAY_SIZE(ops); i++) {
		AUTO_JSON struct json_object *progress = NULL;
		char fault[128];

		snprintf(fault, sizeof(fault), "[{'op':'%s','hang':true,'times':1}]", ops[i]);
		simhost_faults(w->h, fault);
		client_ask(w->c, "pool.apply", pools_params("front", "['" PF "']", 4));
		/* answered by another round trip: the change is written by then or not, both are right */
		json_object_put(client_result(w->c, "daemon.ping", NULL));
		leases_end_vmd(w, SIGKILL);
		simhost_faults(w->h, "");
		leases_begin_vmd(w, "ok", SCENE_LONG);
		progress = client_result(w->c, "pool.list", NULL);
		if (json_object_array_length(json_get(progress, "pools"))) {
			leases_wait_idle(w);
			pools_expect(w, "front", "ready", 4, 0, 4);
			json_object_put(client_result(w->c, "pool.delete", "{'name': 'front'}"));
		}
		pools_expect_pf(w, PF, 0, "down");
	}
}

#define POOL_TEST(t) cmocka_unit_test_setup_teardown(t, setup, leases_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		POOL_TEST(test_declare_and_delete),
		cmocka_unit_test_setup_teardown(test_many, setup_many, leases_teardown),
		POOL_TEST(test_refused),
		POOL_TEST(test_choice),
		POOL_TEST(test_memory_node),
		POOL_TEST(test_no_such_node),
		POOL_TEST(test_node_short),
		POOL_TEST(test_exhausted),
		POOL_TEST(test_nvme),
		POOL_TEST(test_pf_down),
		POOL_TEST(test_shortfall),
		POOL_TEST(test_property_rejected),
		POOL_TEST(test_mac_in_use),
		POOL_TEST(test_reboot),
		POOL_TEST(test_killed_in_the_middle),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
