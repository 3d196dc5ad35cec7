// SPDX-License-Identifier: MIT
/* Tables: see table.h. */
#include "vmctl/table.h"

#include <assert.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "vmctl/output.h"

void table_init(struct table *t)
{
	*t = (struct table){ 0 };
}

void table_fini(struct table *t)
{
	if (!t)
		return;
	for (size_t i = 0; i < t->ncells; i++)
		free(t->cells[i].text);
	free(t->cells);
	*t = (struct table){ 0 };
}

void table_column(struct table *t, const char *header, enum table_align align)
{
	assert(t->ncolumns < TABLE_COLUMNS_MAX && !t->ncells);
	t->header[t->ncolumns] = header;
	t->align[t->ncolumns++] = align;
}

void table_cell(struct table *t, const char *text, const char *color)
{
	char *copy = strdup(text && text[0] ? text : "-");

	if (t->ncells == t->cap) {
		t->cap = t->cap ? 2 * t->cap : 64;
		t->cells = realloc(t->cells, t->cap * sizeof(*t->cells));
	}
	if (!copy || !t->cells)
		abort();
	t->cells[t->ncells++] = (struct table_cell){ output_clean(copy), color };
}

/* Columns on the screen: characters, not bytes of UTF-8. */
static size_t table_text_width(const char *text)
{
	size_t n = 0;

	for (; *text; text++)
		n += ((unsigned char)*text & 0xc0) != 0x80;
	return n;
}

static void table_print_cell(const struct table *t, size_t column, size_t width, FILE *out,
			     const char *text, const char *color)
{
	size_t pad = width - table_text_width(text);
	bool last = column + 1 == t->ncolumns;

	if (t->align[column] == TABLE_RIGHT)
		fprintf(out, "%*s", (int)pad, "");
	if (color)
		fprintf(out, "\033[%sm%s\033[0m", color, text);
	else
		fputs(text, out);
	if (t->align[column] == TABLE_LEFT && !last)
		fprintf(out, "%*s", (int)pad, "");
	fputs(last ? "\n" : "  ", out);
}

void table_pair(struct table *t, const char *name, const char *fmt, ...)
{
	char text[600];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	table_cell(t, name, NULL);
	table_cell(t, text, NULL);
}

void table_print(const struct table *t, FILE *out, bool header, bool color)
{
	size_t widths[TABLE_COLUMNS_MAX] = { 0 };

	assert(t->ncolumns);
	for (size_t i = 0; header && i < t->ncolumns; i++)
		widths[i] = table_text_width(t->header[i]);
	for (size_t i = 0; i < t->ncells; i++)
		widths[i % t->ncolumns] =
			MAX(widths[i % t->ncolumns], table_text_width(t->cells[i].text));
	for (size_t i = 0; header && i < t->ncolumns; i++)
		table_print_cell(t, i, widths[i], out, t->header[i], NULL);
	for (size_t i = 0; i < t->ncells; i++)
		table_print_cell(t, i % t->ncolumns, widths[i % t->ncolumns], out, t->cells[i].text,
				 color ? t->cells[i].color : NULL);
}
