// SPDX-License-Identifier: MIT
/* One run of vmctl: see vmctl.h. Everything but main(), so that tests can call it with their own streams. */
#include "vmctl/vmctl.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lib/auto.h"
#include "lib/errcat.h"
#include "vmctl/commands.h"
#include "vmctl/complete.h"
#include "vmctl/help.h"

static const char *const vmctl_unless[] = { "help", "version", NULL };

int vmctl_connect(struct vmctl *v)
{
	struct err e;

	if (v->connected)
		return EXIT_OK;
	if (client_open(&v->client, v->socket, &e) < 0)
		return vmctl_fail(v, &e, NULL, "%s", "");
	v->connected = true;
	return EXIT_OK;
}

const char *vmctl_schema(const struct vmctl *v, char *out, size_t out_size)
{
	const struct command *c = v->args.command;

	snprintf(out, out_size, "%s%s%s", c->group ? c->group : "", c->group ? "." : "", c->name);
	return out;
}

int vmctl_fail(struct vmctl *v, const struct err *e, const struct client_reply *reply,
	       const char *op_fmt, ...)
{
	struct json_object *error = reply ? reply->error : NULL;
	char op[160], schema[32];
	va_list ap;

	/* a vmd that ends says so to who waits, or just closes the connection */
	if (v->resumes && v->connected && e->code != EINTR &&
	    (e->code == ERR_CANCELLED || !v->client.open)) {
		v->lost = *e;
		return VMCTL_LOST;
	}
	if (e->code == EINTR) {
		if (v->args.command->access == COMMAND_WRITE)
			output_note(&v->out, "vmctl: interrupted; the %s goes on in vmd",
				    v->args.command->name);
		return VMCTL_EXIT_INTERRUPTED;
	}
	va_start(ap, op_fmt);
	vsnprintf(op, sizeof(op), op_fmt, ap);
	va_end(ap);
	output_error(&v->out, e, json_get_str(json_get(error, "data"), "name", NULL),
		     op[0] ? op : NULL);
	if (v->out.format == OUTPUT_JSON) {
		AUTO_JSON struct json_object *body =
			json_add(json_new(), "error", output_error_json(e, error));

		output_json(&v->out, vmctl_schema(v, schema, sizeof(schema)), body);
	}
	return errcat_find(e->code)->exit;
}

int vmctl_add_path(struct vmctl *v, struct json_object *o, const char *path, const char *op)
{
	AUTO_FREE char *cwd = path[0] == '/' ? NULL : getcwd(NULL, 0);
	struct err e;

	if (path[0] != '/' && !cwd) {
		err_errno(&e, "cannot find the current folder");
		return vmctl_fail(v, &e, NULL, "%s '%s'", op, path);
	}
	json_add_fmt(o, "path", "%s%s%s", cwd ? cwd : "", cwd ? "/" : "", path);
	return EXIT_OK;
}

int vmctl_usage(struct vmctl *v, const char *fmt, ...)
{
	struct err e = { .code = EINVAL };
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(e.msg, sizeof(e.msg), fmt, ap);
	va_end(ap);
	output_usage_error(&v->out, &e);
	return EXIT_USAGE;
}

int vmctl_call(struct vmctl *v, const char *method, struct json_object *take_params,
	       struct client_reply *ret, const char *op)
{
	struct err e;
	int status;

	*ret = (struct client_reply){ 0 };
	status = vmctl_connect(v);
	if (status != EXIT_OK) {
		json_object_put(take_params);
		return status;
	}
	if (client_call(&v->client, method, take_params, ret, &e) < 0)
		return vmctl_fail(v, &e, ret, "%s", op);
	return EXIT_OK;
}

int vmctl_resume(struct vmctl *v)
{
	struct err e;

	output_note(&v->out, "vmctl: %s; waiting for the next one for %d s", v->lost.msg,
		    VMCTL_RESUME_MS / 1000);
	v->connected = client_reopen(&v->client, VMCTL_RESUME_MS, &e) >= 0;
	if (!v->connected)
		return vmctl_fail(v, &e, NULL, "%s", "");
	output_note(&v->out, "vmctl: vmd is there again");
	return EXIT_OK;
}

int vmctl_must_ask(struct vmctl *v, bool *ret_ask)
{
	*ret_ask = v->args.command->ask && !args_flag(&v->args, "yes") &&
		   !args_flag(&v->args, "dry-run");
	if (!*ret_ask || v->interactive)
		return EXIT_OK;
	return vmctl_usage(v, "'%s' needs --yes where it cannot ask: standard input is no terminal",
			   v->args.command->name);
}

int vmctl_confirm(struct vmctl *v)
{
	char answer[16] = "";
	struct err e;

	fprintf(v->out.err, "Go on? [y/N] ");
	fflush(v->out.err);
	if (fgets(answer, sizeof(answer), v->in) && (answer[0] == 'y' || answer[0] == 'Y'))
		return EXIT_OK;
	err_set(&e, ERR_CANCELLED, "not confirmed: nothing was done");
	return vmctl_fail(v, &e, NULL, "%s", "");
}

static void vmctl_format(struct vmctl *v)
{
	static const char *const names[] = { [OUTPUT_TABLE] = "table",
					     [OUTPUT_WIDE] = "wide",
					     [OUTPUT_NAME] = "name",
					     [OUTPUT_JSON] = "json" };
	const char *format = args_str(&v->args, "output", "table");

	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		if (!strcmp(names[i], format))
			v->out.format = (enum output_format)i;
	if (args_flag(&v->args, "wide"))
		v->out.format = OUTPUT_WIDE;
	if (args_flag(&v->args, "quiet"))
		v->out.format = OUTPUT_NAME;
	if (args_flag(&v->args, "json"))
		v->out.format = OUTPUT_JSON;
	v->out.header = !args_flag(&v->args, "no-header");
}

static void vmctl_streams(struct vmctl *v)
{
	const char *term = getenv("TERM"), *no_color = getenv("NO_COLOR");
	bool tty = isatty(fileno(v->out.out)) == 1;

	v->out.pretty = tty;
	v->out.color = tty && !args_flag(&v->args, "no-color") && !(no_color && no_color[0]) &&
		       term && strcmp(term, "dumb");
	v->interactive = isatty(fileno(v->in)) == 1 && isatty(fileno(v->out.err)) == 1;
}

static int vmctl_usage_error(struct vmctl *v, int argc, char *const *argv, struct err *e)
{
	command_foreign_hint(argc, argv, &v->args, e);
	output_usage_error(&v->out, e);
	if (v->args.command)
		help_usage(v->args.command, v->out.err);
	else if (!e->hint[0])
		fputs("hint: vmctl help lists the commands\n", v->out.err);
	return EXIT_USAGE;
}

static int vmctl_dispatch(struct vmctl *v)
{
	const struct command *c = v->args.command;

	if (args_flag(&v->args, "help")) {
		help_show(c, v->out.out);
		return EXIT_OK;
	}
	if (args_flag(&v->args, "version")) {
		fputs("vmctl " VERSION "\n", v->out.out);
		return EXIT_OK;
	}
	if (!c) {
		help_show(NULL, v->out.err);
		return EXIT_USAGE;
	}
	return c->run(v);
}

int vmctl_run(int argc, char *const *argv, FILE *in, FILE *out, FILE *err)
{
	struct vmctl v = { .in = in, .out = { .out = out, .err = err, .header = true } };
	const char *socket = getenv("VMD_SOCKET");
	struct err e = { 0 };
	int status = EXIT_OK;

	if (argc > 1 && !strcmp(argv[1], COMPLETE_VERB)) {
		complete_print(argc - 2, argv + 2, out);
	} else if (args_parse(argc, argv, commands, command_globals, vmctl_unless, &v.args, &e) <
		   0) {
		status = vmctl_usage_error(&v, argc, argv, &e);
	} else {
		v.socket = args_str(&v.args, "socket",
				    socket && socket[0] ? socket : CLIENT_SOCKET_DEFAULT);
		v.columns = args_str(&v.args, "columns", NULL);
		vmctl_format(&v);
		vmctl_streams(&v);
		status = vmctl_dispatch(&v);
	}
	if (v.connected)
		client_close(&v.client);
	args_fini(&v.args);
	/* data that could not be written is data that was lost */
	if ((fflush(out) || ferror(out)) && errno != EPIPE && status == EXIT_OK) {
		fprintf(err, "vmctl: cannot write: %s\n", strerror(errno));
		status = EXIT_FAILED;
	}
	return status;
}
