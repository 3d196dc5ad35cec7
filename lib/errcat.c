// SPDX-License-Identifier: MIT
/* The catalogue of errors: see errcat.h. */
#include "lib/errcat.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

const struct errcat_entry errcat_entries[] = {
#define X(id, code, name, exit, retryable) { code, name, exit, retryable },
	ERRCAT(X)
#undef X
		{ 0 },
};

static int errcat_of_errno(int code)
{
	switch (code) {
	case EPERM:
	case EACCES:
		return ERR_DENIED;
	case ENOENT:
	case EISDIR:
	case ENOTDIR:
		return ERR_FILE;
	case ETIMEDOUT:
		return ERR_TIMEOUT;
	case EBUSY:
		return ERR_BUSY;
	case ENOMEM:
		return ERR_MEMORY;
	case EINVAL:
		return ERR_INVALID;
	case ECANCELED:
		return ERR_CANCELLED;
	default:
		return ERR_FAILED;
	}
}

const struct errcat_entry *errcat_find(int code)
{
	if (code >= 0 && code < ERR_FAILED)
		code = errcat_of_errno(code);
	for (const struct errcat_entry *entry = errcat_entries; entry->name; entry++)
		if (entry->code == code)
			return entry;
	return &errcat_entries[0];
}

const struct errcat_entry *errcat_by_name(const char *name)
{
	for (const struct errcat_entry *entry = errcat_entries; entry->name; entry++)
		if (!strcmp(entry->name, name))
			return entry;
	return NULL;
}

const char *errcat_label(int code, char out[static 16])
{
	snprintf(out, 16, "%s%d", code > 0 ? "E" : "", code);
	return out;
}
