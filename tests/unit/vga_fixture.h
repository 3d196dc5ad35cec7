/* SPDX-License-Identifier: MIT */
/* A display adapter on a fake board, and a guest's ways to it. */
#ifndef TESTS_UNIT_VGA_FIXTURE_H
#define TESTS_UNIT_VGA_FIXTURE_H

#include "tests/lib/test.h"
#include "tests/unit/fake_board.h"
#include "vmm/devices.h"
#include "vmm/display/vga_impl.h"

#define SLOT 2
#define WINDOW 0xa0000

struct fvga {
	struct fake_board fb;
	struct device *chipset, *dev;
	struct vga *vga;
};

int fvga_rom_file(const void *data, size_t len);
int fvga_setup(void **state);
int fvga_teardown(void **state);
void fvga_out(struct fvga *f, uint16_t port, uint8_t val);
uint8_t fvga_in(struct fvga *f, uint16_t port);
/* An index register and the one behind it, by a word as most drivers do */
void fvga_set(struct fvga *f, uint16_t port, uint8_t index, uint8_t val);
uint8_t fvga_get(struct fvga *f, uint16_t port, uint8_t index);
void fvga_attr(struct fvga *f, uint8_t index, uint8_t val);
void fvga_dispi(struct fvga *f, uint16_t index, uint16_t val);
uint16_t fvga_dispi_get(struct fvga *f, uint16_t index);
void fvga_poke(struct fvga *f, uint32_t addr, uint8_t val);
uint8_t fvga_peek(struct fvga *f, uint32_t addr);
uint32_t fvga_cfg_read(struct fvga *f, unsigned int off);
void fvga_cfg_write(struct fvga *f, unsigned int off, uint32_t val);
/* Colours of the sixteen: n is (n, 0, 63 - n) in the DAC, by a palette that has each at its own number */
void fvga_colors(struct fvga *f);
/* The planes one by one, A0000h for 64 KiB, every bit */
void fvga_planar(struct fvga *f);

#endif
