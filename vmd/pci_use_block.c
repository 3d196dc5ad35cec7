// SPDX-License-Identifier: MIT
/*
 * What the host keeps on a PCI function's disks: see pci_use.h. A block device is followed up to what stands on it:
 * its partitions, and device-mapper and md devices by sysfs's holders; btrfs says by sys/fs/btrfs which disks
 * belong together. Any thread.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/auto.h"
#include "lib/fdio.h"
#include "vmd/pci_use_priv.h"

#define PCI_USE_FILE_MAX (4 * MIB)
#define PCI_USE_SEEN 256 /* block devices of one function; a disk may have 128 partitions */

struct pci_use_mount {
	const char *devno, *where, *type, *source; /* into the text of mountinfo */
};

struct pci_use_blocks {
	const struct pci_use_reader *r;
	struct pci_use_mount *mounts; /* owned */
	size_t n_mounts;
	bool zfs;	   /* a file system of it is mounted */
	const char *swaps; /* borrowed: proc/swaps; NULL: none */
	char seen[PCI_USE_SEEN][32];
	size_t n_seen;
	const char *name; /* of the device whose folder is read */
	char holder[64];  /* what stands on it */
	bool found;	  /* pci_use_subsystem */
};

char *pci_use_file(const struct hostfs *h, const char *path)
{
	AUTO_CLOSE int fd = hostfs_open(h, path, O_RDONLY, NULL);
	char *text = NULL;
	size_t len;

	return fd >= 0 && fdio_read_file(fd, PCI_USE_FILE_MAX, &text, &len, NULL) >= 0 ? text
										       : NULL;
}

char *pci_use_next_line(char *line)
{
	char *end = line + strcspn(line, "\n");

	if (*end)
		*end++ = '\0';
	return end;
}

/* "\040" of proc(5), in place */
static void pci_use_unescape(char *text)
{
	char *out = text;

	for (; *text; text++) {
		if (text[0] == '\\' && text[1] >= '0' && text[1] <= '3' && text[2] >= '0' &&
		    text[2] <= '7' && text[3] >= '0' && text[3] <= '7') {
			*out++ = (char)((text[1] - '0') << 6 | (text[2] - '0') << 3 |
					(text[3] - '0'));
			text += 3;
		} else {
			*out++ = *text;
		}
	}
	*out = '\0';
}

/* The next word of the line, ended by a NUL; "" at its end. */
static char *pci_use_word(char **at)
{
	char *word = *at + strspn(*at, " ");

	*at = word + strcspn(word, " ");
	if (**at)
		*(*at)++ = '\0';
	return word;
}

/* "36 35 98:0 /mnt1 /mnt2 rw,noatime master:1 - ext3 /dev/root rw": proc(5). */
static bool pci_use_parse_mount(char *line, struct pci_use_mount *m)
{
	char *dash = strstr(line, " - ");
	char *where;

	if (!dash)
		return false;
	*dash = '\0';
	dash += 3;
	pci_use_word(&line);
	pci_use_word(&line);
	m->devno = pci_use_word(&line);
	pci_use_word(&line);
	where = pci_use_word(&line);
	pci_use_unescape(where);
	m->where = where;
	m->type = pci_use_word(&dash);
	m->source = pci_use_word(&dash);
	return m->devno[0] && where[0];
}

static int pci_use_parse_mounts(struct pci_use_blocks *b, char *text, struct err *e)
{
	size_t lines = 1;

	for (const char *p = text; *p; p++)
		lines += *p == '\n';
	b->mounts = calloc(lines, sizeof(*b->mounts));
	if (!b->mounts)
		return err_ret(e, -ENOMEM, "cannot read the mounted file systems");
	for (char *line = text; *line;) {
		char *next = pci_use_next_line(line);

		if (pci_use_parse_mount(line, &b->mounts[b->n_mounts]))
			b->zfs |= !strcmp(b->mounts[b->n_mounts++].type, "zfs");
		line = next;
	}
	return 0;
}

/* Is a "/dev/…" of this device in the list, with colons (bcachefs) between? By its name, or a mapper's. */
static bool pci_use_source(const char *source, const char *name, const char *mapper)
{
	while (*source) {
		size_t len = strcspn(source, ":");
		const char *base = source;

		for (size_t i = 0; i < len; i++)
			if (source[i] == '/')
				base = source + i + 1;
		len = (size_t)(source + len - base);
		if (!strncmp(source, "/dev/", 5) &&
		    ((strlen(name) == len && !memcmp(base, name, len)) ||
		     (mapper[0] && strlen(mapper) == len && !memcmp(base, mapper, len))))
			return true;
		source = base + len + (base[len] == ':');
	}
	return false;
}

static void pci_use_mounted(struct pci_use_blocks *b, const char *name, const char *label)
{
	char path[128], devno[32] = "", mapper[64] = "";

	snprintf(path, sizeof(path), "sys/class/block/%.40s/dev", name);
	hostfs_read(b->r->h, path, devno, sizeof(devno), NULL);
	snprintf(path, sizeof(path), "sys/class/block/%.40s/dm/name", name);
	if (hostfs_read(b->r->h, path, mapper, sizeof(mapper), NULL) < 0)
		mapper[0] = '\0';
	for (size_t i = 0; i < b->n_mounts; i++) {
		const struct pci_use_mount *m = &b->mounts[i];
		bool root = !strcmp(m->where, "/");

		if (!(devno[0] && !strcmp(m->devno, devno)) &&
		    !pci_use_source(m->source, name, mapper))
			continue;
		pci_use_add(b->r->uses, root ? PCI_USE_ROOT : PCI_USE_MOUNT, true, label,
			    root ? "" : m->where);
	}
	for (const char *line = b->swaps; line && *line;
	     line += strcspn(line, "\n"), line += !!*line) {
		char source[256];

		snprintf(source, sizeof(source), "%.*s", (int)MIN(strcspn(line, " \t\n"), 255u),
			 line);
		if (pci_use_source(source, name, mapper))
			pci_use_add(b->r->uses, PCI_USE_SWAP, true, label, "");
	}
}

static void pci_use_block(struct pci_use_blocks *b, const char *name);

/* sys/class/block/sda: its partitions are folders "sda1" */
static int pci_use_partition(void *arg, const char *entry)
{
	struct pci_use_blocks *b = arg;

	if (!strncmp(entry, b->name, strlen(b->name)))
		pci_use_block(b, entry);
	return 0;
}

static int pci_use_holder(void *arg, const char *entry)
{
	struct pci_use_blocks *b = arg;
	size_t at = strlen(b->holder);

	if (at + strlen(entry) + 2 < sizeof(b->holder))
		snprintf(b->holder + at, sizeof(b->holder) - at, "%s%s", at ? " " : "", entry);
	return 0;
}

struct pci_use_btrfs {
	struct pci_use_blocks *b;
	const char *name;
};

static int pci_use_btrfs_member(void *arg, const char *member)
{
	const struct pci_use_btrfs *f = arg;

	pci_use_mounted(f->b, member, f->name);
	return 0;
}

/* mountinfo names one disk of a file system on several. */
static int pci_use_btrfs(void *arg, const char *uuid)
{
	const struct pci_use_btrfs *f = arg;
	char path[160];
	AUTO_CLOSE int fd = -1;

	snprintf(path, sizeof(path), "sys/fs/btrfs/%.64s/devices/%.40s", uuid, f->name);
	fd = hostfs_open(f->b->r->h, path, O_PATH | O_NOFOLLOW, NULL);
	if (fd < 0)
		return 0;
	*strrchr(path, '/') = '\0';
	hostfs_each(f->b->r->h, path, pci_use_btrfs_member, arg, NULL);
	return 0;
}

static void pci_use_above(struct pci_use_blocks *b, const char *name, const char *holders)
{
	char list[sizeof(b->holder)], path[96];
	const char *outer = b->name;

	snprintf(list, sizeof(list), "%s", holders);
	for (char *at = list; *at;)
		pci_use_block(b, pci_use_word(&at));
	b->name = name;
	snprintf(path, sizeof(path), "sys/class/block/%.40s", name);
	hostfs_each(b->r->h, path, pci_use_partition, b, NULL);
	b->name = outer;
}

static void pci_use_block(struct pci_use_blocks *b, const char *name)
{
	struct pci_use_btrfs btrfs = { .b = b, .name = name };
	char path[96], holders[sizeof(b->holder)];

	if (strlen(name) >= sizeof(b->seen[0]))
		return;
	for (size_t i = 0; i < b->n_seen; i++)
		if (!strcmp(b->seen[i], name))
			return;
	if (b->n_seen == PCI_USE_SEEN) {
		b->r->uses->more = true;
		return;
	}
	btrfs.name = memcpy(b->seen[b->n_seen++], name, strlen(name) + 1);
	b->holder[0] = '\0';
	snprintf(path, sizeof(path), "sys/class/block/%.40s/holders", name);
	hostfs_each(b->r->h, path, pci_use_holder, b, NULL);
	snprintf(holders, sizeof(holders), "%s", b->holder);
	/* what stands on it has it open, whether it is mounted or not */
	pci_use_add(b->r->uses, PCI_USE_BLOCK, holders[0] != '\0', btrfs.name, holders);
	pci_use_mounted(b, btrfs.name, btrfs.name);
	hostfs_each(b->r->h, "sys/fs/btrfs", pci_use_btrfs, &btrfs, NULL);
	pci_use_above(b, btrfs.name, holders);
}

/* "nvme0" in sys/class/nvme-subsystem/nvme-subsys0: a controller by which its disks are reached */
static int pci_use_controller(void *arg, const char *name)
{
	struct pci_use_blocks *b = arg;
	struct pci_addr addr;
	char path[128];

	snprintf(path, sizeof(path), "sys/class/nvme-subsystem/%.40s/%.40s", b->name, name);
	b->found |=
		host_pci_of_link(b->r->h, path, &addr) >= 0 && !pci_addr_cmp(&addr, &b->r->f->addr);
	return 0;
}

/* With native multipath an NVMe disk hangs on its subsystem: ../../devices/virtual/nvme-subsystem/nvme-subsys0/nvme0n1 */
static bool pci_use_multipath(struct pci_use_blocks *b, const char *path)
{
	char target[512], subsystem[64], dir[128];
	const char *at;

	if (hostfs_readlink(b->r->h, path, target, sizeof(target), NULL) < 0)
		return false;
	at = strstr(target, "/nvme-subsystem/");
	if (!at)
		return false;
	at += strlen("/nvme-subsystem/");
	snprintf(subsystem, sizeof(subsystem), "%.*s", (int)MIN(strcspn(at, "/"), 40u), at);
	snprintf(dir, sizeof(dir), "sys/class/nvme-subsystem/%s", subsystem);
	b->name = subsystem;
	b->found = false;
	hostfs_each(b->r->h, dir, pci_use_controller, b, NULL);
	b->name = NULL;
	return b->found;
}

static int pci_use_class_block(void *arg, const char *name)
{
	struct pci_use_blocks *b = arg;
	struct pci_addr addr;
	char path[96];

	snprintf(path, sizeof(path), "sys/class/block/%.40s", name);
	if (host_pci_of_link(b->r->h, path, &addr) >= 0 ? !pci_addr_cmp(&addr, &b->r->f->addr)
							: pci_use_multipath(b, path))
		pci_use_block(b, name);
	return 0;
}

/* ZFS tells nobody on which disks it is: one that nothing else has may be its. */
static void pci_use_guess_zfs(struct pci_use_blocks *b)
{
	for (size_t i = 0; i < b->r->uses->n; i++)
		if (b->r->uses->uses[i].vital)
			return;
	if (b->zfs && b->n_seen)
		pci_use_add(b->r->uses, PCI_USE_BLOCK, true, b->seen[0], "a ZFS pool, perhaps");
}

int pci_use_read_blocks(const struct pci_use_reader *r, struct err *e)
{
	AUTO_FREE char *mounts = pci_use_file(r->h, "proc/self/mountinfo");
	AUTO_FREE char *swaps = pci_use_file(r->h, "proc/swaps");
	struct pci_use_blocks *b;
	int ret = 0;

	/* that no file system were mounted would be a dangerous mistake */
	if (!mounts)
		return err_set(e, EIO,
			       "cannot read '/proc/self/mountinfo', so it is not known what "
			       "the host has mounted");
	b = calloc(1, sizeof(*b));
	if (!b)
		return err_ret(e, -ENOMEM, "cannot read the mounted file systems");
	b->r = r;
	b->swaps = swaps;
	ret = pci_use_parse_mounts(b, mounts, e);
	if (ret >= 0) {
		hostfs_each(r->h, "sys/class/block", pci_use_class_block, b, NULL);
		pci_use_guess_zfs(b);
	}
	free(b->mounts);
	free(b);
	return ret;
}
