// SPDX-License-Identifier: MIT
/*
 * vmctl display: where viewers of a VM's screen connect; or one of this host's viewers in the place of vmctl, which it finds in
 * PATH. What vmd says is an address, and becomes a single argument.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lib/errcat.h"
#include "vmctl/vmctl.h"

#define DISPLAY_VIEWER "VMCTL_VIEWER"

/* Those that take a path for a socket, the best known first; an address as each of them wants it. */
static const struct {
	const char *name, *socket, *tcp;
} display_viewers[] = {
	{ "remote-viewer", "vnc+unix://%s", "vnc://%s" },
	{ "vncviewer", "%s", "%s" },
	{ "xtigervncviewer", "%s", "%s" },
	{ "gvncviewer", NULL, "%s" },
};

static int display_argument(const char *format, struct json_object *r, char *out, size_t size)
{
	const char *address = json_get_str(r, "address", ""), *slot = strstr(format, "%s");
	const char *colon = strrchr(address, ':');
	int n;

	/* HOST:N is a display to some of them, HOST::PORT a port to all of those */
	if (json_get(r, "port") && !strncmp(format, "%s", 2) && colon)
		n = snprintf(out, size, "%.*s:%s", (int)(colon - address), address, colon);
	else
		n = snprintf(out, size, "%.*s%s%s", (int)(slot - format), format, address,
			     slot + 2);
	return n < (int)size ? 0 : -ENAMETOOLONG;
}

/* Comes back only when there is none. */
static void display_run(const char *viewer, const char *format, struct json_object *r)
{
	char argument[400];
	char *argv[] = { (char *)viewer, argument, NULL };

	if (display_argument(format, r, argument, sizeof(argument)) >= 0)
		execvp(viewer, argv);
	else
		errno = ENAMETOOLONG;
}

static void display_warn(struct json_object *r)
{
	if (strcmp(json_get_str(r, "state", ""), "up") != 0)
		fprintf(stderr, "vmctl: nobody answers there now: vmctl events tells why\n");
}

static int display_open(struct vmctl *v, struct json_object *r)
{
	bool socket = json_get(r, "path") != NULL;
	const char *chosen = getenv(DISPLAY_VIEWER);
	struct err e;

	fflush(v->out.out);
	display_warn(r);
	if (chosen && *chosen) {
		display_run(chosen, "%s", r);
		err_set(&e, ERR_FAILED, "'%s': %s", chosen, strerror(errno));
		err_hint(&e, DISPLAY_VIEWER " names a program, by its path or in PATH");
		return vmctl_fail(v, &e, NULL, "start a viewer");
	}
	for (size_t i = 0; i < ARRAY_SIZE(display_viewers); i++) {
		const char *format = socket ? display_viewers[i].socket : display_viewers[i].tcp;

		if (format)
			display_run(display_viewers[i].name, format, r);
	}
	err_set(&e, ERR_FAILED, "there is no viewer in PATH");
	err_hint(&e,
		 "install one (tigervnc-viewer, virt-viewer), or name yours in " DISPLAY_VIEWER);
	return vmctl_fail(v, &e, NULL, "start a viewer");
}

static void display_print(struct vmctl *v, struct json_object *r)
{
	char address[300];

	if (v->out.format == OUTPUT_JSON) {
		output_json(&v->out, "display", r);
		return;
	}
	snprintf(address, sizeof(address), "%s", json_get_str(r, "address", "?"));
	output_clean(address);
	fprintf(v->out.out, "%s\n", address);
	display_warn(r);
}

int cmd_display(struct vmctl *v)
{
	struct client_reply reply;
	char op[100];
	int status;

	snprintf(op, sizeof(op), "find the display of '%.60s'", v->args.operands[0]);
	status = vmctl_call(v, "vm.display", json_add_str(json_new(), "vm", v->args.operands[0]),
			    &reply, op);
	if (status == EXIT_OK && args_flag(&v->args, "open"))
		status = display_open(v, reply.result);
	else if (status == EXIT_OK)
		display_print(v, reply.result);
	client_reply_fini(&reply);
	return status;
}
