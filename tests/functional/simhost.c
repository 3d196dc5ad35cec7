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
	json_object_put(
		simhost_step(h, "{'op':'vfs','pf':'0000:10:00.0','count':4,'autoprobe':true}"));
	json_object_put(
		simhost_step(h, "{'op':'vfs','pf':'0000:90:00.0','count':4,'autoprobe':false}"));
}

const char *simhost_make(struct harness *h)
{
	static struct harness_output o;
	char program[4096], root[256];
	char *argv[] = { program,     (char *)"--make",
			 root,	      (char *)"--pfs",
			 (char *)"1", (char *)"--vfs",
			 (char *)"8", (char *)"--nvmes",
			 (char *)"1", NULL };

	harness_program("vmd-hostsim", program, sizeof(program));
	snprintf(root, sizeof(root), "%s", simhost_root(h));
	if (harness_run(NULL, &o, argv))
		fail_msg("vmd-hostsim --make: %s", o.err);
	simhost_vfs(h);
	return simhost_root(h);
}

void simhost_reboot(struct harness *h)
{
	static struct harness_output o;

	simhost_run(h, NULL, &o, "--reboot", NULL);
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

static void simhost_say_device(struct harness *h, const char *pci, char *out)
{
	char path[600], line[900], override[64] = "";
	int fd;
	ssize_t n;

	snprintf(path, sizeof(path), "%s/sys/bus/pci/devices/%s/driver_override", simhost_root(h),
		 pci);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	n = fd < 0 ? 0 : read(fd, override, sizeof(override) - 1);
	override[MAX(n, 0)] = '\0';
	if (fd >= 0)
		close(fd);
	override[strcspn(override, "\n")] = '\0';
	snprintf(line, sizeof(line), "%s driver '%s' override '%s'\n", pci, simhost_driver(h, pci),
		 override);
	simhost_say(out, line);
}

static void simhost_say_vfs(struct harness *h, const char *op, const char *pf, char *out)
{
	for (int vf = 0; vf < SIMHOST_VFS; vf++) {
		AUTO_JSON struct json_object *o = NULL;
		char step[128];

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
	simhost_say_vfs(h, "vf-get", "0000:10:00.0", out);
	simhost_say_vfs(h, "nvme-get", "0000:90:00.0", out);
}
