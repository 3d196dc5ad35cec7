// SPDX-License-Identifier: MIT
/* Lists of processors: see cpulist.h. Any thread. */
#include "lib/cpulist.h"

#include <errno.h>

/* A number below CPU_SETSIZE at *at, which moves behind it; -1: there is none. */
static int cpulist_number(const char **at)
{
	const char *p = *at;
	int n = 0;

	if (*p < '0' || *p > '9')
		return -1;
	for (; *p >= '0' && *p <= '9'; p++) {
		n = 10 * n + (*p - '0');
		if (n >= CPU_SETSIZE)
			return -1;
	}
	*at = p;
	return n;
}

int cpulist_parse(const char *text, cpu_set_t *ret)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	for (;; text++) {
		int first = cpulist_number(&text), last = first;

		if (first >= 0 && *text == '-') {
			text++;
			last = cpulist_number(&text);
		}
		if (first < 0 || last < first)
			return -EINVAL;
		for (; first <= last; first++)
			CPU_SET((size_t)first, &set);
		if (*text != ',')
			break;
	}
	if (*text)
		return -EINVAL;
	*ret = set;
	return 0;
}
