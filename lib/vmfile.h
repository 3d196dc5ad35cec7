/* SPDX-License-Identifier: MIT */
/*
 * VM files: YAML or JSON text (one reader, libyaml: JSON is a subset) to a JSON value that remembers
 * where everything stood. Limits: 1 MiB, JSON_DEPTH_MAX levels, 10,000 values. Duplicate keys, anchors,
 * aliases, tags and more than one document are refused with line and column.
 */
#ifndef LIB_VMFILE_H
#define LIB_VMFILE_H

#include "lib/err.h"
#include "lib/json.h"

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

/* Line and column (from 1) of the value at a pointer, or of its key; 0 when the pointer is unknown. */
int vmfile_locate(const struct vmfile *f, const char *pointer, bool key, unsigned int *ret_line,
		  unsigned int *ret_column);

#endif
