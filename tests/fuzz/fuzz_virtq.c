// SPDX-License-Identifier: MIT
/*
 * A virtqueue over memory that the guest wrote: the input is 8 bytes of set-up, then guest memory. Every
 * buffer that comes out must lie in that memory, and popping must end.
 */
#include <stdlib.h>
#include <string.h>

#include "vmm/virtio/queue.h"

#define FUZZ_MEM_SIZE 65536

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void fuzz_virtq_check(const struct gmem *g, const struct virtq_req *r)
{
	if (r->nout + r->nin > VIRTQ_SEGS_MAX)
		__builtin_trap();
	for (unsigned int i = 0; i < (unsigned int)r->nout + r->nin; i++) {
		const uint8_t *p = r->iov[i].iov_base;

		if (!r->iov[i].iov_len)
			continue;
		if (p < g->base || !range_fits((uint64_t)(p - g->base), r->iov[i].iov_len, g->size))
			__builtin_trap();
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct virtq q = { 0 };
	struct virtq_req *r;
	struct gmem g;
	const char *why;
	struct err e;
	uint8_t *mem;

	if (size < 8)
		return 0;
	mem = calloc(1, FUZZ_MEM_SIZE);
	r = malloc(sizeof(*r));
	memcpy(mem, data + 8, MIN(size - 8, (size_t)FUZZ_MEM_SIZE));
	gmem_init_buffer(&g, mem, FUZZ_MEM_SIZE);
	virtq_reset(&q);
	q.gmem = &g;
	q.size = (uint16_t)(data[0] | data[1] << 8);
	q.desc = (uint64_t)data[2] << 8;
	q.avail = (uint64_t)data[3] << 8;
	q.used = (uint64_t)data[4] << 8;
	q.event_idx = data[5] & 1;
	q.indirect = data[5] & 2;
	if (virtq_start(&q, &e) >= 0) {
		for (int i = 0; i < 70000; i++) {
			int ret = virtq_pop(&q, r, &why);

			if (ret <= 0)
				break;
			fuzz_virtq_check(&g, r);
			virtq_push(&q, r->head, (uint32_t)i);
			virtq_flush(&q);
			virtq_kick_enable(&q, i & 1);
		}
	}
	gmem_fini(&g);
	free(r);
	free(mem);
	return 0;
}
