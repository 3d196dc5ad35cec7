/* SPDX-License-Identifier: MIT */
/*
 * Line log to one file descriptor: "2026-01-31T12:00:00.123Z level component: text\n", one write(2) a
 * line, so that lines of several threads and processes do not mix. Any thread.
 */
#ifndef LIB_LOG_H
#define LIB_LOG_H

#include <stdatomic.h>
#include "lib/util.h"

enum log_level { LOG_LEVEL_ERROR, LOG_LEVEL_WARN, LOG_LEVEL_INFO, LOG_LEVEL_DEBUG };

struct log {
	int fd; /* borrowed */
	atomic_ulong *
		dropped; /* borrowed: lines that fd did not take, said with the next one; may be NULL */
	enum log_level level;
	char component[32];
};

/* A place that a guest can reach logs through one of these: at most 10 lines, then 1 in 2^n. */
struct log_limit {
	atomic_ulong count;
};

void log_init(struct log *l, int fd, enum log_level level, const char *component);
void log_at(const struct log *l, enum log_level level, const char *fmt, ...) PRINTF_LIKE(3, 4);
void log_limited(const struct log *l, struct log_limit *limit, const char *fmt, ...)
	PRINTF_LIKE(3, 4);
/* "error", "warn", "info", "debug" -> 0, else -EINVAL */
int log_level_parse(const char *name, enum log_level *ret_level);

#define log_error(l, ...) log_at(l, LOG_LEVEL_ERROR, __VA_ARGS__)
#define log_warn(l, ...) log_at(l, LOG_LEVEL_WARN, __VA_ARGS__)
#define log_info(l, ...) log_at(l, LOG_LEVEL_INFO, __VA_ARGS__)
#define log_debug(l, ...) log_at(l, LOG_LEVEL_DEBUG, __VA_ARGS__)

#endif
