// SPDX-License-Identifier: MIT
/* Waiting for a pool that is being made: see pool.h. On the loop's thread. */
#include <stdio.h>
#include <string.h>

#include "lib/errcat.h"
#include "vmd/pool_priv.h"

bool pool_pending(const struct daemon *d, const char *name)
{
	for (const struct pool_run *r = d->pools->runs; r; r = r->next)
		if (!r->dry && (r->op == POOL_UP || r->op == POOL_DOWN) && !strcmp(r->name, name))
			return true;
	return false;
}

void pool_wait(struct daemon *d, struct pool_wait *w, const char *name, void (*done)(void *arg),
	       void *arg)
{
	struct pool_wait **link = &d->pools->waits;

	while (*link) /* who comes first is told first: that one gets the last VF */
		link = &(*link)->next;
	*w = (struct pool_wait){ .waits = true, .done = done, .arg = arg };
	snprintf(w->name, sizeof(w->name), "%s", name);
	*link = w;
}

void pool_wait_end(struct daemon *d, struct pool_wait *w)
{
	struct pool_wait **link = &d->pools->waits;

	if (!w->waits)
		return;
	w->waits = false;
	while (*link && *link != w)
		link = &(*link)->next;
	if (*link)
		*link = w->next;
}

int pool_wait_late(struct daemon *d, struct pool_wait *w, struct err *e)
{
	pool_wait_end(d, w);
	err_set(e, ERR_POOL_UNREADY, "VF pool '%s' is still being made", w->name);
	return err_hint(e, "vmctl jobs shows how far that is");
}

/* Whoever is told may wait again, for another one, or end others that wait. */
void pool_waits_end(struct pools *set, const char *name)
{
	struct pool_wait *w;

	if (pool_pending(set->d, name))
		return;
	for (;;) {
		for (w = set->waits; w && strcmp(w->name, name) != 0; w = w->next)
			;
		if (!w)
			return;
		pool_wait_end(set->d, w);
		w->done(w->arg);
	}
}
