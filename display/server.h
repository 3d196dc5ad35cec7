/* SPDX-License-Identifier: MIT */
/*
 * vmd's side door to vmm-display, as the monitor's is (vmm/control.h): vmd listens, hands over the listening descriptor, and
 * connects; the newest connection wins. JSON-RPC 2.0:
 *
 *	<- vmm.hello {version, pid, state}	notification, first: "empty", or "running"
 *	-> display.serve {name, link: {fd}, listen: {fd}, password?}	-> {viewers}: once; viewers connect to listen from now on,
 *		their screen and keys go over link (vmm/display/link.h). The process ends when that does.
 *	-> display.status {}	-> {viewers}: that look now
 */
#ifndef DISPLAY_SERVER_H
#define DISPLAY_SERVER_H

#include <uv.h>
#include "lib/err.h"
#include "lib/log.h"
#include "vmm/sandbox.h"

struct server;

/* sandbox (borrowed) was entered; the thread gets its filter with display.serve. */
int server_new(uv_loop_t *loop, int take_listen_fd, const struct sandbox *sandbox,
	       const struct log *log, struct server **ret, struct err *e);
/* -1: it goes on; else the process's exit status */
int server_status(const struct server *s);

#endif
