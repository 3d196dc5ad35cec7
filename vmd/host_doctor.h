/* SPDX-License-Identifier: MIT */
/* Is the host ready for VMs and for devices passed through to them? Any thread. */
#ifndef VMD_HOST_DOCTOR_H
#define VMD_HOST_DOCTOR_H

#include "lib/hostfs.h"
#include "lib/json.h"

/*
 * {"checks": [{"name", "status": "ok" | "warn" | "fail", "what", "hint"?}], "status": the worst of them}.
 * fail: VMs, or passthrough, cannot work; warn: something is slower, less safe or missing.
 */
struct json_object *host_doctor(const struct hostfs *h);

#endif
