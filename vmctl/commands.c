// SPDX-License-Identifier: MIT
/* THE command table: see commands.h. A new command is a row here, its paragraph in man/vmctl.1, a test. */
#include "vmctl/commands.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "vmctl/target.h"
#include "vmctl/vmctl.h"

static const char *const commands_formats[] = { "table", "wide", "name", "json", NULL };
static const char *const commands_states[] = { "stopped", "running", "paused", "console=REGEX",
					       NULL };

const struct args_option command_globals[] = {
	{ "socket", 's', ARGS_STRING, .metavar = "PATH",
	  .help = "vmd's socket (or VMD_SOCKET; default " CLIENT_SOCKET_DEFAULT ")" },
	{ "json", 0, ARGS_FLAG, .help = "print one JSON document (streams: one a line)" },
	{ "quiet", 'q', ARGS_FLAG, .help = "print names only" },
	{ "output", 'o', ARGS_CHOICE, .metavar = "FORMAT", .choices = commands_formats,
	  .help = "table, wide, name or json" },
	{ "wide", 0, ARGS_FLAG, .help = "print more columns" },
	{ "columns", 'c', ARGS_STRING, .metavar = "NAMES",
	  .help = "columns of a list, with commas" },
	{ "no-header", 0, ARGS_FLAG, .help = "leave the header of a table out" },
	{ "no-color", 0, ARGS_FLAG, .help = "no colours on a terminal" },
	{ "strict", 0, ARGS_FLAG, .help = "fail (exit 4) when there was nothing to do" },
	{ "progress", 0, ARGS_FLAG,
	  .help = "say on standard error how far it is, off a terminal too" },
	{ "help", 'h', ARGS_FLAG, .help = "show help, of the command when there is one" },
	{ "version", 0, ARGS_FLAG, .help = "show vmctl's version" },
	{ 0 },
};

#define OPTION_DRY_RUN                                                                  \
	{                                                                               \
		"dry-run", 'n', ARGS_FLAG, .help = "say what would be done, do nothing" \
	}
#define OPTION_YES                                          \
	{                                                   \
		"yes", 'y', ARGS_FLAG, .help = "do not ask" \
	}
#define OPTION_NO_WAIT                                                                 \
	{                                                                              \
		"no-wait", 0, ARGS_FLAG, .help = "print the job's id, and do not wait" \
	}
#define OPTION_TIMEOUT(what)                                                 \
	{                                                                    \
		"timeout", 't', ARGS_TIME, .metavar = "TIME", .help = (what) \
	}
#define OPTION_FORCE(what)                              \
	{                                               \
		"force", 'f', ARGS_FLAG, .help = (what) \
	}

static const struct args_option commands_apply[] = {
	{ "file", 'f', ARGS_LIST, .required = true, .metavar = "FILE",
	  .help = "VM file in YAML or JSON, a folder of them, or - for standard input; may be "
		  "repeated" },
	OPTION_DRY_RUN,
	{ 0 },
};

static const struct args_option commands_diff[] = {
	{ "file", 'f', ARGS_LIST, .metavar = "FILE",
	  .help = "compare VMs with what this VM file or folder says; may be repeated" },
	{ "revision", 'r', ARGS_STRING, .metavar = "N[..M]",
	  .help = "compare revision N with M (default: the newest)" },
	{ 0 },
};

static const struct args_option commands_history[] = {
	{ "limit", 'l', ARGS_NUMBER, .metavar = "N", .help = "show N revisions (default 20)" },
	{ "before", 0, ARGS_NUMBER, .metavar = "N",
	  .help = "begin with the one before revision N" },
	{ "diff", 'd', ARGS_FLAG, .help = "show what changed" },
	{ 0 },
};

static const struct args_option commands_revert[] = {
	{ "to", 0, ARGS_NUMBER, .required = true, .metavar = "REVISION", .help = "its number" },
	OPTION_YES,
	OPTION_DRY_RUN,
	{ 0 },
};

static const struct args_option commands_edit[] = { OPTION_DRY_RUN, { 0 } };

static const struct args_option commands_export[] = {
	{ "revision", 'r', ARGS_NUMBER, .metavar = "REVISION",
	  .help = "as it was in this revision" },
	{ 0 },
};

static const struct args_option commands_start[] = {
	{ "console", 'c', ARGS_FLAG, .help = "attach to the console from the first byte on" },
	OPTION_DRY_RUN,
	OPTION_NO_WAIT,
	{ 0 },
};

static const struct args_option commands_stop[] = {
	OPTION_TIMEOUT("how long the guest may take (default 60s)"),
	OPTION_FORCE("end it when it does not stop in time"),
	OPTION_DRY_RUN,
	OPTION_NO_WAIT,
	{ 0 },
};

static const struct args_option commands_dry_run[] = { OPTION_DRY_RUN, { 0 } };

static const struct args_option commands_yes[] = { OPTION_YES, OPTION_DRY_RUN, { 0 } };

static const struct args_option commands_wait[] = {
	{ "for", 0, ARGS_CHOICE, .metavar = "STATE", .choices = commands_states,
	  .help = "stopped (default), running, paused, or console=REGEX" },
	{ "console", 0, ARGS_STRING, .metavar = "ID", .help = "which console says it" },
	OPTION_TIMEOUT("give up after this time (default: never)"),
	{ 0 },
};

static const struct args_option commands_job_wait[] = {
	OPTION_TIMEOUT("give up after this time (default: never)"),
	{ 0 },
};

static const struct args_option commands_console[] = {
	{ "read-only", 'r', ARGS_FLAG, .help = "watch only" },
	{ "take", 0, ARGS_FLAG, .help = "take the keyboard from whoever has it" },
	{ "no-scrollback", 0, ARGS_FLAG, .help = "start with what comes now" },
	{ 0 },
};

static const struct args_option commands_logs[] = {
	{ "follow", 'f', ARGS_FLAG, .help = "go on with what is said from now on" },
	{ "lines", 'n', ARGS_NUMBER, .metavar = "N", .help = "begin N lines before the end" },
	{ "since", 0, ARGS_STRING, .metavar = "TIME",
	  .help = "only from then on: RFC 3339, or 10m for so long ago" },
	{ "console", 0, ARGS_STRING, .metavar = "ID",
	  .help = "which console (default: the first)" },
	{ "monitor", 0, ARGS_FLAG, .help = "what the VM's monitor says, not its guest" },
	{ "timestamps", 'T', ARGS_FLAG, .help = "put the time before each line" },
	{ "raw", 0, ARGS_FLAG, .help = "control characters to a terminal, too" },
	{ 0 },
};

static const struct args_option commands_timeline[] = {
	{ "all", 'a', ARGS_FLAG, .help = "a line for each start that is known" },
	{ 0 },
};

static const struct args_option commands_events[] = {
	{ "follow", 'f', ARGS_FLAG, .help = "go on with what happens from now on" },
	{ "since", 0, ARGS_NUMBER, .metavar = "SEQ", .help = "begin behind this number" },
	{ "type", 0, ARGS_LIST, .metavar = "TYPE", .help = "only these; may be repeated" },
	{ 0 },
};

const struct command commands[] = {
	{ NULL,
	  "apply",
	  { 0 },
	  "make VMs be what files say",
	  .options = commands_apply,
	  .access = COMMAND_WRITE,
	  .run = cmd_apply },
	{ NULL,
	  "validate",
	  { 0 },
	  "check VM files, without vmd",
	  .operands = "FILE...",
	  .min = 1,
	  .access = COMMAND_LOCAL,
	  .run = cmd_validate },
	{ NULL,
	  "diff",
	  { 0 },
	  "show what differs between a VM and a file, or two revisions",
	  .options = commands_diff,
	  .operands = "[VM]",
	  .max = 1,
	  .access = COMMAND_READ,
	  .run = cmd_diff },
	{ NULL,
	  "edit",
	  { 0 },
	  "change a VM's definition in an editor",
	  .options = commands_edit,
	  .operands = "VM",
	  .min = 1,
	  .max = 1,
	  .access = COMMAND_WRITE,
	  .run = cmd_edit },
	{ NULL,
	  "export",
	  { 0 },
	  "print the definitions of VMs as a VM file",
	  .options = commands_export,
	  .operands = "VM...",
	  .min = 1,
	  .access = COMMAND_READ,
	  .run = cmd_export },
	{ NULL,
	  "history",
	  { 0 },
	  "show who changed a VM's definition, when and how",
	  .options = commands_history,
	  .operands = "VM",
	  .min = 1,
	  .max = 1,
	  .access = COMMAND_READ,
	  .run = cmd_history },
	{ NULL,
	  "revert",
	  { 0 },
	  "go back to an old definition of a VM",
	  .options = commands_revert,
	  .operands = "VM",
	  .min = 1,
	  .max = 1,
	  .access = COMMAND_WRITE,
	  .ask = true,
	  .run = cmd_revert },
	{ NULL,
	  "list",
	  { "ls", "ps" },
	  "list VMs",
	  .operands = "[VM...]",
	  .access = COMMAND_READ,
	  .run = cmd_list },
	{ NULL,
	  "show",
	  { "status", "info" },
	  "show all about a VM",
	  .operands = "[VM]",
	  .max = 1,
	  .access = COMMAND_READ,
	  .run = cmd_show },
	{ NULL,
	  "start",
	  { 0 },
	  "start VMs",
	  .options = commands_start,
	  .operands = "VM...",
	  .min = 1,
	  .access = COMMAND_WRITE,
	  .method = "vm.start",
	  .done = "started",
	  .states = "stopped",
	  .run = cmd_start },
	{ NULL,
	  "stop",
	  { 0 },
	  "shut VMs down: press the power button, wait for the end",
	  .options = commands_stop,
	  .operands = "VM...",
	  .min = 1,
	  .access = COMMAND_WRITE,
	  .method = "vm.stop",
	  .done = "stopped",
	  .states = "running paused starting",
	  .run = target_run },
	{ NULL,
	  "restart",
	  { 0 },
	  "stop VMs and start them with their newest definition",
	  .options = commands_stop,
	  .operands = "VM...",
	  .min = 1,
	  .access = COMMAND_WRITE,
	  .method = "vm.restart",
	  .done = "restarted",
	  .states = "running paused",
	  .run = target_run },
	{ NULL,
	  "reset",
	  { 0 },
	  "press the reset button",
	  .options = commands_yes,
	  .operands = "VM...",
	  .min = 1,
	  .access = COMMAND_WRITE,
	  .ask = true,
	  .method = "vm.reset",
	  .done = "reset",
	  .states = "running paused",
	  .run = target_run },
	{ NULL,
	  "pause",
	  { 0 },
	  "stop the vCPUs of VMs",
	  .options = commands_dry_run,
	  .operands = "VM...",
	  .min = 1,
	  .access = COMMAND_WRITE,
	  .method = "vm.pause",
	  .done = "paused",
	  .states = "running",
	  .run = target_run },
	{ NULL,
	  "resume",
	  { "unpause" },
	  "let paused VMs run on",
	  .options = commands_dry_run,
	  .operands = "VM...",
	  .min = 1,
	  .access = COMMAND_WRITE,
	  .method = "vm.resume",
	  .done = "resumed",
	  .states = "paused",
	  .run = target_run },
	{ NULL,
	  "kill",
	  { 0 },
	  "end VMs at once, as if the power failed",
	  .options = commands_yes,
	  .operands = "VM...",
	  .min = 1,
	  .access = COMMAND_WRITE,
	  .ask = true,
	  .method = "vm.kill",
	  .done = "killed",
	  .states = "running paused starting stopping",
	  .run = target_run },
	{ NULL,
	  "delete",
	  { 0 },
	  "remove VMs",
	  .options = commands_yes,
	  .operands = "VM...",
	  .min = 1,
	  .access = COMMAND_WRITE,
	  .ask = true,
	  .method = "vm.delete",
	  .done = "deleted",
	  .states = "stopped",
	  .run = target_run },
	{ NULL,
	  "wait",
	  { 0 },
	  "wait until VMs are in a state, or say something",
	  .options = commands_wait,
	  .operands = "VM...",
	  .min = 1,
	  .access = COMMAND_READ,
	  .method = "vm.wait",
	  .run = target_run },
	{ NULL,
	  "console",
	  { 0 },
	  "attach to a VM's console",
	  .options = commands_console,
	  .operands = "VM [CONSOLE]",
	  .min = 1,
	  .max = 2,
	  .access = COMMAND_READ,
	  .states = "running paused starting stopping",
	  .run = cmd_console },
	{ NULL,
	  "logs",
	  { 0 },
	  "show what a VM's console has said, and says",
	  .options = commands_logs,
	  .operands = "VM",
	  .min = 1,
	  .max = 1,
	  .access = COMMAND_READ,
	  .run = cmd_logs },
	{ NULL,
	  "events",
	  { 0 },
	  "show what happened, and happens",
	  .options = commands_events,
	  .operands = "[VM...]",
	  .access = COMMAND_READ,
	  .run = cmd_events },
	{ NULL,
	  "jobs",
	  { 0 },
	  "list what vmd is doing, and did within the last hour",
	  .operands = "[VM]",
	  .max = 1,
	  .access = COMMAND_READ,
	  .run = cmd_jobs },
	{ "job",
	  "show",
	  { 0 },
	  "show all about a job",
	  .operands = "JOB",
	  .min = 1,
	  .max = 1,
	  .access = COMMAND_READ,
	  .run = cmd_job_show },
	{ "job",
	  "wait",
	  { 0 },
	  "wait for the end of a job",
	  .states = "running",
	  .options = commands_job_wait,
	  .operands = "JOB",
	  .min = 1,
	  .max = 1,
	  .access = COMMAND_READ,
	  .run = cmd_job_wait },
	{ "job",
	  "cancel",
	  { 0 },
	  "undo a start, or wait no longer for a stop",
	  .states = "running",
	  .operands = "JOB",
	  .min = 1,
	  .max = 1,
	  .access = COMMAND_WRITE,
	  .run = cmd_job_cancel },
	{ NULL,
	  "timeline",
	  { 0 },
	  "show where the time of a VM's last start went",
	  .options = commands_timeline,
	  .operands = "VM",
	  .min = 1,
	  .max = 1,
	  .access = COMMAND_READ,
	  .run = cmd_timeline },
	{ NULL,
	  "rpc",
	  { 0 },
	  "call a method of vmd's API",
	  .operands = "METHOD [JSON]",
	  .min = 1,
	  .max = 2,
	  .access = COMMAND_WRITE,
	  .run = cmd_rpc },
	{ NULL,
	  "explain",
	  { 0 },
	  "explain an error, or a key of a VM file",
	  .operands = "[ERROR|KEY]",
	  .max = 1,
	  .access = COMMAND_LOCAL,
	  .run = cmd_explain },
	{ "host",
	  "info",
	  { 0 },
	  "show the host: CPUs, memory, KVM",
	  .access = COMMAND_READ,
	  .run = cmd_host_info },
	{ NULL,
	  "version",
	  { 0 },
	  "show the versions of vmctl and vmd",
	  .access = COMMAND_LOCAL,
	  .run = cmd_version },
	{ NULL,
	  "help",
	  { 0 },
	  "show help",
	  .operands = "[COMMAND...]",
	  .max = 2,
	  .access = COMMAND_LOCAL,
	  .run = cmd_help },
	{ 0 },
};

/* What people type who come from another tool, and what they want then. */
static const struct {
	const char *word, *hint;
} commands_foreign[] = {
	{ "create", "a VM is made of a file: vmctl apply -f FILE; "
		    "a disk image by: qemu-img create -f qcow2 PATH SIZE" },
	{ "load", "vmctl apply -f FILE" },
	{ "define", "vmctl apply -f FILE" },
	{ "undefine", "vmctl delete VM" },
	{ "destroy", "vmctl kill VM ends it, vmctl delete VM removes it" },
	{ "shutdown", "vmctl stop VM" },
	{ "reboot", "vmctl restart VM" },
	{ "suspend", "vmctl pause VM" },
};

const char *command_title(const struct command *c, char *out, size_t out_size)
{
	snprintf(out, out_size, "%s%s%s", c->group ? c->group : "", c->group ? " " : "", c->name);
	return out;
}

static bool command_is(const struct command *c, const char *word)
{
	if (!strcmp(c->name, word))
		return true;
	for (size_t i = 0; i < ARRAY_SIZE(c->aliases) && c->aliases[i]; i++)
		if (!strcmp(c->aliases[i], word))
			return true;
	return false;
}

static bool command_begins(const struct command *c, const char *word)
{
	size_t len = strlen(word);

	if (!strncmp(c->name, word, len))
		return true;
	for (size_t i = 0; i < ARRAY_SIZE(c->aliases) && c->aliases[i]; i++)
		if (!strncmp(c->aliases[i], word, len))
			return true;
	return false;
}

/* Names that may stand where a word stood: of the group's commands, or commands and groups. */
static size_t command_names(const struct command *table, const char *group, const char **out,
			    size_t max)
{
	size_t n = 0;

	for (const struct command *c = table; c->name; c++) {
		const char *name = group || !c->group ? c->name : c->group;

		if (group && (!c->group || strcmp(c->group, group)))
			continue;
		if (n + 1 < max && !(n && !strcmp(out[n - 1], name)))
			out[n++] = name;
		for (size_t i = 0; (group || !c->group) && i < ARRAY_SIZE(c->aliases) &&
				   c->aliases[i] && n + 1 < max;
		     i++)
			out[n++] = c->aliases[i];
	}
	out[n] = NULL;
	return n;
}

static int command_unknown(const struct command *table, const char *group, const char *word,
			   struct err *e)
{
	const char *names[96], *near;

	command_names(table, group, names, ARRAY_SIZE(names));
	near = args_near(word, names);
	err_set(e, EINVAL, "unknown command '%s%s%s'%s%s%s", group ? group : "", group ? " " : "",
		word, near ? "; did you mean '" : "", near ? near : "", near ? "'?" : "");
	return -EINVAL;
}

/* OpenBSD: create [-b base] [-s size] disk */
static void command_create_hint(int argc, char *const *argv, int at, struct err *e)
{
	const char *size = NULL, *base = NULL, *disk = NULL, *format;

	for (int i = at + 1; i < argc; i++) {
		const char **value = !strcmp(argv[i], "-s")   ? &size
				     : !strcmp(argv[i], "-b") ? &base
							      : NULL;

		if (value && i + 1 < argc)
			*value = argv[++i];
		else if (argv[i][0] != '-')
			disk = argv[i];
	}
	if (!disk || (!size && !base))
		return;
	format = strlen(disk) > 6 && !strcmp(disk + strlen(disk) - 6, ".qcow2") ? "qcow2" : "raw";
	err_set(e, EINVAL, "'create' makes no disk images here, as OpenBSD's does");
	err_hint(e, "qemu-img create -f %s %s%s%s%s%s%s", format, base ? "-F qcow2 -b " : "",
		 base ? base : "", base ? " " : "", disk, size ? " " : "", size ? size : "");
}

void command_foreign_hint(int argc, char *const *argv, const struct args *a, struct err *e)
{
	const struct command *c = a->command;

	if (c && !c->group && !strcmp(c->name, "reset"))
		err_hint(e,
			 "this presses a VM's reset button; OpenBSD's 'reset' resets the daemon");
	if (c && !c->group && !strcmp(c->name, "apply") && !args_str(a, "file", NULL))
		err_hint(e, "vmctl apply -f FILE");
	if (c || !a->word)
		return;
	for (size_t i = 0; i < ARRAY_SIZE(commands_foreign); i++)
		if (!strcmp(commands_foreign[i].word, argv[a->word]))
			err_hint(e, "%s", commands_foreign[i].hint);
	if (!strcmp(argv[a->word], "create"))
		command_create_hint(argc, argv, a->word, e);
}

/* The only row whose name (or group, when group is NULL) word is or begins. */
static int command_match(const struct command *table, const char *group, const char *word,
			 const struct command **ret, struct err *e)
{
	const struct command *found = NULL;
	char all[160] = "";
	size_t n = 0;

	for (const struct command *c = table; c->name; c++) {
		bool inside = group ? c->group && !strcmp(c->group, group) : !c->group;
		const char *name = inside ? c->name : c->group;

		if (!inside && (group || !c->group))
			continue;
		if (inside ? command_is(c, word) : !strcmp(c->group, word)) {
			*ret = c;
			return 0;
		}
		if (inside ? !command_begins(c, word) : strncmp(c->group, word, strlen(word)) != 0)
			continue;
		if (found && !inside && found->group && !strcmp(found->group, c->group))
			continue; /* another row of the same group */
		snprintf(all + strlen(all), sizeof(all) - strlen(all), "%s%s", n ? ", " : "", name);
		found = c;
		n++;
	}
	if (n > 1)
		return err_set(e, EINVAL, "ambiguous command '%s': %s", word, all);
	if (!n)
		return command_unknown(table, group, word, e);
	*ret = found;
	return 0;
}

int command_find(const struct command *table, const char *word, const char *second,
		 const struct command **ret_command, struct err *e)
{
	const struct command *found = NULL;
	int ret = word[0] ? command_match(table, NULL, word, &found, e)
			  : err_set(e, EINVAL, "a command is missing");

	if (ret < 0 || !found)
		return ret;
	if (found->group && !second)
		return -EAGAIN;
	if (found->group && !second[0]) {
		const char *names[32];
		char all[160] = "";

		command_names(table, found->group, names, ARRAY_SIZE(names));
		for (size_t i = 0; names[i]; i++)
			snprintf(all + strlen(all), sizeof(all) - strlen(all), "%s%s",
				 i ? ", " : "", names[i]);
		return err_set(e, EINVAL, "'%s' needs a command: %s", found->group, all);
	}
	if (found->group)
		ret = command_match(table, found->group, second, &found, e);
	if (ret >= 0)
		*ret_command = found;
	return ret;
}
