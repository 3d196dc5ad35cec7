/* SPDX-License-Identifier: MIT */
/*
 * What vmd tells its service manager: sd_notify(3)'s datagrams, and descriptors for it to keep. Without
 * NOTIFY_SOCKET in the environment all of it does nothing. On the loop's thread.
 */
#ifndef VMD_NOTIFY_H
#define VMD_NOTIFY_H

#include <uv.h>
#include "lib/log.h"

struct notify {
	const struct log *log;
	int fd; /* owned; -1: there is nobody to tell */
	uint64_t watchdog_ms;
	uv_timer_t watchdog;
	bool watching;
};

/*
 * Takes NOTIFY_SOCKET, WATCHDOG_USEC and WATCHDOG_PID out of the environment; the last two count when
 * they are for this process. What cannot be understood is logged and left out.
 */
void notify_init(struct notify *n, const struct log *log);
void notify_fini(struct notify *n);
/* Serving begins: READY, and from now on WATCHDOG twice in the interval that was asked for. */
void notify_ready(struct notify *n, uv_loop_t *loop);
/* vmd ends: STOPPING. The last close callback comes from the loop. */
void notify_stopping(struct notify *n);
/* A line for people, as `systemctl status` shows it. */
void notify_status(struct notify *n, const char *fmt, ...) PRINTF_LIKE(2, 3);
/*
 * Have a descriptor kept until notify_forget; the next vmd gets it with that name (vmd/activation.h). fd
 * stays the caller's. name: no colon, no control characters.
 */
void notify_store(struct notify *n, const char *name, int fd);
void notify_forget(struct notify *n, const char *name);

#endif
