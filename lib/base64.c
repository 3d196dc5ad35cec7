// SPDX-License-Identifier: MIT
/* Base64: see base64.h. */
#include "lib/base64.h"

#include <string.h>

static const char base64_digits[] =
	"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

void base64_encode(const void *data, size_t len, char *out)
{
	const unsigned char *from = data;

	for (size_t i = 0; i < len; i += 3) {
		size_t n = MIN(len - i, (size_t)3);
		unsigned int v = (unsigned int)from[i] << 16 | (n > 1 ? from[i + 1] << 8 : 0) |
				 (n > 2 ? from[i + 2] : 0);

		*out++ = base64_digits[v >> 18];
		*out++ = base64_digits[v >> 12 & 63];
		*out++ = n > 1 ? base64_digits[v >> 6 & 63] : '=';
		*out++ = n > 2 ? base64_digits[v & 63] : '=';
	}
	*out = '\0';
}

bool base64_decode(const char *text, void *out, size_t size, size_t *ret_len)
{
	size_t len = strlen(text), done = 0, pad = 0;
	unsigned char *to = out;

	if (len % 4)
		return false;
	while (pad < 2 && len > pad && text[len - 1 - pad] == '=')
		pad++;
	for (size_t i = 0; i < len; i += 4) {
		size_t digits = i + 4 < len ? 4 : 4 - pad;
		unsigned int v = 0;

		for (size_t k = 0; k < 4; k++) {
			const char *d =
				k < digits ? memchr(base64_digits, text[i + k], 64) : base64_digits;

			if (!d)
				return false;
			v = v << 6 | (unsigned int)(d - base64_digits);
		}
		for (size_t k = 0; k + 1 < digits; k++) {
			if (done == size)
				return false;
			to[done++] = (unsigned char)(v >> (16 - 8 * k));
		}
	}
	*ret_len = done;
	return true;
}
