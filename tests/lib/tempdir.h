/* SPDX-License-Identifier: MIT */
/* A private directory for a test, removed with all that is in it. */
#ifndef TESTS_LIB_TEMPDIR_H
#define TESTS_LIB_TEMPDIR_H

/* The path, malloc'ed; aborts when none can be made. Short enough for sockets below it. */
char *tempdir_new(void);
/* Removes it and frees path. */
void tempdir_remove(char *path);
/* dir/name with text as its contents, folders made as needed. */
void tempdir_file(const char *dir, const char *name, const char *text);

#endif
