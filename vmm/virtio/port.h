/* SPDX-License-Identifier: MIT */
/*
 * A port of a virtio console beside its first: VIRTIO 1.2, section 5.3.6. Its two queues, and what it leads to on the host.
 * The queues are the flow control: a request that the host does not take stays where it is, and a buffer is only
 * filled with what is read. Nothing is kept in between, so nothing is lost and no other port waits.
 *
 * From port_start to port_stop all of it is the worker's; the rest is called while the queues are with nobody.
 */
#ifndef VMM_VIRTIO_PORT_H
#define VMM_VIRTIO_PORT_H

#include "vmm/virtio/virtio.h"
#include "vmm/worker.h"

#define PORT_NAME_MAX 64

enum port_kind {
	PORT_SOCKET, /* a listening socket: one client at a time, the next one waits */
	PORT_PTY,    /* a terminal, where somebody always is */
	PORT_FILE,   /* is appended to, up to a limit; nothing comes of it */
};
extern const char *const port_kinds[]; /* for a field table */

struct port {
	struct virtio_dev *v; /* borrowed */
	unsigned int rxq, txq;
	char name[PORT_NAME_MAX];
	enum port_kind kind;
	int fd;		/* owned: the listening socket, the terminal's master, the file */
	int hold;	/* owned: a terminal's other end, so that it does not hang up; else -1 */
	uint64_t limit; /* bytes that a file may have; what is beyond them waits */
	/* Somebody came or left on the host: port_host_open. */
	void (*changed)(struct port *p);

	int client;		    /* fd, or an accepted one, owned; -1: nobody is there */
	uv_poll_t *listener, *poll; /* freed by their close callbacks; NULL while stopped */
	int watched;		    /* events of poll */
	struct worker_timer *again; /* owned; of a file */
	bool guest_open;	    /* a program of the guest has it open */
	bool eof;		    /* the client sends no more, but may still read */
	bool rx_empty;		    /* the guest has no buffers */
	bool stalled;		    /* the file took nothing the last time, which was told */
	/* The one request that the host has taken a part of, over a pause too */
	bool tx_held;
	size_t tx_done; /* bytes of it */
	struct virtq_req tx;
};

/* v to changed are the caller's, the rest is zero. */
void port_init(struct port *p);
void port_fini(struct port *p); /* accepts one without descriptors (-1) */
/* The queues are the worker's: clients are let in. -errno */
int port_start(struct port *p);
void port_stop(struct port *p);
/* The driver begins anew. */
void port_reset(struct port *p);
/* A kick of rxq, of txq. */
void port_receive(struct port *p);
void port_transmit(struct port *p);
/* A program of the guest has opened or closed it. */
void port_guest_open(struct port *p, bool open);
/* Is there somebody on the host? */
bool port_host_open(const struct port *p);

#endif
