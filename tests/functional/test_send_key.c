// SPDX-License-Identifier: MIT
/*
 * vm.send_key and vmctl send-key: a guest that tells each scan code (tests/guest/ps2.c) in the real vmm, in its cage.
 */
#include <stdio.h>
#include <string.h>

#include "lib/errcat.h"
#include "tests/functional/scene.h"

/* A guest on the modern profile, where the devices are the definition's own. */
static struct client *start_guest(struct harness *h, const char *devices)
{
	char members[256];

	snprintf(members, sizeof(members), "'devices': [%s]", devices);
	return scene_start_guest(h, "ps2", "keys=1", members);
}

#define BOTH "{'type': 'debug-port'}, {'type': 'ps2-keyboard'}, {'type': 'ps2-mouse'}"

/* What the guest has said since it was "ready N" for the last time is exactly this. */
static void expect_codes(struct client *c, const char *codes)
{
	AUTO_JSON struct json_object *r = client_result(c, "vm.logs", "{'vm': 'one'}");
	struct json_object *records = json_get(r, "records");
	char got[1024] = "";

	for (size_t i = 0; i < json_object_array_length(records); i++) {
		const char *text = json_get_str(json_object_array_get_idx(records, i), "text", "");

		if (!strncmp(text, "ready", 5))
			got[0] = '\0';
		if (!strncmp(text, "code ", 5))
			snprintf(got + strlen(got), sizeof(got) - strlen(got), "%.2s ", text + 5);
	}
	assert_string_equal(got, codes);
}

static void test_keys(void **state)
{
	struct harness *h = *state;
	AUTO_JSON struct json_object *r = NULL, *text = NULL;
	struct harness_output out;
	struct client *c;

	NEEDS_KVM;
	c = start_guest(h, BOTH);
	scene_says(c, "^ready 1");
	r = client_result(c, "vm.send_key", "{'vm': 'one', 'keys': ['ctrl+alt+delete', 'a']}");
	assert_int_equal(json_get_int(r, "keys", 0), 2);
	assert_string_equal(json_get_str(r, "state", ""), "running");
	scene_says(c, "^code 9e"); /* a goes up */
	text = client_result(c, "vm.send_key", "{'vm': 'one', 'text': 'xY\\n', 'hold_ms': 0}");
	assert_int_equal(json_get_int(text, "keys", 0), 3);
	scene_says(c, "^code 9c"); /* Enter */
	assert_int_equal(harness_vmctl(h, NULL, &out, "send-key", "one", "up", "pause", NULL), 0);
	assert_string_equal(out.out, "one: sent\n");
	assert_int_equal(harness_vmctl(h, NULL, &out, "send-key", "one", "--text", "!", "--hold",
				       "100ms", NULL),
			 0);
	assert_int_equal(harness_vmctl(h, NULL, &out, "send-key", "one", "esc", NULL), 0);
	scene_says(c, "^code 81"); /* the guest ends with it */
	json_object_put(client_result(c, "vm.wait", "{'vm': 'one', 'for': 'stopped'}"));
	expect_codes(c, "1d 38 e0 53 e0 d3 b8 9d 1e 9e 2d ad 2a 15 95 aa 1c 9c "
			"e0 48 e0 c8 e1 1d 45 e1 9d c5 2a 02 82 aa 01 81 ");
}

/* In a pause they wait, and are typed after it; a reset forgets them. */
static void test_pause(void **state)
{
	struct harness *h = *state;
	struct client *c;

	NEEDS_KVM;
	c = start_guest(h, BOTH);
	scene_says(c, "^ready 1");
	json_object_put(client_result(c, "vm.pause", "{'vm': 'one'}"));
	json_object_put(client_result(c, "vm.send_key", "{'vm': 'one', 'keys': ['a', 'b', 'c']}"));
	json_object_put(client_result(c, "vm.resume", "{'vm': 'one'}"));
	scene_says(c, "^code ae"); /* c goes up */
	json_object_put(client_result(c, "vm.pause", "{'vm': 'one'}"));
	json_object_put(client_result(c, "vm.send_key", "{'vm': 'one', 'keys': ['x', 'y']}"));
	json_object_put(client_result(c, "vm.reset", "{'vm': 'one'}"));
	json_object_put(client_result(c, "vm.resume", "{'vm': 'one'}"));
	scene_says(c, "^ready 2");
	json_object_put(client_result(c, "vm.send_key", "{'vm': 'one', 'keys': ['z', 'esc']}"));
	scene_says(c, "^code 81");
	json_object_put(client_result(c, "vm.wait", "{'vm': 'one', 'for': 'stopped'}"));
	expect_codes(c, "2c ac 01 81 ");
}

/* The guest has not asked for keys when they are typed: as many wait as there is room for. */
static void test_busy(void **state)
{
	struct harness *h = *state;
	char params[1200] = "{'vm': 'one', 'text': '";
	struct client *c;

	NEEDS_KVM;
	c = start_guest(h, BOTH);
	scene_says(c, "^ready 1");
	json_object_put(client_result(c, "vm.pause", "{'vm': 'one'}"));
	memset(params + strlen(params), 'q', 1000);
	strcat(params, "'}");
	json_object_put(client_result(c, "vm.send_key", params));
	client_expect_error(c, "vm.send_key", params, ERR_BUSY,
			    "the guest has not read the 1000 keys that wait for it",
			    "at most 1024 wait: try again when it reads them");
	json_object_put(client_result(c, "vm.kill", "{'vm': 'one'}"));
}

static void test_bad_input(void **state)
{
	static const struct {
		const char *params, *message;
	} bad[] = {
		{ "{'vm': 'one'}", "vm.send_key: needs keys or text, one of them" },
		{ "{'vm': 'one', 'keys': ['a'], 'text': 'b'}",
		  "vm.send_key: needs keys or text, one of them" },
		{ "{'vm': 'one', 'keys': ['a', 'ctrl+delte']}",
		  "vm.send_key: /keys/1: there is no key 'delte'; did you mean 'delete'?" },
		{ "{'vm': 'one', 'text': 'gr\xc3\xbc\xc3\x9f'}",
		  "vm.send_key: /text: a US keyboard has no '\xc3\xbc'" },
		{ "{'vm': 'one', 'text': 'a\\u001b'}",
		  "vm.send_key: /text: no key types the byte 1bh" },
	};
	struct harness *h = *state;
	struct harness_output out;
	struct client *c;

	NEEDS_KVM;
	c = start_guest(h, "{'type': 'ps2-mouse'}");
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		client_expect_error(c, "vm.send_key", bad[i].params, ERR_RPC_PARAMS, bad[i].message,
				    "");
	client_expect_error(c, "vm.send_key", "{'vm': 'one', 'keys': ['a']}", ERR_VM_NO_KEYBOARD,
			    "the VM has no keyboard",
			    "add a device of type ps2-keyboard to the definition");
	assert_int_equal(harness_vmctl(h, NULL, &out, "send-key", "one", NULL), EXIT_USAGE);
	assert_int_equal(harness_vmctl(h, NULL, &out, "send-key", "one", "a", "--hold", "11s",
				       NULL),
			 EXIT_PRECONDITION);
	assert_non_null(strstr(out.err, "/hold_ms"));
	json_object_put(client_result(c, "vm.kill", "{'vm': 'one'}"));
	client_expect_error(c, "vm.send_key", "{'vm': 'one', 'keys': ['a']}", ERR_VM_STATE,
			    "VM 'one' is stopped", "start it first: vmctl start one");
}

int main(void)
{
#define T(fn) cmocka_unit_test_setup_teardown(fn, harness_setup, harness_teardown)
	const struct CMUnitTest tests[] = {
		T(test_keys),
		T(test_pause),
		T(test_busy),
		T(test_bad_input),
	};
#undef T

	return cmocka_run_group_tests(tests, NULL, NULL);
}
