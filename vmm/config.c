// SPDX-License-Identifier: MIT
/* The machine configuration's JSON to struct machine_config, by field tables. Control loop. */
#include "vmm/config.h"

#include <string.h>
#include <unistd.h>

#include "lib/auto.h"
#include "lib/errcat.h"
#include "lib/field.h"
#include "vmm/gmem.h"

static const char *const config_irqchip_names[] = { "split", "kernel", NULL };
static const char *const config_policy_names[] = { "prefer", "strict", NULL };
static const char *const config_after_names[] = { "reset", "stop", NULL };

/* Objects of the top level; bound by the tables below */
struct config_parts {
	struct json_object *memory, *boot, *devices, *smbios; /* borrowed */
};

static const struct field config_fields[] = {
	FIELD_STR("name", struct machine_config, name),
	FIELD_STR("profile", struct machine_config, profile),
	FIELD_STR("uuid", struct machine_config, uuid),
	FIELD_U32("vcpus", struct machine_config, vcpus),
	FIELD_ENUM("irqchip", struct machine_config, irqchip, config_irqchip_names),
	FIELD_ENUM("on_reboot", struct machine_config, on_reboot, config_after_names),
	FIELD_ENUM("on_crash", struct machine_config, on_crash, config_after_names),
	FIELD_END,
};

static const struct field config_memory_fields[] = {
	FIELD_U64("size", struct config_memory, size),
	FIELD_U64("hugepages", struct config_memory, hugepages),
	FIELD_U32("node", struct config_memory, node),
	FIELD_ENUM("policy", struct config_memory, policy, config_policy_names),
	FIELD_END,
};

static const struct field config_boot_fields[] = {
	FIELD_FD("kernel", struct config_boot, kernel_fd),
	FIELD_FD("initrd", struct config_boot, initrd_fd),
	FIELD_FD("firmware", struct config_boot, firmware_fd),
	FIELD_STR("cmdline", struct config_boot, cmdline),
	FIELD_END,
};

/* The order of boot is the firmware's to have: an array, looked at there. What is secure was chosen by it. */
static const char *const config_boot_keys[] = { "order", "secure", NULL };

static const struct field config_part_fields[] = {
	FIELD_JSON("memory", struct config_parts, memory),
	FIELD_JSON("boot", struct config_parts, boot),
	FIELD_JSON("devices", struct config_parts, devices),
	FIELD_JSON("smbios", struct config_parts, smbios),
	FIELD_END,
};

/* limits: kept by whoever starts vmm, not by itself */
static const char *const config_part_keys[] = { "memory", "boot",   "devices",
						"smbios", "limits", NULL };
static const char *const config_plain_keys[] = { "name",    "profile",	 "vcpus",
						 "irqchip", "on_reboot", "on_crash",
						 "limits",  "uuid",	 NULL };

static int config_check(const struct machine_config *c, struct err *e)
{
	if (!c->vcpus || c->vcpus > CONFIG_VCPUS_MAX)
		return err_set(e, ERR_CPUS, "%u vCPUs; a machine has 1 to %d", c->vcpus,
			       CONFIG_VCPUS_MAX);
	if (!c->memory.size)
		return err_set(e, ERR_INVALID, "no memory size");
	if (c->memory.policy == CONFIG_POLICY_STRICT && c->memory.node == GMEM_ANY_NODE)
		return err_set(e, ERR_INVALID, "a memory policy, and no node");
	if (c->boot.kernel_fd < 0 && c->boot.firmware_fd < 0)
		return err_set(e, ERR_INVALID, "no kernel");
	if (json_object_array_length(c->devices) > CONFIG_DEVICES_MAX)
		return err_set(e, ERR_INVALID, "more than %d devices", CONFIG_DEVICES_MAX);
	return 0;
}

static int config_bind(struct json_object *json, struct fdset *fds, struct machine_config *c,
		       struct err *e)
{
	struct config_parts parts = { NULL };
	int r = field_bind(config_fields, json, c, NULL, config_part_keys, e);

	if (r >= 0)
		r = field_bind(config_part_fields, json, &parts, NULL, config_plain_keys, e);
	if (r < 0)
		return r;
	if (!parts.memory || !parts.boot)
		return err_set(e, ERR_INVALID, "no %s", parts.memory ? "boot" : "memory");
	if (parts.devices && !json_object_is_type(parts.devices, json_type_array))
		return err_set(e, ERR_INVALID, "devices is no array");
	c->smbios = json_object_get(parts.smbios);
	c->devices = parts.devices ? json_object_get(parts.devices) : json_object_new_array();
	r = field_bind(config_memory_fields, parts.memory, &c->memory, NULL, NULL, e);
	if (r >= 0)
		r = field_bind(config_boot_fields, parts.boot, &c->boot, fds, config_boot_keys, e);
	c->boot.order = json_object_get(json_get(parts.boot, "order"));
	return r < 0 ? r : config_check(c, e);
}

int config_parse(struct json_object *json, struct fdset *fds, struct machine_config *ret_config,
		 struct err *e)
{
	struct machine_config c = {
		.vcpus = 1,
		.on_crash = CONFIG_AFTER_STOP,
		.vm_fd = -1,
		.memory = { .node = GMEM_ANY_NODE },
		.boot = { .kernel_fd = -1, .initrd_fd = -1, .firmware_fd = -1 },
	};
	int r = config_bind(json, fds, &c, e);

	if (r < 0) {
		config_fini(&c);
		if (r == -ERR_INVALID)
			err_wrap(e, "config");
		return r;
	}
	*ret_config = c;
	return 0;
}

void config_fini(struct machine_config *c)
{
	if (!c)
		return;
	json_object_put(c->devices);
	json_object_put(c->smbios);
	json_object_put(c->boot.order);
	if (c->boot.kernel_fd >= 0)
		close(c->boot.kernel_fd);
	if (c->boot.initrd_fd >= 0)
		close(c->boot.initrd_fd);
	if (c->boot.firmware_fd >= 0)
		close(c->boot.firmware_fd);
	cpu_support_fini(&c->support);
	if (c->vm_fd >= 0)
		close(c->vm_fd);
	c->devices = NULL;
	c->smbios = NULL;
	c->boot.order = NULL;
	c->vm_fd = -1;
	c->boot.kernel_fd = -1;
	c->boot.initrd_fd = -1;
	c->boot.firmware_fd = -1;
}
