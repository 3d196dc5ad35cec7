// SPDX-License-Identifier: MIT
/* vmd/lease_reserve.c: who gets a device, and what the other one is told; nothing is written for who gets less than all. */
#include "tests/lib/test.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/auto.h"
#include "lib/errcat.h"
#include "tests/lib/tempdir.h"
#include "vmd/lease_priv.h"

#define RACES 1000
#define FUNCTIONS 4 /* 0000:3b:00.0 to .3; .2 and .3 share a group */

struct fixture {
	char *dir;
	struct daemon d;
	struct leases set;
	struct pci_function functions[FUNCTIONS];
	struct state_vm vms[2];
};

static int setup(void **state)
{
	static const struct state_actor actor = { .program = "vmctl" };
	struct fixture *f = calloc(1, sizeof(*f));
	struct err e = { 0 };

	f->dir = tempdir_new();
	if (state_open(f->dir, &f->d.state, &e) < 0)
		return -1;
	strcpy(f->d.boot_id, "boot");
	f->set.d = &f->d;
	for (uint8_t i = 0; i < FUNCTIONS; i++) {
		f->functions[i] = (struct pci_function){ .addr = { .bus = 0x3b, .fn = i },
							 .id = { .vendor = 0x8086, .vf_index = -1 },
							 .iommu_group = MIN(i, 2),
							 .parent = { .domain = UINT32_MAX } };
	}
	for (int i = 0; i < 2; i++) {
		state_uuid(f->vms[i].id);
		strcpy(f->vms[i].name, i ? "two" : "one");
		strcpy(f->vms[i].profile, "modern");
		if (state_vm_insert(f->d.state, &f->vms[i], "{}", "{}", &actor, &e) < 0)
			return -1;
	}
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	state_close(f->d.state);
	tempdir_remove(f->dir);
	free(f);
	return 0;
}

/* VM `vm` wants these devices: JSON with ' for ". */
static int reserve(struct fixture *f, int vm, const char *devices, bool dry, struct err *e)
{
	struct lease_take t = { .set = &f->set,
				.dry = dry,
				.inventory = { f->functions, FUNCTIONS } };
	AUTO_JSON struct json_object *config = NULL;
	char text[512];
	int ret;

	memcpy(t.vm, f->vms[vm].id, sizeof(t.vm));
	memcpy(t.name, f->vms[vm].name, sizeof(t.name));
	snprintf(text, sizeof(text), "{'devices': [%s]}", devices);
	for (char *p = text; *p; p++)
		*p = *p == '\'' ? '"' : *p;
	assert_int_equal(json_parse(text, strlen(text), &config, e), 0);
	assert_int_equal(lease_wants_init(&t.wants, config, e), 0);
	ret = lease_reserve(&t, e);
	lease_wants_fini(&t.wants);
	return ret;
}

#define DEVICE(fn) "{'type':'vfio-pci','id':'pci" #fn "','pci':'0000:3b:00." #fn "'}"

static int take_generation(void *arg, const struct state_lease *lease)
{
	*(int64_t *)arg = lease->generation;
	return 0;
}

/* The generation of the one lease that there is; 0: none. */
static int64_t the_lease(struct fixture *f)
{
	int64_t generation = 0;
	struct err e;

	assert_int_equal(state_lease_list(f->d.state, NULL, take_generation, &generation, &e), 0);
	return generation;
}

static void expect_refused(struct fixture *f, int vm, const char *devices, int code,
			   const char *message, const char *hint)
{
	struct err e = { 0 };
	char *at;

	assert_int_equal(reserve(f, vm, devices, false, &e), -code);
	at = strstr(e.msg, " since 2"); /* a time */
	if (at && strstr(message, " since TIME"))
		memmove(at + strlen(" since TIME"), at + strlen(" since 2026-01-01T00:00:00.000Z"),
			strlen(at + strlen(" since 2026-01-01T00:00:00.000Z")) + 1);
	if (at && strstr(message, " since TIME"))
		memcpy(at, " since TIME", strlen(" since TIME"));
	assert_string_equal(e.msg, message);
	assert_string_equal(e.hint, hint);
}

/* Whoever comes first has it, and only once. */
static void test_race(void **state)
{
	struct fixture *f = *state;
	struct err e;

	for (int i = 0; i < RACES; i++) {
		int first = i & 1;
		char message[128], hint[64];
		int64_t generation;

		assert_int_equal(reserve(f, first, DEVICE(0), false, &e), 0);
		snprintf(message, sizeof(message),
			 "device 0000:3b:00.0 belongs to VM '%s' since TIME (reserved)",
			 f->vms[first].name);
		snprintf(hint, sizeof(hint), "vmctl stop %s gives it back", f->vms[first].name);
		expect_refused(f, !first, DEVICE(0), ERR_LEASE_TAKEN, message, hint);
		generation = the_lease(f);
		assert_int_equal(generation, i + 1);
		assert_int_equal(state_lease_delete(f->d.state, generation, &e), 0);
	}
}

/* All or nothing, and of a dry run nothing. */
static void test_all_or_nothing(void **state)
{
	struct fixture *f = *state;
	struct err e;

	expect_refused(
		f, 0, DEVICE(0) "," DEVICE(7), ERR_PCI_NOT_FOUND,
		"the host has no PCI device 0000:3b:00.7",
		"vmctl pci list shows what there is; addresses change when cards are added or "
		"moved");
	assert_int_equal(the_lease(f), 0);
	assert_int_equal(reserve(f, 0, DEVICE(0), true, &e), 0);
	assert_int_equal(the_lease(f), 0);
	expect_refused(f, 0, DEVICE(0) "," DEVICE(0), ERR_LEASE_TAKEN,
		       "VM 'one' names device 0000:3b:00.0 twice", "");
	assert_int_equal(the_lease(f), 0);
}

/* The devices of a group belong to one VM. */
static void test_group(void **state)
{
	struct fixture *f = *state;
	struct err e;

	assert_int_equal(reserve(f, 0, DEVICE(2), false, &e), 0);
	expect_refused(f, 1, DEVICE(3), ERR_LEASE_TAKEN,
		       "device 0000:3b:00.3 shares IOMMU group 2 with 0000:3b:00.2, which VM 'one' "
		       "has",
		       "vmctl stop one gives it back");
	assert_int_equal(reserve(f, 0, DEVICE(3), false, &e), 0);
	assert_int_equal(reserve(f, 1, DEVICE(0), false, &e), 0); /* a group of its own */
}

static void test_quarantined(void **state)
{
	struct fixture *f = *state;
	struct err e;

	assert_int_equal(reserve(f, 0, DEVICE(0), false, &e), 0);
	assert_int_equal(state_lease_quarantine(f->d.state, the_lease(f), "cannot reset it", &e),
			 0);
	expect_refused(
		f, 0, DEVICE(0), ERR_LEASE_BAD,
		"device 0000:3b:00.0 is in quarantine since VM 'one' had it: cannot reset it",
		"vmctl pci release 0000:3b:00.0 tries again to give it back");
}

static void test_mac(void **state)
{
	struct fixture *f = *state;
	struct err e;

	assert_int_equal(reserve(f, 0,
				 "{'type':'vfio-pci','id':'pci0','pci':'3b:00.0',"
				 "'mac':'52:54:00:00:00:AB'}",
				 false, &e),
			 0);
	expect_refused(f, 1,
		       "{'type':'vfio-pci','id':'pci0','pci':'3b:00.1',"
		       "'mac':'52:54:00:00:00:ab'}",
		       ERR_LEASE_MAC,
		       "MAC address 52:54:00:00:00:ab is that of 0000:3b:00.0, which VM 'one' has",
		       "give one of the two VMs another; vmctl stop one frees it");
}

/* A network card of another VM has it. */
static void test_mac_of_card(void **state)
{
	static const char device[] = "{'type':'vfio-pci','id':'pci0','pci':'3b:00.0',"
				     "'mac':'52:54:00:00:00:AB'}";
	struct fixture *f = *state;
	struct err e;

	assert_int_equal(state_nic_put(f->d.state, f->vms[0].id, "net0", "52:54:00:00:00:ab", &e),
			 0);
	expect_refused(f, 1, device, ERR_LEASE_MAC,
		       "MAC address 52:54:00:00:00:ab is that of 'net0' of VM 'one'",
		       "give one of the two VMs another; vmctl stop one frees it");
	assert_int_equal(state_nic_clear(f->d.state, f->vms[0].id, &e), 0);
	assert_int_equal(reserve(f, 1, device, false, &e), 0);
}

static void test_stray(void **state)
{
	struct fixture *f = *state;

	strcpy(f->functions[0].driver, "vfio-pci");
	expect_refused(f, 0, DEVICE(0), ERR_LEASE_STRAY,
		       "device 0000:3b:00.0 was bound to vfio-pci by somebody else than vmd",
		       "echo > /sys/bus/pci/devices/0000:3b:00.0/driver_override; "
		       "echo 0000:3b:00.0 > /sys/bus/pci/drivers/vfio-pci/unbind");
	strcpy(f->functions[0].driver, "");
	strcpy(f->functions[0].override, "uio");
	expect_refused(f, 0, DEVICE(0), ERR_LEASE_STRAY,
		       "device 0000:3b:00.0 is meant for driver 'uio' by somebody else than vmd",
		       "echo > /sys/bus/pci/devices/0000:3b:00.0/driver_override");
}

/* What the file asks for, or else what the VM had there. */
static void test_identity(void **state)
{
	struct fixture *f = *state;
	struct err e;

	expect_refused(f, 0,
		       "{'type':'vfio-pci','id':'pci0','pci':'3b:00.0',"
		       "'identity':{'vendor':'15b3'}}",
		       ERR_LEASE_OTHER,
		       "device 0000:3b:00.0 is not the one that VM 'one' asks for: vendor 8086 "
		       "instead of 15b3",
		       "vmctl pci list shows where it is now");
	assert_int_equal(reserve(f, 0, DEVICE(0), false, &e), 0);
	assert_int_equal(state_lease_delete(f->d.state, the_lease(f), &e), 0);
	f->functions[0].id.device = 0x1572;
	expect_refused(
		f, 0, DEVICE(0), ERR_LEASE_OTHER,
		"another device is at 0000:3b:00.0 than VM 'one' had there: device 1572 "
		"instead of 0000",
		"name its new address; or, to take this one, its identity beside the address: "
		"{vendor: \"8086\", device: \"1572\"}");
	assert_int_equal(reserve(f, 0,
				 "{'type':'vfio-pci','id':'pci0','pci':'3b:00.0',"
				 "'identity':{'device':'1572'}}",
				 false, &e),
			 0);
	assert_int_equal(state_lease_delete(f->d.state, the_lease(f), &e), 0);
	/* that is the one it had then */
	assert_int_equal(reserve(f, 0, DEVICE(0), false, &e), 0);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(test_race), T(test_all_or_nothing), T(test_group), T(test_quarantined),
		T(test_mac),  T(test_mac_of_card),    T(test_stray), T(test_identity),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
