/* SPDX-License-Identifier: MIT */
/* The two halves of vmctl explain: errors (cmd_explain.c), keys of a VM file (explain_field.c). */
#ifndef VMCTL_EXPLAIN_H
#define VMCTL_EXPLAIN_H

#include "vmctl/vmctl.h"

#define EXPLAIN_INDENT 9

/* "cause:   text", wrapped; nothing for "" */
void explain_line(struct vmctl *v, const char *title, const char *text);

/*
 * "vm", "vm.memory.size", "vm.devices.virtio-blk.path": what the schemas say of a key of a VM file. The exit
 * status; -ENOENT, with e, when there is no such key, -EINVAL when the word is no path of one.
 */
int explain_field(struct vmctl *v, const char *word, struct err *e);

#endif
