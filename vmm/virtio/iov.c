// SPDX-License-Identifier: MIT
/*
 * Copies between an iovec array and a buffer. The arrays are those of virtq_pop: they point into guest
 * memory, which the guest may change at any time, and their sum fits in 32 bits. Any thread.
 */
#include "vmm/virtio/iov.h"

#include <stdint.h>
#include <string.h>

#include "lib/util.h"

size_t iov_size(const struct iovec *iov, unsigned int n)
{
	size_t size = 0;

	for (unsigned int i = 0; i < n; i++)
		size += iov[i].iov_len;
	return size;
}

/* One walk for both directions: to_iov says which. */
static size_t iov_copy(const struct iovec *iov, unsigned int n, size_t off, uint8_t *data,
		       size_t len, bool to_iov)
{
	size_t done = 0;

	for (unsigned int i = 0; i < n && done < len; i++) {
		size_t part;
		uint8_t *p;

		if (off >= iov[i].iov_len) {
			off -= iov[i].iov_len;
			continue;
		}
		part = MIN(iov[i].iov_len - off, len - done);
		p = (uint8_t *)iov[i].iov_base + off;
		if (to_iov)
			memcpy(p, data + done, part);
		else
			memcpy(data + done, p, part);
		done += part;
		off = 0;
	}
	return done;
}

size_t iov_read(const struct iovec *iov, unsigned int n, size_t off, void *data, size_t len)
{
	return iov_copy(iov, n, off, data, len, false);
}

size_t iov_write(const struct iovec *iov, unsigned int n, size_t off, const void *data, size_t len)
{
	return iov_copy(iov, n, off, (uint8_t *)data, len, true);
}

unsigned int iov_cut(struct iovec *iov, unsigned int n, size_t len)
{
	for (unsigned int i = 0; i < n; i++) {
		if (len <= iov[i].iov_len) {
			iov[i].iov_len = len;
			return len ? i + 1 : i;
		}
		len -= iov[i].iov_len;
	}
	return n;
}
