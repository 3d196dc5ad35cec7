/* SPDX-License-Identifier: MIT */
/*
 * For `vmm --config` alone, what vmd does for its machines: make the sockets and terminals of the ports of a machine
 * configuration. Files are opened as all others are.
 */
#ifndef VMM_VIRTIO_PORT_OPEN_H
#define VMM_VIRTIO_PORT_OPEN_H

#include "lib/err.h"
#include "lib/fdio.h"
#include "lib/json.h"
#include "lib/log.h"

/* Says in the log where terminals are. A socket without a path is refused. -ERR_FILE, -ERR_INVALID */
int port_open_all(struct json_object *config, const struct log *log, struct fdset *fds,
		  struct err *e);

#endif
