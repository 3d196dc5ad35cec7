// SPDX-License-Identifier: MIT
/*
 * A VM file: parsed, checked, expanded. What passes the check must expand; every error must have a place
 * in the file.
 */
#include <string.h>

#include "lib/auto.h"
#include "lib/errcat.h"
#include "lib/vmdef.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

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
	if (vmdef_check_file(&f, &e) >= 0) {
		if (vmdef_expand(f.root, NULL, &config, &e) < 0 && e.code != ERR_INVALID)
			__builtin_trap();
		if (config && vmdef_files(config, files, &e) < 1)
			__builtin_trap();
	}
	vmfile_fini(&f);
	return 0;
}
