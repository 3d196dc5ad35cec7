/* SPDX-License-Identifier: MIT */
/*
 * A whole machine on the host's KVM with a guest of a few instructions: for the test_machine*.c. What does not
 * come within ten seconds ends the program.
 */
#ifndef TESTS_UNIT_TINY_MACHINE_H
#define TESTS_UNIT_TINY_MACHINE_H

#include <stdatomic.h>

#include "tests/lib/test.h"
#include "vmm/machine.h"

/* 32-bit code: the PVH entry */
#define TINY_SAY_A 0xb0, 'A', 0x66, 0xba, 0xf8, 0x03, 0xee, /* al = 'A', out 0x3f8, al */

extern const uint8_t tiny_exit_7[13]; /* says A, then 7 to the debug port */
extern const uint8_t tiny_count[15];  /* says A, then counts: tiny_counter */
extern const uint8_t tiny_halt[11];   /* says A, then cli; hlt */

struct tiny_options {
	unsigned int vcpus; /* 0: one */
	uint64_t memory;    /* 0: 32 MiB */
	bool kernel_irqchip, stop_on_reboot, balloon;
};

struct tiny {
	uv_loop_t loop;
	uv_timer_t deadline;
	struct log log;
	struct machine *machine;
	unsigned int events, suspended, awake, ended; /* events: resets */
	atomic_uint filtered;			      /* threads that asked for a vCPU's filter */
	struct lastwords words;
};

/* Descriptors: a kernel of this code, and /dev/kvm, without which the test is skipped. */
int tiny_kernel(const uint8_t *code, size_t len);
int tiny_kvm(void);
/* A machine's configuration; the kernel is its descriptor 0. */
struct json_object *tiny_json(const struct tiny_options *o);

/* The loop alone, with its deadline. */
void tiny_loop(struct tiny *f);
int tiny_init(struct tiny *f, const struct tiny_options *o, const uint8_t *code, size_t len,
	      struct err *e);
void tiny_fini(struct tiny *f);

#define tiny_start(f, o, code)                                      \
	do {                                                        \
		struct err err_ = { 0 };                            \
		if (tiny_init(f, o, code, sizeof(code), &err_) < 0) \
			fail_msg("%s", err_.msg);                   \
		if (machine_start((f)->machine, &err_) < 0)         \
			fail_msg("%s", err_.msg);                   \
	} while (0)

void tiny_until_ended(struct tiny *f);
/* It ends by itself, with this code at the debug port. */
void tiny_expect_exit(struct tiny *f, int code);
uint32_t tiny_counter(const struct tiny *f);
/* The guest runs: its counter moves on. */
void tiny_until_counting(struct tiny *f);

#endif
