// SPDX-License-Identifier: MIT
/*
 * The command line by tables: see args.h. getopt(3) is not used: its state is global, and it can neither
 * tell options of the program from those of the command nor say what was meant.
 */
#include "vmctl/args.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "vmctl/command.h"

#define ARGS_NEAR_MAX 40 /* longer words are no typing errors */

struct args_parser {
	int argc, next;
	char *const *argv;
	const struct command *commands;
	const struct args_option *globals;
	const char *group; /* first word of a command of two, until the second comes */
	bool ended;	   /* "--" was read */
	struct args *out;
	struct err *e;
};

static const struct args_option args_no_options[] = { { 0 } };

void args_fini(struct args *a)
{
	if (!a)
		return;
	free(a->values);
	free(a->operands);
	*a = (struct args){ 0 };
}

/* Edit distance with transpositions (optimal string alignment), of words up to ARGS_NEAR_MAX. */
static unsigned int args_distance(const char *a, const char *b)
{
	size_t la = strlen(a), lb = strlen(b);
	unsigned int d[ARGS_NEAR_MAX + 1][ARGS_NEAR_MAX + 1];

	if (la > ARGS_NEAR_MAX || lb > ARGS_NEAR_MAX)
		return ARGS_NEAR_MAX;
	for (size_t i = 0; i <= la; i++)
		d[i][0] = (unsigned int)i;
	for (size_t j = 0; j <= lb; j++)
		d[0][j] = (unsigned int)j;
	for (size_t i = 1; i <= la; i++) {
		for (size_t j = 1; j <= lb; j++) {
			unsigned int best = d[i - 1][j - 1] + (a[i - 1] != b[j - 1]);

			best = MIN(best, MIN(d[i - 1][j], d[i][j - 1]) + 1);
			if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
				best = MIN(best, d[i - 2][j - 2] + 1);
			d[i][j] = best;
		}
	}
	return d[la][lb];
}

const char *args_near(const char *typed, const char *const *names)
{
	unsigned int best = strlen(typed) < 5 ? 1 : 2;
	const char *near = NULL;

	for (; *names; names++) {
		unsigned int distance = args_distance(typed, *names);

		if (distance < best || (distance == best && !near)) {
			best = distance;
			near = *names;
		}
	}
	return near;
}

static bool args_decimal(const char **text, uint64_t *ret)
{
	const char *p = *text;
	uint64_t value = 0;

	if (*p < '0' || *p > '9')
		return false;
	for (; *p >= '0' && *p <= '9'; p++)
		if (!checked_mul(value, 10u, &value) ||
		    !checked_add(value, (uint64_t)(*p - '0'), &value))
			return false;
	*text = p;
	*ret = value;
	return true;
}

bool args_time_parse(const char *text, uint64_t *ret_ms)
{
	static const struct {
		const char *unit;
		uint64_t ms;
	} units[] = { { "", 1000 }, { "ms", 1 }, { "s", 1000 }, { "m", 60000 }, { "h", 3600000 } };
	uint64_t value, ms;

	if (!args_decimal(&text, &value))
		return false;
	for (size_t i = 0; i < ARRAY_SIZE(units); i++) {
		if (strcmp(text, units[i].unit))
			continue;
		/* what fits in a JSON integer, too */
		if (!checked_mul(value, units[i].ms, &ms) || ms > 1ull << 53)
			return false;
		*ret_ms = ms;
		return true;
	}
	return false;
}

static const struct args_option *args_command_options(const struct args_parser *p)
{
	const struct command *c = p->out->command;

	return c && c->options ? c->options : args_no_options;
}

static const struct args_option *args_by_name(const struct args_option *t, const char *name,
					      size_t len)
{
	for (; t->name; t++)
		if (strlen(t->name) == len && !memcmp(t->name, name, len))
			return t;
	return NULL;
}

static const struct args_option *args_by_letter(const struct args_option *t, char letter)
{
	for (; t->name; t++)
		if (t->letter == letter)
			return t;
	return NULL;
}

/* " of 'stop'", or nothing before the command */
static const char *args_of_command(const struct args_parser *p, char *out, size_t out_size)
{
	char title[32];

	out[0] = '\0';
	if (p->out->command)
		snprintf(out, out_size, " of '%s'",
			 command_title(p->out->command, title, sizeof(title)));
	return out;
}

static int args_unknown_long(const struct args_parser *p, const char *name, size_t len)
{
	const struct args_option *tables[] = { args_command_options(p), p->globals };
	const char *names[64], *near;
	char typed[ARGS_NEAR_MAX + 1], of[48];
	size_t n = 0;

	for (size_t i = 0; i < ARRAY_SIZE(tables); i++)
		for (const struct args_option *o = tables[i]; o->name && n < ARRAY_SIZE(names) - 1;
		     o++)
			names[n++] = o->name;
	names[n] = NULL;
	snprintf(typed, sizeof(typed), "%.*s", (int)MIN(len, sizeof(typed) - 1), name);
	near = args_near(typed, names);
	args_of_command(p, of, sizeof(of));
	if (near)
		return err_set(p->e, EINVAL, "unknown option '--%s'%s; did you mean '--%s'?", typed,
			       of, near);
	return err_set(p->e, EINVAL, "unknown option '--%s'%s", typed, of);
}

static int args_convert(struct args_parser *p, struct args_value *v)
{
	const struct args_option *o = v->option;
	const char *text = v->text;

	switch (o->type) {
	case ARGS_NUMBER:
		if (args_decimal(&text, &v->number) && !*text && v->number < 1ull << 53)
			return 0;
		return err_set(p->e, EINVAL, "option '--%s': '%s' is no number", o->name, v->text);
	case ARGS_TIME:
		if (args_time_parse(text, &v->number))
			return 0;
		return err_set(p->e, EINVAL, "option '--%s': '%s' is no time (60, 90s, 5m, 1h)",
			       o->name, text);
	case ARGS_CHOICE: {
		char all[128] = "";

		for (const char *const *c = o->choices; *c; c++) {
			size_t named = strcspn(*c, "=") + 1; /* with the '=' */

			if (!strcmp(*c, text) ||
			    (strchr(*c, '=') && !strncmp(*c, text, named) && text[named]))
				return 0;
			snprintf(all + strlen(all), sizeof(all) - strlen(all), "%s%s",
				 all[0] ? ", " : "", *c);
		}
		return err_set(p->e, EINVAL, "option '--%s': '%s' is none of %s", o->name, text,
			       all);
	}
	case ARGS_FLAG:
	case ARGS_STRING:
	case ARGS_LIST:
		break;
	}
	return 0;
}

/* attached: the value in the same argument, or NULL */
static int args_option_add(struct args_parser *p, const struct args_option *o, const char *attached)
{
	struct args_value v = { .option = o, .text = attached };
	struct args_value *grown;
	int ret;

	if (o->type == ARGS_FLAG) {
		if (attached)
			return err_set(p->e, EINVAL, "option '--%s' takes no value", o->name);
	} else if (!attached) {
		if (p->next >= p->argc)
			return err_set(p->e, EINVAL, "option '--%s' needs a value: %s", o->name,
				       o->metavar);
		v.text = p->argv[p->next++];
	}
	ret = args_convert(p, &v);
	if (ret < 0)
		return ret;
	grown = realloc(p->out->values, (p->out->nvalues + 1) * sizeof(v));
	if (!grown)
		return err_ret(p->e, -ENOMEM, "cannot read the arguments");
	p->out->values = grown;
	p->out->values[p->out->nvalues++] = v;
	return 0;
}

static int args_long(struct args_parser *p, const char *text)
{
	const char *equals = strchr(text, '=');
	size_t len = equals ? (size_t)(equals - text) : strlen(text);
	const struct args_option *o = args_by_name(args_command_options(p), text, len);

	if (!o)
		o = args_by_name(p->globals, text, len);
	if (!o)
		return args_unknown_long(p, text, len);
	return args_option_add(p, o, equals ? equals + 1 : NULL);
}

static int args_letters(struct args_parser *p, const char *text)
{
	for (; *text; text++) {
		const struct args_option *o = args_by_letter(args_command_options(p), *text);
		const char *attached = NULL;
		char of[48];
		int ret;

		if (!o)
			o = args_by_letter(p->globals, *text);
		if (!o)
			return err_set(p->e, EINVAL, "unknown option '-%c'%s", *text,
				       args_of_command(p, of, sizeof(of)));
		if (o->type != ARGS_FLAG && text[1])
			attached = text + 1;
		ret = args_option_add(p, o, attached);
		if (ret < 0 || attached)
			return ret;
	}
	return 0;
}

/* A word that is no option: a part of the command's name, or an operand. */
static int args_word(struct args_parser *p, const char *word)
{
	const struct command *c = p->out->command;
	char title[32];
	int ret;

	if (!c) {
		if (!p->out->word)
			p->out->word = p->next - 1;
		ret = p->group ? command_find(p->commands, p->group, word, &p->out->command, p->e)
			       : command_find(p->commands, word, NULL, &p->out->command, p->e);
		if (ret == -EAGAIN)
			p->group = word;
		return ret == -EAGAIN ? 0 : ret;
	}
	if (!c->operands || (c->max && p->out->noperands == c->max)) {
		command_title(c, title, sizeof(title));
		if (!c->operands)
			return err_set(p->e, EINVAL, "'%s' takes no argument: '%s' is too much",
				       title, word);
		return err_set(p->e, EINVAL, "'%s' takes at most %u argument%s: '%s' is too much",
			       title, c->max, c->max == 1 ? "" : "s", word);
	}
	p->out->operands[p->out->noperands++] = word;
	return 0;
}

static int args_check_complete(struct args_parser *p)
{
	const struct command *c = p->out->command;
	char title[32];

	if (!c && p->group) /* all commands of a group are alike: let the lookup say it */
		return command_find(p->commands, p->group, "", &p->out->command, p->e);
	if (!c)
		return 0;
	command_title(c, title, sizeof(title));
	for (const struct args_option *o = args_command_options(p); o->name; o++)
		if (o->required && !args_str(p->out, o->name, NULL))
			return err_set(p->e, EINVAL, "'%s' needs --%s %s", title, o->name,
				       o->metavar);
	if (p->out->noperands < c->min)
		return err_set(p->e, EINVAL, "'%s' needs %s", title, c->operands);
	return 0;
}

int args_parse(int argc, char *const *argv, const struct command *table,
	       const struct args_option *globals, const char *const *unless, struct args *ret,
	       struct err *e)
{
	struct args_parser p = { .argc = argc,
				 .argv = argv,
				 .next = 1,
				 .commands = table,
				 .out = ret,
				 .globals = globals,
				 .e = e };
	int r = 0;

	*ret = (struct args){ 0 };
	ret->operands = calloc((size_t)argc + 1, sizeof(*ret->operands));
	if (!ret->operands)
		return err_ret(e, -ENOMEM, "cannot read the arguments");
	while (r >= 0 && p.next < argc) {
		const char *text = argv[p.next++];

		if (p.ended || text[0] != '-' || !text[1])
			r = args_word(&p, text);
		else if (!strcmp(text, "--"))
			p.ended = true;
		else if (text[1] == '-')
			r = args_long(&p, text + 2);
		else
			r = args_letters(&p, text + 1);
	}
	if (r < 0)
		return r;
	for (; unless && *unless; unless++)
		if (args_flag(ret, *unless))
			return 0;
	return args_check_complete(&p);
}

static const struct args_value *args_last(const struct args *a, const char *name)
{
	for (size_t i = a->nvalues; i > 0; i--)
		if (!strcmp(a->values[i - 1].option->name, name))
			return &a->values[i - 1];
	return NULL;
}

bool args_flag(const struct args *a, const char *name)
{
	return args_last(a, name) != NULL;
}

const char *args_str(const struct args *a, const char *name, const char *fallback)
{
	const struct args_value *v = args_last(a, name);

	return v && v->text ? v->text : fallback;
}

uint64_t args_number(const struct args *a, const char *name, uint64_t fallback)
{
	const struct args_value *v = args_last(a, name);

	return v ? v->number : fallback;
}

const char *args_item(const struct args *a, const char *name, size_t n)
{
	for (size_t i = 0; i < a->nvalues; i++)
		if (!strcmp(a->values[i].option->name, name) && n-- == 0)
			return a->values[i].text;
	return NULL;
}
