// SPDX-License-Identifier: MIT
/* Addresses of PCI functions: see pci_addr.h. */
#include "lib/pci_addr.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>

#include "lib/util.h"

#define PCI_ADDR_DOMAIN_DIGITS 8

/* Hexadecimal digits, between min and max of them; how many, or 0. */
static unsigned int pci_addr_hex(const char *text, unsigned int min, unsigned int max,
				 uint32_t *ret_value)
{
	unsigned int n = 0;
	uint32_t value = 0;

	for (; n < max && isxdigit((unsigned char)text[n]); n++) {
		int c = tolower((unsigned char)text[n]);

		value = value << 4 | (uint32_t)(c <= '9' ? c - '0' : c - 'a' + 10);
	}
	*ret_value = value;
	return n < min ? 0 : n;
}

/* "3b:00.0" to the end of the text. */
static bool pci_addr_tail(const char *p, struct pci_addr *a)
{
	uint32_t bus, dev;

	if (pci_addr_hex(p, 2, 2, &bus) != 2 || p[2] != ':' ||
	    pci_addr_hex(p + 3, 2, 2, &dev) != 2 || dev > 0x1f || p[5] != '.' || p[6] < '0' ||
	    p[6] > '7' || p[7])
		return false;
	a->bus = (uint8_t)bus;
	a->dev = (uint8_t)dev;
	a->fn = (uint8_t)(p[6] - '0');
	return true;
}

int pci_addr_parse(const char *text, struct pci_addr *ret_addr, struct err *e)
{
	struct pci_addr a = { 0 };
	unsigned int n = pci_addr_hex(text, 4, PCI_ADDR_DOMAIN_DIGITS, &a.domain);

	if (n && text[n] == ':' ? pci_addr_tail(text + n + 1, &a) : pci_addr_tail(text, &a)) {
		if (!(n && text[n] == ':'))
			a.domain = 0;
		*ret_addr = a;
		return 0;
	}
	err_set(e, EINVAL, "'%.32s' is not a PCI address", text);
	return err_hint(e, "write it as lspci -D does, like 0000:3b:00.0");
}

const char *pci_addr_format(const struct pci_addr *a, char out[static PCI_ADDR_SIZE])
{
	snprintf(out, PCI_ADDR_SIZE, "%04x:%02x:%02x.%x", a->domain, a->bus, a->dev & 0x1f,
		 a->fn & 7);
	return out;
}

int pci_addr_cmp(const struct pci_addr *a, const struct pci_addr *b)
{
	uint64_t x = (uint64_t)a->domain << 32 | (uint32_t)(a->bus << 16 | a->dev << 8 | a->fn);
	uint64_t y = (uint64_t)b->domain << 32 | (uint32_t)(b->bus << 16 | b->dev << 8 | b->fn);

	return (x > y) - (x < y);
}
