/* SPDX-License-Identifier: MIT */
/*
 * WebSocket (RFC 6455), the server's side, as far as a viewer in a browser needs it: the handshake, and the bytes in binary
 * frames. Bytes in, bytes out: no descriptor is known here. A ping is not answered; browsers send none.
 */
#ifndef DISPLAY_WS_H
#define DISPLAY_WS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define WS_REQUEST_MAX 4096
#define WS_ANSWER_MAX 256
#define WS_HEAD_MAX 10 /* of a frame that is sent */

/*
 * The request that text begins with (section 4.2.1): its length, and the answer, of which there is a string of
 * WS_ANSWER_MAX bytes. 0: more of it is to come. -EPROTO: it is none, or asks for what is not here.
 */
ssize_t ws_request(const char *text, size_t len, char *answer);

/* Frames that come (section 5.2). All 0 at first. */
struct ws_in {
	uint8_t head[14];
	unsigned int nhead;
	uint64_t left;	 /* bytes of the payload, after a whole head */
	unsigned int at; /* of the mask */
	bool inside;	 /* a head is whole, its payload is not */
	bool more;	 /* of the message: frames that continue it are expected */
};

/*
 * The next n bytes of the stream. What they carry is put in their place, to the front: so many bytes.
 * -EPROTO; -ECONNRESET: it says good-bye.
 */
ssize_t ws_decode(struct ws_in *in, uint8_t *data, size_t n);

/* The head of a binary frame for so many bytes: its size. */
size_t ws_head(uint8_t head[WS_HEAD_MAX], size_t len);

#endif
