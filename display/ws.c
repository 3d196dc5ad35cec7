// SPDX-License-Identifier: MIT
/* See ws.h. What comes is a stranger's: each byte of it is looked at once, in the order in which it came. */
#include "display/ws.h"

#include <errno.h>
#include <gcrypt.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "lib/base64.h"
#include "lib/util.h"

#define WS_GUID "258EAFA5-E914-47DA-95CA-C5AB0DC85B11" /* section 1.3 */
#define WS_KEY_LEN 24				       /* of 16 bytes in base64 */
#define WS_VALUE_MAX 256
#define WS_DIGEST 20 /* of SHA-1, which the protocol asks for */

enum ws_opcode { WS_CONTINUATION = 0, WS_BINARY = 2, WS_CLOSE = 8, WS_PONG = 10 };

#define WS_FIN 0x80
#define WS_RESERVED 0x70
#define WS_MASKED 0x80
#define WS_CONTROL_MAX 125
#define WS_LEN_16 126
#define WS_LEN_64 127

/* --- the handshake ------------------------------------------------------------------------------------------ */

/* The value of a header, without the blanks about it; false: there is none, or it is too long. */
static bool ws_header(const char *request, const char *name, char value[WS_VALUE_MAX])
{
	size_t len = strlen(name);

	for (const char *line = strstr(request, "\r\n"); line; line = strstr(line, "\r\n")) {
		const char *end;

		line += 2;
		if (strncasecmp(line, name, len) != 0 || line[len] != ':')
			continue;
		line += len + 1;
		line += strspn(line, " \t");
		end = strstr(line, "\r\n");
		while (end && end > line && (end[-1] == ' ' || end[-1] == '\t'))
			end--;
		if (!end || end - line >= WS_VALUE_MAX)
			return false;
		snprintf(value, WS_VALUE_MAX, "%.*s", (int)(end - line), line);
		return true;
	}
	return false;
}

static bool ws_header_is(const char *request, const char *name, const char *wanted)
{
	char value[WS_VALUE_MAX];

	return ws_header(request, name, value) && !strcasecmp(value, wanted);
}

static bool ws_key(const char *request, char key[WS_VALUE_MAX])
{
	uint8_t bytes[16];
	size_t n;

	return ws_header(request, "Sec-WebSocket-Key", key) && strlen(key) == WS_KEY_LEN &&
	       base64_decode(key, bytes, sizeof(bytes), &n) && n == sizeof(bytes);
}

static void ws_answer(const char *key, bool binary, char *answer)
{
	char text[WS_VALUE_MAX + sizeof(WS_GUID)], accept[BASE64_SIZE(WS_DIGEST)];
	uint8_t digest[WS_DIGEST];

	snprintf(text, sizeof(text), "%s" WS_GUID, key);
	gcry_md_hash_buffer(GCRY_MD_SHA1, digest, text, strlen(text));
	base64_encode(digest, sizeof(digest), accept);
	snprintf(answer, WS_ANSWER_MAX,
		 "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
		 "Sec-WebSocket-Accept: %s\r\n%s\r\n",
		 accept, binary ? "Sec-WebSocket-Protocol: binary\r\n" : "");
}

ssize_t ws_request(const char *text, size_t len, char *answer)
{
	char request[WS_REQUEST_MAX + 1], key[WS_VALUE_MAX], protocols[WS_VALUE_MAX];
	const char *end = memmem(text, len, "\r\n\r\n", 4);
	bool offered;

	if (memcmp(text, "GET ", MIN(len, 4)) != 0)
		return -EPROTO;
	if (!end)
		return len < WS_REQUEST_MAX ? 0 : -EPROTO;
	len = (size_t)(end - text) + 4;
	if (len > WS_REQUEST_MAX || memchr(text, 0, len))
		return -EPROTO;
	memcpy(request, text, len);
	request[len] = 0;
	if (!ws_header_is(request, "Upgrade", "websocket") ||
	    !ws_header_is(request, "Sec-WebSocket-Version", "13") || !ws_key(request, key))
		return -EPROTO;
	/* a browser that names protocols wants one of them, or ends it */
	offered = ws_header(request, "Sec-WebSocket-Protocol", protocols);
	ws_answer(key, offered && strstr(protocols, "binary"), answer);
	return (ssize_t)len;
}

/* --- frames ---------------------------------------------------------------------------------------------------- */

static unsigned int ws_head_size(const struct ws_in *in)
{
	unsigned int len = in->nhead < 2 ? 0 : in->head[1] & ~(unsigned int)WS_MASKED;

	return len == WS_LEN_64 ? 14 : len == WS_LEN_16 ? 8 : 6;
}

static uint64_t ws_length(const struct ws_in *in, unsigned int size)
{
	uint64_t len = 0;

	if (size == 6)
		return in->head[1] & ~(unsigned int)WS_MASKED;
	for (unsigned int i = 2; i < size - 4; i++)
		len = len << 8 | in->head[i];
	return len;
}

/* What a head says, once it is whole (section 5.4: a message may be frames, control frames are between them). */
static int ws_begin(struct ws_in *in)
{
	unsigned int opcode = in->head[0] & 0xf;
	bool fin = in->head[0] & WS_FIN;

	in->left = ws_length(in, ws_head_size(in));
	in->at = 0;
	in->inside = true;
	if (in->head[0] & WS_RESERVED || !(in->head[1] & WS_MASKED) || in->left > INT64_MAX)
		return -EPROTO;
	if (opcode == WS_CLOSE)
		return -ECONNRESET;
	if (opcode > WS_CLOSE)
		return opcode <= WS_PONG && fin && in->left <= WS_CONTROL_MAX ? 0 : -EPROTO;
	if (opcode != (in->more ? WS_CONTINUATION : WS_BINARY))
		return -EPROTO;
	in->more = !fin;
	return 0;
}

static size_t ws_payload(struct ws_in *in, uint8_t *to, const uint8_t *from, size_t n)
{
	const uint8_t *mask = in->head + ws_head_size(in) - 4;
	bool control = in->head[0] & WS_CLOSE;

	in->left -= n;
	if (control)
		return 0;
	for (size_t i = 0; i < n; i++)
		to[i] = from[i] ^ mask[in->at++ % 4];
	return n;
}

ssize_t ws_decode(struct ws_in *in, uint8_t *data, size_t n)
{
	size_t at = 0, out = 0;

	while (at < n || (in->inside && !in->left)) {
		size_t part;
		int r;

		if (!in->inside) {
			in->head[in->nhead++] = data[at++];
			r = in->nhead == ws_head_size(in) ? ws_begin(in) : 0;
			if (r < 0)
				return r;
			continue;
		}
		part = (size_t)MIN(in->left, n - at);
		out += ws_payload(in, data + out, data + at, part);
		at += part;
		if (in->left)
			continue;
		in->inside = false;
		in->nhead = 0;
	}
	return (ssize_t)out;
}

size_t ws_head(uint8_t head[WS_HEAD_MAX], size_t len)
{
	unsigned int bytes = len <= WS_CONTROL_MAX ? 0 : len <= UINT16_MAX ? 2 : 8;

	head[0] = WS_FIN | WS_BINARY;
	head[1] = (uint8_t)(bytes == 8 ? WS_LEN_64 : bytes == 2 ? WS_LEN_16 : len);
	for (unsigned int i = 0; i < bytes; i++)
		head[2 + i] = (uint8_t)((uint64_t)len >> (8 * (bytes - 1 - i)));
	return 2 + bytes;
}
