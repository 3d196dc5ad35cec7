// SPDX-License-Identifier: MIT
/* See vhost.h. vhost_new on the control loop, start and stop on the I/O worker. */
#include "vmm/net/vhost.h"

#include <errno.h>
#include <linux/vhost.h>
#include <linux/virtio_config.h>
#include <linux/virtio_net.h>
#include <linux/virtio_ring.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "lib/errcat.h"

#define VHOST_REGIONS ARRAY_SIZE(((struct gmem *)0)->regions)
#define VHOST_NEEDED                                                 \
	(BIT64(VIRTIO_F_VERSION_1) | BIT64(VIRTIO_NET_F_MRG_RXBUF) | \
	 BIT64(VIRTIO_RING_F_INDIRECT_DESC) | BIT64(VIRTIO_RING_F_EVENT_IDX))

struct vhost {
	const struct net_sys *sys; /* borrowed */
	int fd;			   /* owned */
	uint64_t features;
	int events[VHOST_EVENTS]; /* owned */
};

static int vhost_do(const struct vhost *v, unsigned long request, void *data)
{
	return net_ioctl(v->sys, v->fd, request, data);
}

int vhost_new(const struct net_sys *sys, int take_fd, struct vhost **ret_vhost, struct err *e)
{
	struct vhost *v = calloc(1, sizeof(*v));
	int r;

	if (!v) {
		close(take_fd);
		return err_set(e, ENOMEM, "vhost-net");
	}
	v->sys = sys;
	v->fd = take_fd;
	for (unsigned int i = 0; i < VHOST_EVENTS; i++)
		v->events[i] = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	*ret_vhost = v;
	r = vhost_do(v, VHOST_SET_OWNER, NULL);
	if (r >= 0)
		r = vhost_do(v, VHOST_GET_FEATURES, &v->features);
	if (r < 0)
		err_ret(e, r, "the descriptor is of no vhost-net");
	else if (v->events[VHOST_EVENTS - 1] < 0)
		r = err_set(e, EMFILE, "vhost-net: no eventfd");
	else if ((v->features & VHOST_NEEDED) != VHOST_NEEDED)
		r = err_set(e, ERR_INVALID, "this host's vhost-net lacks features 0x%llx",
			    (unsigned long long)(VHOST_NEEDED & ~v->features));
	if (r >= 0)
		return 0;
	*ret_vhost = NULL;
	vhost_free(v);
	return r;
}

void vhost_free(struct vhost *v)
{
	if (!v)
		return;
	close(v->fd);
	for (unsigned int i = 0; i < VHOST_EVENTS; i++)
		if (v->events[i] >= 0)
			close(v->events[i]);
	free(v);
}

uint64_t vhost_features(const struct vhost *v)
{
	return v->features;
}

int vhost_event(const struct vhost *v, unsigned int event)
{
	return v->events[event];
}

static int vhost_set_memory(const struct vhost *v, const struct gmem *g)
{
	uint64_t room[(sizeof(struct vhost_memory) +
		       VHOST_REGIONS * sizeof(struct vhost_memory_region)) /
		      sizeof(uint64_t)] = { 0 };
	struct vhost_memory *table = (struct vhost_memory *)(void *)room;

	table->nregions = g->nregions;
	for (unsigned int i = 0; i < g->nregions; i++)
		table->regions[i] = (struct vhost_memory_region){
			.guest_phys_addr = g->regions[i].gpa,
			.memory_size = g->regions[i].size,
			.userspace_addr = (uintptr_t)g->base + g->regions[i].offset,
		};
	return vhost_do(v, VHOST_SET_MEM_TABLE, table);
}

static int vhost_set_queue(const struct vhost *v, const struct vhost_setup *s, unsigned int i)
{
	const struct virtq *q = s->vqs[i];
	struct vhost_vring_state num = { i, q->size }, base = { i, q->avail_idx };
	struct vhost_vring_file kick = { i, s->kicks[i] }, call = { i, s->calls[i] };
	struct vhost_vring_file error = { i, v->events[VHOST_ERROR] };
	struct vhost_vring_addr addr = {
		.index = i,
		.desc_user_addr = (uintptr_t)q->desc_ptr,
		.avail_user_addr = (uintptr_t)q->avail_ptr,
		.used_user_addr = (uintptr_t)q->used_ptr,
	};
	const struct {
		unsigned long request;
		void *data;
	} steps[] = {
		{ VHOST_SET_VRING_NUM, &num },	 { VHOST_SET_VRING_BASE, &base },
		{ VHOST_SET_VRING_ADDR, &addr }, { VHOST_SET_VRING_ERR, &error },
		{ VHOST_SET_VRING_CALL, &call }, { VHOST_SET_VRING_KICK, &kick },
	};
	int r = 0;

	for (size_t n = 0; n < ARRAY_SIZE(steps) && r >= 0; n++)
		r = vhost_do(v, steps[n].request, steps[n].data);
	return r;
}

static int vhost_set_tap(const struct vhost *v, unsigned int i, int tap)
{
	struct vhost_vring_file backend = { i, tap };

	return vhost_do(v, VHOST_NET_SET_BACKEND, &backend);
}

int vhost_start(struct vhost *v, const struct vhost_setup *s)
{
	uint64_t features = s->features & v->features;
	int r = vhost_do(v, VHOST_SET_FEATURES, &features);

	if (r >= 0)
		r = vhost_set_memory(v, s->vqs[0]->gmem);
	for (unsigned int i = 0; i < 2 && r >= 0; i++)
		r = vhost_set_queue(v, s, i);
	for (unsigned int i = 0; i < 2 && r >= 0; i++)
		r = vhost_set_tap(v, i, s->tap);
	for (unsigned int i = 0; i < 2 && r < 0; i++)
		vhost_set_tap(v, i, -1);
	return r;
}

void vhost_stop(struct vhost *v, struct virtq *const vqs[static 2])
{
	for (unsigned int i = 0; i < 2; i++) {
		struct vhost_vring_state base = { .index = i };

		/* waits for what it is about */
		vhost_set_tap(v, i, -1);
		if (vhost_do(v, VHOST_GET_VRING_BASE, &base) >= 0)
			virtq_adopt(vqs[i], (uint16_t)base.num);
	}
}
