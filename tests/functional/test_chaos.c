// SPDX-License-Identifier: MIT
/*
 * vmd is killed at every step of a request (crash.h), and at random ones, and begun again: each VM is then
 * as it was before or as it is after, no event is lost or told twice, nothing is left of what is not there,
 * what comes next works; and a guest that counts all the while has not missed a tick.
 *
 * CHAOS_SEED repeats a run of random moments, CHAOS_ROUNDS changes their number (200).
 */
#include "tests/functional/chaos.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>

#include "tests/functional/crash.h"
#include "tests/lib/skip.h"

#define CHAOS_ROUNDS 200
#define CHAOS_STEPS 90 /* random moments are within so many steps */

/* --- a request that is cut off --- */

/*
 * Ask, with vmd under trace, and let it come to its n-th step or to its answer (and that of a ping after
 * it, for what it does behind an answer). True: it was killed, and another has begun.
 */
static bool chaos_ask(struct chaos *w, const char *method, const char *params, unsigned int n,
		      int signal)
{
	struct crash crash = { .kill_at = n, .signal_at_kill = signal };
	int status;

	crash_attach(&crash, w->h->vmd);
	client_ask(w->c, method, params);
	client_ask(w->c, "daemon.ping", NULL);
	for (int i = 0; i < 2; i++) {
		if (!crash_run(&crash, client_fd(w->c), &status)) {
			if (signal == SIGKILL)
				assert_true(WIFSIGNALED(status));
			else
				assert_int_equal(status, 0); /* in order */
			client_close(w->h, w->c);
			w->h->vmd = 0;
			chaos_begin_vmd(w);
			return true;
		}
		json_object_put(client_next(w->c));
	}
	crash_detach(&crash);
	return false;
}

struct chaos_op {
	const char *method;
	unsigned int cpus;  /* that vm.apply gives; 0 for the others */
	const char *before; /* the state of 'one' */
	int signal;
	void (*check)(struct chaos *w, struct json_object *one, bool done);
};

static void chaos_check_desired(struct chaos *w, struct json_object *one, bool done)
{
	(void)w;
	assert_non_null(one);
	if (done)
		assert_string_equal(chaos_state(one), "running");
	assert_string_equal(json_get_str(one, "desired", ""), chaos_state(one));
}

static void chaos_check_stopped(struct chaos *w, struct json_object *one, bool done)
{
	struct json_object *exit = json_get(json_get(one, "observed"), "exit");

	(void)w;
	assert_non_null(one);
	if (done)
		assert_string_equal(chaos_state(one), "stopped");
	if (!strcmp(chaos_state(one), "stopped"))
		assert_string_equal(json_get_str(one, "desired", ""), "stopped");
	if (exit && strcmp(json_get_str(exit, "reason", ""), "shutdown"))
		assert_string_equal(json_get_str(exit, "reason", ""), "killed");
}

static void chaos_check_deleted(struct chaos *w, struct json_object *one, bool done)
{
	(void)w;
	assert_false(done && one);
	if (one)
		assert_int_equal(json_get_int(one, "revision", 0), 1);
}

/* Definition, configuration and number belong together: cpus 1 is revision 1, 3 is 2. */
static void chaos_check_applied(struct chaos *w, struct json_object *one, bool done)
{
	int64_t revision = json_get_int(one, "revision", 0);

	(void)w;
	assert_true(!done || one);
	if (!one)
		return;
	assert_int_equal(json_get_int(one, "cpus", 0), 2 * revision - 1);
	assert_int_equal(json_get_int(json_get(one, "definition"), "cpus", 0), 2 * revision - 1);
	assert_int_equal(json_get_int(json_get(one, "config"), "vcpus", 0), 2 * revision - 1);
	assert_true(!done || strcmp(chaos_state(one), "running"));
}

static void chaos_every_step(struct chaos *w, const struct chaos_op *op)
{
	unsigned int n = 0;
	bool killed;

	if (!w->c)
		SKIP_BECAUSE(chaos_lacks());
	do {
		AUTO_JSON struct json_object *one = chaos_check(w), *after = NULL;

		chaos_prepare(w, one, op->before);
		killed = chaos_ask(w, op->method,
				   op->cpus ? chaos_definition(w, op->cpus) : "{'vm': 'one'}", ++n,
				   op->signal);
		after = chaos_check(w);
		op->check(w, after, !killed);
	} while (killed);
	chaos_ticks_on(w);
	chaos_events(w);
	print_message("# %s, %s: %u steps\n", op->method, strsignal(op->signal), n - 1);
	assert_in_range(n, 4, 1000);
}

/* --- random moments --- */

static uint64_t chaos_random(uint64_t *seed)
{
	*seed ^= *seed << 13; /* xorshift64 */
	*seed ^= *seed >> 7;
	*seed ^= *seed << 17;
	return *seed;
}

static long chaos_number(const char *name, long otherwise)
{
	const char *text = getenv(name);

	return text ? strtol(text, NULL, 0) : otherwise;
}

/* Whatever is asked may be refused, for it is asked at random; but each answer has to come. */
static bool chaos_ask_random(struct chaos *w, struct crash *crash, uint64_t *seed)
{
	static const char *const methods[] = { "vm.apply",   "vm.start",  "vm.stop", "vm.kill",
					       "vm.restart", "vm.delete", "vm.list", "vm.pause",
					       "vm.resume",  "vm.wakeup" };
	const char *method = methods[chaos_random(seed) % ARRAY_SIZE(methods)], *params;
	int status;

	params = !strcmp(method, "vm.list") ? NULL : "{'vm': 'one'}";
	if (!strcmp(method, "vm.apply"))
		params = chaos_definition(w, 1 + 2 * (chaos_random(seed) % 2));
	client_ask(w->c, method, params);
	if (crash_run(crash, client_fd(w->c), &status)) {
		json_object_put(client_next(w->c));
		return true;
	}
	assert_true(WIFSIGNALED(status));
	return false;
}

static void chaos_random_moment(struct chaos *w, uint64_t *seed)
{
	struct crash crash = { .kill_at = 1 + (unsigned int)(chaos_random(seed) % CHAOS_STEPS) };
	struct json_object *one;

	crash_attach(&crash, w->h->vmd);
	while (chaos_ask_random(w, &crash, seed))
		;
	client_close(w->h, w->c);
	w->h->vmd = 0;
	chaos_begin_vmd(w);
	one = chaos_settled(w);
	if (one && !strcmp(chaos_state(one), "paused"))
		json_object_put(client_result(w->c, "vm.resume", "{'vm': 'one'}"));
	json_object_put(one);
	json_object_put(chaos_check(w));
}

static void test_random_moments(void **state)
{
	struct chaos *w = *state;
	uint64_t seed = (uint64_t)chaos_number("CHAOS_SEED", (long)time(NULL) | 1);
	long rounds = chaos_number("CHAOS_ROUNDS", CHAOS_ROUNDS);

	if (!w->c)
		SKIP_BECAUSE(chaos_lacks());
	print_message("# CHAOS_SEED=%llu\n", (unsigned long long)seed);
	for (long i = 0; i < rounds; i++)
		chaos_random_moment(w, &seed);
	chaos_ticks_on(w);
	chaos_events(w);
}

static void test_apply_new(void **state)
{
	static const struct chaos_op op = { "vm.apply", 1, "none", SIGKILL, chaos_check_applied };

	chaos_every_step(*state, &op);
}

static void test_apply_change(void **state)
{
	static const struct chaos_op op = { "vm.apply", 3, "stopped", SIGKILL,
					    chaos_check_applied };

	chaos_every_step(*state, &op);
}

static void test_start(void **state)
{
	static const struct chaos_op op = { "vm.start", 0, "stopped", SIGKILL,
					    chaos_check_desired };

	chaos_every_step(*state, &op);
}

/* vmd ends in order: the start is undone, or the VM is up and stays. */
static void test_start_and_sigterm(void **state)
{
	static const struct chaos_op op = { "vm.start", 0, "stopped", SIGTERM,
					    chaos_check_desired };

	chaos_every_step(*state, &op);
}

static void test_stop(void **state)
{
	static const struct chaos_op op = { "vm.stop", 0, "running", SIGKILL, chaos_check_stopped };

	chaos_every_step(*state, &op);
}

static void test_kill(void **state)
{
	static const struct chaos_op op = { "vm.kill", 0, "running", SIGKILL, chaos_check_stopped };

	chaos_every_step(*state, &op);
}

/* It runs again or still, or is stopped where vmd died in the second half. */
static void test_restart(void **state)
{
	static const struct chaos_op op = { "vm.restart", 0, "running", SIGKILL,
					    chaos_check_desired };

	chaos_every_step(*state, &op);
}

static void test_delete(void **state)
{
	static const struct chaos_op op = { "vm.delete", 0, "stopped", SIGKILL,
					    chaos_check_deleted };

	chaos_every_step(*state, &op);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define T(f) cmocka_unit_test_setup_teardown(f, chaos_setup, chaos_teardown)
		T(test_apply_new),	   T(test_apply_change), T(test_start),
		T(test_start_and_sigterm), T(test_stop),	 T(test_kill),
		T(test_restart),	   T(test_delete),	 T(test_random_moments),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
