/* SPDX-License-Identifier: MIT */
/*
 * The PC's pair of DMA controllers (Intel 8237A data sheet, 231466) with its page registers (82371SB,
 * 290550, "DMA registers"): channels 0 to 3 at ports 00h to 0Fh move bytes, 4 to 7 at C0h to DFh words;
 * pages at 80h to 8Fh. Devices here have the first four; of the others there are the registers. Part of
 * the device that needs one. Under machine.lock.
 *
 *	i8237_init(&d, board, e);
 *	i8237_connect(&d, 2, x_ready, x);
 *	if (i8237_request(&d, 2))		else x_ready(x) is called when the guest lets the channel go
 *		n = i8237_to_memory(&d, 2, data, len, &ended);
 *	i8237_drop(&d, 2);
 */
#ifndef VMM_DEV_I8237_H
#define VMM_DEV_I8237_H

#include "vmm/board.h"

#define I8237_CHANNELS 4 /* of a chip */

struct i8237_channel {
	uint16_t base_addr, base_count; /* what autoinitialization brings back */
	uint16_t addr, count;		/* count: transfers left, without the last one */
	uint8_t mode;
	bool masked, dreq;
	void (*ready)(void *arg); /* borrowed, as arg; NULL: nothing is connected */
	void *arg;
};

struct i8237_chip {
	struct region region;
	uint8_t command;
	uint8_t ended; /* Status, bits 3:0: terminal counts */
	bool high;     /* flip-flop: the upper byte of a 16-bit register is next */
	struct i8237_channel channels[I8237_CHANNELS];
	unsigned int shift; /* of a register's number to its port */
};

struct i8237 {
	struct board *board; /* borrowed */
	struct i8237_chip chips[2];
	struct region pages;
	uint8_t page[16];
};

int i8237_init(struct i8237 *d, struct board *board, struct err *e);
void i8237_fini(struct i8237 *d); /* accepts one that is all zero */
void i8237_reset(struct i8237 *d);

/* channel: 0 to 3. ready is called from inside of a register access. */
void i8237_connect(struct i8237 *d, unsigned int channel, void (*ready)(void *arg), void *arg);
/* DREQ. true: it is acknowledged; false: ready will be called, unless it is dropped before. */
bool i8237_request(struct i8237 *d, unsigned int channel);
void i8237_drop(struct i8237 *d, unsigned int channel);
/*
 * Move up to len bytes while the request is acknowledged; returns how many, 0 when it is not. It ends with
 * the count (*ret_tc: TC). Of addresses without memory FFh is read, and what is written to them is lost,
 * as what goes the other way than the channel's mode says.
 */
size_t i8237_to_memory(struct i8237 *d, unsigned int channel, const void *data, size_t len,
		       bool *ret_tc);
size_t i8237_from_memory(struct i8237 *d, unsigned int channel, void *data, size_t len,
			 bool *ret_tc);

#endif
