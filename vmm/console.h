/* SPDX-License-Identifier: MIT */
/*
 * A console: what a guest writes to a serial port or a virtio console goes to a ring (64 KiB of
 * scrollback) and to every attached client; what the writing client types goes to the guest. One writer,
 * many readers. A client that does not read loses nothing until it is a ring behind, then it gets a
 * notice with the number of bytes lost. Clients are descriptors (sockets, ttys) handed in by vmd.
 *
 * console_write and console_pull are called from vCPU threads and I/O workers; everything else on the control loop. It has
 * a lock of its own, held for copies only.
 */
#ifndef VMM_CONSOLE_H
#define VMM_CONSOLE_H

#include <pthread.h>
#include <uv.h>
#include "lib/console_log.h"
#include "lib/err.h"

#define CONSOLE_RING_SIZE (64 * 1024)
#define CONSOLE_CLIENTS_MAX 16

struct console;

/* The guest's end. Called on the control loop, or from console_pull's thread; never with the console's lock. */
struct console_guest_ops {
	/* Input is there: the device should call console_pull when it can take it. On the control loop. */
	void (*input_ready)(void *arg);
};

int console_new(uv_loop_t *loop, const char *id, struct console **ret_console, struct err *e);
/* Flushes what clients take without blocking, then closes them; frees later, from the loop. */
void console_close(struct console *c);

/* The lock (machine.lock) that is held around input_ready; NULL: none. Before the guest is set. */
void console_set_door(struct console *c, pthread_mutex_t *door);

/* Called once, on the control loop: the guest's first byte, and when it came (CLOCK_MONOTONIC). */
void console_set_first(struct console *c, void (*first)(void *arg, uint64_t at_us), void *arg);

/* Device side */
void console_set_guest(struct console *c, const struct console_guest_ops *ops, void *arg);
void console_write(struct console *c, const void *data, size_t len); /* any thread; never blocks */
/* Take up to len bytes of input; 0 when there is none. Any thread. */
size_t console_pull(struct console *c, void *data, size_t len);
bool console_has_input(struct console *c);

/* Client side: control loop. fd is taken over and made non-blocking. */
enum console_mode { CONSOLE_READ_ONLY, CONSOLE_READ_WRITE, CONSOLE_TAKE };
/*
 * -EBUSY: another client writes and mode is not CONSOLE_TAKE (the taken one becomes a reader).
 * scrollback: send the ring's content first. out_fd differs from in_fd for stdin/stdout, else -1.
 */
int console_attach(struct console *c, int take_fd, int take_out_fd, enum console_mode mode,
		   bool scrollback, struct err *e);

/*
 * vmd's log of this console, beside the clients: nobody can take its place, a new one ends the one before.
 * take_fd is a SOCK_SEQPACKET socket; each of its messages is a struct console_log_msg
 * (lib/console_log.h) from the oldest byte that the ring has on. A gap between two messages is what was
 * lost.
 */
int console_attach_log(struct console *c, int take_fd, struct err *e);
/* Of its output the last lines as printable ASCII and LF, as many as fit, ended by NUL. Control loop. */
void console_tail_text(struct console *c, unsigned int lines, char *out, size_t size);
/* The end: what the ring has goes to the log, and into a file (struct console_tail) unless a log has taken all of it. */
void console_save(struct console *c, int fd);

/*
 * A person's terminal, or whatever stdin and stdout are: writes, with the scrollback. A tty becomes raw
 * until it is detached, and Ctrl-] calls escape instead of going to the guest. The end of the input ends
 * only the input. The descriptors stay the caller's and get their flags back.
 */
int console_attach_stdio(struct console *c, int in_fd, int out_fd, void (*escape)(void *arg),
			 void *arg, struct err *e);
/* Give slow readers up to timeout_ms to take what the ring still holds for them. Blocks. */
void console_drain(struct console *c, int timeout_ms);
/* How many clients are attached, and whether one of them writes. */
unsigned int console_clients(struct console *c, bool *ret_writer);
const char *console_id(const struct console *c);

#endif
