// SPDX-License-Identifier: MIT
/* A line of the wire: parsed, taken apart, printed; what was accepted once is accepted again, the same. */
#include <string.h>

#include "lib/auto.h"
#include "lib/json.h"
#include "lib/rpc.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	AUTO_JSON struct json_object *first = NULL, *second = NULL;
	struct rpc_msg msg;
	const char *text;
	struct err e;
	size_t len;

	if (json_parse((const char *)data, size, &first, &e) < 0)
		return 0;
	rpc_msg_parse(first, &msg, &e);
	text = json_object_to_json_string_length(first, JSON_C_TO_STRING_PLAIN, &len);
	if (json_parse(text, len, &second, &e) < 0 || !json_object_equal(first, second))
		__builtin_trap();
	return 0;
}
