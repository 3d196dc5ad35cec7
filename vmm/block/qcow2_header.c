// SPDX-License-Identifier: MIT
/*
 * The header of a qcow2 image and its extensions, from bytes into numbers that are checked: QEMU's
 * docs/interop/qcow2.txt, "Header" and "Header extensions". No state. Whoever wrote the image may be hostile.
 */
#include "vmm/block/qcow2.h"

#include <endian.h>
#include <errno.h>
#include <string.h>

#include "lib/errcat.h"

#define QCOW2_MAGIC 0x514649fbu /* "QFI\xfb" */
#define QCOW2_EXT_END 0u
#define QCOW2_EXT_BACKING_FORMAT 0xe2792acau
#define QCOW2_EXT_FEATURES 0x6803f857u
#define QCOW2_FEATURE_BYTES 48 /* type, bit, name */
#define QCOW2_V2_LENGTH 72

struct qcow2_parser {
	const uint8_t *data;
	size_t len;
	struct qcow2_header *h;
	size_t features, features_len; /* the feature name table in data; 0: none */
	struct err *e;
};

static uint32_t qcow2_be32(const struct qcow2_parser *p, size_t off)
{
	uint32_t v;

	memcpy(&v, p->data + off, sizeof(v));
	return be32toh(v);
}

static uint64_t qcow2_be64(const struct qcow2_parser *p, size_t off)
{
	uint64_t v;

	memcpy(&v, p->data + off, sizeof(v));
	return be64toh(v);
}

bool qcow2_has_magic(const void *data, size_t len)
{
	return len >= 4 && !memcmp(data, "QFI\xfb", 4);
}

static int qcow2_bad(const struct qcow2_parser *p, const char *what)
{
	err_set(p->e, ERR_FILE, "the qcow2 image is damaged: %s", what);
	return err_hint(p->e, "qemu-img check FILE says more");
}

/* --- features ------------------------------------------------------------------------------------------- */

/* What the image itself calls a feature: printable, or nothing. */
static void qcow2_feature_name(const struct qcow2_parser *p, unsigned int bit, char *out,
			       size_t size)
{
	out[0] = '\0';
	for (size_t i = 0; i + QCOW2_FEATURE_BYTES <= p->features_len; i += QCOW2_FEATURE_BYTES) {
		const uint8_t *row = p->data + p->features + i;
		size_t n = 0;

		if (row[0] != 0 || row[1] != bit)
			continue;
		for (; n < QCOW2_FEATURE_BYTES - 2 && n + 1 < size && row[2 + n]; n++)
			out[n] = row[2 + n] >= ' ' && row[2 + n] < 0x7f ? (char)row[2 + n] : '?';
		out[n] = '\0';
		return;
	}
}

static int qcow2_refuse(const struct qcow2_parser *p, unsigned int bit)
{
	static const char *const known[] = {
		[2] = "external data file",
		[3] = "compression type",
		[4] = "extended L2 entries",
	};
	char name[QCOW2_FEATURE_BYTES] = "";

	if (bit < ARRAY_SIZE(known) && known[bit])
		err_set(p->e, ERR_FILE, "the qcow2 image uses what is not supported: %s",
			known[bit]);
	else {
		qcow2_feature_name(p, bit, name, sizeof(name));
		err_set(p->e, ERR_FILE, "the qcow2 image uses an unknown feature, bit %u%s%s%s",
			bit, name[0] ? " (" : "", name, name[0] ? ")" : "");
	}
	return err_hint(p->e, "convert it: qemu-img convert -O qcow2 OLD NEW");
}

static int qcow2_check_features(const struct qcow2_parser *p, bool readonly)
{
	const struct qcow2_header *h = p->h;
	uint64_t known = QCOW2_DIRTY | QCOW2_CORRUPT;
	uint64_t unknown = h->incompatible & ~(known | QCOW2_COMPRESSION);

	if (unknown)
		return qcow2_refuse(p, (unsigned int)__builtin_ctzll(unknown));
	if (h->incompatible & QCOW2_COMPRESSION || h->compression) {
		err_set(p->e, ERR_FILE,
			"the qcow2 image uses what is not supported: compression with %s",
			h->compression == 1 ? "zstd" : "an unknown method");
		return err_hint(
			p->e,
			"convert it: qemu-img convert -O qcow2 -o compression_type=zlib OLD NEW");
	}
	if (readonly)
		return 0;
	if (h->incompatible & QCOW2_CORRUPT) {
		err_set(p->e, ERR_FILE, "the qcow2 image is marked as damaged");
		return err_hint(p->e,
				"qemu-img check -r all FILE repairs it; `readonly: true` reads it");
	}
	if (h->incompatible & QCOW2_DIRTY) {
		err_set(p->e, ERR_FILE,
			"the qcow2 image was not closed: its reference counts are not to be relied "
			"on");
		return err_hint(p->e, "qemu-img check -r all FILE repairs it");
	}
	return 0;
}

/* --- extensions ----------------------------------------------------------------------------------------- */

static int qcow2_parse_extensions(struct qcow2_parser *p, size_t off, size_t end)
{
	while (off + 8 <= end) {
		uint32_t type = qcow2_be32(p, off), len = qcow2_be32(p, off + 4);

		off += 8;
		if (type == QCOW2_EXT_END)
			return 0;
		if (len > end - off)
			return qcow2_bad(p, "a header extension ends outside of the header");
		if (type == QCOW2_EXT_BACKING_FORMAT) {
			if (len >= sizeof(p->h->backing_format))
				return qcow2_bad(p, "the backing file's format has a long name");
			memcpy(p->h->backing_format, p->data + off, len);
		} else if (type == QCOW2_EXT_FEATURES) {
			p->features = off;
			p->features_len = len;
		}
		off += align_up(len, 8);
	}
	return 0;
}

static int qcow2_parse_backing(struct qcow2_parser *p, size_t *end)
{
	uint64_t off = qcow2_be64(p, 8);
	uint32_t len = qcow2_be32(p, 16);

	if (!off)
		return 0;
	if (!len || len >= sizeof(p->h->backing) || !range_fits(off, len, p->len))
		return qcow2_bad(p, "the backing file's name is not in the header");
	memcpy(p->h->backing, p->data + off, len);
	for (uint32_t i = 0; i < len; i++) /* it is shown to people */
		if ((uint8_t)p->h->backing[i] < ' ' || p->h->backing[i] == 0x7f)
			p->h->backing[i] = '?';
	*end = MIN(*end, (size_t)off);
	return 0;
}

/* --- numbers -------------------------------------------------------------------------------------------- */

static int qcow2_check_table(const struct qcow2_parser *p, const char *name, uint64_t off,
			     uint64_t bytes, uint64_t max)
{
	const struct qcow2_header *h = p->h;

	if (bytes > max) {
		err_set(p->e, ERR_FILE, "the qcow2 image's %s has %llu bytes, at most %llu do",
			name, (unsigned long long)bytes, (unsigned long long)max);
		return err_hint(p->e,
				"convert it with larger clusters: qemu-img convert -O qcow2 -o "
				"cluster_size=64k OLD NEW");
	}
	if (off & (BIT64(h->cluster_bits) - 1) || off > QCOW2_OFFSET_MAX || (bytes && !off))
		return qcow2_bad(p, name);
	return 0;
}

static int qcow2_check_numbers(const struct qcow2_parser *p)
{
	const struct qcow2_header *h = p->h;
	uint64_t per_l2, need;
	int ret;

	if (h->cluster_bits < QCOW2_CLUSTER_BITS_MIN || h->cluster_bits > QCOW2_CLUSTER_BITS_MAX)
		return qcow2_bad(p, "its cluster size");
	if (h->refcount_order > 6)
		return qcow2_bad(p, "the width of its reference counts");
	if (h->encryption)
		return err_set(p->e, ERR_FILE,
			       "the qcow2 image is encrypted, which is not supported");
	if (!h->size || h->size % BLOCK_SECTOR) {
		err_set(p->e, ERR_FILE, "the disk in the qcow2 image has %llu bytes",
			(unsigned long long)h->size);
		return err_hint(p->e, "a multiple of %d: qemu-img resize FILE SIZE", BLOCK_SECTOR);
	}
	per_l2 = BIT64(2 * h->cluster_bits - 3);
	need = h->size / per_l2 + (h->size % per_l2 != 0);
	if (h->l1_entries < need)
		return qcow2_bad(p, "its L1 table is too short");
	ret = qcow2_check_table(p, "L1 table", h->l1_offset, (uint64_t)h->l1_entries * 8,
				QCOW2_L1_MAX);
	if (ret < 0)
		return ret;
	if (!h->reftable_clusters)
		return qcow2_bad(p, "it has no reference counts");
	return qcow2_check_table(p, "reference count table", h->reftable_offset,
				 (uint64_t)h->reftable_clusters << h->cluster_bits,
				 QCOW2_REFTABLE_MAX);
}

int qcow2_header_parse(const void *data, size_t len, bool readonly, struct qcow2_header *ret,
		       struct err *e)
{
	struct qcow2_header h = { .refcount_order = 4, .length = QCOW2_V2_LENGTH };
	struct qcow2_parser p = { .data = data, .len = len, .h = &h, .e = e };
	size_t end = len;
	int r;

	if (!qcow2_has_magic(data, len) || len < QCOW2_HEADER_MIN)
		return err_set(e, ERR_FILE, "the disk image is not in the qcow2 format");
	h.version = qcow2_be32(&p, 4);
	if (h.version != 2 && h.version != 3)
		return err_set(e, ERR_FILE, "qcow2 version %u is not supported, 2 and 3 are",
			       h.version);
	h.cluster_bits = qcow2_be32(&p, 20);
	h.size = qcow2_be64(&p, 24);
	h.encryption = qcow2_be32(&p, 32);
	h.l1_entries = qcow2_be32(&p, 36);
	h.l1_offset = qcow2_be64(&p, 40);
	h.reftable_offset = qcow2_be64(&p, 48);
	h.reftable_clusters = qcow2_be32(&p, 56);
	h.snapshots = qcow2_be32(&p, 60);
	if (h.version == 3) {
		h.incompatible = qcow2_be64(&p, 72);
		h.compatible = qcow2_be64(&p, 80);
		h.autoclear = qcow2_be64(&p, 88);
		h.refcount_order = qcow2_be32(&p, 96);
		h.length = qcow2_be32(&p, 100);
		if (h.length < QCOW2_HEADER_MIN || h.length > len || h.length % 8)
			return qcow2_bad(&p, "the length of its header");
		if (h.length > QCOW2_HEADER_MIN)
			h.compression = p.data[QCOW2_HEADER_MIN];
	}
	r = qcow2_parse_backing(&p, &end);
	if (r >= 0)
		r = qcow2_parse_extensions(&p, h.length, end);
	if (r >= 0)
		r = qcow2_check_features(&p, readonly);
	if (r >= 0)
		r = qcow2_check_numbers(&p);
	if (r < 0)
		return r;
	*ret = h;
	return 0;
}
