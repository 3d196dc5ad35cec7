// SPDX-License-Identifier: MIT
/* vmd/lease_plan.c: from what a VM wants and what the host has to steps with undos, in the order that FIELD 1.1 has. */
#include "tests/lib/test.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/auto.h"
#include "vmd/lease_plan.h"

static struct json_object *json(const char *text)
{
	struct json_object *o = NULL;
	AUTO_FREE char *copy = strdup(text);
	struct err e = { 0 };

	for (char *p = copy; *p; p++)
		*p = *p == '\'' ? '"' : *p;
	if (json_parse(copy, strlen(copy), &o, &e) < 0)
		fail_msg("%s", e.msg);
	return o;
}

static void wants_of(struct lease_wants *w, const char *devices)
{
	AUTO_JSON struct json_object *config = json_add(json_new(), "devices", json(devices));
	struct err e = { 0 };

	if (lease_wants_init(w, config, &e) < 0)
		fail_msg("%s", e.msg);
}

static void expect_json(struct json_object *o, const char *expected)
{
	AUTO_JSON struct json_object *want = json(expected);

	if (!json_equal(o, want))
		fail_msg("%s\n  instead of\n%s",
			 json_object_to_json_string_ext(o, JSON_C_TO_STRING_PLAIN),
			 json_object_to_json_string_ext(want, JSON_C_TO_STRING_PLAIN));
}

/* A VF of a network card whose driver is bound. */
static void make_vf(struct lease_want *want)
{
	want->f = (struct pci_function){ .is_vf = true, .pf = { .bus = 0x3b } };
	want->f.id.vf_index = 3;
	want->f.class_code = 0x020000;
	strcpy(want->f.driver, "igbvf");
	strcpy(want->f.reset_methods, "flr");
	want->pf.n_netdevs = 1;
}

static void test_wants(void **state)
{
	struct lease_wants w;

	(void)state;
	wants_of(&w, "[{'type':'serial','id':'com1'},"
		     "{'type':'vfio-pci','id':'pci0','address':'00:05.0','pci':'3b:00.0'},"
		     "{'type':'vfio-pci','id':'pci1','pool':'front','mac':'52:54:00:00:00:01',"
		     "'vlan':100,'trust':true,'rate':{'min':10,'max':1000}},"
		     "{'type':'vfio-pci','id':'pci2','pool':'back','rate':500,'numa':'strict'}]");
	assert_int_equal(w.n, 3);
	assert_string_equal(w.list[0].lease.address, "0000:3b:00.0");
	assert_string_equal(w.list[0].lease.device, "pci0");
	assert_null(w.list[0].set);
	assert_string_equal(w.list[1].lease.address, "");
	assert_string_equal(w.list[1].lease.pool, "front");
	assert_string_equal(w.list[1].lease.mac, "52:54:00:00:00:01");
	expect_json(w.list[1].set, "{'mac':'52:54:00:00:00:01','vlan':100,'trust':true,"
				   "'min_tx_rate':10,'max_tx_rate':1000}");
	expect_json(w.list[2].set, "{'max_tx_rate':500}");
	lease_wants_fini(&w);
}

static void test_too_many(void **state)
{
	struct json_object *devices = json_object_new_array();
	AUTO_JSON struct json_object *config = json_add(json_new(), "devices", devices);
	struct lease_wants w;
	struct err e;

	(void)state;
	for (int i = 0; i <= LEASE_WANTS_MAX; i++)
		json_object_array_add(devices, json("{'type':'vfio-pci','pci':'3b:00.0'}"));
	assert_int_equal(lease_wants_init(&w, config, &e), -EINVAL);
	lease_wants_fini(&w);
}

/* Unbind, then the PF's settings, then vfio-pci, then reset; backwards it begins with the reset. */
static void test_nic_vf(void **state)
{
	struct lease_wants w;

	(void)state;
	wants_of(&w, "[{'type':'vfio-pci','id':'pci0','pci':'0000:3b:10.6',"
		     "'mac':'52:54:00:00:00:01','vlan':100}]");
	make_vf(&w.list[0]);
	w.list[0].before =
		json("{'mac':'00:00:00:00:00:00','vlan':0,'spoofchk':true,'trust':false}");
	lease_plan(&w.list[0]);
	expect_json(
		w.list[0].steps,
		"[{'action':{'op':'clean','pci':'0000:3b:10.6','pf':'0000:3b:00.0','vf':3,"
		"'set':{'mac':'00:00:00:00:00:00','vlan':0,'spoofchk':true,'trust':false},"
		"'driver':'igbvf'},"
		"'undo':{'op':'clean','pci':'0000:3b:10.6','pf':'0000:3b:00.0','vf':3,"
		"'set':{'mac':'00:00:00:00:00:00','vlan':0,'spoofchk':true,'trust':false},"
		"'driver':'igbvf'}},"
		"{'action':{'op':'driver','pci':'0000:3b:10.6','driver':'','override':false},"
		"'undo':{'op':'driver','pci':'0000:3b:10.6','driver':'igbvf','override':false}},"
		"{'action':{'op':'vf-set','pf':'0000:3b:00.0','vf':3,"
		"'set':{'mac':'52:54:00:00:00:01','vlan':100}},"
		"'undo':{'op':'vf-set','pf':'0000:3b:00.0','vf':3,"
		"'set':{'mac':'00:00:00:00:00:00','vlan':0}}},"
		"{'action':{'op':'driver','pci':'0000:3b:10.6','driver':'vfio-pci'},"
		"'undo':{'op':'driver','pci':'0000:3b:10.6','driver':'','override':false}},"
		"{'action':{'op':'reset','pci':'0000:3b:10.6'},"
		"'undo':{'op':'reset','pci':'0000:3b:10.6'}}]");
	lease_wants_fini(&w);
}

/* What a guest may have done to its MAC is undone where nothing was set, too. */
static void test_mac_is_put_back(void **state)
{
	struct lease_wants w;
	struct json_object *step;

	(void)state;
	wants_of(&w, "[{'type':'vfio-pci','id':'pci0','pci':'0000:3b:10.6'}]");
	make_vf(&w.list[0]);
	w.list[0].before = json("{'mac':'00:00:00:00:00:00','vlan':7}");
	lease_plan(&w.list[0]);
	step = json_object_array_get_idx(w.list[0].steps, 2);
	expect_json(json_get(json_get(step, "action"), "set"), "{'mac':'00:00:00:00:00:00'}");
	expect_json(json_get(json_get(step, "undo"), "set"), "{'mac':'00:00:00:00:00:00'}");
	lease_wants_fini(&w);
}

/* No VF, no driver, no reset: what there is nothing to do for is left out. */
static void test_bare_device(void **state)
{
	struct lease_wants w;

	(void)state;
	wants_of(&w, "[{'type':'vfio-pci','id':'pci0','pci':'0000:3b:00.0'}]");
	w.list[0].f.id.vf_index = -1;
	lease_plan(&w.list[0]);
	expect_json(w.list[0].steps,
		    "[{'action':{'op':'clean','pci':'0000:3b:00.0','driver':''},"
		    "'undo':{'op':'clean','pci':'0000:3b:00.0','driver':''}},"
		    "{'action':{'op':'driver','pci':'0000:3b:00.0','driver':'vfio-pci'},"
		    "'undo':{'op':'driver','pci':'0000:3b:00.0','driver':'','override':false}}]");
	lease_wants_fini(&w);
}

static void test_override_is_put_back(void **state)
{
	struct lease_wants w;
	struct json_object *step;

	(void)state;
	wants_of(&w, "[{'type':'vfio-pci','id':'pci0','pci':'0000:3b:00.0'}]");
	strcpy(w.list[0].f.driver, "uio");
	strcpy(w.list[0].f.override, "uio");
	assert_false(lease_is_stray(&w.list[0].f));
	lease_plan(&w.list[0]);
	step = json_object_array_get_idx(w.list[0].steps, 1);
	expect_json(json_get(step, "undo"), "{'op':'driver','pci':'0000:3b:00.0','driver':'uio'}");
	lease_wants_fini(&w);
}

static void test_nvme_vf(void **state)
{
	struct lease_wants w;
	struct json_object *step;

	(void)state;
	wants_of(&w, "[{'type':'vfio-pci','id':'pci0','pci':'0000:01:00.1'}]");
	make_vf(&w.list[0]);
	w.list[0].f.class_code = 0x010802;
	w.list[0].pf.n_netdevs = 0;
	assert_string_equal(lease_vf_op(&w.list[0]), "nvme-get");
	w.list[0].before = json("{'queues':0,'interrupts':0,'online':false}");
	lease_plan(&w.list[0]);
	step = json_object_array_get_idx(w.list[0].steps, 0);
	assert_null(json_get(json_get(step, "action"), "set"));
	step = json_object_array_get_idx(w.list[0].steps, 2);
	expect_json(step, "{'action':{'op':'nvme-vf','pf':'0000:3b:00.0','vf':3,'queues':2,"
			  "'interrupts':2,'online':true},"
			  "'undo':{'op':'nvme-vf','pf':'0000:3b:00.0','vf':3,'queues':0,"
			  "'interrupts':0,'online':false}}");
	lease_wants_fini(&w);
}

static void test_states(void **state)
{
	AUTO_JSON struct json_object *unbind = json("{'op':'driver','driver':''}");
	AUTO_JSON struct json_object *set = json("{'op':'vf-set'}");
	AUTO_JSON struct json_object *nvme = json("{'op':'nvme-vf'}");
	AUTO_JSON struct json_object *bind = json("{'op':'driver','driver':'vfio-pci'}");
	AUTO_JSON struct json_object *reset = json("{'op':'reset'}");

	(void)state;
	assert_int_equal(lease_state_after(unbind, STATE_LEASE_RESERVED), STATE_LEASE_RESERVED);
	assert_int_equal(lease_state_after(set, STATE_LEASE_RESERVED), STATE_LEASE_CONFIGURED);
	assert_int_equal(lease_state_after(nvme, STATE_LEASE_RESERVED), STATE_LEASE_CONFIGURED);
	assert_int_equal(lease_state_after(bind, STATE_LEASE_CONFIGURED), STATE_LEASE_BOUND);
	assert_int_equal(lease_state_after(reset, STATE_LEASE_BOUND), STATE_LEASE_BOUND);
}

static void expect_differs(const char *wanted, const struct pci_function *f, const char *expected)
{
	AUTO_JSON struct json_object *o = json(wanted);
	char out[160] = "";

	assert_int_equal(lease_identity_differs(o, f, out, sizeof(out)), expected[0] != '\0');
	assert_string_equal(out, expected);
}

static void test_identity(void **state)
{
	struct pci_function f = { .id = { .vendor = 0x8086, .device = 0x10c9, .vf_index = 3 } };

	(void)state;
	strcpy(f.id.serial, "00-11-22-ff-fe-33-44-55");
	strcpy(f.id.mac, "52:54:00:ab:cd:ef");
	expect_differs("{'vendor':'8086','device':'10C9','vf':3,'mac':'52:54:00:AB:CD:EF'}", &f,
		       "");
	expect_differs("{'serial':'00-11-22-ff-fe-33-44-55'}", &f, "");
	expect_differs("{'vendor':'15b3'}", &f, "vendor 8086 instead of 15b3");
	expect_differs("{'vf':4}", &f, "vf 3 instead of 4");
	expect_differs("{'mac':'52:54:00:00:00:00'}", &f,
		       "mac 52:54:00:ab:cd:ef instead of 52:54:00:00:00:00");
	f.id.serial[0] = '\0';
	expect_differs("{'serial':'00-11'}", &f, "serial none instead of 00-11");
	assert_int_equal(lease_identity_differs(NULL, &f, NULL, 0), 0);
}

static void test_strays(void **state)
{
	struct pci_function f = { 0 };

	(void)state;
	assert_false(lease_is_stray(&f));
	strcpy(f.override, "vfio-pci");
	assert_true(lease_is_stray(&f));
	strcpy(f.driver, "vfio-pci");
	assert_true(lease_is_stray(&f));
	f.override[0] = '\0';
	assert_true(lease_is_stray(&f));
}

/* Two on one bus, and a third on another: who has both has their reset. */
static void test_reset_of_a_bus(void **state)
{
	struct pci_function functions[3] = {
		{ .addr = { .bus = 4, .dev = 1 }, .reset_methods = "bus" },
		{ .addr = { .bus = 4, .dev = 2 }, .reset_methods = "bus" },
		{ .addr = { .bus = 5, .dev = 1 }, .reset_methods = "bus" },
	};
	struct pci_inventory inventory = { functions, 3 };
	struct lease_wants w;

	(void)state;
	wants_of(&w, "[{'type':'vfio-pci','id':'pci0','pci':'04:01.0'},"
		     "{'type':'vfio-pci','id':'pci1','pci':'04:02.0'}]");
	w.list[0].f = functions[0];
	w.list[1].f = functions[2];
	assert_false(lease_resets_with_bus(&w, &w.list[0], &inventory)); /* another's as well */
	assert_false(lease_resets_with_bus(&w, &w.list[1], &inventory)); /* its own alone */
	w.list[1].f = functions[1];
	assert_true(lease_resets_with_bus(&w, &w.list[0], &inventory));
	assert_true(lease_resets_with_bus(&w, &w.list[1], &inventory));
	strcpy(w.list[0].f.reset_methods, "flr bus");
	assert_false(lease_resets_with_bus(&w, &w.list[0], &inventory));
	w.list[1].resets_with_bus = true;
	lease_plan(&w.list[1]);
	expect_json(w.list[1].steps,
		    "[{'action':{'op':'clean','pci':'0000:04:02.0','driver':''},"
		    "'undo':{'op':'clean','pci':'0000:04:02.0','driver':''}},"
		    "{'action':{'op':'driver','pci':'0000:04:02.0','driver':'vfio-pci'},"
		    "'undo':{'op':'driver','pci':'0000:04:02.0','driver':'','override':false}}]");
	lease_wants_fini(&w);
}

/* "pinned several times faster": only of much memory in small pages. */
static void test_advice(void **state)
{
	struct json_object *memory = json_add_int(json_new(), "size", 16ll << 30);

	(void)state;
	assert_null(lease_memory_advice(memory));
	json_add_int(memory, "size", (16ll << 30) + 4096);
	assert_non_null(strstr(lease_memory_advice(memory), "hugepages: 2MiB"));
	json_add_int(memory, "hugepages", 0);
	assert_non_null(lease_memory_advice(memory));
	json_add_int(memory, "hugepages", 2 << 20);
	assert_null(lease_memory_advice(memory));
	json_object_put(memory);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_wants),	       cmocka_unit_test(test_too_many),
		cmocka_unit_test(test_nic_vf),	       cmocka_unit_test(test_mac_is_put_back),
		cmocka_unit_test(test_bare_device),    cmocka_unit_test(test_override_is_put_back),
		cmocka_unit_test(test_nvme_vf),	       cmocka_unit_test(test_states),
		cmocka_unit_test(test_identity),       cmocka_unit_test(test_strays),
		cmocka_unit_test(test_reset_of_a_bus), cmocka_unit_test(test_advice),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
