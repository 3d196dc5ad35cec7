// SPDX-License-Identifier: MIT
/*
 * A SCSI controller and a guest that drives its queues: the input says what the guest and the host do, one after the other.
 * Disks come and go, have limits, fail, and are held where their configuration says so; one is a device of the host, which
 * answers as the input says. As long as the guest keeps to the
 * protocol, so does the device: each request comes back once, with a response, and nothing is written behind its buffers.
 * Once the host is well again, nothing is left unanswered.
 */
#include <errno.h>
#include <linux/virtio_config.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "lib/auto.h"
#include "lib/json.h"
#include "tests/fuzz/input.h"
#include "tests/unit/guest_virtio.h"
#include "vmm/devices.h"
#include "vmm/scsi/host.h"
#include "vmm/scsi/unit.h"
#include "vmm/virtio/scsi_impl.h"

#define FUZZ_SLOT 3
#define FUZZ_OPS_MAX 512
#define FUZZ_IMAGE (64 * KIB)
#define FUZZ_REQUESTS 4 /* at a time: a quarter of the ring each */
#define FUZZ_OUT_MAX 0x4000u
#define FUZZ_IN_MAX 0x8000u
#define FUZZ_AT(r) (0x10000 + 0x20000ull * (r)) /* header, */
#define FUZZ_OUT(r) (FUZZ_AT(r) + 0x1000)
#define FUZZ_RESP(r) (FUZZ_AT(r) + 0x8000)
#define FUZZ_TABLE(r) (FUZZ_AT(r) + 0x9000)
#define FUZZ_IN(r) (FUZZ_AT(r) + 0x10000)
#define FUZZ_CONTROL 0x98000 /* request, */
#define FUZZ_ANSWER 0x98800
#define FUZZ_EVENT(d) (0x9a000 + 0x20ull * (d))
#define FUZZ_CANARY 0xa5
#define FUZZ_REST_NS 5000000000ull /* until it has to be at rest */
#define RESP_SIZE sizeof(struct virtio_scsi_cmd_resp)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct fuzz {
	struct fake_board fb;
	struct device *host, *dev;
	struct guest_virtio g;
	int fd; /* of all disks */
	struct fuzz_input input;
	bool honest, indirect;
	struct {
		bool pending;
		uint32_t in;
	} reqs[FUZZ_REQUESTS];
	bool control; /* pending */
	bool events[GUEST_VIRTIO_RING_SIZE];
};

/* --- the host ---------------------------------------------------------------------------------------------------- */

static struct json_object *fuzz_json(const char *text)
{
	struct json_object *o = NULL;

	if (json_parse(text, strlen(text), &o, NULL) < 0)
		abort();
	return o;
}

static void fuzz_fds(struct fuzz *f, struct fdset *fds, unsigned int n)
{
	fdset_init(fds);
	while (n--)
		fdset_add(fds, dup(f->fd));
}

/* The device of the host: it fills what it is given, and nothing behind it. */
static int fuzz_sg_io(void *arg, struct sg_io_hdr *hdr)
{
	struct fuzz *f = arg;
	uint32_t how = fuzz_take(&f->input, 1);
	const struct iovec *iov = hdr->dxferp;
	unsigned int n = 0;

	for (unsigned int i = 0; i < hdr->iovec_count; i++) {
		if (hdr->dxfer_direction == SG_DXFER_FROM_DEV)
			memset(iov[i].iov_base, (int)how, iov[i].iov_len);
		n += (unsigned int)iov[i].iov_len;
	}
	if (n != hdr->dxfer_len || n > 512 * KIB || hdr->cmd_len > 16)
		__builtin_trap();
	hdr->resid = (int)fuzz_take(&f->input, 1) - 8;
	hdr->status = how & 0x40 ? 2 : (uint8_t)(how & 0xa);
	hdr->sb_len_wr = how & 0x40 ? (unsigned char)fuzz_take(&f->input, 1) : 0;
	hdr->host_status = how & 0x20 ? 3 : 0;
	return how == 0xff ? -EIO : 0;
}

static void fuzz_init(struct fuzz *f)
{
	AUTO_JSON struct json_object *o = fuzz_json(
		"{\"type\":\"virtio-scsi\",\"id\":\"scsi0\",\"address\":\"00:03.0\",\"disks\":["
		"{\"id\":\"a\",\"lun\":0,\"path\":{\"fd\":0},\"on_error\":\"stop\"},"
		"{\"id\":\"b\",\"lun\":1,\"path\":{\"fd\":1},\"ops_per_second\":5000,"
		"\"burst_ms\":1,\"cache\":\"writethrough\"},"
		"{\"id\":\"c\",\"lun\":2,\"kind\":\"cdrom\",\"path\":{\"fd\":2},\"readonly\":true},"
		"{\"id\":\"f\",\"lun\":5,\"kind\":\"passthrough\",\"path\":{\"fd\":3}}]}");
	struct fdset fds;

	f->fd = memfd_create("disk", MFD_CLOEXEC);
	if (f->fd < 0 || ftruncate(f->fd, FUZZ_IMAGE) < 0)
		abort();
	fake_board_init(&f->fb, MIB);
	f->fb.log.fd = -1;
	f->host = fake_board_add(&f->fb, &pci_host_class, "pci", NULL);
	fuzz_fds(f, &fds, 4);
	if (device_new(&f->fb.board, o, &fds, &f->dev, NULL) < 0)
		abort();
	fdset_fini(&fds);
	f->fb.board.caged = true; /* what comes later has no ring: both are seen */
	scsi_host_set_io(container_of(f->dev, struct vscsi, v.dev)->target->units[5]->host,
			 fuzz_sg_io, f);
	f->dev->class->reset(f->dev);
	f->dev->class->start(f->dev);
}

static void fuzz_fini(struct fuzz *f)
{
	f->dev->class->stop(f->dev);
	device_free(f->dev);
	fake_board_remove(&f->fb, f->host);
	fake_board_fini(&f->fb);
	close(f->fd);
	free(f);
}

static void fuzz_pause(struct fuzz *f)
{
	f->dev->class->stop(f->dev);
	f->dev->class->start(f->dev);
}

static void fuzz_fail(struct fuzz *f)
{
	if (ftruncate(f->fd, fuzz_take(&f->input, 1) % 128 * 512) < 0)
		abort();
}

static void fuzz_heal(struct fuzz *f)
{
	if (ftruncate(f->fd, FUZZ_IMAGE) < 0)
		abort();
}

static void fuzz_disk_comes(struct fuzz *f)
{
	static const char *const disks[] = {
		"{\"id\":\"a\",\"lun\":0,\"path\":{\"fd\":0},\"on_error\":\"stop\"}",
		"{\"id\":\"b\",\"lun\":1,\"path\":{\"fd\":0},\"bytes_per_second\":9999999}",
		"{\"id\":\"d\",\"lun\":3,\"path\":{\"fd\":0},\"readonly\":true}",
		"{\"id\":\"e\",\"lun\":4,\"kind\":\"cdrom\",\"readonly\":true}",
	};
	AUTO_JSON struct json_object *o =
		fuzz_json(disks[fuzz_take(&f->input, 1) % ARRAY_SIZE(disks)]);
	struct device_unit *unit;
	struct err e = { 0 };
	struct fdset fds;

	fuzz_heal(f); /* an image has to be larger than nothing */
	fuzz_fds(f, &fds, 1);
	if (f->dev->class->unit_new(f->dev, o, &fds, &unit, &e) >= 0)
		(void)!f->dev->class->unit_add(f->dev, unit, &e);
	fdset_fini(&fds);
}

static void fuzz_disk_goes(struct fuzz *f)
{
	const char id[] = { (char)('a' + fuzz_take(&f->input, 1) % 6), '\0' };
	struct err e = { 0 };

	(void)!f->dev->class->unit_remove(f->dev, id, &e);
}

static void fuzz_medium(struct fuzz *f)
{
	uint32_t how = fuzz_take(&f->input, 1);
	struct device_medium m = { .force = how & 1 };
	struct block_image image = { .fd = -1, .readonly = true, .engine = BLOCK_ENGINE_PSYNC };
	struct device_drive drive;
	struct err e = { 0 };

	if (!f->dev->class->drive(f->dev, 0, &drive))
		return;
	fuzz_heal(f);
	if (how & 2) {
		image.fd = dup(f->fd);
		if (fstat(f->fd, &m.file) < 0 || block_open(&image, &m.block, &e) < 0)
			return; /* it may look like qcow2 */
	}
	(void)!f->dev->class->set_medium(f->dev, 0, &m, &e);
	block_free(m.block);
}

/* --- the guest --------------------------------------------------------------------------------------------------- */

static void fuzz_start(struct fuzz *f)
{
	uint32_t how = fuzz_take(&f->input, 1);
	uint64_t features = BIT64(VIRTIO_F_VERSION_1);

	if (how & 1)
		features |= BIT64(VIRTIO_SCSI_F_HOTPLUG) | BIT64(VIRTIO_SCSI_F_CHANGE);
	if (how & 2)
		features |= BIT64(VIRTIO_RING_F_INDIRECT_DESC);
	if (how & 4)
		features |= BIT64(VIRTIO_RING_F_EVENT_IDX);
	guest_virtio_find(&f->g, &f->fb, FUZZ_SLOT);
	f->indirect = how & 2;
	f->honest = true;
	f->control = false;
	memset(f->reqs, 0, sizeof(f->reqs));
	memset(f->events, 0, sizeof(f->events));
	if (!guest_virtio_start(&f->g, features, VSCSI_QUEUES))
		__builtin_trap();
}

static void fuzz_check_request(struct fuzz *f, const struct vring_used_elem *u)
{
	unsigned int r = u->id / 4;
	struct virtio_scsi_cmd_resp resp;

	if (u->id % 4 || r >= FUZZ_REQUESTS || !f->reqs[r].pending ||
	    u->len > RESP_SIZE + f->reqs[r].in)
		__builtin_trap();
	f->reqs[r].pending = false;
	memcpy(&resp, f->fb.mem + FUZZ_RESP(r), sizeof(resp));
	if (resp.response == FUZZ_CANARY || resp.sense_len > sizeof(resp.sense))
		__builtin_trap();
	if (f->fb.mem[FUZZ_RESP(r) + RESP_SIZE] != FUZZ_CANARY ||
	    f->fb.mem[FUZZ_IN(r) + f->reqs[r].in] != FUZZ_CANARY)
		__builtin_trap();
}

static void fuzz_collect(struct fuzz *f)
{
	struct vring_used_elem u;

	while (guest_ring_get(&f->g.rings[VSCSI_REQUESTS], &u))
		if (f->honest)
			fuzz_check_request(f, &u);
	while (guest_ring_get(&f->g.rings[VSCSI_CONTROL], &u)) {
		if (f->honest && (!f->control || u.id || u.len > 5))
			__builtin_trap();
		f->control = false;
	}
	while (guest_ring_get(&f->g.rings[VSCSI_EVENTS], &u)) {
		if (f->honest && (u.id >= GUEST_VIRTIO_RING_SIZE || !f->events[u.id] ||
				  u.len != sizeof(struct virtio_scsi_event)))
			__builtin_trap();
		f->events[u.id % GUEST_VIRTIO_RING_SIZE] = false;
	}
}

static void fuzz_header(struct fuzz *f, unsigned int r)
{
	static const uint8_t ops[] = { 0x28, 0x2a, 0x28, 0x2a, 0x88, 0x8a, 0x08, 0x0a, 0x12, 0xa0,
				       0x42, 0x41, 0x93, 0x25, 0x9e, 0x35, 0x00, 0x03, 0x1a, 0x5a,
				       0x1b, 0x1e, 0x43, 0x46, 0x4a, 0xa3, 0x2f, 0x5e };
	struct virtio_scsi_cmd_req req = { .tag = r, .lun = { 1, 0, 0x40 } };
	uint32_t how = fuzz_take(&f->input, 1);

	req.lun[3] = how & 7;
	if (how >= 0xf8) /* anywhere */
		for (unsigned int i = 0; i < sizeof(req.lun); i++)
			req.lun[i] = (uint8_t)fuzz_take(&f->input, 1);
	req.cdb[0] = ops[fuzz_take(&f->input, 1) % ARRAY_SIZE(ops)];
	for (unsigned int i = 1; i < 16; i++)
		req.cdb[i] = how & 0x40 ? (uint8_t)fuzz_take(&f->input, 1) : 0;
	if (!(how & 0x40)) { /* what is on a disk */
		req.cdb[5] = (uint8_t)(fuzz_take(&f->input, 1) % 128);
		req.cdb[8] = (uint8_t)(fuzz_take(&f->input, 1) % 32);
	}
	memcpy(f->fb.mem + FUZZ_AT(r), &req, sizeof(req));
}

/* In its quarter of the ring, or in a table of its own; in is cut in two */
static void fuzz_descriptors(struct fuzz *f, unsigned int r, uint32_t out, uint32_t in)
{
	const struct guest_ring *ring = &f->g.rings[VSCSI_REQUESTS];
	uint64_t table = f->indirect ? FUZZ_TABLE(r) : ring->desc;
	unsigned int first = f->indirect ? 0 : 4 * r, last = first + 3;
	uint16_t w = VRING_DESC_F_WRITE, next = VRING_DESC_F_NEXT;

	guest_ring_set_at(ring, table, first, FUZZ_AT(r), sizeof(struct virtio_scsi_cmd_req), next,
			  (uint16_t)(out ? first + 1 : first + 2));
	guest_ring_set_at(ring, table, first + 1, FUZZ_OUT(r), out, next, (uint16_t)(first + 2));
	guest_ring_set_at(ring, table, first + 2, FUZZ_RESP(r), RESP_SIZE,
			  (uint16_t)(w | (in ? next : 0)), (uint16_t)last);
	guest_ring_set_at(ring, table, last, FUZZ_IN(r), f->indirect ? in / 2 : in,
			  (uint16_t)(w | (f->indirect ? next : 0)), (uint16_t)(last + 1));
	if (!f->indirect)
		return;
	guest_ring_set_at(ring, table, last + 1, FUZZ_IN(r) + in / 2, in - in / 2, w, 0);
	guest_ring_set(ring, 4 * r, table, 16 * 5, VRING_DESC_F_INDIRECT, 0);
}

static void fuzz_request(struct fuzz *f)
{
	unsigned int r = fuzz_take(&f->input, 1) % FUZZ_REQUESTS;
	uint32_t out = fuzz_take(&f->input, 2) % FUZZ_OUT_MAX,
		 in = fuzz_take(&f->input, 2) % FUZZ_IN_MAX;

	fuzz_collect(f);
	if (f->reqs[r].pending)
		return;
	if (in && out && (in ^ out) & 3) /* both at once is seldom */
		*(in & 1 ? &in : &out) = 0;
	fuzz_header(f, r);
	for (unsigned int i = 0; i < 40; i++)
		f->fb.mem[FUZZ_OUT(r) + i] = (uint8_t)fuzz_take(&f->input, 1);
	memset(f->fb.mem + FUZZ_RESP(r), FUZZ_CANARY, RESP_SIZE + 1);
	f->fb.mem[FUZZ_IN(r) + in] = FUZZ_CANARY;
	fuzz_descriptors(f, r, out, in);
	f->reqs[r].pending = true;
	f->reqs[r].in = in;
	guest_ring_add(&f->g.rings[VSCSI_REQUESTS], (uint16_t)(4 * r));
}

static void fuzz_kick(struct fuzz *f)
{
	guest_virtio_kick(&f->g, fuzz_take(&f->input, 1) % VSCSI_QUEUES);
}

static void fuzz_go(struct fuzz *f)
{
	guest_virtio_kick(&f->g, VSCSI_REQUESTS);
	fake_board_run(&f->fb);
}

static void fuzz_tmf(struct fuzz *f)
{
	struct virtio_scsi_ctrl_tmf_req req = { .subtype = fuzz_take(&f->input, 1) % 10,
						.lun = { 1, 0, 0x40, fuzz_take(&f->input, 1) % 6 },
						.tag = fuzz_take(&f->input, 1) % FUZZ_REQUESTS };
	struct guest_ring *r = &f->g.rings[VSCSI_CONTROL];

	fuzz_collect(f);
	if (f->control)
		return;
	memcpy(f->fb.mem + FUZZ_CONTROL, &req, sizeof(req));
	guest_ring_set(r, 0, FUZZ_CONTROL, sizeof(req), VRING_DESC_F_NEXT, 1);
	guest_ring_set(r, 1, FUZZ_ANSWER, 1, VRING_DESC_F_WRITE, 0);
	guest_ring_add(r, 0);
	f->control = true;
	guest_virtio_kick(&f->g, VSCSI_CONTROL);
}

static void fuzz_event_buffer(struct fuzz *f)
{
	struct guest_ring *r = &f->g.rings[VSCSI_EVENTS];
	uint16_t d = (uint16_t)(fuzz_take(&f->input, 1) % GUEST_VIRTIO_RING_SIZE);

	fuzz_collect(f);
	if (f->events[d])
		return;
	guest_ring_set(r, d, FUZZ_EVENT(d), sizeof(struct virtio_scsi_event), VRING_DESC_F_WRITE,
		       0);
	guest_ring_add(r, d);
	f->events[d] = true;
	guest_virtio_kick(&f->g, VSCSI_EVENTS);
}

/* The rings, tables and headers are the guest's to write to, at any time. */
static void fuzz_corrupt(struct fuzz *f)
{
	uint32_t where = fuzz_take(&f->input, 1), off = fuzz_take(&f->input, 2);
	uint64_t at =
		where & 1 ? FUZZ_AT(where / 2 % FUZZ_REQUESTS) + off % 0xa000
			  : GUEST_VIRTIO_RINGS + 0x1000 * (where / 2 % VSCSI_QUEUES) + off % 0x400;

	f->fb.mem[at] = (uint8_t)fuzz_take(&f->input, 1);
	f->honest = false;
}

static void fuzz_config(struct fuzz *f)
{
	uint32_t off =
		fuzz_take(&f->input, 1) % 2 ? 20 : 24; /* sense_size, cdb_size: not while it runs */

	fake_mmio_write(&f->fb, f->g.device + off, 4, fuzz_take(&f->input, 1));
}

static bool fuzz_busy(struct fuzz *f)
{
	bool busy = f->control;

	for (unsigned int r = 0; r < FUZZ_REQUESTS; r++)
		busy = busy || f->reqs[r].pending;
	return busy;
}

/* The host is well, and the machine was paused: all is answered. */
static void fuzz_rest(struct fuzz *f)
{
	uint64_t begin = uv_hrtime();

	fuzz_heal(f);
	for (unsigned int q = 0; q < VSCSI_QUEUES; q++)
		guest_virtio_kick(&f->g, q);
	fake_board_run(&f->fb);
	fuzz_pause(f);
	do {
		fake_board_run(&f->fb);
		fuzz_collect(f);
	} while (f->honest && fuzz_busy(f) && uv_hrtime() - begin < FUZZ_REST_NS);
	if (f->honest && (fuzz_busy(f) || guest_virtio_status(&f->g) & VIRTIO_CONFIG_S_NEEDS_RESET))
		__builtin_trap();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static void (*const ops[])(struct fuzz * f) = {
		fuzz_request,	   fuzz_request, fuzz_request, fuzz_go,		fuzz_go,
		fuzz_kick,	   fuzz_tmf,	 fuzz_pause,   fuzz_fail,	fuzz_heal,
		fuzz_event_buffer, fuzz_medium,	 fuzz_rest,    fuzz_disk_comes, fuzz_disk_goes,
		fuzz_start,	   fuzz_config,	 fuzz_corrupt,
	};
	struct fuzz *f = calloc(1, sizeof(*f));

	f->input = (struct fuzz_input){ data, size };
	fuzz_init(f);
	fuzz_start(f);
	for (unsigned int n = 0; f->input.left && n < FUZZ_OPS_MAX; n++)
		ops[fuzz_take(&f->input, 1) % ARRAY_SIZE(ops)](f);
	fuzz_rest(f);
	fuzz_fini(f);
	return 0;
}
