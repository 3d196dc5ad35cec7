// SPDX-License-Identifier: MIT
/* A screen that somebody looks at: the real device and the real end of its link, a socket in place of vmm-display. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <fcntl.h>
#include <linux/input-event-codes.h>
#include <linux/pci_regs.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "lib/auto.h"
#include "tests/unit/fake_board.h"
#include "vmm/devices.h"
#include "vmm/display/link.h"
#include "vmm/display/viewer.h"

#define WINDOW 0xb8000
#define SLOT 2

struct typed {
	uint16_t key;
	bool down;
};

struct fixture {
	struct fake_board fb;
	struct device *chipset, *dev;
	struct viewer *viewer;
	pthread_mutex_t lock;
	int link; /* vmm-display's end */
	const uint8_t *view;
	struct typed typed[8];
	unsigned int ntyped, nmoved;
	struct input_pointer moved;
};

/* --- devices that are typed to ---------------------------------------------------------------------------------- */

static void typed_key(void *dev, uint16_t key, bool down)
{
	struct fixture *f = dev;

	assert_true(f->ntyped < ARRAY_SIZE(f->typed));
	f->typed[f->ntyped++] = (struct typed){ key, down };
}

static bool typed_idle(void *dev)
{
	(void)dev;
	return true;
}

static void typed_move(void *dev, const struct input_pointer *ev)
{
	struct fixture *f = dev;

	f->moved = *ev;
	f->nmoved++;
}

static const struct input_keyboard keyboard = { .key = typed_key, .idle = typed_idle };
static const struct input_mouse mouse = { .move = typed_move };

/* --- making it -------------------------------------------------------------------------------------------------- */

static int reopen(int fd)
{
	char path[32];

	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	return open(path, O_RDONLY | O_CLOEXEC);
}

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));
	struct vga_cfg cfg = { .address = "00:02.0", .rom_fd = -1 };
	struct viewer_options o;
	int ends[2];

	cfg.memory_fd = memfd_create("vram", MFD_CLOEXEC);
	assert_int_equal(ftruncate(cfg.memory_fd, VGA_VRAM_SIZE), 0);
	cfg.view_fd = reopen(cfg.memory_fd);
	assert_true(cfg.view_fd >= 0);
	fake_board_init(&f->fb, MIB);
	f->chipset = fake_board_add(&f->fb, &i440fx_class, "chipset", NULL);
	f->dev = fake_board_add(&f->fb, &vga_class, "vga0", &cfg);
	pthread_mutex_init(&f->lock, NULL);
	assert_int_equal(input_set_keyboard(&f->fb.input, &keyboard, f, NULL), 0);
	assert_int_equal(input_set_mouse(&f->fb.input, &mouse, f, NULL), 0);
	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK, 0, ends), 0);
	f->link = ends[0];
	o = (struct viewer_options){ .loop = &f->fb.loop,
				     .log = &f->fb.log,
				     .lock = &f->lock,
				     .screen = f->dev,
				     .input = &f->fb.input };
	assert_int_equal(viewer_new(&o, ends[1], &f->viewer, NULL), 0);
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	viewer_free(f->viewer);
	input_unset_keyboard(&f->fb.input, f);
	input_unset_mouse(&f->fb.input, f);
	fake_board_remove(&f->fb, f->dev);
	fake_board_remove(&f->fb, f->chipset);
	fake_board_fini(&f->fb);
	pthread_mutex_destroy(&f->lock);
	if (f->view)
		munmap((void *)f->view, VGA_VRAM_SIZE);
	close(f->link);
	free(f);
	return 0;
}

/* --- the other end ------------------------------------------------------------------------------------------------ */

static bool readable(void *arg)
{
	struct fixture *f = arg;
	struct pollfd p = { .fd = f->link, .events = POLLIN };

	return poll(&p, 1, 0) == 1;
}

static void say(struct fixture *f, const void *msg, size_t size)
{
	assert_int_equal(write(f->link, msg, size), size);
	fake_board_run(&f->fb);
}

static void look(struct fixture *f, bool all)
{
	struct link_look m = { .type = LINK_LOOK, .all = all };

	say(f, &m, sizeof(m));
}

static void expect_hello(struct fixture *f)
{
	struct link_hello hello;
	struct iovec iov = { .iov_base = &hello, .iov_len = sizeof(hello) };
	char control[CMSG_SPACE(sizeof(int))];
	struct msghdr msg = { .msg_iov = &iov,
			      .msg_iovlen = 1,
			      .msg_control = control,
			      .msg_controllen = sizeof(control) };
	int fd;

	assert_int_equal(recvmsg(f->link, &msg, 0), sizeof(hello));
	assert_int_equal(hello.type, LINK_HELLO);
	assert_int_equal(hello.version, LINK_VERSION);
	assert_int_equal(hello.memory, VGA_VRAM_SIZE);
	assert_int_equal(hello.frame_size, sizeof(struct link_frame));
	assert_non_null(CMSG_FIRSTHDR(&msg));
	memcpy(&fd, CMSG_DATA(CMSG_FIRSTHDR(&msg)), sizeof(fd));
	/* to look at, and no more */
	assert_ptr_equal(mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0), MAP_FAILED);
	f->view = mmap(NULL, VGA_VRAM_SIZE, PROT_READ, MAP_SHARED, fd, 0);
	assert_ptr_not_equal(f->view, MAP_FAILED);
	close(fd);
}

/* Waits for it. */
static void expect_frame(struct fixture *f, struct link_frame *ret)
{
	fake_board_run_until(&f->fb, readable, f);
	assert_int_equal(read(f->link, ret, sizeof(*ret)), sizeof(*ret));
	assert_int_equal(ret->type, LINK_FRAME);
}

static unsigned int count(const struct link_frame *frame)
{
	unsigned int n = 0;

	for (size_t i = 0; i < ARRAY_SIZE(frame->dirty); i++)
		n += (unsigned int)__builtin_popcountll(frame->dirty[i]);
	return n;
}

/* Nothing is sent, and the loop would sleep until somebody does something: no timer is left but the one that keeps frames apart. */
static void expect_peace(struct fixture *f)
{
	fake_board_run(&f->fb);
	for (unsigned int i = 0; i < 4 && uv_backend_timeout(&f->fb.loop) >= 0; i++)
		uv_run(&f->fb.loop, UV_RUN_ONCE);
	assert_false(readable(f));
	assert_int_equal(uv_backend_timeout(&f->fb.loop), -1);
}

static void begin(struct fixture *f)
{
	struct link_frame frame;

	expect_hello(f);
	look(f, false);
	expect_frame(f, &frame);
	assert_int_equal(count(&frame), LINK_PAGES); /* it is the first */
}

/* --- a guest ---------------------------------------------------------------------------------------------------- */

/* Text, whose memory is at B8000h */
static void text_mode(struct fixture *f)
{
	fake_out8(&f->fb, 0x3c2, 0x67);
	fake_out(&f->fb, 0x3c4, 2, 0x0302);
	fake_out(&f->fb, 0x3ce, 2, 0x0e06);
	fake_out(&f->fb, 0x3ce, 2, 0xff08);
}

static void dispi(struct fixture *f, uint16_t index, uint16_t val)
{
	fake_out(&f->fb, 0x1ce, 2, index);
	fake_out(&f->fb, 0x1cf, 2, val);
}

static struct fake_slot *slot(struct fixture *f)
{
	fake_out(&f->fb, 0xcf8, 4, 0x80000000 | SLOT << 11 | PCI_BASE_ADDRESS_0);
	return (struct fake_slot *)fake_slot_at(&f->fb, fake_in(&f->fb, 0xcfc, 4) & ~0xfu);
}

/* --- tests -------------------------------------------------------------------------------------------------------- */

static void test_text(void **state)
{
	struct fixture *f = *state;
	struct link_frame frame;

	text_mode(f);
	begin(f);
	look(f, false);
	expect_peace(f);
	fake_mmio_write(&f->fb, WINDOW + 0x1000, 1, 'x');
	expect_frame(f, &frame);
	/* a cell is two bytes of the guest's, and eight of the planes */
	assert_int_equal(count(&frame), 1);
	assert_true(frame.dirty[0] & BIT64(0x1000 / 2 * 4 / LINK_PAGE));
	assert_int_equal(f->view[0x1000 / 2 * 4], 'x');
	/* not asked for: nothing comes, but what was written then comes with the next */
	fake_mmio_write(&f->fb, WINDOW, 1, 'y');
	expect_peace(f);
	look(f, false);
	expect_frame(f, &frame);
	assert_int_equal(count(&frame), 1);
	assert_true(frame.dirty[0] & 1);
	look(f, false);
	expect_peace(f);
	/* a register that decides of the picture, and those that do not */
	fake_out8(&f->fb, 0x3d4, 0x0f);
	fake_in8(&f->fb, 0x3da);
	expect_peace(f);
	fake_out8(&f->fb, 0x3d5, 7);
	expect_frame(f, &frame);
	assert_int_equal(count(&frame), 0);
	assert_int_equal(frame.regs.crtc[VGA_CRTC_CURSOR_LOW], 7);
	look(f, true);
	expect_frame(f, &frame);
	assert_int_equal(count(&frame), LINK_PAGES);
}

static void test_linear(void **state)
{
	struct fixture *f = *state;
	struct link_frame frame;
	unsigned int asked;

	begin(f);
	assert_true(slot(f)->logged);
	dispi(f, VGA_DISPI_WIDTH, 1024);
	dispi(f, VGA_DISPI_HEIGHT, 768);
	dispi(f, VGA_DISPI_DEPTH, 32);
	dispi(f, VGA_DISPI_ENABLE, 0x41);
	look(f, false);
	expect_frame(f, &frame);
	assert_int_equal(frame.regs.dispi[VGA_DISPI_WIDTH], 1024);
	look(f, false);
	/* KVM is asked again and again, and nothing is sent */
	asked = f->fb.asked;
	while (f->fb.asked < asked + 4)
		uv_run(&f->fb.loop, UV_RUN_ONCE);
	assert_false(readable(f));
	assert_true(uv_backend_timeout(&f->fb.loop) > VIEWER_FRAME_MS);
	slot(f)->written[3] = BIT64(5);
	expect_frame(f, &frame);
	assert_int_equal(count(&frame), 1);
	assert_true(frame.dirty[3] == BIT64(5));
	/* and is left in peace as soon as nobody looks */
	look(f, false);
	say(f, &(uint32_t){ LINK_REST }, sizeof(uint32_t));
	assert_false(slot(f)->logged);
	expect_peace(f);
	fake_mmio_write(&f->fb, WINDOW, 1, 'y');
	expect_peace(f);
	look(f, false);
	expect_frame(f, &frame);
	assert_int_equal(count(&frame), LINK_PAGES);
}

/* BAR 0 goes and comes while somebody looks; a write meanwhile is an exit. */
static void test_moved(void **state)
{
	struct fixture *f = *state;
	struct link_frame frame;
	uint32_t home;

	begin(f);
	home = (uint32_t)slot(f)->gpa;
	look(f, false);
	fake_out(&f->fb, 0xcf8, 4, 0x80000000 | SLOT << 11 | PCI_BASE_ADDRESS_0);
	fake_out(&f->fb, 0xcfc, 4, 0xd0000000);
	assert_null(fake_slot_at(&f->fb, home));
	assert_true(slot(f)->logged);
	expect_frame(f, &frame);
	look(f, false);
	expect_peace(f);
	fake_mmio_write(&f->fb, 0xd0000000 + 5 * LINK_PAGE, 8, 1);
	expect_frame(f, &frame);
	assert_int_equal(count(&frame), 1);
	assert_true(frame.dirty[0] == BIT64(5));
}

static void test_reset(void **state)
{
	struct fixture *f = *state;
	struct link_frame frame;

	text_mode(f);
	begin(f);
	fake_mmio_write(&f->fb, WINDOW, 1, 'x');
	assert_int_equal(f->view[0], 'x');
	f->dev->class->reset(f->dev);
	assert_int_equal(f->view[0], 0);
	look(f, false);
	expect_frame(f, &frame);
	assert_int_equal(count(&frame), LINK_PAGES);
}

static void test_input(void **state)
{
	struct fixture *f = *state;
	struct link_pointer move = { LINK_POINTER, INPUT_LEFT, 3, -4, 1 };

	begin(f);
	say(f, &(struct link_key){ LINK_KEY, KEY_A, 1 }, sizeof(struct link_key));
	say(f, &(struct link_key){ LINK_KEY, KEY_A, 0 }, sizeof(struct link_key));
	say(f, &(struct link_key){ LINK_KEY, KEY_LEFTCTRL, 1 }, sizeof(struct link_key));
	say(f, &move, sizeof(move));
	assert_int_equal(f->ntyped, 3);
	assert_int_equal(f->typed[0].key, KEY_A);
	assert_true(f->typed[0].down);
	assert_false(f->typed[1].down);
	assert_int_equal(f->moved.dx, 3);
	assert_int_equal(f->moved.dy, -4);
	assert_int_equal(f->moved.dz, 1);
	assert_int_equal(f->moved.buttons, INPUT_LEFT);
	/* what it held when it went is let go: of keys and buttons */
	shutdown(f->link, SHUT_RDWR);
	fake_board_run(&f->fb);
	assert_int_equal(f->ntyped, 4);
	assert_int_equal(f->typed[3].key, KEY_LEFTCTRL);
	assert_false(f->typed[3].down);
	assert_int_equal(f->nmoved, 2);
	assert_int_equal(f->moved.buttons, 0);
	assert_int_equal(uv_backend_timeout(&f->fb.loop), -1);
}

static void test_bad_messages(void **state)
{
	static const struct link_key no_key = { LINK_KEY, KEY_CNT, 1 };
	static const struct link_pointer far_away = { LINK_POINTER, 0, INT32_MIN, 0, 0 };
	static const struct link_pointer buttons = { LINK_POINTER, 256, 0, 0, 0 };
	static const uint32_t cut = LINK_LOOK, unknown = 99, long_look[50] = { LINK_LOOK };
	static const struct {
		const void *data;
		size_t size;
	} bad[] = { { &no_key, sizeof(no_key) },     { &far_away, sizeof(far_away) },
		    { &buttons, sizeof(buttons) },   { &cut, sizeof(cut) },
		    { &unknown, sizeof(unknown) },   { "a", 1 },
		    { long_look, sizeof(long_look) } };
	struct fixture *f = *state;

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		char byte;

		if (i) {
			assert_int_equal(teardown(state), 0);
			assert_int_equal(setup(state), 0);
			f = *state;
		}
		begin(f);
		say(f, bad[i].data, bad[i].size);
		assert_int_equal(read(f->link, &byte, 1), 0); /* closed */
		assert_int_equal(f->ntyped + f->nmoved, 0);
		assert_false(slot(f)->logged);
	}
}

/* Asked twice it answers once; who does not read what was asked for is not waited for. */
static void test_asks_too_much(void **state)
{
	struct fixture *f = *state;
	struct link_frame frame;
	unsigned int n = 0;
	char byte;

	begin(f);
	look(f, true);
	look(f, true);
	expect_frame(f, &frame);
	expect_peace(f);
	while (n++ < 10000 && send(f->link, &(struct link_look){ LINK_LOOK, 1 },
				   sizeof(struct link_look), MSG_NOSIGNAL) > 0)
		do
			uv_run(&f->fb.loop, UV_RUN_ONCE);
		while (uv_backend_timeout(&f->fb.loop) >= 0);
	assert_in_range(n, 2, 9999);
	while (read(f->link, &frame, sizeof(frame)) > 0)
		;
	assert_int_equal(read(f->link, &byte, 1), 0);
}

#define T(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(test_text),  T(test_linear),	     T(test_moved),	    T(test_reset),
		T(test_input), T(test_bad_messages), T(test_asks_too_much),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
