// SPDX-License-Identifier: MIT
/* See vga_fixture.h. */
#include "tests/unit/vga_fixture.h"

#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

int fvga_rom_file(const void *data, size_t len)
{
	int fd = memfd_create("rom", MFD_CLOEXEC);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, data, len), len);
	return fd;
}

int fvga_setup(void **state)
{
	static const uint8_t rom[5000] = { 0x55, 0xaa, 9 };
	struct fvga *f = calloc(1, sizeof(*f));
	struct vga_cfg cfg = { .address = "00:02.0",
			       .rom_fd = fvga_rom_file(rom, sizeof(rom)),
			       .memory_fd = -1,
			       .view_fd = -1 };

	fake_board_init(&f->fb, MIB);
	f->chipset = fake_board_add(&f->fb, &i440fx_class, "chipset", NULL);
	f->dev = fake_board_add(&f->fb, &vga_class, "vga0", &cfg);
	f->vga = container_of(f->dev, struct vga, dev);
	*state = f;
	return 0;
}

int fvga_teardown(void **state)
{
	struct fvga *f = *state;

	fake_board_remove(&f->fb, f->dev);
	fake_board_remove(&f->fb, f->chipset);
	assert_int_equal(f->fb.pio.nregions, 0);
	assert_int_equal(f->fb.mmio.nregions, 0);
	for (unsigned int i = 0; i < FAKE_SLOTS; i++)
		assert_int_equal(f->fb.slots[i].size, 0);
	fake_board_fini(&f->fb);
	free(f);
	return 0;
}

void fvga_out(struct fvga *f, uint16_t port, uint8_t val)
{
	fake_out8(&f->fb, port, val);
}

uint8_t fvga_in(struct fvga *f, uint16_t port)
{
	return fake_in8(&f->fb, port);
}

void fvga_set(struct fvga *f, uint16_t port, uint8_t index, uint8_t val)
{
	fake_out(&f->fb, port, 2, (uint32_t)(val << 8 | index));
}

uint8_t fvga_get(struct fvga *f, uint16_t port, uint8_t index)
{
	fvga_out(f, port, index);
	return fvga_in(f, (uint16_t)(port + 1));
}

void fvga_attr(struct fvga *f, uint8_t index, uint8_t val)
{
	fvga_in(f, 0x3da);
	fvga_out(f, 0x3c0, index);
	fvga_out(f, 0x3c0, val);
}

void fvga_dispi(struct fvga *f, uint16_t index, uint16_t val)
{
	fake_out(&f->fb, 0x1ce, 2, index);
	fake_out(&f->fb, 0x1cf, 2, val);
}

uint16_t fvga_dispi_get(struct fvga *f, uint16_t index)
{
	fake_out(&f->fb, 0x1ce, 2, index);
	return (uint16_t)fake_in(&f->fb, 0x1cf, 2);
}

void fvga_poke(struct fvga *f, uint32_t addr, uint8_t val)
{
	fake_mmio_write(&f->fb, addr, 1, val);
}

uint8_t fvga_peek(struct fvga *f, uint32_t addr)
{
	return (uint8_t)fake_mmio_read(&f->fb, addr, 1);
}

uint32_t fvga_cfg_read(struct fvga *f, unsigned int off)
{
	fake_out(&f->fb, 0xcf8, 4, 0x80000000 | SLOT << 11 | off);
	return fake_in(&f->fb, 0xcfc, 4);
}

void fvga_cfg_write(struct fvga *f, unsigned int off, uint32_t val)
{
	fake_out(&f->fb, 0xcf8, 4, 0x80000000 | SLOT << 11 | off);
	fake_out(&f->fb, 0xcfc, 4, val);
}

void fvga_colors(struct fvga *f)
{
	fvga_out(f, 0x3c8, 0);
	for (unsigned int i = 0; i < 16; i++) {
		fvga_out(f, 0x3c9, (uint8_t)i);
		fvga_out(f, 0x3c9, 0);
		fvga_out(f, 0x3c9, (uint8_t)(63 - i));
		fvga_attr(f, (uint8_t)i, (uint8_t)i);
	}
	fvga_attr(f, 0x12, 0x0f);
	fvga_in(f, 0x3da);
	fvga_out(f, 0x3c0, 0x20); /* the screen is on */
}

void fvga_planar(struct fvga *f)
{
	fvga_out(f, 0x3c2, 0x67);
	fvga_set(f, 0x3c4, 2, 0x0f);
	fvga_set(f, 0x3c4, 4, 0x06);
	fvga_set(f, 0x3ce, 1, 0);
	fvga_set(f, 0x3ce, 3, 0);
	fvga_set(f, 0x3ce, 5, 0);
	fvga_set(f, 0x3ce, 6, 0x05);
	fvga_set(f, 0x3ce, 8, 0xff);
}
