// SPDX-License-Identifier: MIT
/* A private directory for a test: see tempdir.h. */
#include "tests/lib/tempdir.h"

#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

char *tempdir_new(void)
{
	char *path = strdup("/tmp/vmd-test-XXXXXX");

	if (!path || !mkdtemp(path)) {
		perror("mkdtemp");
		abort();
	}
	return path;
}

static int tempdir_unlink(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	(void)st, (void)type, (void)ftw;
	remove(path);
	return 0;
}

void tempdir_remove(char *path)
{
	if (path)
		nftw(path, tempdir_unlink, 16, FTW_DEPTH | FTW_PHYS);
	free(path);
}

void tempdir_file(const char *dir, const char *name, const char *text)
{
	char path[4096];
	FILE *f;

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	for (char *p = strchr(path + strlen(dir) + 1, '/'); p; p = strchr(p + 1, '/')) {
		*p = '\0';
		mkdir(path, 0755);
		*p = '/';
	}
	f = fopen(path, "w");
	if (!f || fputs(text, f) < 0 || fclose(f)) {
		perror(path);
		abort();
	}
}
