/* SPDX-License-Identifier: MIT */
/* Between display.c, display_serve.c and display_adopt.c. */
#ifndef VMD_DISPLAY_PRIV_H
#define VMD_DISPLAY_PRIV_H

#include "vmd/display.h"

struct display {
	struct display *next;
	struct daemon *d;
	char vm[STATE_ID_SIZE], name[64];
	char dir[256], socket[256];
	pid_t monitor;		     /* of the VM, for which it is */
	struct json_object *config;  /* owned: the definition's, its path filled in */
	struct gather_display files; /* until it is served */
	struct gather *gather;	     /* the worker's; NULL when none runs */
	struct vmproc *proc;	     /* NULL: there is none */
	uv_timer_t
		timer; /* until it is served; and from an end to telling of it: the VM's may follow */
	char message[512]; /* how it ended, or why it was; until then why its connection is lost */
	bool served, killed, ending, closing;
	unsigned int tries;
	uint64_t since_ms;
};

/* config: the definition's, its path filled in; taken over. NULL: no memory */
struct display *display_new(struct guest *g, struct json_object *take_config);
void display_options(struct display *w, struct vmproc_options *ret);
/* Off the list, once nothing of it runs. */
void display_drop(struct display *w);
/* The guest that it was started for, or NULL: that one is gone, whatever has its VM now. */
struct guest *display_guest(const struct display *w);
/* Another process for it. */
void display_again(struct display *w);
/* It has a process, which is to say so and to be served, or is ended. */
void display_await(struct display *w);
/* It is not there: another one soon, if its VM is still there then, and if that makes sense. */
void display_fallen(struct display *w, const char *message);

#endif
