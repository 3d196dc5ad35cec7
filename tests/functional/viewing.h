/* SPDX-License-Identifier: MIT */
/* What the tests of viewers of a screen begin with: a VM whose guest draws and tells what it was typed (tests/guest/look.c). */
#ifndef TESTS_FUNCTIONAL_VIEWING_H
#define TESTS_FUNCTIONAL_VIEWING_H

#include "tests/functional/rfb.h"
#include "tests/functional/scene.h"

#define XK_ESCAPE 0xff1b
#define XK_CONTROL 0xffe3
#define RAW "raw"

#define MEMBERS(display) "'profile': 'legacy-pc', 'devices': [{'type': 'vga'}], 'display': " display

/* Where it is, once somebody answers there. Valid until the next call. */
const char *viewing_address(struct client *c);
struct client *viewing_start(struct harness *h, const char *members);
/* What the screen shows is what the viewer sees, soon. */
void viewing_expect_same(struct rfb *r, struct client *c);
void viewing_look(struct rfb *r, struct client *c);
void viewing_look_same(struct rfb *r, struct client *c);
/* A guest that draws, and a viewer that sees what its screen shows */
struct client *viewing_start_looking(struct harness *h, struct rfb *r);
/* The guest draws something when it has this. */
void viewing_type_a(struct rfb *r, struct client *c);
int64_t viewing_count(struct client *c);
/* The process that shows the screen */
pid_t viewing_pid(struct harness *h);
int viewing_dial(const char *path);

#endif
