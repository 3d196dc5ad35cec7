// SPDX-License-Identifier: MIT
// The ports of a virtio console: a driver on one side, clients of a socket, a terminal and a file on the other.
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/virtio_config.h>
#include <linux/virtio_console.h>
#include <poll.h>
#include <pty.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "tests/lib/tempdir.h"
#include "tests/unit/guest_virtio.h"
#include "vmm/devices.h"

#define SLOT 5
#define MULTIPORT BIT64(VIRTIO_CONSOLE_F_MULTIPORT)
#define FEATURES (BIT64(VIRTIO_F_VERSION_1) | MULTIPORT)
#define BUF 0x40000	  /* of a queue: 64 KiB each from here on */
#define CONTROL_BUF 0x100 /* bytes of a buffer for control messages */
#define LIMIT 0x60000	  /* of the file */
enum { RX0, TX0, CONTROL_RX, CONTROL_TX, QUEUES = 10 };
enum { SOCK = 1, PTY, FILE_PORT, PORTS }; /* ids */

struct ports_fixture {
	struct fake_board fb;
	struct device *host, *dev;
	struct guest_virtio g;
	char *dir;
	bool connected; /* there is a client of SOCK when the driver starts */
	struct sockaddr_un where;
	int slave, file;	   /* ours */
	unsigned int control_next; /* buffer of CONTROL_RX that is next */
};

static unsigned int rx(unsigned int id)
{
	return CONTROL_RX + 2 * id;
}

static unsigned int tx(unsigned int id)
{
	return CONTROL_TX + 2 * id;
}

static uint64_t buffer(unsigned int q)
{
	return BUF + 0x10000ull * q;
}

/* --- the host's side ------------------------------------------------------------------------------------- */

static int dial(struct ports_fixture *f)
{
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	assert_int_equal(connect(fd, (struct sockaddr *)&f->where, sizeof(f->where)), 0);
	for (int i = 0; i < 4; i++)
		fake_board_run(&f->fb);
	return fd;
}

static void leave(struct ports_fixture *f, int fd)
{
	close(fd);
	for (int i = 0; i < 4; i++)
		fake_board_run(&f->fb);
}

static void say(struct ports_fixture *f, int fd, const char *text)
{
	assert_int_equal(write(fd, text, strlen(text)), strlen(text));
	for (int i = 0; i < 4; i++)
		fake_board_run(&f->fb);
}

/* All that is there now is this. */
static void hear(int fd, const char *text)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };
	char got[256] = "";
	ssize_t n;

	if (text[0]) /* the kernel takes its time with a terminal */
		assert_int_equal(poll(&p, 1, 10000), 1);
	n = read(fd, got, sizeof(got) - 1);

	assert_int_equal(n, text[0] ? (ssize_t)strlen(text) : -1);
	assert_string_equal(got, text);
}

static void add_ports(struct ports_fixture *f, struct fdset *fds)
{
	int listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	int master, slave, flags;
	struct termios raw;

	f->where.sun_family = AF_UNIX;
	snprintf(f->where.sun_path, sizeof(f->where.sun_path), "%s/port", f->dir);
	assert_int_equal(bind(listener, (struct sockaddr *)&f->where, sizeof(f->where)), 0);
	assert_int_equal(listen(listener, 4), 0);
	assert_int_equal(openpty(&master, &slave, NULL, NULL, NULL), 0);
	assert_int_equal(tcgetattr(slave, &raw), 0);
	cfmakeraw(&raw);
	assert_int_equal(tcsetattr(slave, TCSANOW, &raw), 0);
	f->slave = dup(slave);
	flags = fcntl(f->slave, F_GETFL);
	assert_int_equal(fcntl(f->slave, F_SETFL, flags | O_NONBLOCK), 0);
	f->file = memfd_create("port", MFD_CLOEXEC);
	assert_int_equal(fdset_add(fds, listener), 0);
	assert_int_equal(fdset_add(fds, master), 1);
	assert_int_equal(fdset_add(fds, slave), 2);
	assert_int_equal(fdset_add(fds, dup(f->file)), 3);
}

/* --- the driver's side ----------------------------------------------------------------------------------- */

static void settle(struct ports_fixture *f)
{
	for (int i = 0; i < 8; i++)
		fake_board_run(&f->fb);
}

static void give_control(struct ports_fixture *f, unsigned int n)
{
	for (; n; n--, f->control_next++) {
		uint16_t i = (uint16_t)(f->control_next % GUEST_VIRTIO_RING_SIZE);

		guest_ring_set(&f->g.rings[CONTROL_RX], i, buffer(CONTROL_RX) + i * CONTROL_BUF,
			       CONTROL_BUF, VRING_DESC_F_WRITE, 0);
		guest_ring_add(&f->g.rings[CONTROL_RX], i);
	}
	guest_virtio_kick(&f->g, CONTROL_RX);
	settle(f);
}

static void control(struct ports_fixture *f, unsigned int id, unsigned int event,
		    unsigned int value)
{
	struct virtio_console_control m = { id, (uint16_t)event, (uint16_t)value };
	struct vring_used_elem u;

	memcpy(f->fb.mem + buffer(CONTROL_TX), &m, sizeof(m));
	guest_ring_set(&f->g.rings[CONTROL_TX], 0, buffer(CONTROL_TX), sizeof(m), 0, 0);
	guest_ring_add(&f->g.rings[CONTROL_TX], 0);
	guest_virtio_kick(&f->g, CONTROL_TX);
	settle(f);
	assert_true(guest_ring_get(&f->g.rings[CONTROL_TX], &u));
	assert_int_equal(u.len, 0);
}

/* The next message of the device; name NULL: none is behind it. */
static void told(struct ports_fixture *f, unsigned int id, unsigned int event, unsigned int value,
		 const char *name)
{
	struct virtio_console_control m;
	struct vring_used_elem u;
	const uint8_t *at;

	assert_true(guest_ring_get(&f->g.rings[CONTROL_RX], &u));
	at = f->fb.mem + buffer(CONTROL_RX) + u.id * CONTROL_BUF;
	memcpy(&m, at, sizeof(m));
	assert_int_equal(m.id, id);
	assert_int_equal(m.event, event);
	assert_int_equal(m.value, value);
	assert_int_equal(u.len, sizeof(m) + (name ? strlen(name) : 0));
	if (name)
		assert_memory_equal(at + sizeof(m), name, strlen(name));
}

static void told_nothing(struct ports_fixture *f)
{
	struct vring_used_elem u;

	settle(f);
	assert_false(guest_ring_get(&f->g.rings[CONTROL_RX], &u));
}

/* What Linux' driver does, and what it is told. */
static void fixture_start(struct ports_fixture *f)
{
	static const char *const names[PORTS] = { NULL, "org.test.sock", "tty", "log" };

	guest_virtio_find(&f->g, &f->fb, SLOT);
	f->control_next = 0;
	assert_true(guest_virtio_start(&f->g, FEATURES, QUEUES));
	give_control(f, GUEST_VIRTIO_RING_SIZE);
	control(f, ~0u, VIRTIO_CONSOLE_DEVICE_READY, 1);
	for (unsigned int id = 0; id < PORTS; id++)
		told(f, id, VIRTIO_CONSOLE_PORT_ADD, 1, NULL);
	told_nothing(f);
	control(f, 0, VIRTIO_CONSOLE_PORT_READY, 1);
	told(f, 0, VIRTIO_CONSOLE_CONSOLE_PORT, 1, NULL);
	told(f, 0, VIRTIO_CONSOLE_PORT_OPEN, 1, NULL);
	for (unsigned int id = SOCK; id < PORTS; id++) {
		control(f, id, VIRTIO_CONSOLE_PORT_READY, 1);
		told(f, id, VIRTIO_CONSOLE_PORT_NAME, 1, names[id]);
		if (id != SOCK || f->connected)
			told(f, id, VIRTIO_CONSOLE_PORT_OPEN, 1, NULL);
	}
	told_nothing(f);
	give_control(f, 10);
}

static void guest_open(struct ports_fixture *f, unsigned int id, bool open)
{
	control(f, id, VIRTIO_CONSOLE_PORT_OPEN, open);
}

static bool completed(struct ports_fixture *f, unsigned int q, struct vring_used_elem *u)
{
	settle(f);
	return guest_ring_get(&f->g.rings[q], u);
}

static void write_bytes(struct ports_fixture *f, unsigned int id, uint16_t i, size_t off,
			size_t len)
{
	guest_ring_set(&f->g.rings[tx(id)], i, buffer(tx(id)) + off, (uint32_t)len, 0, 0);
	guest_ring_add(&f->g.rings[tx(id)], i);
	guest_virtio_kick(&f->g, tx(id));
	settle(f);
}

static void write_text(struct ports_fixture *f, unsigned int id, const char *text)
{
	memcpy(f->fb.mem + buffer(tx(id)), text, strlen(text));
	write_bytes(f, id, 0, 0, strlen(text));
}

static void written(struct ports_fixture *f, unsigned int id)
{
	struct vring_used_elem u;

	assert_true(completed(f, tx(id), &u));
	assert_int_equal(u.len, 0);
}

static void not_written(struct ports_fixture *f, unsigned int id)
{
	struct vring_used_elem u;

	assert_false(completed(f, tx(id), &u));
}

static void give(struct ports_fixture *f, unsigned int id, uint16_t i, uint32_t len)
{
	guest_ring_set(&f->g.rings[rx(id)], i, buffer(rx(id)) + 0x100ull * i, len,
		       VRING_DESC_F_WRITE, 0);
	guest_ring_add(&f->g.rings[rx(id)], i);
	guest_virtio_kick(&f->g, rx(id));
	settle(f);
}

struct ports_wait {
	struct ports_fixture *f;
	unsigned int q;
};

static bool used(void *arg)
{
	const struct ports_wait *w = arg;
	const struct guest_ring *r = &w->f->g.rings[w->q];

	return guest_ring_used(r)->idx != r->used_idx;
}

static void wait_used(struct ports_fixture *f, unsigned int q)
{
	fake_board_run_until(&f->fb, used, &(struct ports_wait){ f, q });
}

static void got(struct ports_fixture *f, unsigned int id, const char *text)
{
	struct vring_used_elem u;

	wait_used(f, rx(id));
	assert_true(guest_ring_get(&f->g.rings[rx(id)], &u));
	assert_int_equal(u.len, strlen(text));
	assert_memory_equal(f->fb.mem + buffer(rx(id)) + 0x100ull * u.id, text, strlen(text));
}

static void got_nothing(struct ports_fixture *f, unsigned int id)
{
	struct vring_used_elem u;

	assert_false(completed(f, rx(id), &u));
}

static bool needs_reset(struct ports_fixture *f)
{
	return guest_virtio_status(&f->g) & VIRTIO_CONFIG_S_NEEDS_RESET;
}

/* --- set-up ---------------------------------------------------------------------------------------------- */

static int setup(void **state)
{
	static const char config[] =
		"{\"type\":\"virtio-console\",\"id\":\"c\",\"address\":\"00:05.0\",\"backend\":"
		"\"console\",\"ports\":[{\"name\":\"org.test.sock\",\"backend\":\"socket\","
		"\"path\":"
		"{\"fd\":0}},{\"name\":\"tty\",\"backend\":\"pty\",\"path\":{\"fd\":1},\"hold\":"
		"{\"fd\":2}},{\"name\":\"log\",\"backend\":\"file\",\"path\":{\"fd\":3},\"limit\":"
		"393216}]}";
	struct ports_fixture *f = calloc(1, sizeof(*f));
	struct json_object *json;
	struct fdset fds;
	struct err e;

	signal(SIGPIPE, SIG_IGN); /* as vmm does */
	f->dir = tempdir_new();
	fdset_init(&fds);
	add_ports(f, &fds);
	fake_board_init(&f->fb, MIB);
	f->fb.log.fd = -1;
	f->host = fake_board_add(&f->fb, &pci_host_class, "pci", NULL);
	assert_int_equal(json_parse(config, strlen(config), &json, &e), 0);
	if (device_new(&f->fb.board, json, &fds, &f->dev, &e) < 0)
		fail_msg("%s", e.msg);
	json_object_put(json);
	fdset_fini(&fds);
	f->dev->class->reset(f->dev);
	f->dev->class->start(f->dev);
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct ports_fixture *f = *state;

	f->dev->class->stop(f->dev);
	device_free(f->dev);
	fake_board_remove(&f->fb, f->host);
	fake_board_fini(&f->fb);
	close(f->slave);
	close(f->file);
	tempdir_remove(f->dir);
	free(f);
	return 0;
}

/* --- the tests ------------------------------------------------------------------------------------------- */

static void test_identity(void **state)
{
	struct ports_fixture *f = *state;

	fixture_start(f);
	assert_int_equal(guest_virtio_features(&f->g) & 0xffffff, MULTIPORT);
	assert_int_equal(
		fake_mmio_read(&f->fb,
			       f->g.device + offsetof(struct virtio_console_config, max_nr_ports),
			       4),
		PORTS);
	memcpy(f->fb.mem + buffer(TX0), "hvc0\n", 5);
	guest_ring_set(&f->g.rings[TX0], 0, buffer(TX0), 5, 0, 0);
	guest_ring_add(&f->g.rings[TX0], 0);
	guest_virtio_kick(&f->g, TX0);
	settle(f);
	fake_console_expect(&f->fb, "c", "hvc0\n");
}

static void test_socket(void **state)
{
	struct ports_fixture *f = *state;
	int fd;

	fixture_start(f);
	fd = dial(f);
	told(f, SOCK, VIRTIO_CONSOLE_PORT_OPEN, 1, NULL);
	write_text(f, SOCK, "hello");
	written(f, SOCK);
	hear(fd, "hello");
	guest_open(f, SOCK, true);
	give(f, SOCK, 0, 4);
	give(f, SOCK, 1, 100);
	got_nothing(f, SOCK);
	say(f, fd, "abcdef");
	got(f, SOCK, "abcd");
	got(f, SOCK, "ef");
	leave(f, fd);
	give(f, SOCK, 2, 100); /* who has left is seen when it is read */
	told(f, SOCK, VIRTIO_CONSOLE_PORT_OPEN, 0, NULL);
	got_nothing(f, SOCK);
	fd = dial(f);
	told(f, SOCK, VIRTIO_CONSOLE_PORT_OPEN, 1, NULL);
	say(f, fd, "again");
	got(f, SOCK, "again");
	leave(f, fd);
}

/* What is written while nobody is there waits for who comes. */
static void test_nobody(void **state)
{
	struct ports_fixture *f = *state;
	int fd;

	fixture_start(f);
	write_text(f, SOCK, "early");
	not_written(f, SOCK);
	fd = dial(f);
	written(f, SOCK);
	hear(fd, "early");
	leave(f, fd);
	/* that one has left, unseen, before any of this was written: it is for the next */
	write_text(f, SOCK, "late");
	not_written(f, SOCK);
	fd = dial(f);
	written(f, SOCK);
	hear(fd, "late");
	leave(f, fd);
}

/* What a program of the host says waits for one of the guest, also when it has gone meanwhile. */
static void test_guest_closed(void **state)
{
	struct ports_fixture *f = *state;
	int fd;

	fixture_start(f);
	give(f, SOCK, 0, 100);
	fd = dial(f);
	say(f, fd, "one");
	got_nothing(f, SOCK);
	leave(f, fd);
	fd = dial(f); /* the next one waits */
	say(f, fd, "two");
	guest_open(f, SOCK, true);
	got(f, SOCK, "one");
	give(f, SOCK, 1, 100);
	got(f, SOCK, "two");
	guest_open(f, SOCK, false);
	give(f, SOCK, 2, 100);
	say(f, fd, "three");
	got_nothing(f, SOCK);
	guest_open(f, SOCK, true);
	got(f, SOCK, "three");
	leave(f, fd);
}

/* Who has said all that it has to say still hears the answer. */
static void test_half_close(void **state)
{
	struct ports_fixture *f = *state;
	int fd;

	fixture_start(f);
	guest_open(f, SOCK, true);
	give(f, SOCK, 0, 100);
	give(f, SOCK, 1, 100);
	fd = dial(f);
	told(f, SOCK, VIRTIO_CONSOLE_PORT_OPEN, 1, NULL);
	say(f, fd, "question");
	assert_int_equal(shutdown(fd, SHUT_WR), 0);
	got(f, SOCK, "question");
	told_nothing(f);
	write_text(f, SOCK, "answer");
	written(f, SOCK);
	hear(fd, "answer");
	leave(f, fd);
	settle(f);
	told(f, SOCK, VIRTIO_CONSOLE_PORT_OPEN, 0, NULL);
}

/* Bytes of a port's stream: any 64 KiB differ from those beside them. */
static void pattern(struct ports_fixture *f, unsigned int q)
{
	for (unsigned int i = 0; i < 0x10000; i++)
		f->fb.mem[buffer(q) + i] = (uint8_t)(i % 251);
}

/* A client that does not read holds up its port and no other; all of it arrives. */
static void test_slow_reader(void **state)
{
	struct ports_fixture *f = *state;
	size_t sent = 0, heard = 0;
	uint8_t part[5000];
	uint16_t i = 0;
	ssize_t n = 1;
	int fd;

	fixture_start(f);
	pattern(f, tx(SOCK));
	fd = dial(f);
	for (; i < GUEST_VIRTIO_RING_SIZE; i++, sent += 0x10000)
		write_bytes(f, SOCK, i, 0, 0x10000);
	for (n = 0; n < GUEST_VIRTIO_RING_SIZE; n++) {
		struct vring_used_elem u;

		if (!completed(f, tx(SOCK), &u))
			break;
	}
	assert_true(n < GUEST_VIRTIO_RING_SIZE); /* the socket took a part of 1 MiB */
	write_text(f, PTY, "other");
	written(f, PTY);
	hear(f->slave, "other");
	f->dev->class->stop(f->dev); /* in the middle of a request */
	f->dev->class->start(f->dev);
	while (heard < sent) {
		settle(f);
		n = read(fd, part, sizeof(part));
		assert_true(n > 0);
		for (ssize_t k = 0; k < n; k++, heard++)
			assert_int_equal(part[k], heard % 0x10000 % 251);
	}
	hear(fd, "");
	assert_false(needs_reset(f));
	leave(f, fd);
}

/* The rest of what a client has begun to read is not for the next one. */
static void test_lost_reader(void **state)
{
	struct ports_fixture *f = *state;
	uint8_t part[5000];
	int fd;

	fixture_start(f);
	fd = dial(f);
	for (uint16_t i = 0; i < GUEST_VIRTIO_RING_SIZE - 1; i++)
		write_bytes(f, SOCK, i, 0, 0x10000);
	assert_true(read(fd, part, sizeof(part)) > 0);
	leave(f, fd);
	settle(f);
	fd = dial(f);
	while (read(fd, part, sizeof(part)) > 0) /* whole requests, of zeroes */
		settle(f);
	for (int i = 0; i < GUEST_VIRTIO_RING_SIZE - 1; i++)
		written(f, SOCK);
	memcpy(f->fb.mem + buffer(tx(SOCK)), "new", 3);
	write_bytes(f, SOCK, 15, 0, 3);
	written(f, SOCK);
	hear(fd, "new");
	leave(f, fd);
}

static void test_pty(void **state)
{
	struct ports_fixture *f = *state;

	fixture_start(f);
	guest_open(f, PTY, true);
	give(f, PTY, 0, 100);
	say(f, f->slave, "typed\n");
	got(f, PTY, "typed\n");
	write_text(f, PTY, "shown\n");
	written(f, PTY);
	hear(f->slave, "shown\n");
	/* without a reader it waits */
	pattern(f, tx(PTY));
	write_bytes(f, PTY, 1, 0, 0xffff);
	write_bytes(f, PTY, 2, 0, 0xffff);
	write_bytes(f, PTY, 3, 0, 0xffff);
	for (size_t heard = 0; heard < 3 * 0xffff;) {
		uint8_t part[4096];
		ssize_t n = read(f->slave, part, sizeof(part));

		assert_true(n > 0 || errno == EAGAIN);
		for (ssize_t k = 0; k < n; k++, heard++)
			assert_int_equal(part[k], heard % 0xffff % 251);
		settle(f);
	}
	for (int i = 0; i < 3; i++)
		written(f, PTY);
}

/* It is filled to its limit; what is beyond waits until there is room. */
static void test_file(void **state)
{
	struct ports_fixture *f = *state;
	char text[100] = "";

	fixture_start(f);
	guest_open(f, FILE_PORT, true);
	give(f, FILE_PORT, 0, 100); /* nothing ever comes of it */
	write_text(f, FILE_PORT, "line\n");
	written(f, FILE_PORT);
	assert_int_equal(pread(f->file, text, sizeof(text), 0), 5);
	assert_string_equal(text, "line\n");
	pattern(f, tx(FILE_PORT));
	for (uint16_t i = 0; i < 6; i++) {
		guest_ring_set(&f->g.rings[tx(FILE_PORT)], i, buffer(tx(FILE_PORT)), 0x10000, 0, 0);
		guest_ring_add(&f->g.rings[tx(FILE_PORT)], i);
	}
	guest_virtio_kick(&f->g, tx(FILE_PORT)); /* more than fits in a turn */
	for (int i = 0; i < 5; i++)
		written(f, FILE_PORT);
	not_written(f, FILE_PORT);
	assert_int_equal(lseek(f->file, 0, SEEK_END), LIMIT);
	assert_int_equal(ftruncate(f->file, 0), 0);
	assert_int_equal(lseek(f->file, 0, SEEK_SET), 0); /* there is no O_APPEND for a memfd */
	wait_used(f, tx(FILE_PORT));
	written(f, FILE_PORT);
	assert_int_equal(pread(f->file, text, sizeof(text), 0), 5);
	assert_memory_equal(text, f->fb.mem + buffer(tx(FILE_PORT)) + 0x10000 - 5, 5);
	got_nothing(f, FILE_PORT);
	assert_false(needs_reset(f));
}

/* The client stays over the guest's reboot, and what the guest had under way is void. */
static void test_reset(void **state)
{
	struct ports_fixture *f = *state;
	uint8_t old[4096];
	int fd;

	fixture_start(f);
	fd = dial(f);
	guest_open(f, SOCK, true);
	give(f, SOCK, 0, 100);
	for (uint16_t i = 0; i < GUEST_VIRTIO_RING_SIZE; i++)
		write_bytes(f, SOCK, i, 0, 0x10000);
	f->dev->class->stop(f->dev);
	f->dev->class->reset(f->dev);
	f->dev->class->start(f->dev);
	f->connected = true;
	fixture_start(f);
	while (read(fd, old, sizeof(old)) > 0)
		settle(f);
	say(f, fd, "x");
	give(f, SOCK, 0, 100);
	got_nothing(f, SOCK); /* the new driver has not opened it */
	guest_open(f, SOCK, true);
	got(f, SOCK, "x");
	write_text(f, SOCK, "y");
	written(f, SOCK);
	hear(fd, "y");
	leave(f, fd);
}

/* A driver without MULTIPORT has port 0 and nothing else. */
static void test_no_multiport(void **state)
{
	struct ports_fixture *f = *state;
	int fd;

	guest_virtio_find(&f->g, &f->fb, SLOT);
	assert_true(guest_virtio_start(&f->g, BIT64(VIRTIO_F_VERSION_1), QUEUES));
	settle(f);
	fd = dial(f);
	hear(fd, "");
	leave(f, fd);
	assert_true(needs_reset(f)); /* it has set up queues that it did not negotiate */
	assert_true(guest_virtio_start(&f->g, BIT64(VIRTIO_F_VERSION_1), 2));
	settle(f);
	assert_false(needs_reset(f));
	fake_console_type(&f->fb, "c", "in", 2);
	assert_false(needs_reset(f));
}

static void test_bad_messages(void **state)
{
	struct ports_fixture *f = *state;

	fixture_start(f);
	/* of ports and events that are not there, and what makes no sense: ignored */
	control(f, PORTS, VIRTIO_CONSOLE_PORT_READY, 1);
	control(f, ~0u, VIRTIO_CONSOLE_PORT_OPEN, 1);
	control(f, 0, VIRTIO_CONSOLE_PORT_OPEN, 1);
	control(f, SOCK, VIRTIO_CONSOLE_PORT_READY, 0);
	control(f, SOCK, 4711, 1);
	control(f, SOCK, VIRTIO_CONSOLE_PORT_READY, 1);
	told_nothing(f);
	assert_false(needs_reset(f));
	/* a message that is none */
	guest_ring_set(&f->g.rings[CONTROL_TX], 0, buffer(CONTROL_TX), 7, 0, 0);
	guest_ring_add(&f->g.rings[CONTROL_TX], 0);
	guest_virtio_kick(&f->g, CONTROL_TX);
	settle(f);
	assert_true(needs_reset(f));
}

static void test_small_buffer(void **state)
{
	struct ports_fixture *f = *state;

	guest_virtio_find(&f->g, &f->fb, SLOT);
	assert_true(guest_virtio_start(&f->g, FEATURES, QUEUES));
	guest_ring_set(&f->g.rings[CONTROL_RX], 0, buffer(CONTROL_RX), 7, VRING_DESC_F_WRITE, 0);
	guest_ring_add(&f->g.rings[CONTROL_RX], 0);
	control(f, ~0u, VIRTIO_CONSOLE_DEVICE_READY, 1);
	assert_true(needs_reset(f));
}

static void test_buffer_without_room(void **state)
{
	struct ports_fixture *f = *state;
	int fd;

	fixture_start(f);
	fd = dial(f);
	guest_open(f, SOCK, true);
	say(f, fd, "x");
	guest_ring_set(&f->g.rings[rx(SOCK)], 0, buffer(rx(SOCK)), 100, 0, 0);
	guest_ring_add(&f->g.rings[rx(SOCK)], 0);
	guest_virtio_kick(&f->g, rx(SOCK));
	settle(f);
	assert_true(needs_reset(f));
	leave(f, fd);
}

/* A driver that has set up the control queues only. */
static void test_queues_left_out(void **state)
{
	struct ports_fixture *f = *state;
	int fd;

	guest_virtio_find(&f->g, &f->fb, SLOT);
	f->control_next = 0;
	assert_true(guest_virtio_start(&f->g, FEATURES, 4));
	give_control(f, GUEST_VIRTIO_RING_SIZE);
	control(f, ~0u, VIRTIO_CONSOLE_DEVICE_READY, 1);
	control(f, SOCK, VIRTIO_CONSOLE_PORT_READY, 1);
	guest_open(f, SOCK, true);
	fd = dial(f);
	say(f, fd, "x");
	hear(fd, "");
	assert_false(needs_reset(f));
	leave(f, fd);
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(test_identity),
		T(test_socket),
		T(test_nobody),
		T(test_guest_closed),
		T(test_half_close),
		T(test_slow_reader),
		T(test_lost_reader),
		T(test_pty),
		T(test_file),
		T(test_reset),
		T(test_no_multiport),
		T(test_bad_messages),
		T(test_small_buffer),
		T(test_buffer_without_room),
		T(test_queues_left_out),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
