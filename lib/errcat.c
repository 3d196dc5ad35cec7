// SPDX-License-Identifier: MIT
/* The catalogue of errors: see errcat.h. */
#include "lib/errcat.h"

#include <errno.h>

static const struct errcat_entry errcat_entries[] = {
#define X(id, code, name, exit) { code, name, exit },
	ERRCAT(X)
#undef X
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
	for (size_t i = 0; i < ARRAY_SIZE(errcat_entries); i++)
		if (errcat_entries[i].code == code)
			return &errcat_entries[i];
	return &errcat_entries[0];
}
