/* SPDX-License-Identifier: MIT */
/*
 * A scripted vmd for vmctl's tests: a thread behind a real socket that speaks the RPC contract. Each
 * request is answered by the first row that fits it; what fits none is "method not found".
 */
#ifndef TESTS_UNIT_VMCTL_PEER_H
#define TESTS_UNIT_VMCTL_PEER_H

#include <stdbool.h>

/* What vmd says of VMs: 'hello', which runs, and others. */
#define PEER_HELLO                                                                          \
	"{\"id\":\"0f3c\",\"name\":\"hello\",\"profile\":\"modern\",\"cpus\":2,\"memory\":" \
	"536870912,\"revision\":3,\"desired\":\"running\",\"observed\":{\"state\":"         \
	"\"running\",\"pid\":77,\"since\":\"2020-01-01T00:00:00Z\",\"revision\":2}"
#define PEER_WEB(n, s)                                                                       \
	"{\"id\":\"aa" n "\",\"name\":\"web" n "\",\"profile\":\"micro\",\"cpus\":1,"        \
	"\"memory\":67108864,\"revision\":1,\"desired\":\"stopped\",\"observed\":{\"state\"" \
	":\"" s "\"}}"
#define PEER_LIST \
	"{\"vms\":[" PEER_HELLO "}," PEER_WEB("1", "stopped") "," PEER_WEB("2", "paused") "]}"
#define PEER_ERROR(code, message, name, more)                                                      \
	"{\"code\":" #code ",\"message\":\"" message "\",\"data\":{\"name\":\"" name "\"" more "}" \
	"}"
#define PEER_JOB(state, more)                                                               \
	"{\"job\":\"j-1a2b3c4d\",\"vm\":\"0f3c\",\"name\":\"a\",\"op\":\"stop\",\"state\":" \
	"\"" state "\",\"phase\":\"shutdown\",\"actor\":{\"uid\":0,\"pid\":7,\"program\":"  \
	"\"vmctl\"},\"created\":"                                                           \
	"\"2026-01-31T12:00:00.000Z\",\"updated\":\"2026-01-31T12:00:01.000Z\",\"age_ms\":" \
	"1000" more "}"
#define PEER_JOB_FAILED                                                                     \
	PEER_JOB("failed", ",\"error\":{\"code\":1002,\"message\":\"VM 'a' did not stop\"," \
			   "\"data\":{\"name\":\"timeout\",\"hint\":\"--force ends it\"}}")

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
/*
 * The same, and compare its status and what it printed (NULL: not looked at). No script: without any vmd, as
 * peer_run_alone.
 */
void peer_check(const struct peer_row *script, const char *args, const char *input, int status,
		const char *out, const char *err);
/* The same for what was asked. */
void peer_check_requests(const struct peer_row *script, const char *args, const char *requests);
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
