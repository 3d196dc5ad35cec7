// SPDX-License-Identifier: MIT
/* Finding a command by what people type, and what they may have meant instead: see command.h. */
#include "vmctl/command.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

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
