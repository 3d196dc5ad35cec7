// SPDX-License-Identifier: MIT
/* Steps on the host, in words: see hostio.h. Any thread. */
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "vmd/hostio.h"

struct hostio_words {
	char *out;
	size_t size, len;
};

static void hostio_say(struct hostio_words *w, const char *fmt, ...) PRINTF_LIKE(2, 3);
static void hostio_say(struct hostio_words *w, const char *fmt, ...)
{
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(w->out + w->len, w->size - w->len, fmt, ap);
	va_end(ap);
	if (n > 0)
		w->len = MIN(w->len + (size_t)n, w->size - 1);
}

/* "MAC 52:54:00:12:34:56, VLAN 100" */
static void hostio_say_vf(struct hostio_words *w, struct json_object *vf)
{
	static const struct {
		const char *key, *word, *unit;
	} words[] = {
		{ "mac", "MAC", "" },
		{ "vlan", "VLAN", "" },
		{ "qos", "QoS", "" },
		{ "spoofchk", "spoofchk", "" },
		{ "trust", "trust", "" },
		{ "min_tx_rate", "least rate", " Mbit/s" },
		{ "max_tx_rate", "most rate", " Mbit/s" },
		{ "link_state", "link", "" },
	};
	const char *between = "";

	for (size_t i = 0; i < ARRAY_SIZE(words); i++) {
		struct json_object *value = json_get(vf, words[i].key);
		const char *text = json_object_get_string(value);

		if (!value)
			continue;
		if (json_object_is_type(value, json_type_boolean))
			text = json_object_get_boolean(value) ? "on" : "off";
		hostio_say(w, "%s%s %s%s", between, words[i].word, text, words[i].unit);
		between = ", ";
	}
}

static void hostio_say_driver(struct hostio_words *w, struct json_object *step)
{
	const char *pci = json_get_str(step, "pci", "?"),
		   *driver = json_get_str(step, "driver", "");

	if (driver[0])
		hostio_say(w, "bind %s to %s", pci, driver);
	else
		hostio_say(w, "unbind %s", pci);
	if (!json_get_bool(step, "override", true))
		hostio_say(w, ", without override");
}

static void hostio_say_vfs(struct hostio_words *w, struct json_object *step)
{
	const char *pf = json_get_str(step, "pf", "?");
	int64_t count = json_get_int(step, "count", 0);

	if (!count)
		hostio_say(w, "remove the VFs of %s", pf);
	else
		hostio_say(w, "make %" PRId64 " VFs on %s, drivers for them %s", count, pf,
			   json_get_bool(step, "autoprobe", false) ? "on" : "off");
}

static void hostio_say_nvme(struct hostio_words *w, struct json_object *step)
{
	hostio_say(w,
		   "give %" PRId64 " queues and %" PRId64 " interrupts to VF %" PRId64
		   " of %s and set it %s",
		   json_get_int(step, "queues", 0), json_get_int(step, "interrupts", 0),
		   json_get_int(step, "vf", 0), json_get_str(step, "pf", "?"),
		   json_get_bool(step, "online", true) ? "online" : "offline");
}

const char *hostio_text(struct json_object *step, char *out, size_t size)
{
	struct hostio_words w = { .out = out, .size = size };
	const char *op = json_get_str(step, "op", "?"), *pci = json_get_str(step, "pci", "?");
	const char *pf = json_get_str(step, "pf", "?");
	int64_t vf = json_get_int(step, "vf", 0);

	out[0] = '\0';
	if (!strcmp(op, "driver")) {
		hostio_say_driver(&w, step);
	} else if (!strcmp(op, "reset")) {
		hostio_say(&w, "reset %s", pci);
	} else if (!strcmp(op, "vfs")) {
		hostio_say_vfs(&w, step);
	} else if (!strcmp(op, "link-up") || !strcmp(op, "link-down")) {
		hostio_say(&w, "set the network interface of %s %s", pf, op + strlen("link-"));
	} else if (!strcmp(op, "vf-get") || !strcmp(op, "nvme-get")) {
		hostio_say(&w, "read VF %" PRId64 " of %s", vf, pf);
	} else if (!strcmp(op, "vf-macs")) {
		hostio_say(&w, "read the addresses of the VFs of %s", pf);
	} else if (!strcmp(op, "vf-set")) {
		hostio_say(&w, "set ");
		hostio_say_vf(&w, json_get(step, "set"));
		hostio_say(&w, " on VF %" PRId64 " of %s", vf, pf);
	} else if (!strcmp(op, "nvme-vf")) {
		hostio_say_nvme(&w, step);
	} else if (!strcmp(op, "clean")) {
		hostio_say(&w, "check that %s is clean", pci);
	} else if (!strcmp(op, "holders")) {
		hostio_say(&w, "look who holds %s", pci);
	} else {
		hostio_say(&w, "%s", op);
	}
	return out;
}
