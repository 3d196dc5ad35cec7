/* SPDX-License-Identifier: MIT */
/* What a vmd's database says, looked at beside it. */
#ifndef TESTS_FUNCTIONAL_ROWS_H
#define TESTS_FUNCTIONAL_ROWS_H

#include "tests/functional/harness.h"

/* Rows of a table. */
int64_t rows_count(const struct harness *h, const char *table);

#endif
