/* SPDX-License-Identifier: MIT */
/*
 * The one error object. It lives on the caller's stack and owns nothing.
 *
 * A function that can fail for a reason that a person will read takes a `struct err *e` as its last
 * parameter (NULL is allowed), returns a negative code on failure and leaves e untouched otherwise.
 * The code is an errno value, or an entry of the catalogue (lib/errcat.h, 1000 and above) where a
 * program should be able to tell the case apart. msg is one line: what, where, and why.
 * hint says what to do about it, or is empty.
 */
#ifndef LIB_ERR_H
#define LIB_ERR_H

#include "lib/util.h"

struct err {
	int code;
	char msg[512];
	char hint[192];
};

/* Set code and message, clear the hint. Returns -code; a code that is negative already, as it is. */
int err_set(struct err *e, int code, const char *fmt, ...) PRINTF_LIKE(3, 4);
/* As err_set with the current errno; ": " and its text are appended. Returns -errno. */
int err_errno(struct err *e, const char *fmt, ...) PRINTF_LIKE(2, 3);
/* As err_errno for a negative code that a function returned (-errno). Returns ret. */
int err_ret(struct err *e, int ret, const char *fmt, ...) PRINTF_LIKE(3, 4);
/* Put context before the message: "context: message". Keeps code and hint. Returns -code. */
int err_wrap(struct err *e, const char *fmt, ...) PRINTF_LIKE(2, 3);
/* What the user should do. Keeps code and message. Returns -code. */
int err_hint(struct err *e, const char *fmt, ...) PRINTF_LIKE(2, 3);

#endif
