// SPDX-License-Identifier: MIT
/*
 * ops=N requests of kib=K KiB (4) at random places of the first disk, depth=D at a time in each of queues=Q queues, write=1
 * for writes. Waits halted, for an interrupt, and kicks only when asked to (VIRTIO_F_EVENT_IDX), as drivers do. Says B on
 * the debug port before the first, E behind the last, then D if all were well, else F, and with stay=1 does not end then:
 * the figures of the data path.
 *
 * The monitor is what is measured, and some KVMs emulate each instruction of the guest. So the requests of a ring are made
 * before, one for each entry of it, with its own place and an indirect table, and stay as they are. From a depth of 8 on
 * they are sent again a group at a time, as soon as one of the depth's quarters is done.
 */
#include "lib/virtio.h"

#define SIZE 256
#define GROUP_MAX 8
#define VECTOR 0x40
#define BLOCK 4096
#define DATA (256 * 1024) /* of a queue, in turn for its requests */
#define QUEUES_MAX 4
#define DESC_NEXT 1
#define DESC_WRITE 2
#define DESC_INDIRECT 4
#define BLK_F_FLUSH (1ull << 9) /* writes need not be stable when they are done */
#define BLK_F_MQ (1ull << 12)
#define INDIRECT_DESC (1ull << 28)
#define EVENT_IDX (1ull << 29)
#define IN_FLIGHT 0xff /* a status that no device writes */

struct desc {
	uint64_t addr;
	uint32_t len;
	uint16_t flags, next;
};

struct ring {
	struct desc desc[SIZE];
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
	struct desc tables[SIZE][3];
	struct {
		uint32_t type, reserved;
		uint64_t sector;
	} head[SIZE];
	volatile uint8_t status[SIZE] __attribute__((aligned(GROUP_MAX)));
	uint16_t told;	 /* avail.idx at the last look for a kick */
	uint16_t wanted; /* the used.idx that is waited for */
	uint64_t left;	 /* to be sent */
	uint64_t notify;
} __attribute__((aligned(4096)));

struct load {
	struct ring rings[QUEUES_MAX];
	unsigned int n;	 /* rings */
	uint16_t depth;	 /* of each */
	uint16_t group;	 /* sent at once: a divisor of SIZE */
	uint8_t failed;	 /* all statuses */
	uint64_t random; /* xorshift's state */
};

static struct load l = { .random = 88172645463325252ull };
static uint8_t data[QUEUES_MAX][DATA] __attribute__((aligned(4096)));

static uint64_t load_place(uint64_t blocks)
{
	l.random ^= l.random << 13;
	l.random ^= l.random >> 7;
	l.random ^= l.random << 17;
	return l.random % blocks * (BLOCK / 512);
}

static void load_prepare(unsigned int q, unsigned int i, uint32_t len, bool write)
{
	struct ring *r = &l.rings[q];
	struct desc *t = r->tables[i];

	r->head[i].type = write;
	t[0] = (struct desc){ (uint64_t)&r->head[i], sizeof(r->head[i]), DESC_NEXT, 1 };
	t[1] = (struct desc){ (uint64_t)&data[q][i * len % DATA], len,
			      DESC_NEXT | (write ? 0 : DESC_WRITE), 2 };
	t[2] = (struct desc){ (uint64_t)&r->status[i], 1, DESC_WRITE, 0 };
	r->desc[i] = (struct desc){ (uint64_t)t, sizeof(r->tables[i]), DESC_INDIRECT, 0 };
	r->avail.ring[i] = (uint16_t)i;
}

/* Some are not done, though as many behind them are, or not well. */
static __attribute__((noinline)) void load_look(volatile uint8_t *status, unsigned int n)
{
	for (unsigned int i = 0; i < n; i++) {
		while (status[i] == IN_FLIGHT)
			__asm__ volatile("pause");
		l.failed |= status[i];
	}
}

/* The next entries of the ring are free, and now in flight. */
static inline void load_take(volatile uint8_t *status, unsigned int n)
{
	volatile uint64_t *all = (volatile uint64_t *)status;

	if (n == sizeof(*all)) {
		if (*all)
			load_look(status, n);
		*all = ~0ull;
		return;
	}
	for (unsigned int i = 0; i < n; i++) {
		if (status[i])
			load_look(status + i, 1);
		status[i] = IN_FLIGHT;
	}
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

/* As many as there is room for, and what to wait for next */
static inline void load_send(struct ring *r, uint16_t depth, uint16_t group)
{
	uint16_t idx = r->avail.idx, last = (uint16_t)(r->used.idx + depth - group);

	for (; r->left && (int16_t)(last - idx) >= 0; r->left -= group) {
		load_take(&r->status[idx % SIZE], group);
		idx = (uint16_t)(idx + group);
	}
	__asm__ volatile("" : : : "memory");
	r->avail.idx = idx;
	r->wanted = (uint16_t)(r->left ? idx - depth + group : idx);
	r->avail.used_event = (uint16_t)(r->wanted - 1);
	load_kick(r);
}

static inline bool load_done(const struct ring *r)
{
	return !r->left && r->used.idx == r->avail.idx;
}

static inline bool load_waits(unsigned int n)
{
	for (unsigned int q = 0; q < n; q++) {
		const struct ring *r = &l.rings[q];

		if ((int16_t)(r->used.idx - r->wanted) >= 0 && !load_done(r))
			return false;
	}
	return true;
}

static inline bool load_all_done(unsigned int n)
{
	for (unsigned int q = 0; q < n; q++)
		if (!load_done(&l.rings[q]))
			return false;
	return true;
}

/* Group and n are known at compile time where there is one queue: no instruction is for the others then. */
static inline __attribute__((always_inline)) void load_rings(uint16_t depth, uint16_t group,
							     unsigned int n)
{
	for (;;) {
		for (unsigned int q = 0; q < n; q++)
			load_send(&l.rings[q], depth, group);
		barrier();
		__asm__ volatile("cli" : : : "memory");
		while (load_waits(n)) {
			if (load_all_done(n))
				return;
			__asm__ volatile("sti; hlt; cli" : : : "memory");
		}
		__asm__ volatile("sti" : : : "memory");
	}
}

/* One at a time: nothing has to be counted but that one. */
static void load_single(struct ring *r, uint64_t ops)
{
	uint16_t idx = r->avail.idx;

	__asm__ volatile("cli" : : : "memory");
	for (; ops; ops--) {
		load_take(&r->status[idx % SIZE], 1);
		r->avail.used_event = idx++;
		r->avail.idx = idx;
		barrier();
		if (r->used.avail_event == (uint16_t)(idx - 1))
			mmio_write16(r->notify, 0);
		while (r->used.idx != idx)
			__asm__ volatile("sti; hlt; cli" : : : "memory");
	}
	r->told = idx;
}

static void load_run(uint64_t ops)
{
	if (l.n == 1 && l.depth == 1) {
		load_single(&l.rings[0], ops);
		__asm__ volatile("sti" : : : "memory");
		return;
	}
	for (unsigned int q = 0; q < l.n; q++)
		l.rings[q].left = ops / l.n;
	if (l.n == 1 && l.group == 1)
		load_rings(l.depth, 1, 1);
	else if (l.n == 1 && l.group == GROUP_MAX)
		load_rings(l.depth, GROUP_MAX, 1);
	else
		load_rings(l.depth, l.group, l.n);
	__asm__ volatile("sti" : : : "memory");
}

/* The statuses that no later request has looked at. */
static void load_collect(void)
{
	for (unsigned int q = 0; q < l.n; q++)
		for (unsigned int i = 0; i < SIZE; i++)
			load_look(&l.rings[q].status[i], 1);
}

static void load_queue(struct virtio *v, unsigned int q, uint32_t len, bool write)
{
	struct ring *r = &l.rings[q];
	const struct vring_areas areas = { r->desc, &r->avail, &r->used, SIZE };

	r->notify = virtio_ring(v, q, &areas, 1);
	for (unsigned int i = 0; i < SIZE; i++)
		load_prepare(q, i, len, write);
}

static void load_places(const struct virtio *v, uint32_t len)
{
	uint64_t sectors = mmio_read32(v->config) | (uint64_t)mmio_read32(v->config + 4) << 32;

	for (unsigned int q = 0; q < l.n; q++)
		for (unsigned int i = 0; i < SIZE; i++)
			l.rings[q].head[i].sector = load_place((sectors * 512 - len) / BLOCK + 1);
}

int guest_main(const struct start_info *si)
{
	uint32_t len = 1024 * (uint32_t)cmdline_number(si, "kib", 4);
	uint64_t ops = cmdline_number(si, "ops", 100);
	struct virtio v;

	l.depth = (uint16_t)cmdline_number(si, "depth", 1);
	l.group = l.depth >= 4 * GROUP_MAX ? GROUP_MAX : l.depth >= 8 ? 2 : 1;
	l.n = (unsigned int)cmdline_number(si, "queues", 1);
	CHECK(l.depth && l.depth <= SIZE / 2 && l.depth * len <= DATA);
	CHECK(l.n && l.n <= QUEUES_MAX);
	CHECK(ops % (l.n * l.group) == 0);
	virtio_init(&v, VIRTIO_BLK, 0,
		    INDIRECT_DESC | EVENT_IDX | BLK_F_FLUSH | (l.n > 1 ? BLK_F_MQ : 0));
	CHECK(v.features & EVENT_IDX);
	CHECK(v.features & INDIRECT_DESC);
	interrupts_init();
	virtio_msix(&v, 2, VECTOR);
	for (unsigned int q = 0; q < l.n; q++)
		load_queue(&v, q, len, cmdline_number(si, "write", 0));
	load_places(&v, len);
	interrupt_only_wakes(VECTOR);
	virtio_start(&v);
	load_run((uint64_t)l.depth * l.n * l.group); /* what is only done once */
	outb(0xe9, 'B');
	load_run(ops);
	outb(0xe9, 'E');
	load_collect();
	outb(0xe9, l.failed ? 'F' : 'D');
	CHECK_EQ(l.failed, 0);
	while (cmdline_number(si, "stay", 0))
		__asm__ volatile("cli; hlt");
	return 0;
}
