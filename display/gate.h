/* SPDX-License-Identifier: MIT */
/*
 * Where a message of a viewer ends (RFC 6143, section 7), so that libvncserver, which waits for what is missing of one, is only
 * asked to read what is there. Bytes in, a verdict out.
 */
#ifndef DISPLAY_GATE_H
#define DISPLAY_GATE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define GATE_ENCODINGS_MAX 1024
#define GATE_MAX (4 + 4 * GATE_ENCODINGS_MAX) /* bytes of the longest message that is taken */

enum gate_step { GATE_VERSION, GATE_SECURITY, GATE_RESPONSE, GATE_INIT, GATE_NORMAL };

struct gate {
	enum { GATE_WAIT, GATE_TAKE, GATE_SKIP, GATE_BAD } what;
	uint64_t size; /* of the message, to be taken or skipped */
	bool answers;  /* the library may write while it takes it */
};

/* What is to be done with the next message, of which n bytes are there. */
struct gate gate_look(enum gate_step step, const uint8_t *bytes, size_t n);

#endif
