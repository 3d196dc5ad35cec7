// SPDX-License-Identifier: MIT
/* What a VM may take of its host: see vmdef_limits.h; Documentation/admin-guide/cgroup-v2.rst. Any thread. */
#include "lib/vmdef_limits.h"

#include <string.h>

#include "lib/vmdef_memory.h"
#include "lib/vmdef_plan.h"

#define LIMITS_OVERHEAD (64 * MIB)
#define LIMITS_OVERHEAD_CPU (1 * MIB)
/* page tables: KVM's and the process's take together up to a 160th with pages of 4 KiB */
#define LIMITS_OVERHEAD_SHARE 64
#define LIMITS_OVERHEAD_SCREEN (16 * MIB) /* the memory of a display */
#define LIMITS_OVERHEAD_VIEWERS \
	(64 * MIB)	    /* the process that shows it, and its library's buffers */
#define LIMITS_CPUS_MAX 254 /* schemas/vm.json */
#define LIMITS_SUM_MAX (1ull << 53)
#define LIMITS_TASKS 256 /* beside vCPUs: I/O workers, and the kernel's for io_uring */
#define LIMITS_WEIGHT 100

static uint64_t limits_screen(struct json_object *def)
{
	struct json_object *devices = json_get(def, "devices");
	size_t n = devices ? json_object_array_length(devices) : 0;

	for (size_t i = 0; i < n; i++) {
		struct json_object *d = json_object_array_get_idx(devices, i);

		if (!strcmp(json_get_str(d, "type", ""), VMDEF_VGA) &&
		    json_get_bool(d, "enabled", true))
			return LIMITS_OVERHEAD_SCREEN +
			       (json_get(def, "display") ? LIMITS_OVERHEAD_VIEWERS : 0);
	}
	return 0;
}

static uint64_t limits_overhead(struct json_object *def, int64_t vcpus)
{
	struct vmdef_memory m = vmdef_memory(def);
	uint64_t standard = LIMITS_OVERHEAD + LIMITS_OVERHEAD_CPU * (uint64_t)vcpus +
			    m.size / LIMITS_OVERHEAD_SHARE + limits_screen(def);

	return vmdef_bytes(json_get(json_get(def, "limits"), "memory_overhead"), standard);
}

int vmdef_check_limits(struct json_object *def, struct schema_error *where, struct err *e)
{
	uint64_t overhead = limits_overhead(def, LIMITS_CPUS_MAX);
	struct vmdef_memory m = vmdef_memory(def);
	char least[32], got[32];

	json_size_format(VMDEF_OVERHEAD_MIN, least, sizeof(least));
	json_size_format(overhead, got, sizeof(got));
	if (overhead < VMDEF_OVERHEAD_MIN)
		return vmdef_refuse(where, e, "/limits/memory_overhead",
				    "expected at least %s, got %s", least, got);
	/* both are below 2^53, as every size; their sum goes through JSON too */
	if (overhead + m.size >= LIMITS_SUM_MAX)
		return vmdef_refuse(where, e, m.pointer,
				    "with memory_overhead, expected less than 8192TiB");
	return 0;
}

struct json_object *vmdef_expand_limits(struct json_object *def, int64_t vcpus)
{
	struct json_object *limits = json_get(def, "limits"), *o = json_new();
	struct vmdef_memory m = vmdef_memory(def);
	/* huge pages come from a pool of their own and do not count */
	uint64_t memory = limits_overhead(def, vcpus) + (m.hugepages ? 0 : m.size);

	json_add_bool(o, "required", limits && json_object_object_length(limits));
	json_add_int(o, "cpu_percent", json_get_int(limits, "cpu_percent", 0));
	json_add_int(o, "cpu_weight", json_get_int(limits, "cpu_weight", LIMITS_WEIGHT));
	json_add_int(o, "memory", (int64_t)memory);
	return json_add_int(o, "tasks", json_get_int(limits, "tasks", LIMITS_TASKS + vcpus));
}
