/* SPDX-License-Identifier: MIT */
/*
 * The monitor's end of the link to vmm-display (vmm/display/link.h): what is new on the screen goes out when it is asked for,
 * keys and moves come in. Whoever is at the other end can do no more than that: what is no message ends the link, and keys that
 * it held go up. Control loop.
 */
#ifndef VMM_DISPLAY_VIEWER_H
#define VMM_DISPLAY_VIEWER_H

#include <pthread.h>
#include <uv.h>
#include "lib/err.h"
#include "lib/log.h"
#include "vmm/device.h"
#include "vmm/input.h"

/* Between two frames, and between two questions to KVM; the latter gets longer while nothing happens. */
#define VIEWER_FRAME_MS 33
#define VIEWER_IDLE_MS 250

struct viewer;

struct viewer_options {
	uv_loop_t *loop;
	const struct log *log;
	pthread_mutex_t *lock; /* machine.lock */
	struct device *screen; /* of vga_class, with a view */
	struct input *input;
};

/* All of it is borrowed. Says hello. -ERR_FAILED */
int viewer_new(const struct viewer_options *o, int take_fd, struct viewer **ret, struct err *e);
/* Accepts NULL. Not under machine.lock; its handles close in the loop's next turn. */
void viewer_free(struct viewer *v);

#endif
