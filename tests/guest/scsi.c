// SPDX-License-Identifier: MIT
/*
 * virtio-scsi: all=N: so many disks, and each is at its LUN; ecam=1: on QEMU's microvm, without firmware. follow=1: says on COM1 which units come, with what is in their
 * first block, and which go, for ever. Else: finds the units by REPORT LUNS (luns=), writes and reads the disk at LUN 0 (sectors=), reads the CD-ROM
 * at LUN 2; a task management function. Requests: VIRTIO 1.2, section 5.6.6.
 */
#include "lib/virtio.h"

#define COM1 0x3f8
#define HOTPLUG 2 /* the feature's bit 1 */

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
static uint8_t out[1024], in[4096];

/* The sense: key, code and qualifier; 0: good */
static uint32_t scsi_do(uint8_t lun, const uint8_t *cdb, unsigned int cdb_len, uint32_t nout,
			uint32_t nin)
{
	struct vq_part parts[4] = { { &head, sizeof(head), false } };
	unsigned int n = 1;

	head.lun[3] = lun;
	memset(head.cdb, 0, sizeof(head.cdb));
	memcpy(head.cdb, cdb, cdb_len);
	memset(&resp, 0xff, sizeof(resp));
	if (nout)
		parts[n++] = (struct vq_part){ out, nout, false };
	parts[n++] = (struct vq_part){ &resp, sizeof(resp), true };
	if (nin)
		parts[n++] = (struct vq_part){ in, nin, true };
	virtio_send(&requests, parts, n);
	virtio_wait(&requests);
	CHECK_EQ(resp.response, 0);
	if (!resp.status)
		return 0;
	CHECK_EQ(resp.status, 2);
	return (uint32_t)resp.sense[2] << 16 | (uint32_t)resp.sense[12] << 8 | resp.sense[13];
}

#define SCSI(lun, nout, nin, ...)                                                            \
	scsi_do((lun), (const uint8_t[]){ __VA_ARGS__ }, sizeof((uint8_t[]){ __VA_ARGS__ }), \
		(nout), (nin))

static uint32_t be32(const uint8_t *p)
{
	return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

static void scsi_find(uint64_t luns)
{
	CHECK_EQ(SCSI(0, 0, 256, 0xa0, 0, 0, 0, 0, 0, 0, 0, 1, 0), 0);
	CHECK_EQ(be32(in), luns * 8);
	CHECK_EQ(SCSI(0, 0, 0, 0), 0x062900); /* power on, once */
	CHECK_EQ(SCSI(0, 0, 0, 0), 0);
	CHECK_EQ(SCSI(1, 0, 0, 0), 0x052500); /* not there */
	CHECK_EQ(SCSI(0, 0, 96, 0x12, 0, 0, 0, 96), 0);
	CHECK_EQ(memcmp(in + 8, "VMD     disk", 12), 0);
	CHECK_EQ(SCSI(0, 0, 96, 0x12, 1, 0x80, 0, 96), 0);
	CHECK_EQ(memcmp(in + 4, "serial-0", 8), 0);
}

static void scsi_disk(uint64_t sectors)
{
	for (unsigned int i = 0; i < sizeof(out); i++)
		out[i] = (uint8_t)(i * 7 + 1);
	CHECK_EQ(SCSI(0, 0, 8, 0x25, 0, 0, 0, 0, 0, 0, 0, 0, 0), 0);
	CHECK_EQ(be32(in), sectors - 1);
	CHECK_EQ(be32(in + 4), 512);
	CHECK_EQ(SCSI(0, 1024, 0, 0x2a, 0, 0, 0, 0, 3, 0, 0, 2, 0), 0);
	CHECK_EQ(SCSI(0, 0, 0, 0x35, 0, 0, 0, 0, 0, 0, 0, 0, 0), 0);
	CHECK_EQ(SCSI(0, 0, 1024, 0x28, 0, 0, 0, 0, 3, 0, 0, 2, 0), 0);
	CHECK_EQ(memcmp(in, out, 1024), 0);
	CHECK_EQ(SCSI(0, 0, 512, 0x28, 0, 0xff, 0, 0, 0, 0, 0, 1, 0), 0x052100);
	CHECK_EQ(SCSI(0, 0, 24, 0x5e, 0, 0, 0, 0, 0, 0, 0, 24, 0), 0x052000);
}

static void scsi_cdrom(void)
{
	CHECK_EQ(SCSI(2, 0, 0, 0), 0x062900);
	CHECK_EQ(SCSI(2, 0, 2048, 0x28, 0, 0, 0, 0, 16, 0, 0, 1, 0), 0);
	CHECK_EQ(memcmp(in, "\1CD001", 6), 0); /* ECMA-119, section 8.4 */
	CHECK_EQ(SCSI(2, 0, 0, 0x1b, 0, 0, 0, 2, 0), 0);
	CHECK_EQ(SCSI(2, 0, 0, 0), 0x023a02);
	CHECK_EQ(SCSI(2, 0, 0, 0x1b, 0, 0, 0, 3, 0), 0);
	CHECK_EQ(SCSI(2, 0, 0, 0), 0x062800);
	CHECK_EQ(SCSI(2, 0, 0, 0), 0);
}

static void scsi_reset_unit(void)
{
	static const struct {
		uint32_t type, subtype;
		uint8_t lun[8];
		uint64_t tag;
	} tmf = { 0, 5 /* LOGICAL UNIT RESET */, { 1, 0, 0x40, 0 }, 0 };
	static volatile uint8_t answer = 0xff;
	const struct vq_part parts[2] = { { &tmf, sizeof(tmf), false },
					  { (const void *)&answer, 1, true } };

	virtio_send(&control, parts, 2);
	virtio_wait(&control);
	CHECK_EQ(answer, 0);
	CHECK_EQ(SCSI(0, 0, 0, 0), 0x062903);
}

/* LUNs from 0 on, each with a disk that has a block of its own number in it */
static void scsi_all(uint64_t luns)
{
	CHECK_EQ(SCSI(0, 0, 4096, 0xa0, 0, 0, 0, 0, 0, 0, 0, 0x10, 0), 0);
	CHECK_EQ(be32(in), luns * 8);
	for (unsigned int lun = 0; lun < luns; lun++) {
		CHECK_EQ(SCSI((uint8_t)lun, 0, 0, 0), 0x062900);
		CHECK_EQ(SCSI((uint8_t)lun, 0, 512, 0x28, 0, 0, 0, 0, 0, 0, 0, 1, 0), 0);
		CHECK_EQ(in[0], lun);
	}
}

/* On the console that vmd keeps the log of. */
static void tell(const char *s)
{
	while (*s) {
		while (!(inb(COM1 + 5) & 0x20))
			;
		outb(COM1, (uint8_t)*s++);
	}
}

static void follow_unit(uint8_t lun, uint32_t reason)
{
	const char name[] = { (char)('0' + lun / 10), (char)('0' + lun % 10), ' ', '\0' };
	uint32_t sense = SCSI(lun, 0, 0, 0);

	tell("LUN ");
	tell(name);
	if (reason == 2) { /* removed */
		CHECK_EQ(sense, 0x052500);
		tell("is gone\n");
		return;
	}
	CHECK_EQ(reason, 1); /* look again */
	CHECK_EQ(sense, 0x062900);
	/* another that comes meanwhile is told with any command */
	do {
		sense = SCSI(lun, 0, 512, 0x28, 0, 0, 0, 0, 0, 0, 0, 1, 0);
	} while (sense == 0x063f0e);
	CHECK_EQ(sense, 0);
	in[16] = '\0';
	tell((const char *)in);
	tell("\n");
}

/* VIRTIO 1.2, section 5.6.6.4 */
static void scsi_follow(void)
{
	static volatile struct {
		uint32_t event;
		uint8_t lun[8];
		uint32_t reason;
	} __attribute__((packed)) event;
	const struct vq_part part = { (const void *)&event, sizeof(event), true };

	virtio_send(&events, &part, 1);
	tell("waits for units\n");
	for (;;) {
		CHECK_EQ(virtio_wait(&events), sizeof(event));
		CHECK_EQ(event.event, 1); /* transport reset */
		CHECK_EQ(event.lun[0], 1);
		follow_unit(event.lun[3], event.reason);
		virtio_send(&events, &part, 1);
	}
}

/* Nobody has given the devices addresses */
static void place_all(void)
{
	uint32_t next = 0xc0000000;

	for (unsigned int slot = 1; slot < 32; slot++)
		if (pci_read(slot, 0) != 0xffffffff)
			pci_give_addresses(slot, &next);
}

int guest_main(const struct start_info *si)
{
	struct virtio v;

	pci_by_ecam = cmdline_number(si, "ecam", 0);
	if (pci_by_ecam)
		place_all();
	virtio_init(&v, VIRTIO_SCSI, 0, cmdline_number(si, "follow", 0) ? HOTPLUG : 0);
	virtio_queue(&v, 0, &control, 0xffff);
	virtio_queue(&v, 1, &events, 0xffff);
	virtio_queue(&v, 2, &requests, 0xffff);
	virtio_start(&v);
	if (cmdline_number(si, "follow", 0))
		scsi_follow();
	if (cmdline_number(si, "all", 0)) {
		scsi_all(cmdline_number(si, "all", 0));
		return 0;
	}
	scsi_find(cmdline_number(si, "luns", 0));
	scsi_disk(cmdline_number(si, "sectors", 0));
	scsi_cdrom();
	scsi_reset_unit();
	return 0;
}
