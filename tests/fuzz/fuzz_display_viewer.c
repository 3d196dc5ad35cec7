// SPDX-License-Identifier: MIT
/*
 * Bytes of viewers, from the first one on, while the screen changes: cut where the input says, with a password or none, as RFB or in
 * WebSocket's frames, before a login or behind one. What must hold: nobody waits for one of them (viewers.h); a key that goes down
 * goes up; the mouse moves within bounds; who looks is told of, and who does no more.
 */
#include <linux/input-event-codes.h>
#include <signal.h>
#include <string.h>

#include "display/vnc.h"
#include "lib/util.h"
#include "tests/fuzz/input.h"
#include "tests/fuzz/viewers.h"
#include "vmm/input.h"

#define FUZZ_VIEWERS 2
#define FUZZ_CHUNK 300
#define FUZZ_PASSWORD "fuzz"

void rfbEncryptBytes(unsigned char *bytes, char *passwd); /* as the library's header has it */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct fuzz {
	uv_loop_t loop;
	struct sockaddr_un at;
	socklen_t at_len;
	struct screen screen;
	struct vnc *vnc;
	int viewers[FUZZ_VIEWERS];
	bool frames[FUZZ_VIEWERS]; /* it is a browser */
	bool password, looked;
	bool held[KEY_CNT];
	uint32_t buttons;
};

static void fuzz_look(void *arg)
{
	struct fuzz *f = arg;

	if (f->looked)
		__builtin_trap();
	f->looked = true;
}

static void fuzz_rest(void *arg)
{
	struct fuzz *f = arg;

	if (!f->looked)
		__builtin_trap();
	f->looked = false;
}

static void fuzz_key(void *arg, uint16_t key, bool down)
{
	struct fuzz *f = arg;

	if (key == KEY_RESERVED || key >= KEY_CNT)
		__builtin_trap();
	f->held[key] = down; /* of two viewers that hold it, the first that lets go does */
}

static bool fuzz_moves(int32_t way)
{
	return way >= -LINK_MOVE_MAX && way <= LINK_MOVE_MAX;
}

static void fuzz_pointer(void *arg, const struct link_pointer *p)
{
	struct fuzz *f = arg;

	if (p->type != LINK_POINTER || !fuzz_moves(p->dx) || !fuzz_moves(p->dy) || p->dz < -1 ||
	    p->dz > 1 ||
	    p->buttons & ~(uint32_t)(INPUT_LEFT | INPUT_MIDDLE | INPUT_RIGHT | INPUT_SIDE))
		__builtin_trap();
	f->buttons = p->buttons;
}

static const struct vnc_ops fuzz_ops = { .look = fuzz_look,
					 .rest = fuzz_rest,
					 .key = fuzz_key,
					 .pointer = fuzz_pointer };

static void fuzz_turn(struct fuzz *f)
{
	viewers_turn(&f->loop);
	if (f->looked != (vnc_viewers(f->vnc) > 0))
		__builtin_trap();
}

/* --- what a viewer says ------------------------------------------------------------------------------------------ */

static void fuzz_send(struct fuzz *f, unsigned int i, const void *bytes, size_t n)
{
	/* final, binary; masked, 16 bits of length; a mask that changes nothing (RFC 6455, section 5.2) */
	uint8_t head[] = { 0x82, 0xfe, (uint8_t)(n >> 8), (uint8_t)n, 0, 0, 0, 0 };

	if (f->frames[i])
		send(f->viewers[i], head, sizeof(head), MSG_NOSIGNAL);
	send(f->viewers[i], bytes, n, MSG_NOSIGNAL);
	fuzz_turn(f);
}

static void fuzz_connect(struct fuzz *f, unsigned int i, bool browser)
{
	static const char ask[] = "GET / HTTP/1.1\r\nUpgrade: websocket\r\n"
				  "Sec-WebSocket-Version: 13\r\n"
				  "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";

	if (f->viewers[i] >= 0)
		close(f->viewers[i]);
	f->viewers[i] = viewers_dial(&f->at, f->at_len);
	f->frames[i] = false;
	fuzz_turn(f);
	if (browser)
		fuzz_send(f, i, ask, sizeof(ask) - 1);
	f->frames[i] = browser;
}

/* What came last: a challenge ends what is there when a password is asked for. */
static void fuzz_challenge(struct fuzz *f, unsigned int i, uint8_t challenge[16])
{
	uint8_t bytes[4096];
	ssize_t n = read(f->viewers[i], bytes, sizeof(bytes));

	memset(challenge, 0, 16);
	if (n >= 16)
		memcpy(challenge, bytes + n - 16, 16);
	rfbEncryptBytes(challenge, (char *)FUZZ_PASSWORD);
}

static void fuzz_log_in(struct fuzz *f, unsigned int i, bool old)
{
	uint8_t challenge[16];

	fuzz_send(f, i, old ? "RFB 003.003\n" : "RFB 003.008\n", 12);
	if (!old)
		fuzz_send(f, i, f->password ? "\2" : "\1", 1);
	if (f->password) {
		fuzz_challenge(f, i, challenge);
		fuzz_send(f, i, challenge, sizeof(challenge));
	}
	fuzz_send(f, i, "\1", 1);
}

static void fuzz_say(struct fuzz *f, unsigned int i, struct fuzz_input *in, size_t max)
{
	uint8_t bytes[FUZZ_CHUNK];
	size_t n = 1 + (size_t)fuzz_take(in, 1) % max;

	for (size_t at = 0; at < n; at++)
		bytes[at] = (uint8_t)fuzz_take(in, 1);
	fuzz_send(f, i, bytes, n);
}

/* One byte many times, so that a small input can fill what there is to fill. */
static void fuzz_say_many(struct fuzz *f, unsigned int i, struct fuzz_input *in)
{
	uint8_t bytes[8192];

	memset(bytes, (int)fuzz_take(in, 1), sizeof(bytes));
	fuzz_send(f, i, bytes, sizeof(bytes));
}

/* --- what the screen does ---------------------------------------------------------------------------------------- */

static void fuzz_resize(struct fuzz *f, struct fuzz_input *in)
{
	f->screen.width = 1 + (unsigned int)fuzz_take(in, 1) % 128;
	f->screen.height = 1 + (unsigned int)fuzz_take(in, 1) % 128;
	vnc_screen_ops.resized(f->vnc, f->screen.width, f->screen.height);
	vnc_drawn(f->vnc);
	fuzz_turn(f);
}

static void fuzz_draw(struct fuzz *f, struct fuzz_input *in)
{
	uint8_t *p = f->screen.pixels;

	for (size_t i = 0; i < (size_t)f->screen.width * f->screen.height * SCREEN_PIXEL; i += 3)
		p[i] = (uint8_t)(p[i] * 5 + i);
	p[0] = (uint8_t)fuzz_take(in, 1);
	vnc_screen_ops.changed(f->vnc, 0, 0, f->screen.width, f->screen.height);
	vnc_drawn(f->vnc);
	fuzz_turn(f);
}

enum {
	FUZZ_CONNECT,
	FUZZ_LOG_IN,
	FUZZ_SAY,
	FUZZ_BYTES,
	FUZZ_MANY,
	FUZZ_RESIZE,
	FUZZ_DRAW,
	FUZZ_LEAVE,
	FUZZ_READ,
	FUZZ_ACTS
};

/* The upper bits of an act say who, and how. */
static void fuzz_act(struct fuzz *f, struct fuzz_input *in)
{
	unsigned int act = (unsigned int)fuzz_take(in, 1), i = act >> 7, how = act >> 4 & 7;

	act %= 16;
	if (act == FUZZ_CONNECT || f->viewers[i] < 0)
		fuzz_connect(f, i, how & 1);
	else if (act == FUZZ_LOG_IN)
		fuzz_log_in(f, i, how & 1);
	else if (act == FUZZ_BYTES)
		for (unsigned int n = 0; n <= how; n++)
			fuzz_say(f, i, in, 1);
	else if (act == FUZZ_MANY)
		fuzz_say_many(f, i, in);
	else if (act == FUZZ_RESIZE)
		fuzz_resize(f, in);
	else if (act == FUZZ_DRAW)
		fuzz_draw(f, in);
	else if (act == FUZZ_LEAVE)
		shutdown(f->viewers[i], SHUT_WR);
	else if (act != FUZZ_READ)
		fuzz_say(f, i, in, act == FUZZ_SAY ? FUZZ_CHUNK : 20);
	if (how != 7) /* else it is slow to read */
		viewers_drain(f->viewers[i]);
}

static void fuzz_end(struct fuzz *f)
{
	vnc_free(f->vnc);
	uv_run(&f->loop, UV_RUN_DEFAULT);
	for (unsigned int key = 0; key < KEY_CNT; key++)
		if (f->held[key])
			__builtin_trap();
	if (f->looked || f->buttons || uv_loop_close(&f->loop) < 0)
		__builtin_trap();
	for (unsigned int i = 0; i < FUZZ_VIEWERS; i++)
		if (f->viewers[i] >= 0)
			close(f->viewers[i]);
	screen_fini(&f->screen);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct fuzz_input in = { data, size };
	struct fuzz f = { .viewers = { -1, -1 }, .password = fuzz_take(&in, 1) & 1 };
	struct vnc_options o = { .loop = &f.loop,
				 .screen = &f.screen,
				 .name = "fuzz",
				 .password = f.password ? FUZZ_PASSWORD : NULL,
				 .ops = &fuzz_ops,
				 .arg = &f };
	struct log log;

	signal(SIGPIPE, SIG_IGN); /* as in vmm-display */
	log_init(&log, -1, LOG_LEVEL_ERROR, "fuzz");
	o.log = &log;
	if (uv_loop_init(&f.loop) < 0 || screen_init(&f.screen, NULL) < 0)
		abort();
	f.screen.width = 64;
	f.screen.height = 48;
	if (vnc_new(&o, viewers_listen(&f.at, &f.at_len), &f.vnc, NULL) < 0)
		abort();
	while (in.left)
		fuzz_act(&f, &in);
	fuzz_end(&f);
	return 0;
}
