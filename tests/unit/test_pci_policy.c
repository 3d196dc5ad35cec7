// SPDX-License-Identifier: MIT
/* vmd/pci_policy: what the file allows and denies, and what is no such file. */
#include "tests/lib/test.h"

#include <stdio.h>
#include <string.h>

#include "lib/auto.h"
#include "lib/errcat.h"
#include "tests/lib/pci_tree.h"
#include "tests/lib/tempdir.h"
#include "vmd/pci_policy.h"

static int setup(void **state)
{
	*state = tempdir_new();
	return 0;
}

static int teardown(void **state)
{
	tempdir_remove(*state);
	return 0;
}

static int load(const char *dir, const char *text, struct pci_policy **ret_policy, struct err *e)
{
	char path[256];

	snprintf(path, sizeof(path), "%s/policy.yaml", dir);
	if (text)
		tempdir_file(dir, "policy.yaml", text);
	return pci_policy_load(path, text != NULL, ret_policy, e);
}

static const struct pci_function nic = { .addr = { .bus = 0x3b },
					 .id = { .vendor = 0x8086, .device = 0x10c9 },
					 .class_code = 0x020000 };

static bool denies(const char *dir, const char *text)
{
	struct pci_policy *policy;
	struct err e = { 0 };
	int ret;

	if (load(dir, text, &policy, &e) < 0)
		fail_msg("%s", e.msg);
	ret = pci_policy_denies(policy, &nic, &e);
	assert_true(!ret || ret == -ERR_PCI_DENIED);
	pci_policy_free(policy);
	return ret < 0;
}

static void test_deny(void **state)
{
	struct pci_policy *policy;
	struct err e = { 0 };
	char hint[256];

	assert_false(denies(*state, "pci: {}\n"));
	assert_false(denies(*state, "{}\n"));
	assert_true(denies(*state, "pci: {deny: [3b:00.0]}\n"));
	assert_false(denies(*state, "pci: {deny: [0001:3b:00.0, 0000:3b:00.1]}\n"));
	assert_true(denies(*state, "pci: {deny: [{vendor: \"8086\"}]}\n"));
	assert_true(denies(*state, "pci: {deny: [{vendor: \"8086\", device: 10C9}]}\n"));
	assert_false(denies(*state, "pci: {deny: [{vendor: \"8086\", device: 10ca}]}\n"));
	assert_true(denies(*state, "pci: {deny: [{class: \"02\"}]}\n"));
	assert_true(denies(*state, "pci: {deny: [{class: \"020000\"}]}\n"));
	assert_false(denies(*state, "pci: {deny: [{class: \"0207\"}, {class: \"03\"}]}\n"));
	assert_int_equal(
		load(*state, "pci: {deny: [{class: \"03\"}, {class: \"02\"}]}\n", &policy, &e), 0);
	assert_int_equal(pci_policy_denies(policy, &nic, &e), -ERR_PCI_DENIED);
	assert_string_equal(e.msg, "the policy file keeps 0000:3b:00.0 from VMs: /pci/deny/1");
	snprintf(hint, sizeof(hint),
		 "take another device, or change %s/policy.yaml and restart vmd",
		 (const char *)*state);
	assert_string_equal(e.hint, hint);
	pci_policy_free(policy);
}

static void test_terms(void **state)
{
	struct pci_policy *policy;
	struct pci_terms terms;
	struct err e = { 0 };

	assert_int_equal(load(*state, NULL, &policy, &e), 0);
	pci_policy_terms(policy, &nic, &terms);
	assert_false(terms.allowed || terms.require_reset);
	assert_int_equal(pci_policy_denies(policy, &nic, &e), 0);
	pci_policy_free(policy);
	assert_int_equal(load(*state, "pci:\n  allow:\n    - 0000:3b:00.0\n  require_reset: true\n",
			      &policy, &e),
			 0);
	pci_policy_terms(policy, &nic, &terms);
	assert_true(terms.allowed && terms.require_reset);
	pci_policy_free(policy);
}

/* The door: what is denied first, then what stands in the way, on the policy's terms. */
static void test_check(void **state)
{
	static const char deny[] = "pci: {deny: [{vendor: \"1b36\"}], allow: [0000:01:00.0]}\n";
	static const char allow[] = "pci: {allow: [0000:01:00.0]}\n";
	const struct pci_addr addr = { .bus = 1 };
	const struct pci_function *f;
	struct pci_policy *policy;
	struct pci_inventory inv;
	struct hostfs h;
	struct err e = { 0 };

	pci_tree_make(*state);
	pci_tree_block(*state, "0000:01:00.0", "nvme/nvme0/nvme0n1", "259:0\n");
	tempdir_file(*state, "proc/self/mountinfo", "22 1 259:0 / / rw - ext4 /dev/nvme0n1 rw\n");
	tempdir_file(*state, "sys/bus/pci/drivers/vfio-pci/new_id", "");
	assert_int_equal(hostfs_init(&h, *state, NULL), 0);
	assert_int_equal(pci_inventory_read(&h, &inv, NULL), 0);
	f = pci_inventory_find(&inv, &addr);
	assert_int_equal(load(*state, "{}\n", &policy, &e), 0);
	assert_int_equal(pci_policy_check(policy, &h, &inv, f, NULL, 0, &e), -ERR_PCI_VITAL);
	pci_policy_free(policy);
	assert_int_equal(load(*state, deny, &policy, &e), 0);
	assert_int_equal(pci_policy_check(policy, &h, &inv, f, NULL, 0, &e), -ERR_PCI_DENIED);
	pci_policy_free(policy);
	assert_int_equal(load(*state, allow, &policy, &e), 0);
	assert_int_equal(pci_policy_check(policy, &h, &inv, f, NULL, 0, &e), 0);
	pci_policy_free(policy);
	pci_inventory_fini(&inv);
	hostfs_fini(&h);
}

static void refused(const char *dir, const char *text, const char *message)
{
	struct pci_policy *policy = NULL;
	struct err e = { 0 };
	char expected[512];

	assert_int_equal(load(dir, text, &policy, &e), -ERR_INVALID);
	snprintf(expected, sizeof(expected), "the policy file: %s/policy.yaml:%s", dir, message);
	assert_string_equal(e.msg, expected);
	assert_null(policy);
}

static void test_bad_files(void **state)
{
	struct pci_policy *policy;
	struct err e = { 0 };

	refused(*state, "pci:\n  alow: []\n",
		"2:3: /pci/alow: unknown key 'alow'; did you mean 'allow'?");
	refused(*state, "pci:\n  allow: [0000:3b:00.8]\n",
		"2:11: /pci/allow/0: '0000:3b:00.8' is not a PCI address");
	refused(*state, "pci:\n  deny: [{vendor: 8086}]\n",
		"2:19: /pci/deny/0/vendor: expected a string, got a number");
	refused(*state, "pci:\n  deny: [{vendor: 80x6}]\n",
		"2:10: /pci/deny/0: expected hexadecimal digits, as \"10de\"");
	assert_int_equal(pci_policy_load("/nowhere/policy.yaml", true, &policy, &e), -ERR_FILE);
	assert_int_equal(pci_policy_load("/nowhere/policy.yaml", false, &policy, &e), 0);
	pci_policy_free(policy);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_deny, setup, teardown),
		cmocka_unit_test_setup_teardown(test_terms, setup, teardown),
		cmocka_unit_test_setup_teardown(test_check, setup, teardown),
		cmocka_unit_test_setup_teardown(test_bad_files, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
