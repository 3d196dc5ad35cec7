/* SPDX-License-Identifier: MIT */
/*
 * A scripted vmd for vmctl's tests: a thread behind a real socket that speaks the RPC contract. Each
 * request is answered by the first row that fits it; what fits none is "method not found".
 */
#ifndef TESTS_UNIT_VMCTL_PEER_H
#define TESTS_UNIT_VMCTL_PEER_H

#include <stdbool.h>

enum peer_after {
	PEER_GO_ON,
	PEER_CLOSE,	/* close the connection instead of an answer */
	PEER_SILENT,	/* no answer */
	PEER_GARBAGE,	/* a line that is no JSON */
	PEER_INTERRUPT, /* no answer, but a SIGINT to the process */
};

struct peer_row {
	const char *method;  /* NULL ends the script */
	const char *params;  /* JSON that the request's must be equal to; NULL: any */
	const char *result;  /* JSON, or NULL: */
	const char *error;   /* JSON of an error member */
	const char *notify;  /* lines to send behind the answer, or NULL */
	const char *console; /* pass a socket, write this to it, then close it; or NULL */
	enum peer_after after;
};

/* How one run of vmctl went. */
struct peer_run {
	int status;
	char *out, *err; /* owned */
	char *requests;	 /* owned: "METHOD PARAMS\n" each */
	char *typed;	 /* owned: what came on the console, "" */
};

/* Run `vmctl ARGS` (split at blanks) against a script; input: standard input, NULL for none. */
void peer_run(const struct peer_row *script, const char *args, const char *input,
	      struct peer_run *ret);
/* The same without any vmd; the socket's path does not exist. */
void peer_run_alone(const char *args, const char *input, struct peer_run *ret);
/*
 * The same on a terminal of its own: when `prompt` has been printed, `typed` is
 * typed, or SIGTERM sent when it is NULL. out is all that the
 * terminal showed; *ret_restored says whether its mode is what it was before.
 */
void peer_run_tty(const struct peer_row *script, const char *args, const char *prompt,
		  const char *typed, struct peer_run *ret, bool *ret_restored);
void peer_run_free(struct peer_run *r);

#endif
