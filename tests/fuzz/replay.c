// SPDX-License-Identifier: MIT
/*
 * Replays a fuzz target's corpus: one TAP test a file of tests/fuzz/corpus/<target>/. A finding ends the
 * process, which tests/run counts as a failure. The target's name comes from the program's.
 */
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lib/auto.h"
#include "lib/fdio.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int replay_visible(const struct dirent *d)
{
	return d->d_name[0] != '.';
}

static int replay_file(const char *dir, const char *name)
{
	AUTO_FREE char *data = NULL;
	AUTO_CLOSE int fd = -1;
	char path[512];
	size_t len;
	struct err e;

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0 || fdio_read_file(fd, 4 << 20, &data, &len, &e) < 0)
		return -1;
	return LLVMFuzzerTestOneInput((const uint8_t *)data, len);
}

int main(int argc, char **argv)
{
	const char *target = strstr(argc ? argv[0] : "", "replay_");
	struct dirent **names = NULL;
	char dir[256];
	int n, failed = 0;

	snprintf(dir, sizeof(dir), "tests/fuzz/corpus/%s",
		 target ? target + strlen("replay_") : "");
	n = scandir(dir, &names, replay_visible, alphasort);
	if (n <= 0) {
		printf("1..1\nnot ok 1 - %s holds no inputs\n", dir);
		return 1;
	}
	printf("1..%d\n", n);
	for (int i = 0; i < n; i++) {
		bool ok = replay_file(dir, names[i]->d_name) == 0;

		failed += !ok;
		printf("%s %d - %s\n", ok ? "ok" : "not ok", i + 1, names[i]->d_name);
		fflush(stdout);
		free(names[i]);
	}
	free(names);
	return failed ? 1 : 0;
}
