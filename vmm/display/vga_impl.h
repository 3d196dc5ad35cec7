/* SPDX-License-Identifier: MIT */
/*
 * What the parts of the device class vga share: vga.c is the PCI function and its memory, vga_regs.c the ports, vga_dispi.c
 * the registers of the Bochs VBE extension, vga_window.c the memory at A0000h, vga_draw.c and vga_text.c the picture, vga_watch.c
 * what is new in it.
 *
 * Section numbers are those of the Intel Open Source HD Graphics Programmer's Reference Manual, volume 2c "VGA
 * Registers" (OSRC), which follows the IBM PS/2 Hardware Interface Technical Reference, "Video Subsystem".
 *
 * The four planes lie in one another: byte `offset` of plane p is vram[4 * offset + p], so that a doubleword is what the
 * latches take, and a linear mode (chain 4, VBE) sees the same bytes in their order.
 */
#ifndef VMM_DISPLAY_VGA_IMPL_H
#define VMM_DISPLAY_VGA_IMPL_H

#include "vmm/device.h"
#include "vmm/display/vga.h"
#include "vmm/pci/pci.h"

#define VGA_VRAM_SIZE (16 * MIB) /* a power of two: offsets are cut to it */

enum vga_seq {
	VGA_SEQ_RESET,
	VGA_SEQ_CLOCK,
	VGA_SEQ_MASK,
	VGA_SEQ_FONT,
	VGA_SEQ_MEMORY,
	VGA_SEQ_N
};

#define VGA_CLOCK_8DOTS BIT(0)
#define VGA_CLOCK_HALF BIT(3)
#define VGA_CLOCK_OFF BIT(5)
#define VGA_MEMORY_SEQUENTIAL BIT(2) /* else odd addresses are planes 1 and 3 */
#define VGA_MEMORY_CHAIN4 BIT(3)

enum vga_gc {
	VGA_GC_SET,
	VGA_GC_SET_ENABLE,
	VGA_GC_COMPARE,
	VGA_GC_ROTATE,
	VGA_GC_READ_PLANE,
	VGA_GC_MODE,
	VGA_GC_MISC,
	VGA_GC_CARE,
	VGA_GC_MASK,
	VGA_GC_N
};

#define VGA_MODE_READ_COMPARE BIT(3)
#define VGA_MODE_ODD_EVEN BIT(4)
#define VGA_MODE_SHIFT 0x60
#define VGA_MODE_SHIFT_CGA 0x20
#define VGA_MISC_GRAPHICS BIT(0) /* of VGA_GC_MISC */

enum vga_crtc {
	VGA_CRTC_COLUMNS = 0x01, /* less one */
	VGA_CRTC_OVERFLOW = 0x07,
	VGA_CRTC_CELL = 0x09,
	VGA_CRTC_CURSOR_START = 0x0a,
	VGA_CRTC_CURSOR_END = 0x0b,
	VGA_CRTC_START_HIGH = 0x0c,
	VGA_CRTC_START_LOW = 0x0d,
	VGA_CRTC_CURSOR_HIGH = 0x0e,
	VGA_CRTC_CURSOR_LOW = 0x0f,
	VGA_CRTC_RETRACE_END = 0x11,
	VGA_CRTC_LINES = 0x12, /* the lower 8 bits, less one */
	VGA_CRTC_PITCH = 0x13,
	VGA_CRTC_MODE = 0x17,
	VGA_CRTC_COMPARE = 0x18,
	VGA_CRTC_N = 0x19
};

enum vga_attr { VGA_ATTR_MODE = 0x10, VGA_ATTR_PLANES = 0x12, VGA_ATTR_SELECT = 0x14, VGA_ATTR_N };

#define VGA_ATTR_ON BIT(5)    /* of the index: the palette is the screen's */
#define VGA_ATTR_LINES BIT(2) /* of the mode: the ninth column repeats the eighth */
#define VGA_ATTR_BLINK BIT(3)
#define VGA_ATTR_SELECT_54 BIT(7)

#define VGA_MISC_COLOR BIT(0) /* of misc: the CRTC is at 3D4h, not 3B4h */
#define VGA_MISC_RAM BIT(1)

/* Registers of the Bochs VBE extension: Bochs, iodev/display/vbe.h and the documentation of its VBE */
enum vga_dispi {
	VGA_DISPI_ID,
	VGA_DISPI_WIDTH,
	VGA_DISPI_HEIGHT,
	VGA_DISPI_DEPTH,
	VGA_DISPI_ENABLE,
	VGA_DISPI_BANK,
	VGA_DISPI_VIRT_WIDTH,
	VGA_DISPI_VIRT_HEIGHT,
	VGA_DISPI_X,
	VGA_DISPI_Y,
	VGA_DISPI_MEMORY, /* in units of 64 KiB */
	VGA_DISPI_N
};

#define VGA_DISPI_ENABLED BIT(0)
#define VGA_DISPI_GETCAPS BIT(1)
#define VGA_DISPI_DAC8 BIT(5)
#define VGA_DISPI_LFB BIT(6)
#define VGA_DISPI_KEEP BIT(7) /* the memory is not cleared */

/* All that decides of the picture, and what else a guest has written. Any value of any member is one that can be drawn. */
struct vga_regs {
	uint8_t misc, feature;
	uint8_t seq_index, seq[VGA_SEQ_N];
	uint8_t crtc_index, crtc[VGA_CRTC_N];
	uint8_t gc_index, gc[VGA_GC_N];
	uint8_t attr_index, attr[VGA_ATTR_N];
	bool attr_data; /* the next write to 3C0h is one */
	uint8_t dac[3 * 256], dac_mask;
	uint8_t dac_index, dac_part; /* the colour, and which of its three bytes is next */
	bool dac_reads;
	uint8_t unused; /* there is no byte between: they are compared, and handed on, whole */
	uint32_t latch; /* a byte a plane */
	uint16_t dispi_index, dispi[VGA_DISPI_N];
};

struct vga_cfg {
	char address[16];
	int rom_fd; /* -1: none */
	int memory_fd; /* a sealed file of VGA_VRAM_SIZE bytes that is its memory; -1: nobody else can see that */
	int view_fd; /* the same, read-only: what a viewer gets */
};

#define VGA_PAGE 4096
#define VGA_PAGES (VGA_VRAM_SIZE / VGA_PAGE)

/* While somebody looks: vga_watch.c */
struct vga_watch {
	void (*changed)(void *arg); /* NULL: nobody does */
	void *arg;
	uint64_t
		dirty[VGA_PAGES /
		      64]; /* pages written since the last frame, but for those that KVM knows of */
	struct vga_regs shown; /* of the last frame */
	bool told;	       /* changed was called since then */
	bool logged;	       /* KVM notes the guest's writes to the slot */
};

struct vga {
	struct device dev; /* first */
	struct pci_dev pci;
	struct vga_regs regs;
	uint8_t *vram; /* owned mapping of VGA_VRAM_SIZE; NULL: not yet */
	uint8_t *rom;  /* owned mapping of rom_size; NULL: none */
	uint64_t rom_size;
	int vram_slot, rom_slot; /* memory slots of the guest; -1: not there */
	struct vga_watch watch;
	struct region mono, color, window, dispi_index, dispi_data;
};

/* vga_regs.c: ports 3B0h to 3BBh and 3C0h to 3DFh */
extern const struct region_ops vga_mono_ops, vga_color_ops;
uint8_t vga_port_read(struct vga *v, unsigned int port);
void vga_port_write(struct vga *v, unsigned int port, uint8_t val);
void vga_regs_reset(struct vga_regs *r);

/* vga_watch.c */
void vga_touch(struct vga *v, uint64_t offset,
	       uint64_t len); /* memory was written, not by a slot */
void vga_touch_regs(struct vga *v);
void vga_watch_slot(struct vga *v); /* the slot is new, or gone */

/* vga_dispi.c */
extern const struct region_ops vga_dispi_index_ops, vga_dispi_data_ops;
uint16_t vga_dispi_read(const struct vga_regs *r, unsigned int index);
void vga_dispi_write(struct vga *v, unsigned int index, uint16_t val);

struct vga_linear {
	unsigned int width, height, depth; /* depth 4: planes */
	uint32_t start, stride;		   /* bytes; all of the picture is within the memory */
};

static inline bool vga_dispi_on(const struct vga_regs *r)
{
	return r->dispi[VGA_DISPI_ENABLE] & VGA_DISPI_ENABLED;
}

/* While it is on. */
void vga_dispi_mode(const struct vga_regs *r, struct vga_linear *ret);

/* vga_window.c: A0000h to BFFFFh */
extern const struct region_ops vga_window_ops;

/* vga_draw.c, vga_text.c: what is drawn from */
struct vga_view {
	const uint8_t *vram; /* borrowed, and the guest's */
	struct vga_regs regs;
	uint8_t colors[256][VGA_RGB];
	struct vga_linear linear;	      /* while VBE is on */
	unsigned int cell_width, cell_height; /* of a text mode */
	unsigned int repeat; /* graphics: lines of the tube for one of the picture */
	bool blank;
};

static inline unsigned int vga_start(const struct vga_regs *r)
{
	return (unsigned int)r->crtc[VGA_CRTC_START_HIGH] << 8 | r->crtc[VGA_CRTC_START_LOW];
}

/* Bytes of a plane from one line to the next */
static inline unsigned int vga_pitch(const struct vga_regs *r)
{
	return 2u * r->crtc[VGA_CRTC_PITCH];
}

/* The four bytes of the planes at this offset */
static inline const uint8_t *vga_planes(const struct vga_view *w, unsigned int offset)
{
	return w->vram + (4 * (uint64_t)offset & (VGA_VRAM_SIZE - 1));
}

/* A colour of the attribute controller's palette, as an index of colors. */
unsigned int vga_palette(const struct vga_regs *r, unsigned int color);
void vga_text_init(struct vga_shot *s, unsigned int tube_lines);
void vga_text_row(const struct vga_shot *s, unsigned int y, uint8_t *out);

#endif
