// SPDX-License-Identifier: MIT
/* vmd/turn: what is one transaction, who sees what, and what becomes of each when one of them fails. */
#include "tests/lib/test.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "lib/errcat.h"
#include "tests/lib/tempdir.h"
#include "vmd/call.h"
#include "vmd/client.h"
#include "vmd/daemon.h"
#include "vmd/event.h"
#include "vmd/methods.h"
#include "vmd/turn.h"

static const struct method own = { .name = "own", .own_vm = true };
static const struct method other = { .name = "other" };

/* A VM that a call writes. */
struct fixture;

struct write {
	struct turn_write write;
	struct fixture *f;
	struct call call;
	struct state_vm vm;
	unsigned int begun, undone;
	bool over, bad;
	int code;	   /* over: of why not */
	unsigned int seen; /* begun: how many of the fixture's were over */
};

struct fixture {
	struct daemon d;
	struct state *reader; /* another connection: sees what is committed */
	struct client clients[3];
	struct write writes[3];
	char *dir;
};

static unsigned int over(const struct fixture *f)
{
	unsigned int n = 0;

	for (size_t i = 0; i < ARRAY_SIZE(f->writes); i++)
		n += f->writes[i].over;
	return n;
}

/* Is it in the database, for others too? */
static bool there(struct fixture *f, size_t i)
{
	struct state_vm vm;

	return state_vm_get(f->reader, f->writes[i].vm.id, &vm, NULL) >= 0;
}

static int write_write(struct turn_write *w, struct err *e)
{
	struct write *self = container_of(w, struct write, write);

	self->begun++;
	self->seen = over(self->f);
	if (state_vm_insert(self->f->d.state, &self->vm, "{}", "{}", &self->call.actor, e) < 0)
		return -e->code;
	return self->bad ? err_set(e, ERR_FAILED, "bad") : 0;
}

static void write_undo(struct turn_write *w)
{
	container_of(w, struct write, write)->undone++;
}

static void write_done(struct turn_write *w, const struct err *why)
{
	struct write *self = container_of(w, struct write, write);
	size_t i = (size_t)(self - self->f->writes);

	assert_false(self->over);
	self->over = true;
	self->code = why ? why->code : 0;
	assert_int_equal(there(self->f, i), !why);
}

static const struct turn_ops write_ops = { .write = write_write,
					   .undo = write_undo,
					   .done = write_done };

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));
	struct err e;

	assert_non_null(f);
	f->dir = tempdir_new();
	log_init(&f->d.log, STDERR_FILENO, LOG_LEVEL_ERROR, "test");
	assert_int_equal(uv_loop_init(&f->d.loop), 0);
	assert_int_equal(state_open(f->dir, &f->d.state, &e), 0);
	assert_int_equal(state_open(f->dir, &f->reader, &e), 0);
	f->d.events = event_hub_new(&f->d.loop, f->d.state, &f->d.log);
	assert_int_equal(turn_new(&f->d, &f->d.turn, &e), 0);
	for (size_t i = 0; i < ARRAY_SIZE(f->writes); i++) {
		struct write *w = &f->writes[i];

		w->f = f;
		w->call = (struct call){ .client = &f->clients[i], .method = &own };
		w->vm = (struct state_vm){ .vcpus = 1, .memory = 1 << 20, .profile = "micro" };
		state_uuid(w->vm.id);
		snprintf(w->vm.name, sizeof(w->vm.name), "vm%zu", i);
		w->write = (struct turn_write){
			.ops = &write_ops, .call = &w->call, .id = w->vm.id, .name = w->vm.name
		};
	}
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	turn_close(f->d.turn);
	event_hub_close(f->d.events);
	uv_run(&f->d.loop, UV_RUN_DEFAULT);
	assert_int_equal(uv_loop_close(&f->d.loop), 0);
	turn_free(f->d.turn);
	event_hub_free(f->d.events);
	state_close(f->reader);
	state_close(f->d.state);
	tempdir_remove(f->dir);
	free(f);
	return 0;
}

static void add(struct fixture *f, size_t n)
{
	for (size_t i = 0; i < n; i++)
		turn_add(f->d.turn, &f->writes[i].write);
}

static void never(uv_timer_t *timer)
{
	fail_msg("the turn does not end: %p", (void *)timer);
}

static void test_one_transaction(void **state)
{
	struct fixture *f = *state;
	uv_timer_t timer; /* a loop without work has no turns */

	uv_timer_init(&f->d.loop, &timer);
	uv_timer_start(&timer, never, 60000, 0);
	add(f, 3);
	assert_int_equal(f->writes[0].begun, 0);
	uv_run(&f->d.loop, UV_RUN_NOWAIT);
	uv_close((uv_handle_t *)&timer, NULL);
	uv_run(&f->d.loop, UV_RUN_NOWAIT);
	assert_int_equal(over(f), 3);
	for (size_t i = 0; i < 3; i++) {
		assert_int_equal(f->writes[i].begun, 1);
		assert_int_equal(f->writes[i].undone, 0);
		assert_int_equal(f->writes[i].code, 0);
		/* all were written before anyone was told */
		assert_int_equal(f->writes[i].seen, 0);
	}
}

/* One that is refused is no harm to the others, and leaves nothing. */
static void test_one_fails(void **state)
{
	struct fixture *f = *state;

	f->writes[1].bad = true;
	add(f, 3);
	turn_flush(f->d.turn);
	assert_int_equal(over(f), 3);
	assert_int_equal(f->writes[0].code, 0);
	assert_int_equal(f->writes[1].code, ERR_FAILED);
	assert_int_equal(f->writes[2].code, 0);
	assert_int_equal(f->writes[0].begun, 2);
	assert_int_equal(f->writes[0].undone, 1);
	assert_int_equal(f->writes[1].undone, 2);
	assert_int_equal(f->writes[2].begun, 1); /* the first time it was not reached */
	assert_int_equal(f->writes[2].undone, 0);
}

static void test_the_only_one_fails(void **state)
{
	struct fixture *f = *state;

	f->writes[0].bad = true;
	add(f, 1);
	turn_flush(f->d.turn);
	assert_int_equal(f->writes[0].code, ERR_FAILED);
	assert_int_equal(f->writes[0].begun, 1); /* it is not tried again */
	assert_int_equal(f->writes[0].undone, 1);
}

/* No room for any of it */
static void test_full_disk(void **state)
{
	struct rlimit old, none = { .rlim_cur = 1, .rlim_max = RLIM_INFINITY };
	struct fixture *f = *state;

	assert_int_equal(getrlimit(RLIMIT_FSIZE, &old), 0);
	none.rlim_max = old.rlim_max;
	add(f, 3);
	signal(SIGXFSZ, SIG_IGN);
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &none), 0);
	turn_flush(f->d.turn);
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &old), 0);
	assert_int_equal(over(f), 3);
	for (size_t i = 0; i < 3; i++) {
		assert_int_equal(f->writes[i].code, ERR_STATE);
		assert_int_equal(f->writes[i].undone, f->writes[i].begun);
	}
}

/* Does a call end the turn? */
static bool flushes(struct fixture *f, const struct method *method, size_t client,
		    const char *params)
{
	struct call call = { .client = &f->clients[client], .method = method };
	struct err e;

	assert_int_equal(json_parse(params, strlen(params), &call.params, &e), 0);
	turn_before(f->d.turn, &call);
	json_object_put(call.params);
	return over(f);
}

static void test_who_waits(void **state)
{
	struct fixture *f = *state;
	char params[128];

	/* nothing was asked before */
	assert_false(flushes(f, &other, 1, "{}"));
	add(f, 1);
	assert_false(flushes(f, &own, 1, "{\"vm\": \"vm1\"}"));
	assert_false(flushes(f, &own, 1, "{\"definition\": {\"name\": \"vm1\"}}"));
	assert_int_equal(f->writes[0].begun, 0);
	snprintf(params, sizeof(params), "{\"vm\": \"%s\"}", f->writes[1].vm.id);
	assert_false(flushes(f, &own, 1, params));
	assert_true(flushes(f, &other, 1, "{\"vm\": \"vm1\"}"));
}

static void test_same_client_waits(void **state)
{
	add(*state, 1);
	assert_true(flushes(*state, &own, 0, "{\"vm\": \"vm1\"}"));
}

static void test_same_vm_waits(void **state)
{
	add(*state, 1);
	assert_true(flushes(*state, &own, 1, "{\"vm\": \"vm0\"}"));
}

static void test_same_definition_waits(void **state)
{
	add(*state, 1);
	assert_true(flushes(*state, &own, 1, "{\"definition\": {\"name\": \"vm0\"}}"));
}

static void test_part_of_an_id_waits(void **state)
{
	struct fixture *f = *state;
	char params[128];

	add(f, 1);
	snprintf(params, sizeof(params), "{\"vm\": \"%.4s\"}", f->writes[0].vm.id);
	assert_true(flushes(f, &own, 1, params));
}

static void test_the_end(void **state)
{
	struct fixture *f = *state;

	add(f, 2);
	turn_close(f->d.turn);
	assert_int_equal(over(f), 2);
	turn_add(f->d.turn, &f->writes[2].write);
	assert_int_equal(over(f), 3);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_one_transaction, setup, teardown),
		cmocka_unit_test_setup_teardown(test_one_fails, setup, teardown),
		cmocka_unit_test_setup_teardown(test_the_only_one_fails, setup, teardown),
		cmocka_unit_test_setup_teardown(test_full_disk, setup, teardown),
		cmocka_unit_test_setup_teardown(test_who_waits, setup, teardown),
		cmocka_unit_test_setup_teardown(test_same_client_waits, setup, teardown),
		cmocka_unit_test_setup_teardown(test_same_vm_waits, setup, teardown),
		cmocka_unit_test_setup_teardown(test_same_definition_waits, setup, teardown),
		cmocka_unit_test_setup_teardown(test_part_of_an_id_waits, setup, teardown),
		cmocka_unit_test_setup_teardown(test_the_end, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
