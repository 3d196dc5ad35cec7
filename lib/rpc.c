// SPDX-License-Identifier: MIT
/* JSON-RPC 2.0 messages: see rpc.h. Any thread. */
#include "lib/rpc.h"

#include <string.h>

#include "lib/errcat.h"

#define RPC_CAUSES_MAX 16 /* struct err holds a few short ones */

static int rpc_check_request(struct json_object *msg, struct rpc_msg *ret, struct err *e)
{
	struct json_object *method = json_get(msg, "method"), *params = NULL;
	bool has_id = json_object_object_get_ex(msg, "id", NULL);

	if (!json_object_is_type(method, json_type_string))
		return err_set(e, ERR_RPC_REQUEST, "'method' must be a string");
	if (json_object_object_get_ex(msg, "params", &params) &&
	    !json_object_is_type(params, json_type_object))
		return err_set(e, ERR_RPC_REQUEST, "'params' must be an object");
	ret->kind = has_id ? RPC_REQUEST : RPC_NOTIFICATION;
	ret->method = json_object_get_string(method);
	ret->params = params;
	return 0;
}

int rpc_msg_parse(struct json_object *msg, struct rpc_msg *ret, struct err *e)
{
	struct json_object *id = NULL;
	const char *version;

	*ret = (struct rpc_msg){ .kind = RPC_REQUEST };
	if (!json_object_is_type(msg, json_type_object))
		return err_set(e, ERR_RPC_REQUEST, "a message must be an object");
	if (json_object_object_get_ex(msg, "id", &id) && id &&
	    !json_object_is_type(id, json_type_string) && !json_object_is_type(id, json_type_int))
		return err_set(e, ERR_RPC_REQUEST, "'id' must be a string, an integer or null");
	ret->id = id;
	version = json_get_str(msg, "jsonrpc", "");
	if (strcmp(version, "2.0"))
		return err_set(e, ERR_RPC_REQUEST, "'jsonrpc' must be \"2.0\"");
	if (json_object_object_get_ex(msg, "method", NULL))
		return rpc_check_request(msg, ret, e);
	if (json_object_object_get_ex(msg, "result", &ret->result)) {
		ret->kind = RPC_RESULT;
		return 0;
	}
	ret->error = json_get(msg, "error");
	if (!ret->error)
		return err_set(e, ERR_RPC_REQUEST, "neither 'method', 'result' nor 'error'");
	ret->kind = RPC_ERROR;
	return 0;
}

static struct json_object *rpc_new(void)
{
	return json_add_str(json_new(), "jsonrpc", "2.0");
}

struct json_object *rpc_request(int64_t id, const char *method, struct json_object *take_params)
{
	struct json_object *o = rpc_notification(method, take_params);

	return json_add_int(o, "id", id);
}

struct json_object *rpc_notification(const char *method, struct json_object *take_params)
{
	struct json_object *o = json_add_str(rpc_new(), "method", method);

	return take_params ? json_add(o, "params", take_params) : o;
}

struct json_object *rpc_result(struct json_object *id, struct json_object *take_result)
{
	struct json_object *o = json_add(rpc_new(), "id", json_object_get(id));

	return json_add(o, "result", take_result ? take_result : json_new());
}

static struct json_object *rpc_causes(const struct err *e)
{
	struct json_object *list = json_object_new_array();
	const char *at = e->cause;
	char cause[sizeof(e->cause)];

	while (err_next_cause(&at, cause, sizeof(cause)))
		json_object_array_add(list, json_object_new_string(cause));
	return list;
}

struct json_object *rpc_error(struct json_object *id, const struct err *e,
			      struct json_object *take_data)
{
	const struct errcat_entry *entry = errcat_find(e->code);
	struct json_object *data = take_data ? take_data : json_new();
	struct json_object *error = json_new();
	char label[16];

	json_add_str(data, "name", entry->name);
	json_add(data, "cause", rpc_causes(e));
	if (e->hint[0])
		json_add_str(data, "hint", e->hint);
	json_add_bool(data, "retryable", entry->retryable);
	json_add_fmt(data, "doc", "vmctl explain %s", errcat_label(entry->code, label));
	json_add_int(error, "code", entry->code);
	json_add_str(error, "message", e->msg);
	json_add(error, "data", data);
	return json_add(json_add(rpc_new(), "id", json_object_get(id)), "error", error);
}

struct json_object *rpc_error_again(struct json_object *id, struct json_object *error)
{
	struct json_object *o = json_add(rpc_new(), "id", json_object_get(id));

	return json_add(o, "error", json_object_get(error));
}

static void rpc_take_cause(struct json_object *cause, struct err *e)
{
	const char *text =
		json_object_is_type(cause, json_type_string) ? json_object_get_string(cause) : "";

	if (text[0])
		err_add_cause(e, "%s", text);
}

int rpc_error_to_err(struct json_object *error, struct err *e)
{
	int64_t code = json_get_int(error, "code", ERR_FAILED);
	struct json_object *data = json_get(error, "data");
	const char *hint = json_get_str(data, "hint", "");
	struct json_object *cause = json_get(data, "cause");

	if (code < INT32_MIN || code > INT32_MAX || !code)
		code = ERR_FAILED;
	err_set(e, (int)code, "%s", json_get_str(error, "message", "an error without a message"));
	if (hint[0])
		err_hint(e, "%s", hint);
	for (size_t i = 0; json_object_is_type(cause, json_type_array) &&
			   i < MIN(json_object_array_length(cause), (size_t)RPC_CAUSES_MAX);
	     i++)
		rpc_take_cause(json_object_array_get_idx(cause, i), e);
	return code > 0 ? -(int)code : (int)code;
}
