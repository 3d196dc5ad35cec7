// SPDX-License-Identifier: MIT
/*
 * Method vm.send_key: keys by their names, or a text, for the keyboard of a running VM. Names end here; the monitor
 * gets codes, and takes all of them or none. On the loop's thread.
 */
#include "vmd/methods.h"

#include <stdlib.h>

#include "lib/auto.h"
#include "lib/errcat.h"
#include "lib/keys.h"
#include "vmd/daemon.h"
#include "vmd/guest.h"

#define INPUT_HOLD_MS 20

struct input_call {
	struct call *call;
	struct json_object *result; /* owned */
};

static void input_done(void *arg, struct json_object *said, const struct err *why)
{
	struct input_call *i = arg;

	(void)said;
	if (why)
		call_fail(i->call, why, NULL);
	else
		call_reply(i->call, TAKE_PTR(i->result));
	json_object_put(i->result);
	free(i);
}

static void input_add(struct json_object *list, const struct keys_chord *c)
{
	struct json_object *codes = json_object_new_array();

	for (unsigned int i = 0; i < c->n; i++)
		json_object_array_add(codes, json_object_new_int(c->codes[i]));
	json_object_array_add(list, codes);
}

static int input_keys(struct json_object *keys, struct json_object *list, struct err *e)
{
	for (size_t i = 0; i < json_object_array_length(keys); i++) {
		struct keys_chord c;
		struct err why;

		if (keys_parse(json_object_get_string(json_object_array_get_idx(keys, i)), &c,
			       &why) < 0)
			return err_set(e, ERR_RPC_PARAMS, "vm.send_key: /keys/%zu: %s", i, why.msg);
		input_add(list, &c);
	}
	return 0;
}

static int input_text(const char *text, struct json_object *list, struct err *e)
{
	while (*text) {
		struct keys_chord c;
		struct err why;
		int len = keys_char(text, &c, &why);

		if (len < 0)
			return err_set(e, ERR_RPC_PARAMS, "vm.send_key: /text: %s", why.msg);
		input_add(list, &c);
		text += len;
	}
	return 0;
}

/* What a schema cannot say: one of both, and which keys there are. */
static int input_chords(struct json_object *params, struct json_object *list, struct err *e)
{
	struct json_object *keys = json_get(params, "keys");
	const char *text = json_get_str(params, "text", NULL);

	if (!keys == !text)
		return err_set(e, ERR_RPC_PARAMS, "vm.send_key: needs keys or text, one of them");
	return keys ? input_keys(keys, list, e) : input_text(text, list, e);
}

void method_vm_send_key(struct daemon *d, struct call *call)
{
	AUTO_JSON struct json_object *list = json_object_new_array();
	struct input_call *i;
	struct json_object *params;
	struct guest *g;
	struct err e;

	if (input_chords(call->params, list, &e) < 0) {
		call_fail(call, &e, NULL);
		return;
	}
	g = method_running_guest(d, call);
	if (!g)
		return;
	i = calloc(1, sizeof(*i));
	if (!i) {
		err_set(&e, ERR_RPC_INTERNAL, "out of memory");
		call_fail(call, &e, NULL);
		guest_put(g);
		return;
	}
	i->call = call;
	i->result = json_add_str(json_new(), "name", g->name);
	json_add_str(i->result, "state", guest_state_name(g));
	json_add_int(i->result, "keys", (int64_t)json_object_array_length(list));
	params = json_add(json_new(), "chords", json_object_get(list));
	json_add_int(params, "hold_ms", json_get_int(call->params, "hold_ms", INPUT_HOLD_MS));
	vmproc_call(g->proc, "machine.keys", params, NULL, guest_call_ms(g), input_done, i);
	guest_put(g);
}
