/* SPDX-License-Identifier: MIT */
/*
 * Tables for people and for awk: two spaces between columns, no lines, no trailing blanks; an empty cell
 * is "-". Columns are as wide as their widest cell, so a table is kept until it is printed.
 */
#ifndef VMCTL_TABLE_H
#define VMCTL_TABLE_H

#include <stdio.h>

#include "lib/err.h"

#define TABLE_COLUMNS_MAX 16

enum table_align { TABLE_LEFT, TABLE_RIGHT };

struct table {
	size_t ncolumns, ncells, cap;
	enum table_align align[TABLE_COLUMNS_MAX];
	const char *header[TABLE_COLUMNS_MAX]; /* borrowed */
	struct table_cell {
		size_t at;	   /* where its text begins */
		const char *color; /* borrowed: an SGR number such as "32", or NULL */
	} * cells;		   /* owned; whole rows */
	char *text;		   /* owned: of all cells */
	size_t text_len, text_cap;
};

void table_init(struct table *t);
void table_fini(struct table *t);
/* Before the first cell. */
void table_column(struct table *t, const char *header, enum table_align align);
/* The next cell of the row. Aborts when memory is short. */
void table_cell(struct table *t, const char *text, const char *color);
void table_print(const struct table *t, FILE *out, bool header, bool color);

/* Two cells: a name, and formatted text of at most 599 bytes. */
void table_pair(struct table *t, const char *name, const char *fmt, ...) PRINTF_LIKE(3, 4);

#endif
