// SPDX-License-Identifier: MIT
/* virtio-console: what is sent on the transmit queue comes out at the console. */
#include "lib/virtio.h"

static struct vq tx;

int guest_main(const struct start_info *si)
{
	static const char text[] = "virtio console says hello\n";
	const struct vq_part parts[2] = { { text, 8, false },
					  { text + 8, sizeof(text) - 1 - 8, false } };
	struct virtio v;

	(void)si;
	virtio_init(&v, VIRTIO_CONSOLE, 0, 0);
	virtio_queue(&v, 1, &tx, 0xffff);
	virtio_start(&v);
	virtio_send(&tx, parts, 2);
	virtio_wait(&tx);
	return 0;
}
