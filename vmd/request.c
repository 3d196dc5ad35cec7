// SPDX-License-Identifier: MIT
/* Repeated requests: see request.h; the table is state/request.c's. On the loop's thread. */
#include "vmd/request.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/auto.h"
#include "lib/errcat.h"
#include "vmd/call.h"
#include "vmd/daemon.h"
#include "vmd/methods.h"

#define REQUEST_ANSWER_MAX 16384 /* a longer one is not kept: all of them have to fit the disk */
#define REQUEST_HASH_BASE 0xcbf29ce484222325u /* FNV-1a */
#define REQUEST_HASH_PRIME 0x100000001b3u

/* One under way. */
struct request {
	struct request *next;
	struct state_request row;
	struct call *waiting; /* repetitions, by their own lists' next_waiting */
};

struct requests {
	struct request *list; /* owned */
};

struct requests *requests_new(void)
{
	return calloc(1, sizeof(struct requests));
}

void requests_free(struct requests *set)
{
	if (!set)
		return;
	while (set->list) {
		struct request *r = set->list;

		set->list = r->next;
		free(r);
	}
	free(set);
}

static uint64_t request_hash_bytes(uint64_t hash, const void *data, size_t len)
{
	const unsigned char *p = data;

	for (size_t i = 0; i < len; i++)
		hash = (hash ^ p[i]) * REQUEST_HASH_PRIME;
	return hash;
}

/* Of a value, whatever the order of members is. A user could only find a collision with itself. */
static uint64_t request_hash(struct json_object *value)
{
	enum json_type type = json_object_get_type(value);
	uint64_t hash = request_hash_bytes(REQUEST_HASH_BASE, &type, sizeof(type)), sum = 0, item;

	if (type == json_type_object) {
		json_object_object_foreach(value, key, member) {
			item = request_hash(member);
			sum += request_hash_bytes(item, key, strlen(key));
		}
		return request_hash_bytes(hash, &sum, sizeof(sum));
	}
	if (type == json_type_array) {
		for (size_t i = 0; i < json_object_array_length(value); i++) {
			item = request_hash(json_object_array_get_idx(value, i));
			hash = request_hash_bytes(hash, &item, sizeof(item));
		}
		return hash;
	}
	return request_hash_bytes(hash, json_object_get_string(value),
				  value ? strlen(json_object_get_string(value)) : 0);
}

static void request_row(const struct call *call, const char *id, struct state_request *ret)
{
	struct json_object *params = json_clone(call->params);

	*ret = (struct state_request){ .uid = call->actor.uid };
	snprintf(ret->id, sizeof(ret->id), "%s", id);
	snprintf(ret->method, sizeof(ret->method), "%s", call->method->name);
	/* how long to wait may differ from the first time */
	json_object_object_del(params, "request_id");
	json_object_object_del(params, "timeout_ms");
	ret->digest = (int64_t)request_hash(params);
	json_object_put(params);
}

static int request_check_same(const struct state_request *first, const struct state_request *again,
			      struct err *e)
{
	if (first->digest == again->digest && !strcmp(first->method, again->method))
		return 0;
	err_set(e, ERR_REQUEST_REUSED,
		"request_id '%s' stands for a request (%s) with other parameters", first->id,
		first->method);
	return err_hint(e, "a new request needs a new request_id");
}

/* It was begun some time; 1 when it is answered now. */
static int request_repeat(struct call *call, const struct state_request *row, const char *answer,
			  struct err *e)
{
	AUTO_JSON struct json_object *value = NULL;

	if (!answer) {
		err_set(e, ERR_REQUEST_LOST,
			"vmd has no answer to request '%s' (%s): it ended meanwhile, or the answer "
			"was too long to keep",
			row->id, row->method);
		return err_hint(e, "see what came of it, then ask with a new request_id");
	}
	if (json_parse(answer, strlen(answer), &value, e) < 0)
		return err_wrap(e, "the answer to request '%s'", row->id);
	call_answer(call, value);
	return 1;
}

static struct request *request_find(struct requests *set, const struct state_request *row)
{
	struct request *r = set->list;

	while (r && (r->row.uid != row->uid || strcmp(r->row.id, row->id)))
		r = r->next;
	return r;
}

static int request_new(struct requests *set, struct call *call, const struct state_request *row,
		       struct err *e)
{
	struct request *r = calloc(1, sizeof(*r));
	int ret;

	if (!r)
		return err_ret(e, -ENOMEM, "cannot begin request '%s'", row->id);
	ret = state_request_begin(call->daemon->state, row, state_now_ms(), e);
	if (ret < 0) {
		free(r);
		return ret;
	}
	r->row = *row;
	r->next = set->list;
	set->list = r;
	call->request = r;
	return 0;
}

int request_begin(struct requests *set, struct call *call, struct err *e)
{
	const char *id = json_get_str(call->params, "request_id", NULL);
	struct state_request row, first;
	AUTO_FREE char *answer = NULL;
	struct request *r;
	int ret;

	/* what changes nothing may well be asked again */
	if (!id || json_get_bool(call->params, "dry_run", false))
		return 0;
	request_row(call, id, &row);
	r = request_find(set, &row);
	if (r) {
		ret = request_check_same(&r->row, &row, e);
		if (ret < 0)
			return ret;
		call->next_waiting = r->waiting;
		r->waiting = call;
		return 1;
	}
	ret = state_request_find(call->daemon->state, row.uid, row.id, state_now_ms(), &first,
				 &answer, e);
	if (ret > 0) {
		ret = request_check_same(&first, &row, e);
		return ret < 0 ? ret : request_repeat(call, &first, answer, e);
	}
	return ret < 0 ? ret : request_new(set, call, &row, e);
}

/* Nothing was done: a repetition should be. */
static bool request_in_vain(struct json_object *answer)
{
	int64_t code = json_get_int(json_get(answer, "error"), "code", 0);

	return code == ERR_BUSY || code == ERR_RPC_INTERNAL;
}

void request_end(struct requests *set, struct call *call, struct json_object *answer)
{
	const char *text = json_object_to_json_string_ext(answer, JSON_C_TO_STRING_PLAIN);
	struct request **link = &set->list, *r = call->request;
	struct state *s = call->daemon->state;
	struct err e;
	int ret = 0;

	if (request_in_vain(answer))
		ret = state_request_forget(s, r->row.uid, r->row.id, &e);
	else if (strlen(text) <= REQUEST_ANSWER_MAX)
		ret = state_request_end(s, r->row.uid, r->row.id, text, state_now_ms(), &e);
	if (ret < 0)
		log_error(&call->daemon->log, "the answer to request '%s' is not kept: %s",
			  r->row.id, e.msg);
	while (*link != r)
		link = &(*link)->next;
	*link = r->next;
	while (r->waiting) {
		struct call *waiting = r->waiting;

		r->waiting = waiting->next_waiting;
		call_answer(waiting, answer);
	}
	free(r);
}
