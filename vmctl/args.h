/* SPDX-License-Identifier: MIT */
/*
 * The command line, taken apart by tables: options and operands of a command are rows (vmctl/commands.c),
 * and parsing, help and the messages of bad usage all come from them. No state outside of struct args.
 *
 * Long options are "--name VALUE" or "--name=VALUE", letters "-n VALUE", "-nVALUE", and several flags
 * "-qf". "--" ends the options. Options of the program may stand before or after the command; after it,
 * an option of the command with the same letter comes first.
 */
#ifndef VMCTL_ARGS_H
#define VMCTL_ARGS_H

#include "lib/err.h"

struct command;

enum args_type {
	ARGS_FLAG,
	ARGS_STRING, /* the last one counts */
	ARGS_LIST,   /* may be given several times */
	ARGS_NUMBER, /* a decimal integer */
	ARGS_TIME,   /* "60", "90s", "5m", "1h", "500ms"; kept in milliseconds */
	ARGS_CHOICE, /* one of choices; of "a=X", any text that begins with "a=" */
};

/* A row without a name ends a table. */
struct args_option {
	const char *name; /* without the dashes */
	char letter;	  /* 0: none */
	enum args_type type;
	bool required;
	const char *metavar; /* NULL for a flag */
	const char *help;
	const char *const *choices; /* ARGS_CHOICE: NULL-terminated */
};

struct args_value {
	const struct args_option *option; /* borrowed from its table */
	const char *text;		  /* borrowed from argv; NULL for a flag */
	uint64_t number;		  /* ARGS_NUMBER, ARGS_TIME */
};

struct args {
	const struct command *command; /* borrowed from the table; NULL: none was given */
	int word; /* index in argv of the command's first word, known or not; 0: none */
	struct args_value *values; /* owned */
	size_t nvalues;
	const char **operands; /* owned array of strings borrowed from argv */
	size_t noperands;
};

/*
 * 0, or -EINVAL with the message of a usage error. ret is valid in both cases (args_fini ends it): after
 * an error, ret->command is the command that was being read, and what came before is there.
 * Missing operands and options are not an error when one of `unless` (NULL-terminated names of flags,
 * such as "help") was given, or when no command was.
 */
int args_parse(int argc, char *const *argv, const struct command *commands,
	       const struct args_option *globals, const char *const *unless, struct args *ret,
	       struct err *e);
void args_fini(struct args *a);

bool args_flag(const struct args *a, const char *name);
/* The last value given, or fallback. */
const char *args_str(const struct args *a, const char *name, const char *fallback);
uint64_t args_number(const struct args *a, const char *name, uint64_t fallback);
/* The n-th value of an ARGS_LIST, or NULL behind the last. */
const char *args_item(const struct args *a, const char *name, size_t n);

/* The nearest of the NULL-terminated names to what was typed, or NULL when none is near. */
const char *args_near(const char *typed, const char *const *names);
/* "90s", "5m", "500ms", "60" (seconds) to milliseconds. */
bool args_time_parse(const char *text, uint64_t *ret_ms);

#endif
