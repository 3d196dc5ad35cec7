/* SPDX-License-Identifier: MIT */
/*
 * A VM's control group (vmd/cgroup.h) through its life: journaled before it is made, entered before vmm runs,
 * removed after vmm has ended. On the loop's thread but for what is said.
 */
#ifndef VMD_GUEST_CGROUP_H
#define VMD_GUEST_CGROUP_H

#include "vmd/guest.h"

/* Before a start: the limits, and the group's name, journaled. No name where there are no groups. */
int guest_cgroup_plan(struct guest *g, struct json_object *config, struct err *e);
/* vmm has been forked and waits: let it run once it is where it belongs. */
void guest_cgroup_enter(struct guest *g);
/* Did the kernel end it for its memory? exit says so then. */
void guest_cgroup_explain(struct guest *g, struct state_exit *exit);
/* The same of one that ended in this group ("": none) while no vmd was there, before guest_cgroups_adopt removes it. */
void guest_cgroup_explain_late(struct guest *g, const char *name, struct state_exit *exit);
/* The process is gone or never was: the group goes too. */
void guest_cgroup_leave(struct guest *g);
/* vmd ends: nothing of the group is touched. */
void guest_cgroup_release(struct guest *g);
/* After the processes of the vmd before were found: their groups, and what else it has left behind. */
void guest_cgroups_adopt(struct daemon *d);

#endif
