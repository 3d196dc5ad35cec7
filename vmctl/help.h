/* SPDX-License-Identifier: MIT */
/* Help texts, made of the command table. */
#ifndef VMCTL_HELP_H
#define VMCTL_HELP_H

#include <stdio.h>

#include "vmctl/command.h"

/* "usage: vmctl stop [-t TIME] …" */
void help_usage(const struct command *c, FILE *f);
/* Of a command, or of the program when it is NULL. */
void help_show(const struct command *c, FILE *f);
/* Text and a LF, from column `at` on, wrapped at words; the lines below are indented. */
void help_wrap(FILE *f, size_t at, const char *text);

#endif
