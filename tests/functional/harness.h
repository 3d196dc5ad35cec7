/* SPDX-License-Identifier: MIT */
/*
 * Functional tests: a real vmd in a directory of its own, real sockets, and the real vmm or a fake one
 * that misbehaves as told. Nothing here sleeps: it waits for sd_notify's READY, for answers, for events
 * and for the ends of processes, each with a deadline (HARNESS_WAIT_MS) after which the test fails.
 *
 *	struct harness *h = harness_new();
 *	harness_vmd(h, "ok", NULL);		vmd serves when it returns
 *	struct client *c = harness_client(h);
 *	AUTO_JSON struct json_object *r = client_result(c, "vm.apply", "{'definition': …}");
 *	harness_free(h);				ends vmd and every vmm, removes the directory
 *
 * JSON in C strings may use ' for ".
 */
#ifndef TESTS_FUNCTIONAL_HARNESS_H
#define TESTS_FUNCTIONAL_HARNESS_H

#include <sys/types.h>
#include "lib/auto.h"
#include "lib/json.h"
#include "lib/util.h"
#include "tests/lib/test.h"

#define HARNESS_WAIT_MS 20000
#define HARNESS_CLIENTS 32
#define HARNESS_UIDS 32
#define HARNESS_AT_ONCE 8	      /* in one program */
#define HARNESS_UID_FIRST 1879113728u /* above vmd's default range */

struct client;

struct harness {
	char *dir;	  /* owned: everything is below it */
	char socket[128]; /* dir/vmd.sock */
	char state_dir[128], run_dir[128];
	unsigned int uid_first; /* of HARNESS_UIDS, which no other vmd of a test on this host has */
	char uids[32];		/* "FIRST-LAST", of --monitor-uids */
	pid_t vmd;		/* 0: none runs */
	int notify;		/* owned */
	struct client *clients[HARNESS_CLIENTS]; /* owned */
};

struct harness *harness_new(void);
void harness_free(struct harness *h);
/* cmocka's setup and teardown, where that is all */
int harness_setup(void **state);
int harness_teardown(void **state);

/* A program of the build: "vmd", "vmctl", "vmm". */
void harness_program(const char *name, char *out, size_t size);
/* The monotonic clock, for a wait that asks again and again: until HARNESS_WAIT_MS later. */
int64_t harness_now_ms(void);
/* Does /dev/kvm work? If not, the caller should skip(). */
bool harness_has_kvm(void);

/*
 * Start vmd and wait until it serves. fake: NULL for the real vmm, or a mode of fake_vmm.c. More
 * arguments of vmd follow, ended by NULL.
 */
void harness_vmd(struct harness *h, const char *fake, ...) __attribute__((sentinel));
/* The same, but it is expected to end: its exit status, and its standard error. */
int harness_vmd_fails(struct harness *h, char *err, size_t err_size, ...) __attribute__((sentinel));
/* The path of a fake that misbehaves so, for an option of vmd's. */
void harness_fake(struct harness *h, const char *mode, char *out, size_t size);
/* Send a signal to vmd, and wait for its end. Its exit status, or 128 + signal. */
int harness_vmd_end(struct harness *h, int signal);

/*
 * Run vmctl with --socket and the given arguments, ended by NULL; input (may be NULL) is its standard
 * input. Its exit status; what it printed is put into out and err (cut to size; may be NULL).
 */
struct harness_output {
	char out[65536], err[8192];
};
int harness_vmctl(struct harness *h, const char *input, struct harness_output *ret, ...)
	__attribute__((sentinel));
/* Any program; path and arguments, ended by NULL. */
int harness_run(const char *input, struct harness_output *ret, char *const argv[]);

/* dir/name with text; the path comes back, valid until the next call. */
const char *harness_file(struct harness *h, const char *name, const char *text);

/* A connection that has had its vmd.hello. */
struct client *harness_client(struct harness *h);
/* The same over another socket than h->socket. */
struct client *harness_client_at(struct harness *h, const char *socket);
/* The same as that user, in that group beside its own; for root only. */
struct client *harness_client_as(struct harness *h, uid_t uid, gid_t group);
void client_close(struct harness *h, struct client *c);
/* Text to vmd as it is, with a LF. */
void client_send_line(struct client *c, const char *line);
/* As client_send_line, but vmd may hang up in between. */
void client_offer_line(struct client *c, const char *line);
/* The next message, whatever it is; NULL when vmd closes the connection. Owned by the caller. */
struct json_object *client_next(struct client *c);
/* Ask; params may be NULL. The id. */
int client_ask(struct client *c, const char *method, const char *params);
/* The answer to an id; notifications that come meanwhile are kept for client_event. */
struct json_object *client_answer(struct client *c, int id);
/* Ask and get the result; an error fails the test, shown. Owned. */
struct json_object *client_result(struct client *c, const char *method, const char *params);
/* Ask and get the error; a result fails the test. Owned. */
struct json_object *client_error(struct client *c, const char *method, const char *params);
/* Ask, and compare the error's code, message and hint ("" for none). */
void client_expect_error(struct client *c, const char *method, const char *params, int code,
			 const char *message, const char *hint);
/* Wait for an event: its type, and for vm.state the state it goes to (else NULL). Its params, owned. */
struct json_object *client_event(struct client *c, const char *type, const char *to);
/* Its socket, for poll(2). */
int client_fd(const struct client *c);
/* The descriptor that came with the last answer, now the caller's; -1 when there was none. */
int client_take_fd(struct client *c);

/* Wait for the end of a process that need not be ours. */
int harness_pidfd(pid_t pid);
void harness_wait_pidfd(int take_pidfd);
/* Open descriptors of a process. */
unsigned int harness_count_fds(pid_t pid);

#endif
