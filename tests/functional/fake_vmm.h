/* SPDX-License-Identifier: MIT */
/* The fake vmm's parts: its life (fake_vmm.c), and what it does instead (fake_acts.c). */
#ifndef TESTS_FUNCTIONAL_FAKE_VMM_H
#define TESTS_FUNCTIONAL_FAKE_VMM_H

#include <stdint.h>

#include "lib/fdio.h"
#include "lib/json.h"
#include "lib/rpc.h"

struct fake {
	const char *mode, *state;
	unsigned int presses;
	int listen, client, record;
	bool acted; /* for acts that are done once */
	int64_t kept_id;
	char buf[1 << 20];
	size_t len;
	struct fdset fds;
	struct json_object *devices; /* of machine.status: those that were added */
};

/* Is that how it misbehaves? */
bool fake_is(const struct fake *f, const char *mode);
void fake_send(struct fake *f, struct json_object *take_msg);
/* For ever. */
void fake_hang(void);
/* Write a record, and end. */
void fake_end(struct fake *f, const char *reason, int code, const char *message);
/* {} */
void fake_answer(struct fake *f, struct json_object *id);

/*
 * What the mode does at a request, or at "hello" and "after-hello" (m is NULL then): true when there is nothing
 * more to do for it.
 */
bool fake_act(struct fake *f, const char *at, const struct rpc_msg *m);

#endif
