/* SPDX-License-Identifier: MIT */
/*
 * apply --prune: VMs that came from the folders of the command line, and are in none of its files. Which they are
 * is found before a file is applied, and what would hinder their deletion; they are deleted after all files
 * were. One that somebody changes in between stays.
 */
#ifndef VMCTL_PRUNE_H
#define VMCTL_PRUNE_H

#include "vmctl/files.h"

struct prune_item {
	char *id, *name; /* owned */
	int64_t revision;
	int status; /* EXIT_OK, or what e comes to */
	struct err e;
	struct client_reply reply; /* of vm.delete, a dry run at first */
};

struct prune {
	struct prune_item *items; /* owned */
	size_t n, bad;		  /* bad: cannot be deleted now */
};

/*
 * EXIT_OK, or the status after the error was printed. What vmd would refuse (a VM that runs) is kept in the items.
 * prune_fini ends it in any case.
 */
int prune_find(struct vmctl *v, const struct files_set *s, struct prune *ret);
void prune_fini(struct prune *p);

/* On standard error: what would be removed. */
void prune_announce(struct vmctl *v, const struct prune *p);
/* Delete them, one after the other, also when one of them fails. */
void prune_run(struct vmctl *v, struct prune *p);

void prune_print_errors(struct vmctl *v, const struct prune *p);
/* "NAME: deleted", "NAME: would be deleted" */
void prune_print(struct vmctl *v, const struct prune *p);
/* Add {name, result: "deleted", removed} or {name, error} for each. */
void prune_rows(const struct prune *p, struct json_object *rows);
/* Together with the files' status. */
int prune_status(const struct prune *p, int files_status);

#endif
