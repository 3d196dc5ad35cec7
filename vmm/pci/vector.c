// SPDX-License-Identifier: MIT
/* Message-signalled interrupts as eventfds: see vector.h; PCI Local Bus 3.0, section 6.8. */
#include "vmm/pci/vector.h"

#include <assert.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <unistd.h>

int pci_vectors_open(struct pci_vector *v, unsigned int n, struct err *e)
{
	for (unsigned int i = 0; i < n; i++)
		v[i] = (struct pci_vector){ .fd = -1, .gsi = -1 };
	for (unsigned int i = 0; i < n; i++) {
		v[i].fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
		if (v[i].fd < 0)
			return err_errno(e, "eventfd");
	}
	return 0;
}

void pci_vectors_close(struct board *b, struct pci_vector *v, unsigned int n)
{
	for (unsigned int i = 0; i < n; i++) {
		if (v[i].fd < 0)
			continue;
		pci_vector_reset(b, &v[i]);
		close(v[i].fd);
		v[i].fd = -1;
	}
}

/* Empty the eventfd; true when there was something in it. */
static bool pci_vector_drain(const struct pci_vector *v)
{
	uint64_t count;

	return read(v->fd, &count, sizeof(count)) == sizeof(count);
}

void pci_vector_signal(const struct pci_vector *v)
{
	uint64_t one = 1;

	/* fails only when 2^64 - 2 events are counted already: pending it is, then */
	if (write(v->fd, &one, sizeof(one)) < 0)
		return;
}

/* The eventfd is consumed while attached; what a board left in it was fired, so it is not pending. */
void pci_vector_detach(struct board *b, struct pci_vector *v)
{
	if (!v->attached)
		return;
	pci_vector_drain(v);
	b->ops->irqfd_detach(b->arg, v->fd, v->gsi);
	v->attached = false;
}

int pci_vector_attach(struct board *b, struct pci_vector *v, const struct msi_msg *msg,
		      struct err *e)
{
	bool pending;
	int r;

	if (v->attached && v->msg.addr == msg->addr && v->msg.data == msg->data)
		return 0;
	pending = !v->attached && pci_vector_drain(v);
	r = b->ops->irqfd_attach(b->arg, v->fd, msg, &v->gsi, e);
	if (r < 0) {
		/* whether the old message still fires is not known: make sure that it does not */
		pci_vector_detach(b, v);
	} else {
		v->attached = true;
		v->msg = *msg;
	}
	if (pending)
		pci_vector_signal(v);
	return r;
}

void pci_vector_reset(struct board *b, struct pci_vector *v)
{
	pci_vector_detach(b, v);
	if (v->gsi >= 0)
		b->ops->irqfd_release(b->arg, v->gsi);
	v->gsi = -1;
	pci_vector_drain(v);
}

uint64_t pci_vectors_pending(const struct pci_vector *v, unsigned int n)
{
	struct pollfd fds[64];
	uint64_t bits = 0;

	assert(n <= ARRAY_SIZE(fds));
	for (unsigned int i = 0; i < n; i++)
		fds[i] = (struct pollfd){ .fd = v[i].attached ? -1 : v[i].fd, .events = POLLIN };
	if (!n || poll(fds, n, 0) <= 0)
		return 0;
	for (unsigned int i = 0; i < n; i++)
		if (fds[i].revents & POLLIN)
			bits |= BIT64(i);
	return bits;
}
