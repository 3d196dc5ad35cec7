/* SPDX-License-Identifier: MIT */
/*
 * The wire between the keyboard controller (i8042.c) and what is plugged into it: IBM PS/2 Hardware Interface
 * Technical Reference, "Keyboard and Auxiliary Device Controller". A device has answers, which the
 * controller takes at once and before anything else, and data, of which it takes a byte a millisecond, as
 * the wire does: a handler of an old guest reads a scan code twice. Under machine.lock.
 */
#ifndef VMM_DEV_PS2_H
#define VMM_DEV_PS2_H

#include <stdbool.h>
#include <stdint.h>
#include "lib/err.h"

#define PS2_ANSWERS_MAX 8
#define PS2_ACK 0xfa
#define PS2_RESEND 0xfe
#define PS2_TEST_PASSED 0xaa

struct board;
struct ps2;

enum ps2_port { PS2_KEYBOARD, PS2_MOUSE, PS2_PORTS }; /* of board.ps2 */

struct ps2_ops {
	/* The system sends a byte: a command, or what belongs to one. The answers before it are gone. */
	void (*receive)(struct ps2 *p, uint8_t byte);
	/* The next byte of data, or -1. */
	int (*next)(struct ps2 *p);
};

/* Embedded in the device. */
struct ps2 {
	const struct ps2_ops *ops;
	uint8_t answers[PS2_ANSWERS_MAX];
	unsigned int first, nanswers;
	uint8_t last; /* sent: for the command Resend */
};

/* Before or after the controller is made. -ERR_INVALID: the port has a device. */
int ps2_plug(struct board *b, enum ps2_port port, struct ps2 *p, struct err *e);
void ps2_unplug(struct board *b, const struct ps2 *p);

/* To the controller, if there is one: there is something to take. */
void i8042_poke(const struct board *b);

/* More than PS2_ANSWERS_MAX at a time are a programmer's error. */
void ps2_answer(struct ps2 *p, uint8_t byte);
/* What has been queued is void. */
void ps2_clear(struct ps2 *p);
/* For the controller: the next answer or, if data, the next byte at all; -1: none. */
int ps2_take(struct ps2 *p, bool data);
void ps2_receive(struct ps2 *p, uint8_t byte);

#endif
