// SPDX-License-Identifier: MIT
/* Steps that change nothing: who holds a device, and is it as it should be. */
#include <ctype.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "hostio/step.h"
#include "lib/auto.h"
#include "lib/errcat.h"

#define LOOK_HOLDERS_MAX 16
#define LOOK_PATHS_MAX 8
#define LOOK_VFS_MAX 65535

/* What an open file of the device can be called. */
struct look {
	struct kernel *k;
	char paths[LOOK_PATHS_MAX][STEP_NAME]; /* below /dev, whole */
	size_t n_paths;
	char folder[STEP_NAME];	     /* "/0000:3b:00.0/": a part of its paths in sysfs */
	char link[STEP_NAME];	     /* "/0000:3b:00.0": their end */
	struct json_object *holders; /* owned */
	const char *pid;	     /* borrowed: the process that is looked at */
};

static void look_add_path(struct look *l, const char *folder, const char *name)
{
	if (name[0] && l->n_paths < LOOK_PATHS_MAX)
		snprintf(l->paths[l->n_paths++], STEP_NAME, "/dev/%s%.40s", folder, name);
}

static int look_add_block(void *arg, const char *name)
{
	look_add_path(arg, "", name);
	return 0;
}

/* Its namespaces are below the controller: "nvme/nvme0/nvme0n1". */
static int look_add_nvme(void *arg, const char *name)
{
	if (strchr(name, 'n') && isdigit((unsigned char)name[strlen(name) - 1]) &&
	    strncmp(name, "ng", 2))
		look_add_path(arg, "", name);
	return 0;
}

static void look_paths(struct look *l)
{
	const char *pci = l->k->device;
	char name[STEP_NAME], path[STEP_PATH], below[STEP_NAME + 8];

	step_link_name(l->k, pci, "iommu_group", name);
	look_add_path(l, "vfio/", name);
	step_first_name(l->k, pci, "vfio-dev", name);
	look_add_path(l, "vfio/devices/", name);
	step_first_name(l->k, pci, "nvme", name);
	look_add_path(l, "", name);
	if (name[0]) {
		snprintf(below, sizeof(below), "nvme/%.40s", name);
		hostfs_each(&l->k->fs, step_path(pci, below, path), look_add_nvme, l, NULL);
	}
	hostfs_each(&l->k->fs, step_path(pci, "block", path), look_add_block, l, NULL);
	snprintf(l->folder, sizeof(l->folder), "/%s/", pci);
	snprintf(l->link, sizeof(l->link), "/%s", pci);
}

static bool look_matches(const struct look *l, const char *path)
{
	size_t len = strlen(path), end = strlen(l->link);

	for (size_t i = 0; i < l->n_paths; i++)
		if (!strcmp(path, l->paths[i]))
			return true;
	return strstr(path, "/sys/") &&
	       (strstr(path, l->folder) || (len > end && !strcmp(path + len - end, l->link)));
}

static int look_fd(void *arg, const char *fd)
{
	struct look *l = arg;
	char path[STEP_PATH], to[512], comm[STEP_NAME] = "";
	struct json_object *holder;

	snprintf(path, sizeof(path), "proc/%s/fd/%.32s", l->pid, fd);
	if (hostfs_readlink(&l->k->fs, path, to, sizeof(to), NULL) < 0 || !look_matches(l, to))
		return 0;
	snprintf(path, sizeof(path), "proc/%s/comm", l->pid);
	hostfs_read(&l->k->fs, path, comm, sizeof(comm), NULL);
	holder = json_add_int(json_new(), "pid", atoi(l->pid));
	json_add_str(json_add_str(holder, "comm", comm), "path", to);
	json_object_array_add(l->holders, holder);
	return -EEXIST; /* one file of a process is enough */
}

static int look_process(void *arg, const char *name)
{
	struct look *l = arg;
	char path[STEP_PATH];

	if (strspn(name, "0123456789") != strlen(name) || strlen(name) > 10 ||
	    (l->k->fs.host && atoi(name) == getpid()))
		return 0;
	l->pid = name;
	snprintf(path, sizeof(path), "proc/%s/fd", name);
	hostfs_each(&l->k->fs, path, look_fd, l, NULL);
	return json_object_array_length(l->holders) < LOOK_HOLDERS_MAX ? 0 : -ENOSPC;
}

int step_holders(struct kernel *k, struct json_object *step, struct json_object **ret_result,
		 struct err *e)
{
	struct look l = { .k = k, .holders = json_object_new_array() };

	(void)step;
	(void)e;
	look_paths(&l);
	/* a process that goes meanwhile is none; more than enough is enough */
	hostfs_each(&k->fs, "proc", look_process, &l, NULL);
	*ret_result = json_add(json_new(), "holders", l.holders);
	return 0;
}

/* What is not as it should be, in words with ", " between them. */
struct look_list {
	char text[384];
	size_t len;
};

static void look_say(struct look_list *list, const char *fmt, ...) PRINTF_LIKE(2, 3);
static void look_say(struct look_list *list, const char *fmt, ...)
{
	va_list ap;
	int n = snprintf(list->text + list->len, sizeof(list->text) - list->len, "%s",
			 list->len ? ", " : "");

	list->len = MIN(list->len + (size_t)MAX(n, 0), sizeof(list->text) - 1);
	va_start(ap, fmt);
	n = vsnprintf(list->text + list->len, sizeof(list->text) - list->len, fmt, ap);
	va_end(ap);
	list->len = MIN(list->len + (size_t)MAX(n, 0), sizeof(list->text) - 1);
}

static int look_vf(struct kernel *k, struct json_object *step, struct look_list *list,
		   struct err *e)
{
	struct vf want, now = { 0 };
	struct pci_addr addr;
	char pf[PCI_ADDR_SIZE], have[96], should[96];
	const char *text;
	unsigned int n = 0;
	int ret = step_str(step, "pf", &text, e);

	if (ret >= 0)
		ret = pci_addr_parse(text, &addr, e);
	if (ret >= 0)
		ret = step_uint(step, "vf", LOOK_VFS_MAX, &n, e);
	if (ret >= 0)
		ret = step_vf_read(k, pci_addr_format(&addr, pf), n, &now, e);
	if (ret >= 0)
		ret = vf_parse(json_get(step, "set"), &now, &want, e);
	for (enum vf_part part = 0; ret >= 0 && part < VF_PARTS; part++)
		if ((want.has & now.has & BIT(part)) && !vf_part_equal(part, &want, &now))
			look_say(list, "%s instead of %s",
				 vf_part_text(part, &now, have, sizeof(have)),
				 vf_part_text(part, &want, should, sizeof(should)));
	return ret;
}

int step_clean(struct kernel *k, struct json_object *step, struct json_object **ret_result,
	       struct err *e)
{
	struct look_list list = { .len = 0 };
	char driver[STEP_NAME], override[STEP_NAME];
	const char *want;
	int ret = step_str(step, "driver", &want, e);

	(void)ret_result;
	if (ret < 0)
		return ret;
	step_driver_name(k, k->device, driver);
	if (strcmp(driver, want))
		look_say(&list, "%s%s instead of %s%s", driver[0] ? "driver " : "no driver", driver,
			 want[0] ? "driver " : "none", want);
	step_override(k, k->device, override);
	if (override[0])
		look_say(&list, "driver_override %s instead of none", override);
	if (!step_config_answers(k, k->device))
		look_say(&list, "configuration space does not answer");
	if (json_get(step, "set"))
		ret = look_vf(k, step, &list, e);
	if (ret < 0 || !list.len)
		return ret;
	return err_set(e, ERR_HOST_UNCLEAN, "%s is not clean: %s", k->device, list.text);
}
