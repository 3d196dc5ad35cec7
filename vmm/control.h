/* SPDX-License-Identifier: MIT */
/*
 * The monitor's control socket: vmd listens on it, hands the listening descriptor to vmm
 * (`vmm --control-fd 3`) and connects; a restarted vmd connects again. One connection at a time, the
 * newest wins. JSON-RPC 2.0 through lib/conn.h:
 *
 *	<- vmm.hello {version, pid, state}				notification, first; then machine.event of what
 *		the devices have told and still holds
 *	-> machine.configure {config, kvm: {fd}, exit_record: {fd}, cpuid?: {fd}, console_tail?: {fd}}
 *		once; config as in lib/vmdef.h, cpuid as in x86/cpu.h
 *	-> machine.start | pause | resume | reset | power_button | wakeup {}	-> {state}
 *	-> machine.status {}		-> {state, name, consoles: [id], devices: [{id, ejecting?,
 *		disks?: [id]}], exit?, timeline}
 *	-> machine.memory {size?, dry_run?}	-> {size, target?, actual?, driver?, stats?, changed?}: bytes; target and so
 *		on with a balloon. size: that the guest shall have; changed: that is (would be) new. actual: by its
 *		driver's word. stats: the driver's last ones, age_ms old, each a
 *		number up to 2^53; asking makes it send new ones
 *	-> machine.keys {chords: [[code]], hold_ms}	-> {keys}; Linux' KEY_*, those of a chord are down together
 *	-> machine.quit {}		-> {state}; then the process ends, reason "killed"
 *	-> device.add {device}		-> {id}; device as in the configuration, with its descriptors
 *	-> device.remove {id}		-> {id}; the guest is asked, and again if it was asked before
 *	-> disk.add {controller, disk}	-> {id}; disk as in the configuration, with its descriptors; the guest is told
 *	-> disk.remove {id}		-> {id}; it is gone, and the guest is told
 *	-> device.resize {id, dry_run?}	-> {id, size, changed}: a disk is as large as its image is now, in bytes
 *	-> device.medium {drive?, medium?: {fd}, format?, force?, dry_run?}	-> {drives: [{id, medium, open, locked}],
 *		changed?}: the drives; with drive: it gets the medium, or is emptied. changed: that is (would be) new
 *	-> screen.capture {picture: {fd}}	-> {width, height, text?: [line]}: the picture is in the file, which has room for it
 *		and is sealed: 3 bytes a pixel (red, green, blue), row by row; text: of a text mode
 *	-> screen.view {link: {fd}}	-> {}: the process that shows the screen to viewers is at its other end (display/link.h)
 *	-> console.attach {console?, mode: "read"|"write"|"take"|"log", scrollback}   with one fd -> {console}
 *		mode "log": vmd's own reader, with a SOCK_SEQPACKET socket (vmm/console.h)
 *	<- machine.event {type: "reset" | "shutdown" | "fault" | …, message?}	notification
 *		"suspended": the guest sleeps (ACPI S3); "awake": no longer, also where a reset follows
 *		"disk-error": what the host could not do; "disk-stopped": the same, and the request is held until
 *		machine.pause and machine.resume, and told again until then
 *		"watchdog": "ID ACTION": it has timed out; a pause is for who hears it to make
 *		"populating": "guest memory 37%", while configure takes it from a node; "pinning": the same, while it
 *		is mapped for devices; "device.error" and
 *		"device.request": the host says so of one that is passed through, message is its id; a request comes
 *		again as long as the device is there; "device": what else is told of one
 *	-> device.set {id, change}	-> {id, changed, settings?}; change: of a virtio-net {link: "up" | "down"}; of a
 *		virtio-blk, and a disk of virtio-scsi by its own id, {bytes_per_second?, ops_per_second?, burst_ms?}, which
 *		are its settings, too
 *	<- machine.panic {handled, console}	notification: the guest's kernel has panicked (machine.h)
 *	<- device.removed {id}	notification: the guest has let it go, or was reset; its descriptors are closed
 *	<- machine.timeline {memory?, pinned?, machine?, kernel?, start?, console?, kick?}	notification
 *
 * A timeline says when each part of the first start was over (machine.h), CLOCK_MONOTONIC in
 * microseconds. It is also the member "timeline" of configure's and start's answers; the notification
 * follows the first console byte and the first kick.
 *
 * States: "empty" (not configured), "created", "running", "paused", "suspended", "ended".
 *
 * The last words: before it ends, vmm writes one line of JSON to exit_record (also when vmd is away):
 *	{"reason": "shutdown" | "reset" | "triple-fault" | "watchdog" | "panic" | "guest-exit" | "killed" | "fault",
 *	 "code": N, "message": "…"}
 * What its consoles have said last goes to console_tail (lib/console_log.h), if nobody logs them then.
 * "reset", "triple-fault" and "panic" only where on_reboot / on_crash say "stop".
 */
#ifndef VMM_CONTROL_H
#define VMM_CONTROL_H

#include <uv.h>
#include "lib/err.h"
#include "lib/log.h"
#include "vmm/sandbox.h"

struct control;

/*
 * Serve on a listening socket until the machine has ended: then it is over, and the owner asks for control_status
 * and ends the process, or frees it. sandbox (borrowed) was entered: each thread gets its filter, the calling
 * one once it has its machine.
 */
int control_new(uv_loop_t *loop, int take_listen_fd, const struct sandbox *sandbox,
		const struct log *log, struct control **ret_control, struct err *e);
/* Is nobody left to talk to? The loop need not run any more. */
bool control_over(const struct control *c);
/* The process's exit status: of the last words; 4 when no machine was ever configured. */
int control_status(const struct control *c);
/* With its machine; runs the loop. For tests: a process that ends has no need to take a machine apart. */
void control_free(struct control *c);

#endif
