/* SPDX-License-Identifier: MIT */
/*
 * For `vmm --config` alone, what vmd does for its machines: open the tap interfaces of the network cards of a machine
 * configuration, and /dev/vhost-net where it is asked for. The other kinds of network are vmd's to make.
 */
#ifndef VMM_NET_OPEN_H
#define VMM_NET_OPEN_H

#include "lib/err.h"
#include "lib/fdio.h"
#include "lib/json.h"

/*
 * Each {"network": {"tap": "tap0"}, "queues": 2, "vhost": …} becomes descriptors as virtio/net.c takes them. vhost: auto is
 * on where the guest may send from any address, and there is such a device; on checks no sender. -ERR_FILE, -ERR_INVALID
 */
int net_open_devices(struct json_object *config, struct fdset *fds, struct err *e);

#endif
