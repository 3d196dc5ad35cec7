/* SPDX-License-Identifier: MIT */
/*
 * The interrupt lines of a board whose I/O APIC is ours: each is active while a device sets it or an eventfd
 * holds it. The latter are interrupts of the host's devices (PCI's pins through VFIO): see board_ops.level_irqfd.
 * Under machine.lock.
 */
#ifndef VMM_IRQ_H
#define VMM_IRQ_H

#include "vmm/board.h"

struct irq_level;

struct irq {
	struct board *board; /* borrowed; for watch */
	void (*drive)(void *arg, unsigned int gsi, bool level);
	void *arg;		  /* for drive */
	uint32_t set;		  /* by devices */
	struct irq_level *levels; /* owned; irq_fini frees what is left */
};

void irq_init(struct irq *irq, struct board *board,
	      void (*drive)(void *arg, unsigned int gsi, bool level), void *arg);
void irq_fini(struct irq *irq);
/* A gsi beyond the I/O APIC's pins is ignored. */
void irq_set(struct irq *irq, unsigned int gsi, bool level);
/* board_ops.level_irqfd and irq_ended */
int irq_level_attach(struct irq *irq, unsigned int gsi, int raise_fd, int ended_fd, struct err *e);
void irq_level_detach(struct irq *irq, unsigned int gsi, int raise_fd);
void irq_ended(struct irq *irq, unsigned int gsi);

#endif
