/* SPDX-License-Identifier: MIT */
/*
 * Between a viewer's WebSocket (display/ws.h), whose handshake is over, and a socket of the same bytes without frames. It ends, and
 * closes its ends, when either side does. On one loop.
 */
#ifndef DISPLAY_BRIDGE_H
#define DISPLAY_BRIDGE_H

#include <uv.h>

/* The other socket, non-blocking, the caller's; or -errno. */
int bridge_new(uv_loop_t *loop, int take_fd);

#endif
