// SPDX-License-Identifier: MIT
/* vmd's command line, by a table: see options.h. */
#include "vmd/options.h"

#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lib/json.h"
#include "vmd/logfile.h"

#define OPTIONS_STEP_MS 30000
/* above all that systemd.io/UIDS-GIDS lists */
#define OPTIONS_UID_FIRST 1879048192u
#define OPTIONS_UID_LAST 1879113727u

static int options_text(const char **ret, const char *value)
{
	*ret = value;
	return 0;
}

static int options_socket(struct options *o, const char *value)
{
	return options_text(&o->daemon.socket, value);
}

static int options_ro_socket(struct options *o, const char *value)
{
	return options_text(&o->daemon.ro_socket, value);
}

static int options_admin_group(struct options *o, const char *value)
{
	return options_text(&o->daemon.groups[ROLE_ADMIN], value);
}

static int options_operator_group(struct options *o, const char *value)
{
	return options_text(&o->daemon.groups[ROLE_OPERATOR], value);
}

static int options_viewer_group(struct options *o, const char *value)
{
	return options_text(&o->daemon.groups[ROLE_VIEWER], value);
}

static int options_state_dir(struct options *o, const char *value)
{
	return options_text(&o->daemon.state_dir, value);
}

static int options_run_dir(struct options *o, const char *value)
{
	return options_text(&o->daemon.run_dir, value);
}

static int options_sysroot(struct options *o, const char *value)
{
	return options_text(&o->daemon.sysroot, value);
}

static int options_vmm(struct options *o, const char *value)
{
	return options_text(&o->daemon.vmm, value);
}

static int options_display(struct options *o, const char *value)
{
	return options_text(&o->daemon.display, value);
}

static int options_cgroup(struct options *o, const char *value)
{
	if (value[0] != '/' && strcmp(value, "none") && strcmp(value, "systemd"))
		return -EINVAL;
	return options_text(&o->daemon.cgroup, value);
}

static int options_check(struct options *o, const char *value)
{
	return options_text(&o->check, value);
}

static int options_log_level(struct options *o, const char *value)
{
	return log_level_parse(value, &o->daemon.log_level);
}

static int options_step_timeout(struct options *o, const char *value)
{
	char *end;
	double seconds = strtod(value, &end);

	if (*end || end == value || !(seconds > 0) || seconds > 3600)
		return -EINVAL;
	o->daemon.step_timeout_ms = (unsigned int)(seconds * 1000);
	return 0;
}

static int options_log_size(struct options *o, const char *value)
{
	uint64_t size;

	if (json_size_parse(value, &size) < 0 || size < LOGFILE_SIZE_MIN || size > LOGFILE_SIZE_MAX)
		return -EINVAL;
	o->daemon.log_size = (size_t)size;
	return 0;
}

static int options_monitor_uids(struct options *o, const char *value)
{
	unsigned long long first, last;
	int end = 0;

	/* 0 is root, and the largest number is none */
	if (sscanf(value, "%llu-%llu%n", &first, &last, &end) != 2 || value[end] ||
	    strspn(value, "0123456789-") != strlen(value) || !first || first > last ||
	    last >= UINT32_MAX)
		return -EINVAL;
	o->daemon.monitor_uid_first = (uid_t)first;
	o->daemon.monitor_uid_last = (uid_t)last;
	return 0;
}

static int options_seccomp(struct options *o, const char *value)
{
	static const char *const modes[] = { "kill", "errno", "log", "off" };

	for (size_t i = 0; i < ARRAY_SIZE(modes); i++)
		if (!strcmp(modes[i], value))
			return options_text(&o->daemon.seccomp, modes[i]);
	return -EINVAL;
}

static int options_policy(struct options *o, const char *value)
{
	return options_text(&o->daemon.policy, value);
}

static int options_foreground(struct options *o, const char *value)
{
	(void)value;
	o->foreground = true;
	return 0;
}

static int options_version(struct options *o, const char *value)
{
	(void)value;
	o->version = true;
	return 0;
}

static int options_want_help(struct options *o, const char *value)
{
	(void)value;
	o->help = true;
	return 0;
}

static const struct {
	const char *name, *value, *what;
	int (*set)(struct options *o, const char *value);
} options_table[] = {
	{ "socket", "PATH", "listen here (/run/vmd/vmd.sock)", options_socket },
	{ "ro-socket", "PATH", "and here, for what changes nothing (beside the other: vmd-ro.sock)",
	  options_ro_socket },
	{ "admin-group", "GROUP", "may do all (vmd)", options_admin_group },
	{ "operator-group", "GROUP", "may have VMs of their own (vmd-operator)",
	  options_operator_group },
	{ "viewer-group", "GROUP", "may look (vmd-viewer)", options_viewer_group },
	{ "state-dir", "DIR", "the database (/var/lib/vmd)", options_state_dir },
	{ "run-dir", "DIR", "what lives as long as a VM runs (/run/vmd)", options_run_dir },
	{ "cgroup", "PATH|none|systemd", "VMs' control groups go there", options_cgroup },
	{ "sysroot", "DIR", "read /sys, /proc and /dev below DIR (/)", options_sysroot },
	{ "policy", "FILE", "what no VM may have, and what one may (/etc/vmd/policy.yaml)",
	  options_policy },
	{ "check", "FILE", "check a VM file, and end", options_check },
	{ "foreground", NULL, "stay attached; log to standard error", options_foreground },
	{ "vmm", "PATH", "the monitor to run", options_vmm },
	{ "display", "PATH", "what shows a screen to viewers", options_display },
	{ "step-timeout", "SECONDS", "for a monitor to answer (30; short calls at most 10)",
	  options_step_timeout },
	{ "console-log-size", "SIZE", "of each log of a VM: 128KiB to 1GiB (1MiB)",
	  options_log_size },
	{ "monitor-uids", "FIRST-LAST", "each monitor's own user (1879048192-1879113727)",
	  options_monitor_uids },
	{ "seccomp", "MODE", "a monitor's forbidden call: kill, errno, log or off (kill)",
	  options_seccomp },
	{ "log-level", "LEVEL", "error, warn, info or debug (info)", options_log_level },
	{ "version", NULL, "print the version, and end", options_version },
	{ "help", NULL, "print this, and end", options_want_help },
};

void options_help(void)
{
	printf("usage: vmd [OPTION]...\nKeeps virtual machines and runs them; vmctl speaks to "
	       "it.\n");
	for (size_t i = 0; i < ARRAY_SIZE(options_table); i++) {
		char left[40];

		snprintf(left, sizeof(left), "--%s%s%s", options_table[i].name,
			 options_table[i].value ? " " : "",
			 options_table[i].value ? options_table[i].value : "");
		printf("  %-24s %s\n", left, options_table[i].what);
	}
}

/* Beside vmd in the build tree (bin/vmd, bin/vmm); else as installed (sbin/vmd, libexec/vmd/vmm). */
static const char *options_find(const char *name, char *out, size_t size)
{
	char self[3072];
	ssize_t n = readlink("/proc/self/exe", self, sizeof(self) - 1);
	char *slash;

	self[MAX(n, 0)] = '\0';
	slash = strrchr(self, '/');
	if (slash)
		*slash = '\0';
	snprintf(out, size, "%s/%s", self, name);
	if (access(out, X_OK) < 0)
		snprintf(out, size, "%s/../libexec/vmd/%s", self, name);
	return out;
}

/* Who writes to the host: where that is a tree of files, a program that does to it what a kernel would. */
static const char *options_find_hostio(struct options *o)
{
	bool host = !strcmp(o->daemon.sysroot, "/");

	return options_find(host ? "vmd-hostio" : "vmd-hostsim", o->hostio_path,
			    sizeof(o->hostio_path));
}

int options_parse(struct options *o, int argc, char **argv, struct err *e)
{
	struct option table[ARRAY_SIZE(options_table) + 1] = { 0 };
	int c, index = 0;

	*o = (struct options){ .daemon = { .socket = "/run/vmd/vmd.sock",
					   .state_dir = "/var/lib/vmd",
					   .run_dir = "/run/vmd",
					   .sysroot = "/",
					   .step_timeout_ms = OPTIONS_STEP_MS,
					   .log_size = LOGFILE_SIZE_DEFAULT,
					   .log_level = LOG_LEVEL_INFO,
					   .seccomp = "kill",
					   .monitor_uid_first = OPTIONS_UID_FIRST,
					   .monitor_uid_last = OPTIONS_UID_LAST } };
	for (size_t i = 0; i < ARRAY_SIZE(options_table); i++)
		table[i] = (struct option){ .name = options_table[i].name,
					    .has_arg = options_table[i].value != NULL,
					    .val = 1 };
	opterr = 0;
	while ((c = getopt_long(argc, argv, "", table, &index)) != -1) {
		if (c == '?')
			return err_set(e, EINVAL, "unknown option, or one without its value: '%s'",
				       argv[optind - 1]);
		if (options_table[index].set(o, optarg) < 0)
			return err_set(e, EINVAL, "--%s: '%s' is no %s", options_table[index].name,
				       optarg, options_table[index].value);
	}
	if (optind < argc)
		return err_set(e, EINVAL, "unexpected argument '%s'", argv[optind]);
	if (!o->daemon.vmm)
		o->daemon.vmm = options_find("vmm", o->vmm_path, sizeof(o->vmm_path));
	if (!o->daemon.display)
		o->daemon.display =
			options_find("vmm-display", o->display_path, sizeof(o->display_path));
	o->daemon.hostio = options_find_hostio(o);
	return 0;
}
