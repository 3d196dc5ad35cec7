/* SPDX-License-Identifier: MIT */
/*
 * VM files: YAML or JSON text (one reader, libyaml: JSON is a subset) to a JSON value that remembers
 * where everything stood. Limits: 1 MiB, JSON_DEPTH_MAX levels, 10,000 values. Duplicate keys, anchors,
 * aliases and tags are refused with line and column, and so is a second document where one is asked for.
 */
#ifndef LIB_VMFILE_H
#define LIB_VMFILE_H

#include <stdio.h>

#include "lib/err.h"
#include "lib/json.h"

#define VMFILE_DOCUMENTS_MAX 1000

struct vmfile {
	char name[256]; /* as shown in messages: the path, or "<stdin>" */
	char dir[4096]; /* folder that relative paths in it start from; "" = as they are */
	struct json_object *root;  /* owned */
	struct vmfile_mark *marks; /* owned */
	size_t nmarks;
};

/* path "-" reads standard input. Errors: ERR_FILE (unreadable), ERR_SYNTAX "FILE:LINE:COL: what". */
int vmfile_load(const char *path, struct vmfile *ret_file, struct err *e);
int vmfile_parse(const char *name, const char *text, size_t len, struct vmfile *ret_file,
		 struct err *e);
void vmfile_fini(struct vmfile *f);
/* The same for all documents of a file (at most VMFILE_DOCUMENTS_MAX; empty ones are left out): an array, n >= 1. */
int vmfile_load_all(const char *path, struct vmfile **ret_files, size_t *ret_n, struct err *e);
void vmfile_free_all(struct vmfile *files, size_t n);

/* Line and column (from 1) of the value at a pointer, or of its key; 0 when the pointer is unknown. */
int vmfile_locate(const struct vmfile *f, const char *pointer, bool key, unsigned int *ret_line,
		  unsigned int *ret_column);
/* What a scalar without quotes means: a new value, NULL for null. -ERANGE for a number that cannot be kept. */
int vmfile_scalar(const char *text, struct json_object **ret_value);

/* Values as YAML, a document each: read again, each is equal to what it was. -EIO when out fails. */
int vmfile_write(FILE *out, struct json_object *const *documents, size_t n, struct err *e);

#endif
