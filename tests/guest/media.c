// SPDX-License-Identifier: MIT
/*
 * A CD-ROM drive at LUN 0 of a SCSI controller, watched for ever: tells on COM1 what each medium begins with, and when it
 * is empty; lock=1: locks the drive while there is a medium in it, and ejects when it is asked to. Each change comes as
 * an event too (VIRTIO 1.2, section 5.6.6.3.2). For tests/functional/test_media.c.
 */
#include "lib/virtio.h"

#define COM1 0x3f8

static struct vq control, events, requests;
static struct {
	uint8_t lun[8];
	uint64_t tag;
	uint8_t attr, prio, crn, cdb[32];
} __attribute__((packed)) head = { { 1, 0, 0x40, 0 }, 1, 0, 0, 0, { 0 } };
static struct {
	uint32_t sense_len, resid;
	uint16_t qualifier;
	uint8_t status, response, sense[96];
} resp;
static struct {
	uint32_t event;
	uint8_t lun[8];
	uint32_t reason;
} event;
static uint8_t in[2048];

/* On the console that vmd keeps the log of. */
static void tell(const char *s)
{
	while (*s) {
		while (!(inb(COM1 + 5) & 0x20))
			;
		outb(COM1, (uint8_t)*s++);
	}
}

/* The sense: key, code and qualifier; 0: good */
static uint32_t drive(uint8_t opcode, uint8_t byte1, uint8_t byte4, uint8_t byte8, uint32_t nin)
{
	struct vq_part parts[3] = { { &head, sizeof(head), false }, { &resp, sizeof(resp), true } };
	unsigned int n = 2;

	memset(head.cdb, 0, sizeof(head.cdb));
	head.cdb[0] = opcode;
	head.cdb[1] = byte1;
	head.cdb[4] = byte4;
	head.cdb[8] = byte8;
	if (nin)
		parts[n++] = (struct vq_part){ in, nin, true };
	virtio_send(&requests, parts, n);
	virtio_wait(&requests);
	CHECK_EQ(resp.response, 0);
	if (!resp.status)
		return 0;
	return (uint32_t)resp.sense[2] << 16 | (uint32_t)resp.sense[12] << 8 | resp.sense[13];
}

#define READY drive(0x00, 0, 0, 0, 0)
#define LOCK(on) drive(0x1e, 0, (on), 0, 0)
#define EJECT drive(0x1b, 0, 2, 0, 0)

static void offer_buffer(void)
{
	const struct vq_part part = { &event, sizeof(event), true };

	virtio_send(&events, &part, 1);
}

static void look(bool lock)
{
	uint32_t sense = READY;

	while (sense >> 16 == 6) /* something was to be told */
		sense = READY;
	if (sense) {
		CHECK_EQ(sense >> 8, 0x023a);
		tell(sense & 1 ? "drive: empty\n" : "drive: open\n");
		return;
	}
	CHECK_EQ(drive(0x28, 0, 0, 1, sizeof(in)), 0);
	in[16] = '\0';
	tell("drive: ");
	tell((const char *)in);
	tell("\n");
	if (lock)
		CHECK_EQ(LOCK(1), 0);
}

/* GET EVENT STATUS NOTIFICATION: MMC-6, section 6.7 */
static bool asked_to_eject(void)
{
	CHECK_EQ(drive(0x4a, 1, 0x10, 8, 8), 0);
	return in[4] == 1;
}

int guest_main(const struct start_info *si)
{
	bool lock = cmdline_number(si, "lock", 0);
	struct virtio v;

	virtio_init(&v, VIRTIO_SCSI, 0, 1u << 2 /* CHANGE */);
	virtio_queue(&v, 0, &control, 0xffff);
	virtio_queue(&v, 1, &events, 0xffff);
	virtio_queue(&v, 2, &requests, 0xffff);
	virtio_start(&v);
	offer_buffer();
	look(lock);
	for (uint16_t seen = 0;;) {
		if (lock && asked_to_eject()) {
			tell("drive: asked for its medium\n");
			CHECK_EQ(LOCK(0), 0);
			CHECK_EQ(EJECT, 0);
		}
		if (events.used.idx == seen)
			continue;
		virtio_wait(&events);
		seen++;
		CHECK_EQ(event.event, 3); /* PARAM_CHANGE */
		CHECK_EQ(event.reason, 0x0028);
		offer_buffer();
		look(lock);
	}
}
