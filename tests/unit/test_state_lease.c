// SPDX-License-Identifier: MIT
/* state/lease.c and state/journal.c: one lease a device, fenced by its generation; the journal in its order. */
#include "tests/unit/state_fixture.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/errcat.h"

static void reopen(struct state_fixture *f)
{
	struct err e;

	state_close(f->s);
	assert_int_equal(state_open(f->dir, &f->s, &e), 0);
}

static struct state_lease lease_of(const char *address, const char *mac)
{
	struct state_lease lease = { .state = STATE_LEASE_RESERVED };

	snprintf(lease.address, sizeof(lease.address), "%s", address);
	snprintf(lease.mac, sizeof(lease.mac), "%s", mac);
	strcpy(lease.vm, "11111111-2222-3333-4444-555555555555");
	strcpy(lease.name, "one");
	strcpy(lease.device, "pci0");
	strcpy(lease.identity, "{\"vendor\":32902}");
	strcpy(lease.reason, "named by the VM");
	strcpy(lease.boot_id, "boot");
	return lease;
}

static void test_lease_round_trip(void **state)
{
	struct state_fixture *f = *state;
	struct state_lease lease = lease_of("0000:3b:00.0", "52:54:00:00:00:01"), got;
	struct err e = { 0 };

	lease.node = 3;
	lease.distance = 21;
	assert_int_equal(state_lease_at(f->s, lease.address, &got, &e), 0);
	assert_int_equal(state_lease_add(f->s, &lease, &e), 0);
	reopen(f);
	assert_int_equal(state_lease_at(f->s, lease.address, &got, &e), 1);
	assert_int_equal(got.generation, lease.generation);
	assert_string_equal(got.vm, lease.vm);
	assert_string_equal(got.name, "one");
	assert_string_equal(got.device, "pci0");
	assert_string_equal(got.pool, "");
	assert_int_equal(got.state, STATE_LEASE_RESERVED);
	assert_string_equal(got.identity, lease.identity);
	assert_string_equal(got.mac, lease.mac);
	assert_string_equal(got.reason, lease.reason);
	assert_int_equal(got.node, 3);
	assert_int_equal(got.distance, 21);
	assert_string_equal(got.quarantine, "");
	assert_string_equal(got.boot_id, "boot");
	assert_int_equal(got.created_ms, lease.created_ms);
	assert_int_equal(state_lease_of_mac(f->s, lease.mac, &got, &e), 1);
	assert_string_equal(got.address, lease.address);
	assert_int_equal(state_lease_of_mac(f->s, "52:54:00:00:00:02", &got, &e), 0);
}

static void test_one_lease_a_device_and_mac(void **state)
{
	struct state_fixture *f = *state;
	struct state_lease one = lease_of("0000:3b:00.0", "52:54:00:00:00:01");
	struct state_lease same = lease_of("0000:3b:00.0", "");
	struct state_lease mac = lease_of("0000:3b:00.1", "52:54:00:00:00:01");
	struct state_lease none = lease_of("0000:3b:00.1", "");
	struct state_lease none2 = lease_of("0000:3b:00.2", "");
	struct err e = { 0 };

	assert_int_equal(state_lease_add(f->s, &one, &e), 0);
	assert_int_equal(state_lease_add(f->s, &same, &e), -ERR_STATE);
	assert_int_equal(state_lease_add(f->s, &mac, &e), -ERR_STATE);
	assert_int_equal(state_lease_add(f->s, &none, &e), 0);
	assert_int_equal(state_lease_add(f->s, &none2, &e), 0); /* "no MAC" is no MAC in use */
}

static void test_lease_states(void **state)
{
	struct state_fixture *f = *state;
	struct state_lease lease = lease_of("0000:3b:00.0", ""), got;
	struct err e = { 0 };

	assert_int_equal(state_lease_add(f->s, &lease, &e), 0);
	for (int i = STATE_LEASE_RESERVED; i <= STATE_LEASE_RELEASING; i++) {
		assert_int_equal(
			state_lease_set(f->s, lease.generation, (enum state_lease_state)i, &e), 0);
		assert_int_equal(state_lease_at(f->s, lease.address, &got, &e), 1);
		assert_int_equal(got.state, i);
	}
	assert_int_equal(state_lease_quarantine(f->s, lease.generation, "no reset", &e), 0);
	assert_int_equal(state_lease_at(f->s, lease.address, &got, &e), 1);
	assert_int_equal(got.state, STATE_LEASE_QUARANTINED);
	assert_string_equal(got.quarantine, "no reset");
	assert_int_equal(state_lease_set(f->s, lease.generation, STATE_LEASE_RELEASING, &e), 0);
	assert_int_equal(state_lease_at(f->s, lease.address, &got, &e), 1);
	assert_string_equal(got.quarantine, "");
	assert_int_equal(got.requested_ms, 0);
	assert_int_equal(state_lease_request(f->s, lease.generation, &e), 0);
	assert_int_equal(state_lease_at(f->s, lease.address, &got, &e), 1);
	assert_true(got.requested_ms >= got.created_ms);
	assert_int_equal(state_lease_request(f->s, lease.generation + 1, &e), -ERR_LEASE_NOT_FOUND);
}

/* What comes late from the lease before does not hit this one. */
static void test_generation_fences(void **state)
{
	struct state_fixture *f = *state;
	struct state_lease old = lease_of("0000:3b:00.0", ""), new = old, got;
	struct err e = { 0 };

	assert_int_equal(state_lease_add(f->s, &old, &e), 0);
	assert_int_equal(state_lease_delete(f->s, old.generation, &e), 0);
	reopen(f);
	assert_int_equal(state_lease_add(f->s, &new, &e), 0);
	assert_true(new.generation > old.generation);
	assert_int_equal(state_lease_delete(f->s, old.generation, &e), -ERR_LEASE_NOT_FOUND);
	assert_int_equal(state_lease_set(f->s, old.generation, STATE_LEASE_BOUND, &e),
			 -ERR_LEASE_NOT_FOUND);
	assert_int_equal(state_lease_quarantine(f->s, old.generation, "late", &e),
			 -ERR_LEASE_NOT_FOUND);
	assert_int_equal(state_lease_at(f->s, new.address, &got, &e), 1);
	assert_int_equal(got.generation, new.generation);
	assert_int_equal(got.state, STATE_LEASE_RESERVED);
}

static int count_lease(void *arg, const struct state_lease *lease)
{
	unsigned int *n = arg;

	assert_string_equal(lease->name, "one");
	return ++*n == 9 ? -ECANCELED : 0;
}

static void test_lease_list(void **state)
{
	struct state_fixture *f = *state;
	struct state_lease lease;
	struct err e = { 0 };
	unsigned int n = 0;

	for (int i = 0; i < 3; i++) {
		char address[32];

		snprintf(address, sizeof(address), "0000:3b:00.%d", i);
		lease = lease_of(address, "");
		if (i == 2)
			strcpy(lease.vm, "another");
		assert_int_equal(state_lease_add(f->s, &lease, &e), 0);
	}
	assert_int_equal(state_lease_list(f->s, NULL, count_lease, &n, &e), 0);
	assert_int_equal(n, 3);
	n = 0;
	assert_int_equal(state_lease_list(f->s, "another", count_lease, &n, &e), 0);
	assert_int_equal(n, 1);
	n = 8;
	assert_int_equal(state_lease_list(f->s, NULL, count_lease, &n, &e), -ECANCELED);
}

static int show_step(void *arg, const struct state_journal *j)
{
	char *out = arg;

	snprintf(out + strlen(out), 256 - strlen(out), "%s %s %s%s%s;", j->owner, j->action,
		 j->undo ? j->undo : "-", j->begun ? " begun" : "", j->undone ? " undone" : "");
	return 0;
}

static void expect_journal(struct state *s, const char *owner, const char *expected)
{
	char out[256] = "";
	struct err e = { 0 };

	assert_int_equal(state_journal_list(s, owner, show_step, out, &e), 0);
	assert_string_equal(out, expected);
}

static void test_journal(void **state)
{
	struct state_fixture *f = *state;
	struct err e = { 0 };
	int64_t one, two, other;

	assert_int_equal(state_journal_add(f->s, "lease:1", "a", "A", &one, &e), 0);
	assert_int_equal(state_journal_add(f->s, "lease:1", "b", NULL, &two, &e), 0);
	assert_int_equal(state_journal_add(f->s, "pool:x", "c", "C", &other, &e), 0);
	reopen(f);
	expect_journal(f->s, "lease:1", "lease:1 b - begun;lease:1 a A begun;");
	assert_int_equal(state_journal_done(f->s, one, &e), 0);
	expect_journal(f->s, "lease:1", "lease:1 b - begun;lease:1 a A;");
	assert_int_equal(state_journal_undone(f->s, one, &e), 0);
	expect_journal(f->s, NULL, "pool:x c C begun;lease:1 b - begun;lease:1 a A undone;");
	assert_int_equal(state_journal_delete(f->s, "lease:1", &e), 0);
	expect_journal(f->s, NULL, "pool:x c C begun;");
}

static void test_device_identity(void **state)
{
	struct state_fixture *f = *state;
	struct state_vm vm = { .vcpus = 1, .memory = 1 << 20, .name = "one", .profile = "modern" };
	const struct state_actor actor = { .program = "vmctl" };
	struct err e = { 0 };
	char got[64] = "";

	state_uuid(vm.id);
	assert_int_equal(state_device_put(f->s, vm.id, "0000:3b:00.0", "{}", &e), -ERR_STATE);
	assert_int_equal(state_vm_insert(f->s, &vm, "{}", "{}", &actor, &e), 0);
	assert_int_equal(state_device_get(f->s, vm.id, "0000:3b:00.0", got, sizeof(got), &e), 0);
	assert_int_equal(state_device_put(f->s, vm.id, "0000:3b:00.0", "{}", &e), 0);
	assert_int_equal(state_device_put(f->s, vm.id, "0000:3b:00.0", "{\"a\":1}", &e), 0);
	assert_int_equal(state_device_get(f->s, vm.id, "0000:3b:00.0", got, sizeof(got), &e), 1);
	assert_string_equal(got, "{\"a\":1}");
	assert_int_equal(state_vm_delete(f->s, vm.id, &e), 0);
	assert_int_equal(state_device_get(f->s, vm.id, "0000:3b:00.0", got, sizeof(got), &e), 0);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, state_fixture_setup, state_fixture_teardown)
	const struct CMUnitTest tests[] = {
		T(test_lease_round_trip), T(test_one_lease_a_device_and_mac),
		T(test_lease_states),	  T(test_generation_fences),
		T(test_lease_list),	  T(test_journal),
		T(test_device_identity),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
