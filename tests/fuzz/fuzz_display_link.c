// SPDX-License-Identifier: MIT
/*
 * A monitor that was taken over, by its link to vmm-display (vmm/display/link.h), while viewers come, look and type: messages of any
 * shape, in any order, with descriptors of any kind; registers of any value. What must hold: the link ends with the first message
 * that is none, and with no other; what comes back is what link.h says.
 */
#include <fcntl.h>
#include <linux/input-event-codes.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>

#include "display/monitor.h"
#include "lib/fdio.h"
#include "lib/util.h"
#include "tests/fuzz/input.h"
#include "tests/fuzz/viewers.h"

#define FUZZ_FRAMES 6 /* one may be of millions of pixels */
#define FUZZ_STEPS 64
#define FUZZ_VIEWERS 3

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct fuzz {
	uv_loop_t loop;
	struct sockaddr_un at;
	socklen_t at_len;
	int link, memory;
	uint8_t *map;
	int viewers[FUZZ_VIEWERS];
	struct link_frame frame;
	unsigned int ended, nframes;
	bool met, over; /* hello was sent; what ends the link was */
};

static void fuzz_ended(void *arg, const struct err *why)
{
	struct fuzz *f = arg;

	if (why && (!why->code || !why->msg[0]))
		__builtin_trap();
	f->ended++;
}

static int fuzz_memory(uint64_t size, unsigned int seals)
{
	int fd = memfd_create("fuzz", MFD_CLOEXEC | MFD_ALLOW_SEALING);

	if (fd < 0 || ftruncate(fd, (off_t)size) < 0 || fcntl(fd, F_ADD_SEALS, seals) < 0)
		abort();
	return fd;
}

/* --- what it asks ---------------------------------------------------------------------------------------------- */

static bool fuzz_moves(int32_t way)
{
	return way >= -LINK_MOVE_MAX && way <= LINK_MOVE_MAX;
}

static bool fuzz_asked(const union link_asked *a, size_t n)
{
	switch (a->type) {
	case LINK_LOOK:
		return n == sizeof(a->look) && a->look.all <= 1;
	case LINK_REST:
		return n == sizeof(a->type);
	case LINK_KEY:
		return n == sizeof(a->key) && a->key.key && a->key.key < KEY_CNT &&
		       a->key.down <= 1;
	case LINK_POINTER:
		return n == sizeof(a->pointer) && fuzz_moves(a->pointer.dx) &&
		       fuzz_moves(a->pointer.dy) && fuzz_moves(a->pointer.dz);
	default:
		return false;
	}
}

static void fuzz_turn(struct fuzz *f)
{
	union link_asked a;
	ssize_t n;

	viewers_turn(&f->loop);
	while ((n = recv(f->link, &a, sizeof(a), MSG_TRUNC | MSG_DONTWAIT)) > 0)
		if (!f->met || !fuzz_asked(&a, (size_t)n))
			__builtin_trap();
	for (unsigned int i = 0; i < FUZZ_VIEWERS; i++)
		if (f->viewers[i] >= 0)
			viewers_drain(f->viewers[i]);
	if (f->ended != f->over)
		__builtin_trap();
}

/* --- what it is sent ------------------------------------------------------------------------------------------- */

static void fuzz_send(struct fuzz *f, const void *msg, size_t size, int fd, bool good)
{
	fdio_send(f->link, msg, size, &fd, fd >= 0);
	f->over = f->over || !good;
	fuzz_turn(f);
}

static void fuzz_hello(struct fuzz *f, struct fuzz_input *in)
{
	struct link_hello h = { LINK_HELLO, LINK_VERSION, VGA_VRAM_SIZE,
				sizeof(struct link_frame) };
	unsigned int wrong = (unsigned int)fuzz_take(in, 1) % 16;
	bool good = !f->met && (wrong < 4 || wrong > 8);
	uint32_t *member = (uint32_t *)&h;
	int fd = dup(f->memory);

	if (wrong < 4)
		member[wrong] += (uint32_t)fuzz_take(in, 1);
	good = good && h.type == LINK_HELLO && h.version == LINK_VERSION &&
	       h.memory == VGA_VRAM_SIZE && h.frame_size == sizeof(struct link_frame);
	if (wrong >= 4 && wrong < 8) {
		close(fd);
		fd = wrong == 4 ? -1
				: fuzz_memory(VGA_VRAM_SIZE - (wrong == 5),
					      wrong == 6 ? F_SEAL_GROW : F_SEAL_SHRINK);
		good = !f->met && wrong == 7;
	}
	f->met = f->met || good;
	fuzz_send(f, &h, sizeof(h) - (wrong == 8), fd, good);
	if (fd >= 0)
		close(fd);
}

static void fuzz_frame(struct fuzz *f, struct fuzz_input *in)
{
	uint8_t *regs = (uint8_t *)&f->frame.regs;
	unsigned int changes = (unsigned int)fuzz_take(in, 1) % 32;

	if (++f->nframes > FUZZ_FRAMES)
		return;
	f->frame.type = LINK_FRAME;
	for (unsigned int i = 0; i < changes; i++) {
		size_t at = (size_t)fuzz_take(in, 2) % sizeof(f->frame.regs);

		regs[at] = (uint8_t)fuzz_take(in, 1);
	}
	memset(f->frame.dirty, (int)fuzz_take(in, 1), sizeof(f->frame.dirty));
	fuzz_send(f, &f->frame, sizeof(f->frame), -1, f->met);
}

static void fuzz_mode(struct fuzz *f, struct fuzz_input *in)
{
	static const uint16_t depths[] = { 0, 4, 8, 15, 16, 24, 32, 33 };
	uint16_t *d = f->frame.regs.dispi;

	d[VGA_DISPI_WIDTH] = (uint16_t)fuzz_take(in, 2);
	d[VGA_DISPI_HEIGHT] = (uint16_t)fuzz_take(in, 2);
	d[VGA_DISPI_DEPTH] = depths[fuzz_take(in, 1) % ARRAY_SIZE(depths)];
	d[VGA_DISPI_ENABLE] = (uint16_t)fuzz_take(in, 1);
	f->frame.regs.attr_index = (uint8_t)fuzz_take(in, 1);
}

/* Of any size, also of one byte more than a frame. */
static void fuzz_any(struct fuzz *f, struct fuzz_input *in)
{
	uint8_t msg[sizeof(struct link_frame) + 300] = { 0 };
	size_t size = 1 + (size_t)fuzz_take(in, 2) % sizeof(msg);
	uint32_t type;

	msg[0] = (uint8_t)fuzz_take(in, 1);
	for (size_t i = 1; i < sizeof(msg) && i < 32; i++)
		msg[i] = (uint8_t)fuzz_take(in, 1);
	memcpy(&type, msg, sizeof(type));
	fuzz_send(f, msg, size, -1,
		  f->met && size == sizeof(struct link_frame) && type == LINK_FRAME);
}

static void fuzz_draw(struct fuzz *f, struct fuzz_input *in)
{
	size_t at = (size_t)fuzz_take(in, 3) % VGA_VRAM_SIZE;
	size_t n = (size_t)fuzz_take(in, 2);

	n = MIN(n, VGA_VRAM_SIZE - at);
	memset(f->map + at, (int)fuzz_take(in, 1), n);
}

/* --- who looks ---------------------------------------------------------------------------------------------------- */

static void fuzz_viewer(struct fuzz *f, struct fuzz_input *in)
{
	static const char login[] = "RFB 003.008\n\1\1";
	static const uint8_t says[][20] = {
		{ 3, 0, 0, 0, 0, 0, 0x10, 0, 0x10, 0 },		    /* all of it, whole */
		{ 3, 1, 0, 0, 0, 0, 0x10, 0, 0x10, 0 },		    /* what is new */
		{ 2, 0, 0, 2, 0, 0, 0, 0, 0xff, 0xff, 0xff, 0x21 }, /* raw; sizes */
		{ 2, 0, 0, 2, 0, 0, 0, 5, 0xff, 0xff, 0xff, 0x21 }, /* hextile; sizes */
		{ 4, 1, 0, 0, 0, 0, 0, 'a' },			    /* a key goes down */
		{ 5, 1, 0, 10, 0, 20 },
		{ 0, 0, 0, 0, 8, 8, 0, 1, 0, 7, 0, 7, 0, 3, 0, 3, 6 }, /* pixels of 8 bits */
	};
	static const uint8_t sizes[] = { 10, 10, 12, 12, 8, 6, 20 };
	int *fd = &f->viewers[fuzz_take(in, 1) % FUZZ_VIEWERS];
	unsigned int what = (unsigned int)fuzz_take(in, 1) % (ARRAY_SIZE(says) + 1);

	if (*fd < 0) {
		*fd = viewers_dial(&f->at, f->at_len);
		send(*fd, login, sizeof(login) - 1, MSG_NOSIGNAL);
	} else if (what == ARRAY_SIZE(says)) {
		close(*fd);
		*fd = -1;
	} else {
		send(*fd, says[what], sizes[what], MSG_NOSIGNAL);
	}
	fuzz_turn(f);
}

static void fuzz_step(struct fuzz *f, struct fuzz_input *in)
{
	static void (*const steps[])(struct fuzz *, struct fuzz_input *) = {
		fuzz_hello, fuzz_frame, fuzz_mode, fuzz_any, fuzz_draw, fuzz_viewer, fuzz_viewer
	};

	steps[fuzz_take(in, 1) % ARRAY_SIZE(steps)](f, in);
}

static struct monitor *fuzz_begin(struct fuzz *f, const struct log *log)
{
	struct monitor_options o = {
		.loop = &f->loop, .log = log, .name = "fuzz", .ended = fuzz_ended, .arg = f
	};
	struct monitor *m;
	int pair[2];

	f->memory = fuzz_memory(VGA_VRAM_SIZE, F_SEAL_SHRINK);
	f->map = mmap(NULL, VGA_VRAM_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, f->memory, 0);
	if (f->map == MAP_FAILED || uv_loop_init(&f->loop) < 0 ||
	    socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, pair) < 0)
		abort();
	f->link = pair[0];
	if (monitor_new(&o, pair[1], viewers_listen(&f->at, &f->at_len), &m, NULL) < 0)
		abort();
	return m;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct fuzz_input in = { data, size };
	struct fuzz f = { .viewers = { -1, -1, -1 } };
	struct monitor *m;
	struct log log;

	signal(SIGPIPE, SIG_IGN); /* as in vmm-display */
	log_init(&log, -1, LOG_LEVEL_ERROR, "fuzz");
	m = fuzz_begin(&f, &log);
	for (unsigned int i = 0; i < FUZZ_STEPS && in.left && !f.over; i++)
		fuzz_step(&f, &in);
	close(f.link);
	monitor_free(m);
	uv_run(&f.loop, UV_RUN_DEFAULT);
	if (uv_loop_close(&f.loop) < 0)
		__builtin_trap();
	for (unsigned int i = 0; i < FUZZ_VIEWERS; i++)
		if (f.viewers[i] >= 0)
			close(f.viewers[i]);
	munmap(f.map, VGA_VRAM_SIZE);
	close(f.memory);
	return 0;
}
