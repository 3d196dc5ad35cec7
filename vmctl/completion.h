/* SPDX-License-Identifier: MIT */
/* The shells that vmctl has a completion script for. */
#ifndef VMCTL_COMPLETION_H
#define VMCTL_COMPLETION_H

struct completion {
	const char *shell, *file; /* "bash"; the name in completions/ */
};

/* A row without a shell ends it. */
extern const struct completion completions[];

#endif
