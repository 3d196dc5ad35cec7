// SPDX-License-Identifier: MIT
/* The log of what was done: see audit.h. On the loop's thread. */
#include "vmd/audit.h"

#include <ctype.h>
#include <string.h>

#include "vmd/call.h"
#include "vmd/methods.h"

/* Is there room for a line in this second? */
static bool audit_admit(struct audit *a, const struct log *log, uint64_t now_ms)
{
	if (a->second != now_ms / 1000) {
		a->second = now_ms / 1000;
		a->lines = 0;
		if (a->left_out)
			log_warn(log, "audit: %u calls more were not written down", a->left_out);
		a->left_out = 0;
	}
	if (a->lines++ < AUDIT_LINES_MAX)
		return true;
	a->left_out++;
	return false;
}

/* What it was about, as it was written: a VM, a pool, a device, a job. What is no part of a name ends it. */
static void audit_target(const struct call *call, char out[static 65])
{
	static const char *const places[] = { "/vm",	    "/definition/name",
					      "/pool/name", "/name",
					      "/pci",	    "/job" };
	const char *name = "";
	size_t n = 0;

	for (size_t i = 0; i < ARRAY_SIZE(places) && !name[0]; i++) {
		struct json_object *value = json_at(call->params, places[i]);

		if (json_object_is_type(value, json_type_string))
			name = json_object_get_string(value);
	}
	while (n < 64 &&
	       (isalnum((unsigned char)name[n]) || (name[n] && strchr("._-:", name[n])))) {
		out[n] = name[n];
		n++;
	}
	out[n] = '\0';
}

void audit_call(struct audit *a, const struct log *log, uint64_t now_ms, const struct call *call,
		struct json_object *answer)
{
	struct json_object *error = json_get(answer, "error");
	bool dry = json_get_bool(call->params, "dry_run", false);
	char target[65];

	if (!audit_admit(a, log, now_ms))
		return;
	audit_target(call, target);
	/* the program last: it chose its name */
	log_info(log, "audit: %s '%s'%s: %s; uid %u, pid %d, program %s", call->method->name,
		 target, dry ? " (dry run)" : "",
		 error ? json_get_str(json_get(error, "data"), "name", "failed") : "ok",
		 (unsigned int)call->actor.uid, (int)call->actor.pid, call->actor.program);
}
