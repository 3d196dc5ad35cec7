// SPDX-License-Identifier: MIT
/*
 * Every VM file of tests/config: of fail-x.yaml (or .json) comes exactly the message in fail-x.ok, of
 * pass-x.yaml exactly the machine configuration (of a pool, the definition) in pass-x.json. `GOLDEN_UPDATE=1 build/tests/config/golden`
 * writes what it got; read the difference before you commit it. Speaks TAP.
 */
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lib/auto.h"
#include "lib/fdio.h"
#include "lib/pooldef.h"

#define GOLDEN_DIR "tests/config/"
#define GOLDEN_LEAST 40 /* pairs there are at least: a lost folder is no success */

/* What a person gets for the file: one message, or a configuration. Ends with a newline. */
static char *golden_run(const char *path)
{
	AUTO_JSON struct json_object *config = NULL;
	struct vmfile f = { 0 };
	struct err e = { 0 };
	char *out = NULL;
	struct schema_set *set = schema_set_new();
	int ret = vmfile_load(path, &f, &e), n;

	if (!ret)
		ret = pooldef_check_file(set, &f, &e);
	if (!ret && pooldef_is(f.root))
		config = json_object_get(f.root);
	else if (!ret)
		ret = vmdef_expand_in(set, f.root, NULL, &config, &e);
	vmfile_fini(&f);
	schema_set_free(set);
	n = asprintf(&out, "%s\n",
		     ret < 0 ? e.msg
			     : json_object_to_json_string_ext(
				       config, JSON_C_TO_STRING_PRETTY | JSON_C_TO_STRING_SPACED |
						       JSON_C_TO_STRING_NOSLASHESCAPE));
	return n < 0 ? NULL : out;
}

static char *golden_read(const char *path)
{
	AUTO_CLOSE int fd = open(path, O_RDONLY | O_CLOEXEC);
	char *text = NULL;
	size_t len;

	return fd < 0 || fdio_read_file(fd, 1024 * 1024, &text, &len, NULL) < 0 ? NULL : text;
}

static void golden_write(const char *path, const char *text)
{
	FILE *out = fopen(path, "w");

	if (!out || fputs(text, out) < 0 || fclose(out))
		perror(path);
}

static bool golden_check(const char *name, int number)
{
	char path[300], want_path[300];
	AUTO_FREE char *want = NULL;
	AUTO_FREE char *got = NULL;
	const char *dot = strrchr(name, '.');
	bool same;

	snprintf(path, sizeof(path), GOLDEN_DIR "%s", name);
	snprintf(want_path, sizeof(want_path), GOLDEN_DIR "%.*s%s", (int)(dot - name), name,
		 name[0] == 'f' ? ".ok" : ".json");
	got = golden_run(path);
	if (getenv("GOLDEN_UPDATE"))
		golden_write(want_path, got);
	want = golden_read(want_path);
	same = want && got && !strcmp(want, got);
	printf("%sok %d - %s\n", same ? "" : "not ", number, name);
	if (!same)
		printf("# %s says:\n# %s# got:\n# %s", want_path, want ? want : "(nothing)\n", got);
	return same;
}

static int golden_is_input(const struct dirent *d)
{
	const char *dot = strrchr(d->d_name, '.');

	if (!dot)
		return 0;
	if (!strncmp(d->d_name, "fail-", 5))
		return !strcmp(dot, ".yaml") || !strcmp(dot, ".json");
	return !strncmp(d->d_name, "pass-", 5) && !strcmp(dot, ".yaml");
}

int main(void)
{
	struct dirent **names;
	int n = scandir(GOLDEN_DIR, &names, golden_is_input, alphasort), failed = 0;

	if (n < 0) {
		perror(GOLDEN_DIR);
		return 1;
	}
	printf("1..%d\n", n + 1);
	for (int i = 0; i < n; i++) {
		failed += !golden_check(names[i]->d_name, i + 1);
		free(names[i]);
	}
	free(names);
	printf("%sok %d - %d pairs\n", n < GOLDEN_LEAST ? "not " : "", n + 1, n);
	return failed || n < GOLDEN_LEAST;
}
