/* SPDX-License-Identifier: MIT */
/* A dry run of an attach: the device of the host that would come, and what would be done to get it. On the loop's thread. */
#ifndef VMD_ATTACH_PLAN_H
#define VMD_ATTACH_PLAN_H

#include "vmd/plug_plan.h"

struct call;
struct guest;

/* What is known without the host: {name, device, what plug_tell says, note, changed}. Owned. */
struct json_object *attach_plan_json(const struct guest *g, const struct plug_plan *plan,
				     const char *note);
/* Answer vm.attach with dry_run for a device of the host: that, and {pci, plan: {devices, pinned}}. plan is taken over. */
void attach_plan(struct guest *g, struct call *call, struct plug_plan *take_plan);

#endif
