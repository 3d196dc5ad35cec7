/* SPDX-License-Identifier: MIT */
/*
 * The viewers of one screen, by libvncserver (RFC 6143): whoever connects to the listening socket. Viewers share the screen; one
 * that does not take what is new gets it later, and all of it at once. One that says something half, or nothing, holds up nobody:
 * it has a time to log in, and less when others come. On one loop; a process has one of these, for the library has its extensions
 * once a process.
 */
#ifndef DISPLAY_VNC_H
#define DISPLAY_VNC_H

#include <uv.h>
#include "display/screen.h"
#include "lib/err.h"
#include "lib/log.h"

#define VNC_VIEWERS_MAX 8  /* that have logged in */
#define VNC_PASSWORD_MAX 8 /* of the protocol (RFC 6143, section 7.2.2) */

struct vnc;

struct vnc_ops {
	/* Somebody looks: a frame is wanted (vnc_frame), all of it. Or nobody does any more. */
	void (*look)(void *arg);
	void (*rest)(void *arg);
	void (*key)(void *arg, uint16_t key, bool down); /* KEY_* */
	void (*pointer)(void *arg, const struct link_pointer *p);
};

struct vnc_options {
	uv_loop_t *loop;
	const struct log *log;
	struct screen *screen; /* borrowed */
	const char *name;      /* of the VM, for a window's title */
	const char *password;  /* NULL: none is asked for */
	const struct vnc_ops *ops;
	void *arg;
};

/* take_listen_fd listens already. -ENOMEM, -ERR_INVALID: a password that is too long, or empty */
int vnc_new(const struct vnc_options *o, int take_listen_fd, struct vnc **ret, struct err *e);
/* Its viewers are sent away. The memory is there until the loop has run once more. */
void vnc_free(struct vnc *v);
/* Of a vnc: what screen_draw has to tell; then vnc_drawn, which sends it. */
extern const struct screen_ops vnc_screen_ops;
void vnc_drawn(struct vnc *v);
/* Viewers that get frames now. */
unsigned int vnc_viewers(const struct vnc *v);

#endif
