/* SPDX-License-Identifier: MIT */
/* A dry run of a start: everything is looked at, nothing is changed. On the loop's thread. */
#ifndef VMD_START_PLAN_H
#define VMD_START_PLAN_H

struct call;
struct daemon;
struct state_vm;

/* Answer vm.start with dry_run for a VM that is off: {…, plan: {devices, pinned, memlock, memory?}} */
void start_plan(struct daemon *d, struct call *call, const struct state_vm *vm);

#endif
