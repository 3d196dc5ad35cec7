/* SPDX-License-Identifier: MIT */
/*
 * vmm-display's end of the link to its monitor (vmm/display/link.h): frames become the screen's picture, what viewers do goes
 * back. When the link ends, so does the VM, or another process takes our place. On one loop.
 */
#ifndef DISPLAY_MONITOR_H
#define DISPLAY_MONITOR_H

#include <uv.h>
#include "display/vnc.h"

struct monitor;

struct monitor_options {
	uv_loop_t *loop;
	const struct log *log;
	const char *name, *password; /* as in struct vnc_options */
	/* The link is over; why is NULL when the other end has closed it. */
	void (*ended)(void *arg, const struct err *why);
	void *arg;
};

/* Viewers connect to listen_fd from now on. On failure both are closed. */
int monitor_new(const struct monitor_options *o, int take_link_fd, int take_listen_fd,
		struct monitor **ret, struct err *e);
/* Its viewers are sent away; `ended` is not called any more. The memory is there until the loop has run once more. */
void monitor_free(struct monitor *m);
/* Viewers that look now. */
unsigned int monitor_viewers(const struct monitor *m);

#endif
