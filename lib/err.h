/* SPDX-License-Identifier: MIT */
/*
 * The one error object. It lives on the caller's stack and owns nothing.
 *
 * A function that can fail for a reason that a person will read takes a `struct err *e` as its last
 * parameter (NULL is allowed), returns a negative code on failure and leaves e untouched otherwise.
 * The code is an errno value, or an entry of the catalogue (lib/errcat.h, 1000 and above) where a
 * program should be able to tell the case apart. msg is one line: what, where, and why.
 * hint says what to do about it, or is empty. cause holds the reasons behind msg, nearest first, with
 * LFs between them; it is cut at its end.
 */
#ifndef LIB_ERR_H
#define LIB_ERR_H

#include "lib/util.h"

struct err {
	int code;
	char msg[512];
	char hint[192];
	char cause[384];
};

/* Set code and message, clear hint and cause. Returns -code; a code that is negative already, as it is. */
int err_set(struct err *e, int code, const char *fmt, ...) PRINTF_LIKE(3, 4);
/* As err_set with the current errno; ": " and its text are appended. Returns -errno. */
int err_errno(struct err *e, const char *fmt, ...) PRINTF_LIKE(2, 3);
/* As err_errno for a negative code that a function returned (-errno). Returns ret. */
int err_ret(struct err *e, int ret, const char *fmt, ...) PRINTF_LIKE(3, 4);
/* Put a place before the message: "place: message". Keeps all else. Returns -code. */
int err_wrap(struct err *e, const char *fmt, ...) PRINTF_LIKE(2, 3);
/* Say what failed because of this: that is the message then, and the one before its first cause. Returns -code. */
int err_because(struct err *e, const char *fmt, ...) PRINTF_LIKE(2, 3);
/* Add a cause behind the others. Keeps all else. Returns -code. */
int err_add_cause(struct err *e, const char *fmt, ...) PRINTF_LIKE(2, 3);
/* The cause that *at points at ("at" starts as e->cause) into out, *at behind it; false at the end. */
bool err_next_cause(const char **at, char *out, size_t out_size);
/* What the user should do. Keeps code and message. Returns -code. */
int err_hint(struct err *e, const char *fmt, ...) PRINTF_LIKE(2, 3);

#endif
