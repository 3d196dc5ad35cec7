// SPDX-License-Identifier: MIT
/*
 * Wired-or interrupt lines: see irq.h. What KVM does for its own I/O APIC with KVM_IRQFD_FLAG_RESAMPLE
 * (Linux Documentation/virt/kvm/api.rst, 4.75) and does not for one in user space. The eventfds that raise are
 * watched on the control loop; the end of an interrupt comes from the vCPU that says it.
 */
#include "vmm/irq.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "vmm/x86/map.h"

struct irq_level {
	struct irq *irq;
	unsigned int gsi;
	int raise_fd, ended_fd; /* borrowed */
	bool high;
	struct board_watch *watch;
	struct irq_level *next;
};

void irq_init(struct irq *irq, struct board *board,
	      void (*drive)(void *arg, unsigned int gsi, bool level), void *arg)
{
	*irq = (struct irq){ .board = board, .drive = drive, .arg = arg };
}

static bool irq_get(const struct irq *irq, unsigned int gsi)
{
	bool level = irq->set & BIT(gsi);

	for (const struct irq_level *l = irq->levels; l && !level; l = l->next)
		level = l->gsi == gsi && l->high;
	return level;
}

void irq_set(struct irq *irq, unsigned int gsi, bool level)
{
	if (gsi >= MAP_IOAPIC_PINS)
		return;
	irq->set = level ? irq->set | BIT(gsi) : irq->set & ~BIT(gsi);
	irq->drive(irq->arg, gsi, irq_get(irq, gsi));
}

static void irq_raised(void *arg)
{
	struct irq_level *l = arg;
	uint64_t count;

	if (read(l->raise_fd, &count, sizeof(count)) != sizeof(count))
		return;
	l->high = true;
	l->irq->drive(l->irq->arg, l->gsi, true);
}

void irq_ended(struct irq *irq, unsigned int gsi)
{
	uint64_t one = 1;
	bool any = false;

	/* the line is down before anybody hears of it: who still has a reason raises it anew */
	for (struct irq_level *l = irq->levels; l; l = l->next)
		if (l->gsi == gsi) {
			l->high = false;
			any = true;
		}
	if (!any)
		return;
	irq->drive(irq->arg, gsi, irq_get(irq, gsi));
	for (const struct irq_level *l = irq->levels; l; l = l->next)
		/* a full counter is a signal too */
		if (l->gsi == gsi && write(l->ended_fd, &one, sizeof(one)) < 0)
			continue;
}

int irq_level_attach(struct irq *irq, unsigned int gsi, int raise_fd, int ended_fd, struct err *e)
{
	struct irq_level *l;

	if (gsi >= MAP_IOAPIC_PINS)
		return err_set(e, EINVAL, "there is no interrupt %u", gsi);
	l = malloc(sizeof(*l));
	if (!l)
		return err_ret(e, -ENOMEM, "interrupt %u", gsi);
	*l = (struct irq_level){
		.irq = irq, .gsi = gsi, .raise_fd = raise_fd, .ended_fd = ended_fd
	};
	l->watch = irq->board->ops->watch(irq->board->arg, raise_fd, irq_raised, l, e);
	if (!l->watch) {
		free(l);
		return -EAGAIN; /* e has the reason */
	}
	l->next = irq->levels;
	irq->levels = l;
	return 0;
}

void irq_level_detach(struct irq *irq, unsigned int gsi, int raise_fd)
{
	for (struct irq_level **at = &irq->levels; *at; at = &(*at)->next) {
		struct irq_level *l = *at;

		if (l->gsi != gsi || l->raise_fd != raise_fd)
			continue;
		*at = l->next;
		irq->board->ops->unwatch(irq->board->arg, l->watch);
		irq->drive(irq->arg, gsi, irq_get(irq, gsi));
		free(l);
		return;
	}
}

void irq_fini(struct irq *irq)
{
	while (irq->levels)
		irq_level_detach(irq, irq->levels->gsi, irq->levels->raise_fd);
}
