// SPDX-License-Identifier: MIT
/*
 * UEFI: which firmware of the host `boot: {firmware: uefi}` is, found by what its description says that it can do
 * (docs/interop/firmware.json of QEMU), and the checks of a definition. Any thread; vmdef_find_firmware reads files.
 */
#include "lib/vmdef.h"

#include <dirent.h>
#include <fcntl.h>
#include <fnmatch.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/auto.h"
#include "lib/errcat.h"
#include "lib/fdio.h"
#include "lib/vmdef_plan.h"

#define UEFI_FLASH "cfi-flash"
/* What QEMU calls machines with the chipset of the profile legacy-pc; descriptions have patterns of it. */
#define UEFI_MACHINE "pc-i440fx-7.2"
#define UEFI_ARCH "x86_64"
#define UEFI_FILES_MAX 64
#define UEFI_FILE_SIZE (64 * KIB)

/* The administrator's before the packages'; a name counts once, and all are in the order of their names. */
static const char *const uefi_folders[] = { "/etc/qemu/firmware", "/usr/share/qemu/firmware" };

struct uefi_name {
	char name[128];
	unsigned int folder; /* of uefi_folders */
};

struct uefi_search {
	const char *root; /* borrowed */
	bool secure;
	struct uefi_name names[UEFI_FILES_MAX];
	unsigned int n;
	char needs_smm[256]; /* the code of one that would do in a machine with SMM; "": none */
};

/* --- a description ----------------------------------------------------------------------------------------- */

static bool uefi_lists(struct json_object *list, const char *word)
{
	size_t n = json_object_is_type(list, json_type_array) ? json_object_array_length(list) : 0;

	for (size_t i = 0; i < n; i++) {
		const char *s = json_object_get_string(json_object_array_get_idx(list, i));

		if (s && !strcmp(s, word))
			return true;
	}
	return false;
}

static bool uefi_fits_machine(struct json_object *target)
{
	struct json_object *list = json_get(target, "machines");
	size_t n = json_object_is_type(list, json_type_array) ? json_object_array_length(list) : 0;

	if (strcmp(json_get_str(target, "architecture", ""), UEFI_ARCH) != 0)
		return false;
	for (size_t i = 0; i < n; i++) {
		const char *s = json_object_get_string(json_object_array_get_idx(list, i));

		if (s && !fnmatch(s, UEFI_MACHINE, 0))
			return true;
	}
	return false;
}

static bool uefi_fits_machines(struct json_object *d)
{
	struct json_object *list = json_get(d, "targets");
	size_t n = json_object_is_type(list, json_type_array) ? json_object_array_length(list) : 0;

	for (size_t i = 0; i < n; i++)
		if (uefi_fits_machine(json_object_array_get_idx(list, i)))
			return true;
	return false;
}

/* A file of code and one of variables, of which copies are made. */
static bool uefi_is_split(struct json_object *d)
{
	struct json_object *m = json_get(d, "mapping");
	static const char *const parts[] = { "executable", "nvram-template" };

	if (!uefi_lists(json_get(d, "interface-types"), "uefi") ||
	    strcmp(json_get_str(m, "device", ""), "flash") != 0 ||
	    strcmp(json_get_str(m, "mode", "split"), "split") != 0)
		return false;
	for (size_t i = 0; i < ARRAY_SIZE(parts); i++) {
		struct json_object *part = json_get(m, parts[i]);

		if (strcmp(json_get_str(part, "format", ""), "raw") != 0 ||
		    json_get_str(part, "filename", "")[0] != '/')
			return false;
	}
	return true;
}

static const char *uefi_file(struct json_object *d, const char *part)
{
	return json_get_str(json_get(json_get(d, "mapping"), part), "filename", "");
}

static bool uefi_fits(struct uefi_search *s, struct json_object *d)
{
	struct json_object *features = json_get(d, "features");
	bool keys = uefi_lists(features, "enrolled-keys");

	if (!uefi_is_split(d) || keys != s->secure ||
	    (s->secure && !uefi_lists(features, "secure-boot")))
		return false;
	if (uefi_lists(features, "requires-smm")) {
		snprintf(s->needs_smm, sizeof(s->needs_smm), "%s", uefi_file(d, "executable"));
		return false;
	}
	return uefi_fits_machines(d);
}

/* --- the search --------------------------------------------------------------------------------------------- */

static int uefi_by_name(const void *a, const void *b)
{
	return strcmp(((const struct uefi_name *)a)->name, ((const struct uefi_name *)b)->name);
}

static void uefi_add_name(struct uefi_search *s, unsigned int folder, const char *name)
{
	size_t len = strlen(name);

	if (s->n == UEFI_FILES_MAX || len < 6 || len >= sizeof(s->names[0].name) ||
	    strcmp(name + len - 5, ".json") != 0)
		return;
	for (unsigned int i = 0; i < s->n; i++)
		if (!strcmp(s->names[i].name, name))
			return;
	snprintf(s->names[s->n].name, sizeof(s->names[0].name), "%s", name);
	s->names[s->n++].folder = folder;
}

static void uefi_list_names(struct uefi_search *s)
{
	for (unsigned int i = 0; i < ARRAY_SIZE(uefi_folders); i++) {
		const struct dirent *entry;
		char path[512];
		DIR *dir;

		snprintf(path, sizeof(path), "%s%s", s->root, uefi_folders[i]);
		dir = opendir(path);
		while (dir && (entry = readdir(dir)))
			uefi_add_name(s, i, entry->d_name);
		if (dir)
			closedir(dir);
	}
	qsort(s->names, s->n, sizeof(s->names[0]), uefi_by_name);
}

/* NULL: nothing that can be read, as the empty file by which an administrator takes a package's away. */
static struct json_object *uefi_read(const struct uefi_search *s, const struct uefi_name *name)
{
	AUTO_FREE char *text = NULL;
	AUTO_CLOSE int fd = -1;
	struct json_object *d = NULL;
	char path[640];
	size_t len;

	snprintf(path, sizeof(path), "%s%s/%s", s->root, uefi_folders[name->folder], name->name);
	fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	if (fd < 0 || fdio_read_file(fd, UEFI_FILE_SIZE, &text, &len, NULL) < 0 ||
	    json_parse(text, len, &d, NULL) < 0)
		return NULL;
	return d;
}

static int uefi_none(const struct uefi_search *s, struct err *e)
{
	if (s->secure && s->needs_smm[0]) {
		err_set(e, ERR_NO_FIRMWARE,
			"Secure Boot: '%s' of the host needs system management mode, which the "
			"machine has not",
			s->needs_smm);
		return err_hint(e, "signatures can be checked without it, with keys that a guest's "
				   "administrator can change: vm.yaml(5), cfi-flash");
	}
	err_set(e, ERR_NO_FIRMWARE,
		"no UEFI firmware%s for this machine: %u descriptions in %s and %s, and none fits",
		s->secure ? " with Secure Boot" : "", s->n, uefi_folders[0], uefi_folders[1]);
	return err_hint(e, "install the package ovmf; or name the files: `boot: {firmware: /CODE}` "
			   "and a device `{type: cfi-flash, vars: /VARS}`");
}

static struct json_object *uefi_flash(struct json_object *config)
{
	struct json_object *devices = json_get(config, "devices");
	size_t n = devices ? json_object_array_length(devices) : 0;

	for (size_t i = 0; i < n; i++) {
		struct json_object *d = json_object_array_get_idx(devices, i);

		if (!strcmp(json_get_str(d, "type", ""), UEFI_FLASH))
			return d;
	}
	return NULL;
}

int vmdef_find_firmware(struct json_object *config, const char *root, struct err *e)
{
	struct json_object *boot = json_get(config, "boot"), *flash = uefi_flash(config);
	struct uefi_search s = { .root = root, .secure = json_get_bool(boot, "secure", false) };

	if (strcmp(json_get_str(boot, "firmware", ""), VMDEF_FIRMWARE_UEFI) != 0)
		return 0;
	uefi_list_names(&s);
	for (unsigned int i = 0; i < s.n; i++) {
		AUTO_JSON struct json_object *d = uefi_read(&s, &s.names[i]);

		if (!d || !uefi_fits(&s, d))
			continue;
		json_add_str(boot, "firmware", uefi_file(d, "executable"));
		if (flash && !json_get(flash, "vars"))
			json_add_str(flash, "vars", uefi_file(d, "nvram-template"));
		return 1;
	}
	return uefi_none(&s, e);
}

int vmdef_check_vars(uint64_t code, uint64_t vars, struct err *e)
{
	uint64_t all = 1;

	while (all < code)
		all *= 2;
	if (!vars || vars > VMDEF_VARS_MAX || vars % VMDEF_VARS_BLOCK)
		return err_set(e, ERR_FIRMWARE,
			       "a variable store of %llu bytes is none: 4 KiB to %llu MiB in "
			       "blocks of 4 KiB",
			       (unsigned long long)vars, VMDEF_VARS_MAX / MIB);
	if (!code || vars == all - code)
		return 0;
	if (all == code)
		return err_set(e, ERR_FIRMWARE,
			       "the firmware has %llu bytes, with its variables in it: it has no "
			       "room for a store below it",
			       (unsigned long long)code);
	err_set(e, ERR_FIRMWARE,
		"the variable store has %llu bytes; firmware of %llu bytes has room for %llu",
		(unsigned long long)vars, (unsigned long long)code,
		(unsigned long long)(all - code));
	return err_hint(e, "take both files from one build: OVMF_CODE_4M.fd with OVMF_VARS_4M.fd");
}

/* --- what a definition may say ------------------------------------------------------------------------------- */

int vmdef_check_uefi(const struct vmdef_plan *p, struct json_object *def,
		     struct schema_error *where, struct err *e)
{
	const char *firmware = json_get_str(json_get(def, "boot"), "firmware", "");
	bool uefi = !strcmp(firmware, VMDEF_FIRMWARE_UEFI);

	if (json_at(def, "/boot/secure") && !uefi)
		return vmdef_refuse(where, e, "/boot/secure", "Secure Boot is of `firmware: uefi`");
	for (size_t i = 0; i < p->n; i++) {
		const struct vmdef_slot *s = &p->slots[i];

		if (s->off || strcmp(s->type, UEFI_FLASH) != 0)
			continue;
		if (!*firmware || !strcmp(firmware, VMDEF_FIRMWARE_BIOS))
			return vmdef_slot_refuse(where, e, s, "type",
						 "only UEFI has variables in a flash: "
						 "'boot.firmware'");
		if (!uefi && !json_get(s->entry, "vars"))
			return vmdef_slot_refuse(where, e, s, "type",
						 "expected 'vars', the template that goes with "
						 "this firmware");
	}
	return 0;
}
