/* SPDX-License-Identifier: MIT */
/*
 * What the cable of a serial port leads to on the host, beside a console: a socket, a terminal or a file, of the kinds
 * that the ports of a virtio console have (vmm/virtio/port.h). A worker reads and writes; between it and the port are
 * two rings, with a lock that is held for copies only. A full ring holds up who fills it: the guest's transmitter is
 * then busy, and the host's program waits. A cable that nobody is at loses what is sent, as a wire does, and so
 * does one that has taken nothing for a second (SERIAL_HOST_PATIENCE_MS), or a file that is full: no guest hangs
 * because nobody listens.
 */
#ifndef VMM_DEV_SERIAL_HOST_H
#define VMM_DEV_SERIAL_HOST_H

#include "vmm/board.h"
#include "vmm/virtio/port.h"

#define SERIAL_HOST_OUT 4096 /* bytes of the rings */
#define SERIAL_HOST_IN 1024
#define SERIAL_HOST_BURST 16 /* bytes of a transmitter that says it is empty */
#define SERIAL_HOST_PATIENCE_MS 1000

struct serial_host;

/* backend, a name of port_kind and where it leads */
struct serial_host_cfg {
	char name[PORT_NAME_MAX];
	int kind;     /* enum port_kind */
	int fd, hold; /* taken (TAKE_FD); struct port has what they are */
	uint64_t limit;
};

/* changed: input, room or lines are others. On the control loop, under machine.lock. */
int serial_host_new(const struct board *board, struct serial_host_cfg *take_cfg,
		    void (*changed)(void *arg), void *arg, struct serial_host **ret_host,
		    struct err *e);
void serial_host_free(struct serial_host *h); /* stopped; NULL is fine */
/* As device_class's. What is in the rings stays over a stop. */
void serial_host_start(struct serial_host *h);
void serial_host_stop(struct serial_host *h);

/* Under machine.lock */
void serial_host_send(struct serial_host *h, uint8_t byte);
bool serial_host_has_room(struct serial_host *h); /* for SERIAL_HOST_BURST */
size_t serial_host_take(struct serial_host *h, void *data, size_t len);
bool serial_host_is_there(struct serial_host *h); /* somebody is at the other end: DSR, DCD */
bool serial_host_is_ready(struct serial_host *h); /* and takes what is sent: CTS */

#endif
