// SPDX-License-Identifier: MIT
// The serial port against the PC16550D data sheet (National Semiconductor, June 1995).
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include <string.h>
#include "tests/unit/fake_board.h"
#include "vmm/dev/dev.h"
#include "vmm/x86/map.h"

enum { RBR, IER, IIR, LCR, MCR, LSR, MSR, SCR };
#define FCR IIR

struct fixture {
	struct fake_board fb;
	struct device *d;
};

static uint8_t in(struct fixture *f, int reg)
{
	return fake_in8(&f->fb, MAP_COM1 + reg);
}

static void out(struct fixture *f, int reg, uint8_t val)
{
	fake_out8(&f->fb, MAP_COM1 + reg, val);
}

static bool irq(struct fixture *f)
{
	return f->fb.irq[MAP_GSI_COM1];
}

static int setup(void **state)
{
	static struct fixture f;

	memset(&f, 0, sizeof(f));
	fake_board_init(&f.fb, 4096);
	f.d = fake_board_add(&f.fb, &serial_class, "com1", NULL);
	*state = &f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	fake_board_remove(&f->fb, f->d);
	fake_board_fini(&f->fb);
	return 0;
}

static void table_iii_reset_values(void **state)
{
	struct fixture *f = *state;

	out(f, IER, 0x0f);
	out(f, LCR, 0x1b);
	out(f, MCR, 0x0b);
	f->d->class->reset(f->d);
	assert_int_equal(in(f, IER), 0);
	assert_int_equal(in(f, IIR), 0x01);
	assert_int_equal(in(f, LCR), 0);
	assert_int_equal(in(f, MCR), 0);
	assert_int_equal(in(f, LSR), 0x60);
	assert_int_equal(in(f, MSR), 0xb0);
	assert_false(irq(f));
}

static void transmit_reaches_console(void **state)
{
	struct fixture *f = *state;

	for (const char *c = "hello\n"; *c; c++) {
		assert_int_equal(in(f, LSR) & 0x60, 0x60);
		out(f, RBR, (uint8_t)*c);
	}
	fake_console_expect(&f->fb, "com1", "hello\n");
}

/* 8.6.1, 8.3: DLAB switches the first two registers; Linux probes IER's upper bits and the scratch */
static void divisor_latch_and_scratch(void **state)
{
	struct fixture *f = *state;

	out(f, LCR, 0x83);
	out(f, RBR, 0x0c);
	out(f, IER, 0x5a);
	assert_int_equal(in(f, RBR), 0x0c);
	assert_int_equal(in(f, IER), 0x5a);
	out(f, LCR, 0x03);
	assert_int_equal(in(f, IER), 0);
	out(f, IER, 0xff);
	assert_int_equal(in(f, IER), 0x0f);
	out(f, SCR, 0xa5);
	assert_int_equal(in(f, SCR), 0xa5);
	fake_console_expect(&f->fb, "com1", "");
}

/* 8.6.2 and 8.6.3: IIR bits 7:6 show the FIFOs: how a driver tells 16550A from 16450 */
static void fifo_identification(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(in(f, IIR) & 0xc0, 0);
	out(f, FCR, 0x01);
	assert_int_equal(in(f, IIR) & 0xc0, 0xc0);
	out(f, FCR, 0xc0); /* without bit 0 the rest is not programmed */
	assert_int_equal(in(f, IIR) & 0xc0, 0);
}

/* Table V: THRE is raised by enabling and by an empty register, dropped by reading IIR or by writing */
static void thre_interrupt(void **state)
{
	struct fixture *f = *state;
	unsigned int raised;

	out(f, MCR, 0x0b);
	assert_false(irq(f));
	out(f, IER, 0x02);
	assert_true(irq(f));
	assert_int_equal(in(f, IIR), 0x02);
	assert_false(irq(f));
	assert_int_equal(in(f, IIR), 0x01);
	raised = f->fb.irq_raised[MAP_GSI_COM1];
	out(f, RBR, 'a');
	out(f, RBR, 'b'); /* an edge each, also where IIR was not read in between */
	assert_true(irq(f));
	assert_int_equal(f->fb.irq_raised[MAP_GSI_COM1], raised + 2);
	out(f, IER, 0);
	assert_false(irq(f));
	assert_int_equal(in(f, IIR), 0x01);
	fake_console_expect(&f->fb, "com1", "ab");
}

/* The PC gates the line with OUT2 */
static void out2_gates_line(void **state)
{
	struct fixture *f = *state;

	out(f, IER, 0x02);
	assert_false(irq(f));
	out(f, MCR, 0x08);
	assert_true(irq(f));
	out(f, MCR, 0x00);
	assert_false(irq(f));
	assert_int_equal(in(f, IIR), 0x02); /* pending all the same */
}

static void receive_without_fifo(void **state)
{
	struct fixture *f = *state;
	unsigned int raised = f->fb.irq_raised[MAP_GSI_COM1];

	out(f, MCR, 0x0b);
	out(f, IER, 0x01);
	fake_console_type(&f->fb, "com1", "xyz", 3);
	assert_true(irq(f));
	for (const char *c = "xyz"; *c; c++) {
		assert_int_equal(in(f, IIR), 0x04);
		assert_int_equal(in(f, LSR), 0x61);
		assert_int_equal(in(f, RBR), *c);
	}
	assert_int_equal(f->fb.irq_raised[MAP_GSI_COM1], raised + 3);
	assert_int_equal(in(f, LSR), 0x60);
	assert_int_equal(in(f, IIR), 0x01);
	assert_int_equal(in(f, RBR), 0);
	assert_false(irq(f));
}

/* 8.4.1: trigger level, then the timeout for the rest */
static void receive_trigger_and_timeout(void **state)
{
	struct fixture *f = *state;
	unsigned int raised;

	out(f, LCR, 0x03);
	out(f, MCR, 0x0b);
	out(f, FCR, 0x81); /* 8 bytes */
	out(f, IER, 0x01);
	fake_console_type(&f->fb, "com1", "0123456789", 10);
	assert_int_equal(in(f, IIR), 0xc4);
	assert_int_equal(in(f, RBR), '0');
	assert_int_equal(in(f, RBR), '1');
	assert_int_equal(in(f, IIR), 0xc4);
	assert_int_equal(in(f, RBR), '2');
	/* below the trigger, four character times after the last read: 4 * 10 * 16 / 1.8432 MHz = 347 us */
	assert_int_equal(in(f, IIR), 0xc1);
	assert_false(irq(f));
	raised = f->fb.irq_raised[MAP_GSI_COM1];
	fake_board_advance(&f->fb, 300000);
	assert_int_equal(in(f, RBR), '3'); /* restarts it */
	fake_board_advance(&f->fb, 300000);
	assert_int_equal(in(f, IIR), 0xc1);
	fake_board_advance(&f->fb, 100000);
	assert_int_equal(in(f, IIR), 0xcc);
	assert_int_equal(f->fb.irq_raised[MAP_GSI_COM1], raised + 1);
	for (const char *c = "456789"; *c; c++)
		assert_int_equal(in(f, RBR), *c);
	assert_int_equal(in(f, IIR), 0xc1);
	fake_board_advance(&f->fb, 10000000);
	assert_false(irq(f));
}

/* A keystroke below the trigger level does not wait: its characters have been there */
static void receive_keystroke(void **state)
{
	struct fixture *f = *state;

	out(f, MCR, 0x0b);
	out(f, FCR, 0xc1);
	out(f, IER, 0x01);
	fake_console_type(&f->fb, "com1", "k", 1);
	assert_int_equal(in(f, IIR), 0xcc);
	assert_int_equal(in(f, RBR), 'k');
	assert_int_equal(in(f, IIR), 0xc1);
}

static void receive_loses_nothing(void **state)
{
	struct fixture *f = *state;
	char text[1000];

	for (size_t i = 0; i < sizeof(text); i++)
		text[i] = (char)('a' + i % 26);
	out(f, FCR, 0x01);
	fake_console_type(&f->fb, "com1", text, sizeof(text));
	for (size_t i = 0; i < sizeof(text); i++) {
		assert_int_equal(in(f, LSR), 0x61);
		assert_int_equal(in(f, RBR), text[i]);
	}
	assert_int_equal(in(f, LSR), 0x60);
}

/* 8.6.2: bit 1 clears the receiver FIFO, and clears itself; what is still with the console comes after */
static void fifo_clear(void **state)
{
	struct fixture *f = *state;

	out(f, FCR, 0x01);
	fake_console_type(&f->fb, "com1", "0123456789abcdefXY", 18);
	out(f, FCR, 0x03);
	assert_int_equal(in(f, RBR), 'X');
	assert_int_equal(in(f, RBR), 'Y');
	assert_int_equal(in(f, LSR), 0x60);
}

/* 8.6.7: the four outputs become the four inputs; Linux' autoconfig expects 0x90 for OUT2 | RTS */
static void loopback_modem(void **state)
{
	struct fixture *f = *state;

	out(f, MCR, 0x1a);
	assert_int_equal(in(f, MSR) & 0xf0, 0x90);
	out(f, MCR, 0x15);
	assert_int_equal(in(f, MSR), 0x6b); /* all but RI changed; RI rose, which does not count */
	assert_int_equal(in(f, MSR), 0x60);
	out(f, MCR, 0x11);
	assert_int_equal(in(f, MSR), 0x24); /* TERI */
	out(f, MCR, 0x00);
	assert_int_equal(in(f, MSR) & 0xf0, 0xb0);
}

static void loopback_data_and_overrun(void **state)
{
	struct fixture *f = *state;

	out(f, MCR, 0x10);
	out(f, FCR, 0x01);
	out(f, IER, 0x04);
	for (int i = 0; i < 17; i++)
		out(f, RBR, (uint8_t)('A' + i));
	assert_int_equal(in(f, IIR), 0xc6); /* line status: overrun */
	assert_int_equal(in(f, LSR), 0x63);
	assert_int_equal(in(f, LSR), 0x61);
	assert_int_equal(in(f, IIR), 0xc1);
	for (int i = 0; i < 16; i++)
		assert_int_equal(in(f, RBR), 'A' + i);
	assert_int_equal(in(f, LSR), 0x60);
	fake_console_expect(&f->fb, "com1", "");
}

/* Table V: line status, data, THRE, modem status, in this order */
static void interrupt_priority(void **state)
{
	struct fixture *f = *state;

	out(f, MCR, 0x10);
	in(f, MSR);
	out(f, MCR, 0x12); /* CTS changes */
	out(f, IER, 0x0f);
	out(f, RBR, 'a');
	out(f, RBR, 'b'); /* overruns the holding register */
	assert_int_equal(in(f, IIR), 0x06);
	in(f, LSR);
	assert_int_equal(in(f, IIR), 0x04);
	assert_int_equal(in(f, RBR), 'b');
	assert_int_equal(in(f, IIR), 0x02);
	assert_int_equal(in(f, IIR), 0x00);
	in(f, MSR);
	assert_int_equal(in(f, IIR), 0x01);
}

/* Input that came while nobody could take it is there after a reset */
static void reset_takes_waiting_input(void **state)
{
	struct fixture *f = *state;

	fake_console_type(&f->fb, "com1", "ab", 2);
	f->d->class->reset(f->d);
	assert_int_equal(in(f, RBR), 'b');
}

static void ports_and_clashes(void **state)
{
	struct fixture *f = *state;
	struct serial_cfg com4 = { .port = SERIAL_COM4, .backend = SERIAL_BACKEND_NONE };
	struct serial_cfg com1 = { .port = SERIAL_COM1, .backend = SERIAL_BACKEND_NONE };
	struct device *d = fake_board_add(&f->fb, &serial_class, "com4", &com4);
	struct err e = { 0 };

	fake_out8(&f->fb, MAP_COM4 + MCR, 0x08);
	fake_out8(&f->fb, MAP_COM4 + IER, 0x02);
	assert_true(f->fb.irq[MAP_GSI_COM4]);
	fake_out8(&f->fb, MAP_COM4, 'x'); /* to nobody */
	assert_int_equal(fake_board_add_fails(&f->fb, &serial_class, "again", &com1, &e), -EEXIST);
	fake_board_remove(&f->fb, d);
	assert_int_equal(fake_in8(&f->fb, MAP_COM4), 0xff);
}

/* Any sequence of register writes leaves it alive */
static void random_accesses(void **state)
{
	struct fixture *f = *state;
	uint32_t seed = 1;

	out(f, MCR, 0x10);
	for (int i = 0; i < 50000; i++) {
		seed = seed * 1664525 + 1013904223;
		if (seed & BIT(31))
			in(f, (seed >> 16) & 7);
		else if (((seed >> 16) & 7) == MCR)
			out(f, MCR, (uint8_t)(seed >> 8) | 0x10);
		else
			out(f, (seed >> 16) & 7, (uint8_t)(seed >> 8));
		if (seed % 16 == 0)
			fake_board_advance(&f->fb, seed % 1000000);
	}
}

int main(void)
{
#define T(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(table_iii_reset_values),
		T(transmit_reaches_console),
		T(divisor_latch_and_scratch),
		T(fifo_identification),
		T(thre_interrupt),
		T(out2_gates_line),
		T(receive_without_fifo),
		T(receive_trigger_and_timeout),
		T(receive_keystroke),
		T(receive_loses_nothing),
		T(fifo_clear),
		T(loopback_modem),
		T(loopback_data_and_overrun),
		T(interrupt_priority),
		T(reset_takes_waiting_input),
		T(ports_and_clashes),
		T(random_accesses),
	};
#undef T

	return cmocka_run_group_tests(tests, NULL, NULL);
}
