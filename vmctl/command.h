/* SPDX-License-Identifier: MIT */
/*
 * A command: a row of the table (vmctl/commands.h), and finding it by what people type. Parsing, help,
 * completion and the tests of the manual read rows. A command that is one RPC on each of its VMs is a row
 * alone (vmctl/target.h runs it); any other has its handler in cmd_<verb>.c.
 */
#ifndef VMCTL_COMMAND_H
#define VMCTL_COMMAND_H

#include "vmctl/args.h"

struct vmctl;

enum command_access {
	COMMAND_LOCAL, /* works without vmd */
	COMMAND_READ,
	COMMAND_WRITE, /* goes on in vmd when vmctl is interrupted */
};

struct command {
	const char *group; /* "host" of `vmctl host info`; NULL: a command of one word */
	const char *name;
	const char *aliases[3]; /* NULL-terminated when fewer */
	const char *summary;
	const struct args_option *options; /* NULL: none */
	const char *operands;		   /* as in the usage line: "VM..."; NULL: none */
	unsigned int min, max;		   /* operands; max 0: any number */
	enum command_access access;
	bool ask;	    /* destructive: asks on a terminal, needs --yes elsewhere */
	const char *method; /* RPC of a command on VMs */
	const char *done;   /* result column of it: "started" */
	const char
		*states; /* VMs or jobs in these ("running paused") are worth offering; NULL: all */
	int (*run)(struct vmctl *v);
};

/*
 * The row for a word, or for a group and a second word (NULL: not read yet): whole names and aliases
 * first, then unique prefixes. -EAGAIN when word names a group and second is NULL. -EINVAL with the
 * message: unknown (and what is near), or ambiguous.
 */
int command_find(const struct command *table, const char *word, const char *second,
		 const struct command **ret_command, struct err *e);
/*
 * Add the hint that a user of another tool needs to a usage error: OpenBSD's `create` makes a disk image
 * and its `reset` resets the daemon. a: what could be read.
 */
void command_foreign_hint(int argc, char *const *argv, const struct args *a, struct err *e);
/* "start", "host info" into out */
const char *command_title(const struct command *c, char *out, size_t out_size);

#endif
