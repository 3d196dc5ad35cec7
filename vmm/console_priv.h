/* SPDX-License-Identifier: MIT */
/* Between console.c (the rings, the guest's end) and console_client.c (those who are attached). */
#ifndef VMM_CONSOLE_PRIV_H
#define VMM_CONSOLE_PRIV_H

#include <termios.h>
#include "vmm/console.h"

#define CONSOLE_INPUT_SIZE 4096

struct console_client {
	struct console *console;
	uv_poll_t poll, out_poll; /* out_poll only when out_fd differs */
	int fd, out_fd;
	unsigned int handles; /* open uv handles: the last close frees */
	bool closing;
	bool writer, eof;
	bool pollable, out_pollable; /* a regular file is not: it never blocks either */
	bool stdio;		     /* descriptors stay open, settings are put back */
	int old_flags, old_out_flags;
	bool tty;
	struct termios old_tio;
	void (*escape)(void *arg);
	void *escape_arg;
	uint64_t pos; /* next byte of the output that it gets */
	bool want_write;
	char notice[64]; /* what is still to be said about lost bytes */
	unsigned int notice_len;
};

struct console_log;

struct console {
	uv_loop_t *loop;
	uv_async_t wake;
	uv_timer_t hold;
	unsigned int handles;
	bool closing;
	char id[64];
	pthread_mutex_t *door; /* borrowed; may be NULL */
	const struct console_guest_ops *guest;
	void *guest_arg;
	void (*first)(void *arg, uint64_t at_us); /* NULL: told already, or nobody asks */
	void *first_arg;
	struct console_client *clients[CONSOLE_CLIENTS_MAX]; /* owned */
	struct console_log *log;			     /* owned; NULL: nobody keeps one */

	pthread_mutex_t lock; /* what follows */
	uint64_t total;	      /* bytes ever written by the guest */
	uint64_t first_us;    /* when the first of them was; 0: not yet */
	uint64_t seen;	      /* total when the loop last looked */
	bool woken;	      /* the loop knows or will look; no further wake-up is needed */
	bool has_clients;
	bool input_blocked; /* the loop stopped reading because input is full */
	unsigned int in_start, in_len;
	char input[CONSOLE_INPUT_SIZE];
	char ring[CONSOLE_RING_SIZE];
};

/*
 * Up to max bytes of the output from *pos on, which moves to the oldest byte that the ring still has; how
 * far is *ret_lost. Does not move *pos over what it copied.
 */
size_t console_copy(struct console *c, uint64_t *pos, char *out, size_t max, uint64_t *ret_lost);
/* Somebody came or went: does a write of the guest have to wake the loop? */
void console_count_clients(struct console *c);

/* Take a client out; it is freed by the loop. */
void console_detach(struct console_client *cl);
/* Write what the clients take without blocking; read what they have for the guest. */
void console_flush(struct console *c);
void console_feed(struct console *c);
/* 1: all is written; 0: it would block; -errno: it is gone */
int console_send(struct console_client *cl);

int64_t console_now_ms(void); /* CLOCK_MONOTONIC */

/* console_log.c */
void console_log_flush(struct console *c);
/* Send what is left, for at most timeout_ms, and end. */
void console_log_end(struct console *c, int timeout_ms);

#endif
