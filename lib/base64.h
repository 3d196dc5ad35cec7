/* SPDX-License-Identifier: MIT */
/* Base64 with padding (RFC 4648, section 4). Any thread. */
#ifndef LIB_BASE64_H
#define LIB_BASE64_H

#include "lib/util.h"

#define BASE64_SIZE(len) (((len) + 2) / 3 * 4 + 1) /* with its NUL */

/* out has room for BASE64_SIZE(len). */
void base64_encode(const void *data, size_t len, char *out);
/* True when text is base64 of at most size bytes, which are put into out; *ret_len says how many. */
bool base64_decode(const char *text, void *out, size_t size, size_t *ret_len);

#endif
