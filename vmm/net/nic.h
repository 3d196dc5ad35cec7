/* SPDX-License-Identifier: MIT */
/*
 * What emulated network cards have in common (dev/e1000.c, dev/rtl8139.c): a PCI function with a pin, one queue of a tap, or a
 * stream of frames, behind it, a worker that moves the frames, and the cable. A card knows registers and rings.
 *
 * From activate until deactivate the rings are the worker's: a card that has them changed by the guest calls nic_suspend
 * before, and nic_resume after. What both sides need at any time (tails, interrupt causes) are atomics of the card. The
 * pin is moved on the control loop, by nic_interrupt. Frames are copied both ways, so that what was checked
 * is what is sent, and no frame needs the guest's memory for longer than a descriptor is looked at.
 */
#ifndef VMM_NET_NIC_H
#define VMM_NET_NIC_H

#include <net/ethernet.h>
#include <stdatomic.h>
#include <uv.h>

#include "lib/log.h"
#include "lib/netdef.h"
#include "vmm/device.h"
#include "vmm/net/offload.h"
#include "vmm/net/stream.h"
#include "vmm/pci/pci.h"

#define NIC_HEADER sizeof(struct virtio_net_hdr_v1)
#define NIC_FRAME_MAX STREAM_FRAME_MAX
#define NIC_FRAME_MIN 60 /* on a wire, without its FCS: IEEE 802.3, section 3.2.8 */
#define NIC_ROUND 256	 /* descriptors and frames until others of the worker get their turn */

struct nic;

/* Const, one per kind of card. */
struct nic_ops {
	struct pci_ids ids;
	/* The rest of init: BARs, before the function is plugged. */
	void (*plug)(struct nic *n);
	/* Under machine.lock, the worker has nothing: registers to power-on state. */
	void (*reset)(struct nic *n);
	/* Under machine.lock: is there a reason to interrupt? */
	bool (*pending)(const struct nic *n);
	/* Under machine.lock: the cable was put in or pulled out (n->link). */
	void (*link_changed)(struct nic *n);

	/* On the worker: the rings as the registers have them. Sets n->listens. */
	void (*activate)(struct nic *n);
	/*
	 * On the worker: the next frame that the guest has queued into n->out: false: there is none, or n->budget, of which
	 * each descriptor takes one, is used up.
	 */
	bool (*next)(struct nic *n);
	/* On the worker: a frame for the guest, at least NIC_FRAME_MIN bytes: taken, or not wanted. False: no room now. */
	bool (*frame)(struct nic *n, const uint8_t *frame, size_t len);
	/* On the worker: a round is over: what happened in it is told to the guest. */
	void (*done)(struct nic *n);
};

struct nic_cfg {
	char address[16], mac[NETDEF_MAC_TEXT];
	int link;
	bool spoofing;
	int taps[1], stream;
};

/* A frame on its way out. */
struct nic_out {
	bool held;	      /* until the backend takes it */
	unsigned int segment; /* the next one of it, for a stream */
	size_t len;
	struct offload offload;
	struct virtio_net_hdr_v1 header;
	uint8_t frame[NIC_FRAME_MAX];
};

struct nic {
	struct device dev; /* first */
	struct pci_dev pci;
	const struct nic_ops *ops;
	uint8_t mac[ETH_ALEN]; /* as configured: the only sender without spoofing */
	bool spoofing;
	bool link; /* the cable is in */

	/* under machine.lock */
	bool started, master; /* the guest runs; it lets the card reach memory */
	bool wanted;	      /* the guest has switched the card on: nic_want */
	bool active;	      /* the worker has the rings */
	bool told_gone;
	uint64_t gap_ns; /* between two interrupts, at least */
	uint64_t last_ns;
	struct board_timer gap;

	struct worker *worker; /* borrowed */
	int tap;	       /* owned; -1 */
	struct stream *stream; /* owned; NULL */
	int kick_fd, note_fd;  /* owned eventfds: to the worker, and from it */
	struct board_watch *note_watch;
	atomic_bool gone;    /* the backend is no more */
	atomic_bool noted;   /* the control loop is to look */
	atomic_bool starved; /* a frame waits for room: a kick helps */

	/* on the worker while active */
	uv_poll_t *kick_poll, *poll; /* freed by their close callback */
	int events;
	bool listens; /* set by activate: frames are wanted */
	bool stale;   /* none were: what the backend has kept is old */
	bool set_up;  /* the tap knows what we cannot do */
	unsigned int budget;
	size_t in_len; /* of a frame that waits for room */
	struct log_limit log_limit;
	struct nic_out out;
	uint8_t in[NIC_HEADER + NIC_FRAME_MAX];
	uint8_t segment[NIC_FRAME_MAX];
};

/* The guest has the card switched on, or not: under machine.lock. */
void nic_want(struct nic *n, bool wanted);
/* Under machine.lock: the rings come back from the worker, and go to it again where there is a reason. */
void nic_suspend(struct nic *n);
void nic_resume(struct nic *n);
/* Any thread: there is something to be sent, or room for what waits. */
void nic_kick(struct nic *n);
/* The same, for more room alone: no signal where nobody waits. */
void nic_room(struct nic *n);
/* Any thread: ops->pending may have another answer. Under machine.lock it is asked for at once by nic_update. */
void nic_interrupt(struct nic *n);
void nic_update(struct nic *n);
/* On the worker or under machine.lock: the guest's driver did what makes no sense. One limited line. */
void nic_confused(struct nic *n, const char *why);
/* The guest has reset the card: what is on its way is lost. Under machine.lock, suspended. */
void nic_flush(struct nic *n);

/* For the class: its cfg is struct nic_cfg. */
extern const struct field nic_fields[];
int nic_init(struct nic *n, const struct nic_ops *ops, struct err *e);
void nic_start(struct device *d);
void nic_stop(struct device *d);
void nic_reset(struct device *d);
int nic_set(struct device *d, struct json_object *change, struct err *e);
void nic_tell(struct device *d);
void nic_fini(struct device *d);

#endif
