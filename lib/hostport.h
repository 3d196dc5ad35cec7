/* SPDX-License-Identifier: MIT */
/*
 * What ports of a virtio console lead to on the host, and no file: sockets and terminals. Any thread; all of it may
 * block. A socket is at a path, which stays when its program ends: hostport_remove.
 */
#ifndef LIB_HOSTPORT_H
#define LIB_HOSTPORT_H

#include <stdbool.h>
#include "lib/err.h"
#include "lib/fdio.h"
#include "lib/json.h"

#define HOSTPORT_PTY_MAX 32

/* A port of a machine configuration, borrowed from it. */
struct hostport {
	const char *device, *name, *backend, *path; /* path NULL: none, or a descriptor already */
	struct json_object *json;
	bool display; /* no console's: where viewers of the screen connect */
};

#define HOSTPORT_DISPLAY "VNC" /* its name, which no console's port can have */

/* Each port of each console, and where the display listens, unless that is a port of TCP; < 0 ends it and is returned, with the device and the port before e's text. */
int hostport_each(struct json_object *config,
		  int (*each)(void *arg, struct hostport *p, struct err *e), void *arg,
		  struct err *e);

/*
 * A unix socket that listens at path, mode 0600 with the thread's file system uid as its owner. A socket that is there
 * and nobody has any more gives way. confined: as in lib/vmdef.h. -ERR_FILE
 */
int hostport_socket(const char *path, bool confined, struct err *e);
/*
 * Remove one that nobody has any more: 1. -EBUSY: somebody has it. 0: it is not there; anything else that is there is left
 * alone.
 */
int hostport_remove(const char *path, bool confined);

/* A terminal that passes everything as it is; its master. *ret_slave: the other end; ret_name: "/dev/pts/4". -ERR_FILE */
int hostport_pty(int *ret_slave, char ret_name[static HOSTPORT_PTY_MAX], struct err *e);

/* Put a descriptor into the port as vmm takes it: {key: {"fd": index}}. -errno */
int hostport_give(struct hostport *p, const char *key, int take_fd, struct fdset *fds,
		  struct err *e);

#endif
