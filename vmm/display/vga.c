// SPDX-License-Identifier: MIT
/*
 * A display adapter (type "vga"): a VGA with the Bochs VBE extension, as a PCI function 1234:1111 of revision 2, the one that Bochs and
 * QEMU ("-vga std") have, and that the vgabios of SeaBIOS, OVMF's QemuVideoDxe and Linux's bochs-drm know.
 *
 *	BAR 0	the memory, 16 MiB, which is the guest's memory while it is decoded: no access exits
 *	BAR 2	4 KiB: 400h ports 3C0h to 3DFh, 500h the DISPI registers (16 bits each), 600h the byte order
 *	ROM	the vgabios, from a file; firmware reads it as memory
 *
 * The ports and the window at A0000h are decoded always, whatever the command register says; there is no interrupt,
 * and no EDID in BAR 2 (what is read there is 0, so that a driver has its own modes). Under machine.lock.
 */
#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "lib/auto.h"
#include "lib/errcat.h"
#include "lib/fdio.h"
#include "vmm/devices.h"
#include "vmm/display/vga_impl.h"
#include "vmm/x86/map.h"

#define VGA_BAR_MEMORY 0
#define VGA_BAR_REGS 2
#define VGA_REGS_SIZE 4096
#define VGA_REGS_PORTS 0x400
#define VGA_REGS_DISPI 0x500
#define VGA_REGS_EXTENDED 0x600
#define VGA_EXTENDED_SIZE 8
#define VGA_LITTLE_ENDIAN 0x1e1e1e1eu

/* PCI Firmware 3.0, section 5.1: the header of an option ROM */
#define VGA_ROM_UNIT 512
#define VGA_ROM_MAX (256 * KIB)
#define VGA_ROM_PAGE 4096

static const struct field vga_fields[] = {
	FIELD_STR("address", struct vga_cfg, address),
	FIELD_FD("rom", struct vga_cfg, rom_fd),
	FIELD_FD("memory", struct vga_cfg, memory_fd),
	FIELD_FD("view", struct vga_cfg, view_fd),
	FIELD_END,
};

/* --- BAR 0 and the ROM: memory; what comes here is a guest's access while there is no slot, or a write to the ROM ---- */

static uint64_t vga_memory_read(void *dev, uint64_t off, unsigned int size)
{
	const struct vga *v = dev;
	uint64_t val = 0;

	memcpy(&val, v->vram + off, size);
	return val;
}

static void vga_memory_write(void *dev, uint64_t off, unsigned int size, uint64_t val)
{
	struct vga *v = dev;

	memcpy(v->vram + off, &val, size);
	vga_touch(v, off, size);
}

static const struct region_ops vga_memory_ops = {
	.read = vga_memory_read,
	.write = vga_memory_write,
	.min_size = 1,
	.max_size = 8,
};

static uint64_t vga_rom_read(void *dev, uint64_t off, unsigned int size)
{
	const struct vga *v = dev;
	uint64_t val = 0;

	memcpy(&val, v->rom + off, size);
	return val;
}

static void vga_rom_write(void *dev, uint64_t off, unsigned int size, uint64_t val)
{
	(void)dev, (void)off, (void)size, (void)val;
}

static const struct region_ops vga_rom_ops = {
	.read = vga_rom_read,
	.write = vga_rom_write,
	.min_size = 1,
	.max_size = 8,
};

/* What KVM does not take is done by exits: slower, and the same to the guest. */
static void vga_follow(struct vga *v, unsigned int bar, int *slot)
{
	const struct board *b = v->dev.board;
	const struct pci_bar *p = &v->pci.bars[bar];
	struct err e;

	if (*slot >= 0)
		b->ops->mem_unmap(b->arg, *slot);
	*slot = -1;
	if (bar == VGA_BAR_MEMORY)
		vga_watch_slot(v);
	if (!p->mapped || p->region.base % VGA_ROM_PAGE)
		return;
	if (bar == PCI_ROM)
		*slot = b->ops->rom_map(b->arg, p->region.base, p->region.size, v->rom, &e);
	else
		*slot = b->ops->mem_map(b->arg, p->region.base, p->region.size, v->vram, &e);
	if (*slot < 0) {
		log_warn(b->log, "device '%s': %s: %s", v->dev.id, p->label, e.msg);
		*slot = -1;
	}
	if (bar == VGA_BAR_MEMORY)
		vga_watch_slot(v);
}

static void vga_bar_moved(struct pci_dev *p, unsigned int bar, uint64_t old_base, bool old_mapped)
{
	struct vga *v = container_of(p, struct vga, pci);

	(void)old_base;
	(void)old_mapped;
	if (bar == VGA_BAR_MEMORY)
		vga_follow(v, bar, &v->vram_slot);
	else if (bar == PCI_ROM)
		vga_follow(v, bar, &v->rom_slot);
}

static const struct pci_dev_ops vga_pci_ops = { .bar_moved = vga_bar_moved };

/* --- BAR 2 ------------------------------------------------------------------------------------------------- */

static uint8_t vga_extended(uint64_t off)
{
	uint32_t words[2] = { VGA_EXTENDED_SIZE, VGA_LITTLE_ENDIAN };
	uint8_t bytes[sizeof(words)];

	memcpy(bytes, words, sizeof(words));
	return bytes[off];
}

static uint64_t vga_bar_read(void *dev, uint64_t off, unsigned int size)
{
	struct vga *v = dev;

	if (off >= VGA_REGS_DISPI && off < VGA_REGS_DISPI + 2 * VGA_DISPI_N)
		return vga_dispi_read(&v->regs, (unsigned int)(off - VGA_REGS_DISPI) / 2) >>
		       8 * (off & 1);
	if (off >= VGA_REGS_PORTS && off < VGA_REGS_PORTS + 0x20) {
		uint64_t val = vga_port_read(v, 0x3c0 + (unsigned int)(off - VGA_REGS_PORTS));

		if (size == 2)
			val |= (uint64_t)vga_port_read(v,
						       0x3c1 + (unsigned int)(off - VGA_REGS_PORTS))
			       << 8;
		return val;
	}
	if (off >= VGA_REGS_EXTENDED && off < VGA_REGS_EXTENDED + VGA_EXTENDED_SIZE)
		return vga_extended(off - VGA_REGS_EXTENDED) |
		       (size == 2 ? vga_extended((off - VGA_REGS_EXTENDED) | 1) << 8 : 0);
	return 0;
}

static void vga_bar_write(void *dev, uint64_t off, unsigned int size, uint64_t val)
{
	struct vga *v = dev;

	if (off >= VGA_REGS_DISPI && off < VGA_REGS_DISPI + 2 * VGA_DISPI_N) {
		if (size == 2) /* half a register is none */
			vga_dispi_write(v, (unsigned int)(off - VGA_REGS_DISPI) / 2, (uint16_t)val);
		return;
	}
	if (off < VGA_REGS_PORTS || off >= VGA_REGS_PORTS + 0x20)
		return; /* the byte order stays */
	for (unsigned int i = 0; i < size; i++)
		vga_port_write(v, 0x3c0 + (unsigned int)(off - VGA_REGS_PORTS) + i,
			       (uint8_t)(val >> 8 * i));
}

static const struct region_ops vga_bar_ops = {
	.read = vga_bar_read,
	.write = vga_bar_write,
	.min_size = 1,
	.max_size = 2,
};

/* --- making it ------------------------------------------------------------------------------------------------ */

/* Pages of our own, or those of a file that others can look at. */
static void *vga_map(uint64_t size, int fd)
{
	int flags = fd < 0 ? MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE : MAP_SHARED;
	void *map = mmap(NULL, size, PROT_READ | PROT_WRITE, flags, fd, 0);

	if (map == MAP_FAILED)
		return NULL;
	/* a core dump of the monitor is not the place for what the guest shows */
	madvise(map, size, MADV_DONTDUMP);
	return map;
}

static int vga_rom_refuse(struct err *e)
{
	err_set(e, ERR_FILE, "the ROM of the display is no option ROM of at most %llu KiB",
		VGA_ROM_MAX / KIB);
	return err_hint(e,
			"`rom: vgabios` is the one of the host's SeaBIOS, `rom: none` is without");
}

static int vga_rom_load(struct vga *v, int fd, struct err *e)
{
	struct stat st;
	uint64_t size;
	ssize_t n;

	if (fstat(fd, &st))
		return err_errno(e, "cannot read the ROM of the display");
	if (st.st_size < VGA_ROM_UNIT || st.st_size > (off_t)VGA_ROM_MAX)
		return vga_rom_refuse(e);
	for (size = VGA_ROM_PAGE; size < (uint64_t)st.st_size; size *= 2)
		;
	v->rom = vga_map(size, -1);
	if (!v->rom)
		return err_ret(e, -ENOMEM, "the ROM of the display");
	v->rom_size = size;
	n = fdio_pread(fd, v->rom, (size_t)st.st_size, 0);
	if (n < 0)
		return err_ret(e, (int)n, "cannot read the ROM of the display");
	if (v->rom[0] != 0x55 || v->rom[1] != 0xaa || v->rom[2] * VGA_ROM_UNIT > (int)n)
		return vga_rom_refuse(e);
	return 0;
}

static void vga_regions(struct vga *v)
{
	const struct {
		struct region *region;
		uint64_t base, size;
		const struct region_ops *ops;
	} rows[] = {
		{ &v->mono, MAP_VGA_MONO, 12, &vga_mono_ops },
		{ &v->color, MAP_VGA_COLOR, 32, &vga_color_ops },
		{ &v->dispi_index, MAP_VGA_DISPI, 1, &vga_dispi_index_ops },
		{ &v->dispi_data, MAP_VGA_DISPI + 1, 2, &vga_dispi_data_ops },
		{ &v->window, GMEM_VGA_START, GMEM_VGA_SIZE, &vga_window_ops },
	};

	for (unsigned int i = 0; i < ARRAY_SIZE(rows); i++)
		*rows[i].region = (struct region){ .name = v->dev.id,
						   .base = rows[i].base,
						   .size = rows[i].size,
						   .ops = rows[i].ops,
						   .dev = v };
}

static int vga_claim(struct vga *v, struct err *e)
{
	struct bus *pio = v->dev.board->pio;
	int r = bus_add(pio, &v->mono, e);

	if (r >= 0)
		r = bus_add(pio, &v->color, e);
	if (r >= 0)
		r = bus_add(pio, &v->dispi_index, e);
	if (r >= 0)
		r = bus_add(pio, &v->dispi_data, e);
	return r < 0 ? r : bus_add(v->dev.board->mmio, &v->window, e);
}

static int vga_plug(struct vga *v, struct err *e)
{
	static const struct pci_ids ids = {
		.vendor = 0x1234,
		.device = 0x1111,
		.subsystem_vendor = 0x1af4,
		.subsystem = 0x1100,
		.class_code = 0x030000,
		.revision = 2, /* BAR 2 has the byte order */
	};
	const struct vga_cfg *cfg = v->dev.cfg;

	pci_dev_init(&v->pci, v->dev.id, &ids, &vga_pci_ops);
	pci_add_bar(&v->pci, VGA_BAR_MEMORY, VGA_VRAM_SIZE, false, &vga_memory_ops, v);
	v->pci.bars[VGA_BAR_MEMORY].prefetch = true;
	pci_add_bar(&v->pci, VGA_BAR_REGS, VGA_REGS_SIZE, false, &vga_bar_ops, v);
	if (v->rom)
		pci_add_rom(&v->pci, v->rom_size, &vga_rom_ops, v);
	return pci_plug(v->dev.board->pci, &v->pci, cfg->address, e);
}

static int vga_init(struct device *d, struct err *e)
{
	struct vga *v = container_of(d, struct vga, dev);
	const struct vga_cfg *cfg = d->cfg;
	struct stat st;
	int r = 0;

	v->vram_slot = v->rom_slot = -1;
	vga_regions(v);
	if (cfg->memory_fd >= 0 && (fstat(cfg->memory_fd, &st) || st.st_size != VGA_VRAM_SIZE))
		return err_set(e, ERR_INVALID,
			       "the file for the memory of the display has not"
			       " its %llu bytes",
			       VGA_VRAM_SIZE);
	v->vram = vga_map(VGA_VRAM_SIZE, cfg->memory_fd);
	if (!v->vram)
		return err_ret(e, -ENOMEM, "the memory of the display");
	if (cfg->rom_fd >= 0)
		r = vga_rom_load(v, cfg->rom_fd, e);
	if (r >= 0)
		r = vga_claim(v, e);
	return r < 0 ? r : vga_plug(v, e);
}

static void vga_reset(struct device *d)
{
	struct vga *v = container_of(d, struct vga, dev);
	const struct vga_cfg *cfg = d->cfg;

	vga_regs_reset(&v->regs);
	/* all zero, and the host's again; of a file that is to remove them */
	madvise(v->vram, VGA_VRAM_SIZE, cfg->memory_fd < 0 ? MADV_DONTNEED : MADV_REMOVE);
	vga_touch(v, 0, VGA_VRAM_SIZE);
	pci_dev_reset(&v->pci);
}

static void vga_fini(struct device *d)
{
	struct vga *v = container_of(d, struct vga, dev);

	pci_dev_fini(&v->pci); /* tells that the BARs go */
	bus_del(d->board->mmio, &v->window);
	bus_del(d->board->pio, &v->dispi_data);
	bus_del(d->board->pio, &v->dispi_index);
	bus_del(d->board->pio, &v->color);
	bus_del(d->board->pio, &v->mono);
	if (v->rom)
		munmap(v->rom, v->rom_size);
	if (v->vram)
		munmap(v->vram, VGA_VRAM_SIZE);
}

const struct device_class vga_class = {
	.type = "vga",
	.size = sizeof(struct vga),
	.cfg_size = sizeof(struct vga_cfg),
	.cfg_fields = vga_fields,
	.init = vga_init,
	.reset = vga_reset,
	.fini = vga_fini,
};
