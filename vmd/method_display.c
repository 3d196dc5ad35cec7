// SPDX-License-Identifier: MIT
/* Method vm.display: where viewers of a running VM's screen connect, and how many look. On the loop's thread. */
#include "vmd/methods.h"

#include <stdlib.h>

#include "lib/errcat.h"
#include "vmd/daemon.h"
#include "vmd/display.h"
#include "vmd/guest.h"

#define METHOD_VIEWERS_MAX 64 /* more is not the truth */

struct method_display {
	struct call *call;
	struct json_object *result; /* owned */
};

/* A process that does not answer is there nevertheless, and what it is asked for is the least of it. */
static void method_display_done(void *arg, struct json_object *said, const struct err *why)
{
	struct method_display *m = arg;
	int64_t viewers = json_get_int(said, "viewers", -1);

	if (!why && viewers >= 0 && viewers <= METHOD_VIEWERS_MAX)
		json_add_int(m->result, "viewers", viewers);
	call_reply(m->call, m->result);
	free(m);
}

static void method_display_answer(struct call *call, const struct guest *g, const struct display *w)
{
	struct vmproc *proc = display_process(w);
	struct json_object *result = display_json(w);
	struct method_display *m = proc ? calloc(1, sizeof(*m)) : NULL;

	json_add_str(result, "name", g->name);
	if (!m) {
		call_reply(call, result);
		return;
	}
	*m = (struct method_display){ .call = call, .result = result };
	vmproc_call(proc, "display.status", json_new(), NULL, guest_call_ms(g), method_display_done,
		    m);
}

void method_vm_display(struct daemon *d, struct call *call)
{
	struct guest *g = method_running_guest(d, call);
	const struct display *w;
	struct err e;

	if (!g)
		return;
	w = display_find(d, g->id);
	if (w) {
		method_display_answer(call, g, w);
	} else {
		err_set(&e, ERR_VM_NO_DISPLAY, "VM '%s' has no display", g->name);
		err_hint(&e, "add `display: {type: vnc}` and `- {type: vga}` to its definition, "
			     "and restart it");
		call_fail(call, &e, NULL);
	}
	guest_put(g);
}
