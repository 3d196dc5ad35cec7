// SPDX-License-Identifier: MIT
/*
 * The Root Complex Event Collector, and registers that are cleared by writing ones: see aer.h. PCI Express Base 5.0,
 * sections 6.2.4.1.2 (reporting), 7.5.3 (capability), 7.8.4.9 to 7.8.4.11 (root registers), 7.9.10 (association).
 * Under machine.lock.
 */
#include "vmm/pci/aer.h"

#include <errno.h>
#include <linux/pci_regs.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lib/errcat.h"
#include "vmm/pci/host.h"
#include "vmm/pci/vector.h"

#define AER_CLASS 0x080700 /* Root Complex Event Collector */
#define AER_ADDRESS "00:00.1"
#define AER_PCIE_SIZE 0x3c
#define AER_AT PCI_CFG_SPACE_SIZE
#define AER_SIZE 0x38
#define AER_RCEC_AT (AER_AT + 0x40)
#define AER_COMMANDS \
	(PCI_ERR_ROOT_CMD_COR_EN | PCI_ERR_ROOT_CMD_NONFATAL_EN | PCI_ERR_ROOT_CMD_FATAL_EN)

struct pci_aer {
	struct pci_dev pci;
	struct pci_w1c status; /* Root Error Status */
	uint32_t slots;	       /* of which functions report here; its own is one */
	bool asserted;	       /* it has something to interrupt for */
};

/* --- cleared by writing ones ------------------------------------------------------------------------------ */

static void pci_w1c_show(struct pci_dev *p, const struct pci_w1c *w)
{
	for (unsigned int i = 0; i < sizeof(w->bits); i++) {
		uint8_t *at = &p->cfg[w->off + i], mask = p->wmask[w->off + i];

		*at = (uint8_t)((*at & ~mask) | (w->bits >> (8 * i) & mask));
	}
}

void pci_w1c_init(struct pci_dev *p, struct pci_w1c *w, unsigned int off, uint32_t writable)
{
	*w = (struct pci_w1c){ .off = off };
	for (unsigned int i = 0; i < sizeof(writable); i++)
		p->wmask[off + i] |= (uint8_t)(writable >> (8 * i));
	pci_w1c_show(p, w);
}

void pci_w1c_set(struct pci_dev *p, struct pci_w1c *w, uint32_t bits)
{
	w->bits |= bits;
	pci_w1c_show(p, w);
}

void pci_w1c_written(struct pci_dev *p, struct pci_w1c *w, unsigned int off, unsigned int size)
{
	for (unsigned int i = 0; i < sizeof(w->bits); i++) {
		unsigned int at = w->off + i;

		if (at >= off && at < off + size)
			w->bits &= ~((uint32_t)p->cfg[at] << (8 * i));
	}
	pci_w1c_show(p, w);
}

void pci_w1c_reset(struct pci_dev *p, struct pci_w1c *w)
{
	w->bits = 0;
	pci_w1c_show(p, w);
}

/* --- the collector ------------------------------------------------------------------------------------------ */

/* A message when there is something to tell that there was not before: section 6.2.4.1.2. */
static void pci_aer_sync(struct pci_aer *a)
{
	uint16_t command = pci_get16(&a->pci, AER_AT + PCI_ERR_ROOT_COMMAND);
	uint32_t told = a->status.bits;
	bool on = (command & PCI_ERR_ROOT_CMD_NONFATAL_EN && told & PCI_ERR_ROOT_NONFATAL_RCV) ||
		  (command & PCI_ERR_ROOT_CMD_FATAL_EN && told & PCI_ERR_ROOT_FATAL_RCV);
	uint64_t one = 1;

	if (on && !a->asserted && msi_count(&a->pci) && pci_is_master(&a->pci))
		(void)!write(msi_eventfd(&a->pci, 0), &one, sizeof(one));
	a->asserted = on;
}

static void pci_aer_written(struct pci_dev *p, unsigned int off, unsigned int size)
{
	struct pci_aer *a = container_of(p, struct pci_aer, pci);

	pci_w1c_written(p, &a->status, off, size);
	pci_aer_sync(a);
}

static const struct pci_dev_ops pci_aer_ops = { .cfg_written = pci_aer_written };

static void pci_aer_writable(struct pci_dev *p, unsigned int off, uint16_t bits)
{
	p->wmask[off] |= (uint8_t)bits;
	p->wmask[off + 1] |= (uint8_t)(bits >> 8);
}

static int pci_aer_caps(struct pci_aer *a, struct board *board, struct err *e)
{
	struct pci_dev *p = &a->pci;
	unsigned int pcie = pci_add_cap(p, PCI_CAP_ID_EXP, AER_PCIE_SIZE);
	unsigned int msi = pci_add_cap(p, PCI_CAP_ID_MSI, msi_cap_size(true, false));

	pci_set16(p, pcie + PCI_EXP_FLAGS, 2 | PCI_EXP_TYPE_RC_EC << 4);
	pci_set32(p, pcie + PCI_EXP_DEVCAP, PCI_EXP_DEVCAP_RBER);
	pci_aer_writable(p, pcie + PCI_EXP_DEVCTL,
			 PCI_EXP_DEVCTL_CERE | PCI_EXP_DEVCTL_NFERE | PCI_EXP_DEVCTL_FERE |
				 PCI_EXP_DEVCTL_URRE);
	pci_aer_writable(p, pcie + PCI_EXP_RTCTL,
			 PCI_EXP_RTCTL_SECEE | PCI_EXP_RTCTL_SENFEE | PCI_EXP_RTCTL_SEFEE |
				 PCI_EXP_RTCTL_PMEIE);
	pci_aer_writable(p, PCI_COMMAND, PCI_COMMAND_MASTER | PCI_COMMAND_SERR);
	pci_set32(p, AER_AT, PCI_EXT_CAP_ID_ERR | 2 << 16 | AER_RCEC_AT << 20);
	pci_aer_writable(p, AER_AT + PCI_ERR_ROOT_COMMAND, AER_COMMANDS);
	pci_w1c_init(p, &a->status, AER_AT + PCI_ERR_ROOT_STATUS, 0x7f);
	/* version 1: of its own bus alone */
	pci_set32(p, AER_RCEC_AT, PCI_EXT_CAP_ID_RCEC | 1 << 16);
	return msi_init_at(p, board, msi, 1, true, false, e);
}

static int pci_aer_new(struct pci_host *h, struct err *e)
{
	struct pci_aer *a = calloc(1, sizeof(*a));
	struct pci_ids ids = { .class_code = AER_CLASS };
	int r;

	if (!a)
		return err_ret(e, -ENOMEM, "event collector");
	h->aer = a;
	ids.vendor = ids.subsystem_vendor = pci_get16(&h->bridge, PCI_VENDOR_ID);
	ids.device = ids.subsystem = pci_get16(&h->bridge, PCI_DEVICE_ID);
	pci_dev_init(&a->pci, "event-collector", &ids, &pci_aer_ops);
	r = pci_aer_caps(a, h->dev.board, e);
	if (r >= 0)
		r = pci_plug(h, &a->pci, AER_ADDRESS, e);
	if (r < 0)
		pci_aer_free(h);
	return r;
}

int pci_aer_collect(struct pci_dev *p, struct err *e)
{
	struct pci_host *h = p->host;
	int r;

	if (!h->ecam.size)
		return err_set(e, ERR_VFIO_DEVICE,
			       "the machine has no PCI Express, by which the guest could hear of "
			       "errors");
	if (!h->aer && h->live) {
		err_set(e, ERR_VFIO_DEVICE,
			"the guest began without an event collector, by which it could hear of "
			"errors");
		return err_hint(e, "on_device_error: report, or have the device in the VM file "
				   "from its next start on");
	}
	r = h->aer ? 0 : pci_aer_new(h, e);
	if (!h->aer)
		return r;
	h->aer->slots |= BIT(p->slot) | BIT(h->aer->pci.slot);
	pci_set32(&h->aer->pci, AER_RCEC_AT + PCI_RCEC_RCIEP_BITMAP, h->aer->slots);
	return 0;
}

void pci_aer_message(struct pci_dev *p, bool fatal)
{
	struct pci_aer *a = p->host->aer;
	uint32_t was = a->status.bits;
	uint32_t bits = fatal ? PCI_ERR_ROOT_FATAL_RCV : PCI_ERR_ROOT_NONFATAL_RCV;

	if (was & PCI_ERR_ROOT_UNCOR_RCV) {
		bits |= PCI_ERR_ROOT_MULTI_UNCOR_RCV;
	} else {
		bits |= PCI_ERR_ROOT_UNCOR_RCV | (fatal ? PCI_ERR_ROOT_FIRST_FATAL : 0);
		pci_set16(&a->pci, AER_AT + PCI_ERR_ROOT_ERR_SRC + 2,
			  (uint16_t)(p->slot << 3 | p->function));
	}
	pci_w1c_set(&a->pci, &a->status, bits);
	pci_aer_sync(a);
}

void pci_aer_reset(struct pci_host *h)
{
	if (!h->aer)
		return;
	pci_dev_reset(&h->aer->pci);
	pci_w1c_reset(&h->aer->pci, &h->aer->status);
	pci_set32(&h->aer->pci, AER_AT + PCI_ERR_ROOT_ERR_SRC, 0);
	h->aer->asserted = false;
}

void pci_aer_free(struct pci_host *h)
{
	if (!h->aer)
		return;
	pci_dev_fini(&h->aer->pci);
	free(h->aer);
	h->aer = NULL;
}
