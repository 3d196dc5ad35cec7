// SPDX-License-Identifier: MIT
/* Help texts: see help.h. Lines fit 80 columns. */
#include "vmctl/help.h"

#include <string.h>

#include "lib/errcat.h"
#include "vmctl/commands.h"
#include "vmctl/vmctl.h"

#define HELP_WIDTH 79
#define HELP_INDENT 27 /* where the texts of options and commands begin */

void help_wrap(FILE *f, size_t at, const char *text)
{
	size_t column = at;

	while (*text) {
		size_t len = strcspn(text, " ");

		if (column > at && column + 1 + len > HELP_WIDTH) {
			fprintf(f, "\n%*s", (int)at, "");
			column = at;
		}
		column += (size_t)fprintf(f, "%s%.*s", column > at ? " " : "", (int)len, text);
		text += len;
		text += strspn(text, " ");
	}
	fputc('\n', f);
}

void help_usage(const struct command *c, FILE *f)
{
	char line[512], title[32];
	int n = snprintf(line, sizeof(line), "%s", command_title(c, title, sizeof(title)));

	for (const struct args_option *o = c->options; o && o->name; o++)
		n += snprintf(line + n, sizeof(line) - (size_t)n, " %s--%s%s%s%s%s",
			      o->required ? "" : "[", o->name, o->metavar ? "=" : "",
			      o->metavar ? o->metavar : "", o->required ? "" : "]",
			      o->type == ARGS_LIST ? "..." : "");
	if (c->operands)
		snprintf(line + n, sizeof(line) - (size_t)n, " %s", c->operands);
	fputs("usage: vmctl ", f);
	help_wrap(f, strlen("usage: vmctl "), line);
}

static void help_options(const struct args_option *o, FILE *f)
{
	for (; o && o->name; o++) {
		int n = o->letter ? fprintf(f, "  -%c, ", o->letter) : fprintf(f, "      ");

		n += fprintf(f, "--%s%s%s", o->name, o->metavar ? " " : "",
			     o->metavar ? o->metavar : "");
		fprintf(f, "%*s", n < HELP_INDENT ? HELP_INDENT - n : 2, "");
		help_wrap(f, HELP_INDENT, o->help);
	}
}

static void help_aliases(const struct command *c, FILE *f)
{
	for (size_t i = 0; i < ARRAY_SIZE(c->aliases) && c->aliases[i]; i++)
		fprintf(f, "%s%s", i ? ", " : "also: ", c->aliases[i]);
	if (c->aliases[0])
		fputc('\n', f);
}

static void help_command(const struct command *c, FILE *f)
{
	char title[32];

	fprintf(f, "vmctl %s - ", command_title(c, title, sizeof(title)));
	help_wrap(f, 0, c->summary);
	help_usage(c, f);
	help_aliases(c, f);
	if (c->options) {
		fputs("\noptions:\n", f);
		help_options(c->options, f);
	}
	fputs("\nvmctl help lists the options that every command has; vmctl(1) tells more.\n", f);
}

/* Where the texts of the commands begin. */
static int help_column(void)
{
	size_t longest = 0;
	char title[32];

	for (const struct command *c = commands; c->name; c++)
		longest = MAX(longest, strlen(command_title(c, title, sizeof(title))));
	return (int)longest + 4;
}

void help_show(const struct command *c, FILE *f)
{
	int at = help_column();
	char title[32];

	if (c) {
		help_command(c, f);
		return;
	}
	fputs("usage: vmctl [OPTIONS] COMMAND [ARGUMENTS]\n\ncommands:\n", f);
	for (c = commands; c->name; c++) {
		fprintf(f, "  %-*s", at - 2, command_title(c, title, sizeof(title)));
		help_wrap(f, (size_t)at, c->summary);
	}
	fputs("\noptions:\n", f);
	help_options(command_globals, f);
	fputs("\nA VM is a name, an id or the beginning of one; globs ('web*') work for names.\n"
	      "vmctl help COMMAND shows a command's options; vmctl(1), vm.yaml(5) tell more.\n",
	      f);
}

int cmd_help(struct vmctl *v)
{
	const struct command *c = NULL;
	struct err e = { 0 };
	int ret = 0;

	if (v->args.noperands)
		ret = command_find(commands, v->args.operands[0],
				   v->args.noperands > 1 ? v->args.operands[1] : "", &c, &e);
	if (ret < 0) {
		output_usage_error(&v->out, &e);
		return EXIT_USAGE;
	}
	help_show(c, v->out.out);
	return EXIT_OK;
}
