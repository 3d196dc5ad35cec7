// SPDX-License-Identifier: MIT
/* How a machine ended: see lastwords.h. No state. */
#include "vmm/lastwords.h"

#include <string.h>

#include "lib/auto.h"
#include "lib/fdio.h"
#include "lib/util.h"

static const struct {
	const char *name;
	int status; /* -1: the guest's */
} lastwords_reasons[] = {
	[LASTWORDS_SHUTDOWN] = { "shutdown", 0 },
	[LASTWORDS_RESET] = { "reset", 0 },
	[LASTWORDS_TRIPLE_FAULT] = { "triple-fault", 3 },
	[LASTWORDS_WATCHDOG] = { "watchdog", 3 },
	[LASTWORDS_PANIC] = { "panic", 3 },
	[LASTWORDS_GUEST_EXIT] = { "guest-exit", -1 },
	[LASTWORDS_KILLED] = { "killed", 4 },
	[LASTWORDS_FAULT] = { "fault", 1 },
};

const char *lastwords_reason_name(enum lastwords_reason reason)
{
	return lastwords_reasons[reason].name;
}

struct json_object *lastwords_json(const struct lastwords *w)
{
	struct json_object *o = json_new();

	json_add_str(o, "reason", lastwords_reason_name(w->reason));
	json_add_int(o, "code", w->code);
	return json_add_str(o, "message", w->message);
}

void lastwords_write(const struct lastwords *w, int fd)
{
	AUTO_JSON struct json_object *o = lastwords_json(w);
	char line[2048];
	const char *text = json_object_to_json_string_ext(
		o, JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE);
	size_t len = MIN(strlen(text), sizeof(line) - 1);

	/* one write: a reader never sees half a record */
	memcpy(line, text, len);
	line[len] = '\n';
	if (fd >= 0)
		(void)fdio_write(fd, line, len + 1);
}

int lastwords_status(const struct lastwords *w)
{
	int status = lastwords_reasons[w->reason].status;

	return status >= 0 ? status : w->code & 0xff;
}
