/* SPDX-License-Identifier: MIT */
/* A skipped test says why: tests/run shows the line. Include it behind cmocka.h. */
#ifndef TESTS_LIB_SKIP_H
#define TESTS_LIB_SKIP_H

#include <stdio.h>

#define SKIP_BECAUSE(why)                      \
	do {                                   \
		printf("# skip: %s\n", (why)); \
		fflush(stdout);                \
		skip();                        \
	} while (0)

#endif
