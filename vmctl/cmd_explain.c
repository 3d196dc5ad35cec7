// SPDX-License-Identifier: MIT
/* vmctl explain: the pages of the errors (schemas/error.json), and the keys of a VM file. Without vmd. */
#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "lib/auto.h"
#include "lib/errcat.h"
#include "lib/schema.h"
#include "vmctl/explain.h"
#include "vmctl/help.h"
#include "vmctl/table.h"

/* The embedded texts are part of the program: they are always there and right. */
static struct json_object *explain_pages(void)
{
	struct json_object *pages;

	if (schema_json("error.json", &pages, NULL) < 0)
		abort();
	return pages;
}

static struct json_object *explain_json(const struct errcat_entry *entry, struct json_object *page)
{
	struct json_object *o = json_add_int(json_new(), "code", entry->code);

	json_add_str(o, "name", entry->name);
	json_add_int(o, "exit_status", (int)entry->exit);
	json_add_bool(o, "retryable", entry->retryable);
	json_object_object_foreach(page, key, value) {
		json_add(o, key, json_object_get(value));
	}
	return o;
}

static void explain_list_table(struct vmctl *v, struct json_object *pages)
{
	struct table table;
	char label[16];

	table_init(&table);
	table_column(&table, "CODE", TABLE_LEFT);
	table_column(&table, "NAME", TABLE_LEFT);
	table_column(&table, "ERROR", TABLE_LEFT);
	for (const struct errcat_entry *e = errcat_entries; e->name; e++) {
		table_cell(&table, errcat_label(e->code, label), NULL);
		table_cell(&table, e->name, NULL);
		table_cell(&table, json_get_str(json_get(pages, e->name), "summary", NULL), NULL);
	}
	table_print(&table, v->out.out, v->out.header, v->out.color);
	table_fini(&table);
}

static void explain_list(struct vmctl *v, struct json_object *pages)
{
	AUTO_JSON struct json_object *doc = json_new();
	struct json_object *list = json_object_new_array();

	json_add(doc, "errors", list);
	for (const struct errcat_entry *e = errcat_entries; e->name; e++) {
		if (v->out.format == OUTPUT_NAME)
			fprintf(v->out.out, "%s\n", e->name);
		json_object_array_add(list, explain_json(e, json_get(pages, e->name)));
	}
	if (v->out.format == OUTPUT_JSON)
		output_json(&v->out, "explain", doc);
	else if (v->out.format != OUTPUT_NAME)
		explain_list_table(v, pages);
}

void explain_line(struct vmctl *v, const char *title, const char *text)
{
	int n;

	if (!text[0])
		return;
	n = fprintf(v->out.out, "%s:", title);
	fprintf(v->out.out, "%*s", EXPLAIN_INDENT - n, "");
	help_wrap(v->out.out, EXPLAIN_INDENT, text);
}

static void explain_error(struct vmctl *v, const struct errcat_entry *entry,
			  struct json_object *page)
{
	static const char *const parts[] = { "cause", "check", "fix" };
	AUTO_JSON struct json_object *doc = explain_json(entry, page);
	char label[16];

	if (v->out.format == OUTPUT_JSON) {
		output_json(&v->out, "explain", doc);
		return;
	}
	if (v->out.format == OUTPUT_NAME) {
		fprintf(v->out.out, "%s\n", entry->name);
		return;
	}
	fprintf(v->out.out, "%s %s: %s\n", errcat_label(entry->code, label), entry->name,
		json_get_str(page, "summary", ""));
	fprintf(v->out.out, "vmctl's exit status is %d%s\n\n", (int)entry->exit,
		entry->retryable ? "; it may be tried again" : "");
	for (size_t i = 0; i < ARRAY_SIZE(parts); i++)
		explain_line(v, parts[i], json_get_str(page, parts[i], ""));
}

/* "E1203", "1203", "vm.revision_mismatch"; JSON-RPC's "-32601" also without its sign, which looks like an option */
static const struct errcat_entry *explain_find(const char *word)
{
	const char *digits = word + (tolower((unsigned char)word[0]) == 'e' || word[0] == '-');
	const struct errcat_entry *entry;
	char *end;
	long code;

	errno = 0;
	code = strtol(digits, &end, 10);
	if (!isdigit((unsigned char)digits[0]) || *end || errno || code > 99999)
		return errcat_by_name(word);
	if (word[0] == '-' || code > 9999)
		code = -code;
	entry = errcat_find((int)code);
	/* errno values stand for an entry, and what is unknown for the first: neither was meant */
	return entry->code == code ? entry : NULL;
}

/* The name of an error that is near, or NULL. */
static const char *explain_near(const char *word)
{
	const char *names[256];
	size_t n = 0;

	for (const struct errcat_entry *p = errcat_entries; p->name && n < ARRAY_SIZE(names) - 1;
	     p++)
		names[n++] = p->name;
	names[n] = NULL;
	return args_near(word, names);
}

static int explain_unknown(struct vmctl *v, const char *word)
{
	const char *near = explain_near(word);
	struct err e;

	err_set(&e, ERR_NO_TOPIC, "no error '%.64s'", word);
	if (near)
		err_hint(&e, "did you mean '%s'?", near);
	else
		err_hint(&e,
			 "vmctl explain lists all errors, vmctl explain vm the keys of a VM file");
	return vmctl_fail(v, &e, NULL, "%s", "");
}

/* A word that begins as a key does and is none may still be a misspelt error. */
static int explain_field_or_fail(struct vmctl *v, const char *word)
{
	struct err e;
	int ret = explain_field(v, word, &e);

	if (ret >= 0)
		return ret;
	if (ret == -EINVAL || explain_near(word))
		return explain_unknown(v, word);
	e.code = ERR_NO_TOPIC;
	return vmctl_fail(v, &e, NULL, "%s", "");
}

int cmd_explain(struct vmctl *v)
{
	AUTO_JSON struct json_object *pages = explain_pages();
	const struct errcat_entry *entry;

	if (!v->args.noperands) {
		explain_list(v, pages);
		return EXIT_OK;
	}
	entry = explain_find(v->args.operands[0]);
	if (!entry)
		return explain_field_or_fail(v, v->args.operands[0]);
	explain_error(v, entry, json_get(pages, entry->name));
	return EXIT_OK;
}
