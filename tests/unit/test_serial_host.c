// SPDX-License-Identifier: MIT
/* What a serial port's cable leads to: sockets, terminals, files; the modem lines of the PC16550D (8.6.7, 8.6.8) tell of it. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "lib/auto.h"
#include "lib/errcat.h"
#include "lib/hostport.h"
#include "lib/json.h"
#include "tests/lib/tempdir.h"
#include "tests/unit/fake_board.h"
#include "vmm/dev/dev.h"
#include "vmm/dev/serial_host.h"
#include "vmm/x86/map.h"

enum { RBR, IER, IIR, LCR, MCR, LSR, MSR, SCR };
#define THRE 0x20
#define DR 0x01
#define CTS 0x10
#define DSR 0x20
#define DCD 0x80

struct fixture {
	struct fake_board fb;
	struct device *d;
	char *dir; /* owned */
	char path[sizeof(((struct sockaddr_un *)0)->sun_path)];
	int client; /* -1: none */
};

static uint8_t in(struct fixture *f, int reg)
{
	return fake_in8(&f->fb, (uint16_t)(MAP_COM2 + reg));
}

static void out(struct fixture *f, int reg, uint8_t val)
{
	fake_out8(&f->fb, (uint16_t)(MAP_COM2 + reg), val);
}

/* take_fd and take_hold (or -1) as vmm gets them */
static void make(struct fixture *f, const char *backend, int take_fd, int take_hold)
{
	AUTO_JSON struct json_object *o = NULL;
	char json[256], hold[32] = "";
	struct fdset fds;
	struct err e = { 0 };

	fdset_init(&fds);
	fdset_add(&fds, take_fd);
	if (take_hold >= 0) {
		fdset_add(&fds, take_hold);
		snprintf(hold, sizeof(hold), ",\"hold\":{\"fd\":1}");
	}
	snprintf(json, sizeof(json),
		 "{\"type\":\"serial\",\"id\":\"com2\",\"port\":\"com2\",\"backend\":\"%s\","
		 "\"ports\":["
		 "{\"name\":\"com2\",\"backend\":\"%s\",\"path\":{\"fd\":0}%s,\"limit\":4096}]}",
		 backend, backend, hold);
	assert_int_equal(json_parse(json, strlen(json), &o, &e), 0);
	if (device_new(&f->fb.board, o, &fds, &f->d, &e) < 0)
		fail_msg("%s", e.msg);
	fdset_fini(&fds);
	f->d->class->reset(f->d);
	f->d->class->start(f->d);
	out(f, LCR, 3);
	out(f, MCR, 0x0b); /* DTR, RTS, OUT2 */
}

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	assert_non_null(f);
	fake_board_init(&f->fb, 4096);
	f->dir = tempdir_new();
	f->client = -1;
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	f->d->class->stop(f->d);
	device_free(f->d);
	if (f->client >= 0)
		close(f->client);
	tempdir_remove(f->dir);
	fake_board_fini(&f->fb);
	free(f);
	return 0;
}

/* --- the other end ---------------------------------------------------------------------------------- */

static void turn(struct fixture *f)
{
	fake_board_run(&f->fb);
	fake_board_watched(&f->fb);
}

/* Until a register has these bits of a mask; fails after 10 s by fake_board_run_until */
struct wanted {
	struct fixture *f;
	int reg;
	uint8_t mask, bits;
};

static bool has_bits(void *arg)
{
	struct wanted *w = arg;

	fake_board_watched(&w->f->fb);
	return (in(w->f, w->reg) & w->mask) == w->bits;
}

static void await(struct fixture *f, int reg, uint8_t mask, uint8_t bits)
{
	struct wanted w = { f, reg, mask, bits };

	fake_board_run_until(&f->fb, has_bits, &w);
}

static void listening(struct fixture *f)
{
	struct err e = { 0 };
	int fd;

	snprintf(f->path, sizeof(f->path), "%.80s/com2", f->dir);
	fd = hostport_socket(f->path, false, &e);
	assert_true(fd >= 0);
	make(f, "socket", fd, -1);
}

static void connects(struct fixture *f)
{
	struct sockaddr_un un = { .sun_family = AF_UNIX };

	snprintf(un.sun_path, sizeof(un.sun_path), "%s", f->path);
	f->client = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	assert_int_equal(connect(f->client, (struct sockaddr *)&un, sizeof(un)), 0);
	await(f, MSR, CTS | DSR | DCD, CTS | DSR | DCD);
}

struct reading {
	struct fixture *f;
	uint8_t *data;
	size_t len, want;
};

static bool has_read(void *arg)
{
	struct reading *r = arg;
	ssize_t n = read(r->f->client, r->data + r->len, r->want - r->len);

	fake_board_watched(&r->f->fb);
	r->len += n > 0 ? (size_t)n : 0;
	return r->len == r->want;
}

static void client_reads(struct fixture *f, void *data, size_t len)
{
	struct reading r = { f, data, 0, len };

	fake_board_run_until(&f->fb, has_read, &r);
}

/* Bytes until the transmitter is full; numbered from `from` on */
static unsigned int fills(struct fixture *f, unsigned int from)
{
	unsigned int n = 0;

	while (in(f, LSR) & THRE) {
		out(f, RBR, (uint8_t)(from + n++));
		assert_true(n < 4 * MIB);
		if (n % 64 == 0)
			turn(f);
	}
	return n;
}

/* --- tests ---------------------------------------------------------------------------------------------- */

static void socket_lines(void **state)
{
	struct fixture *f = *state;
	char data[3];

	listening(f);
	assert_int_equal(in(f, MSR), 0);
	out(f, RBR, 'x'); /* nobody is there: lost, and the transmitter is empty */
	assert_int_equal(in(f, LSR), 0x60);
	out(f, IER, 0x08);
	connects(f);
	out(f, RBR, 'y');
	client_reads(f, data, 1);
	assert_int_equal(data[0], 'y');
	/* who leaves takes the lines with it: DDCD, DDSR, DCTS, and an interrupt */
	assert_false(f->fb.irq[MAP_GSI_COM2]);
	close(f->client);
	f->client = -1;
	turn(f);
	turn(f);
	assert_true(f->fb.irq[MAP_GSI_COM2]);
	assert_int_equal(in(f, IIR) & 0x0f, 0);
	assert_int_equal(in(f, MSR), 0x0b);
	assert_false(f->fb.irq[MAP_GSI_COM2]);
	/* another one comes */
	connects(f);
	out(f, RBR, 'z');
	client_reads(f, data, 1);
	assert_int_equal(data[0], 'z');
}

static void socket_input(void **state)
{
	struct fixture *f = *state;
	uint8_t data[20000];
	size_t sent = 0;

	listening(f);
	connects(f);
	out(f, IIR, 0x01);
	for (size_t i = 0; i < sizeof(data); i++)
		data[i] = (uint8_t)(i * 7 + i / 256);
	/* more than the port has room for: it comes as the guest reads */
	for (size_t i = 0; i < sizeof(data); i++) {
		ssize_t n = write(f->client, data + sent, sizeof(data) - sent);

		sent += n > 0 ? (size_t)n : 0;
		await(f, LSR, DR, DR);
		assert_int_equal(in(f, RBR), data[i]);
	}
	assert_int_equal(sent, sizeof(data));
	turn(f);
	assert_int_equal(in(f, LSR) & (DR | 0x02), 0);
}

/* A client that does not read holds the guest up, first by CTS and then by THRE, and loses nothing. */
static void socket_flow(void **state)
{
	struct fixture *f = *state;
	AUTO_FREE uint8_t *data = NULL;
	unsigned int n = 0;

	listening(f);
	connects(f);
	while (in(f, MSR) & CTS) {
		out(f, RBR, (uint8_t)n++);
		if (n % 64 == 0)
			turn(f);
	}
	assert_int_equal(in(f, LSR) & THRE, THRE);
	n += fills(f, n);
	out(f, IER, 0x02);
	assert_false(f->fb.irq[MAP_GSI_COM2]); /* THRE is no reason now */
	assert_int_equal(in(f, IIR) & 0x0f, 0x01);
	data = malloc(n);
	assert_non_null(data);
	client_reads(f, data, n);
	for (unsigned int i = 0; i < n; i++)
		assert_int_equal(data[i], (uint8_t)i);
	await(f, MSR, CTS, CTS);
	assert_true(f->fb.irq[MAP_GSI_COM2]);
	assert_int_equal(in(f, IIR) & 0x0f, 0x02);
	assert_int_equal(in(f, LSR) & THRE, THRE);
}

/* One that has not read for long: the guest goes on without it, with CTS low, until it does. */
static void socket_deaf(void **state)
{
	struct fixture *f = *state;
	AUTO_FREE uint8_t *data = NULL;
	unsigned int n;

	listening(f);
	connects(f);
	n = fills(f, 0);
	await(f, LSR, THRE, THRE);
	assert_int_equal(in(f, MSR) & (CTS | DSR), DSR);
	for (unsigned int i = 0; i < 3 * SERIAL_HOST_OUT; i++)
		out(f, RBR, 'x');
	assert_int_equal(in(f, LSR) & THRE, THRE);
	data = malloc(n + SERIAL_HOST_BURST);
	assert_non_null(data);
	client_reads(f, data, n);
	for (unsigned int i = 0; i < n; i++)
		assert_int_equal(data[i], (uint8_t)i);
	await(f, MSR, CTS, CTS);
	client_reads(f, data, SERIAL_HOST_BURST - 1); /* what there was room for */
	out(f, RBR, 'y');
	client_reads(f, data, 1);
	assert_int_equal(data[0], 'y');
}

/* A pause: who is connected stays, and nothing is lost on the way. */
static void socket_pause(void **state)
{
	struct fixture *f = *state;
	char data[2];

	listening(f);
	connects(f);
	out(f, RBR, 'a');
	f->d->class->stop(f->d);
	assert_int_equal(write(f->client, "b", 1), 1);
	turn(f);
	assert_int_equal(in(f, LSR) & DR, 0);
	f->d->class->start(f->d);
	client_reads(f, data, 1);
	assert_int_equal(data[0], 'a');
	await(f, LSR, DR, DR);
	assert_int_equal(in(f, RBR), 'b');
	assert_int_equal(in(f, MSR) & (CTS | DSR | DCD), CTS | DSR | DCD);
}

/* Who has sent all it has to send may still read; then it leaves. */
static void socket_half(void **state)
{
	struct fixture *f = *state;
	char data = 0;

	listening(f);
	connects(f);
	assert_int_equal(write(f->client, "q", 1), 1);
	assert_int_equal(shutdown(f->client, SHUT_WR), 0);
	await(f, LSR, DR, DR);
	assert_int_equal(in(f, RBR), 'q');
	turn(f);
	turn(f);
	assert_int_equal(in(f, MSR) & (CTS | DSR | DCD), CTS | DSR | DCD);
	out(f, RBR, 'a');
	client_reads(f, &data, 1);
	assert_int_equal(data, 'a');
	close(f->client);
	f->client = -1;
	await(f, MSR, CTS | DSR | DCD, 0);
	connects(f);
}

/* In loopback nothing goes out and nothing comes in (8.6.7) */
static void socket_loopback(void **state)
{
	struct fixture *f = *state;
	char data = 0;

	listening(f);
	connects(f);
	out(f, MCR, 0x10);
	out(f, RBR, 'l');
	assert_int_equal(write(f->client, "i", 1), 1);
	turn(f);
	turn(f);
	assert_int_equal(in(f, RBR), 'l');
	assert_int_equal(in(f, LSR) & DR, 0);
	assert_int_equal(read(f->client, &data, 1), -1);
	out(f, MCR, 0x0b);
	await(f, LSR, DR, DR);
	assert_int_equal(in(f, RBR), 'i');
}

static void pty(void **state)
{
	struct fixture *f = *state;
	char name[HOSTPORT_PTY_MAX], data[4];
	struct err e = { 0 };
	int slave, master = hostport_pty(&slave, name, &e);

	assert_true(master >= 0);
	make(f, "pty", master, slave);
	assert_int_equal(in(f, MSR), CTS | DSR | DCD);
	f->client = open(name, O_RDWR | O_NOCTTY | O_NONBLOCK | O_CLOEXEC);
	assert_true(f->client >= 0);
	out(f, RBR, '\n'); /* as it is */
	client_reads(f, data, 1);
	assert_int_equal(data[0], '\n');
	assert_int_equal(write(f->client, "\r", 1), 1);
	await(f, LSR, DR, DR);
	assert_int_equal(in(f, RBR), '\r');
	/* nobody has it open, and it does not hang up */
	close(f->client);
	f->client = -1;
	turn(f);
	assert_int_equal(in(f, MSR) & (CTS | DSR | DCD), CTS | DSR | DCD);
}

static bool file_is_large(void *arg)
{
	struct fixture *f = arg;
	struct stat st;

	fake_board_watched(&f->fb);
	assert_int_equal(stat(f->path, &st), 0);
	assert_true(st.st_size <= 4096);
	return st.st_size == 4096;
}

/* A file is appended to, up to its limit; then what comes is lost and the guest goes on. */
static void file(void **state)
{
	struct fixture *f = *state;
	char data[8] = "";
	int fd;

	snprintf(f->path, sizeof(f->path), "%.80s/log", f->dir);
	fd = open(f->path, O_RDWR | O_APPEND | O_CREAT | O_CLOEXEC, 0600);
	assert_int_equal(write(fd, "old", 3), 3);
	make(f, "file", fd, -1);
	assert_int_equal(in(f, MSR), CTS | DSR | DCD);
	/* more at once than a turn of the loop writes; nobody rings again */
	for (unsigned int i = 0; i < SERIAL_HOST_OUT; i++)
		out(f, RBR, (uint8_t)('a' + i % 26));
	await(f, LSR, THRE, THRE);
	fake_board_run_until(&f->fb, file_is_large, f);
	for (unsigned int i = 0; i < SERIAL_HOST_OUT; i++) {
		await(f, LSR, THRE, THRE);
		out(f, RBR, 'x');
	}
	fake_board_run_until(&f->fb, file_is_large, f);
	f->client = open(f->path, O_RDONLY | O_CLOEXEC);
	assert_int_equal(read(f->client, data, 7), 7);
	assert_string_equal(data, "oldabcd");
	turn(f);
	assert_int_equal(in(f, LSR), 0x60);
}

static void refused(void **state)
{
	static const char json[] = "{\"type\":\"serial\",\"id\":\"com2\",\"backend\":\"socket\"}";
	AUTO_JSON struct json_object *o = NULL;
	struct fake_board fb;
	struct device *d;
	struct err e = { 0 };

	(void)state;
	fake_board_init(&fb, 4096);
	assert_int_equal(json_parse(json, strlen(json), &o, &e), 0);
	assert_int_equal(device_new(&fb.board, o, NULL, &d, &e), -ERR_INVALID);
	assert_string_equal(e.msg, "device 'com2': it leads nowhere: the backend needs its port");
	fake_board_fini(&fb);
}

int main(void)
{
#define T(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(socket_lines),
		T(socket_input),
		T(socket_flow),
		T(socket_deaf),
		T(socket_pause),
		T(socket_half),
		T(socket_loopback),
		T(pty),
		T(file),
		cmocka_unit_test(refused),
	};
#undef T

	return cmocka_run_group_tests(tests, NULL, NULL);
}
