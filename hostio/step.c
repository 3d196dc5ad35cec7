// SPDX-License-Identifier: MIT
/* Steps: the table of them, their lines, and what they share. See step.h. */
#include "hostio/step.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <time.h>
#include <unistd.h>

#include "lib/auto.h"
#include "lib/errcat.h"
#include "lib/fdio.h"

const char *step_path(const char *pci, const char *name, char out[static STEP_PATH])
{
	snprintf(out, STEP_PATH, "sys/bus/pci/devices/%s%s%s", pci, name[0] ? "/" : "", name);
	return out;
}

int step_str(struct json_object *step, const char *key, const char **ret_text, struct err *e)
{
	struct json_object *value = json_get(step, key);

	if (!json_object_is_type(value, json_type_string) ||
	    json_object_get_string_len(value) >= STEP_NAME)
		return err_set(e, EINVAL, "a step '%s' needs a string '%s' of less than %d bytes",
			       json_get_str(step, "op", ""), key, STEP_NAME);
	*ret_text = json_object_get_string(value);
	return 0;
}

int step_uint(struct json_object *step, const char *key, unsigned int most, unsigned int *ret_value,
	      struct err *e)
{
	int64_t n;

	if (!json_int(json_get(step, key), &n) || n < 0 || n > most)
		return err_set(e, EINVAL, "a step '%s' needs a number '%s' from 0 to %u",
			       json_get_str(step, "op", ""), key, most);
	*ret_value = (unsigned int)n;
	return 0;
}

static int step_gone(const char *pci, struct err *e)
{
	err_set(e, ERR_HOST_GONE, "the host has no PCI device %s", pci);
	return err_hint(e, "vmctl pci list shows what is there");
}

static bool step_exists(struct kernel *k, const char *path)
{
	int fd = hostfs_open(&k->fs, path, O_PATH, NULL);

	if (fd >= 0)
		close(fd);
	return fd >= 0;
}

int step_write(struct kernel *k, const char *pci, const char *name, const char *text, struct err *e)
{
	char path[STEP_PATH], device[STEP_PATH];
	struct err why = { 0 };
	int ret;

	/* "/drivers_probe" is the bus's, all else the device's */
	if (name[0] == '/')
		snprintf(path, sizeof(path), "sys/bus/pci%s", name);
	else
		step_path(pci, name, path);
	ret = k->ops->write(k, path, text, &why);
	if (ret >= 0)
		return 0;
	if (!step_exists(k, step_path(pci, "", device)))
		return step_gone(pci, e);
	if (ret == -EACCES || ret == -EPERM || ret == -EROFS) {
		err_set(e, ERR_DENIED, "%s", why.msg);
		return err_hint(e,
				"vmd must run as root, with /sys writable (ReadWritePaths=/sys/bus "
				"/sys/devices in its unit)");
	}
	err_set(e, ERR_HOST_WRITE, "%s", why.msg);
	return err_hint(e, "the kernel's log may say more: dmesg | grep %s", pci);
}

void step_link_name(struct kernel *k, const char *pci, const char *name, char out[static STEP_NAME])
{
	char path[STEP_PATH], to[1024];
	const char *last;

	out[0] = '\0';
	if (hostfs_readlink(&k->fs, step_path(pci, name, path), to, sizeof(to), NULL) < 0)
		return;
	last = strrchr(to, '/') ? strrchr(to, '/') + 1 : to;
	snprintf(out, STEP_NAME, "%.*s", STEP_NAME - 1, last);
}

static int step_take_first(void *arg, const char *name)
{
	char *first = arg;

	if (!first[0] || strcmp(name, first) < 0)
		snprintf(first, STEP_NAME, "%s", name);
	return 0;
}

void step_first_name(struct kernel *k, const char *pci, const char *name,
		     char out[static STEP_NAME])
{
	char path[STEP_PATH];

	out[0] = '\0';
	hostfs_each(&k->fs, step_path(pci, name, path), step_take_first, out, NULL);
}

void step_driver_name(struct kernel *k, const char *pci, char out[static STEP_NAME])
{
	step_link_name(k, pci, "driver", out);
}

void step_override(struct kernel *k, const char *pci, char out[static STEP_NAME])
{
	char path[STEP_PATH];

	if (hostfs_read(&k->fs, step_path(pci, "driver_override", path), out, STEP_NAME, NULL) <
		    0 ||
	    !strcmp(out, "(null)"))
		out[0] = '\0';
}

bool step_config_answers(struct kernel *k, const char *pci)
{
	char path[STEP_PATH];
	AUTO_CLOSE int fd = hostfs_open(&k->fs, step_path(pci, "config", path), O_RDONLY, NULL);
	uint32_t class;

	return fd >= 0 && fdio_pread(fd, &class, sizeof(class), 8) == sizeof(class) &&
	       class != UINT32_MAX;
}

int64_t step_now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

bool step_pause(int64_t until_ms, unsigned int ms)
{
	int64_t left = until_ms - step_now_ms();

	if (left <= 0)
		return false;
	/* sysfs tells nobody of new links, and a driver does not say when it is free */
	poll(NULL, 0, (int)MIN(left, (int64_t)ms));
	return true;
}

int step_netdev(struct kernel *k, const char *pf, char out[static STEP_NAME], struct err *e)
{
	char driver[STEP_NAME];

	step_first_name(k, pf, "net", out);
	if (out[0])
		return 0;
	step_driver_name(k, pf, driver);
	err_set(e, ERR_HOST_WRITE, "%s has no network interface, by which its VFs would be set up",
		pf);
	if (!driver[0])
		return err_hint(e, "it has no driver: bind the one of the PF");
	return err_hint(e,
			"driver %s gives it none, or it is in another network namespace than vmd's",
			driver);
}

static const struct step_row {
	const char *op;
	int (*run)(struct kernel *k, struct json_object *step, struct json_object **ret_result,
		   struct err *e);
	bool pf;      /* names its device by "pf" */
	bool changes; /* something of the host */
} step_table[] = {
	{ "clean", step_clean, false, false },	   { "driver", step_driver, false, true },
	{ "holders", step_holders, false, false }, { "link-down", step_link_down, true, true },
	{ "link-up", step_link_up, true, true },   { "nvme-get", step_nvme_get, true, false },
	{ "nvme-vf", step_nvme_vf, true, true },   { "reset", step_reset, false, true },
	{ "vf-get", step_vf_get, true, false },	   { "vf-macs", step_vf_macs, true, false },
	{ "vf-set", step_vf_set, true, true },	   { "vfs", step_vfs, true, true },
};

/*
 * The lock came when others had it before: by then whoever sent this step may be gone, and its successor has
 * undone what was written down. Such a step is not begun any more.
 */
static int step_still_wanted(struct kernel *k, struct err *e)
{
	struct pollfd in = { .fd = STDIN_FILENO };

	if (!k->parent)
		return 0;
	if (getppid() != k->parent || (poll(&in, 1, 0) > 0 && (in.revents & (POLLHUP | POLLERR))))
		return err_set(e, ECANCELED, "the vmd that asked for it is gone");
	return 0;
}

/* The folder of the device, locked when the step changes it. */
static int step_open_device(struct kernel *k, const struct step_row *row, const char *pci,
			    struct err *e)
{
	AUTO_CLOSE int fd = -1;
	char path[STEP_PATH];
	int ret;

	fd = hostfs_open(&k->fs, step_path(pci, "", path), O_RDONLY | O_DIRECTORY, e);
	if (fd == -ENOENT)
		return step_gone(pci, e);
	if (fd < 0 || !row->changes)
		return fd < 0 ? fd : TAKE_FD(fd);
	do {
		ret = flock(fd, LOCK_EX);
	} while (ret < 0 && errno == EINTR);
	if (ret < 0)
		return err_errno(e, "cannot lock '/%s'", path);
	ret = step_still_wanted(k, e);
	return ret < 0 ? ret : TAKE_FD(fd);
}

int step_run(struct kernel *k, struct json_object *step, struct json_object **ret_result,
	     struct err *e)
{
	const struct step_row *row = NULL;
	struct pci_addr addr;
	char pci[PCI_ADDR_SIZE];
	AUTO_CLOSE int device = -1;
	const char *op = "", *text;
	int ret = step_str(step, "op", &op, e);

	if (ret < 0)
		return ret;
	for (size_t i = 0; i < ARRAY_SIZE(step_table); i++)
		if (!strcmp(op, step_table[i].op))
			row = &step_table[i];
	if (!row)
		return err_set(e, EINVAL, "there is no step '%s'", op);
	ret = step_str(step, row->pf ? "pf" : "pci", &text, e);
	if (ret >= 0)
		ret = pci_addr_parse(text, &addr, e);
	if (ret < 0)
		return ret;
	k->op = op;
	k->device = pci_addr_format(&addr, pci);
	device = step_open_device(k, row, pci, e);
	return device < 0 ? device : row->run(k, step, ret_result, e);
}
