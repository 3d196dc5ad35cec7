// SPDX-License-Identifier: MIT
/* What of the guest's memory a bus master's table names: see ata.h. Under machine.lock. */
#include <errno.h>
#include <string.h>

#include "vmm/ata/ata.h"

/* A piece of at most `most` bytes: 0: the table has no more, -EFAULT. */
static int64_t ata_region_take(const struct ata_table *t, struct ata_place *p, uint32_t most,
			       void **ret_piece)
{
	uint32_t len;

	while (!p->left) {
		int ret = p->last ? 0 : t->next(t->arg, p);

		if (ret <= 0)
			return ret;
	}
	len = MIN(p->left, most);
	*ret_piece = gmem_ptr(t->gmem, p->addr, len);
	if (!*ret_piece)
		return -EFAULT;
	p->addr += len;
	p->left -= len;
	return len;
}

static int64_t ata_collect_bytes(const struct ata_table *t, struct ata_place *p, uint32_t most,
				 struct iovec iov[static ATA_SEGS_MAX], unsigned int *ret_n)
{
	uint32_t bytes = 0;
	unsigned int n = 0;

	while (bytes < most && n < ATA_SEGS_MAX) {
		void *piece;
		int64_t len = ata_region_take(t, p, most - bytes, &piece);

		if (len < 0)
			return len;
		if (!len)
			break;
		iov[n++] = (struct iovec){ .iov_base = piece, .iov_len = (size_t)len };
		bytes += (uint32_t)len;
	}
	*ret_n = n;
	return bytes;
}

int64_t ata_collect(const struct ata_table *t, struct ata_place *p, uint32_t most, uint32_t unit,
		    struct iovec iov[static ATA_SEGS_MAX], unsigned int *ret_n)
{
	struct ata_place from = *p, at = from;
	int64_t bytes = ata_collect_bytes(t, &at, most, iov, ret_n);

	if (bytes > 0 && bytes % unit) { /* the rest is for the next time */
		at = from;
		bytes = ata_collect_bytes(t, &at, (uint32_t)(bytes - bytes % unit), iov, ret_n);
	}
	if (bytes > 0)
		*p = at;
	return bytes;
}

int64_t ata_fill(const struct ata_table *t, struct ata_place *p, const void *data, uint32_t len)
{
	uint32_t at = 0;

	while (at < len) {
		void *piece;
		int64_t n = ata_region_take(t, p, len - at, &piece);

		if (n < 0)
			return n;
		if (!n)
			break;
		memcpy(piece, (const uint8_t *)data + at, (size_t)n);
		at += (uint32_t)n;
	}
	return at;
}
