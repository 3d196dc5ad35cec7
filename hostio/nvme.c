// SPDX-License-Identifier: MIT
/*
 * NVMe VFs: queues and interrupts of a secondary controller, and whether it is online, by the PF's admin queue.
 * NVM Express 1.3, sections 5.22 (Virtualization Management), 5.15.4 (Secondary Controller List), 8.5.
 */
#include <endian.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "hostio/step.h"
#include "lib/errcat.h"

#define NVME_IDENTIFY 0x06
#define NVME_CNS_SECONDARY 0x15
#define NVME_VIRT_MGMT 0x1c
#define NVME_LIST_MAX 127
#define NVME_VFS_MAX 65535

enum nvme_action { NVME_OFFLINE = 7, NVME_ASSIGN = 8, NVME_ONLINE = 9 };
enum nvme_resource { NVME_QUEUES, NVME_INTERRUPTS };

/* Figure 123 and 124: the list, and an entry of it. */
struct nvme_secondary {
	uint16_t scid, pcid;
	uint8_t scs, reserved5[3];
	uint16_t vfn, nvq, nvi;
	uint8_t reserved14[18];
} __attribute__((packed));

struct nvme_list {
	uint8_t n, reserved1[31];
	struct nvme_secondary entries[NVME_LIST_MAX];
} __attribute__((packed));

_Static_assert(sizeof(struct nvme_list) == 4096, "as the specification has it");

struct nvme_vf {
	unsigned int controller, queues, interrupts;
	bool online;
};

static int nvme_command(struct kernel *k, const char *name, struct kernel_nvme *cmd,
			const char *what, struct err *e)
{
	struct err why = { 0 };
	int ret = k->ops->nvme(k, name, cmd, &why);

	if (!ret)
		return 0;
	if (ret == -EPERM || ret == -EACCES)
		return err_set(e, ERR_DENIED,
			       "vmd may not send commands to /dev/%s (CAP_SYS_ADMIN)", name);
	if (ret < 0)
		return err_set(e, ERR_HOST_VF, "%s (%s) does not %s: %s", name, k->device, what,
			       why.msg);
	err_set(e, ERR_HOST_VF, "%s (%s) does not %s: NVMe status %x.%02x", name, k->device, what,
		(unsigned int)ret >> 8 & 7, (unsigned int)ret & 0xff);
	return err_hint(
		e,
		"the VF must not be in use, and the controller must have that many flexible "
		"resources (nvme list-secondary /dev/%s)",
		name);
}

static int nvme_name(struct kernel *k, char out[static STEP_NAME], struct err *e)
{
	char driver[STEP_NAME];

	step_first_name(k, k->device, "nvme", out);
	if (out[0])
		return 0;
	step_driver_name(k, k->device, driver);
	err_set(e, ERR_HOST_VF, "%s is no NVMe controller that the host drives (driver: %s)",
		k->device, driver[0] ? driver : "none");
	return err_hint(e, "only its own PF can set up an NVMe VF: leave that to driver nvme");
}

/* Lists are by controller, 127 in each; VF n of the host's counting is VF number n + 1 in them. */
static int nvme_find(struct kernel *k, const char *name, unsigned int vf, struct nvme_vf *ret_vf,
		     struct err *e)
{
	struct nvme_list list;
	uint32_t from = 0;

	do {
		struct kernel_nvme cmd = { .opcode = NVME_IDENTIFY,
					   .cdw10 = NVME_CNS_SECONDARY | from << 16,
					   .data = &list,
					   .size = sizeof(list) };
		int ret = nvme_command(k, name, &cmd, "list its secondary controllers", e);

		if (ret < 0)
			return ret;
		for (unsigned int i = 0; i < MIN(list.n, NVME_LIST_MAX); i++) {
			const struct nvme_secondary *s = &list.entries[i];

			if (le16toh(s->vfn) == vf + 1) {
				*ret_vf = (struct nvme_vf){ le16toh(s->scid), le16toh(s->nvq),
							    le16toh(s->nvi), s->scs & 1 };
				return 0;
			}
			from = MAX(from, le16toh(s->scid) + 1u);
		}
	} while (list.n >= NVME_LIST_MAX && from <= UINT16_MAX);
	return err_set(e, ERR_HOST_GONE, "%s (%s) has no VF %u", name, k->device, vf);
}

static int nvme_manage(struct kernel *k, const char *name, unsigned int controller,
		       enum nvme_action action, enum nvme_resource resource, unsigned int count,
		       struct err *e)
{
	struct kernel_nvme cmd = { .opcode = NVME_VIRT_MGMT,
				   .cdw10 = (uint32_t)action | (uint32_t)resource << 8 |
					    (uint32_t)controller << 16,
				   .cdw11 = count };
	char what[96];

	if (action == NVME_ASSIGN)
		snprintf(what, sizeof(what), "give %u %s to controller %u", count,
			 resource == NVME_QUEUES ? "queues" : "interrupts", controller);
	else
		snprintf(what, sizeof(what), "set controller %u %s", controller,
			 action == NVME_ONLINE ? "online" : "offline");
	return nvme_command(k, name, &cmd, what, e);
}

static bool nvme_same(const struct nvme_vf *a, const struct nvme_vf *b)
{
	return a->queues == b->queues && a->interrupts == b->interrupts && a->online == b->online;
}

static struct json_object *nvme_json(const struct nvme_vf *vf)
{
	struct json_object *o = json_new();

	json_add_int(json_add_int(o, "queues", vf->queues), "interrupts", vf->interrupts);
	return json_add_bool(o, "online", vf->online);
}

int step_nvme_get(struct kernel *k, struct json_object *step, struct json_object **ret_result,
		  struct err *e)
{
	char name[STEP_NAME];
	struct nvme_vf now;
	unsigned int vf;
	int ret = step_uint(step, "vf", NVME_VFS_MAX, &vf, e);

	if (ret >= 0)
		ret = nvme_name(k, name, e);
	if (ret >= 0)
		ret = nvme_find(k, name, vf, &now, e);
	if (ret >= 0)
		*ret_result = nvme_json(&now);
	return ret;
}

/* Resources change hands only while it is offline (section 8.5.1.4). */
static int nvme_change(struct kernel *k, const char *name, const struct nvme_vf *want,
		       struct err *e)
{
	unsigned int c = want->controller;
	int ret = nvme_manage(k, name, c, NVME_OFFLINE, NVME_QUEUES, 0, e);

	if (ret >= 0)
		ret = nvme_manage(k, name, c, NVME_ASSIGN, NVME_INTERRUPTS, want->interrupts, e);
	if (ret >= 0)
		ret = nvme_manage(k, name, c, NVME_ASSIGN, NVME_QUEUES, want->queues, e);
	if (ret >= 0 && want->online)
		ret = nvme_manage(k, name, c, NVME_ONLINE, NVME_QUEUES, 0, e);
	return ret;
}

int step_nvme_vf(struct kernel *k, struct json_object *step, struct json_object **ret_result,
		 struct err *e)
{
	struct nvme_vf want = { .online = json_get_bool(step, "online", true) }, now = { 0 };
	char name[STEP_NAME];
	unsigned int vf;
	int ret = step_uint(step, "vf", NVME_VFS_MAX, &vf, e);

	(void)ret_result;
	if (ret >= 0)
		ret = step_uint(step, "queues", UINT16_MAX, &want.queues, e);
	if (ret >= 0)
		ret = step_uint(step, "interrupts", UINT16_MAX, &want.interrupts, e);
	if (ret >= 0)
		ret = nvme_name(k, name, e);
	if (ret >= 0)
		ret = nvme_find(k, name, vf, &now, e);
	if (ret < 0)
		return ret;
	want.controller = now.controller;
	if (nvme_same(&want, &now))
		return 0;
	ret = nvme_change(k, name, &want, e);
	if (ret >= 0)
		ret = nvme_find(k, name, vf, &now, e);
	if (ret >= 0 && !nvme_same(&want, &now))
		return err_set(
			e, ERR_HOST_VF,
			"VF %u of %s (%s) has %u queues and %u interrupts and is %s after all "
			"commands succeeded",
			vf, name, k->device, now.queues, now.interrupts,
			now.online ? "online" : "offline");
	return ret;
}
