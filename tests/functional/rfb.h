/* SPDX-License-Identifier: MIT */
/*
 * A viewer for tests, by libvncclient: it connects, looks and types. Each wait has a deadline (HARNESS_WAIT_MS), after which the
 * test fails.
 */
#ifndef TESTS_FUNCTIONAL_RFB_H
#define TESTS_FUNCTIONAL_RFB_H

#include <rfb/rfbclient.h>
#include <stdbool.h>
#include <stdint.h>

struct rfb {
	rfbClient *client;     /* owned */
	uint8_t *pixels;       /* owned: its frameBuffer */
	unsigned int nupdates; /* that came */
	unsigned int nresized;
};

/* host: of TCP, or the path of a socket with port 0. password NULL: none is expected. False: it was sent away. */
bool rfb_connect(struct rfb *r, const char *host, int port, const char *encodings,
		 const char *password);
void rfb_close(struct rfb *r);
/* 0xrrggbb */
uint32_t rfb_pixel(const struct rfb *r, unsigned int x, unsigned int y);
/* Take what comes until that holds. False: the other end has closed the connection. */
bool rfb_until(struct rfb *r, bool (*done)(struct rfb *r, const void *arg), const void *arg);
/* The next whole update. */
void rfb_update(struct rfb *r);
/* Until it is the picture of so many pixels of three bytes. */
void rfb_expect(struct rfb *r, unsigned int width, unsigned int height, const uint8_t *rgb);
void rfb_key(struct rfb *r, uint32_t keysym, bool down);

#endif
