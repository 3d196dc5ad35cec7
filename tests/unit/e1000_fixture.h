/* SPDX-License-Identifier: MIT */
/* An 82540EM as its driver sees it, between registers, rings and a fake tap: for the test_e1000*.c. */
#ifndef TESTS_UNIT_E1000_FIXTURE_H
#define TESTS_UNIT_E1000_FIXTURE_H

#include "tests/unit/nic_fixture.h"
#include "vmm/dev/e1000.h"

#define E1000_TEST_RING 16 /* descriptors of each ring */
#define E1000_TEST_TX 0x10000
#define E1000_TEST_RX 0x20000
#define E1000_TEST_RX_BUF(i) NIC_BUF(16 + (i))

/* Commands of a transmit descriptor: section 3.3.3 */
#define EOP 0x01u
#define IFCS 0x02u
#define TSE 0x04u
#define RS 0x08u
#define DEXT 0x20u
#define VLE 0x40u

struct e1000_test {
	struct net_fixture f;
	unsigned int tail; /* of the transmit ring */
};

/* Section 3.2.3 */
struct e1000_rx_desc {
	uint64_t addr;
	uint16_t len, sum;
	uint8_t status, errors;
	uint16_t special;
};

/* cmocka's */
int e1000_test_setup(void **state);
int e1000_test_teardown(void **state);
#define E1000_TEST(fn) cmocka_unit_test_setup_teardown(fn, e1000_test_setup, e1000_test_teardown)

uint32_t e1000_test_get(struct e1000_test *t, unsigned int reg);
void e1000_test_set(struct e1000_test *t, unsigned int reg, uint32_t val);
/* A card with more members of its configuration, on a tap or a stream */
void e1000_test_plug(struct e1000_test *t, const char *members, bool stream);
/* The same with both rings, as the driver has them; none of the receive buffers is the card's yet. */
void e1000_test_start(struct e1000_test *t, const char *members, bool stream, uint32_t rctl);

/* A descriptor of 16 bytes at the end of the transmit ring, sent with the next e1000_test_go: which one */
unsigned int e1000_test_queue(struct e1000_test *t, uint64_t low, uint32_t command,
			      uint32_t status);
void e1000_test_go(struct e1000_test *t);
/* Bytes into buffer i: where they are */
uint8_t *e1000_test_put(struct e1000_test *t, unsigned int i, const uint8_t *data, size_t len);
/* A frame in one legacy descriptor, sent */
void e1000_test_legacy(struct e1000_test *t, const uint8_t *frame, size_t len);
/* A context descriptor, and one of data, queued: sections 3.3.6 and 3.3.7 */
void e1000_test_context(struct e1000_test *t, const uint8_t low[8], bool tse, uint16_t mss,
			uint8_t header);
void e1000_test_data(struct e1000_test *t, uint64_t addr, size_t len, uint32_t command,
		     uint32_t popts);
/* The context of TCP without options: where the sums are */
const uint8_t *e1000_test_tcp(bool v6);
/* A frame that is to be cut into segments, sent: its header in one descriptor, the rest in another */
void e1000_test_tso(struct e1000_test *t, const uint8_t *frame, size_t size, bool v6, uint16_t mss);
/* Is a descriptor of the transmit ring reported? */
uint8_t e1000_test_done(struct e1000_test *t, unsigned int desc);
/* One of the receive ring */
struct e1000_rx_desc *e1000_test_rx(struct e1000_test *t, unsigned int i);

#endif
