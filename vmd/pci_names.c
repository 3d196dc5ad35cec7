// SPDX-License-Identifier: MIT
/* Names of PCI devices: see pci_names.h; libpci's pci/pci.h. One thread at a time uses an object. */
#include "vmd/pci_names.h"

#include <stdlib.h>
#include <pci/pci.h>

/* not by udev's database: libpci 3.9 leaks a little of it each time */
#define PCI_NAMES_FLAGS (PCI_LOOKUP_NO_NUMBERS | PCI_LOOKUP_NO_HWDB)

struct pci_names {
	struct pci_access *access; /* owned */
};

/* Of libpci's own: memory is short. It must not return. */
static __attribute__((noreturn)) void pci_names_error(char *fmt, ...)
{
	(void)fmt;
	abort();
}

static void pci_names_silent(char *fmt, ...)
{
	(void)fmt;
}

struct pci_names *pci_names_new(void)
{
	struct pci_names *names = calloc(1, sizeof(*names));

	if (!names)
		abort();
	names->access = pci_alloc();
	names->access->error = pci_names_error;
	names->access->warning = pci_names_silent;
	names->access->debug = pci_names_silent;
	/* no cache of what was asked of the network, below a home that getpwuid(3) would tell: that is not for threads */
	pci_set_param(names->access, (char *)"net.cache_name", (char *)"");
	return names;
}

void pci_names_free(struct pci_names *names)
{
	if (!names)
		return;
	pci_cleanup(names->access);
	free(names);
}

const char *pci_names_vendor(struct pci_names *names, uint16_t vendor, char *out, size_t size)
{
	out[0] = '\0';
	pci_lookup_name(names->access, out, (int)size, PCI_LOOKUP_VENDOR | PCI_NAMES_FLAGS, vendor);
	return out;
}

const char *pci_names_device(struct pci_names *names, uint16_t vendor, uint16_t device, char *out,
			     size_t size)
{
	out[0] = '\0';
	pci_lookup_name(names->access, out, (int)size, PCI_LOOKUP_DEVICE | PCI_NAMES_FLAGS, vendor,
			device);
	return out;
}

const char *pci_names_class(struct pci_names *names, uint32_t class_code, char *out, size_t size)
{
	out[0] = '\0';
	pci_lookup_name(names->access, out, (int)size, PCI_LOOKUP_CLASS | PCI_NAMES_FLAGS,
			class_code >> 8);
	return out;
}
