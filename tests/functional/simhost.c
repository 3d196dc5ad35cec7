// SPDX-License-Identifier: MIT
/* See simhost.h. */
#include "tests/functional/simhost.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tests/lib/tempdir.h"

#define SIMHOST_VFS 4

const char *simhost_root(struct harness *h)
{
	static char root[256];

	snprintf(root, sizeof(root), "%s/host", h->dir);
	return root;
}

static void simhost_run(struct harness *h, const char *input, struct harness_output *ret,
			const char *option, const char *more)
{
	char program[4096], root[256];
	char *argv[] = { program, (char *)option, root, (char *)more, NULL };

	harness_program("vmd-hostsim", program, sizeof(program));
	snprintf(root, sizeof(root), "%s", simhost_root(h));
	if (harness_run(input, ret, argv))
		fail_msg("vmd-hostsim %s: %s", option, ret->err);
}

struct json_object *simhost_step(struct harness *h, const char *step)
{
	static struct harness_output o;
	AUTO_JSON struct json_object *answer = NULL;
	char line[1024];

	snprintf(line, sizeof(line), "%s\n", step);
	for (char *p = line; *p; p++)
		*p = *p == '\'' ? '"' : *p;
	simhost_run(h, line, &o, "--sysroot", NULL);
	if (json_parse(o.out, strlen(o.out), &answer, NULL) < 0 || !json_get(answer, "result"))
		fail_msg("%s: %s", step, o.out);
	return json_object_get(json_get(answer, "result"));
}

void simhost_vfs(struct harness *h)
{
	json_object_put(simhost_step(h, "{'op':'link-up','pf':'0000:10:00.0'}"));
	json_object_put(
		simhost_step(h, "{'op':'vfs','pf':'0000:10:00.0','count':4,'autoprobe':true}"));
	json_object_put(
		simhost_step(h, "{'op':'vfs','pf':'0000:90:00.0','count':4,'autoprobe':false}"));
}

void simhost_new(struct harness *h, const char *pfs, const char *vfs, const char *nvmes)
{
	static struct harness_output o;
	char program[4096], root[256];
	char *argv[] = { program,	(char *)"--make",
			 root,		(char *)"--pfs",
			 (char *)pfs,	(char *)"--vfs",
			 (char *)vfs,	(char *)"--nvmes",
			 (char *)nvmes, NULL };

	harness_program("vmd-hostsim", program, sizeof(program));
	snprintf(root, sizeof(root), "%s", simhost_root(h));
	if (harness_run(NULL, &o, argv))
		fail_msg("vmd-hostsim --make: %s", o.err);
}

const char *simhost_make(struct harness *h)
{
	simhost_new(h, "1", "8", "1");
	simhost_vfs(h);
	return simhost_root(h);
}

void simhost_reboot(struct harness *h)
{
	static struct harness_output o;

	simhost_run(h, NULL, &o, "--reboot", NULL);
}

void simhost_renumber(struct harness *h)
{
	static struct harness_output o;

	simhost_run(h, NULL, &o, "--reboot", "--renumber");
}

void simhost_faults(struct harness *h, const char *faults)
{
	char text[512], path[300];
	int fd;

	snprintf(text, sizeof(text), "%s", faults[0] ? faults : "[]");
	for (char *p = text; *p; p++)
		*p = *p == '\'' ? '"' : *p;
	tempdir_file(h->dir, "host/sim/faults.json", text);
	/* who hangs reads a FIFO until something comes */
	snprintf(path, sizeof(path), "%s/sim/hang", simhost_root(h));
	fd = open(path, O_WRONLY | O_NONBLOCK | O_CLOEXEC);
	if (fd >= 0)
		close(fd);
}

const char *simhost_driver(struct harness *h, const char *pci)
{
	static char to[256];
	char path[300];
	ssize_t n;

	snprintf(path, sizeof(path), "%s/sys/bus/pci/devices/%s/driver", simhost_root(h), pci);
	n = readlink(path, to, sizeof(to) - 1);
	to[MAX(n, 0)] = '\0';
	return n < 0 ? "" : strrchr(to, '/') + 1;
}

/* --- all that has to be as it was ---------------------------------------------------------------- */

static void simhost_say(char *out, const char *text)
{
	size_t at = strlen(out);

	snprintf(out + at, SIMHOST_SNAPSHOT - at, "%s", text);
}

/* The first line of a file of "bus/pci/devices/…" or "class/net/…"; "" when there is none of that name. */
static const char *simhost_text(struct harness *h, const char *folder, const char *name,
				const char *file, char out[static 64])
{
	char path[600];
	int fd;
	ssize_t n;

	snprintf(path, sizeof(path), "%s/sys/%s/%s/%s", simhost_root(h), folder, name, file);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	n = fd < 0 ? 0 : read(fd, out, 63);
	out[MAX(n, 0)] = '\0';
	if (fd >= 0)
		close(fd);
	out[strcspn(out, "\n")] = '\0';
	return out;
}

static void simhost_say_device(struct harness *h, const char *pci, char *out)
{
	static const char folder[] = "bus/pci/devices";
	char line[1024], override[64], vfs[64], autoprobe[64];

	snprintf(line, sizeof(line), "%s driver '%s' override '%s' VFs '%s' probed '%s'\n", pci,
		 simhost_driver(h, pci), simhost_text(h, folder, pci, "driver_override", override),
		 simhost_text(h, folder, pci, "sriov_numvfs", vfs),
		 simhost_text(h, folder, pci, "sriov_drivers_autoprobe", autoprobe));
	simhost_say(out, line);
}

/* The PFs' interfaces; those of VFs are what their drivers make of them. */
static void simhost_say_link(struct harness *h, const char *netdev, char *out)
{
	char line[128], flags[64];

	snprintf(line, sizeof(line), "%s '%s'\n", netdev,
		 simhost_text(h, "class/net", netdev, "flags", flags));
	simhost_say(out, line);
}

static void simhost_say_vfs(struct harness *h, const char *op, const char *pf, char *out)
{
	for (int vf = 0; vf < SIMHOST_VFS; vf++) {
		AUTO_JSON struct json_object *o = NULL;
		char step[512];

		snprintf(step, sizeof(step), "%s/sys/bus/pci/devices/%s/virtfn%d", simhost_root(h),
			 pf, vf);
		if (access(step, F_OK))
			return;
		snprintf(step, sizeof(step), "{'op':'%s','pf':'%s','vf':%d}", op, pf, vf);
		o = simhost_step(h, step);
		simhost_say(out, json_object_to_json_string_ext(o, JSON_C_TO_STRING_PLAIN));
		simhost_say(out, "\n");
	}
}

void simhost_snapshot(struct harness *h, char out[static SIMHOST_SNAPSHOT])
{
	struct dirent **names;
	char path[300];
	int n;

	out[0] = '\0';
	snprintf(path, sizeof(path), "%s/sys/bus/pci/devices", simhost_root(h));
	n = scandir(path, &names, NULL, alphasort);
	for (int i = 0; i < n; i++) {
		if (names[i]->d_name[0] != '.')
			simhost_say_device(h, names[i]->d_name, out);
		free(names[i]);
	}
	if (n >= 0)
		free(names);
	simhost_say_link(h, "ens1", out);
	simhost_say_link(h, "ens2", out);
	simhost_say_vfs(h, "vf-get", "0000:10:00.0", out);
	simhost_say_vfs(h, "vf-get", "0000:20:00.0", out);
	simhost_say_vfs(h, "nvme-get", "0000:90:00.0", out);
}
