/* SPDX-License-Identifier: MIT */
/*
 * Everything durable: one SQLite database (WAL, synchronous=FULL) in the state directory. The only
 * SQL of the project is in this folder. On the loop's thread alone; a write is one fsync, but for
 * state_begin_boot.
 *
 * Failures of the database are ERR_STATE: nothing was written. ERR_STATE_UNKNOWN: see state_settle. Times are milliseconds since 1970.
 */
#ifndef STATE_STATE_H
#define STATE_STATE_H

#include <sys/types.h>
#include "lib/err.h"

#define STATE_ID_SIZE 37 /* a uuid's text with its NUL */
#define STATE_CGROUP_SIZE 384
#define STATE_EVENTS_MAX 50000
#define STATE_REVISIONS_MAX 1000	     /* of a VM; the one that runs stays beyond that */
#define STATE_JOBS_MAX 1000		     /* that have ended */
#define STATE_JOB_KEEP_MS (60 * 60 * 1000ll) /* after their end */
#define STATE_JOB_ID_SIZE 16
#define STATE_TIMELINES_MAX 50 /* a VM */

struct state;

struct state_exit {
	char reason[32];
	int64_t code;
	char message[512];
	int64_t time_ms;
};

struct state_vm {
	char id[STATE_ID_SIZE];
	char name[64];
	char profile[32];
	int64_t vcpus, memory; /* of the newest revision; bytes */
	int64_t created_ms, updated_ms;
	int64_t revision;
	uid_t owner;   /* who made it */
	bool confined; /* its files are opened with its owner's rights */
	bool desired_running;
	bool has_exit;
	struct state_exit exit; /* how its last process ended */
};

/* Who asked for a revision. note: how, where it was no ordinary apply ("revert to 3"), or "". */
struct state_actor {
	uid_t uid;
	pid_t pid;
	char program[32];
	char note[32];
	bool confined; /* no administrator: what it defines is confined */
};

struct state_revision {
	int64_t number, time_ms;
	struct state_actor actor;
	const char *definition; /* JSON text; valid during the callback */
};

#define STATE_REQUEST_MS (10 * 60 * 1000) /* that long a request is remembered */
#define STATE_REQUESTS_MAX 10000	  /* of a user */

/* A request that may be repeated; uid and id are its name. */
struct state_request {
	uid_t uid;
	char id[65], method[64];
	int64_t digest; /* of its parameters */
};

struct state_process {
	char vm[STATE_ID_SIZE];
	pid_t pid;
	uint64_t start_time; /* clock ticks after boot */
	char boot_id[64];
	char socket[108];
	int64_t revision;
	bool paused; /* was asked to start paused */
	int64_t time_ms;
	int64_t uid;			/* its alone; -1: vmd's */
	char cgroup[STATE_CGROUP_SIZE]; /* its name; "": none */
};

struct state_job {
	char id[STATE_JOB_ID_SIZE]; /* "j-1a2b3c4d" */
	char vm[STATE_ID_SIZE];
	char name[64];	/* of the VM */
	char op[16];	/* "start", … */
	char state[16]; /* "running", "done", "failed", "cancelled" */
	char phase[24];
	int64_t done, total; /* total 0: not known */
	char unit[16];
	int64_t timeout_ms; /* from created_ms on; -1: none */
	bool force;
	struct state_actor actor;
	int64_t created_ms, updated_ms;
};

/* What a start took. */
struct state_timeline {
	const char *vm; /* its id */
	int64_t time_ms, revision;
	bool ok;
	const char *phases; /* a JSON object's text */
};

struct state_event {
	int64_t seq, time_ms;
	const char *type, *vm, *data; /* vm may be NULL; data is a JSON object's text */
	const char *actor;	      /* a JSON object's text, or NULL: nobody caused it */
};

enum state_lease_state {
	STATE_LEASE_RESERVED,
	STATE_LEASE_CONFIGURED,
	STATE_LEASE_BOUND,
	STATE_LEASE_IN_USE,
	STATE_LEASE_RELEASING,
	STATE_LEASE_QUARANTINED,
};

/* A device of the host that a VM has. Texts are "" for none. */
struct state_lease {
	int64_t generation;
	char address[20];
	char vm[STATE_ID_SIZE];
	char name[64];	 /* of the VM */
	char device[64]; /* its id in the VM */
	char pool[64];
	enum state_lease_state state;
	char identity[512]; /* a JSON object's text */
	char mac[18];
	char reason[192];
	int node; /* NUMA; -1: not known */
	unsigned int
		distance; /* of the VM's memory or its other devices from there; 0: not known */
	char quarantine[1024]; /* why */
	char boot_id[64];
	int64_t created_ms, updated_ms;
	int64_t requested_ms; /* the host wants it back since then, which was told; 0: it does not */
};

enum state_attachment_state {
	STATE_ATTACHING,
	STATE_ATTACHED,
	STATE_DETACHING, /* the guest was asked, and has it still as far as anybody knows */
	STATE_DETACHED,	 /* one of the definition: gone until the next start */
};

/* How a running VM's devices differ from those of its revision. JSON texts, valid during the callback. */
struct state_attachment {
	char vm[STATE_ID_SIZE];
	char device[64]; /* its id in the VM */
	enum state_attachment_state state;
	bool defined;	   /* it is of the revision */
	const char *entry; /* as a definition has it: {"devices": {…}} or {"passthrough": {…}} */
	const char *config; /* as the machine configuration has it */
	bool persist;	    /* what is being done goes into the definition, too */
	char job[STATE_JOB_ID_SIZE];
	int64_t time_ms;
};

/* A network card of a VM that runs or is being started. */
struct state_nic {
	char vm[STATE_ID_SIZE];
	char device[64]; /* its id in the VM */
	char mac[18];
	const char *detail; /* JSON text, valid during the callback; NULL of state_nic_of_mac */
};

/* A change of the host: JSON texts of its steps (vmd/hostio.h), valid during the callback. */
struct state_journal {
	int64_t seq;
	char owner[96];
	const char *action;
	const char *undo;   /* NULL: there is none */
	bool begun, undone; /* may have happened or not; was taken back; neither: has happened */
	int64_t time_ms;
};

/* A pool of virtual functions. */
struct state_pool {
	char name[64];
	int64_t revision;
	const char *definition; /* JSON text; valid during the callback */
	char boot_id[64];	/* of the host's run that its rows of the journal are of */
	struct state_actor actor;
	int64_t created_ms, updated_ms;
};

/* Opens or makes dir/state.db and brings it to the newest schema. A newer database is refused. */
int state_open(const char *dir, struct state **ret_state, struct err *e);
void state_close(struct state *s);
/* Of this database, made with it. */
const char *state_server_id(const struct state *s);
int64_t state_now_ms(void);

/* Several writes as one. Not nested. state_rollback after a failure of any of them or of the commit. */
int state_begin(struct state *s, struct err *e);
/* Before one begins, or an event is written by itself: what was to be written earlier has its chance to be. */
void state_on_begin(struct state *s, void (*begin)(void *arg), void *arg);
/*
 * The same for what means nothing after the host has started anew, as processes and cgroups: it
 * outlives vmd, but is on the disk for certain only with the next transaction of the other kind.
 * No fsync.
 */
int state_begin_boot(struct state *s, struct err *e);
int state_commit(struct state *s, struct err *e);
void state_rollback(struct state *s);

/*
 * ERR_STATE_UNKNOWN: a write has failed, and is not in this database while it is open, but who opens it next
 * may find it. Make certain that it does not: 1 when it was necessary, 0 when not, or negative: try again
 * later. doubt is called whenever that error is about to be returned, and must not write.
 */
int state_settle(struct state *s, struct err *e);
void state_on_doubt(struct state *s, void (*doubt)(void *arg), void *arg);

/*
 * vm and revision. Each VM has at least one revision: insert and update write both; vm holds what the
 * rows get, and its created_ms, updated_ms and revision come back. -ERR_VM_EXISTS for a taken name.
 * The owner of a new one is the actor. A VM that an actor who is confined has written stays confined.
 */
int state_vm_insert(struct state *s, struct state_vm *vm, const char *definition,
		    const char *config, const struct state_actor *actor, struct err *e);
int state_vm_update(struct state *s, struct state_vm *vm, const char *definition,
		    const char *config, const struct state_actor *actor, struct err *e);
int state_vm_delete(struct state *s, const char *id, struct err *e);
int state_vm_set_desired(struct state *s, const char *id, bool running, struct err *e);
int state_vm_get(struct state *s, const char *id, struct state_vm *ret_vm, struct err *e);
/* By name, id or unique prefix of an id (at least 4 characters). -ERR_VM_NOT_FOUND with the nearest name. */
int state_vm_find(struct state *s, const char *word, struct state_vm *ret_vm, struct err *e);
/*
 * By name, at most limit of those behind the name after ("": from the first on). each < 0 ends the
 * walk and is returned.
 */
int state_vm_list(struct state *s, const char *after, int64_t limit,
		  int (*each)(void *arg, const struct state_vm *vm), void *arg, struct err *e);
/* The same of those that came from a folder (state_vm_set_origin). */
int state_vm_list_origin(struct state *s, const char *origin, const char *after, int64_t limit,
			 int (*each)(void *arg, const struct state_vm *vm), void *arg,
			 struct err *e);
/* The folder of files that it came from, a name to find it by; nothing is written when it is that already. */
int state_vm_set_origin(struct state *s, const char *id, const char *origin, struct err *e);
/* malloc'ed; NULL: none. */
int state_vm_origin(struct state *s, const char *id, char **ret_origin, struct err *e);
/* Texts of a revision, malloc'ed; either may be NULL. -ERR_VM_NO_REVISION. */
int state_revision_get(struct state *s, const char *id, int64_t number, char **ret_definition,
		       char **ret_config, struct err *e);
/* Those before a number, the newest first. each < 0 ends the walk and is returned, > 0 only ends it. */
int state_revision_list(struct state *s, const char *id, int64_t before,
			int (*each)(void *arg, const struct state_revision *revision), void *arg,
			struct err *e);

/* A failure too when another process has the uid. */
int state_process_put(struct state *s, const struct state_process *p, struct err *e);
/* The lowest of first to last that no process has; -ERR_FAILED when all are taken. */
int state_process_free_uid(struct state *s, uid_t first, uid_t last, int64_t *ret_uid,
			   struct err *e);
int state_process_delete(struct state *s, const char *vm, struct err *e);
/* each must not write. */
int state_process_list(struct state *s, int (*each)(void *arg, const struct state_process *p),
		       void *arg, struct err *e);

/*
 * Cgroups: written before they are made, deleted after they are gone, each in a transaction of its
 * own (of state_begin_boot). name: at most STATE_CGROUP_SIZE.
 */
int state_cgroup_put(struct state *s, const char *name, const char *vm, struct err *e);
int state_cgroup_delete(struct state *s, const char *name, struct err *e);
/* each must not write. */
int state_cgroup_list(struct state *s, int (*each)(void *arg, const char *name, const char *vm),
		      void *arg, struct err *e);

/* The process of a VM has ended: its row goes, its exit stays. One transaction of its own, or the open one. */
int state_exit_put(struct state *s, const char *vm, const struct state_exit *exit, struct err *e);
int state_exit_delete(struct state *s, const char *vm, struct err *e);

/* ret_seq: the number that the event got (its own is not looked at), from 1, never used twice. */
int state_event_add(struct state *s, const struct state_event *event, int64_t *ret_seq,
		    struct err *e);
int state_event_last(struct state *s, int64_t *ret_seq, struct err *e);
/* The oldest that is still there; 0: there is none. */
int state_event_first(struct state *s, int64_t *ret_seq, struct err *e);
/* At most limit of those after since, in order. each < 0 ends the walk and is returned, > 0 ends it. */
int state_event_list(struct state *s, int64_t since, int64_t limit,
		     int (*each)(void *arg, const struct state_event *event), void *arg,
		     struct err *e);
/*
 * For each VM the newest event "vm.state" of those that are kept: data's "from" and "to". The VM may have
 * been deleted.
 */
int state_event_last_states(struct state *s,
			    int (*each)(void *arg, const char *vm, const char *from,
					const char *to),
			    void *arg, struct err *e);

/*
 * A request, before it is carried out; an older one of the same name goes. Its answer, when there is one,
 * and its time anew. Or forget it, so that a repetition is carried out.
 */
int state_request_begin(struct state *s, const struct state_request *r, int64_t now_ms,
			struct err *e);
int state_request_end(struct state *s, uid_t uid, const char *id, const char *answer,
		      int64_t now_ms, struct err *e);
int state_request_forget(struct state *s, uid_t uid, const char *id, struct err *e);
/* 1 and the request with its answer (malloc'ed; NULL: none yet), 0 when there is none, or negative. */
int state_request_find(struct state *s, uid_t uid, const char *id, int64_t now_ms,
		       struct state_request *ret_request, char **ret_answer, struct err *e);

/* A new one; the oldest of those that have ended go. */
int state_job_add(struct state *s, const struct state_job *j, struct err *e);
/* state, phase, progress, timeout; result: JSON or NULL. */
int state_job_update(struct state *s, const struct state_job *j, const char *result, struct err *e);
/* Newest first; vm (an id) and state may be NULL: all. each must not write; < 0 ends the walk. */
int state_job_list(struct state *s, const char *vm, const char *state, int64_t now_ms,
		   int (*each)(void *arg, const struct state_job *j, const char *result), void *arg,
		   struct err *e);
/* Calls each once, or not at all when there is none of this id. */
int state_job_get(struct state *s, const char *id,
		  int (*each)(void *arg, const struct state_job *j, const char *result), void *arg,
		  struct err *e);

/* A new one; the oldest of the VM go. */
int state_timeline_add(struct state *s, const struct state_timeline *t, int64_t *ret_seq,
		       struct err *e);
int state_timeline_update(struct state *s, int64_t seq, const char *phases, struct err *e);
/* Newest first. each must not write; < 0 ends the walk. */
int state_timeline_list(struct state *s, const char *vm,
			int (*each)(void *arg, const struct state_timeline *t), void *arg,
			struct err *e);

/*
 * Leases. add: generation and times come back; it fails when the address or the MAC has one. set, quarantine, request
 * and delete: -ERR_LEASE_NOT_FOUND when that generation is over.
 */
int state_lease_add(struct state *s, struct state_lease *lease, struct err *e);
int state_lease_set(struct state *s, int64_t generation, enum state_lease_state state,
		    struct err *e);
int state_lease_quarantine(struct state *s, int64_t generation, const char *why, struct err *e);
/* The host wants it back, from now on. */
int state_lease_request(struct state *s, int64_t generation, struct err *e);
int state_lease_delete(struct state *s, int64_t generation, struct err *e);
/* 1, 0 when there is none, or negative. */
int state_lease_at(struct state *s, const char *address, struct state_lease *ret_lease,
		   struct err *e);
int state_lease_of_mac(struct state *s, const char *mac, struct state_lease *ret_lease,
		       struct err *e);
/* Oldest first; vm: an id, or NULL for all. each must not write; < 0 ends the walk and is returned. */
int state_lease_list(struct state *s, const char *vm,
		     int (*each)(void *arg, const struct state_lease *lease), void *arg,
		     struct err *e);
const char *state_lease_name(enum state_lease_state state);

/* The identity (JSON) of the device that the VM had at an address. get: 1, 0 when it had none, or negative. */
int state_device_put(struct state *s, const char *vm, const char *address, const char *identity,
		     struct err *e);
int state_device_get(struct state *s, const char *vm, const char *address, char *ret_identity,
		     size_t size, struct err *e);

/* Attachments: put adds or replaces; clear: all of a VM, whose process begins or is gone. */
int state_attachment_put(struct state *s, const struct state_attachment *a, struct err *e);
int state_attachment_delete(struct state *s, const char *vm, const char *device, struct err *e);
int state_attachment_clear(struct state *s, const char *vm, struct err *e);
/* Oldest first; vm: an id, or NULL for all. each must not write; < 0 ends the walk and is returned. */
int state_attachment_list(struct state *s, const char *vm,
			  int (*each)(void *arg, const struct state_attachment *a), void *arg,
			  struct err *e);
const char *state_attachment_name(enum state_attachment_state state);

/* Network cards: put adds one, or gives it another address; clear: all of a VM, whose process is gone. */
int state_nic_put(struct state *s, const char *vm, const char *device, const char *mac,
		  struct err *e);
int state_nic_set(struct state *s, const char *vm, const char *device, const char *detail,
		  struct err *e);
int state_nic_delete(struct state *s, const char *vm, const char *device, struct err *e);
int state_nic_clear(struct state *s, const char *vm, struct err *e);
/* 1, 0 when nobody has it, or negative. */
int state_nic_of_mac(struct state *s, const char *mac, struct state_nic *ret_nic, struct err *e);
/* Of a VM, by device. each must not write; < 0 ends the walk and is returned. */
int state_nic_list(struct state *s, const char *vm,
		   int (*each)(void *arg, const struct state_nic *nic), void *arg, struct err *e);

/* Bridges of private links. put gives it a new id. each must not write; < 0 ends the walk and is returned. */
int state_private_put(struct state *s, const char *bridge, struct err *e);
int state_private_delete(struct state *s, int64_t id, struct err *e);
int state_private_list(struct state *s, int (*each)(void *arg, int64_t id, const char *bridge),
		       void *arg, struct err *e);

/* Where a port of a console leads to on the host. */
struct state_port {
	int64_t id;
	char vm[STATE_ID_SIZE];
	char device[64], name[64], backend[16];
	const char *path; /* of a row: valid during the callback */
	uid_t owner;
	bool confined;
};

int state_port_add(struct state *s, const struct state_port *port, struct err *e);
int state_port_set_path(struct state *s, const char *vm, const char *name, const char *path,
			struct err *e);
/* Those of a VM are over; of all VMs that have no process. */
int state_port_end(struct state *s, const char *vm, struct err *e);
int state_port_end_lost(struct state *s, struct err *e);
int state_port_delete(struct state *s, int64_t id, struct err *e);
/* Of a VM, those that are not over; and of all VMs those that are. each must not write; < 0 ends the walk and is returned. */
int state_port_list(struct state *s, const char *vm,
		    int (*each)(void *arg, const struct state_port *port), void *arg,
		    struct err *e);
int state_port_list_over(struct state *s, int (*each)(void *arg, const struct state_port *port),
			 void *arg, struct err *e);

/* The store of UEFI variables that a VM has, by its id: 1, or 0 when it has none. */
int state_nvram_of(struct state *s, const char *vm, int64_t *ret_id, struct err *e);
/* It gets one: that which was kept of a VM of its name and owner, or a new one. */
int state_nvram_add(struct state *s, const struct state_vm *vm, int64_t *ret_id, struct err *e);
/* The VM is deleted, and its store with it, or kept in the place of one that was before. */
int state_nvram_end(struct state *s, const struct state_vm *vm, bool keep, struct err *e);
int state_nvram_delete(struct state *s, int64_t id, struct err *e);
/* Those whose files are to be removed. each must not write; < 0 ends the walk and is returned. */
int state_nvram_list_over(struct state *s, int (*each)(void *arg, int64_t id), void *arg,
			  struct err *e);

/* The processes that show VMs' screens (their vm, pid, start_time, boot_id, socket, time_ms). each: as of processes. */
int state_display_put(struct state *s, const struct state_process *p, struct err *e);
/* Not that of a later start. */
int state_display_delete(struct state *s, const char *vm, pid_t pid, struct err *e);
int state_display_list(struct state *s, int (*each)(void *arg, const struct state_process *p),
		       void *arg, struct err *e);

/* The journal: add a step that begins, and say what became of it. undo may be NULL. */
int state_journal_add(struct state *s, const char *owner, const char *action, const char *undo,
		      int64_t *ret_seq, struct err *e);
int state_journal_done(struct state *s, int64_t seq, struct err *e);
int state_journal_undone(struct state *s, int64_t seq, struct err *e);
int state_journal_delete(struct state *s, const char *owner, struct err *e);
/* Newest first; owner NULL: all. each must not write; < 0 ends the walk and is returned. */
int state_journal_list(struct state *s, const char *owner,
		       int (*each)(void *arg, const struct state_journal *j), void *arg,
		       struct err *e);

/* Pools. put: a new one, or another revision; its times come back. */
int state_pool_put(struct state *s, struct state_pool *pool, struct err *e);
int state_pool_set_boot(struct state *s, const char *name, const char *boot_id, struct err *e);
int state_pool_delete(struct state *s, const char *name, struct err *e);
/* By name; the one of that name, or NULL for all. each must not write; < 0 ends the walk and is returned. */
int state_pool_list(struct state *s, const char *name,
		    int (*each)(void *arg, const struct state_pool *pool), void *arg,
		    struct err *e);

/* As state_revision_list. state_pool_put adds them, state_pool_delete removes them. */
int state_pool_revision_list(struct state *s, const char *pool, int64_t before,
			     int (*each)(void *arg, const struct state_revision *revision),
			     void *arg, struct err *e);

/* A random uuid (version 4). */
void state_uuid(char out[static STATE_ID_SIZE]);

#endif
