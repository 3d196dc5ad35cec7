// SPDX-License-Identifier: MIT
/* The manual and the command table agree: every command, alias and option has its place in vmctl.1. */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/auto.h"
#include "lib/errcat.h"
#include "lib/fdio.h"
#include "tests/lib/test.h"
#include "vmctl/commands.h"
#include "vmctl/help.h"

/* The manual, read from the top of the tree: tests/run starts there. */
static char *manual(void)
{
	AUTO_CLOSE int fd = open("man/vmctl.1", O_RDONLY | O_CLOEXEC);
	char *text = NULL;
	size_t len;

	assert_true(fd >= 0);
	assert_int_equal(fdio_read_file(fd, 1 << 20, &text, &len, NULL), 0);
	return text;
}

/* The paragraph of a command: from its item to the next one of its list. */
static char *paragraph(const char *text, const struct command *c)
{
	char title[32], item[48];
	const char *at = text, *end;

	snprintf(item, sizeof(item), "\n.It Cm %s", command_title(c, title, sizeof(title)));
	do {
		at = strstr(at, item);
		if (!at)
			fail_msg("vmctl.1 says nothing of '%s'", title);
		at += strlen(item);
	} while (*at != ' ' && *at != '\n');
	end = strstr(at, "\n.It Cm ");
	if (!end)
		end = strstr(at, "\n.Sh ");
	assert_non_null(end);
	return strndup(at, (size_t)(end - at));
}

/* ".It Fl t Ar time , Fl -timeout Ar time" */
static void check_option(const char *text, const struct args_option *o, const char *of)
{
	const char *at = text;
	char name[64], letter[16];

	snprintf(name, sizeof(name), "Fl -%s", o->name);
	snprintf(letter, sizeof(letter), "\n.It Fl %c ", o->letter ? o->letter : '-');
	while ((at = strstr(at, "\n.It Fl "))) {
		AUTO_FREE char *line = strndup(at, 1 + strcspn(at + 1, "\n"));
		const char *found = strstr(line, name);

		at++;
		if (found && !strchr(" ", found[strlen(name)]) && found[strlen(name)])
			continue; /* a longer name */
		if (!found)
			continue;
		if (o->letter && strncmp(line, letter, strlen(letter)))
			fail_msg("vmctl.1: --%s of %s lacks its letter -%c", o->name, of,
				 o->letter);
		return;
	}
	fail_msg("vmctl.1 says nothing of --%s of %s", o->name, of);
}

static void test_commands(void **state)
{
	AUTO_FREE char *text = manual();

	(void)state;
	for (const struct command *c = commands; c->name; c++) {
		AUTO_FREE char *own = paragraph(text, c);

		for (size_t i = 0; i < ARRAY_SIZE(c->aliases) && c->aliases[i]; i++) {
			char alias[32];

			snprintf(alias, sizeof(alias), "\n.Cm %s", c->aliases[i]);
			if (!strstr(own, alias))
				fail_msg("vmctl.1: %s lacks its alias %s", c->name, c->aliases[i]);
		}
		for (const struct args_option *o = c->options; o && o->name; o++)
			check_option(own, o, c->name);
		if (!strstr(own, "\n.Dl "))
			fail_msg("vmctl.1: %s has no example", c->name);
	}
}

static void test_globals(void **state)
{
	AUTO_FREE char *text = manual();
	AUTO_FREE char *own = NULL;
	const char *from = strstr(text, "\n.Sh GLOBAL OPTIONS\n");

	(void)state;
	assert_non_null(from);
	own = strndup(from, (size_t)(strstr(from, "\n.Sh COMMANDS\n") - from));
	for (const struct args_option *o = command_globals; o->name; o++)
		check_option(own, o, "the program");
}

static void test_exit_statuses(void **state)
{
	static const enum errcat_exit last = EXIT_PARTIAL;
	AUTO_FREE char *text = manual();
	const char *from = strstr(text, "\n.Sh EXIT STATUS\n");

	(void)state;
	assert_non_null(from);
	for (unsigned int i = 0; i <= last; i++) {
		char item[16];

		snprintf(item, sizeof(item), "\n.It %u\n", i);
		assert_non_null(strstr(from, item));
	}
}

static void test_help_fits_80_columns(void **state)
{
	AUTO_FREE char *text = NULL;
	size_t len;
	FILE *f = open_memstream(&text, &len);

	(void)state;
	help_show(NULL, f);
	for (const struct command *c = commands; c->name; c++)
		help_show(c, f);
	fclose(f);
	for (const char *line = text; *line; line += strcspn(line, "\n") + 1)
		assert_true(strcspn(line, "\n") < 80);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_commands),
		cmocka_unit_test(test_globals),
		cmocka_unit_test(test_exit_statuses),
		cmocka_unit_test(test_help_fits_80_columns),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
