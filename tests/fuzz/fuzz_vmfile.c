// SPDX-License-Identifier: MIT
/*
 * A VM file: parsed, checked, expanded. What passes the check must expand; every error must have a place
 * in the file. What was parsed, written as YAML and parsed again is the same.
 */
#include <string.h>

#include "lib/auto.h"
#include "lib/errcat.h"
#include "lib/vmdef.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void write_and_read(struct json_object *root)
{
	AUTO_FREE char *text = NULL;
	size_t len = 0;
	FILE *out = open_memstream(&text, &len);
	struct vmfile again;
	struct err e;

	if (!out || vmfile_write(out, &root, 1, &e) < 0 || fclose(out))
		__builtin_trap();
	if (vmfile_parse("again", text, len, &again, &e) < 0 || !json_equal(root, again.root))
		__builtin_trap();
	vmfile_fini(&again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	AUTO_JSON struct json_object *config = NULL;
	struct vmdef_file files[VMDEF_FILES_MAX];
	struct vmfile f;
	struct err e;

	if (vmfile_parse("fuzz", (const char *)data, size, &f, &e) < 0) {
		if (strncmp(e.msg, "fuzz:", 5))
			__builtin_trap();
		return 0;
	}
	write_and_read(f.root);
	if (vmdef_check_file(&f, &e) >= 0) {
		if (vmdef_expand(f.root, NULL, &config, &e) < 0 && e.code != ERR_INVALID)
			__builtin_trap();
		if (config && vmdef_files(config, files, &e) < 1)
			__builtin_trap();
	}
	vmfile_fini(&f);
	return 0;
}
