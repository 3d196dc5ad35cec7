// SPDX-License-Identifier: MIT
/* See e1000_fixture.h. */
#include "tests/unit/e1000_fixture.h"

#include <stdlib.h>
#include <string.h>

#include "tests/lib/test.h"

uint32_t e1000_test_get(struct e1000_test *t, unsigned int reg)
{
	return (uint32_t)fake_mmio_read(&t->f.fb, t->f.mem + reg, 4);
}

void e1000_test_set(struct e1000_test *t, unsigned int reg, uint32_t val)
{
	fake_mmio_write(&t->f.fb, t->f.mem + reg, 4, val);
}

int e1000_test_setup(void **state)
{
	struct e1000_test *t = calloc(1, sizeof(*t));

	net_fixture_init(&t->f);
	*state = t;
	return 0;
}

int e1000_test_teardown(void **state)
{
	struct e1000_test *t = *state;

	net_fixture_fini(&t->f);
	free(t);
	return 0;
}

void e1000_test_plug(struct e1000_test *t, const char *members, bool stream)
{
	nic_fixture_plug(&t->f, "e1000", members, stream, 0, 2);
}

void e1000_test_start(struct e1000_test *t, const char *members, bool stream, uint32_t rctl)
{
	e1000_test_plug(t, members, stream);
	e1000_test_set(t, E1000_TDBAL, E1000_TEST_TX);
	e1000_test_set(t, E1000_TDLEN, E1000_TEST_RING * 16);
	e1000_test_set(t, E1000_TCTL, E1000_TCTL_EN | E1000_TCTL_PSP);
	e1000_test_set(t, E1000_RDBAL, E1000_TEST_RX);
	e1000_test_set(t, E1000_RDLEN, E1000_TEST_RING * 16);
	for (unsigned int i = 0; i < E1000_TEST_RING; i++) {
		uint64_t addr = E1000_TEST_RX_BUF(i);

		memcpy(t->f.fb.mem + E1000_TEST_RX + 16ul * i, &addr, sizeof(addr));
	}
	e1000_test_set(t, E1000_RCTL, E1000_RCTL_EN | E1000_RCTL_BAM | rctl);
	e1000_test_set(t, E1000_IMS, E1000_INT_RXT0 | E1000_INT_TXDW | E1000_INT_LSC);
	nic_fixture_run(&t->f);
}

unsigned int e1000_test_queue(struct e1000_test *t, uint64_t low, uint32_t command, uint32_t status)
{
	uint8_t *d = t->f.fb.mem + E1000_TEST_TX + 16ul * t->tail;
	unsigned int at = t->tail;

	memcpy(d, &low, 8);
	memcpy(d + 8, &command, 4);
	memcpy(d + 12, &status, 4);
	t->tail = (t->tail + 1) % E1000_TEST_RING;
	return at;
}

void e1000_test_go(struct e1000_test *t)
{
	e1000_test_set(t, E1000_TDT, t->tail);
	nic_fixture_run(&t->f);
}

uint8_t *e1000_test_put(struct e1000_test *t, unsigned int i, const uint8_t *data, size_t len)
{
	return memcpy(t->f.fb.mem + NIC_BUF(i), data, len);
}

void e1000_test_legacy(struct e1000_test *t, const uint8_t *frame, size_t len)
{
	e1000_test_put(t, 0, frame, len);
	e1000_test_queue(t, NIC_BUF(0), (uint32_t)len | (EOP | IFCS | RS) << 24, 0);
	e1000_test_go(t);
}

void e1000_test_context(struct e1000_test *t, const uint8_t low[8], bool tse, uint16_t mss,
			uint8_t header)
{
	uint64_t word;

	memcpy(&word, low, 8);
	e1000_test_queue(t, word, (DEXT | (tse ? TSE : 0) | 3) << 24,
			 (uint32_t)mss << 16 | header << 8);
}

void e1000_test_data(struct e1000_test *t, uint64_t addr, size_t len, uint32_t command,
		     uint32_t popts)
{
	e1000_test_queue(t, addr, (uint32_t)len | 1 << 20 | (DEXT | RS | IFCS | command) << 24,
			 popts << 8);
}

const uint8_t *e1000_test_tcp(bool v6)
{
	static const uint8_t tcp4[8] = { 14, 24, 33, 0, 34, 50, 0, 0 },
			     tcp6[8] = { 14, 0, 0, 0, 54, 70, 0, 0 };

	return v6 ? tcp6 : tcp4;
}

void e1000_test_tso(struct e1000_test *t, const uint8_t *frame, size_t size, bool v6, uint16_t mss)
{
	uint8_t header = v6 ? 74 : 54;

	e1000_test_put(t, 0, frame, size);
	e1000_test_context(t, e1000_test_tcp(v6), true, mss, header);
	e1000_test_data(t, NIC_BUF(0), header, TSE, 3);
	e1000_test_data(t, NIC_BUF(0) + header, size - header, EOP | TSE, 3);
	e1000_test_go(t);
}

uint8_t e1000_test_done(struct e1000_test *t, unsigned int desc)
{
	return t->f.fb.mem[E1000_TEST_TX + 16ul * desc + 12] & 1;
}

struct e1000_rx_desc *e1000_test_rx(struct e1000_test *t, unsigned int i)
{
	return (struct e1000_rx_desc *)(void *)(t->f.fb.mem + E1000_TEST_RX) + i;
}
