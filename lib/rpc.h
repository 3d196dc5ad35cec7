/* SPDX-License-Identifier: MIT */
/*
 * JSON-RPC 2.0 messages (https://www.jsonrpc.org/specification), apart from any transport. What carries
 * descriptors has a member "fds": their number (lib/conn.h).
 */
#ifndef LIB_RPC_H
#define LIB_RPC_H

#include "lib/err.h"
#include "lib/json.h"

#define RPC_LINE_MAX (1024 * 1024) /* bytes of one message with its LF */

enum rpc_kind { RPC_REQUEST, RPC_NOTIFICATION, RPC_RESULT, RPC_ERROR };

/* A message taken apart; all borrowed from it. */
struct rpc_msg {
	enum rpc_kind kind;
	const char *method;	    /* request, notification */
	struct json_object *id;	    /* request, result, error; NULL is the JSON null */
	struct json_object *params; /* request, notification: an object, or NULL when absent */
	struct json_object *result; /* result */
	struct json_object *error;  /* error */
};

/* -ERR_RPC_REQUEST with what is wrong; ret->id is set when it could be read. */
int rpc_msg_parse(struct json_object *msg, struct rpc_msg *ret, struct err *e);

/* Messages; params may be NULL. id is borrowed (NULL: JSON null), take_* are taken over. */
struct json_object *rpc_request(int64_t id, const char *method, struct json_object *take_params);
struct json_object *rpc_notification(const char *method, struct json_object *take_params);
struct json_object *rpc_result(struct json_object *id, struct json_object *take_result);
/*
 * {code, message, data: {name, cause: ["…"], hint?, retryable, doc, …take_data's members}}. Code, name
 * and retryable come from the catalogue (lib/errcat.h); cause is the chain behind message, nearest
 * first; doc is the command that tells more.
 */
struct json_object *rpc_error(struct json_object *id, const struct err *e,
			      struct json_object *take_data);
/* The same with an error member that was made before; borrowed. */
struct json_object *rpc_error_again(struct json_object *id, struct json_object *error);
/* An error member back to struct err. What does not look like one becomes ERR_FAILED. Negative. */
int rpc_error_to_err(struct json_object *error, struct err *e);

#endif
