/* SPDX-License-Identifier: MIT */
/*
 * The files of VMs and pools of a command line: FILE with one document or several, DIR with the *.yaml, *.yml and *.json
 * in it by name, or "-" for standard input. All are read and checked before anything is done with one.
 */
#ifndef VMCTL_FILES_H
#define VMCTL_FILES_H

#include "lib/schema.h"
#include "lib/vmfile.h"
#include "vmctl/vmctl.h"

#define FILES_MAX 1000 /* VMs and pools in one run */

/* One document, or a file that could not be read. */
struct files_item {
	char *path;	    /* owned; as typed, or of a file in the folder that was */
	const char *folder; /* its real path, of the set's; NULL: it was named itself */
	struct vmfile file;
	bool loaded;
	bool pool;  /* of kind pool; else a VM's */
	int status; /* EXIT_OK, or what e comes to */
	struct err e;
	struct client_reply reply; /* what vmd said of it */
};

struct files_set {
	struct files_item *items;   /* owned */
	struct schema_set *schemas; /* owned; NULL: none yet */
	size_t n, bad;		    /* bad: those that have failed when they were read */
	char **folders;		    /* owned, and the strings: real paths, each once */
	size_t nfolders;
	const char *unkept; /* a folder as typed whose real path vmd could not keep; NULL: none */
};

/* Read what a path names. What is wrong with it is kept in the items. */
void files_add(struct files_set *s, const char *path);
/* All values of the option --file. */
void files_add_options(struct files_set *s, const struct args *a);
void files_fini(struct files_set *s);

/* The real path of a folder, malloc'ed; NULL: there is none, or vmd could not keep its name. */
char *files_real_folder(const char *path);
/* Is there a definition of this VM? */
bool files_has_vm(const struct files_set *s, const char *name);
/* The name of the VM or pool, "?" when that is unknown. */
const char *files_vm_name(const struct files_item *item);
void files_fail(struct files_item *item, const struct err *e);
/* Call a method with the definition (of a pool: as the member "pool"), take_params having the rest; what fails is placed in the file. */
void files_call(struct vmctl *v, struct files_item *item, const char *method,
		struct json_object *take_params);
/* 0, the failures' own when all failed alike, else EXIT_PARTIAL */
int files_status(const struct files_set *s);
/* Those of the items that failed: "cannot OP 'NAME': …", or "FILE:LINE:COL: …". */
void files_print_errors(struct vmctl *v, const struct files_set *s, const char *op);
/* What vm.apply or pool.apply did: "NAME: updated", "would be created", "unchanged", and what is to know about it. */
void files_print_applied(struct vmctl *v, const struct files_item *item);
/* {file, error}, or {file, …result} */
struct json_object *files_row(const struct files_item *item);

#endif
