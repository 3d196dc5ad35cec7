/* SPDX-License-Identifier: MIT */
/* The I/O APIC (class "ioapic") of the split irqchip: the board's interrupt lines end here. */
#ifndef VMM_DEV_IOAPIC_H
#define VMM_DEV_IOAPIC_H

#include <stdbool.h>
#include <stdint.h>

struct ioapic;

/* Both under machine.lock. A pin that does not exist is ignored. */
void ioapic_set_pin(struct ioapic *io, unsigned int pin, bool level);
/* A local APIC has ended a level interrupt of this vector (KVM_EXIT_IOAPIC_EOI). */
void ioapic_eoi(struct ioapic *io, uint8_t vector);

#endif
