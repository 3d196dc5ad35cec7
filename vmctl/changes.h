/* SPDX-License-Identifier: MIT */
/* Changes of a definition, as vm.diff and vm.history have them: [{path, from?, to?}]. */
#ifndef VMCTL_CHANGES_H
#define VMCTL_CHANGES_H

#include "vmctl/output.h"

/* "- /memory: "1GiB"" and "+ /memory: "2GiB"": a line for what was and one for what is, behind indent blanks */
void changes_print(const struct output *o, struct json_object *changes, int indent);
/* "/cpus, /memory" into out, cut with "…" when it is longer. */
void changes_join(struct json_object *changes, char *out, size_t out_size);

#endif
