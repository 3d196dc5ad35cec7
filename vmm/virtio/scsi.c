// SPDX-License-Identifier: MIT
/*
 * Virtio SCSI controller: VIRTIO 1.2, section 5.6. One target with up to 256 units; a control queue, an event queue
 * and one of commands, all on a worker of its own. Here are the commands and the life of the device, scsi_control.c
 * has the other queues, scsi_units.c the disks; what a command means is vmm/scsi's.
 *
 * Requests live in a pool as large as the queue, so that the data path allocates nothing. A request without a whole
 * header or a place for its response breaks the device: nobody could be told.
 */
#include <endian.h>
#include <errno.h>
#include <linux/virtio_config.h>
#include <linux/virtio_ids.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/auto.h"
#include "lib/errcat.h"
#include "vmm/devices.h"
#include "vmm/virtio/scsi_impl.h"
#include "vmm/worker.h"

#define VSCSI_HEADER offsetof(struct virtio_scsi_cmd_req, cdb)
#define VSCSI_RESPONSE offsetof(struct virtio_scsi_cmd_resp, sense)
#define VSCSI_CDB_LIMIT 255 /* more than that a driver does not get: section 5.6.4 */
#define VSCSI_SENSE_LIMIT 255

struct vscsi_cfg {
	struct field_list disks; /* of struct vscsi_disk_cfg */
	char address[16];
};

/* --- the pool ------------------------------------------------------------------------------------------ */

static struct vscsi_req *vscsi_get(struct vscsi *s)
{
	struct vscsi_req *r = s->free;

	if (r)
		s->free = r->next_free;
	else if (s->nused < VSCSI_QUEUE_MAX)
		r = &s->pool[s->nused++];
	return r;
}

static void vscsi_put(struct vscsi *s, struct vscsi_req *r)
{
	r->next_free = s->free;
	s->free = r;
}

/* --- completion: section 5.6.6.1 -------------------------------------------------------------------------- */

/* Over the entries that were taken for it, as the driver cut them */
static void vscsi_respond(struct vscsi_req *r, const struct virtio_scsi_cmd_resp *resp, size_t len)
{
	size_t done = iov_write(r->vr.iov + r->vr.nout, r->nresponse, 0, resp, len);

	if (done < len && r->response_tail.iov_base)
		memcpy(r->response_tail.iov_base, (const uint8_t *)resp + done,
		       MIN(len - done, r->response_tail.iov_len));
}

static void vscsi_complete(struct vscsi *s, struct vscsi_req *r, uint8_t response, uint64_t wanted)
{
	struct virtio_scsi_cmd_resp resp = { .response = response };
	const struct scsi_task *t = &r->task;
	uint64_t in = t->nin ? t->moved : 0;

	if (response == VIRTIO_SCSI_S_OK) {
		resp.status = t->status;
		resp.sense_len = htole32((uint32_t)MIN(t->sense_len, s->sense_size));
		resp.resid = htole32((uint32_t)MIN(wanted - t->moved, UINT32_MAX));
		memcpy(resp.sense, t->sense, t->sense_len);
	}
	vscsi_respond(r, &resp,
		      VSCSI_RESPONSE + MIN(MAX(t->sense_len, SCSI_SENSE_SIZE), s->sense_size));
	virtq_push(&s->v.queues[VSCSI_REQUESTS].vq, r->vr.head,
		   (uint32_t)MIN(VSCSI_RESPONSE + s->sense_size + in, UINT32_MAX));
	s->unflushed = true;
	r->running = false;
	vscsi_req_ended(s, r);
	vscsi_put(s, r);
}

static void vscsi_done(struct scsi_task *t)
{
	struct vscsi_req *r = container_of(t, struct vscsi_req, task);
	uint8_t response = t->overrun ? VIRTIO_SCSI_S_OVERRUN : VIRTIO_SCSI_S_OK;

	if (r->ended_as) {
		response = r->ended_as;
		t->moved = 0;
	}
	vscsi_complete(r->s, r, response, r->wanted);
}

void vscsi_flush(struct vscsi *s)
{
	if (!s->unflushed)
		return;
	s->unflushed = false;
	virtio_flush(&s->v, VSCSI_REQUESTS);
}

static void vscsi_batch_done(void *arg)
{
	struct vscsi *s = arg;

	vscsi_flush(s);
	if (s->starved) {
		s->starved = false;
		virtio_kick(&s->v, VSCSI_REQUESTS);
	}
}

/* --- requests --------------------------------------------------------------------------------------------- */

bool vscsi_lun(const uint8_t lun[8], uint32_t *ret_lun)
{
	static const uint8_t report_luns[8] = { 0xc1, 0x01 }, zero[4];
	unsigned int method = lun[2] >> 6;

	*ret_lun = VSCSI_NO_LUN;
	if (!memcmp(lun, report_luns, sizeof(report_luns)))
		return true;
	if (lun[0] != 1 || lun[1] != 0)
		return false;
	/* peripheral device or flat space addressing, of one level: SAM-5, section 4.7.7 */
	if (memcmp(lun + 4, zero, sizeof(zero)) == 0 && method < 2 && (method == 1 || !lun[2]))
		*ret_lun = (uint32_t)(lun[2] & 0x3f) << 8 | lun[3];
	return true;
}

/* Take the first len bytes off an array: how many entries are gone, and what of the next one. */
static unsigned int vscsi_iov_take(struct iovec *iov, unsigned int n, size_t len,
				   struct iovec *ret_tail)
{
	unsigned int i = 0;

	*ret_tail = (struct iovec){ 0 };
	while (i < n && len >= iov[i].iov_len)
		len -= iov[i++].iov_len;
	if (i < n && len) {
		*ret_tail = (struct iovec){ .iov_base = iov[i].iov_base, .iov_len = len };
		iov[i].iov_base = (uint8_t *)iov[i].iov_base + len;
		iov[i].iov_len -= len;
	}
	return i;
}

/* False: no whole header, or no place for the response */
static bool vscsi_parse(struct vscsi *s, struct vscsi_req *r, struct virtio_scsi_cmd_req *ret_req)
{
	struct virtq_req *vr = &r->vr;
	size_t header = VSCSI_HEADER + s->cdb_size, response = VSCSI_RESPONSE + s->sense_size;
	struct scsi_task *t = &r->task;
	struct iovec tail;
	unsigned int n;

	memset(ret_req, 0, sizeof(*ret_req));
	if (iov_size(vr->iov, vr->nout) < header ||
	    iov_size(vr->iov + vr->nout, vr->nin) < response)
		return false;
	iov_read(vr->iov, vr->nout, 0, ret_req, MIN(header, sizeof(*ret_req)));
	r->nresponse = vscsi_iov_take(vr->iov + vr->nout, vr->nin, response, &r->response_tail);
	t->in = vr->iov + vr->nout + r->nresponse;
	t->nin = vr->nin - r->nresponse;
	n = vscsi_iov_take(vr->iov, vr->nout, header, &tail);
	t->out = vr->iov + n;
	t->nout = vr->nout - n;
	r->wanted = iov_size(t->in, t->nin) + iov_size(t->out, t->nout);
	return true;
}

static void vscsi_start(struct vscsi *s, struct vscsi_req *r, const struct virtio_scsi_cmd_req *req)
{
	struct scsi_task *t = &r->task;
	uint8_t response = VIRTIO_SCSI_S_OK;

	t->moved = 0;
	r->ended_as = 0;
	r->awaited = t->abandoned = false;
	t->saved = s->saved ? &s->saved[(size_t)(r - s->pool) * VIRTQ_SEGS_MAX] : NULL;
	if (!vscsi_lun(req->lun, &t->lun))
		response = VIRTIO_SCSI_S_BAD_TARGET;
	else if (t->nin && t->nout) /* VIRTIO_SCSI_F_INOUT is not offered */
		response = VIRTIO_SCSI_S_FAILURE;
	if (response) {
		vscsi_complete(s, r, response, 0);
		return;
	}
	memcpy(t->cdb, req->cdb, SCSI_CDB_MAX);
	t->done = vscsi_done;
	r->tag = le64toh(req->tag);
	r->running = true;
	scsi_target_start(s->target, t);
}

static void vscsi_serve_requests(struct vscsi *s)
{
	struct virtio_scsi_cmd_req req;
	struct vscsi_req *r;

	while ((r = vscsi_get(s))) {
		if (virtio_pop(&s->v, VSCSI_REQUESTS, &r->vr) <= 0) {
			vscsi_put(s, r);
			break;
		}
		r->s = s;
		if (!vscsi_parse(s, r, &req)) {
			vscsi_put(s, r);
			virtio_broken(&s->v, "a SCSI request that is too short");
			break;
		}
		vscsi_start(s, r, &req);
	}
	s->starved = !r;
	scsi_target_submit(s->target);
	vscsi_flush(s);
}

static void vscsi_kick(struct virtio_dev *v, unsigned int q)
{
	struct vscsi *s = container_of(v, struct vscsi, v);

	if (q == VSCSI_CONTROL)
		vscsi_serve_control(s);
	else if (q == VSCSI_EVENTS)
		vscsi_serve_events(s);
	else
		vscsi_serve_requests(s);
}

/* --- life -------------------------------------------------------------------------------------------------- */

static void vscsi_changed(void *arg, uint16_t lun, uint8_t asc, uint8_t ascq)
{
	vscsi_tell(arg, lun, VIRTIO_SCSI_T_PARAM_CHANGE, asc | (uint32_t)ascq << 8);
}

static struct virtio_scsi_config *vscsi_config(struct vscsi *s)
{
	return (struct virtio_scsi_config *)(void *)s->v.config;
}

static bool vscsi_trouble(void *arg, uint16_t lun, const struct block_req *r, int error)
{
	struct vscsi *s = arg;

	return trouble_note(&s->trouble, &s->disks[lun], r, error);
}

static int vscsi_activate(struct virtio_dev *v)
{
	struct vscsi *s = container_of(v, struct vscsi, v);
	uv_loop_t *loop = worker_loop(v->worker);
	int ret;

	for (unsigned int lun = 0; lun < SCSI_UNITS_MAX; lun++)
		trouble_over(&s->disks[lun]);
	s->cdb_size = le32toh(vscsi_config(s)->cdb_size);
	s->sense_size = le32toh(vscsi_config(s)->sense_size);
	ret = scsi_target_attach(s->target, loop, vscsi_batch_done);
	vscsi_flush(s);
	return ret;
}

static void vscsi_deactivate(struct virtio_dev *v)
{
	struct vscsi *s = container_of(v, struct vscsi, v);

	scsi_target_detach(s->target);
	vscsi_flush(s);
}

/* Nothing runs any more, but some may wait or be held: they are the guest's no more. */
static void vscsi_drop_parked(struct vscsi *s)
{
	scsi_target_forget(s->target);
	for (unsigned int lun = 0; lun < SCSI_UNITS_MAX; lun++)
		trouble_over(&s->disks[lun]);
	for (unsigned int i = 0; i < s->nused; i++) {
		if (!s->pool[i].running)
			continue;
		s->pool[i].running = false;
		vscsi_put(s, &s->pool[i]);
	}
	s->starved = false;
}

/* Section 5.6.4: the driver may set these two, before it goes on to DRIVER_OK. */
static void vscsi_config_write(struct virtio_dev *v, size_t off, const void *data, size_t len)
{
	struct virtio_scsi_config *c = vscsi_config(container_of(v, struct vscsi, v));
	uint32_t value;

	if (len != sizeof(value) || v->status & VIRTIO_CONFIG_S_DRIVER_OK)
		return;
	memcpy(&value, data, sizeof(value));
	if (off == offsetof(struct virtio_scsi_config, cdb_size) && le32toh(value) &&
	    le32toh(value) <= VSCSI_CDB_LIMIT)
		c->cdb_size = value;
	else if (off == offsetof(struct virtio_scsi_config, sense_size) &&
		 le32toh(value) <= VSCSI_SENSE_LIMIT)
		c->sense_size = value;
}

/* Section 5.6.4 */
static void vscsi_set_config(struct vscsi *s)
{
	struct virtio_scsi_config *c = vscsi_config(s);

	c->num_queues = htole32(1);
	c->seg_max = htole32(VIRTQ_SEGS_MAX - 2); /* header and response may take one each */
	c->max_sectors = htole32(s->max_sectors);
	c->cmd_per_lun = htole32(128);
	c->event_info_size = htole32(sizeof(struct virtio_scsi_event));
	c->sense_size = htole32(VIRTIO_SCSI_SENSE_DEFAULT_SIZE);
	c->cdb_size = htole32(VIRTIO_SCSI_CDB_DEFAULT_SIZE);
	c->max_lun = htole32(SCSI_UNITS_MAX - 1);
}

static void vscsi_driver_reset(struct virtio_dev *v)
{
	struct vscsi *s = container_of(v, struct vscsi, v);

	vscsi_drop_parked(s);
	vscsi_set_config(s);
	/* the next driver looks for itself what there is */
	memset(s->events, 0, sizeof(s->events));
	s->nevents = 0;
}

static int vscsi_init(struct device *d, struct err *e)
{
	static const struct virtio_ops ops = {
		.id = VIRTIO_ID_SCSI,
		.nqueues = VSCSI_QUEUES,
		.queue_max = VSCSI_QUEUE_MAX,
		.features = BIT64(VIRTIO_SCSI_F_HOTPLUG) | BIT64(VIRTIO_SCSI_F_CHANGE),
		.config_size = sizeof(struct virtio_scsi_config),
		.dedicated_worker = true,
		.config_write = vscsi_config_write,
		.activate = vscsi_activate,
		.kick = vscsi_kick,
		.deactivate = vscsi_deactivate,
		.reset = vscsi_driver_reset,
	};
	static const struct scsi_target_ops target_ops = { .changed = vscsi_changed,
							   .trouble = vscsi_trouble };
	struct vscsi *s = container_of(d, struct vscsi, v.dev);
	struct vscsi_cfg *cfg = d->cfg;
	int ret = scsi_target_new(&target_ops, s, &s->target, e);

	s->max_sectors = 0xffff;
	if (ret >= 0)
		ret = vscsi_add_disks(s, &cfg->disks, e);
	if (ret >= 0)
		ret = vscsi_make_spare(d->board, e);
	if (ret < 0)
		return ret;
	s->pool = calloc(VSCSI_QUEUE_MAX, sizeof(*s->pool));
	if (!s->pool)
		return err_set(e, ENOMEM, "no memory for %d requests", VSCSI_QUEUE_MAX);
	vscsi_set_config(s);
	ret = trouble_init(&s->trouble, d->board, s->disks, SCSI_UNITS_MAX, e);
	if (ret < 0)
		return ret;
	return virtio_init(&s->v, &ops, 0, cfg->address, e);
}

static void vscsi_reset(struct device *d)
{
	struct vscsi *s = container_of(d, struct vscsi, v.dev);

	virtio_device_reset(d);
	scsi_target_reset(s->target);
}

static void vscsi_fini(struct device *d)
{
	struct vscsi *s = container_of(d, struct vscsi, v.dev);

	virtio_device_fini(d);
	trouble_fini(&s->trouble);
	scsi_target_free(s->target);
	free(s->saved);
	free(s->pool);
}

static const struct field vscsi_fields[] = {
	FIELD_STR("address", struct vscsi_cfg, address),
	FIELD_LIST("disks", struct vscsi_cfg, disks, struct vscsi_disk_cfg, vscsi_disk_fields,
		   SCSI_UNITS_MAX),
	FIELD_END,
};

const struct device_class virtio_scsi_class = {
	.type = "virtio-scsi",
	.hotplug = true,
	.size = sizeof(struct vscsi),
	.cfg_size = sizeof(struct vscsi_cfg),
	.cfg_fields = vscsi_fields,
	.init = vscsi_init,
	.start = virtio_device_start,
	.stop = virtio_device_stop,
	.reset = vscsi_reset,
	.unit = vscsi_unit,
	.unit_new = vscsi_unit_new,
	.unit_add = vscsi_unit_add,
	.unit_remove = vscsi_unit_remove,
	.unit_grow = vscsi_unit_grow,
	.unit_set = vscsi_unit_set,
	.drive = vscsi_drive,
	.set_medium = vscsi_set_medium,
	.fini = vscsi_fini,
};
