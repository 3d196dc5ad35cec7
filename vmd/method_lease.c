// SPDX-License-Identifier: MIT
/* Methods lease.list and pci.release: devices of the host that VMs have. On the loop's thread. */
#include "vmd/methods.h"

#include <stdlib.h>

#include "lib/errcat.h"
#include "vmd/daemon.h"
#include "vmd/lease.h"

void method_lease_list(struct daemon *d, struct call *call)
{
	const char *word = json_get_str(call->params, "vm", NULL);
	struct state_vm vm;
	struct err e;

	if (word && state_vm_find(d->state, word, &vm, &e) < 0) {
		call_fail(call, &e, NULL);
		return;
	}
	call_reply(call, json_add(json_new(), "leases", lease_list(d, word ? vm.id : NULL)));
}

static void release_done(void *arg, const struct err *why)
{
	struct call *call = arg;
	struct err e;

	if (why) {
		e = *why;
		err_because(&e, "the device stays in quarantine");
		call_fail(call, &e, NULL);
		return;
	}
	call_reply(call, json_add_str(json_add_bool(json_new(), "changed", true), "pci",
				      json_get_str(call->params, "pci", "")));
}

void method_pci_release(struct daemon *d, struct call *call)
{
	char address[PCI_ADDR_SIZE];
	struct pci_addr addr;
	struct err e;
	bool dry = json_get_bool(call->params, "dry_run", false);

	if (pci_addr_parse(json_get_str(call->params, "pci", ""), &addr, &e) < 0 ||
	    lease_release_one(d, pci_addr_format(&addr, address), dry, release_done, call, &e) <
		    0) {
		call_fail(call, &e, NULL);
		return;
	}
	if (dry)
		call_reply(call, json_add_str(json_add_bool(json_new(), "changed", false), "pci",
					      address));
}
