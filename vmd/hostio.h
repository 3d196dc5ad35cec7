/* SPDX-License-Identifier: MIT */
/*
 * Writes to the host, one by one, by a helper process (vmd-hostio; vmd-hostsim below --sysroot): a write
 * to sysfs can block for ever in the kernel, so vmd's loop never does one. Each step has a deadline; a
 * helper that misses it is killed, or left behind when the kernel does not let it go, and the
 * next step gets a new one. On the loop's thread.
 *
 * A step and its undo are JSON, since the journal stores them. Each may be repeated: done twice is done
 * once. PCI is "0000:3b:00.0". The result is {} unless said.
 *
 *	{"op":"driver","pci":PCI,"driver":"vfio-pci"}	unbind what is bound, driver_override, drivers_probe,
 *							then the driver link is looked at
 *	{"op":"driver","pci":PCI,"driver":"nvme","override":false}	back to a driver of its own: the override
 *							is cleared, then probed; "driver":"" leaves it without one
 *	{"op":"reset","pci":PCI}			reset by sysfs, then configuration space must be readable
 *	{"op":"vfs","pf":PCI,"count":N,"autoprobe":B}	autoprobe first; then the VFs' links are waited for:
 *							{"count":N}, fewer than asked for is an error that says how many
 *	{"op":"link-up","pf":PCI}			the PF's netdev up -> {"was":"down"}
 *	{"op":"link-down","pf":PCI}
 *	{"op":"vf-get","pf":PCI,"vf":N}			-> VF
 *	{"op":"vf-macs","pf":PF}			-> {"macs":["52:54:00:…",…]} of all of its VFs, by number; "": none
 *	{"op":"vf-set","pf":PCI,"vf":N,"set":VF}	each member by itself, in the order below; bounded retry on EBUSY and EAGAIN;
 *							read back and compared
 *	{"op":"nvme-get","pf":PCI,"vf":N}		-> {"queues":N,"interrupts":N,"online":B}
 *	{"op":"nvme-vf","pf":PCI,"vf":N,"queues":N,"interrupts":N,"online":B}	Virtualization Management (NVMe 1.3,
 *							5.22) through the PF's admin queue; offline first
 *	{"op":"clean","pci":PCI,"pf":PCI?,"vf":N?,"set":VF?,"driver":"…"}	changes nothing: is all as it says?
 *	{"op":"holders","pci":PCI}			-> {"holders":[{"pid":N,"comm":"…","path":"/dev/vfio/12"}]}
 *
 *	VF: {"mac":"52:54:00:…","vlan":0,"qos":0,"spoofchk":true,"trust":false,"min_tx_rate":0,"max_tx_rate":0,
 *	     "link_state":"auto"|"enable"|"disable"}; what the PF's driver does not have is left out of vf-get
 */
#ifndef VMD_HOSTIO_H
#define VMD_HOSTIO_H

#include <uv.h>
#include "lib/err.h"
#include "lib/json.h"
#include "lib/log.h"

/* A step: as long as the hardware takes, and a helper that a busy host lets wait for its turn */
#define HOSTIO_MS 10000

struct hostio;

struct hostio_options {
	uv_loop_t *loop;
	const struct log *log;
	const char *program;  /* borrowed: vmd-hostio or vmd-hostsim */
	const char *sysroot;  /* borrowed; "/" */
	unsigned int most_ms; /* no deadline is later than that; 0: HOSTIO_MS */
};

/* The pool of helpers; at most 8 run at once, further steps wait for their turn. */
int hostio_new(const struct hostio_options *options, struct hostio **ret_hostio, struct err *e);
/*
 * vmd ends: steps under way are left to their helpers, those that wait are dropped, no more callbacks. The handles are
 * closed by the loop.
 */
void hostio_free(struct hostio *io);

/*
 * Begin a step (borrowed JSON). done is called once, never from inside of this function: with the result, or with
 * why not. ERR_HOST_STUCK: the deadline has passed; whether it happened is not known, and e names who holds the device where
 * that can be seen. Other errors say which write failed, on which path, and why.
 * Steps with the same PCI (or PF) are done one after the other, in order. While a helper hangs in the kernel over a
 * device, further steps with it fail at once, with ERR_HOST_STUCK too.
 *
 * No step that a dead vmd sent begins after that vmd's end, and one that it had begun is waited for by those
 * of the next vmd on the same device (hostio/step.h): what is read of the journal is what was done.
 */
void hostio_do(struct hostio *io, struct json_object *step,
	       void (*done)(void *arg, struct json_object *result, const struct err *why),
	       void *arg);

/* "set MAC 52:54:00:12:34:56, VLAN 100 on VF 3 of 0000:3b:00.0": for plans, journals and messages. */
const char *hostio_text(struct json_object *step, char *out, size_t size);

#endif
