/* SPDX-License-Identifier: MIT */
/*
 * One message-signalled interrupt of a PCI function, for msi.c and msix.c: an eventfd that any thread, or the
 * kernel, may signal. While the message can be sent the board fires it; while it cannot (masked), events stay
 * counted in the eventfd, and that is the pending bit. So masking needs no lock that the signalling thread
 * takes. Under machine.lock, but for pci_vector_signal.
 */
#ifndef VMM_PCI_VECTOR_H
#define VMM_PCI_VECTOR_H

#include "vmm/board.h"

struct pci_vector {
	int fd;	 /* owned eventfd; -1: none yet */
	int gsi; /* the board's route; -1: none yet */
	bool attached;
	struct msi_msg msg; /* while attached */
};

/* All of n, in order: on failure the rest is empty, and pci_vectors_close is fine. */
int pci_vectors_open(struct pci_vector *v, unsigned int n, struct err *e);
void pci_vectors_close(struct board *b, struct pci_vector *v, unsigned int n);
/* Fire msg from now on, pending events at once. One that fires it already is left alone. */
int pci_vector_attach(struct board *b, struct pci_vector *v, const struct msi_msg *msg,
		      struct err *e);
void pci_vector_detach(struct board *b, struct pci_vector *v);
/* To power-on: detached, without a route, nothing pending. */
void pci_vector_reset(struct board *b, struct pci_vector *v);
void pci_vector_signal(const struct pci_vector *v);
/* The pending bits of v[0] to v[n - 1], n up to 64. */
uint64_t pci_vectors_pending(const struct pci_vector *v, unsigned int n);

#endif
