/* SPDX-License-Identifier: MIT */
/* How a machine ended, for a person and for vmd: the record of control.h, "last words". */
#ifndef VMM_LASTWORDS_H
#define VMM_LASTWORDS_H

#include "lib/err.h"
#include "lib/json.h"

enum lastwords_reason {
	LASTWORDS_SHUTDOWN,
	LASTWORDS_RESET,
	LASTWORDS_TRIPLE_FAULT,
	LASTWORDS_WATCHDOG,
	LASTWORDS_PANIC,
	LASTWORDS_GUEST_EXIT,
	LASTWORDS_KILLED,
	LASTWORDS_FAULT,
};

struct lastwords {
	enum lastwords_reason reason;
	int code; /* the guest's, for LASTWORDS_GUEST_EXIT */
	char message[512];
};

const char *lastwords_reason_name(enum lastwords_reason reason);
struct json_object *lastwords_json(const struct lastwords *w);
/* One line of JSON to fd; what cannot be written is lost. */
void lastwords_write(const struct lastwords *w, int fd);
/* The process's exit status: shutdown and reset 0, fault 1, triple fault, watchdog, panic 3, killed 4, else the guest's. */
int lastwords_status(const struct lastwords *w);

#endif
