// SPDX-License-Identifier: MIT
/* One record of a log: see logrec.h. */
#include "vmd/logrec.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "vmd/event.h"

#define LOGREC_TIME_LEN 24 /* "2026-01-31T12:00:00.123Z" */
#define LOGREC_DIGITS 20

size_t logrec_format(const struct logrec *r, char out[static LOGREC_MAX])
{
	char time[EVENT_TIME_SIZE];
	size_t n;

	event_time(r->time_ms, time);
	n = (size_t)snprintf(out, LOGREC_MAX, "%s %c %" PRIu64 " %zu ", time, (char)r->kind,
			     r->offset, r->len);
	memcpy(out + n, r->data, r->len);
	out[n + r->len] = '\n';
	return n + r->len + 1;
}

bool logrec_time_parse(const char *text, int64_t *ret_ms)
{
	struct tm tm = { 0 };
	const char *end = strptime(text, "%Y-%m-%dT%H:%M:%S", &tm);
	int64_t ms = 0, unit = 100;

	if (!end)
		return false;
	if (*end == '.')
		for (end++; *end >= '0' && *end <= '9'; end++, unit /= 10)
			ms += (*end - '0') * unit;
	if (strcmp(end, "Z"))
		return false;
	*ret_ms = (int64_t)timegm(&tm) * 1000 + ms;
	return true;
}

/* A number and the space behind it: bytes, 0 when it is cut, -EPROTO. */
static ssize_t logrec_number(const char *text, size_t len, uint64_t *ret)
{
	uint64_t value = 0;
	size_t n = 0;

	for (; n < len && n < LOGREC_DIGITS && text[n] >= '0' && text[n] <= '9'; n++)
		if (!checked_mul(value, 10, &value) ||
		    !checked_add(value, (uint64_t)(text[n] - '0'), &value))
			return -EPROTO;
	if (n == len)
		return 0;
	if (!n || text[n] != ' ')
		return -EPROTO;
	*ret = value;
	return (ssize_t)n + 1;
}

ssize_t logrec_parse(const char *text, size_t len, struct logrec *ret)
{
	const size_t fixed = LOGREC_TIME_LEN + 3; /* with " l " */
	char time[LOGREC_TIME_LEN + 1];
	struct logrec r = { 0 };
	uint64_t size = 0;
	ssize_t first, second;
	size_t head;

	if (len < fixed)
		return 0;
	memcpy(time, text, LOGREC_TIME_LEN);
	time[LOGREC_TIME_LEN] = '\0';
	r.kind = (enum logrec_kind)text[LOGREC_TIME_LEN + 1];
	if (!logrec_time_parse(time, &r.time_ms) || text[LOGREC_TIME_LEN] != ' ' || !r.kind ||
	    !strchr("lpxbs", (int)r.kind) || text[LOGREC_TIME_LEN + 2] != ' ')
		return -EPROTO;
	first = logrec_number(text + fixed, len - fixed, &r.offset);
	if (first <= 0)
		return first;
	second = logrec_number(text + fixed + first, len - fixed - (size_t)first, &size);
	if (second <= 0)
		return second;
	if (size > LOGREC_DATA_MAX)
		return -EPROTO;
	head = fixed + (size_t)first + (size_t)second;
	if (len - head <= size)
		return 0;
	if (text[head + size] != '\n')
		return -EPROTO;
	r.len = (size_t)size;
	r.data = text + head;
	*ret = r;
	return (ssize_t)(head + r.len + 1);
}

uint64_t logrec_next_offset(const struct logrec *r)
{
	uint64_t next = r->offset;

	switch (r->kind) {
	case LOGREC_LINE:
		return next + r->len + 1;
	case LOGREC_PART:
		return next + r->len;
	case LOGREC_LOST:
		return next + strtoull(r->data, NULL, 10); /* a LF ends it */
	case LOGREC_BEGIN:
	case LOGREC_SEGMENT:
		return 0;
	}
	return next;
}
