/* SPDX-License-Identifier: MIT */
/*
 * THE method table: every method of the public API is one row, with its schema in schemas/rpc/ and its
 * handler in a method_*.c. Handlers are short and never block; they answer at once or keep the call.
 */
#ifndef VMD_METHODS_H
#define VMD_METHODS_H

#include "lib/json.h"
#include "lib/schema.h"
#include "vmd/call.h"

struct method {
	const char *name; /* "vm.start"; its schema is schemas/rpc/vm.json, member "vm.start" */
	void (*handle)(struct daemon *d, struct call *call);
	bool own_vm; /* reads and writes nothing but what is of its VM: see turn.h */
};

/* A row without a name ends it. */
extern const struct method methods[];

/* The schemas of all rows, compiled. */
struct method_schemas;
int method_schemas_new(struct method_schemas **ret_schemas, struct err *e);
void method_schemas_free(struct method_schemas *schemas);
/* -ERR_RPC_PARAMS with where it is wrong. */
int method_check(const struct method_schemas *schemas, const struct method *method,
		 struct json_object *params, struct schema_error *ret_where, struct err *e);
/* Does the schema of parameters require this one? */
bool method_requires(struct json_object *params, const char *name);
const struct method *method_find(const char *name);
/* The nearest name, or NULL. */
const char *method_near(const char *name);
/* What a row's schema says beside its parameters and result. */
struct method_info {
	bool read;   /* access "read": it changes nothing */
	bool fds;    /* "fds": a descriptor comes with the answer */
	bool urgent; /* "urgent": it ends what others wait for (vmd/client.c) */
	/* whom it is for (vmd/role.h); a write without these is for the owner of the VM that it names */
	bool owner;    /* "rights": "owner": to read it, too, is */
	bool any;      /* "rights": "any": for operators too; the handler looks closer */
	bool needs_vm; /* its parameters must name a VM, or have a definition */
	/* common members (schemas/common.json) that it has, and does not look at itself */
	bool if_revision, may_expire;
};
const struct method_info *method_info(const struct method_schemas *schemas,
				      const struct method *method);
/* {summary, access, params, result, errors} of a row, borrowed from schemas; or NULL. */
struct json_object *method_schema(const struct method_schemas *schemas, const char *name);

/* method_daemon.c */
void method_daemon_ping(struct daemon *d, struct call *call);
void method_daemon_version(struct daemon *d, struct call *call);
void method_rpc_discover(struct daemon *d, struct call *call);
void method_host_info(struct daemon *d, struct call *call);
/* method_event.c */
void method_event_list(struct daemon *d, struct call *call);
void method_event_subscribe(struct daemon *d, struct call *call);
/* method_list.c */
void method_vm_list(struct daemon *d, struct call *call);
/* method_plug.c: devices while it runs */
void method_vm_attach(struct daemon *d, struct call *call);
void method_vm_detach(struct daemon *d, struct call *call);
/* method_input.c: its keyboard */
void method_vm_send_key(struct daemon *d, struct call *call);
/* method_media.c: what is in its drives */
void method_vm_screenshot(struct daemon *d, struct call *call);
/* method_display.c */
void method_vm_display(struct daemon *d, struct call *call);
void method_vm_media(struct daemon *d, struct call *call);
/* method_vm.c: definitions */
void method_vm_validate(struct daemon *d, struct call *call);
void method_vm_apply(struct daemon *d, struct call *call);
void method_vm_revert(struct daemon *d, struct call *call);
void method_vm_get(struct daemon *d, struct call *call);
void method_vm_delete(struct daemon *d, struct call *call);
/* method_history.c: their revisions */
void method_vm_history(struct daemon *d, struct call *call);
void method_vm_diff(struct daemon *d, struct call *call);
void method_vm_export(struct daemon *d, struct call *call);
/* method_logs.c: what they say */
void method_vm_logs(struct daemon *d, struct call *call);
void method_logs_wait(struct daemon *d, struct call *call); /* vm.wait for a console */
/* method_job.c */
void method_job_list(struct daemon *d, struct call *call);
void method_job_get(struct daemon *d, struct call *call);
void method_job_wait(struct daemon *d, struct call *call);
void method_job_cancel(struct daemon *d, struct call *call);
/* method_lease.c: devices of the host */
void method_lease_list(struct daemon *d, struct call *call);
void method_pci_release(struct daemon *d, struct call *call);
/* method_pool.c: virtual functions */
void method_pool_apply(struct daemon *d, struct call *call);
void method_pool_delete(struct daemon *d, struct call *call);
void method_pool_diff(struct daemon *d, struct call *call);
void method_pool_export(struct daemon *d, struct call *call);
void method_pool_get(struct daemon *d, struct call *call);
void method_pool_history(struct daemon *d, struct call *call);
void method_pool_list(struct daemon *d, struct call *call);
void method_pool_revert(struct daemon *d, struct call *call);
void method_sriov_pf_get(struct daemon *d, struct call *call);
void method_sriov_pf_list(struct daemon *d, struct call *call);
void method_sriov_pf_set(struct daemon *d, struct call *call);
/* method_power.c: what runs */
void method_vm_start(struct daemon *d, struct call *call);
void method_vm_stop(struct daemon *d, struct call *call);
void method_vm_restart(struct daemon *d, struct call *call);
void method_vm_reset(struct daemon *d, struct call *call);
void method_vm_pause(struct daemon *d, struct call *call);
void method_vm_resize(struct daemon *d, struct call *call);
void method_vm_set_rate(struct daemon *d, struct call *call);
void method_vm_resume(struct daemon *d, struct call *call);
void method_vm_wakeup(struct daemon *d, struct call *call);
void method_vm_kill(struct daemon *d, struct call *call);
void method_vm_wait(struct daemon *d, struct call *call);
void method_vm_timeline(struct daemon *d, struct call *call);
void method_vm_console(struct daemon *d, struct call *call);
/* The guest that params.vm names, held, whose monitor can be asked; NULL: the call has been answered. */
struct guest *method_running_guest(struct daemon *d, struct call *call);
/* A size of checked parameters, an integer or a string with a unit, in bytes. */
int64_t method_size(struct json_object *size);
/* method_memory.c: what it has and uses */
void method_vm_balloon(struct daemon *d, struct call *call);
void method_vm_stats(struct daemon *d, struct call *call);
/* method_net.c: cables */
void method_vm_set_link(struct daemon *d, struct call *call);
/* method_pci.c: what can be passed through */
void method_pci_list(struct daemon *d, struct call *call);
void method_pci_get(struct daemon *d, struct call *call);
void method_pci_groups(struct daemon *d, struct call *call);
void method_pci_doctor(struct daemon *d, struct call *call);
void method_host_doctor(struct daemon *d, struct call *call);

#endif
