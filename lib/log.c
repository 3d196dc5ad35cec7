// SPDX-License-Identifier: MIT
/* Line log: see log.h. Any thread. */
#include "lib/log.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static const char *const log_names[] = { "error", "warn", "info", "debug" };

void log_init(struct log *l, int fd, enum log_level level, const char *component)
{
	l->fd = fd;
	l->dropped = NULL;
	l->level = level;
	snprintf(l->component, sizeof(l->component), "%s", component);
}

/* One line. A pipe that is full is not waited for: what it does not take is counted. */
static void log_write(const struct log *l, const char *line, size_t len)
{
	unsigned long dropped = l->dropped ? atomic_exchange(l->dropped, 0) : 0;
	char note[48];
	int n = snprintf(note, sizeof(note), "(%lu lines of this log are lost)\n", dropped);

	if (dropped && write(l->fd, note, (size_t)n) < 0)
		atomic_fetch_add(l->dropped, dropped + 1);  /* with this line */
	else if (write(l->fd, line, len) < 0 && l->dropped) /* else there is nowhere to report it */
		atomic_fetch_add(l->dropped, 1);
}

PRINTF_LIKE(3, 0)
static void log_vat(const struct log *l, enum log_level level, const char *fmt, va_list ap)
{
	struct timespec now;
	struct tm tm;
	char line[1024];
	size_t n, room;
	int saved = errno, len;

	clock_gettime(CLOCK_REALTIME, &now);
	gmtime_r(&now.tv_sec, &tm);
	n = strftime(line, sizeof(line), "%Y-%m-%dT%H:%M:%S", &tm);
	n += (size_t)snprintf(line + n, sizeof(line) - n, ".%03ldZ %s %s: ", now.tv_nsec / 1000000,
			      log_names[level], l->component);
	room = sizeof(line) - n - 1;
	errno = saved;
	len = vsnprintf(line + n, room, fmt, ap);
	if (len < 0)
		return;
	for (size_t i = n; i < n + MIN((size_t)len, room - 1); i++)
		if ((unsigned char)line[i] < ' ')
			line[i] = ' '; /* a log line is one line, whatever a guest put into it */
	n += MIN((size_t)len, room - 1);
	line[n++] = '\n';
	log_write(l, line, n);
	errno = saved;
}

void log_at(const struct log *l, enum log_level level, const char *fmt, ...)
{
	va_list ap;

	if (!l || l->fd < 0 || level > l->level)
		return;
	va_start(ap, fmt);
	log_vat(l, level, fmt, ap);
	va_end(ap);
}

void log_limited(const struct log *l, struct log_limit *limit, const char *fmt, ...)
{
	unsigned long n = atomic_fetch_add_explicit(&limit->count, 1, memory_order_relaxed) + 1;
	va_list ap;

	if (!l || l->fd < 0 || (n > 10 && !is_power_of_two(n)))
		return;
	va_start(ap, fmt);
	log_vat(l, LOG_LEVEL_WARN, fmt, ap);
	va_end(ap);
}

int log_level_parse(const char *name, enum log_level *ret_level)
{
	for (size_t i = 0; i < ARRAY_SIZE(log_names); i++) {
		if (strcmp(name, log_names[i]))
			continue;
		*ret_level = (enum log_level)i;
		return 0;
	}
	return -EINVAL;
}
