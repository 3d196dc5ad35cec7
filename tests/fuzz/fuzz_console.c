// SPDX-License-Identifier: MIT
/*
 * A console with ports and a guest that drives its queues: the input says what the guest, the clients on the host and
 * the monitor do, one after the other. As long as the guest keeps to the protocol, so does the device: each buffer comes back
 * once, with no more in it than it has room for, and what goes by the terminal's port arrives as it was sent, both ways.
 * Whatever the guest does, the worker comes to rest.
 */
#include <errno.h>
#include <linux/virtio_config.h>
#include <linux/virtio_console.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "lib/json.h"
#include "tests/fuzz/input.h"
#include "tests/unit/guest_virtio.h"
#include "vmm/devices.h"

#define FUZZ_OPS_MAX 512
#define FUZZ_SLOT 5
#define FUZZ_RING GUEST_VIRTIO_RING_SIZE
#define FUZZ_BUF_SIZE 0x1000u
#define FUZZ_BUF(q, d) (0x20000 + (uint64_t)FUZZ_BUF_SIZE * ((q)*FUZZ_RING + (d)))
#define FUZZ_CANARY 0xa5
#define FUZZ_TURNS 2000 /* of the loop until it has to be at rest */
#define FUZZ_LIMIT 20000
enum { FUZZ_RX0, FUZZ_TX0, FUZZ_CONTROL_RX, FUZZ_CONTROL_TX, FUZZ_QUEUES = 10 };
enum { FUZZ_SOCKET = 1, FUZZ_STREAM, FUZZ_FILE, FUZZ_PORTS }; /* ids */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct fuzz {
	struct fake_board fb;
	struct device *host, *dev;
	struct guest_virtio g;
	struct fuzz_input input;
	struct sockaddr_un where;
	socklen_t where_len;
	int client, stream, file; /* ours; client -1: none */
	bool honest;
	bool ports;   /* the driver knows of them */
	bool in_step; /* no byte for the guest was lost yet */
	/* bytes of the stream's port that were sent, and that came, each way */
	uint32_t sent, heard, said, got;
	struct {
		bool ours; /* not the device's */
		uint32_t room;
	} bufs[FUZZ_QUEUES][FUZZ_RING];
};

/* Byte n of a stream */
static uint8_t fuzz_byte(uint32_t n)
{
	return (uint8_t)(n % 251);
}

/* --- the host ---------------------------------------------------------------------------------------------- */

/* True: there was something. */
static bool fuzz_listens(struct fuzz *f)
{
	uint8_t part[4096];
	bool any = false;
	ssize_t n;

	while ((n = recv(f->stream, part, sizeof(part), MSG_DONTWAIT)) > 0)
		for (ssize_t i = 0; i < n; i++, any = true)
			if (f->honest && part[i] != fuzz_byte(f->heard++))
				__builtin_trap();
	return any;
}

static void fuzz_hear(struct fuzz *f)
{
	fuzz_listens(f);
}

static void fuzz_say(struct fuzz *f)
{
	uint8_t part[256];
	uint32_t len = fuzz_take(&f->input, 1);
	ssize_t n;

	for (uint32_t i = 0; i < len; i++)
		part[i] = fuzz_byte(f->said + i);
	n = send(f->stream, part, len, MSG_DONTWAIT | MSG_NOSIGNAL);
	f->said += n > 0 ? (uint32_t)n : 0;
}

static void fuzz_client(struct fuzz *f)
{
	uint8_t part[512] = { 0 };
	uint32_t what = fuzz_take(&f->input, 1);

	if (f->client < 0) {
		f->client = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
		if (connect(f->client, (struct sockaddr *)&f->where, f->where_len) < 0) {
			close(f->client); /* too many have left unseen */
			f->client = -1;
		}
	} else if (what % 4 == 0) {
		close(f->client);
		f->client = -1;
	} else if (what % 4 == 1) {
		shutdown(f->client, SHUT_WR);
	} else if (what % 4 == 2) {
		(void)!send(f->client, part, 1 + what, MSG_DONTWAIT | MSG_NOSIGNAL);
	} else {
		(void)!recv(f->client, part, sizeof(part), MSG_DONTWAIT);
	}
}

static void fuzz_turn(struct fuzz *f)
{
	fake_board_run(&f->fb);
}

static void fuzz_pause(struct fuzz *f)
{
	f->dev->class->stop(f->dev);
	f->dev->class->start(f->dev);
}

/* --- the guest --------------------------------------------------------------------------------------------- */

/* What came by the stream's port. */
static void fuzz_got(struct fuzz *f, const uint8_t *at, uint32_t len)
{
	if (!f->in_step)
		return;
	for (uint32_t i = 0; i < len; i++, f->got++)
		if (at[i] != fuzz_byte(f->got))
			__builtin_trap();
	if (f->got > f->said)
		__builtin_trap();
}

/* What the device gave back. */
static void fuzz_collect(struct fuzz *f, unsigned int q)
{
	struct vring_used_elem u;

	while (guest_ring_get(&f->g.rings[q], &u)) {
		if (!f->honest)
			continue;
		if (u.id >= FUZZ_RING || f->bufs[q][u.id].ours || u.len > f->bufs[q][u.id].room)
			__builtin_trap();
		f->bufs[q][u.id].ours = true;
		if (q % 2 == 0 &&
		    f->fb.mem[FUZZ_BUF(q, u.id) + f->bufs[q][u.id].room] != FUZZ_CANARY)
			__builtin_trap();
		if (q == FUZZ_CONTROL_RX + 2 * FUZZ_STREAM)
			fuzz_got(f, f->fb.mem + FUZZ_BUF(q, u.id), u.len);
	}
}

/* The driver starts anew; what was under way is lost, and the stream is counted from here. */
static void fuzz_start(struct fuzz *f)
{
	uint64_t features = BIT64(VIRTIO_F_VERSION_1) | (uint64_t)(fuzz_take(&f->input, 1) & 3)
								<< 28;

	for (unsigned int q = 0; q < FUZZ_QUEUES && f->g.rings[0].mem; q++)
		fuzz_collect(f, q);
	f->in_step = f->in_step && f->honest;
	f->ports = fuzz_take(&f->input, 1) % 8;
	if (f->ports)
		features |= BIT64(VIRTIO_CONSOLE_F_MULTIPORT);
	guest_virtio_find(&f->g, &f->fb, FUZZ_SLOT);
	if (!guest_virtio_negotiate(&f->g, features))
		__builtin_trap();
	f->honest = false;
	fuzz_hear(f);
	f->honest = true;
	f->sent = f->heard = 0;
	for (unsigned int q = 0; q < FUZZ_QUEUES; q++)
		for (unsigned int d = 0; d < FUZZ_RING; d++)
			f->bufs[q][d].ours = true;
	if (!guest_virtio_start(&f->g, features, f->ports ? FUZZ_QUEUES : 2))
		__builtin_trap();
	for (unsigned int q = f->ports ? FUZZ_QUEUES : 2; q < FUZZ_QUEUES; q++)
		guest_ring_init(&f->g.rings[q], f->fb.mem, FUZZ_RING, 0x1000 + 0x1000ull * q);
}

static void fuzz_give(struct fuzz *f, unsigned int q, uint16_t d, uint32_t len, uint16_t flags)
{
	f->fb.mem[FUZZ_BUF(q, d) + len] = FUZZ_CANARY;
	guest_ring_set(&f->g.rings[q], d, FUZZ_BUF(q, d), len, flags, 0);
	f->bufs[q][d].ours = false;
	f->bufs[q][d].room = flags ? len : 0;
	guest_ring_add(&f->g.rings[q], d);
}

/* Buffers to receive into, of any port or for control messages */
static void fuzz_buffers(struct fuzz *f)
{
	unsigned int q = fuzz_take(&f->input, 1) % (FUZZ_QUEUES / 2) * 2;
	unsigned int n = 1 + fuzz_take(&f->input, 1) % FUZZ_RING;
	uint32_t len = 1 + fuzz_take(&f->input, 2) % (FUZZ_BUF_SIZE - 1);

	fuzz_collect(f, q);
	if (q == FUZZ_CONTROL_RX && len < 64)
		f->honest = false;
	for (uint16_t d = 0; d < FUZZ_RING && n; d++) {
		if (!f->bufs[q][d].ours)
			continue;
		fuzz_give(f, q, d, len, VRING_DESC_F_WRITE);
		n--;
	}
	guest_virtio_kick(&f->g, q);
}

static void fuzz_send(struct fuzz *f)
{
	unsigned int q = FUZZ_CONTROL_TX + 2 * (1 + fuzz_take(&f->input, 1) % (FUZZ_PORTS - 1));
	unsigned int n = 1 + fuzz_take(&f->input, 1) % FUZZ_RING;
	uint32_t len = fuzz_take(&f->input, 2) % FUZZ_BUF_SIZE;
	bool stream = q == FUZZ_CONTROL_TX + 2 * FUZZ_STREAM;

	fuzz_collect(f, q);
	for (uint16_t d = 0; d < FUZZ_RING && n; d++) {
		if (!f->bufs[q][d].ours)
			continue;
		fuzz_give(f, q, d, len, 0);
		for (uint32_t i = 0; i < len; i++)
			f->fb.mem[FUZZ_BUF(q, d) + i] = fuzz_byte(f->sent + i);
		f->sent += stream ? len : 0;
		n--;
	}
	guest_virtio_kick(&f->g, q);
}

/* A message; half of them open or close a port. */
static void fuzz_control(struct fuzz *f)
{
	uint8_t how = (uint8_t)fuzz_take(&f->input, 1);
	struct virtio_console_control m = { .id = fuzz_take(&f->input, 1) % (FUZZ_PORTS + 1),
					    .event = (uint16_t)(how >> 1 & 7),
					    .value = how >> 4 & 1 };
	unsigned int q = FUZZ_CONTROL_TX;
	uint16_t d = 0;

	if (how & 1)
		m.event = VIRTIO_CONSOLE_PORT_OPEN;
	fuzz_collect(f, q);
	while (d < FUZZ_RING && !f->bufs[q][d].ours)
		d++;
	if (d == FUZZ_RING)
		return;
	fuzz_give(f, q, d, sizeof(m), 0);
	memcpy(f->fb.mem + FUZZ_BUF(q, d), &m, sizeof(m));
	if (how >= 0xf8) { /* too short */
		guest_ring_set(&f->g.rings[q], d, FUZZ_BUF(q, d), how & 7, 0, 0);
		f->honest = false;
	}
	guest_virtio_kick(&f->g, q);
}

/* The rings are the guest's to write to, at any time. */
static void fuzz_corrupt(struct fuzz *f)
{
	uint32_t q = fuzz_take(&f->input, 1) % FUZZ_QUEUES, off = fuzz_take(&f->input, 2) % 0x400;

	f->fb.mem[GUEST_VIRTIO_RINGS + 0x1000 * q + off] = (uint8_t)fuzz_take(&f->input, 1);
	f->honest = false;
}

static void fuzz_kick(struct fuzz *f)
{
	guest_virtio_kick(&f->g, fuzz_take(&f->input, 1) % FUZZ_QUEUES);
}

/* --- the end ----------------------------------------------------------------------------------------------- */

static bool fuzz_busy(struct fuzz *f)
{
	struct pollfd p = { .fd = uv_backend_fd(&f->fb.loop), .events = POLLIN };

	/* what is to be waited for is told to the kernel at the next turn */
	fake_board_run(&f->fb);
	fake_board_run(&f->fb);
	return poll(&p, 1, 0) > 0;
}

static void fuzz_rest(struct fuzz *f)
{
	unsigned int turns = 0;
	bool busy;

	do {
		busy = fuzz_busy(f);
		busy = fuzz_listens(f) || busy; /* which makes room for more */
	} while (busy && turns++ < FUZZ_TURNS);
	if (turns >= FUZZ_TURNS || lseek(f->file, 0, SEEK_END) > FUZZ_LIMIT)
		__builtin_trap();
	for (unsigned int q = 0; q < FUZZ_QUEUES; q++)
		fuzz_collect(f, q);
	if (!f->honest)
		return;
	if (guest_virtio_status(&f->g) & VIRTIO_CONFIG_S_NEEDS_RESET)
		__builtin_trap();
	/* all was read: all has arrived */
	if (f->ports && f->heard != f->sent)
		__builtin_trap();
}

static int fuzz_listen(struct fuzz *f)
{
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	f->where.sun_family = AF_UNIX;
	f->where_len = sizeof(f->where);
	if (fd < 0 || bind(fd, (struct sockaddr *)&f->where, sizeof(sa_family_t)) < 0 ||
	    listen(fd, 4) < 0 || getsockname(fd, (struct sockaddr *)&f->where, &f->where_len) < 0)
		abort();
	return fd;
}

static void fuzz_plug(struct fuzz *f)
{
	static const char row[] =
		"{\"type\":\"virtio-console\",\"id\":\"c\",\"address\":\"00:05.0\",\"backend\":"
		"\"none\",\"ports\":[{\"name\":\"socket\",\"backend\":\"socket\",\"path\":"
		"{\"fd\":0}},{\"name\":\"stream\",\"backend\":\"pty\",\"path\":{\"fd\":1}},"
		"{\"name\":\"file\",\"backend\":\"file\",\"path\":{\"fd\":2},\"limit\":20000}]}";
	struct json_object *json;
	struct fdset fds;
	int pair[2], least = 1; /* so that it takes no whole request */
	struct err e;

	fdset_init(&fds);
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair) < 0)
		abort();
	setsockopt(pair[1], SOL_SOCKET, SO_SNDBUF, &least, sizeof(least));
	f->stream = pair[0];
	f->file = memfd_create("file", MFD_CLOEXEC);
	if (fdset_add(&fds, fuzz_listen(f)) != 0 || fdset_add(&fds, pair[1]) != 1 ||
	    fdset_add(&fds, dup(f->file)) != 2)
		abort();
	if (json_parse(row, strlen(row), &json, &e) < 0 ||
	    device_new(&f->fb.board, json, &fds, &f->dev, &e) < 0) {
		fprintf(stderr, "%s\n", e.msg);
		abort();
	}
	json_object_put(json);
	fdset_fini(&fds);
	f->dev->class->reset(f->dev);
	f->dev->class->start(f->dev);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static void (*const ops[])(struct fuzz * f) = {
		fuzz_buffers, fuzz_send,    fuzz_control, fuzz_kick,	fuzz_turn,  fuzz_client,
		fuzz_say,     fuzz_hear,    fuzz_pause,	  fuzz_control, fuzz_rest,  fuzz_send,
		fuzz_client,  fuzz_buffers, fuzz_start,	  fuzz_corrupt, fuzz_start, fuzz_turn,
	};
	struct fuzz *f = calloc(1, sizeof(*f));

	if (!f)
		abort();
	signal(SIGPIPE, SIG_IGN); /* as vmm does */
	f->input = (struct fuzz_input){ data, size };
	f->client = -1;
	f->honest = f->in_step = true;
	fake_board_init(&f->fb, MIB);
	f->fb.log.fd = -1;
	f->host = fake_board_add(&f->fb, &pci_host_class, "pci", NULL);
	fuzz_plug(f);
	guest_virtio_find(&f->g, &f->fb, FUZZ_SLOT);
	fuzz_start(f);
	for (unsigned int n = 0; f->input.left && n < FUZZ_OPS_MAX; n++)
		ops[fuzz_take(&f->input, 1) % ARRAY_SIZE(ops)](f);
	fuzz_rest(f);
	f->dev->class->stop(f->dev);
	device_free(f->dev);
	fake_board_remove(&f->fb, f->host);
	fake_board_fini(&f->fb);
	if (f->client >= 0)
		close(f->client);
	close(f->stream);
	close(f->file);
	free(f);
	return 0;
}
