// SPDX-License-Identifier: MIT
/* What is asked of pools, and what a new vmd does by itself: see pool.h. On the loop's thread. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/auto.h"
#include "lib/errcat.h"
#include "vmd/job.h"
#include "vmd/pool_priv.h"

static struct pool_run *pool_run_new(struct daemon *d, enum pool_op op, const char *name)
{
	struct pool_run *r = calloc(1, sizeof(*r));

	if (!r)
		return NULL;
	r->set = d->pools;
	r->if_revision = -1;
	r->op = op;
	r->result = json_add_str(json_new(), op == POOL_PF ? "pci" : "name", name);
	snprintf(r->name, sizeof(r->name), "%s", name);
	snprintf(r->actor.program, sizeof(r->actor.program), "vmd");
	return r;
}

static struct pool_run *pool_run_asked(struct daemon *d, struct call *call, enum pool_op op,
				       const char *name, bool dry)
{
	struct pool_run *r = pool_run_new(d, op, name);
	struct err e;

	if (r) {
		r->call = call;
		r->dry = dry;
		r->if_revision = json_get_int(call->params, "if_revision", -1);
		call_actor(call, &r->actor);
		return r;
	}
	err_set(&e, ERR_RPC_INTERNAL, "out of memory");
	call_fail(call, &e, NULL);
	return NULL;
}

void pool_apply(struct daemon *d, struct call *call, struct json_object *definition, bool dry)
{
	struct pool_run *r =
		pool_run_asked(d, call, POOL_UP, json_get_str(definition, "name", ""), dry);

	if (!r)
		return;
	r->apply = true;
	r->definition = json_object_get(definition);
	pci_pool_parse(definition, &r->pool);
	pool_submit(r);
}

void pool_delete(struct daemon *d, struct call *call, const char *name, bool dry)
{
	struct pci_pool pool;
	struct pool_run *r;
	struct err e;

	if (pool_load(d, name, &pool, &e) < 0) {
		call_fail(call, &e, NULL);
		return;
	}
	r = pool_run_asked(d, call, POOL_DOWN, name, dry);
	if (r)
		pool_submit(r);
}

void pool_set_vfs(struct daemon *d, struct call *call, const struct pci_addr *pf, unsigned int vfs,
		  bool dry)
{
	char address[PCI_ADDR_SIZE];
	struct pool_run *r = pool_run_asked(d, call, POOL_PF, pci_addr_format(pf, address), dry);

	if (!r)
		return;
	r->pf = *pf;
	r->vfs = vfs;
	json_add_int(r->result, "vfs", vfs);
	pool_submit(r);
}

/* --- vmd begins --------------------------------------------------------------------------------------- */

struct pool_start {
	struct daemon *d;
	struct pool_run *runs; /* the newest first */
	struct err *e;
};

static int pool_start_one(void *arg, const struct state_pool *row)
{
	struct pool_start *s = arg;
	struct pool_run *r = pool_run_new(s->d, POOL_UP, row->name);

	if (!r)
		return -ENOMEM;
	r->next = s->runs;
	s->runs = r;
	r->revision = row->revision;
	if (json_parse(row->definition, strlen(row->definition), &r->definition, s->e) < 0)
		return -ERR_STATE;
	pci_pool_parse(r->definition, &r->pool);
	/* nothing of an earlier run of the host is there to be taken back */
	r->rebooted = strcmp(row->boot_id, s->d->boot_id) != 0;
	return 0;
}

static int pool_forget_boot(struct daemon *d, const struct pool_run *r, struct err *e)
{
	char prefix[JOURNAL_OWNER_SIZE];
	int ret = state_begin(d->state, e);

	snprintf(prefix, sizeof(prefix), "pool:%s/", r->name);
	if (ret >= 0)
		ret = pool_forget(d, prefix, e);
	if (ret >= 0)
		ret = state_pool_set_boot(d->state, r->name, d->boot_id, e);
	if (ret >= 0)
		ret = state_commit(d->state, e);
	if (ret < 0)
		state_rollback(d->state);
	return ret;
}

struct pool_jobs {
	struct daemon *d;
	struct state_job rows[16];
	size_t n;
};

static int pool_take_job(void *arg, const struct state_job *row, const char *result)
{
	struct pool_jobs *jobs = arg;

	(void)result;
	if (!row->vm[0] && jobs->n < ARRAY_SIZE(jobs->rows))
		jobs->rows[jobs->n++] = *row;
	return 0;
}

/* A pool's goes on; others are over: what they have begun is taken back. */
static void pool_resume_job(struct daemon *d, const struct state_job *row)
{
	struct err e = { 0 }, why = { 0 };
	struct job *job;

	for (struct pool_run *r = d->pools->runs; r; r = r->next) {
		if (r->job || r->op != POOL_UP || strcmp(r->name, row->name) != 0 ||
		    strcmp(row->op, "pool") != 0)
			continue;
		r->job = job_continue(d->jobs, row, NULL);
		return;
	}
	job = job_continue(d->jobs, row, NULL);
	if (!job)
		return;
	err_set(&why, ERR_FAILED, "vmd ended in the middle of it");
	err_hint(&why, "ask for it again");
	job_end(job, NULL, &why);
	if (job_store(job, &e) < 0)
		log_error(&d->log, "job %s: %s", row->id, e.msg);
	job_forget(job);
}

/* Changes by hand that were not ended, of this run of the host; those of an earlier one are gone with it. */
static void pool_start_clean(struct daemon *d)
{
	struct pool_run *r = pool_run_new(d, POOL_CLEAN, "VFs");
	struct err e = { 0 };

	if (!r || pool_plan_back(r, "pf:", &e) < 0)
		log_error(&d->log, "cannot look for changes of PFs: %s", e.msg);
	for (size_t i = 0; r && i < r->n; i++) {
		const char *owner = r->items[i].owner;
		const char *boot = strchr(owner, '#');

		if (!boot || strcmp(boot + 1, d->boot_id) != 0)
			state_journal_delete(d->state, owner, NULL);
	}
	if (!r)
		return;
	if (r->n) {
		r->n = 0;
		pool_submit(r);
	} else {
		pool_run_free(r);
	}
}

void pools_start(struct daemon *d)
{
	struct err e = { 0 };
	struct pool_start s = { .d = d, .e = &e };
	struct pool_jobs jobs = { .d = d };
	struct pool_run *first = NULL;

	if (state_pool_list(d->state, NULL, pool_start_one, &s, &e) < 0)
		log_error(&d->log, "cannot look for pools: %s", e.msg);
	pool_start_clean(d);
	while (s.runs) { /* the other way round: by name */
		struct pool_run *r = s.runs;

		s.runs = r->next;
		r->next = first;
		first = r;
	}
	while (first) {
		struct pool_run *r = first;

		first = r->next;
		r->next = NULL;
		if (r->rebooted && pool_forget_boot(d, r, &e) < 0)
			log_error(&d->log, "%s: %s", r->name, e.msg);
		pool_submit(r);
	}
	if (state_job_list(d->state, NULL, "running", state_now_ms(), pool_take_job, &jobs, &e) < 0)
		log_error(&d->log, "cannot look for jobs: %s", e.msg);
	for (size_t i = jobs.n; i > 0; i--)
		pool_resume_job(d, &jobs.rows[i - 1]);
}
