/* SPDX-License-Identifier: MIT */
/* What the tests of controllers with removable drives have in common. */
#ifndef TESTS_FUNCTIONAL_DRIVES_H
#define TESTS_FUNCTIONAL_DRIVES_H

struct harness;

/* An image of 4 KiB that begins with "cd NAME"; valid until the next call. */
const char *drives_image(struct harness *h, const char *name);
/* 'one' with a guest that does nothing and a controller of that type: a disk, and an empty drive cd0, unit 2. */
struct client *drives_start_guest(struct harness *h, const char *profile, const char *type);
/* What `vmctl media one` prints */
void drives_expect_media(struct harness *h, const char *table);
/* The empty cd0 gets a medium, and is emptied. */
void drives_expect_change(struct harness *h);

#endif
