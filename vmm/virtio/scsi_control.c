// SPDX-License-Identifier: MIT
/*
 * The SCSI controller's control and event queues: VIRTIO 1.2, sections 5.6.6.2 to 5.6.6.4. On the worker.
 *
 * What runs in the host's kernel is not called back: an aborted task ends when its I/O does, and only then the
 * function that aborted it is answered, so that nothing of it touches the guest's memory any more. Functions are
 * carried out one after the other; the queue waits.
 */
#include <endian.h>
#include <string.h>

#include "vmm/virtio/scsi_impl.h"

/* --- the control queue ----------------------------------------------------------------------------------- */

static void vscsi_tmf_end(struct vscsi *s)
{
	struct vscsi_tmf *tmf = &s->tmf;

	for (uint32_t lun = 0; lun < SCSI_UNITS_MAX && tmf->reset; lun++)
		if (tmf->lun == VSCSI_NO_LUN || tmf->lun == lun)
			scsi_target_reset_unit(s->target, lun);
	*tmf->response = VIRTIO_SCSI_S_OK;
	virtq_push(&s->v.queues[VSCSI_CONTROL].vq, tmf->head, 1);
	tmf->busy = false;
}

void vscsi_req_ended(struct vscsi *s, struct vscsi_req *r)
{
	if (!r->awaited)
		return;
	r->awaited = false;
	if (--s->tmf.waiting)
		return;
	vscsi_flush(s); /* a driver looks for what was aborted once the function has ended */
	vscsi_tmf_end(s);
	virtio_flush(&s->v, VSCSI_CONTROL);
	virtio_kick(&s->v, VSCSI_CONTROL);
}

/* Which tasks a function is about: those of a LUN, or of all; and of these one, if it is by tag */
struct vscsi_which {
	uint32_t lun;
	bool all, by_tag;
	uint64_t tag;
};

static bool vscsi_matches(const struct vscsi_req *r, const struct vscsi_which *w)
{
	return r->running && (w->all || r->task.lun == w->lun) && (!w->by_tag || r->tag == w->tag);
}

static uint8_t vscsi_query(const struct vscsi *s, const struct vscsi_which *w)
{
	for (unsigned int i = 0; i < s->nused; i++)
		if (vscsi_matches(&s->pool[i], w))
			return VIRTIO_SCSI_S_FUNCTION_SUCCEEDED;
	return VIRTIO_SCSI_S_OK; /* FUNCTION COMPLETE: there is none */
}

static void vscsi_end_tasks(struct vscsi *s, const struct vscsi_which *w, bool reset)
{
	struct vscsi_tmf *tmf = &s->tmf;

	tmf->busy = true;
	tmf->reset = reset;
	tmf->lun = w->all ? VSCSI_NO_LUN : w->lun;
	tmf->waiting = 0;
	for (unsigned int i = 0; i < s->nused; i++) {
		struct vscsi_req *r = &s->pool[i];

		if (!vscsi_matches(r, w))
			continue;
		r->ended_as = reset ? VIRTIO_SCSI_S_RESET : VIRTIO_SCSI_S_ABORTED;
		r->task.abandoned = true;
		r->awaited = true;
		tmf->waiting++;
	}
	if (!tmf->waiting) {
		vscsi_tmf_end(s);
		return;
	}
	/* what the host does not have ends at once, and with the last of all the function does */
	for (unsigned int i = 0; i < s->nused; i++)
		if (s->pool[i].awaited)
			scsi_target_abort(s->target, &s->pool[i].task);
	vscsi_flush(s);
}

/* The response that is to be given now, or -1: it is given, or will be */
static int vscsi_tmf(struct vscsi *s, const struct virtio_scsi_ctrl_tmf_req *req)
{
	struct vscsi_which w = { .tag = le64toh(req->tag) };
	uint32_t subtype = le32toh(req->subtype);

	if (!vscsi_lun(req->lun, &w.lun))
		return VIRTIO_SCSI_S_BAD_TARGET;
	w.all = subtype == VIRTIO_SCSI_T_TMF_I_T_NEXUS_RESET;
	w.by_tag =
		subtype == VIRTIO_SCSI_T_TMF_ABORT_TASK || subtype == VIRTIO_SCSI_T_TMF_QUERY_TASK;
	if (!w.all && !scsi_target_has(s->target, w.lun))
		return VIRTIO_SCSI_S_INCORRECT_LUN;
	switch (subtype) {
	case VIRTIO_SCSI_T_TMF_QUERY_TASK:
	case VIRTIO_SCSI_T_TMF_QUERY_TASK_SET:
		return vscsi_query(s, &w);
	case VIRTIO_SCSI_T_TMF_ABORT_TASK:
	case VIRTIO_SCSI_T_TMF_ABORT_TASK_SET:
	case VIRTIO_SCSI_T_TMF_CLEAR_TASK_SET:
		vscsi_end_tasks(s, &w, false);
		return -1;
	case VIRTIO_SCSI_T_TMF_LOGICAL_UNIT_RESET:
	case VIRTIO_SCSI_T_TMF_I_T_NEXUS_RESET:
		vscsi_end_tasks(s, &w, true);
		return -1;
	default:
		return VIRTIO_SCSI_S_FUNCTION_REJECTED;
	}
}

/* Where the only byte that is answered is: the first writable one */
static uint8_t *vscsi_first_byte(const struct virtq_req *vr)
{
	for (unsigned int i = vr->nout; i < (unsigned int)vr->nout + vr->nin; i++)
		if (vr->iov[i].iov_len)
			return vr->iov[i].iov_base;
	return NULL;
}

static const char *vscsi_serve_tmf(struct vscsi *s, const struct virtq_req *vr)
{
	struct virtio_scsi_ctrl_tmf_req req;
	int response;

	s->tmf.head = vr->head;
	s->tmf.response = vscsi_first_byte(vr);
	if (!s->tmf.response || iov_read(vr->iov, vr->nout, 0, &req, sizeof(req)) < sizeof(req))
		return "a task management request that is too short";
	response = vscsi_tmf(s, &req);
	if (response < 0)
		return NULL;
	*s->tmf.response = (uint8_t)response;
	virtq_push(&s->v.queues[VSCSI_CONTROL].vq, vr->head, 1);
	return NULL;
}

/* Asynchronous notifications, asked for or subscribed to: there are none. */
static const char *vscsi_serve_an(struct vscsi *s, const struct virtq_req *vr)
{
	struct virtio_scsi_ctrl_an_resp resp = { .response = VIRTIO_SCSI_S_OK };

	if (iov_size(vr->iov, vr->nout) < sizeof(struct virtio_scsi_ctrl_an_req) ||
	    iov_write(vr->iov + vr->nout, vr->nin, 0, &resp, sizeof(resp)) < sizeof(resp))
		return "a notification request that is too short";
	virtq_push(&s->v.queues[VSCSI_CONTROL].vq, vr->head, sizeof(resp));
	return NULL;
}

void vscsi_serve_control(struct vscsi *s)
{
	const char *why = NULL;
	struct virtq_req vr;
	uint32_t type;

	while (!why && !s->tmf.busy && virtio_pop(&s->v, VSCSI_CONTROL, &vr) > 0) {
		if (iov_read(vr.iov, vr.nout, 0, &type, sizeof(type)) < sizeof(type))
			why = "a control request without a type";
		else if (le32toh(type) == VIRTIO_SCSI_T_TMF)
			why = vscsi_serve_tmf(s, &vr);
		else if (le32toh(type) <= VIRTIO_SCSI_T_AN_SUBSCRIBE)
			why = vscsi_serve_an(s, &vr);
		else
			why = "a control request of an unknown type";
	}
	if (why)
		virtio_broken(&s->v, why);
	virtio_flush(&s->v, VSCSI_CONTROL);
}

/* --- the event queue --------------------------------------------------------------------------------------- */

static bool vscsi_event_wanted(const struct vscsi *s, uint32_t event)
{
	return virtio_has(&s->v, event == VIRTIO_SCSI_T_PARAM_CHANGE ? VIRTIO_SCSI_F_CHANGE
								     : VIRTIO_SCSI_F_HOTPLUG);
}

/* False: the driver has to give us a buffer first */
static bool vscsi_send_event(struct vscsi *s, uint32_t lun, const struct vscsi_event *pending)
{
	struct virtio_scsi_event event = { .event = htole32(pending->event),
					   .lun = { 1, 0, 0, (uint8_t)lun },
					   .reason = htole32(pending->reason) };
	struct virtq_req vr;

	if (virtio_pop(&s->v, VSCSI_EVENTS, &vr) <= 0)
		return false;
	if (iov_write(vr.iov + vr.nout, vr.nin, 0, &event, sizeof(event)) < sizeof(event)) {
		virtio_broken(&s->v, "a buffer for events that is too short");
		return false;
	}
	virtq_push(&s->v.queues[VSCSI_EVENTS].vq, vr.head, sizeof(event));
	return true;
}

void vscsi_serve_events(struct vscsi *s)
{
	for (uint32_t lun = 0; lun < SCSI_UNITS_MAX && s->nevents; lun++) {
		struct vscsi_event *pending = &s->events[lun];

		if (!pending->event)
			continue;
		if (vscsi_event_wanted(s, pending->event) && !vscsi_send_event(s, lun, pending))
			break;
		pending->event = 0;
		s->nevents--;
	}
	virtio_flush(&s->v, VSCSI_EVENTS);
}

void vscsi_tell(struct vscsi *s, uint16_t lun, uint32_t event, uint32_t reason)
{
	struct vscsi_event *pending = &s->events[lun];

	if (!s->v.live) /* its driver looks for itself what there is */
		return;
	if (event == VIRTIO_SCSI_T_PARAM_CHANGE && pending->event == VIRTIO_SCSI_T_TRANSPORT_RESET)
		return; /* it will look at all of it */
	s->nevents += !pending->event;
	*pending = (struct vscsi_event){ .event = event, .reason = reason };
	virtio_kick(&s->v, VSCSI_EVENTS);
}
