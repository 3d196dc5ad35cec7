// SPDX-License-Identifier: MIT
/*
 * ops=N requests of kib=K KiB (4) at random places of the first disk, depth=D at a time in each of queues=Q queues, write=1
 * for writes; the next one is sent as soon as one is done. Waits halted, for an interrupt, and kicks only when asked to
 * (VIRTIO_F_EVENT_IDX), as drivers do. Says B on the debug port before the first, E behind the last, and with stay=1 does
 * not end then: the figures of the data path. A request is as few instructions as it can be, since the monitor is what is
 * measured and some KVMs emulate each of them.
 */
#include "lib/virtio.h"

#define SIZE 128
#define DEPTH_MAX (SIZE / 3)
#define VECTOR 0x40
#define BLOCK 4096
#define PLACES 4096 /* a power of two */
#define QUEUES_MAX 4
#define BLK_F_FLUSH (1ull << 9) /* writes need not be stable when they are done */
#define BLK_F_MQ (1ull << 12)
#define EVENT_IDX (1ull << 29)

struct ring {
	struct {
		uint64_t addr;
		uint32_t len;
		uint16_t flags, next;
	} desc[SIZE];
	volatile struct {
		uint16_t flags, idx, ring[SIZE], used_event;
	} avail;
	volatile struct {
		uint16_t flags, idx;
		struct {
			uint32_t id, len;
		} ring[SIZE];
		uint16_t avail_event;
	} used __attribute__((aligned(4)));
	struct {
		uint32_t type, reserved;
		uint64_t sector;
	} head[DEPTH_MAX];
	volatile uint8_t status[DEPTH_MAX];
	uint16_t told,
		seen; /* avail.idx at the last look for a kick; used.idx that is dealt with */
	uint64_t notify;
} __attribute__((aligned(4096)));

struct load {
	struct ring rings[QUEUES_MAX];
	unsigned int n; /* rings */
	uint8_t failed; /* all statuses */
	uint64_t sectors[PLACES];
};

static struct load l;
static uint8_t data[QUEUES_MAX][DEPTH_MAX * BLOCK] __attribute__((aligned(4096)));

static void load_prepare(unsigned int q, unsigned int i, uint32_t len, bool write)
{
	struct ring *r = &l.rings[q];

	r->head[i].type = write;
	r->status[i] = 0xff;
	r->desc[3 * i].addr = (uint64_t)&r->head[i];
	r->desc[3 * i].len = 16;
	r->desc[3 * i].flags = 1;
	r->desc[3 * i].next = (uint16_t)(3 * i + 1);
	r->desc[3 * i + 1].addr = (uint64_t)&data[q][i * len];
	r->desc[3 * i + 1].len = len;
	r->desc[3 * i + 1].flags = write ? 1 : 3;
	r->desc[3 * i + 1].next = (uint16_t)(3 * i + 2);
	r->desc[3 * i + 2].addr = (uint64_t)&r->status[i];
	r->desc[3 * i + 2].len = 1;
	r->desc[3 * i + 2].flags = 2;
}

static void load_places(uint64_t blocks)
{
	uint64_t random = 88172645463325252ull;

	for (unsigned int i = 0; i < PLACES; i++) {
		random ^= random << 13;
		random ^= random >> 7;
		random ^= random << 17;
		l.sectors[i] = random % blocks * (BLOCK / 512);
	}
}

/* The interrupt only ends the halt. */
__asm__("load_interrupt:\n\t"
	"pushq %rax\n\t"
	"movl $0xfee000b0, %eax\n\t" /* LAPIC_EOI */
	"movl $0, (%rax)\n\t"
	"popq %rax\n\t"
	"iretq");
extern char load_interrupt[];

static void load_set_interrupt(void)
{
	struct {
		uint16_t limit;
		uint64_t base;
	} __attribute__((packed)) idt;
	uint16_t *gate;

	__asm__ volatile("sidt %0" : "=m"(idt));
	gate = (uint16_t *)(idt.base + 16 * VECTOR);
	gate[0] = (uint16_t)(uint64_t)load_interrupt;
	gate[3] = (uint16_t)((uint64_t)load_interrupt >> 16);
}

static inline void load_send(struct ring *r, unsigned int head, uint64_t place)
{
	uint16_t idx = r->avail.idx;

	r->head[head / 3].sector = l.sectors[place % PLACES];
	r->avail.ring[idx % SIZE] = (uint16_t)head;
	__asm__ volatile("" : : : "memory");
	r->avail.idx = (uint16_t)(idx + 1);
}

static inline void load_kick(struct ring *r)
{
	uint16_t new = r->avail.idx, old = r->told;

	if (new == old)
		return;
	r->told = new;
	barrier();
	if ((uint16_t)(new - r->used.avail_event - 1) < (uint16_t)(new - old))
		mmio_write16(r->notify, 0);
}

static inline bool load_waits(unsigned int n)
{
	for (unsigned int q = 0; q < n; q++)
		if (l.rings[q].used.idx != l.rings[q].seen)
			return false;
	return true;
}

/* Until there is something in a used ring */
static inline void load_wait(unsigned int n)
{
	for (unsigned int q = 0; q < n; q++)
		l.rings[q].avail.used_event = l.rings[q].seen;
	barrier();
	__asm__ volatile("cli" : : : "memory");
	while (load_waits(n))
		__asm__ volatile("sti; hlt; cli" : : : "memory");
	__asm__ volatile("sti" : : : "memory");
}

/* n is known at compile time where there is one queue: no instruction is for the others then. */
static inline __attribute__((always_inline)) void load_rings(uint64_t ops, unsigned int depth,
							     unsigned int n)
{
	uint64_t sent = 0, done = 0;

	for (; sent < depth * n && sent < ops; sent++)
		load_send(&l.rings[sent % n], 3 * (unsigned int)(sent / n), sent);
	for (unsigned int q = 0; q < n; q++)
		load_kick(&l.rings[q]);
	while (done < ops) {
		load_wait(n);
		for (unsigned int q = 0; q < n; q++) {
			struct ring *r = &l.rings[q];

			while (r->seen != r->used.idx) {
				unsigned int head = r->used.ring[r->seen++ % SIZE].id;

				l.failed |= r->status[head / 3];
				done++;
				if (sent < ops)
					load_send(r, head, sent++);
			}
			load_kick(r);
		}
	}
}

static void load_run(uint64_t ops, unsigned int depth)
{
	if (l.n == 1)
		load_rings(ops, depth, 1);
	else
		load_rings(ops, depth, l.n);
}

static void load_queue(struct virtio *v, unsigned int q, unsigned int depth, uint32_t len,
		       bool write)
{
	struct ring *r = &l.rings[q];
	const struct vring_areas areas = { r->desc, &r->avail, &r->used, SIZE };

	r->notify = virtio_ring(v, q, &areas, 1);
	for (unsigned int i = 0; i < depth; i++)
		load_prepare(q, i, len, write);
}

int guest_main(const struct start_info *si)
{
	unsigned int depth = (unsigned int)cmdline_number(si, "depth", 1);
	uint32_t len = 1024 * (uint32_t)cmdline_number(si, "kib", 4);
	uint64_t sectors;
	struct virtio v;

	l.n = (unsigned int)cmdline_number(si, "queues", 1);
	CHECK(depth && depth <= DEPTH_MAX && depth * len <= sizeof(data[0]));
	CHECK(l.n && l.n <= QUEUES_MAX);
	virtio_init(&v, VIRTIO_BLK, 0, EVENT_IDX | BLK_F_FLUSH | (l.n > 1 ? BLK_F_MQ : 0));
	CHECK(v.features & EVENT_IDX);
	interrupts_init();
	virtio_msix(&v, 2, VECTOR);
	for (unsigned int q = 0; q < l.n; q++)
		load_queue(&v, q, depth, len, cmdline_number(si, "write", 0));
	sectors = mmio_read32(v.config) | (uint64_t)mmio_read32(v.config + 4) << 32;
	load_places((sectors * 512 - len) / BLOCK + 1);
	load_set_interrupt();
	virtio_start(&v);
	load_run(depth * l.n, depth); /* what is only done once */
	outb(0xe9, 'B');
	load_run(cmdline_number(si, "ops", 100), depth);
	outb(0xe9, l.failed ? 'F' : 'E');
	CHECK_EQ(l.failed, 0);
	while (cmdline_number(si, "stay", 0))
		__asm__ volatile("cli; hlt");
	return 0;
}
