// SPDX-License-Identifier: MIT
/*
 * Ports of a virtio console (VIRTIO 1.2, section 5.3): tells on COM1 what each is called and who comes and leaves, writes
 * "NAME is here" to each, and sends back what comes. A line "flood" brings 1 MiB, of lines that are counted.
 * For tests/functional/test_ports.c. leave=1: ends when the host has it all.
 */
#include "lib/virtio.h"

#define COM1 0x3f8
#define MULTIPORT (1ull << 1)
#define PORTS 5
#define FLOOD_LINES 65536 /* of 16 bytes */
enum { DEVICE_READY, PORT_ADD, PORT_READY = 3, PORT_OPEN = 6, PORT_NAME };

struct message {
	uint32_t id;
	uint16_t event, value;
	char name[64];
};

static struct port {
	struct vq rx, tx;
	uint16_t received, sent; /* completions that were seen */
	char name[64], in[64], out[4096];
	uint32_t flood; /* lines to go */
} ports[PORTS];
static struct vq control_rx, control_tx;
static uint16_t heard;
static struct message in, out;

/* On the console that vmd keeps the log of. */
static void tell(const char *s)
{
	while (*s) {
		while (!(inb(COM1 + 5) & 0x20))
			;
		outb(COM1, (uint8_t)*s++);
	}
}

static void control(uint32_t id, uint16_t event)
{
	const struct vq_part part = { &out, 8, false };

	out.id = id;
	out.event = event;
	out.value = 1;
	virtio_send(&control_tx, &part, 1);
	virtio_wait(&control_tx);
}

static void listen(void)
{
	const struct vq_part part = { &in, sizeof(in), true };

	virtio_send(&control_rx, &part, 1);
}

static void receive(struct port *p)
{
	const struct vq_part part = { p->in, sizeof(p->in), true };

	virtio_send(&p->rx, &part, 1);
}

static void transmit(struct port *p, unsigned int len)
{
	const struct vq_part part = { p->out, len, false };

	virtio_send(&p->tx, &part, 1);
}

static void named(struct port *p, unsigned int len)
{
	static const char is_here[] = " is here\n";

	memcpy(p->name, in.name, len);
	memcpy(p->out, in.name, len);
	memcpy(p->out + len, is_here, sizeof(is_here) - 1);
	tell("port: ");
	tell(p->name);
	tell("\n");
	control(in.id, PORT_OPEN);
	receive(p);
	transmit(p, len + sizeof(is_here) - 1);
}

static void hear(unsigned int len)
{
	CHECK(in.id < PORTS);
	CHECK(len >= 8);
	if (in.event == PORT_ADD) {
		control(in.id, PORT_READY);
	} else if (in.event == PORT_NAME) {
		CHECK(len - 8 < sizeof(in.name));
		named(&ports[in.id], len - 8);
	} else if (in.event == PORT_OPEN && in.id) {
		tell(ports[in.id].name);
		tell(in.value ? ": connected\n" : ": left\n");
	}
}

/* "line 0000ffff..\n" */
static void flood(struct port *p)
{
	unsigned int n = sizeof(p->out) / 16;

	for (unsigned int i = 0; i < n; i++) {
		uint32_t line = FLOOD_LINES - p->flood + i;
		char *s = p->out + 16 * i;

		memcpy(s, "line 00000000..\n", 16);
		for (unsigned int k = 12; k > 4; k--, line >>= 4)
			s[k] = "0123456789abcdef"[line & 15];
	}
	p->flood -= n;
	transmit(p, sizeof(p->out));
}

static void serve(struct port *p)
{
	if (p->tx.used.idx != p->tx.avail.idx)
		return;
	if (p->flood) {
		flood(p);
	} else if (p->rx.avail.idx && p->rx.used.idx != p->received) {
		uint32_t len = virtio_wait(&p->rx);

		p->received++;
		if (len == 6 && !__builtin_memcmp(p->in, "flood\n", 6)) {
			p->flood = FLOOD_LINES;
		} else {
			memcpy(p->out, p->in, len);
			transmit(p, len);
		}
		receive(p);
	}
}

/* Each port has said that it is here. */
static bool all_said(unsigned int n)
{
	for (unsigned int id = 1; id < n; id++)
		if (!ports[id].tx.avail.idx || ports[id].tx.used.idx != ports[id].tx.avail.idx)
			return false;
	return true;
}

int guest_main(const struct start_info *si)
{
	bool leave = cmdline_number(si, "leave", 0);
	unsigned int n;
	struct virtio v;

	virtio_init(&v, VIRTIO_CONSOLE, 0, MULTIPORT);
	CHECK(v.features & MULTIPORT);
	n = mmio_read32(v.config + 4);
	CHECK(n > 1 && n <= PORTS);
	virtio_queue(&v, 2, &control_rx, 0xffff);
	virtio_queue(&v, 3, &control_tx, 0xffff);
	for (unsigned int id = 1; id < n; id++) {
		virtio_queue(&v, 2 * id + 2, &ports[id].rx, 0xffff);
		virtio_queue(&v, 2 * id + 3, &ports[id].tx, 0xffff);
	}
	virtio_start(&v);
	listen();
	control(~0u, DEVICE_READY);
	while (!leave || !all_said(n)) {
		if (control_rx.used.idx != heard) {
			unsigned int len = virtio_wait(&control_rx);

			heard++;
			hear(len);
			memset(&in, 0, sizeof(in));
			listen();
		}
		for (unsigned int id = 1; id < n; id++)
			serve(&ports[id]);
	}
	return 0;
}
