/* SPDX-License-Identifier: MIT */
/*
 * GRUB's rescue images (package grub-rescue-pc), unmodified, from SeaBIOS to GRUB's prompt over the serial port. Each takes a
 * minute of a processor where KVM interprets the guest, so that each is a program of its own.
 */
#ifndef TESTS_FUNCTIONAL_GRUB_H
#define TESTS_FUNCTIONAL_GRUB_H

#include "tests/lib/test.h"

struct harness;

#define GRUB_CD "/usr/lib/grub-rescue/grub-rescue-cdrom.iso"
#define GRUB_DISK "/usr/lib/grub-rescue/grub-rescue-usb.img" /* for USB sticks */

/* Skips without the image. more: keys of the definition, its `boot` and `devices`. */
void grub_boots(struct harness *h, const char *image, const char *more);
/* The screen's text has these words, and GRUB's name; a picture of it is left in BUILD/pictures/NAME.png. */
void grub_expect_screen(struct harness *h, const char *name, const char *words);
/* A program of this one test. */
int grub_main(const char *name, CMUnitTestFunction test);

#endif
