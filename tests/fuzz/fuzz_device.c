// SPDX-License-Identifier: MIT
/*
 * Every device class through its registers: a board with one of each, and an input that is a guest: accesses
 * to the registers and to configuration space, memory, kicks, time passing, typing, resets, pauses. What
 * must hold afterwards: a reset brings every function's configuration space back to what it was and lowers
 * every interrupt line, and an end leaves no region, route or ioeventfd behind. AddressSanitizer watches the
 * memory, the fake board the interrupts.
 */
#include <linux/virtio_config.h>
#include <linux/virtio_net.h>
#include <linux/virtio_pci.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "lib/json.h"
#include "tests/fuzz/input.h"
#include "tests/unit/fake_net.h"
#include "tests/unit/fake_vfio.h"
#include "tests/unit/guest_virtio.h"
#include "vmm/devices.h"
#include "vmm/display/vga.h"
#include "vmm/pci/host.h"

#define FUZZ_MEM_SIZE (64 * KIB)
#define FUZZ_DISK_SIZE (64 * KIB)
#define FUZZ_FLOPPY_SIZE (360 * KIB)
#define FUZZ_DEVICES_MAX 32
#define FUZZ_OPS_MAX 2048
#define FUZZ_RING 0x1000
#define FUZZ_VIRTIO_FIRST 2
#define FUZZ_VIRTIO_SLOTS 6
#define FUZZ_QUEUES 8

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* One of them is in a machine, as the input says: both have bus 0. */
static const char *const fuzz_hosts[] = {
	"{\"type\":\"pci-host\",\"id\":\"pci\"}",
	"{\"type\":\"i440fx\",\"id\":\"pci\"}",
};

/* Of the second alone: a function of that chipset */
static const char *const fuzz_ide =
	"{\"type\":\"ide\",\"id\":\"ide\",\"disks\":[{\"id\":\"hd\",\"unit\":0,\"path\":{\"fd\":0}}"
	","
	"{\"id\":\"ide-cd\",\"unit\":2,\"kind\":\"cdrom\",\"readonly\":true,\"path\":{\"fd\":3}}]}";

/*
 * A class of the device table that has no row here is found out. Last the virtio devices, in slots from
 * FUZZ_VIRTIO_FIRST on.
 */
static const char *const fuzz_rows[] = {
	"{\"type\":\"ioapic\",\"id\":\"ioapic\"}",
	"{\"type\":\"acpi-pm\",\"id\":\"acpi-pm\"}",
	"{\"type\":\"i8042\",\"id\":\"i8042\"}",
	"{\"type\":\"ps2-keyboard\",\"id\":\"keyboard0\"}",
	"{\"type\":\"ps2-mouse\",\"id\":\"mouse0\"}",
	"{\"type\":\"rtc\",\"id\":\"rtc\",\"base\":\"utc\"}",
	"{\"type\":\"serial\",\"id\":\"com1\",\"port\":\"com1\",\"backend\":\"console\"}",
	"{\"type\":\"serial\",\"id\":\"com2\",\"port\":\"com2\",\"backend\":\"pty\",\"ports\":[{"
	"\"name\":\"com2\","
	"\"backend\":\"pty\",\"path\":{\"fd\":3}}]}",
	"{\"type\":\"debug-port\",\"id\":\"debug\"}",
	"{\"type\":\"debug-console\",\"id\":\"firmware\"}",
	"{\"type\":\"fw-cfg\",\"id\":\"fw-cfg\"}",
	"{\"type\":\"cfi-flash\",\"id\":\"nvram\",\"vars\":{\"fd\":0}}",
	"{\"type\":\"floppy\",\"id\":\"floppy\",\"disks\":[{\"id\":\"fd\",\"unit\":0,\"path\":{"
	"\"fd\":3}},"
	"{\"id\":\"fd1\",\"unit\":1}]}",
	"{\"type\":\"i6300esb\",\"id\":\"dog\",\"address\":\"00:0a.0\",\"action\":\"stop\"}",
	"{\"type\":\"pvpanic\",\"id\":\"panic\",\"address\":\"00:0b.0\"}",
	"{\"type\":\"pvpanic-isa\",\"id\":\"panic1\"}",
	"{\"type\":\"vfio-pci\",\"id\":\"pci0\",\"address\":\"00:08.0\",\"host\":\"" FAKE_VFIO_HOST
	"\",\"group\":12,\"group_fd\":{\"fd\":1},\"container_fd\":{\"fd\":2}}",
	"{\"type\":\"vga\",\"id\":\"vga\",\"address\":\"00:09.0\"}",
	"{\"type\":\"e1000\",\"id\":\"e1000\",\"address\":\"00:0c.0\",\"mac\":"
	"\"52:54:00:00:00:02\",\"stream_fd\":{\"fd\":3}}",
	"{\"type\":\"rtl8139\",\"id\":\"rtl8139\",\"address\":\"00:0d.0\",\"mac\":"
	"\"52:54:00:00:00:03\",\"stream_fd\":{\"fd\":3}}",
	"{\"type\":\"ahci\",\"id\":\"ahci\",\"address\":\"00:0e.0\",\"disks\":[{\"id\":"
	"\"sata\",\"unit\":0,\"path\":{\"fd\":0}},{\"id\":\"sata-cd\",\"unit\":1,\"kind\":"
	"\"cdrom\"}]}",
	"{\"type\":\"virtio-blk\",\"id\":\"disk\",\"address\":\"00:02.0\",\"path\":{\"fd\":0},"
	"\"readonly\":false,\"poll_us\":50,\"queues\":2,\"worker\":\"per-queue\"}",
	"{\"type\":\"virtio-console\",\"id\":\"hvc0\",\"address\":\"00:03.0\",\"backend\":"
	"\"console\",\"ports\":[{\"name\":\"a\",\"backend\":\"pty\",\"path\":{\"fd\":3}},"
	"{\"name\":\"b\",\"backend\":\"file\",\"path\":{\"fd\":0},\"limit\":4096}]}",
	"{\"type\":\"virtio-rng\",\"id\":\"rng\",\"address\":\"00:04.0\"}",
	"{\"type\":\"virtio-balloon\",\"id\":\"balloon\",\"address\":\"00:05.0\"}",
	"{\"type\":\"virtio-net\",\"id\":\"net\",\"address\":\"00:06.0\",\"mac\":"
	"\"52:54:00:00:00:01\",\"queues\":2,\"tap_fds\":[{\"fd\":3},{\"fd\":4}]}",
	"{\"type\":\"virtio-scsi\",\"id\":\"scsi\",\"address\":\"00:07.0\",\"disks\":[{\"id\":"
	"\"a\","
	"\"lun\":0,\"path\":{\"fd\":0}},{\"id\":\"cd\",\"lun\":3,\"kind\":\"cdrom\"}]}",
};

struct fuzz {
	struct fake_board fb;
	struct fake_vfio fv;
	struct fake_net fn;
	struct device *devices[FUZZ_DEVICES_MAX];
	unsigned int ndevices;
	int port;    /* of the console, our end */
	int nics[2]; /* the same of emulated network cards */
	int serial;  /* and of a serial port */
	uint8_t power_on[PCI_FUNCTIONS][PCI_CFG_SIZE];
	struct guest_virtio driver; /* of the virtio device that was started last */
	struct fuzz_input input;
};

/* --- the input ------------------------------------------------------------------------------------- */

static unsigned int fuzz_width(struct fuzz *f, unsigned int max_log2)
{
	return 1u << (fuzz_take(&f->input, 1) % (max_log2 + 1));
}

/* --- what a guest can do ------------------------------------------------------------------------------ */

/* An address in one of the regions that are mapped now. */
static uint64_t fuzz_register(struct fuzz *f, const struct bus *bus)
{
	const struct region *r = bus->regions[fuzz_take(&f->input, 1) % MAX(bus->nregions, 1u)];
	uint64_t off = fuzz_take(&f->input, 2);

	return bus->nregions ? r->base + off % r->size : off;
}

static void fuzz_pio_write(struct fuzz *f)
{
	uint16_t port = (uint16_t)fuzz_register(f, &f->fb.pio);
	unsigned int width = fuzz_width(f, 2);

	fake_out(&f->fb, port, width, (uint32_t)fuzz_take(&f->input, width));
}

static void fuzz_pio_read(struct fuzz *f)
{
	uint16_t port = (uint16_t)fuzz_register(f, &f->fb.pio);

	fake_in(&f->fb, port, fuzz_width(f, 2));
}

static void fuzz_mmio_write(struct fuzz *f)
{
	uint64_t addr = fuzz_register(f, &f->fb.mmio);
	unsigned int width = fuzz_width(f, 3);

	fake_mmio_write(&f->fb, addr, width, fuzz_take(&f->input, width));
}

static void fuzz_mmio_read(struct fuzz *f)
{
	uint64_t addr = fuzz_register(f, &f->fb.mmio);

	fake_mmio_read(&f->fb, addr, fuzz_width(f, 3));
}

static void fuzz_anywhere(struct fuzz *f)
{
	uint64_t addr = fuzz_take(&f->input, 8);
	unsigned int width = fuzz_width(f, 3);

	fake_mmio_write(&f->fb, addr, width, fuzz_take(&f->input, width));
	fake_mmio_read(&f->fb, addr, width);
	fake_out(&f->fb, (uint16_t)addr, MIN(width, 4u), (uint32_t)(addr >> 16));
}

static void fuzz_cfg_write(struct fuzz *f)
{
	unsigned int slot =
		(unsigned int)fuzz_take(&f->input, 1) % (FUZZ_VIRTIO_FIRST + FUZZ_VIRTIO_SLOTS + 6);
	unsigned int off = (unsigned int)fuzz_take(&f->input, 1), width = fuzz_width(f, 2);

	if (f->fb.board.pci->ecam.size) {
		fake_mmio_write(&f->fb, GMEM_ECAM_START + (slot << 15) + off, width,
				fuzz_take(&f->input, width));
		return;
	}
	fake_out(&f->fb, 0xcf8, 4, 0x80000000 | slot << 11 | (off & 0xfc));
	fake_out(&f->fb, (uint16_t)(0xcfc + (off & 3)), width,
		 (uint32_t)fuzz_take(&f->input, width));
}

static void fuzz_memory(struct fuzz *f)
{
	uint64_t addr = fuzz_take(&f->input, 2), len = fuzz_take(&f->input, 1) % 64;

	for (uint64_t i = 0; i < len; i++)
		f->fb.mem[(addr + i) % FUZZ_MEM_SIZE] = (uint8_t)fuzz_take(&f->input, 1);
}

static void fuzz_kick(struct fuzz *f)
{
	uint64_t one = 1;

	if (f->fb.nioeventfds) {
		unsigned int i = (unsigned int)fuzz_take(&f->input, 1) % f->fb.nioeventfds;

		if (write(f->fb.ioeventfds[i].fd, &one, sizeof(one)) < 0)
			__builtin_trap(); /* it cannot be full */
	}
	fake_board_run(&f->fb);
	fake_board_watched(&f->fb);
}

static void fuzz_time(struct fuzz *f)
{
	fake_board_advance(&f->fb, fuzz_take(&f->input, 4) >> 4); /* up to a quarter of a second */
	fake_board_run(&f->fb);
	fake_board_watched(&f->fb);
}

/* Keys and a pointer, by a hand and from a queue */
static void fuzz_input(struct fuzz *f)
{
	uint16_t key = (uint16_t)(fuzz_take(&f->input, 2) & 0x3ff);
	struct input_pointer ev = { .dx = (int)fuzz_take(&f->input, 4),
				    .dz = (int8_t)fuzz_take(&f->input, 1) };
	struct input_chord chord = { .keys = { key, 30 }, .nkeys = 2, .hold_ms = key & 63 };

	ev.dy = (int)-(unsigned int)ev.dx; /* the least number has no opposite */
	ev.buttons = (uint8_t)key;
	input_key(&f->fb.input, key, ev.dx & 1);
	input_move(&f->fb.input, &ev);
	(void)input_type(&f->fb.input, &chord, 1, NULL); /* it may be full */
}

/*
 * A client of a console or of its port types, or a frame comes to a tap (what the device sent before is thrown
 * away).
 */
static void fuzz_type(struct fuzz *f)
{
	uint8_t text[sizeof(struct virtio_net_hdr_v1) + 32] = { 0 };
	size_t len = fuzz_take(&f->input, 1) % 32;
	unsigned int which =
		(unsigned int)fuzz_take(&f->input, 1) % (f->fb.nconsoles + FAKE_NET_PAIRS + 1);
	bool tap = which >= f->fb.nconsoles && which < f->fb.nconsoles + FAKE_NET_PAIRS;
	int to = f->port;

	if (tap)
		to = f->fn.taps[which - f->fb.nconsoles];
	else if (which < f->fb.nconsoles)
		to = f->fb.consoles[which].client;

	if (!len)
		fuzz_input(f);
	if (tap)
		len += sizeof(struct virtio_net_hdr_v1);
	for (size_t i = tap ? sizeof(struct virtio_net_hdr_v1) : 0; i < len; i++)
		text[i] = (uint8_t)fuzz_take(&f->input, 1);
	while (tap && recv(to, NULL, 0, MSG_DONTWAIT | MSG_TRUNC) > 0)
		;
	(void)!send(to, text, len, MSG_NOSIGNAL | MSG_DONTWAIT);
	fake_board_run(&f->fb);
}

static void fuzz_stop(struct device *d)
{
	if (d->class->stop)
		d->class->stop(d);
}

static void fuzz_start(struct device *d)
{
	if (d->class->start)
		d->class->start(d);
}

static void fuzz_reset_one(struct device *d)
{
	fuzz_stop(d);
	d->class->reset(d);
	fuzz_start(d);
}

static void fuzz_reset(struct fuzz *f)
{
	fuzz_reset_one(f->devices[fuzz_take(&f->input, 1) % f->ndevices]);
}

static void fuzz_pause(struct fuzz *f)
{
	for (unsigned int i = 0; i < f->ndevices; i++)
		fuzz_stop(f->devices[i]);
	for (unsigned int i = 0; i < f->ndevices; i++)
		fuzz_start(f->devices[i]);
}

/* What a driver does up to DRIVER_OK, so that the input needs not find the whole of it by itself. */
static void fuzz_driver(struct fuzz *f)
{
	struct guest_virtio *g = &f->driver;
	unsigned int nth = (unsigned int)fuzz_take(&f->input, 1) % FUZZ_VIRTIO_SLOTS;
	uint32_t features = (uint32_t)fuzz_take(&f->input, 4);

	fuzz_reset_one(f->devices[f->ndevices - FUZZ_VIRTIO_SLOTS + nth]);
	guest_virtio_find(g, &f->fb, FUZZ_VIRTIO_FIRST + nth);
	guest_virtio_write(g, VIRTIO_PCI_COMMON_STATUS, 1, 0);
	guest_virtio_write(g, VIRTIO_PCI_COMMON_STATUS, 1, 3);
	guest_virtio_write(g, VIRTIO_PCI_COMMON_GFSELECT, 4, 1);
	guest_virtio_write(g, VIRTIO_PCI_COMMON_GF, 4, BIT(VIRTIO_F_VERSION_1 - 32));
	guest_virtio_write(g, VIRTIO_PCI_COMMON_GFSELECT, 4, 0);
	guest_virtio_write(g, VIRTIO_PCI_COMMON_GF, 4,
			   features & (uint32_t)guest_virtio_features(g));
	guest_virtio_write(g, VIRTIO_PCI_COMMON_STATUS, 1, 11);
	for (unsigned int q = 0; q < FUZZ_QUEUES; q++) {
		struct guest_ring *r = &g->rings[q];

		guest_ring_init(r, f->fb.mem, GUEST_VIRTIO_RING_SIZE, FUZZ_RING + 0x1000 * q);
		guest_virtio_write(g, VIRTIO_PCI_COMMON_Q_SELECT, 2, q);
		guest_virtio_write(g, VIRTIO_PCI_COMMON_Q_SIZE, 2, GUEST_VIRTIO_RING_SIZE);
		guest_virtio_write(g, VIRTIO_PCI_COMMON_Q_DESCLO, 4, (uint32_t)r->desc);
		guest_virtio_write(g, VIRTIO_PCI_COMMON_Q_AVAILLO, 4, (uint32_t)r->avail);
		guest_virtio_write(g, VIRTIO_PCI_COMMON_Q_USEDLO, 4, (uint32_t)r->used);
		guest_virtio_write(g, VIRTIO_PCI_COMMON_Q_ENABLE, 2, 1);
	}
	guest_virtio_write(g, VIRTIO_PCI_COMMON_STATUS, 1, 15);
}

/* A descriptor of the driver's ring, as the input says. */
static void fuzz_descriptor(struct fuzz *f)
{
	unsigned int q = (unsigned int)fuzz_take(&f->input, 1) % FUZZ_QUEUES;
	unsigned int i = (unsigned int)fuzz_take(&f->input, 1) % GUEST_VIRTIO_RING_SIZE;
	uint64_t addr = fuzz_take(&f->input, 2);
	uint32_t len = (uint32_t)fuzz_take(&f->input, 2);
	uint16_t flags = (uint16_t)fuzz_take(&f->input, 1),
		 next = (uint16_t)fuzz_take(&f->input, 1);

	if (f->driver.rings[q].mem)
		guest_ring_set(&f->driver.rings[q], i, addr, len, flags, next);
}

static void fuzz_available(struct fuzz *f)
{
	unsigned int q = (unsigned int)fuzz_take(&f->input, 1) % FUZZ_QUEUES;
	uint16_t head = (uint16_t)(fuzz_take(&f->input, 1) % (GUEST_VIRTIO_RING_SIZE + 1));

	if (f->driver.rings[q].mem)
		guest_ring_add(&f->driver.rings[q], head);
}

static void (*const fuzz_ops[])(struct fuzz *f) = {
	fuzz_pio_write, fuzz_pio_read, fuzz_mmio_write, fuzz_mmio_read,	 fuzz_anywhere,
	fuzz_cfg_write, fuzz_memory,   fuzz_kick,	fuzz_time,	 fuzz_type,
	fuzz_reset,	fuzz_pause,    fuzz_driver,	fuzz_descriptor, fuzz_available,
};

/* --- the machine ------------------------------------------------------------------------------------------ */

static int fuzz_disk(struct fdset *fds, uint64_t size)
{
	int fd = memfd_create("disk", MFD_CLOEXEC);

	if (fd < 0 || ftruncate(fd, (off_t)size) < 0)
		abort();
	return fdset_add(fds, fd);
}

/* Our end of a port of the console, or of a card's stream: what it sends is not read. */
static int fuzz_port(struct fdset *fds)
{
	int pair[2];

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair) < 0 ||
	    fdset_add(fds, pair[1]) != 3)
		abort();
	return pair[0];
}

static void fuzz_plug(struct fuzz *f, const char *row)
{
	struct json_object *json;
	struct fdset fds;
	struct err e;

	fdset_init(&fds);
	if (fuzz_disk(&fds, FUZZ_DISK_SIZE) < 0 || fdset_add(&fds, dup(f->fv.group)) < 0 ||
	    fdset_add(&fds, dup(f->fv.container)) < 0)
		abort();
	if (row == fuzz_ide && fuzz_disk(&fds, FUZZ_DISK_SIZE) != 3)
		abort();
	if (strstr(row, "\"floppy\"") && fuzz_disk(&fds, FUZZ_FLOPPY_SIZE) != 3)
		abort();
	if (strstr(row, "virtio-console"))
		f->port = fuzz_port(&fds);
	if (strstr(row, "\"com2\""))
		f->serial = fuzz_port(&fds);
	if (strstr(row, "\"e1000\""))
		f->nics[0] = fuzz_port(&fds);
	if (strstr(row, "\"rtl8139\""))
		f->nics[1] = fuzz_port(&fds);
	if (strstr(row, "virtio-net"))
		fake_net_pass(&f->fn, FAKE_NET_PAIRS, false, &fds);
	if (json_parse(row, strlen(row), &json, &e) < 0 ||
	    device_new(&f->fb.board, json, &fds, &f->devices[f->ndevices], &e) < 0) {
		fprintf(stderr, "%s: %s\n", row, e.msg);
		abort();
	}
	f->ndevices++;
	json_object_put(json);
	fdset_fini(&fds);
}

static bool fuzz_is_host(const char *type)
{
	char start[64];

	snprintf(start, sizeof(start), "{\"type\":\"%s\"", type);
	for (unsigned int i = 0; i < ARRAY_SIZE(fuzz_hosts); i++)
		if (!strncmp(fuzz_hosts[i], start, strlen(start)))
			return true;
	return false;
}

static void fuzz_power_on(struct fuzz *f)
{
	/* its last byte: inputs that were there before stay what they are */
	bool pc = f->input.left && f->input.data[f->input.left - 1] & 1;

	fuzz_plug(f, fuzz_hosts[pc]);
	if (pc)
		fuzz_plug(f, fuzz_ide);
	for (unsigned int i = 0; i < ARRAY_SIZE(fuzz_rows); i++)
		fuzz_plug(f, fuzz_rows[i]);
	/* a class that nobody plugged here would go untested */
	for (unsigned int i = 0; device_classes[i]; i++) {
		unsigned int n = 0;

		while (n < f->ndevices && f->devices[n]->class != device_classes[i])
			n++;
		if (n == f->ndevices && !fuzz_is_host(device_classes[i]->type) &&
		    (pc || device_classes[i] != &ide_class)) {
			fprintf(stderr, "no %s in this harness\n", device_classes[i]->type);
			abort();
		}
	}
	for (unsigned int i = 0; i < f->ndevices; i++)
		f->devices[i]->class->reset(f->devices[i]);
	for (unsigned int s = 0; s < PCI_FUNCTIONS; s++)
		if (f->fb.board.pci->functions[s])
			memcpy(f->power_on[s], f->fb.board.pci->functions[s]->cfg, PCI_CFG_SIZE);
	for (unsigned int i = 0; i < f->ndevices; i++)
		fuzz_start(f->devices[i]);
}

/* Whatever the guest made of its screen, there is a picture of it. */
static void fuzz_draw(struct fuzz *f)
{
	uint8_t row[VGA_WIDTH_MAX * VGA_RGB];
	struct vga_shot *s = NULL;

	for (unsigned int i = 0; i < f->ndevices; i++)
		if (f->devices[i]->class == &vga_class && vga_shot_new(f->devices[i], &s) < 0)
			abort();
	if (!s || s->width > VGA_WIDTH_MAX || s->height > VGA_HEIGHT_MAX)
		__builtin_trap();
	vga_shot_rows(s, 0, 1, row);
	vga_shot_rows(s, s->height - 1, 1, row);
	json_object_put(vga_shot_text(s));
	vga_shot_free(s);
}

/* Power-on state again, whatever the guest did. */
static void fuzz_check_reset(struct fuzz *f)
{
	for (unsigned int i = 0; i < f->ndevices; i++)
		fuzz_stop(f->devices[i]);
	input_reset(&f->fb.input);
	for (unsigned int i = 0; i < f->ndevices; i++)
		f->devices[i]->class->reset(f->devices[i]);
	for (unsigned int s = 0; s < PCI_FUNCTIONS; s++)
		if (f->fb.board.pci->functions[s] &&
		    memcmp(f->power_on[s], f->fb.board.pci->functions[s]->cfg, PCI_CFG_SIZE))
			__builtin_trap();
	for (unsigned int i = 0; i < FAKE_GSIS; i++)
		if (f->fb.irq[i])
			__builtin_trap();
	if (f->fb.nioeventfds)
		__builtin_trap();
}

static void fuzz_power_off(struct fuzz *f)
{
	while (f->ndevices)
		device_free(f->devices[--f->ndevices]);
	if (f->fb.pio.nregions || f->fb.mmio.nregions || f->fb.timers)
		__builtin_trap();
	for (unsigned int i = 0; i < FAKE_IRQFDS; i++)
		if (f->fb.irqfds[i].used)
			__builtin_trap();
	for (unsigned int i = 0; i < FAKE_SLOTS; i++)
		if (f->fb.slots[i].size)
			__builtin_trap();
	if (f->fb.board.vfio || f->fb.vfio_files || f->fv.mmaps)
		__builtin_trap();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct fuzz *f = calloc(1, sizeof(*f));

	if (!f)
		abort();
	signal(SIGPIPE, SIG_IGN); /* as vmm does: a console's client may have gone */
	f->input = (struct fuzz_input){ data, size };
	fake_board_init(&f->fb, FUZZ_MEM_SIZE);
	f->fb.log.fd = -1; /* what a guest makes it say goes nowhere */
	fake_vfio_init(&f->fv);
	f->fb.board.vfio_sys = &f->fv.sys;
	fake_net_init(&f->fn);
	f->fb.board.net_sys = &f->fn.sys;
	fuzz_power_on(f);
	for (unsigned int n = 0; f->input.left && n < FUZZ_OPS_MAX; n++)
		fuzz_ops[fuzz_take(&f->input, 1) % ARRAY_SIZE(fuzz_ops)](f);
	fuzz_draw(f);
	fuzz_check_reset(f);
	fuzz_power_off(f);
	close(f->port);
	close(f->serial);
	close(f->nics[0]);
	close(f->nics[1]);
	fake_net_fini(&f->fn);
	fake_vfio_fini(&f->fv);
	fake_board_fini(&f->fb);
	free(f);
	return 0;
}
