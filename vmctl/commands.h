/* SPDX-License-Identifier: MIT */
/* THE command table: one row a command (vmctl/command.h). */
#ifndef VMCTL_COMMANDS_H
#define VMCTL_COMMANDS_H

#include "vmctl/command.h"

/* A row without a name ends it. */
extern const struct command commands[];
extern const struct args_option command_globals[];

#endif
