// SPDX-License-Identifier: MIT
/* hostio: the steps, on a simulated host with its faults. The real kernel's part is tested in the lab. */
#include "tests/lib/test.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "hostio/sim.h"
#include "hostio/step.h"
#include "lib/auto.h"
#include "lib/errcat.h"
#include "tests/lib/tempdir.h"

#define PF "0000:10:00.0"
#define VF3 "0000:10:10.3"
#define NVME "0000:90:00.0"

struct host {
	char *dir; /* owned */
	char root[256];
	struct kernel k;
};

static int setup(void **state)
{
	static const struct sim_host made = { .pfs = 2, .vfs = 8, .nvmes = 1, .iommu = true };
	struct host *h = calloc(1, sizeof(*h));
	struct err e = { 0 };

	h->dir = tempdir_new();
	snprintf(h->root, sizeof(h->root), "%s/host", h->dir);
	assert_int_equal(sim_make(h->root, &made, &e), 0);
	assert_int_equal(sim_init(&h->k, h->root, &e), 0);
	*state = h;
	return 0;
}

static int teardown(void **state)
{
	struct host *h = *state;

	hostfs_fini(&h->k.fs);
	tempdir_remove(h->dir);
	free(h);
	return 0;
}

/* JSON with ' for ". Owned. */
static struct json_object *parse(const char *text)
{
	char json[1024];
	struct json_object *o = NULL;
	struct err e = { 0 };

	snprintf(json, sizeof(json), "%s", text);
	for (char *p = json; *p; p++)
		*p = *p == '\'' ? '"' : *p;
	if (json_parse(json, strlen(json), &o, &e) < 0)
		fail_msg("%s: %s", json, e.msg);
	return o;
}

static int run(struct host *h, const char *text, char *result, size_t size, struct err *e)
{
	AUTO_JSON struct json_object *step = parse(text);
	AUTO_JSON struct json_object *o = NULL;
	int ret = step_run(&h->k, step, &o, e);

	if (result)
		snprintf(result, size, "%s",
			 o ? json_object_to_json_string_ext(o, JSON_C_TO_STRING_NOSLASHESCAPE)
			   : "");
	return ret;
}

/* It works; result ("" for none) with ' for ". */
static void ok(struct host *h, const char *step, const char *result)
{
	char text[1024];
	struct err e = { 0 };

	if (run(h, step, text, sizeof(text), &e) < 0)
		fail_msg("%s: %s", step, e.msg);
	for (char *p = text; *p; p++)
		*p = *p == '"' ? '\'' : *p;
	assert_string_equal(text, result);
}

static void refused_with_hint(struct host *h, const char *step, int code, const char *message,
			      const char *hint)
{
	struct err e = { 0 };

	assert_int_equal(run(h, step, NULL, 0, &e), -code);
	assert_string_equal(e.msg, message);
	assert_int_equal(e.code, code);
	if (hint)
		assert_string_equal(e.hint, hint);
}

static void refused(struct host *h, const char *step, int code, const char *message)
{
	refused_with_hint(h, step, code, message, NULL);
}

static void faults(struct host *h, const char *text)
{
	AUTO_JSON struct json_object *o = parse(text);

	assert_int_equal(sim_json_write(&h->k, "sim/faults.json", o, NULL), 0);
}

static void is(struct host *h, const char *path, const char *text)
{
	char have[256];
	struct err e = { 0 };

	if (hostfs_read(&h->k.fs, path, have, sizeof(have), &e) < 0)
		fail_msg("%s", e.msg);
	assert_string_equal(have, text);
}

static void driver_is(struct host *h, const char *pci, const char *driver)
{
	char have[STEP_NAME];

	step_driver_name(&h->k, pci, have);
	assert_string_equal(have, driver);
}

static void make_vfs(struct host *h)
{
	ok(h, "{'op':'vfs','pf':'" PF "','count':8,'autoprobe':false}", "{'count':8}");
}

static void test_driver(void **state)
{
	struct host *h = *state;

	make_vfs(h);
	driver_is(h, VF3, "");
	for (int i = 0; i < 2; i++) { /* twice is once */
		ok(h, "{'op':'driver','pci':'" VF3 "','driver':'vfio-pci'}", "");
		driver_is(h, VF3, "vfio-pci");
		is(h, "sys/bus/pci/devices/" VF3 "/driver_override", "vfio-pci");
	}
	/* autoprobe is off: its own driver takes it all the same, and no override stays */
	for (int i = 0; i < 2; i++) {
		ok(h, "{'op':'driver','pci':'" VF3 "','driver':'igbvf','override':false}", "");
		driver_is(h, VF3, "igbvf");
		is(h, "sys/bus/pci/devices/" VF3 "/driver_override", "(null)");
	}
	for (int i = 0; i < 2; i++) {
		ok(h, "{'op':'driver','pci':'" VF3 "','driver':'','override':false}", "");
		driver_is(h, VF3, "");
	}
}

static void test_driver_refused(void **state)
{
	struct host *h = *state;

	make_vfs(h);
	refused(h, "{'op':'driver','pci':'" VF3 "','driver':'mlx5_core'}", ERR_HOST_DRIVER,
		"the host has no PCI driver 'mlx5_core': its module is not loaded");
	refused(h, "{'op':'driver','pci':'" VF3 "','driver':'../x'}", EINVAL,
		"'../x' is no name of a driver");
	/* the device's driver is looked at only after it is known that the new one is there */
	ok(h, "{'op':'driver','pci':'" VF3 "','driver':'igbvf','override':false}", "");
	refused(h, "{'op':'driver','pci':'" VF3 "','driver':'none'}", ERR_HOST_DRIVER,
		"the host has no PCI driver 'none': its module is not loaded");
	driver_is(h, VF3, "igbvf");
	/* a driver that does not know the device: no override is left */
	refused(h, "{'op':'driver','pci':'" VF3 "','driver':'nvme','override':false}",
		ERR_HOST_DRIVER, "driver nvme did not take " VF3 ": it has none now");
	is(h, "sys/bus/pci/devices/" VF3 "/driver_override", "(null)");
	refused(h, "{'op':'driver','pci':'0000:aa:00.0','driver':'nvme'}", ERR_HOST_GONE,
		"the host has no PCI device 0000:aa:00.0");
}

static void test_driver_faults(void **state)
{
	struct host *h = *state;

	make_vfs(h);
	ok(h, "{'op':'driver','pci':'" VF3 "','driver':'igbvf','override':false}", "");
	faults(h, "[{'op':'driver','at':'unbind','error':'EBUSY'}]");
	refused(h, "{'op':'driver','pci':'" VF3 "','driver':'vfio-pci'}", ERR_HOST_WRITE,
		"cannot write '" VF3 "' to '/sys/bus/pci/devices/" VF3
		"/driver/unbind': Device or resource busy");
	driver_is(h, VF3, "igbvf");
	is(h, "sys/bus/pci/devices/" VF3 "/driver_override", "(null)");
	/* the kernel says yes, and nothing is bound */
	faults(h, "[{'op':'driver','at':'drivers_probe','ignore':true}]");
	refused(h, "{'op':'driver','pci':'" VF3 "','driver':'vfio-pci'}", ERR_HOST_DRIVER,
		"driver vfio-pci did not take " VF3 ": it has none now");
	is(h, "sys/bus/pci/devices/" VF3 "/driver_override", "(null)");
	faults(h, "[{'op':'driver','at':'drivers_probe','vanish':true}]");
	refused(h, "{'op':'driver','pci':'" VF3 "','driver':'vfio-pci'}", ERR_HOST_DRIVER,
		"driver vfio-pci did not take " VF3 ": it has none now");
	faults(h, "[{'op':'driver','at':'driver_override','error':'EACCES','pci':'0000:10:10.2'}]");
	refused(h, "{'op':'driver','pci':'0000:10:10.2','driver':'vfio-pci'}", ERR_DENIED,
		"cannot write 'vfio-pci' to '/sys/bus/pci/devices/0000:10:10.2/driver_override': "
		"Permission denied");
}

static void test_reset(void **state)
{
	struct host *h = *state;

	make_vfs(h);
	/* a VF's vendor reads ffff: that is no broken device */
	ok(h, "{'op':'reset','pci':'" VF3 "'}", "");
	refused(h, "{'op':'reset','pci':'0000:e1:01.0'}", ERR_HOST_RESET,
		"0000:e1:01.0 cannot be reset: the kernel knows no method for it");
	faults(h, "[{'op':'reset','error':'ENOTTY','times':1},{'op':'reset','broken':true}]");
	refused(h, "{'op':'reset','pci':'" VF3 "'}", ERR_HOST_RESET,
		"the reset of " VF3 " failed (methods: flr)");
	refused(h, "{'op':'reset','pci':'" VF3 "'}", ERR_HOST_RESET,
		VF3 " does not answer after its reset: configuration space reads ffffffff");
	refused(h, "{'op':'clean','pci':'" VF3 "','driver':''}", ERR_HOST_UNCLEAN,
		VF3 " is not clean: configuration space does not answer");
}

static void test_vfs(void **state)
{
	struct host *h = *state;

	make_vfs(h);
	make_vfs(h);
	is(h, "sys/bus/pci/devices/" PF "/sriov_numvfs", "8");
	is(h, "sys/bus/pci/devices/" PF "/sriov_drivers_autoprobe", "0");
	refused(h, "{'op':'vfs','pf':'" PF "','count':5}", ERR_HOST_VFS,
		PF " has 8 VFs: the kernel makes 5 only after all of them are removed");
	ok(h, "{'op':'vfs','pf':'" PF "','count':0}", "{'count':0}");
	assert_false(sim_exists(&h->k, "sys/bus/pci/devices/" VF3));
	/* their drivers take them at once, where they may */
	ok(h, "{'op':'vfs','pf':'" PF "','count':4,'autoprobe':true}", "{'count':4}");
	driver_is(h, VF3, "igbvf");
	ok(h, "{'op':'vfs','pf':'" PF "','count':0}", "{'count':0}");
	refused(h, "{'op':'vfs','pf':'" PF "','count':9}", ERR_HOST_VFS,
		PF " can have 8 VFs, not 9");
	refused(h, "{'op':'vfs','pf':'0000:00:19.0','count':9}", ERR_HOST_VFS,
		"0000:00:19.0 is no SR-IOV physical function");
	faults(h, "[{'op':'vfs','at':'sriov_numvfs','error':'ENOMEM'}]");
	refused(h, "{'op':'vfs','pf':'" PF "','count':8}", ERR_HOST_VFS,
		"igb of " PF " did not make its VFs");
}

static void test_vfs_short(void **state)
{
	struct host *h = *state;

	faults(h, "[{'op':'vfs','count':5}]");
	refused(h, "{'op':'vfs','pf':'" PF "','count':8}", ERR_HOST_VFS, PF " made 5 of 8 VFs");
}

static void test_vf_set(void **state)
{
	static const char set[] =
		"{'op':'vf-set','pf':'" PF "','vf':3,'set':{'mac':'52:54:00:12:34:56',"
		"'vlan':100,'trust':true,'max_tx_rate':100}}";
	struct host *h = *state;

	make_vfs(h);
	/* busy for a moment: tried again */
	faults(h, "[{'op':'vf-set','at':'mac','error':'EBUSY','times':3},"
		  "{'op':'vf-set','at':'vlan','error':'EAGAIN','times':2}]");
	ok(h, set, "");
	ok(h, "{'op':'vf-get','pf':'" PF "','vf':3}",
	   "{'mac':'52:54:00:12:34:56','vlan':100,'qos':0,'spoofchk':true,'trust':true,"
	   "'min_tx_rate':0,'max_tx_rate':100,'link_state':'auto'}");
	ok(h, "{'op':'vf-macs','pf':'" PF "'}",
	   "{'macs':['','','','52:54:00:12:34:56','','','','']}");
	/* what is so already is not touched */
	faults(h, "[{'op':'vf-set','at':'mac','error':'EIO'},{'op':'vf-set','at':'vlan','error':'"
		  "EIO'}]");
	ok(h, set, "");
	faults(h, "[{'op':'vf-set','at':'spoofchk','error':'EOPNOTSUPP'}]");
	refused(h, "{'op':'vf-set','pf':'" PF "','vf':3,'set':{'spoofchk':false}}", ERR_HOST_VF,
		"driver igb refuses spoofchk off for VF 3 of " PF
		" (ens1): Operation not supported");
	/* yes, and nothing done */
	faults(h, "[{'op':'vf-set','at':'mac','ignore':true}]");
	refused(h, "{'op':'vf-set','pf':'" PF "','vf':3,'set':{'mac':'52:54:00:00:00:01'}}",
		ERR_HOST_VF,
		"VF 3 of " PF
		" (ens1) has MAC 52:54:00:12:34:56 after MAC 52:54:00:00:00:01 was set "
		"without an error");
	refused(h, "{'op':'vf-set','pf':'" PF "','vf':3,'set':{'mac':'01:00:5e:00:00:01'}}",
		ERR_HOST_VF,
		"VF 3 of " PF
		" (ens1) has MAC 52:54:00:12:34:56 after MAC 01:00:5e:00:00:01 was set "
		"without an error");
	faults(h, "[]");
	refused(h, "{'op':'vf-set','pf':'" PF "','vf':3,'set':{'mac':'01:00:5e:00:00:01'}}",
		ERR_HOST_VF,
		"driver igb refuses MAC 01:00:5e:00:00:01 for VF 3 of " PF
		" (ens1): Invalid argument");
	refused(h, "{'op':'vf-set','pf':'" PF "','vf':3,'set':{'vlan':4095}}", EINVAL,
		"'vlan' must be a number from 0 to 4094");
	refused(h, "{'op':'vf-set','pf':'" PF "','vf':8,'set':{'vlan':1}}", ERR_HOST_GONE,
		"ens1 (" PF ") has no VF 8");
}

/* Busy for as long as it is tried: an error that says so, in bounded time. */
static void test_vf_busy(void **state)
{
	struct host *h = *state;
	int64_t began = step_now_ms();

	make_vfs(h);
	faults(h, "[{'op':'vf-set','at':'mac','error':'EBUSY'}]");
	refused(h, "{'op':'vf-set','pf':'" PF "','vf':3,'set':{'mac':'52:54:00:12:34:56'}}",
		ERR_HOST_VF,
		"driver igb refuses MAC 52:54:00:12:34:56 for VF 3 of " PF
		" (ens1): Device or resource "
		"busy");
	assert_true(step_now_ms() - began >= 1000);
}

/* igb, just after its PF is up: no rate before there is a link. */
static void test_rate_waits_for_the_link(void **state)
{
	static const char set[] = "{'op':'vf-set','pf':'" PF "','vf':3,'set':{'max_tx_rate':100}}";
	struct host *h = *state;

	make_vfs(h);
	faults(h, "[{'op':'vf-set','at':'max_tx_rate','error':'EINVAL','times':3}]");
	ok(h, set, "");
	/* without an end, and with a cable: not waited for */
	faults(h, "[{'op':'vf-set','at':'max_tx_rate','error':'EINVAL'}]");
	refused_with_hint(
		h, "{'op':'vf-set','pf':'" PF "','vf':4,'set':{'max_tx_rate':100}}", ERR_HOST_VF,
		"driver igb refuses transmit rate 0 to 100 Mbit/s for VF 4 of " PF
		" (ens1): Invalid argument",
		"ens1 has no link, and a rate is a share of its speed: plug in the cable, or leave "
		"'max_tx_rate' out");
	ok(h, "{'op':'link-up','pf':'" PF "'}", "{'was':'down'}");
	refused_with_hint(h, "{'op':'vf-set','pf':'" PF "','vf':4,'set':{'max_tx_rate':100}}",
			  ERR_HOST_VF,
			  "driver igb refuses transmit rate 0 to 100 Mbit/s for VF 4 of " PF
			  " (ens1): Invalid argument",
			  "dmesg | grep " PF);
}

static void test_link(void **state)
{
	struct host *h = *state;

	ok(h, "{'op':'link-up','pf':'" PF "'}", "{'was':'down'}");
	ok(h, "{'op':'link-up','pf':'" PF "'}", "{'was':'up'}");
	is(h, "sys/class/net/ens1/operstate", "up");
	ok(h, "{'op':'link-down','pf':'" PF "'}", "{'was':'up'}");
	refused(h, "{'op':'link-up','pf':'" NVME "'}", ERR_HOST_WRITE,
		NVME " has no network interface, by which its VFs would be set up");
}

static void test_nvme(void **state)
{
	struct host *h = *state;

	ok(h, "{'op':'vfs','pf':'" NVME "','count':4,'autoprobe':false}", "{'count':4}");
	/* dead until it has queues and interrupts and is online */
	refused(h, "{'op':'driver','pci':'0000:90:00.2','driver':'nvme','override':false}",
		ERR_HOST_DRIVER, "driver nvme did not take 0000:90:00.2: it has none now");
	ok(h, "{'op':'nvme-get','pf':'" NVME "','vf':1}",
	   "{'queues':0,'interrupts':0,'online':false}");
	for (int i = 0; i < 2; i++)
		ok(h,
		   "{'op':'nvme-vf','pf':'" NVME
		   "','vf':1,'queues':2,'interrupts':2,'online':true}",
		   "");
	ok(h, "{'op':'nvme-get','pf':'" NVME "','vf':1}",
	   "{'queues':2,'interrupts':2,'online':true}");
	ok(h, "{'op':'driver','pci':'0000:90:00.2','driver':'nvme','override':false}", "");
	/* given back */
	ok(h, "{'op':'driver','pci':'0000:90:00.2','driver':'','override':false}", "");
	ok(h, "{'op':'nvme-vf','pf':'" NVME "','vf':1,'queues':0,'interrupts':0,'online':false}",
	   "");
	ok(h, "{'op':'nvme-get','pf':'" NVME "','vf':1}",
	   "{'queues':0,'interrupts':0,'online':false}");
	refused(h,
		"{'op':'nvme-vf','pf':'" NVME "','vf':1,'queues':0,'interrupts':0,'online':true}",
		ERR_HOST_VF, "nvme0 (" NVME ") does not set controller 2 online: NVMe status 1.20");
	refused(h, "{'op':'nvme-get','pf':'" NVME "','vf':4}", ERR_HOST_GONE,
		"nvme0 (" NVME ") has no VF 4");
	refused(h, "{'op':'nvme-get','pf':'" PF "','vf':4}", ERR_HOST_VF,
		PF " is no NVMe controller that the host drives (driver: igb)");
}

static void test_clean(void **state)
{
	struct host *h = *state;

	make_vfs(h);
	ok(h, "{'op':'clean','pci':'" VF3 "','driver':''}", "");
	ok(h, "{'op':'vf-set','pf':'" PF "','vf':3,'set':{'vlan':7,'trust':true}}", "");
	ok(h, "{'op':'driver','pci':'" VF3 "','driver':'vfio-pci'}", "");
	refused(h,
		"{'op':'clean','pci':'" VF3 "','driver':'','pf':'" PF
		"','vf':3,'set':{'vlan':0,'trust':false,'spoofchk':true}}",
		ERR_HOST_UNCLEAN,
		VF3 " is not clean: driver vfio-pci instead of none, driver_override vfio-pci "
		    "instead of "
		    "none, VLAN 7, QoS 0 instead of VLAN 0, QoS 0, trust on instead of trust off");
}

static void test_holders(void **state)
{
	struct host *h = *state;
	char path[512], group[STEP_NAME], want[256], to[64];

	make_vfs(h);
	ok(h, "{'op':'driver','pci':'" VF3 "','driver':'vfio-pci'}", "");
	ok(h, "{'op':'holders','pci':'" VF3 "'}", "{'holders':[]}");
	step_link_name(&h->k, VF3, "iommu_group", group);
	sim_put(&h->k, "proc/4711/comm", NULL, "vmm\n");
	sim_put(&h->k, "proc/4711/fd/x", NULL, "%s", "");
	snprintf(path, sizeof(path), "%s/proc/4711/fd/9", h->root);
	snprintf(to, sizeof(to), "/dev/vfio/%.16s", group);
	assert_int_equal(symlink(to, path), 0);
	snprintf(want, sizeof(want), "{'holders':[{'pid':4711,'comm':'vmm','path':'%s'}]}", to);
	ok(h, "{'op':'holders','pci':'" VF3 "'}", want);
	/* another's group */
	ok(h, "{'op':'holders','pci':'0000:10:10.2'}", "{'holders':[]}");
}

static void test_bad_steps(void **state)
{
	struct host *h = *state;

	refused(h, "{'op':'boil','pci':'" PF "'}", EINVAL, "there is no step 'boil'");
	refused(h, "{'pci':'" PF "'}", EINVAL,
		"a step '' needs a string 'op' of less than 64 bytes");
	refused(h, "{'op':'reset'}", EINVAL,
		"a step 'reset' needs a string 'pci' of less than 64 bytes");
	refused(h, "{'op':'vfs','pf':'" PF "'}", EINVAL,
		"a step 'vfs' needs a number 'count' from 0 to 65535");
	refused(h, "{'op':'vfs','pf':'" PF "','count':-1}", EINVAL,
		"a step 'vfs' needs a number 'count' from 0 to 65535");
	refused(h, "{'op':'vf-set','pf':'" PF "','vf':1,'set':{'mac':'52:54:0:0:0:1'}}",
		ERR_HOST_GONE, "ens1 (" PF ") has no VF 1");
	make_vfs(h);
	refused(h, "{'op':'vf-set','pf':'" PF "','vf':1,'set':{'mac':'52:54:0:0:0:1'}}", EINVAL,
		"'mac' must be a MAC address, not '52:54:0:0:0:1'");
	refused(h, "{'op':'vf-set','pf':'" PF "','vf':1,'set':{'colour':1}}", EINVAL,
		"a VF has no 'colour'");
	refused(h, "{'op':'vf-set','pf':'" PF "','vf':1,'set':{'trust':1}}", EINVAL,
		"'trust' must be true or false");
}

/* A start of the machine: all is as it was at first, but the boot id; with another card buses move. */
static void test_reboot(void **state)
{
	struct host *h = *state;
	char before[64], after[64];
	struct err e = { 0 };

	make_vfs(h);
	ok(h, "{'op':'driver','pci':'" VF3 "','driver':'vfio-pci'}", "");
	hostfs_read(&h->k.fs, "proc/sys/kernel/random/boot_id", before, sizeof(before), &e);
	assert_int_equal(sim_reboot(h->root, false, &e), 0);
	hostfs_read(&h->k.fs, "proc/sys/kernel/random/boot_id", after, sizeof(after), &e);
	assert_string_not_equal(before, after);
	assert_false(sim_exists(&h->k, "sys/bus/pci/devices/" VF3));
	is(h, "sys/bus/pci/devices/" PF "/sriov_numvfs", "0");
	is(h, "sys/bus/pci/devices/" PF "/net/ens1/address", "00:1b:21:00:00:01");
	assert_int_equal(sim_reboot(h->root, true, &e), 0);
	is(h, "sys/bus/pci/devices/" PF "/net/ens99/address", "00:1b:21:00:00:63");
	is(h, "sys/bus/pci/devices/0000:20:00.0/net/ens1/address", "00:1b:21:00:00:01");
	make_vfs(h);
	assert_int_equal(sim_make(h->root, &(struct sim_host){ .pfs = 1 }, &e), -EEXIST);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_driver, setup, teardown),
		cmocka_unit_test_setup_teardown(test_driver_refused, setup, teardown),
		cmocka_unit_test_setup_teardown(test_driver_faults, setup, teardown),
		cmocka_unit_test_setup_teardown(test_reset, setup, teardown),
		cmocka_unit_test_setup_teardown(test_vfs, setup, teardown),
		cmocka_unit_test_setup_teardown(test_vfs_short, setup, teardown),
		cmocka_unit_test_setup_teardown(test_vf_set, setup, teardown),
		cmocka_unit_test_setup_teardown(test_vf_busy, setup, teardown),
		cmocka_unit_test_setup_teardown(test_rate_waits_for_the_link, setup, teardown),
		cmocka_unit_test_setup_teardown(test_link, setup, teardown),
		cmocka_unit_test_setup_teardown(test_nvme, setup, teardown),
		cmocka_unit_test_setup_teardown(test_clean, setup, teardown),
		cmocka_unit_test_setup_teardown(test_holders, setup, teardown),
		cmocka_unit_test_setup_teardown(test_bad_steps, setup, teardown),
		cmocka_unit_test_setup_teardown(test_reboot, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
