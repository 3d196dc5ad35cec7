// SPDX-License-Identifier: MIT
/* See nic_fixture.h. */
#include "tests/unit/nic_fixture.h"

#include <endian.h>
#include <linux/pci_regs.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include "lib/auto.h"
#include "lib/json.h"
#include "tests/lib/test.h"
#include "vmm/devices.h"
#include "vmm/pci/pci.h"

void nic_fixture_plug(struct net_fixture *f, const char *type, const char *members, bool stream,
		      unsigned int mem_bar, unsigned int port_bar)
{
	AUTO_JSON struct json_object *json = NULL;
	struct err e = { 0 };
	char text[512];

	if (stream)
		net_stream(f);
	else
		fake_net_pass(&f->net, 1, false, &f->fds);
	snprintf(text, sizeof(text),
		 "{\"type\":\"%s\",\"id\":\"net0\",\"address\":\"00:04.0\",\"mac\":\"" NET_MAC
		 "\",%s%s}",
		 type, stream ? "\"stream_fd\":{\"fd\":0}" : "\"tap_fds\":[{\"fd\":0}]", members);
	assert_int_equal(json_parse(text, strlen(text), &json, &e), 0);
	if (device_new(&f->fb.board, json, &f->fds, &f->dev, &e) < 0)
		fail_msg("%s", e.msg);
	f->dev->class->reset(f->dev);
	f->dev->class->start(f->dev);
	guest_pci_write(&f->fb, NET_SLOT, PCI_COMMAND, 2,
			PCI_COMMAND_IO | PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER);
	f->mem = guest_pci_bar(&f->fb, NET_SLOT, mem_bar);
	f->port = guest_pci_read(&f->fb, NET_SLOT, PCI_BASE_ADDRESS_0 + 4 * port_bar, 4) & ~3u;
	f->gsi = guest_pci_read(&f->fb, NET_SLOT, PCI_INTERRUPT_LINE, 1);
}

void nic_fixture_run(struct net_fixture *f)
{
	/* what is to be waited for is told to the kernel at the next turn */
	for (int i = 0; i < 3; i++) {
		fake_board_run(&f->fb);
		fake_board_watched(&f->fb);
	}
}

void nic_fixture_frame(uint8_t *out, uint8_t to, uint8_t from, size_t size)
{
	net_frame(out, to, from, size);
	out[12] = 0x88; /* for experiments: IEEE 802 */
	out[13] = 0xb5;
}

size_t nic_fixture_tcp(uint8_t *out, bool v6, size_t len)
{
	size_t ip = 14, tcp = ip + (v6 ? 40 : 20), size = tcp + 20 + len;

	nic_fixture_frame(out, NIC_OTHER, NIC_OWN, size);
	out[12] = v6 ? 0x86 : 0x08;
	out[13] = v6 ? 0xdd : 0x00;
	memset(out + ip, 0, tcp + 20 - ip);
	if (v6) {
		memcpy(out + ip, (const uint8_t[]){ 0x60, 0, 0, 0, 0, 0, 6, 64, 0xfd, 1 }, 10);
		out[ip + 24] = 0xfd;
		out[ip + 39] = 9;
	} else {
		memcpy(out + ip, (const uint8_t[]){ 0x45, 0, 0,	 0, 0x12, 0x34, 0x40, 0, 64, 6,
						    0,	  0, 10, 0, 0,	  2,	10,   0, 0,  1 },
		       20);
	}
	memcpy(out + tcp,
	       (const uint8_t[]){ 0x30, 0x39, 0, 80, 0xff, 0xff, 0xff, 0x00, 0, 0, 0, 1, 0x50, 0x99,
				  0x10, 0 },
	       16); /* CWR, ACK, PSH, FIN */
	return size;
}

/* 16 bits at a time, as RFC 1071 has it in its first lines. */
uint32_t nic_fixture_add(uint32_t sum, const uint8_t *p, size_t len)
{
	for (size_t i = 0; i < len; i++)
		sum += i & 1 ? p[i] : (uint32_t)p[i] << 8;
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return sum;
}

bool nic_fixture_sums_right(const uint8_t *frame, size_t size)
{
	const uint8_t *ip = frame + 14;
	bool v6 = ip[0] >> 4 == 6;
	size_t head = v6 ? 40 : 20, len = size - 14 - head;
	uint32_t sum = nic_fixture_add((uint32_t)len + 6, ip + (v6 ? 8 : 12), v6 ? 32 : 8);

	if (!v6 &&
	    (nic_fixture_add(0, ip, 20) != 0xffff || (size_t)(ip[2] << 8 | ip[3]) != size - 14))
		return false;
	if (v6 && (size_t)(ip[4] << 8 | ip[5]) != len)
		return false;
	return nic_fixture_add(sum, ip + head, len) == 0xffff;
}

void nic_fixture_arrive(struct net_fixture *f, const uint8_t *frame, size_t size)
{
	static const uint8_t hdr[NET_HDR];
	uint32_t len = htobe32((uint32_t)size);
	struct iovec iov[] = { { (void *)hdr, NET_HDR }, { (void *)frame, size } };

	if (f->peer >= 0)
		iov[0] = (struct iovec){ &len, sizeof(len) };
	assert_int_equal(writev(f->peer >= 0 ? f->peer : f->net.taps[0], iov, 2),
			 iov[0].iov_len + size);
	nic_fixture_run(f);
}

size_t nic_fixture_sent(struct net_fixture *f, uint8_t *out, struct virtio_net_hdr_v1 *hdr)
{
	static uint8_t got[80000];
	uint32_t len;
	ssize_t n;

	if (f->peer >= 0) {
		if (recv(f->peer, &len, sizeof(len), MSG_DONTWAIT) != sizeof(len))
			return 0;
		len = be32toh(len);
		assert_int_equal(recv(f->peer, out, len, MSG_DONTWAIT | MSG_WAITALL), len);
		return len;
	}
	n = recv(f->net.taps[0], got, sizeof(got), MSG_DONTWAIT);
	if (n < 0)
		return 0;
	assert_true((size_t)n > NET_HDR);
	if (hdr)
		memcpy(hdr, got, NET_HDR);
	memcpy(out, got + NET_HDR, (size_t)n - NET_HDR);
	return (size_t)n - NET_HDR;
}

bool nic_fixture_busy(struct net_fixture *f)
{
	nic_fixture_run(f);
	return net_busy(f);
}

bool nic_fixture_irq(struct net_fixture *f)
{
	nic_fixture_run(f);
	return f->fb.irq[f->gsi];
}
