/* SPDX-License-Identifier: MIT */
/* SHA-1 (RFC 3174), for a protocol that asks for it and not for its strength: WebSocket's handshake. Any thread. */
#ifndef LIB_SHA1_H
#define LIB_SHA1_H

#include <stddef.h>
#include <stdint.h>

#define SHA1_SIZE 20

void sha1(const void *data, size_t len, uint8_t digest[SHA1_SIZE]);

#endif
