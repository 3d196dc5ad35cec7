// SPDX-License-Identifier: MIT
/* virtio.h: one request at a time in a queue, its descriptors from 0 on. */
#include "virtio.h"

#define COMMON_DFSELECT 0x00
#define COMMON_DF 0x04
#define COMMON_GFSELECT 0x08
#define COMMON_GF 0x0c
#define COMMON_STATUS 0x14
#define COMMON_Q_SELECT 0x16
#define COMMON_Q_SIZE 0x18
#define COMMON_Q_VECTOR 0x1a
#define COMMON_Q_ENABLE 0x1c
#define COMMON_Q_NOTIFY_OFF 0x1e
#define COMMON_Q_DESC 0x20
#define COMMON_Q_AVAIL 0x28
#define COMMON_Q_USED 0x30

static void virtio_find_caps(struct virtio *v)
{
	for (unsigned int c = pci_cap(v->slot, 9, 0); c; c = pci_cap(v->slot, 9, c)) {
		uint8_t type = (uint8_t)(pci_read(v->slot, c) >> 24);
		unsigned int bar = pci_read(v->slot, c + 4) & 0xff;
		uint64_t addr = bar < 6 ? pci_bar(v->slot, bar) + pci_read(v->slot, c + 8) : 0;

		if (type == 1) {
			v->common = addr;
		} else if (type == 2) {
			v->notify = addr;
			v->notify_multiplier = pci_read(v->slot, c + 16);
		} else if (type == 3) {
			v->isr = addr;
		} else if (type == 4) {
			v->config = addr;
		}
		if (c == (pci_read(v->slot, c) >> 8 & 0xfc))
			break;
	}
	CHECK(v->common && v->notify && v->isr);
}

static void virtio_add_status(struct virtio *v, uint8_t bits)
{
	mmio_write8(v->common + COMMON_STATUS, mmio_read8(v->common + COMMON_STATUS) | bits);
}

void virtio_init(struct virtio *v, unsigned int type, unsigned int n, uint64_t wanted)
{
	int slot = pci_find((0x1040 + type) << 16 | 0x1af4, n);
	uint64_t take;

	CHECK(slot >= 0);
	memset(v, 0, sizeof(*v));
	v->slot = (unsigned int)slot;
	pci_write(v->slot, 4, (pci_read(v->slot, 4) & 0xffff) | 6); /* memory, bus master */
	virtio_find_caps(v);
	mmio_write8(v->common + COMMON_STATUS, 0);
	CHECK_EQ(mmio_read8(v->common + COMMON_STATUS), 0);
	virtio_add_status(v, 1);
	virtio_add_status(v, 2);
	for (uint32_t i = 0; i < 2; i++) {
		mmio_write32(v->common + COMMON_DFSELECT, i);
		v->features |= (uint64_t)mmio_read32(v->common + COMMON_DF) << 32 * i;
	}
	CHECK(v->features & VIRTIO_F_VERSION_1);
	take = (wanted & v->features) | VIRTIO_F_VERSION_1;
	for (uint32_t i = 0; i < 2; i++) {
		mmio_write32(v->common + COMMON_GFSELECT, i);
		mmio_write32(v->common + COMMON_GF, (uint32_t)(take >> 32 * i));
	}
	virtio_add_status(v, 8);
	CHECK(mmio_read8(v->common + COMMON_STATUS) & 8);
}

static void virtio_set64(uint64_t addr, const volatile void *p)
{
	mmio_write32(addr, (uint32_t)(uint64_t)p);
	mmio_write32(addr + 4, (uint32_t)((uint64_t)p >> 32));
}

uint64_t virtio_ring(struct virtio *v, unsigned int index, const struct vring_areas *r,
		     uint16_t vector)
{
	uint16_t offset;

	mmio_write16(v->common + COMMON_Q_SELECT, (uint16_t)index);
	CHECK(mmio_read16(v->common + COMMON_Q_SIZE) >= r->size);
	mmio_write16(v->common + COMMON_Q_SIZE, r->size);
	mmio_write16(v->common + COMMON_Q_VECTOR, vector);
	CHECK_EQ(mmio_read16(v->common + COMMON_Q_VECTOR), vector);
	virtio_set64(v->common + COMMON_Q_DESC, r->desc);
	virtio_set64(v->common + COMMON_Q_AVAIL, r->avail);
	virtio_set64(v->common + COMMON_Q_USED, r->used);
	offset = mmio_read16(v->common + COMMON_Q_NOTIFY_OFF);
	mmio_write16(v->common + COMMON_Q_ENABLE, 1);
	CHECK_EQ(mmio_read16(v->common + COMMON_Q_ENABLE), 1);
	return v->notify + (uint64_t)offset * v->notify_multiplier;
}

void virtio_queue(struct virtio *v, unsigned int index, struct vq *q, uint16_t vector)
{
	const struct vring_areas areas = { q->desc, &q->avail, &q->used, VQ_SIZE };

	memset(q, 0, sizeof(*q));
	q->index = (uint16_t)index;
	q->notify = virtio_ring(v, index, &areas, vector);
}

void virtio_start(struct virtio *v)
{
	virtio_add_status(v, 4);
	CHECK_EQ(mmio_read8(v->common + COMMON_STATUS), 15);
}

void virtio_msix(struct virtio *v, unsigned int n, unsigned int first)
{
	unsigned int c = pci_cap(v->slot, 0x11, 0);
	uint32_t table;

	CHECK(c != 0);
	CHECK((pci_read(v->slot, c) >> 16 & 0x7ff) + 1 >= n);
	table = pci_read(v->slot, c + 4);
	v->msix_table = pci_bar(v->slot, table & 7) + (table & ~7u);
	for (unsigned int i = 0; i < n; i++) {
		mmio_write32(v->msix_table + 16 * i,
			     0xfee00000 | mmio_read32(LAPIC + LAPIC_ID) >> 24 << 12);
		mmio_write32(v->msix_table + 16 * i + 4, 0);
		mmio_write32(v->msix_table + 16 * i + 8, first + i);
		mmio_write32(v->msix_table + 16 * i + 12, 0);
	}
	pci_write(v->slot, c, pci_read(v->slot, c) | 1u << 31);
}

void virtio_send(struct vq *q, const struct vq_part *parts, unsigned int n)
{
	CHECK(n && n <= VQ_SIZE);
	for (unsigned int i = 0; i < n; i++) {
		q->desc[i].addr = (uint64_t)parts[i].data;
		q->desc[i].len = parts[i].len;
		q->desc[i].flags =
			(uint16_t)((i + 1 < n ? 1 : 0) | (parts[i].device_writes ? 2 : 0));
		q->desc[i].next = (uint16_t)(i + 1);
	}
	q->avail.ring[q->avail.idx % VQ_SIZE] = 0;
	barrier();
	q->avail.idx++;
	barrier();
	mmio_write16(q->notify, q->index);
}

uint32_t virtio_wait(struct vq *q)
{
	uint16_t last = (uint16_t)(q->avail.idx - 1);

	while (q->used.idx == last)
		__asm__ volatile("pause");
	barrier();
	CHECK_EQ(q->used.idx, q->avail.idx);
	CHECK_EQ(q->used.ring[last % VQ_SIZE].id, 0);
	return q->used.ring[last % VQ_SIZE].len;
}
