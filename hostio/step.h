/* SPDX-License-Identifier: MIT */
/*
 * The steps of vmd/hostio.h, carried out. A program reads them from its standard input, one JSON object a line, and
 * answers each with one line on its standard output, a JSON-RPC 2.0 response without id:
 * {"jsonrpc":"2.0","id":null,"result":{…}} or {…,"error":{…}} (lib/rpc.h). It ends at the end of its input.
 *
 * While a step that changes something runs, the device's folder in sysfs is locked (flock(2)): a helper that an
 * earlier vmd left behind and one of the next vmd cannot work on the same device at once.
 */
#ifndef HOSTIO_STEP_H
#define HOSTIO_STEP_H

#include "hostio/kernel.h"
#include "lib/json.h"
#include "lib/pci_addr.h"

#define STEP_LINE_MAX 65536 /* of a step, with its LF */
#define STEP_PATH 256
#define STEP_NAME 64

/* Until the input ends. 0, or why it cannot be read or answered. */
int step_serve(struct kernel *k, struct err *e);
/* One step. When it returns 0 ret_result may have been set (owned by the caller). Here and below e is not NULL. */
int step_run(struct kernel *k, struct json_object *step, struct json_object **ret_result,
	     struct err *e);

/* --- for the steps themselves ------------------------------------------------------------------ */

/* "sys/bus/pci/devices/PCI/NAME", or without the end when name is "". Returns out. */
const char *step_path(const char *pci, const char *name, char out[static STEP_PATH]);
/* A member of the step that must be there: -EINVAL. */
int step_str(struct json_object *step, const char *key, const char **ret_text, struct err *e);
int step_uint(struct json_object *step, const char *key, unsigned int most, unsigned int *ret_value,
	      struct err *e);
/* A write of the step; -ERR_HOST_WRITE, -ERR_HOST_GONE, -ERR_DENIED. */
int step_write(struct kernel *k, const char *pci, const char *name, const char *text,
	       struct err *e);
/* The last part of where a link of the device's folder leads; "" when it is not there. */
void step_link_name(struct kernel *k, const char *pci, const char *name,
		    char out[static STEP_NAME]);
/* The first name (by strcmp) in a folder of the device's; "" when there is none. */
void step_first_name(struct kernel *k, const char *pci, const char *name,
		     char out[static STEP_NAME]);
/* The driver that is bound, or "". */
void step_driver_name(struct kernel *k, const char *pci, char out[static STEP_NAME]);
/* Whether configuration space answers. A VF's vendor reads ffff always (SR-IOV 1.1, 3.4.1.1): the class is looked at. */
bool step_config_answers(struct kernel *k, const char *pci);
/* driver_override, "" when there is none. */
void step_override(struct kernel *k, const char *pci, char out[static STEP_NAME]);
/* Wait a moment for something of the kernel's that has nothing to wait for: false when until_ms (monotonic) has passed. */
bool step_pause(int64_t until_ms, unsigned int ms);
int64_t step_now_ms(void);
/* The PF's network interface. -ERR_HOST_WRITE when it has none here. */
int step_netdev(struct kernel *k, const char *pf, char out[static STEP_NAME], struct err *e);

/* What a PF's driver says of its VF n. */
int step_vf_read(struct kernel *k, const char *pf, unsigned int n, struct vf *ret_vf,
		 struct err *e);

/* The ops, a file each: hostio/driver.c, vfs.c, link.c, nvme.c, look.c */
int step_driver(struct kernel *k, struct json_object *step, struct json_object **ret_result,
		struct err *e);
int step_reset(struct kernel *k, struct json_object *step, struct json_object **ret_result,
	       struct err *e);
int step_vfs(struct kernel *k, struct json_object *step, struct json_object **ret_result,
	     struct err *e);
int step_link_up(struct kernel *k, struct json_object *step, struct json_object **ret_result,
		 struct err *e);
int step_link_down(struct kernel *k, struct json_object *step, struct json_object **ret_result,
		   struct err *e);
int step_vf_get(struct kernel *k, struct json_object *step, struct json_object **ret_result,
		struct err *e);
int step_vf_macs(struct kernel *k, struct json_object *step, struct json_object **ret_result,
		 struct err *e);
int step_vf_set(struct kernel *k, struct json_object *step, struct json_object **ret_result,
		struct err *e);
int step_nvme_get(struct kernel *k, struct json_object *step, struct json_object **ret_result,
		  struct err *e);
int step_nvme_vf(struct kernel *k, struct json_object *step, struct json_object **ret_result,
		 struct err *e);
int step_clean(struct kernel *k, struct json_object *step, struct json_object **ret_result,
	       struct err *e);
int step_holders(struct kernel *k, struct json_object *step, struct json_object **ret_result,
		 struct err *e);

#endif
