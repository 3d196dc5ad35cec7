// SPDX-License-Identifier: MIT
/* Keys that vmd sends: see control.h. Control loop. */
#include "vmm/control_impl.h"

#include <errno.h>
#include <stdlib.h>

#include "lib/auto.h"
#include "lib/errcat.h"
#include "vmm/input.h"
#include "vmm/machine.h"

static int control_chord(struct json_object *keys, int64_t hold_ms, struct input_chord *ret,
			 struct err *e)
{
	size_t n = json_object_is_type(keys, json_type_array) ? json_object_array_length(keys) : 0;
	int64_t code;

	if (!n || n > INPUT_CHORD_MAX)
		return err_set(e, ERR_RPC_PARAMS, "a chord has 1 to %d keys", INPUT_CHORD_MAX);
	*ret = (struct input_chord){ .nkeys = (uint8_t)n, .hold_ms = (uint16_t)hold_ms };
	for (size_t i = 0; i < n; i++) {
		if (!json_int(json_object_array_get_idx(keys, i), &code) || code < 0 ||
		    code > UINT16_MAX)
			return err_set(e, ERR_RPC_PARAMS, "a key is a number up to %d", UINT16_MAX);
		ret->keys[i] = (uint16_t)code;
	}
	return 0;
}

int control_keys(struct control *c, struct control_call *call, struct json_object **ret_result,
		 struct err *e)
{
	struct json_object *list = json_get(call->params, "chords");
	size_t n = json_object_is_type(list, json_type_array) ? json_object_array_length(list) : 0;
	int64_t hold_ms = json_get_int(call->params, "hold_ms", 0);
	AUTO_FREE struct input_chord *chords = NULL;
	int r = 0;

	if (!c->machine || c->ended)
		return err_set(e, ERR_VM_STATE, "the machine is %s", control_state(c));
	if (!n || n > INPUT_CHORDS_MAX)
		return err_set(e, ERR_RPC_PARAMS, "'chords' are 1 to %d", INPUT_CHORDS_MAX);
	if (hold_ms < 0 || hold_ms > INPUT_HOLD_MAX_MS)
		return err_set(e, ERR_RPC_PARAMS, "'hold_ms' is not 0 to %d", INPUT_HOLD_MAX_MS);
	chords = calloc(n, sizeof(*chords));
	if (!chords)
		return err_ret(e, -ENOMEM, "keys");
	for (size_t i = 0; i < n && r >= 0; i++)
		r = control_chord(json_object_array_get_idx(list, i), hold_ms, &chords[i], e);
	if (r >= 0)
		r = machine_type(c->machine, chords, (unsigned int)n, e);
	if (r >= 0)
		*ret_result = json_add_int(json_new(), "keys", (int64_t)n);
	return r;
}
