// SPDX-License-Identifier: MIT
/* A machine's memory, and which node of the host it comes from. Control loop. */
#include "vmm/gmem_node.h"
#include "vmm/machine_impl.h"
#include "vmm/progress.h"

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
