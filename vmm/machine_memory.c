// SPDX-License-Identifier: MIT
/* A machine's memory: which node of the host it comes from, how KVM gets it, and what its balloon leaves. Control loop. */
#include "lib/errcat.h"
#include "vmm/devices.h"
#include "vmm/gmem_node.h"
#include "vmm/machine_impl.h"
#include "vmm/progress.h"
#include "vmm/thread.h"
#include "vmm/virtio/balloon.h"

/* No balloon takes more: what a definition must have at least */
#define MACHINE_MEMORY_MIN (16 * MIB)

static void machine_taken(void *arg, uint64_t bytes)
{
	progress_add(arg, bytes);
}

int machine_make_memory(struct machine *m, struct err *e)
{
	const struct config_memory *c = &m->config.memory;
	struct progress told;
	int r = gmem_init(&m->gmem, c->size, c->hugepages, e);

	if (r < 0)
		return r;
	if (c->policy != CONFIG_POLICY_STRICT)
		return gmem_prefer(&m->gmem, c->node, e);
	progress_begin(&told, &m->board, "populating");
	return gmem_take(&m->gmem, c->node, &gmem_sys_kernel, machine_taken, &told, e);
}

static void machine_map_now(struct machine *m)
{
	m->mapping.ret = kvm_map(&m->kvm, &m->mapping.err);
}

static void *machine_map_run(void *arg)
{
	struct machine *m = arg;

	/* it may be older than the cage: with a vCPU's filter it can give KVM memory, and little else */
	if (m->ops->thread)
		m->ops->thread(m->arg, SECCOMP_VCPU);
	machine_map_now(m);
	return NULL;
}

void machine_map(struct machine *m)
{
	struct machine_mapping *map = &m->mapping;

	map->has_thread = !thread_spawn_beside(&map->thread, machine_map_run, m);
	if (!map->has_thread)
		machine_map_now(m);
}

int machine_mapped(struct machine *m, struct err *e)
{
	struct machine_mapping *map = &m->mapping;

	if (map->has_thread)
		pthread_join(map->thread, NULL);
	map->has_thread = false;
	if (map->ret < 0 && e)
		*e = map->err;
	return map->ret;
}

int machine_set_memory(struct machine *m, uint64_t size, bool dry_run, bool *ret_changed,
		       struct err *e)
{
	struct device *d = machine_device_of(m, &virtio_balloon_class);
	uint64_t all = m->config.memory.size;
	char least[32], most[32];
	int r;

	if (m->state == MACHINE_ENDED)
		return machine_wrong_state(m, "change its memory", e);
	if (!d)
		return err_set(e, ERR_VM_STATE, "the VM has no balloon (no virtio-balloon device)");
	if (size < MACHINE_MEMORY_MIN || size > all) {
		json_size_format(MACHINE_MEMORY_MIN, least, sizeof(least));
		json_size_format(all, most, sizeof(most));
		return err_set(e, ERR_INVALID, "the VM can have %s to %s of memory, not %llu bytes",
			       least, most, (unsigned long long)size);
	}
	pthread_mutex_lock(&m->lock);
	r = balloon_set(d, all - size, dry_run, e);
	pthread_mutex_unlock(&m->lock);
	if (r < 0)
		return r;
	*ret_changed = r;
	return 0;
}

bool machine_get_balloon(struct machine *m, struct balloon_info *ret)
{
	struct device *d = machine_device_of(m, &virtio_balloon_class);

	if (!d)
		return false;
	pthread_mutex_lock(&m->lock);
	balloon_get(d, ret);
	pthread_mutex_unlock(&m->lock);
	return true;
}
