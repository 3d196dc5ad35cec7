/* SPDX-License-Identifier: MIT */
/* vmd's side door: what its parts share. See control.h. */
#ifndef VMM_CONTROL_IMPL_H
#define VMM_CONTROL_IMPL_H

#include <stdbool.h>
#include <uv.h>
#include "lib/conn.h"
#include "lib/fdio.h"
#include "vmm/config.h"
#include "vmm/control.h"
#include "vmm/lastwords.h"

struct control_client {
	struct conn conn;
	struct control *control; /* borrowed */
};

struct control {
	uv_loop_t *loop;
	const struct log *log;
	const struct sandbox *sandbox; /* borrowed */
	int listen_fd;		       /* owned */
	uv_poll_t listen;
	uv_timer_t linger;
	struct control_client *client; /* the current one; freed by its closed callback */
	unsigned int nclients;	       /* with those that are closing */
	struct machine *machine;       /* owned; NULL: empty */
	char name[CONFIG_NAME_MAX];
	int exit_fd, tail_fd; /* owned; -1 */
	bool configured, ended, closing, left;
	bool in_call; /* a method runs: its answer goes out before the end */
	struct lastwords words;
};

struct control_call {
	struct json_object *params; /* borrowed; may be NULL */
	struct fdset *fds;
};

/* What it is in, for answers and errors: "empty", "ended", or the machine's */
const char *control_state(const struct control *c);
/* A descriptor that came with the call under this name of its parameters, the caller's to close. */
int control_take_fd(struct control_call *call, const char *member, struct err *e);

/* control_device.c: methods, as control.h lists them */
int control_device_add(struct control *c, struct control_call *call,
		       struct json_object **ret_result, struct err *e);
int control_device_remove(struct control *c, struct control_call *call,
			  struct json_object **ret_result, struct err *e);
int control_disk_add(struct control *c, struct control_call *call, struct json_object **ret_result,
		     struct err *e);
int control_disk_remove(struct control *c, struct control_call *call,
			struct json_object **ret_result, struct err *e);
int control_device_set(struct control *c, struct control_call *call,
		       struct json_object **ret_result, struct err *e);
int control_device_resize(struct control *c, struct control_call *call,
			  struct json_object **ret_result, struct err *e);
int control_medium(struct control *c, struct control_call *call, struct json_object **ret_result,
		   struct err *e);
int control_memory(struct control *c, struct control_call *call, struct json_object **ret_result,
		   struct err *e);
/* control_screen.c */
int control_screen(struct control *c, struct control_call *call, struct json_object **ret_result,
		   struct err *e);
int control_view(struct control *c, struct control_call *call, struct json_object **ret_result,
		 struct err *e);
/* The devices of the machine, for machine.status: [{id, ejecting?, disks?}] */
struct json_object *control_devices(const struct control *c);
/* control_input.c */
int control_keys(struct control *c, struct control_call *call, struct json_object **ret_result,
		 struct err *e);

#endif
