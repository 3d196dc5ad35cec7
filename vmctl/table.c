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
	free(t->text);
	free(t->cells);
	*t = (struct table){ 0 };
}

void table_column(struct table *t, const char *header, enum table_align align)
{
	assert(t->ncolumns < TABLE_COLUMNS_MAX && !t->ncells);
	t->header[t->ncolumns] = header;
	t->align[t->ncolumns++] = align;
}

/* All texts in one piece: a list of thousands is tens of thousands of cells. */
static char *table_room(struct table *t, size_t len)
{
	if (t->text_cap - t->text_len < len) {
		t->text_cap = 2 * t->text_cap + len + 1024;
		t->text = realloc(t->text, t->text_cap);
		if (!t->text)
			abort();
	}
	t->text_len += len;
	return t->text + t->text_len - len;
}

void table_cell(struct table *t, const char *text, const char *color)
{
	const char *shown = text && text[0] ? text : "-";
	size_t size = strlen(shown) + 1;
	char *copy;

	if (t->ncells == t->cap) {
		t->cap = t->cap ? 2 * t->cap : 64;
		t->cells = realloc(t->cells, t->cap * sizeof(*t->cells));
		if (!t->cells)
			abort();
	}
	copy = table_room(t, size);
	memcpy(copy, shown, size);
	output_clean(copy);
	t->cells[t->ncells++] = (struct table_cell){ (size_t)(copy - t->text), color };
}

/* Columns on the screen: characters, not bytes of UTF-8. */
static size_t table_text_width(const char *text)
{
	size_t n = 0;

	for (; *text; text++)
		n += ((unsigned char)*text & 0xc0) != 0x80;
	return n;
}

/* fprintf("%*s") takes ten times as long, which a long table shows */
static void table_pad(FILE *out, size_t n)
{
	static const char blanks[] = "                                ";

	for (; n > sizeof(blanks) - 1; n -= sizeof(blanks) - 1)
		fwrite_unlocked(blanks, 1, sizeof(blanks) - 1, out);
	fwrite_unlocked(blanks, 1, n, out);
}

static void table_print_cell(const struct table *t, size_t column, size_t width, FILE *out,
			     const char *text, const char *color)
{
	size_t pad = width - table_text_width(text);
	bool last = column + 1 == t->ncolumns;

	if (t->align[column] == TABLE_RIGHT)
		table_pad(out, pad);
	if (color)
		fprintf(out, "\033[%sm%s\033[0m", color, text);
	else
		fputs_unlocked(text, out);
	if (t->align[column] == TABLE_LEFT && !last)
		table_pad(out, pad);
	fputs_unlocked(last ? "\n" : "  ", out);
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
			MAX(widths[i % t->ncolumns], table_text_width(t->text + t->cells[i].at));
	for (size_t i = 0; header && i < t->ncolumns; i++)
		table_print_cell(t, i, widths[i], out, t->header[i], NULL);
	for (size_t i = 0; i < t->ncells; i++)
		table_print_cell(t, i % t->ncolumns, widths[i % t->ncolumns], out,
				 t->text + t->cells[i].at, color ? t->cells[i].color : NULL);
}
