/* SPDX-License-Identifier: MIT */
/* What every cmocka test includes, in the order that cmocka asks for. */
#ifndef TESTS_LIB_TEST_H
#define TESTS_LIB_TEST_H

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#endif
