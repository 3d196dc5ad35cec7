/* SPDX-License-Identifier: MIT */
/*
 * One record of a log on disk. It is text that can be read as it is, and its length stands in front, so
 * that a guest cannot forge a record and a cut one is seen:
 *
 *	2026-01-31T12:00:00.123Z KIND OFFSET LENGTH DATA LF
 *
 * KIND	what DATA is, and what OFFSET (bytes since the process began)
 *  l	a line without its LF
 *  p	a piece of a line, the next record goes on with it
 *  x	a number: so many bytes from OFFSET on are lost
 *  b	a process begins: its name, as the owner has it
 *  s	first in each segment: "RUN RUN-POSITION NEXT-OFFSET", for the process that goes on in it; OFFSET
 *	is the position of the record behind it
 *
 * A position counts the bytes of all records ever written but those of kind s. No state; any thread.
 */
#ifndef VMD_LOGREC_H
#define VMD_LOGREC_H

#include <sys/types.h>
#include "lib/util.h"

#define LOGREC_DATA_MAX 4096
#define LOGREC_MAX (LOGREC_DATA_MAX + 64)

enum logrec_kind {
	LOGREC_LINE = 'l',
	LOGREC_PART = 'p',
	LOGREC_LOST = 'x',
	LOGREC_BEGIN = 'b',
	LOGREC_SEGMENT = 's',
};

struct logrec {
	int64_t time_ms; /* since 1970, UTC */
	enum logrec_kind kind;
	uint64_t offset;
	size_t len;
	const char *data; /* borrowed */
};

/* Bytes written to out. r->len is at most LOGREC_DATA_MAX. */
size_t logrec_format(const struct logrec *r, char out[static LOGREC_MAX]);
/* Bytes of the record that text begins with; 0 when it is cut; -EPROTO when it is none. */
ssize_t logrec_parse(const char *text, size_t len, struct logrec *ret);
/* The offset behind a record: what the next one has when nothing is lost. */
uint64_t logrec_next_offset(const struct logrec *r);
/* RFC 3339 in UTC, with or without a fraction of a second. False when it is none. */
bool logrec_time_parse(const char *text, int64_t *ret_ms);

#endif
