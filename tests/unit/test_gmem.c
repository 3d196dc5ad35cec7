// SPDX-License-Identifier: MIT
/* Guest memory: layout around the hole, bounds, refusal of what the host has not. */
#include <errno.h>
#include <linux/mempolicy.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>
#include <cmocka.h>

#include "lib/errcat.h"
#include "vmm/gmem.h"
#include "vmm/gmem_node.h"
#include "tests/lib/skip.h"

static void small_memory_is_one_region(void **state)
{
	struct gmem g;
	struct err e;

	(void)state;
	assert_int_equal(gmem_init(&g, 16 * MIB, 0, &e), 0);
	assert_int_equal(g.nregions, 1);
	assert_ptr_equal(gmem_ptr(&g, 0, 16 * MIB), g.base);
	assert_null(gmem_ptr(&g, 1, 16 * MIB));
	assert_non_null(gmem_ptr(&g, 16 * MIB, 0));
	assert_null(gmem_ptr(&g, 16 * MIB, 1));
	assert_null(gmem_ptr(&g, 8, UINT64_MAX));
	assert_null(gmem_ptr(&g, UINT64_MAX, 8));
	gmem_fini(&g);
	gmem_fini(&g);
}

static void huge_pages_of_host_and_guest_meet(void **state)
{
	struct gmem g[8];
	struct err e;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(g); i++) {
		/* of odd sizes, so that the kernel puts the next one anywhere */
		assert_int_equal(gmem_init(&g[i], 16 * MIB + 4096 * (i + 1), 0, &e), 0);
		assert_int_equal((uintptr_t)gmem_ptr(&g[i], 0, 1) % (2 * MIB), 0);
		assert_non_null(gmem_ptr(&g[i], 0, g[i].size));
		g[i].base[0] = g[i].base[g[i].size - 1] = 1;
	}
	for (size_t i = 0; i < ARRAY_SIZE(g); i++)
		gmem_fini(&g[i]);
}

/* The flags of the mapping that begins there (proc(5), smaps), or "". */
static const char *mapping_flags(const void *at, char *line, size_t size)
{
	FILE *f = fopen("/proc/self/smaps", "re");
	unsigned long begin, end;
	bool here = false;

	assert_non_null(f);
	while (fgets(line, (int)size, f)) {
		if (sscanf(line, "%lx-%lx ", &begin, &end) == 2)
			here = begin == (uintptr_t)at;
		else if (here && !strncmp(line, "VmFlags:", 8))
			break;
		line[0] = '\0';
	}
	fclose(f);
	return line;
}

static void first_huge_page_is_small_ones(void **state)
{
	char line[256];
	struct gmem g;
	struct err e;

	(void)state;
	if (access("/sys/kernel/mm/transparent_hugepage", F_OK) < 0)
		SKIP_BECAUSE("the host has no transparent huge pages");
	assert_int_equal(gmem_init(&g, 16 * MIB, 0, &e), 0);
	assert_non_null(strstr(mapping_flags(g.base, line, sizeof(line)), " nh"));
	assert_non_null(strstr(mapping_flags(g.base + 2 * MIB, line, sizeof(line)), " hg"));
	gmem_fini(&g);
	assert_int_equal(gmem_init(&g, MIB, 0, &e), 0);
	gmem_fini(&g);
}

static void large_memory_goes_around_the_hole(void **state)
{
	struct gmem g;
	struct err e;
	int r = gmem_init(&g, 4 * GIB, 0, &e);

	(void)state;
	if (r == -ERR_MEMORY)
		SKIP_BECAUSE("the host has no free huge pages");
	assert_int_equal(r, 0);
	assert_int_equal(g.nregions, 2);
	assert_true(g.regions[1].gpa == 4 * GIB && g.regions[1].size == GIB);
	assert_null(gmem_ptr(&g, GMEM_HOLE_START, 1));
	assert_null(gmem_ptr(&g, GMEM_HOLE_START - 1, 2));
	assert_ptr_equal(gmem_ptr(&g, 4 * GIB, 1), g.base + 3 * GIB);
	assert_null(gmem_ptr(&g, 5 * GIB, 1));
	gmem_fini(&g);
}

static void copies_are_all_or_nothing(void **state)
{
	uint8_t ram[4096] = { 0 }, data[8] = { 1, 2, 3, 4, 5, 6, 7, 8 };
	struct gmem g;

	(void)state;
	gmem_init_buffer(&g, ram, sizeof(ram));
	assert_int_equal(gmem_write(&g, 4092, data, 8), -EFAULT);
	assert_int_equal(ram[4092], 0);
	assert_int_equal(gmem_write(&g, 4088, data, 8), 0);
	assert_int_equal(gmem_read(&g, 4094, data, 2), 0);
	assert_int_equal(data[0], 7);
	assert_int_equal(gmem_read(&g, 4095, data, 2), -EFAULT);
	gmem_fini(&g);
}

static void more_than_the_host_has(void **state)
{
	struct gmem g;
	struct err e;

	(void)state;
	assert_int_equal(gmem_init(&g, 1024 * 1024 * GIB, 0, &e), -ERR_MEMORY);
	assert_ptr_equal(strstr(e.msg, "the VM wants 1048576.0 GiB of memory, the host has "),
			 e.msg);
	assert_int_equal(gmem_init(&g, 4097, 0, &e), -EINVAL);
	assert_int_equal(gmem_init(&g, 0, 0, &e), -EINVAL);
	assert_int_equal(gmem_init(&g, 3 * MIB, 2 * MIB, &e), -EINVAL);
	assert_int_equal(gmem_init(&g, 8 * MIB, 4 * MIB, &e), -EINVAL);
}

static void huge_page_shortage_is_named(void **state)
{
	struct gmem g;
	struct err e;
	int r = gmem_init(&g, GIB, GIB, &e);

	(void)state;
	if (!r)
		gmem_fini(&g);
	if (r != -ERR_MEMORY)
		SKIP_BECAUSE("the host has free huge pages, or knows none of this size");
	assert_ptr_equal(strstr(e.msg,
				"the VM wants 1 huge pages of 1024 MiB, the host has fewer free"),
			 e.msg);
	assert_non_null(strstr(e.hint, "raise nr_hugepages in /sys/kernel/mm/hugepages/"));
}

/* The policy of the page at that address, and its one node. */
static int policy_of(const void *at, unsigned long *ret_node)
{
	unsigned long mask[GMEM_NODES / 64] = { 0 };
	int mode = -1;

	assert_int_equal(syscall(SYS_get_mempolicy, &mode, mask, GMEM_NODES + 1ul, at,
				 (unsigned long)MPOL_F_ADDR),
			 0);
	*ret_node = GMEM_NODES;
	for (unsigned long i = 0; i < GMEM_NODES; i++)
		if (mask[i / 64] & 1ul << i % 64)
			*ret_node = i;
	return mode;
}

static void node_is_preferred(void **state)
{
	struct err e = { 0 };
	unsigned long node;
	struct gmem g;

	(void)state;
	if (access("/sys/devices/system/node/node0", F_OK) < 0)
		SKIP_BECAUSE("the kernel knows no NUMA nodes");
	assert_int_equal(gmem_init(&g, 16 * MIB, 0, &e), 0);
	assert_int_equal(gmem_prefer(&g, GMEM_ANY_NODE, &e), 0);
	assert_int_equal(policy_of(g.base, &node), MPOL_DEFAULT);
	assert_int_equal(gmem_prefer(&g, 0, &e), 0);
	assert_int_equal(policy_of(g.base, &node), MPOL_PREFERRED);
	assert_int_equal(node, 0);
	assert_int_equal(policy_of(g.base + g.size - 1, &node), MPOL_PREFERRED);
	for (uint32_t bad = GMEM_NODES - 1; bad <= GMEM_NODES; bad++) {
		char msg[64];

		snprintf(msg, sizeof(msg), "the host has no NUMA node %u with memory", bad);
		assert_int_equal(gmem_prefer(&g, bad, &e), -ERR_NUMA_NODE);
		assert_string_equal(e.msg, msg);
	}
	gmem_fini(&g);
}

/* Its pages that are in memory */
static uint64_t resident(const struct gmem *g)
{
	unsigned char *in = malloc(g->size / 4096);
	uint64_t n = 0;

	assert_int_equal(mincore(g->base, g->size, in), 0);
	for (uint64_t i = 0; i < g->size / 4096; i++)
		n += in[i] & 1;
	free(in);
	return n;
}

static void count_taken(void *arg, uint64_t bytes)
{
	*(uint64_t *)arg += bytes;
}

static void all_is_taken_from_a_node(void **state)
{
	struct err e = { 0 };
	uint64_t taken = 0;
	unsigned long node;
	struct gmem g;

	(void)state;
	if (access("/sys/devices/system/node/node0", F_OK) < 0)
		SKIP_BECAUSE("the kernel knows no NUMA nodes");
	assert_int_equal(gmem_init(&g, 80 * MIB, 0, &e), 0);
	assert_int_equal(resident(&g), 0);
	assert_int_equal(gmem_take(&g, 0, &gmem_sys_kernel, count_taken, &taken, &e), 0);
	assert_int_equal(taken, g.size);
	assert_int_equal(resident(&g), g.size / 4096);
	assert_int_equal(policy_of(g.base + g.size - 1, &node), MPOL_PREFERRED);
	assert_int_equal(node, 0);
	/* none of it goes back, for it might not be had again */
	assert_int_equal(gmem_discard(&g, g.base, MIB), -EBUSY);
	gmem_fini(&g);
	assert_int_equal(gmem_init(&g, 16 * MIB, 0, &e), 0);
	assert_int_equal(gmem_take(&g, GMEM_NODES - 1, &gmem_sys_kernel, count_taken, &taken, &e),
			 -ERR_NUMA_NODE);
	assert_string_equal(e.msg, "the host has no NUMA node 1023 with memory");
	assert_int_equal(resident(&g), 0);
	assert_int_equal(gmem_discard(&g, g.base, MIB), 0);
	gmem_fini(&g);
}

/* A node that has so much memory, and what it was asked for. */
struct small_node {
	struct gmem_sys sys;
	uint64_t room;
	int shortage; /* what the kernel says then */
	bool pool;    /* of huge pages: there, and not elsewhere */
	char calls[200];
};

static void small_note(struct small_node *n, const char *what, uint64_t len)
{
	size_t at = strlen(n->calls);

	snprintf(n->calls + at, sizeof(n->calls) - at, "%s %d;", what, (int)(len / MIB));
}

static int small_use(struct small_node *n, uint64_t len)
{
	if (len > n->room)
		return n->shortage;
	n->room -= len;
	return 0;
}

static int small_bind(const struct gmem_sys *sys, void *at, uint64_t len, int mode, uint32_t node,
		      unsigned int flags)
{
	struct small_node *n = (struct small_node *)sys;

	(void)at;
	assert_int_equal(node, 1);
	small_note(n, mode == MPOL_BIND ? flags ? "move" : "bind" : "prefer", len);
	if (!flags)
		return 0;
	assert_int_equal(flags, MPOL_MF_MOVE | MPOL_MF_STRICT);
	return small_use(n, len);
}

static int small_populate(const struct gmem_sys *sys, void *at, uint64_t len)
{
	struct small_node *n = (struct small_node *)sys;

	(void)at;
	small_note(n, "touch", len);
	return n->pool ? small_use(n, len) : 0;
}

static void node_without_enough(void **state)
{
	struct small_node n = { .sys = { small_bind, small_populate },
				.room = 100 * MIB,
				.shortage = -EIO };
	struct err e = { 0 };
	uint64_t taken = 0;
	struct gmem g;

	(void)state;
	assert_int_equal(gmem_init(&g, 160 * MIB, 0, &e), 0);
	assert_int_equal(gmem_take(&g, 1, &n.sys, count_taken, &taken, &e), -ERR_NUMA_MEMORY);
	assert_string_equal(e.msg,
			    "NUMA node 1 gives 64MiB of memory for the VM, which wants 160MiB");
	assert_string_equal(e.hint, "numactl -H shows what is free where; memory: {policy: prefer} "
				    "takes memory of other nodes too");
	assert_int_equal(taken, 64 * MIB);
	/* never touched while it is bound: the kernel would end processes */
	assert_string_equal(n.calls, "prefer 160;touch 64;move 64;touch 64;move 64;");
	assert_int_equal(gmem_discard(&g, g.base, MIB), 0);
	n.room = 160 * MIB;
	n.calls[0] = '\0';
	assert_int_equal(gmem_take(&g, 1, &n.sys, count_taken, &taken, &e), 0);
	assert_string_equal(n.calls,
			    "prefer 160;touch 64;move 64;touch 64;move 64;touch 32;move 32;"
			    "prefer 160;");
	gmem_fini(&g);
}

/* Of the host's pool there is none to be moved: they stay bound, and a page that is not there is an error. */
static void node_without_enough_huge_pages(void **state)
{
	struct small_node n = { .sys = { small_bind, small_populate },
				.room = 100 * MIB,
				.shortage = -EFAULT,
				.pool = true };
	struct err e = { 0 };
	uint64_t taken = 0;
	struct gmem g;

	(void)state;
	assert_int_equal(gmem_init(&g, 128 * MIB, 0, &e), 0);
	g.huge = true;
	g.page = 2 * MIB;
	assert_int_equal(gmem_take(&g, 1, &n.sys, count_taken, &taken, &e), -ERR_NUMA_MEMORY);
	assert_string_equal(e.msg,
			    "NUMA node 1 gives 64MiB of huge pages for the VM, which wants 128MiB");
	assert_string_equal(e.hint,
			    "raise nr_hugepages in /sys/devices/system/node/node1/hugepages; "
			    "memory: {policy: prefer} takes those of other nodes too");
	assert_string_equal(n.calls, "bind 128;touch 64;touch 64;");
	n.room = 128 * MIB;
	assert_int_equal(gmem_take(&g, 1, &n.sys, count_taken, &taken, &e), 0);
	assert_string_equal(n.calls, "bind 128;touch 64;touch 64;bind 128;touch 64;touch 64;");
	gmem_fini(&g);
}

/* RAM of so many GiB above the hole */
static struct gmem_window pci64(uint64_t gib, unsigned int phys_bits)
{
	const struct gmem g = {
		.regions = { { .size = GMEM_HOLE_START },
			     { .gpa = GMEM_HOLE_END, .size = gib * GIB } },
		.nregions = gib ? 2 : 1,
	};

	return gmem_pci64(&g, phys_bits);
}

#define expect_window(w, b, s)                                \
	do {                                                  \
		const struct gmem_window w_ = w;              \
                                                              \
		assert_int_equal(w_.size, (s)*GIB);           \
		assert_int_equal(w_.base, (s) ? (b)*GIB : 0); \
	} while (0)

static void pci_window(void **state)
{
	(void)state;
	expect_window(pci64(0, 39), 256, 256);
	expect_window(pci64(200, 39), 256, 256);
	expect_window(pci64(300, 39), 384, 128); /* it gives way to RAM */
	expect_window(pci64(0, 36), 32, 32);
	expect_window(pci64(0, 40), 512, 512);
	expect_window(pci64(0, 46), 1024, 1024);
	expect_window(pci64(3000, 46), 3072, 1024);
	expect_window(pci64(1, 64), 1024, 1024);
	expect_window(pci64(60, 36), 0, 0); /* full up to 64 GiB */
	expect_window(pci64(70, 36), 0, 0); /* nor with more than it reaches */
	expect_window(pci64(0, 32), 0, 0);
}

/* Does the page hold this byte everywhere? */
static bool page_is(const uint8_t *page, uint8_t byte)
{
	for (unsigned int i = 0; i < 4096; i++)
		if (page[i] != byte)
			return false;
	return true;
}

/* Whole pages go, the host has them, and they come back as zeroes. */
static void given_back(void **state)
{
	struct gmem g;
	struct err e;

	(void)state;
	assert_int_equal(gmem_init(&g, 64 * 4096, 0, &e), 0);
	(void)madvise(g.base, g.size, MADV_NOHUGEPAGE); /* so that pages can be counted */
	memset(g.base, 0xaa, g.size);
	assert_int_equal(resident(&g), 64);
	assert_int_equal(gmem_discard(&g, g.base + 4095, 2 + 2 * 4096), 0);
	assert_int_equal(resident(&g), 62);
	assert_true(page_is(g.base, 0xaa));
	assert_true(page_is(g.base + 4096, 0));
	assert_true(page_is(g.base + 8192, 0));
	assert_true(page_is(g.base + 12288, 0xaa));
	assert_int_equal(gmem_discard(&g, g.base + 12289, 4095), 0);
	assert_int_equal(gmem_discard(&g, g.base + g.size, 0), 0);
	assert_true(page_is(g.base + 12288, 0xaa));
	gmem_keep(&g, true);
	assert_int_equal(gmem_discard(&g, g.base, g.size), -EBUSY);
	assert_true(page_is(g.base, 0xaa));
	gmem_keep(&g, true);
	gmem_keep(&g, false);
	assert_int_equal(gmem_discard(&g, g.base, g.size), -EBUSY); /* the other has it still */
	gmem_keep(&g, false);
	assert_int_equal(gmem_discard(&g, g.base, g.size), 0);
	assert_true(page_is(g.base, 0));
	gmem_fini(&g);
}

/* From the IOAPIC downwards, but not over RAM, nor over what is ECAM. */
static void window_32(void **state)
{
	struct gmem g = { .nregions = 1, .regions = { { .size = 512 * MIB } } };

	(void)state;
	assert_int_equal(gmem_pci32(&g, false).base, 0x80000000);
	assert_int_equal(gmem_pci32(&g, false).size, 0xfec00000 - 0x80000000);
	g.regions[0].size = 3 * GIB;
	assert_int_equal(gmem_pci32(&g, false).base, 0xc0000000);
	assert_int_equal(gmem_pci32(&g, false).size, 0xfec00000 - 0xc0000000);
	assert_int_equal(gmem_pci32(&g, true).base, 0xc0000000);
	assert_int_equal(gmem_pci32(&g, true).size, 0x20000000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(window_32),
		cmocka_unit_test(small_memory_is_one_region),
		cmocka_unit_test(huge_pages_of_host_and_guest_meet),
		cmocka_unit_test(first_huge_page_is_small_ones),
		cmocka_unit_test(large_memory_goes_around_the_hole),
		cmocka_unit_test(copies_are_all_or_nothing),
		cmocka_unit_test(more_than_the_host_has),
		cmocka_unit_test(huge_page_shortage_is_named),
		cmocka_unit_test(node_is_preferred),
		cmocka_unit_test(all_is_taken_from_a_node),
		cmocka_unit_test(node_without_enough),
		cmocka_unit_test(node_without_enough_huge_pages),
		cmocka_unit_test(pci_window),
		cmocka_unit_test(given_back),
	};

	return cmocka_run_group_tests_name("gmem", tests, NULL, NULL);
}
