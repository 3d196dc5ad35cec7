/* SPDX-License-Identifier: MIT */
/*
 * One run of vmctl: its arguments, its output, its connection. A command's handler gets it, prints
 * everything (errors too) and returns the exit status (enum errcat_exit).
 */
#ifndef VMCTL_VMCTL_H
#define VMCTL_VMCTL_H

#include "vmctl/args.h"
#include "vmctl/client.h"
#include "vmctl/output.h"

#define VMCTL_EXIT_INTERRUPTED 130 /* 128 + SIGINT, as shells have it */
#define VMCTL_LOST (-1)		   /* no exit status: vmd has gone, see vmctl_resume */

struct vmctl {
	struct args args;
	struct output out;
	const char *socket;  /* borrowed */
	const char *columns; /* of tables, or NULL; borrowed */
	FILE *in;	     /* answers to questions; borrowed */
	bool interactive;    /* may ask */
	struct client client;
	bool connected;
	bool resumes;	 /* a lost connection is not the end: calls return VMCTL_LOST */
	struct err lost; /* why, then */
};

/* The whole program; out and err are its streams. Returns the exit status. */
int vmctl_run(int argc, char *const *argv, FILE *in, FILE *out, FILE *err);

/* EXIT_OK, or the status after the error was printed. */
int vmctl_connect(struct vmctl *v);
/*
 * Report a failed call: standard error always, and {"schema":…,"error":…} on standard output with
 * --json. reply may be NULL. Returns the exit status. op_fmt "" leaves "cannot …" out.
 */
int vmctl_fail(struct vmctl *v, const struct err *e, const struct client_reply *reply,
	       const char *op_fmt, ...) PRINTF_LIKE(4, 5);
/* Bad usage that the tables cannot say. Returns EXIT_USAGE. */
int vmctl_usage(struct vmctl *v, const char *fmt, ...) PRINTF_LIKE(2, 3);
/* A call without targets: prints the failure. EXIT_OK or the status; ret as client_call's. */
int vmctl_call(struct vmctl *v, const char *method, struct json_object *take_params,
	       struct client_reply *ret, const char *op);
/*
 * After VMCTL_LOST, of a command that follows: wait for the next vmd, for VMCTL_RESUME_MS. EXIT_OK: the
 * same call can be made again, subscriptions are gone. Else the status after the error was printed.
 */
#define VMCTL_RESUME_MS 30000
int vmctl_resume(struct vmctl *v);
/* Does this run ask before it acts? EXIT_USAGE, after the error was printed, when it should and cannot. */
int vmctl_must_ask(struct vmctl *v, bool *ret_ask);
/* "Go on?": EXIT_OK, or the status after the error was printed. */
int vmctl_confirm(struct vmctl *v);
/*
 * The member "path": of a file, absolute, for vmd has another working directory. EXIT_OK, or the status after "cannot
 * OP 'PATH'" was printed.
 */
int vmctl_add_path(struct vmctl *v, struct json_object *o, const char *path, const char *op);
/* "list", "host.info": the name in "schema" */
const char *vmctl_schema(const struct vmctl *v, char *out, size_t out_size);

/* Handlers of the table, in cmd_<verb>.c */
int cmd_apply(struct vmctl *v);
int cmd_attach(struct vmctl *v);
int cmd_balloon(struct vmctl *v);
int cmd_resize(struct vmctl *v);
int cmd_completion(struct vmctl *v);
int cmd_console(struct vmctl *v);
int cmd_daemon_ping(struct vmctl *v);
int cmd_daemon_version(struct vmctl *v);
int cmd_detach(struct vmctl *v);
int cmd_set_link(struct vmctl *v);
int cmd_set_rate(struct vmctl *v);
int cmd_diff(struct vmctl *v);
int cmd_edit(struct vmctl *v);
int cmd_events(struct vmctl *v);
int cmd_export(struct vmctl *v);
int cmd_explain(struct vmctl *v);
int cmd_help(struct vmctl *v);
int cmd_history(struct vmctl *v);
int cmd_host_doctor(struct vmctl *v);
int cmd_host_info(struct vmctl *v);
int cmd_job_cancel(struct vmctl *v);
int cmd_job_show(struct vmctl *v);
int cmd_job_wait(struct vmctl *v);
int cmd_jobs(struct vmctl *v);
int cmd_lease_list(struct vmctl *v);
int cmd_list(struct vmctl *v);
int cmd_logs(struct vmctl *v);
int cmd_media(struct vmctl *v);
int cmd_screenshot(struct vmctl *v);
int cmd_display(struct vmctl *v);
int cmd_send_key(struct vmctl *v);
int cmd_pci_doctor(struct vmctl *v);
int cmd_pci_groups(struct vmctl *v);
int cmd_pci_list(struct vmctl *v);
int cmd_pci_release(struct vmctl *v);
int cmd_pci_show(struct vmctl *v);
int cmd_revert(struct vmctl *v);
int cmd_rpc(struct vmctl *v);
int cmd_show(struct vmctl *v);
int cmd_start(struct vmctl *v);
int cmd_sriov_lease(struct vmctl *v);
int cmd_sriov_pf(struct vmctl *v);
int cmd_sriov_pool(struct vmctl *v);
int cmd_timeline(struct vmctl *v);
int cmd_top(struct vmctl *v);
int cmd_validate(struct vmctl *v);
int cmd_version(struct vmctl *v);

#endif
