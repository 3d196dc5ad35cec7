/* SPDX-License-Identifier: MIT */
/* A network of the test's own: this process and all that it starts from now on are in a namespace of their own. */
#ifndef TESTS_FUNCTIONAL_NETNS_H
#define TESTS_FUNCTIONAL_NETNS_H

#include <stdbool.h>
#include <stddef.h>

#include "lib/json.h"

/* False: that is not permitted here, or there is no ip(8) or no tun. Once a program; lo is up. */
bool netns_enter(void);
/* ip(8) or bridge(8) with arguments separated by single blanks; it must succeed. */
void netns_run(const char *command);
/* The JSON of such a command with -j -d: owned. */
struct json_object *netns_json(const char *command);
/* One interface as `ip -j -d link show` has it, owned; NULL: it is not there. */
struct json_object *netns_link(const char *name);
bool netns_has(const char *name);
/* Wait until it is not there any more. */
void netns_wait_gone(const char *name);
/* How many there are whose name begins so. */
unsigned int netns_count(const char *prefix);

#endif
