/* SPDX-License-Identifier: MIT */
/* Devices of the host: how vmctl shows who has them, and what a start would do to get them. */
#ifndef VMCTL_LEASE_H
#define VMCTL_LEASE_H

#include "vmctl/vmctl.h"

/* A table of leases, as lease.list and vm.get have them; why those in quarantine are there follows. */
void lease_table(struct vmctl *v, struct json_object *leases, bool vms);
/* The plan of vm.start or vm.attach with dry_run: each device, each step with its undo, the memory. */
void lease_plan_print(struct vmctl *v, struct json_object *plan);

#endif
