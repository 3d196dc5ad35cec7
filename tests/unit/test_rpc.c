// SPDX-License-Identifier: MIT
/* lib/rpc: what a message is, and errors there and back. */
#include "tests/lib/test.h"

#include <string.h>

#include "lib/auto.h"
#include "lib/errcat.h"
#include "lib/rpc.h"

static const struct {
	const char *text;
	int kind; /* -1: refused */
} rpc_rows[] = {
	{ "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"a\"}", RPC_REQUEST },
	{ "{\"jsonrpc\":\"2.0\",\"id\":\"x\",\"method\":\"a\",\"params\":{}}", RPC_REQUEST },
	{ "{\"jsonrpc\":\"2.0\",\"id\":null,\"method\":\"a\"}", RPC_REQUEST },
	{ "{\"jsonrpc\":\"2.0\",\"method\":\"a\"}", RPC_NOTIFICATION },
	{ "{\"jsonrpc\":\"2.0\",\"id\":1,\"result\":{}}", RPC_RESULT },
	{ "{\"jsonrpc\":\"2.0\",\"id\":1,\"error\":{\"code\":1}}", RPC_ERROR },
	{ "{\"id\":1,\"method\":\"a\"}", -1 },
	{ "{\"jsonrpc\":\"1.0\",\"id\":1,\"method\":\"a\"}", -1 },
	{ "{\"jsonrpc\":\"2.0\",\"id\":[],\"method\":\"a\"}", -1 },
	{ "{\"jsonrpc\":\"2.0\",\"id\":1.5,\"method\":\"a\"}", -1 },
	{ "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":5}", -1 },
	{ "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"a\",\"params\":[]}", -1 },
	{ "{\"jsonrpc\":\"2.0\",\"id\":1}", -1 },
	{ "[]", -1 },
	{ "5", -1 },
};

static void test_rpc_messages(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rpc_rows); i++) {
		AUTO_JSON struct json_object *o = NULL;
		struct rpc_msg m;
		struct err e = { 0 };
		int ret;

		assert_int_equal(json_parse(rpc_rows[i].text, strlen(rpc_rows[i].text), &o, NULL),
				 0);
		ret = rpc_msg_parse(o, &m, &e);
		if (rpc_rows[i].kind < 0)
			assert_true(ret < 0 && e.code == ERR_RPC_REQUEST);
		else
			assert_true(ret >= 0 && (int)m.kind == rpc_rows[i].kind);
	}
}

static void test_rpc_error_round_trip(void **state)
{
	AUTO_JSON struct json_object *msg = NULL;
	struct err e, back = { 0 };

	(void)state;
	err_set(&e, ERR_VM_STATE, "VM 'x' is running");
	err_hint(&e, "stop it first");
	err_because(&e, "no delete");
	err_add_cause(&e, "deeper");
	msg = rpc_error(NULL, &e, json_add_str(json_new(), "path", "/a"));
	rpc_error_to_err(json_get(msg, "error"), &back);
	assert_int_equal(back.code, ERR_VM_STATE);
	assert_string_equal(back.msg, e.msg);
	assert_string_equal(back.hint, e.hint);
	assert_string_equal(back.cause, "VM 'x' is running\ndeeper");
	assert_string_equal(json_object_get_string(json_at(msg, "/error/data/cause/1")), "deeper");
	assert_string_equal(json_get_str(json_at(msg, "/error/data"), "doc", ""),
			    "vmctl explain E1202");
	assert_false(json_get_bool(json_at(msg, "/error/data"), "retryable", true));
	assert_string_equal(json_get_str(json_at(msg, "/error/data"), "name", ""),
			    "vm.wrong_state");
	assert_string_equal(json_get_str(json_at(msg, "/error/data"), "path", ""), "/a");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_rpc_messages),
		cmocka_unit_test(test_rpc_error_round_trip),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
