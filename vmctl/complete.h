/* SPDX-License-Identifier: MIT */
/*
 * What may stand where the cursor is, for the shells' completion (completions/): all of it comes from the
 * command table, and the names of things from vmd, which is asked for at most COMPLETE_LIMIT_MS. Whatever
 * fails, fails in silence: nothing is printed and the status is 0.
 *
 *	vmctl __complete WORD... CURRENT	the words behind "vmctl" up to the cursor; CURRENT may be ""
 *
 * One candidate a line, a tab and its description behind it; or the single line ":files" where the name of
 * a file belongs.
 */
#ifndef VMCTL_COMPLETE_H
#define VMCTL_COMPLETE_H

#include <stdio.h>

#define COMPLETE_VERB "__complete"
#define COMPLETE_LIMIT_MS 200

/* words[n - 1] is the current one. */
void complete_print(int n, char *const *words, FILE *out);

#endif
