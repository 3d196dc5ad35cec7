// SPDX-License-Identifier: MIT
/*
 * ops=N requests of 4 KiB at random places of the first disk, depth=D at a time, write=1 for writes; the next one is sent as
 * soon as one is done. Waits halted, for an interrupt, and kicks only when asked to (VIRTIO_F_EVENT_IDX), as drivers
 * do. Says B on the debug port before the first, E behind the last, and with stay=1 does not end then: the figures of the data path. A request is as few
 * instructions as it can be, since the monitor is what is measured and some KVMs emulate each of them.
 */
#include "lib/virtio.h"

#define SIZE 128
#define DEPTH_MAX (SIZE / 3)
#define VECTOR 0x40
#define BLOCK 4096
#define PLACES 4096		/* a power of two */
#define BLK_F_FLUSH (1ull << 9) /* writes need not be stable when they are done */
#define EVENT_IDX (1ull << 29)

struct load {
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
	uint8_t failed; /* all of them */
	uint16_t told,
		seen; /* avail.idx at the last look for a kick; used.idx that is dealt with */
	uint64_t notify;
	uint64_t sectors[PLACES];
} __attribute__((aligned(4096)));

static struct load l;
static uint8_t data[DEPTH_MAX][BLOCK] __attribute__((aligned(4096)));

static void load_prepare(unsigned int i, bool write)
{
	l.head[i].type = write;
	l.desc[3 * i].addr = (uint64_t)&l.head[i];
	l.desc[3 * i].len = 16;
	l.desc[3 * i].flags = 1;
	l.desc[3 * i].next = (uint16_t)(3 * i + 1);
	l.desc[3 * i + 1].addr = (uint64_t)data[i];
	l.desc[3 * i + 1].len = BLOCK;
	l.desc[3 * i + 1].flags = write ? 1 : 3;
	l.desc[3 * i + 1].next = (uint16_t)(3 * i + 2);
	l.desc[3 * i + 2].addr = (uint64_t)&l.status[i];
	l.desc[3 * i + 2].len = 1;
	l.desc[3 * i + 2].flags = 2;
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

static inline void load_send(unsigned int head, uint64_t place)
{
	uint16_t idx = l.avail.idx;

	l.head[head / 3].sector = l.sectors[place % PLACES];
	l.avail.ring[idx % SIZE] = (uint16_t)head;
	__asm__ volatile("" : : : "memory");
	l.avail.idx = (uint16_t)(idx + 1);
}

static void load_kick(void)
{
	uint16_t new = l.avail.idx, old = l.told;

	if (new == old)
		return;
	l.told = new;
	barrier();
	if ((uint16_t)(new - l.used.avail_event - 1) < (uint16_t)(new - old))
		mmio_write16(l.notify, 0);
}

/* Until there is something in the used ring */
static void load_wait(void)
{
	l.avail.used_event = l.seen;
	barrier();
	__asm__ volatile("cli" : : : "memory");
	while (l.used.idx == l.seen)
		__asm__ volatile("sti; hlt; cli" : : : "memory");
	__asm__ volatile("sti" : : : "memory");
}

static void load_run(uint64_t ops, unsigned int depth)
{
	uint64_t sent = 0, done = 0;

	for (; sent < depth && sent < ops; sent++)
		load_send(3 * (unsigned int)sent, sent);
	load_kick();
	while (done < ops) {
		load_wait();
		while (l.seen != l.used.idx) {
			unsigned int head = l.used.ring[l.seen++ % SIZE].id;

			l.failed |= l.status[head / 3];
			done++;
			if (sent < ops)
				load_send(head, sent++);
		}
		load_kick();
	}
}

int guest_main(const struct start_info *si)
{
	unsigned int depth = (unsigned int)cmdline_number(si, "depth", 1);
	const struct vring_areas areas = { l.desc, &l.avail, &l.used, SIZE };
	struct virtio v;

	CHECK(depth && depth <= DEPTH_MAX);
	virtio_init(&v, VIRTIO_BLK, 0, EVENT_IDX | BLK_F_FLUSH);
	CHECK(v.features & EVENT_IDX);
	interrupts_init();
	virtio_msix(&v, 2, VECTOR);
	l.notify = virtio_ring(&v, 0, &areas, 1);
	load_places((mmio_read32(v.config) | (uint64_t)mmio_read32(v.config + 4) << 32) / 8);
	load_set_interrupt();
	for (unsigned int i = 0; i < depth; i++)
		load_prepare(i, cmdline_number(si, "write", 0));
	memset((void *)l.status, 0xff, sizeof(l.status));
	virtio_start(&v);
	load_run(depth, depth); /* what is only done once */
	outb(0xe9, 'B');
	load_run(cmdline_number(si, "ops", 100), depth);
	outb(0xe9, l.failed ? 'F' : 'E');
	CHECK_EQ(l.failed, 0);
	while (cmdline_number(si, "stay", 0))
		__asm__ volatile("cli; hlt");
	return 0;
}
