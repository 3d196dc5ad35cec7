// SPDX-License-Identifier: MIT
/* The catalogue of errors: each has its page, each page its error, and no code lives outside of it. */
#include <ctype.h>
#include <fcntl.h>
#include <glob.h>
#include <stdio.h>
#include <string.h>

#include "lib/auto.h"
#include "lib/errcat.h"
#include "lib/fdio.h"
#include "lib/schema.h"
#include "tests/lib/test.h"
#include "vmctl/commands.h"

#define SUMMARY_MAX 46 /* vmctl explain's list fits 80 columns with names up to NAME_MAX_LEN */
#define NAME_MAX_LEN 23

static const char *const ids[] = {
#define X(id, code, name, exit, retryable) #id,
	ERRCAT(X)
#undef X
};

static struct json_object *pages(void)
{
	struct json_object *root;
	struct err e;

	if (schema_json("error.json", &root, &e) < 0)
		fail_msg("%s", e.msg);
	return root;
}

static void check_sentence(const char *name, struct json_object *page, const char *part)
{
	const char *text = json_get_str(page, part, "");

	if (strlen(text) < 10)
		fail_msg("schemas/error.json: '%s' lacks its %s", name, part);
	for (const char *p = text; *p; p++)
		if (!isprint((unsigned char)*p))
			fail_msg("schemas/error.json: %s of '%s' is not plain text", part, name);
}

/* Commands that a page names are commands. */
static void check_commands(const char *name, const char *text)
{
	for (const char *at = strstr(text, "vmctl "); at; at = strstr(at + 1, "vmctl ")) {
		const struct command *c = NULL;
		char word[32], second[32] = "";
		struct err e = { 0 };

		if (sscanf(at, "vmctl %31[a-z] %31[a-z]", word, second) < 1)
			continue; /* an option, or a word in capitals */
		if (command_find(commands, word, second, &c, &e) < 0 || strcmp(c->name, word)) {
			if (c && c->group && !strcmp(c->group, word))
				continue;
			fail_msg("schemas/error.json: '%s' names a command 'vmctl %s'", name, word);
		}
	}
}

static void test_each_error_has_its_page(void **state)
{
	AUTO_JSON struct json_object *root = pages();

	(void)state;
	for (const struct errcat_entry *entry = errcat_entries; entry->name; entry++) {
		struct json_object *page = json_get(root, entry->name);
		const char *summary = json_get_str(page, "summary", "");

		check_sentence(entry->name, page, "summary");
		check_sentence(entry->name, page, "cause");
		check_sentence(entry->name, page, "check");
		check_sentence(entry->name, page, "fix");
		assert_int_equal(json_object_object_length(page), 4);
		if (strlen(summary) > SUMMARY_MAX || strlen(entry->name) > NAME_MAX_LEN)
			fail_msg("'%s: %s' is too long for a line", entry->name, summary);
		if (summary[strlen(summary) - 1] == '.')
			fail_msg("the summary of '%s' is no part of a sentence", entry->name);
		check_commands(entry->name, json_get_str(page, "check", ""));
		check_commands(entry->name, json_get_str(page, "fix", ""));
	}
}

static void test_each_page_has_its_error(void **state)
{
	AUTO_JSON struct json_object *root = pages();

	(void)state;
	json_object_object_foreach(root, name, page) {
		(void)page;
		if (!errcat_by_name(name))
			fail_msg("schemas/error.json: '%s' is not in lib/errcat.h", name);
	}
}

static int id_find(const char *word, size_t len)
{
	for (size_t i = 0; i < ARRAY_SIZE(ids); i++)
		if (strlen(ids[i]) == len && !strncmp(ids[i], word, len))
			return (int)i;
	return -1;
}

/* Count the codes that a file names; those that are none of the catalogue fail. */
static void scan_file(const char *path, unsigned int *counts)
{
	AUTO_CLOSE int fd = open(path, O_RDONLY | O_CLOEXEC);
	AUTO_FREE char *text = NULL;
	size_t len;

	assert_int_equal(fdio_read_file(fd, 1 << 20, &text, &len, NULL), 0);
	for (const char *at = strstr(text, "ERR_"); at; at = strstr(at + 1, "ERR_")) {
		size_t n = strspn(at, "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_");
		int i = id_find(at, n);

		if (at > text && (isalnum((unsigned char)at[-1]) || at[-1] == '_'))
			continue; /* the end of another name */
		if (i < 0)
			fail_msg("%s: %.*s is not in lib/errcat.h", path, (int)n, at);
		counts[i]++;
	}
	/* a number where a code belongs has no name and no page */
	for (const char *at = strstr(text, "err_set("); at; at = strstr(at + 1, "err_set(")) {
		const char *code = strchr(at, ',');

		code += 1 + strspn(code + 1, " \t\n");
		if (isdigit((unsigned char)*code) || *code == '-')
			fail_msg("%s: err_set with a bare number: %.40s", path, at);
	}
}

static void test_each_code_is_known_and_used(void **state)
{
	static const char *const folders[] = { "lib/*.c", "state/*.c", "vmd/*.c",   "vmctl/*.c",
					       "vmm/*.c", "vmm/*/*.c", "hostio/*.c" };
	unsigned int counts[ARRAY_SIZE(ids)] = { 0 };
	size_t files = 0;

	(void)state;
	for (size_t k = 0; k < ARRAY_SIZE(folders); k++) {
		glob_t found;

		assert_int_equal(glob(folders[k], 0, NULL, &found), 0);
		for (size_t i = 0; i < found.gl_pathc; i++)
			if (strcmp(found.gl_pathv[i], "lib/errcat.c"))
				scan_file(found.gl_pathv[i], counts);
		files += found.gl_pathc;
		globfree(&found);
	}
	assert_true(files > 50);
	for (size_t i = 0; i < ARRAY_SIZE(ids); i++)
		if (!counts[i])
			fail_msg("%s is in lib/errcat.h, and nothing uses it", ids[i]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_each_error_has_its_page),
		cmocka_unit_test(test_each_page_has_its_error),
		cmocka_unit_test(test_each_code_is_known_and_used),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
