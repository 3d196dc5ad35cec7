// SPDX-License-Identifier: MIT
/* vmd/audit: what a line says, and that there are not too many. */
#include "tests/lib/test.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "lib/auto.h"
#include "lib/errcat.h"
#include "lib/fdio.h"
#include "lib/rpc.h"
#include "vmd/audit.h"
#include "vmd/call.h"
#include "vmd/methods.h"

struct fixture {
	struct log log;
	int pipe[2];
	struct audit audit;
	struct call call;
	char text[65536];
};

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	assert_non_null(f);
	assert_int_equal(pipe(f->pipe), 0);
	log_init(&f->log, f->pipe[1], LOG_LEVEL_INFO, "vmd");
	f->call = (struct call){ .method = method_find("vm.start"),
				 .params = json_new(),
				 .actor = { .uid = 1000, .pid = 12, .program = "vmctl" } };
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	json_object_put(f->call.params);
	close(f->pipe[0]);
	close(f->pipe[1]);
	free(f);
	return 0;
}

static void audit(struct fixture *f, uint64_t now_ms, const struct err *why)
{
	AUTO_JSON struct json_object *answer =
		why ? rpc_error(NULL, why, NULL) : rpc_result(NULL, NULL);

	audit_call(&f->audit, &f->log, now_ms, &f->call, answer);
}

/* What was written since the last time; the length of the time before the text is always the same. */
static const char *written(struct fixture *f)
{
	ssize_t n = read(f->pipe[0], f->text, sizeof(f->text) - 1);

	assert_true(n > 0);
	f->text[n] = '\0';
	return f->text + strlen("2026-01-31T12:00:00.123Z ");
}

static void test_lines(void **state)
{
	struct fixture *f = *state;
	struct err denied = { .code = ERR_DENIED, .msg = "no" };

	json_add_str(f->call.params, "vm", "one");
	audit(f, 0, NULL);
	assert_string_equal(
		written(f),
		"info vmd: audit: vm.start 'one': ok; uid 1000, pid 12, program vmctl\n");
	/* what a client writes cannot look like something that vmd says */
	json_add_str(f->call.params, "vm", "x': ok; uid 0\n");
	snprintf(f->call.actor.program, sizeof(f->call.actor.program), "a\nb");
	audit(f, 0, &denied);
	assert_string_equal(
		written(f),
		"info vmd: audit: vm.start 'x': denied; uid 1000, pid 12, program a b\n");
	json_object_put(f->call.params);
	f->call.params = json_add_bool(json_new(), "dry_run", true);
	json_add(f->call.params, "definition", json_add_str(json_new(), "name", "two"));
	audit(f, 0, NULL);
	assert_string_equal(
		written(f),
		"info vmd: audit: vm.start 'two' (dry run): ok; uid 1000, pid 12, program a b\n");
}

/* Each kind of thing that a method is about. */
static void test_targets(void **state)
{
	static const struct {
		const char *method, *params, *target;
	} cases[] = {
		{ "vm.revert", "{\"vm\":\"db1\",\"to\":3}", "db1" },
		{ "vm.apply", "{\"definition\":{\"name\":\"web\"}}", "web" },
		{ "pool.apply", "{\"pool\":{\"kind\":\"pool\",\"name\":\"front\"}}", "front" },
		{ "pool.delete", "{\"name\":\"front\"}", "front" },
		{ "pool.revert", "{\"name\":\"front\",\"to\":1}", "front" },
		{ "sriov.pf.set", "{\"pci\":\"0000:3b:00.0\",\"vfs\":4}", "0000:3b:00.0" },
		{ "pci.release", "{\"pci\":\"0000:3b:02.1\"}", "0000:3b:02.1" },
		{ "job.cancel", "{\"job\":\"j-1a2b3c4d\"}", "j-1a2b3c4d" },
		{ "pool.apply", "{\"pool\":7,\"name\":[],\"vm\":{}}", "" },
		{ "pool.delete", "{\"name\":\"x': ok; uid 0\"}", "x" },
	};
	struct fixture *f = *state;
	char want[200];

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		json_object_put(f->call.params);
		assert_int_equal(json_parse(cases[i].params, strlen(cases[i].params),
					    &f->call.params, NULL),
				 0);
		f->call.method = method_find(cases[i].method);
		assert_non_null(f->call.method);
		audit(f, 0, NULL);
		snprintf(want, sizeof(want),
			 "info vmd: audit: %s '%s': ok; uid 1000, pid 12, program vmctl\n",
			 cases[i].method, cases[i].target);
		assert_string_equal(written(f), want);
	}
}

static void test_rate(void **state)
{
	struct fixture *f = *state;
	const char *text;
	unsigned int lines = 0;

	for (int i = 0; i < AUDIT_LINES_MAX + 7; i++)
		audit(f, 5000, NULL);
	for (text = written(f); (text = strchr(text, '\n')); text++)
		lines++;
	assert_int_equal(lines, AUDIT_LINES_MAX);
	audit(f, 6000, NULL);
	assert_non_null(
		strstr(written(f), "warn vmd: audit: 7 calls more were not written down\n"));
	audit(f, 7000, NULL);
	assert_null(strstr(written(f), "warn"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_lines, setup, teardown),
		cmocka_unit_test_setup_teardown(test_targets, setup, teardown),
		cmocka_unit_test_setup_teardown(test_rate, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
