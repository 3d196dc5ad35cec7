// SPDX-License-Identifier: MIT
/* The error object: see err.h. Any thread; no state of its own. */
#include "lib/err.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* JSON-RPC's own codes are negative already (lib/errcat.h). */
static int err_negative(int code)
{
	return code > 0 ? -code : code;
}

int err_set(struct err *e, int code, const char *fmt, ...)
{
	va_list ap;

	if (!e)
		return err_negative(code);
	e->code = code;
	e->hint[0] = e->cause[0] = '\0';
	va_start(ap, fmt);
	vsnprintf(e->msg, sizeof(e->msg), fmt, ap);
	va_end(ap);
	return err_negative(code);
}

PRINTF_LIKE(3, 0)
static int err_vcode(struct err *e, int code, const char *fmt, va_list ap)
{
	char text[sizeof(e->msg)];

	if (!e)
		return -code;
	vsnprintf(text, sizeof(text), fmt, ap);
	return err_set(e, code, "%s: %s", text, strerror(code));
}

int err_errno(struct err *e, const char *fmt, ...)
{
	int code = errno;
	va_list ap;

	va_start(ap, fmt);
	err_vcode(e, code, fmt, ap);
	va_end(ap);
	return -code;
}

int err_ret(struct err *e, int ret, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	err_vcode(e, -ret, fmt, ap);
	va_end(ap);
	return ret;
}

int err_wrap(struct err *e, const char *fmt, ...)
{
	char context[sizeof(e->msg)], msg[sizeof(e->msg)];
	va_list ap;

	if (!e)
		return -EIO;
	va_start(ap, fmt);
	vsnprintf(context, sizeof(context), fmt, ap);
	va_end(ap);
	memcpy(msg, e->msg, sizeof(msg));
	/* a long context may push the end of the message out; the front says where to look */
	snprintf(e->msg, sizeof(e->msg), "%.250s: %.250s", context, msg);
	return err_negative(e->code);
}

/* A LF in a cause would make two of it. */
static void err_one_line(char *text)
{
	for (; *text; text++)
		if (*text == '\n')
			*text = ' ';
}

int err_because(struct err *e, const char *fmt, ...)
{
	char msg[sizeof(e->msg)], cause[sizeof(e->msg) + sizeof(e->cause) + 1];
	va_list ap;

	if (!e)
		return -EIO;
	/* by way of a copy: the message may be one of the arguments */
	va_start(ap, fmt);
	vsnprintf(msg, sizeof(msg), fmt, ap);
	va_end(ap);
	err_one_line(e->msg);
	snprintf(cause, sizeof(cause), "%s%s%s", e->msg, e->cause[0] ? "\n" : "", e->cause);
	memcpy(e->cause, cause, sizeof(e->cause) - 1);
	e->cause[sizeof(e->cause) - 1] = '\0';
	memcpy(e->msg, msg, sizeof(e->msg));
	return err_negative(e->code);
}

int err_add_cause(struct err *e, const char *fmt, ...)
{
	char text[sizeof(e->cause)];
	size_t len;
	va_list ap;

	if (!e)
		return -EIO;
	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	err_one_line(text);
	len = strlen(e->cause);
	snprintf(e->cause + len, sizeof(e->cause) - len, "%s%s", len ? "\n" : "", text);
	return err_negative(e->code);
}

bool err_next_cause(const char **at, char *out, size_t out_size)
{
	size_t len = strcspn(*at, "\n");

	if (!len)
		return false;
	snprintf(out, out_size, "%.*s", (int)len, *at);
	*at += len + ((*at)[len] == '\n');
	return true;
}

int err_hint(struct err *e, const char *fmt, ...)
{
	va_list ap;

	if (!e)
		return -EIO;
	va_start(ap, fmt);
	vsnprintf(e->hint, sizeof(e->hint), fmt, ap);
	va_end(ap);
	return err_negative(e->code);
}
