// SPDX-License-Identifier: MIT
#include "lib/vmdef.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/auto.h"
#include "lib/embed.h"
#include "lib/errcat.h"
#include "lib/fdio.h"
#include "lib/vmdef_memory.h"
#include "lib/vmdef_profile.h"
#include "tests/lib/openat2.h"
#include "tests/lib/test.h"
#include "tests/lib/skip.h"

#define PLAIN JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE

static struct json_object *parse(const char *text)
{
	struct json_object *v = NULL;
	struct err e = { 0 };

	if (json_parse(text, strlen(text), &v, &e) < 0)
		fail_msg("%s: %s", text, e.msg);
	return v;
}

/* A definition with these devices, given as JSON, expanded. */
static struct json_object *expand(const char *profile, const char *devices,
				  struct json_object *previous)
{
	AUTO_JSON struct json_object *def = parse("{\"name\":\"a\",\"boot\":{\"kernel\":\"/k\"}}");
	struct json_object *config = NULL;
	struct err e = { 0 };

	json_add_str(def, "profile", profile);
	json_add(def, "devices", parse(devices));
	if (vmdef_check(def, NULL, &e) < 0)
		fail_msg("%s: %s", devices, e.msg);
	assert_int_equal(vmdef_expand(def, previous, &config, &e), 0);
	return config;
}

static void assert_address(struct json_object *config, const char *id, const char *address)
{
	struct json_object *devices = json_get(config, "devices");

	for (size_t i = 0; i < json_object_array_length(devices); i++) {
		struct json_object *d = json_object_array_get_idx(devices, i);

		if (strcmp(json_get_str(d, "id", ""), id) != 0)
			continue;
		assert_string_equal(json_get_str(d, "address", "none"), address);
		return;
	}
	fail_msg("no device '%s'", id);
}

static void test_name(void **state)
{
	char name[VMDEF_NAME_MAX + 2];

	(void)state;
	assert_true(vmdef_name_valid("a"));
	assert_true(vmdef_name_valid("0.web_1-x"));
	assert_false(vmdef_name_valid(""));
	assert_false(vmdef_name_valid(".a"));
	assert_false(vmdef_name_valid("-a"));
	assert_false(vmdef_name_valid("A"));
	assert_false(vmdef_name_valid("a/b"));
	assert_false(vmdef_name_valid("a\n"));
	memset(name, 'a', sizeof(name));
	name[VMDEF_NAME_MAX] = '\0';
	assert_true(vmdef_name_valid(name));
	name[VMDEF_NAME_MAX] = 'a';
	name[VMDEF_NAME_MAX + 1] = '\0';
	assert_false(vmdef_name_valid(name));
}

static void test_check(void **state)
{
	static const struct {
		const char *def, *pointer, *msg;
		bool at_key;
	} rows[] = {
		{ "{\"name\":\"a\",\"boot\":{\"kernel\":\"/k\"},\"cpu\":1}", "/cpu",
		  "/cpu: unknown key 'cpu'; did you mean 'cpus'?", true },
		{ "{\"name\":\"a\",\"boot\":{\"kernel\":\"k\"}}", "/boot/kernel",
		  "/boot/kernel: expected an absolute path, got \"k\"", false },
		{ "{\"name\":\"a\",\"boot\":{\"kernel\":\"/k\"},\"devices\":"
		  "[{\"type\":\"virtio-blk\",\"path\":\"../d\"}]}",
		  "/devices/0/path", "/devices/0/path: expected an absolute path, got \"../d\"",
		  false },
		{ "{\"name\":\"a\",\"boot\":{\"kernel\":\"/k\"},\"memory\":1}", "/memory",
		  "/memory: expected at least 16MiB, got 1", false },
		{ "[]", "", "expected an object, got a list", false },
		{ "null", "", "expected an object, got null", false },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		AUTO_JSON struct json_object *def = parse(rows[i].def);
		struct schema_error where = { 0 };
		struct err e = { 0 };

		assert_int_equal(vmdef_check(def, &where, &e), -ERR_INVALID);
		assert_string_equal(e.msg, rows[i].msg);
		assert_string_equal(where.pointer, rows[i].pointer);
		assert_int_equal(where.at_key, rows[i].at_key);
		assert_int_equal(vmdef_check(def, NULL, NULL), -ERR_INVALID);
	}
}

static void test_relative_paths(void **state)
{
	static const char text[] = "name: a\n"
				   "boot: {kernel: vmlinuz, initrd: ./i, cmdline: ./no}\n"
				   "devices:\n"
				   "- {type: virtio-blk, path: ../d, serial: x}\n"
				   "- {type: virtio-blk, path: /abs}\n";
	static const struct {
		const char *dir, *pointer, *path;
	} rows[] = {
		{ "/srv/vm", "/boot/kernel", "/srv/vm/vmlinuz" },
		{ "/srv/vm", "/boot/initrd", "/srv/vm/i" },
		{ "/srv/vm", "/boot/cmdline", "./no" },
		{ "/srv/vm", "/devices/0/path", "/srv/vm/../d" },
		{ "/srv/vm", "/devices/0/serial", "x" },
		{ "/srv/vm", "/devices/1/path", "/abs" },
		{ "/", "/boot/kernel", "/vmlinuz" },
		{ "", "/boot/kernel", "vmlinuz" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct vmfile f = { 0 };
		struct err e = { 0 };

		assert_int_equal(vmfile_parse("f", text, sizeof(text) - 1, &f, &e), 0);
		snprintf(f.dir, sizeof(f.dir), "%s", rows[i].dir);
		if (vmdef_check_file(&f, &e) < 0)
			fail_msg("%s", e.msg);
		assert_string_equal(json_object_get_string(json_at(f.root, rows[i].pointer)),
				    rows[i].path);
		vmfile_fini(&f);
	}
}

static void test_profiles(void **state)
{
	AUTO_JSON struct json_object *schema = NULL;
	struct json_object *names;
	uint64_t bytes = 0;
	size_t n = 0;

	(void)state;
	assert_int_equal(schema_json("vm.json", &schema, NULL), 0);
	names = json_at(schema, "/properties/profile/enum");
	for (const struct vmdef_profile *p = vmdef_profiles; p->name; p++, n++) {
		AUTO_JSON struct json_object *config = expand(p->name, "[]", NULL);
		struct json_object *devices = json_get(config, "devices");
		size_t npresets = 0; /* without the last ones, of firmware */

		assert_string_equal(json_object_get_string(json_object_array_get_idx(names, n)),
				    p->name);
		assert_string_equal(json_get_str(config, "irqchip", ""), p->irqchip);
		while (npresets < p->npresets && !p->presets[npresets].firmware)
			npresets++;
		assert_int_equal(json_object_array_length(devices), npresets);
		assert_true(*p->summary);
		for (size_t i = 0; i < npresets; i++) {
			struct json_object *d = json_object_array_get_idx(devices, i);

			assert_string_equal(json_get_str(d, "type", ""), p->presets[i].type);
			assert_string_equal(json_get_str(d, "id", ""), p->presets[i].id);
			assert_true(*p->presets[i].reason);
		}
	}
	assert_int_equal(n, json_object_array_length(names));
	assert_null(vmdef_profile_find("none"));
	assert_int_equal(json_size_parse(json_object_get_string(
						 json_at(schema, "/properties/memory/default")),
					 &bytes),
			 0);
	assert_int_equal(bytes, VMDEF_MEMORY_DEFAULT);
}

/* A type that has a schema is in vm.json: in the list of types, and with a branch of its own. */
static void test_every_type_is_known(void **state)
{
	AUTO_JSON struct json_object *schema = NULL;
	struct json_object *types, *branches, *mapping;
	unsigned int n = 0, files = 0;

	(void)state;
	assert_int_equal(schema_json("vm.json", &schema, NULL), 0);
	types = json_at(schema, "/$defs/device/properties/type/enum");
	branches = json_at(schema, "/$defs/device/oneOf");
	mapping = json_at(schema, "/$defs/device/discriminator/mapping");
	for (const struct embed *f = embed_schemas; f->name; f++) {
		struct json_object *type, *branch;
		char name[96];

		if (strncmp(f->name, "device/", 7) != 0)
			continue;
		files++;
		for (size_t i = 0; i < json_object_array_length(types); i++) {
			snprintf(name, sizeof(name), "device/%s.json",
				 json_object_get_string(json_object_array_get_idx(types, i)));
			if (strcmp(name, f->name) != 0)
				continue;
			type = json_object_array_get_idx(types, i);
			branch = json_object_array_get_idx(branches, i);
			assert_string_equal(json_get_str(branch, "$ref", ""), f->name);
			assert_string_equal(json_get_str(mapping, json_object_get_string(type), ""),
					    f->name);
			n++;
		}
	}
	assert_int_equal(n, files);
	assert_int_equal(n, json_object_array_length(types));
	assert_int_equal(n, json_object_array_length(branches));
	assert_int_equal(n, json_object_object_length(mapping));
}

static void test_addresses_stay(void **state)
{
	AUTO_JSON struct json_object *one =
		expand("micro",
		       "[{\"type\":\"virtio-blk\",\"path\":\"/a\",\"id\":\"a\"},"
		       "{\"type\":\"virtio-blk\",\"path\":\"/b\",\"id\":\"b\"},"
		       "{\"type\":\"virtio-blk\",\"path\":\"/c\",\"id\":\"c\"}]",
		       NULL);
	AUTO_JSON struct json_object *two = NULL;
	AUTO_JSON struct json_object *three = NULL;
	AUTO_JSON struct json_object *four = NULL;

	(void)state;
	assert_address(one, "rng0", "00:01.0");
	assert_address(one, "a", "00:02.0");
	assert_address(one, "c", "00:04.0");
	/* a goes: c stays, what is new gets the first free place */
	two = expand(
		"micro",
		"[{\"type\":\"virtio-blk\",\"path\":\"/c\",\"id\":\"c\"},"
		"{\"type\":\"virtio-rng\",\"id\":\"n1\"},{\"type\":\"virtio-rng\",\"id\":\"b\"}]",
		one);
	assert_address(two, "rng0", "00:01.0");
	assert_address(two, "c", "00:04.0");
	assert_address(two, "n1", "00:02.0");
	assert_address(two, "b", "00:03.0"); /* another type: the place is not kept, but free */
	/* an explicit address drives away what was there before */
	three = expand("micro",
		       "[{\"type\":\"virtio-blk\",\"path\":\"/c\",\"id\":\"c\"},"
		       "{\"type\":\"virtio-rng\",\"id\":\"n2\",\"address\":\"00:04.0\"}]",
		       one);
	assert_address(three, "n2", "00:04.0");
	assert_address(three, "c", "00:02.0");
	/* what came before may be anything: it is a help, no authority */
	json_add_str(json_at(one, "/devices/4"), "address", "00:1f.0");
	json_add_str(json_at(one, "/devices/5"), "address", "00:03.0");
	json_add(one, "memory", NULL);
	four = expand("micro",
		      "[{\"type\":\"virtio-blk\",\"path\":\"/a\",\"id\":\"a\"},"
		      "{\"type\":\"virtio-blk\",\"path\":\"/b\",\"id\":\"b\"}]",
		      one);
	assert_address(four, "rng0", "00:01.0");
	assert_address(four, "a", "00:03.0");
	assert_address(four, "b", "00:02.0");
}

/* A device of the host switches the profile's balloon off; in a machine that runs both are there. */
static void test_place_of_what_is_off(void **state)
{
	AUTO_JSON struct json_object *before = expand("modern", "[]", NULL);
	AUTO_JSON struct json_object *with = NULL;

	(void)state;
	assert_address(before, "balloon0", "00:03.0");
	with = expand("modern", "[{\"type\":\"vfio-pci\",\"id\":\"nic\",\"pci\":\"0000:01:00.0\"}]",
		      before);
	assert_address(with, "nic", "00:04.0");
}

static void test_all_places(void **state)
{
	AUTO_JSON struct json_object *config = NULL;
	char devices[2000] = "[", id[8];

	(void)state;
	for (unsigned int i = 0; i < 29; i++)
		strcat(devices, i ? ",{\"type\":\"virtio-rng\",\"id\":\"x\"}"
				  : "{\"type\":\"virtio-rng\",\"id\":\"x\"}");
	strcat(devices, "]");
	for (unsigned int i = 0, at = 0; devices[at]; at++)
		if (devices[at] == 'x')
			devices[at] = i < 26 ? (char)('a' + i++) : (char)('0' + i++ - 26);
	config = expand("micro", devices, NULL);
	for (unsigned int i = 0; i < 29; i++) {
		char address[16];

		snprintf(id, sizeof(id), "%c", i < 26 ? 'a' + (int)i : '0' + (int)i - 26);
		snprintf(address, sizeof(address), "00:%02x.0", i + 2);
		assert_address(config, id, address);
	}
}

static void test_files(void **state)
{
	AUTO_JSON struct json_object *config =
		expand("micro",
		       "[{\"type\":\"virtio-blk\",\"path\":\"/a\"},"
		       "{\"type\":\"virtio-blk\",\"path\":\"/b\",\"readonly\":true,\"id\":\"b\"}]",
		       NULL);
	struct vmdef_file files[VMDEF_FILES_MAX];

	(void)state;
	assert_int_equal(vmdef_files(config, files, NULL), 3);
	assert_string_equal(files[0].pointer, "/boot/kernel");
	assert_string_equal(files[0].path, "/k");
	assert_string_equal(files[0].what, "kernel");
	assert_int_equal(files[0].open_flags, O_RDONLY | O_CLOEXEC);
	assert_string_equal(files[1].pointer, "/devices/5/path");
	assert_string_equal(files[1].what, "disk 'disk0'");
	assert_true(files[1].image && !files[0].image && !files[1].share);
	assert_int_equal(files[1].open_flags, O_RDWR | O_CLOEXEC);
	assert_string_equal(files[2].what, "disk 'b'");
	assert_int_equal(files[2].open_flags, O_RDONLY | O_CLOEXEC);
	assert_int_equal(vmdef_set_fd(config, files[1].pointer, 4), 0);
	assert_string_equal(json_object_to_json_string_ext(json_at(config, "/devices/5"), PLAIN),
			    "{\"type\":\"virtio-blk\",\"id\":\"disk0\",\"address\":\"00:02.0\","
			    "\"path\":{\"fd\":4},\"readonly\":false,\"cache\":\"writeback\","
			    "\"on_error\":\"report\",\"share\":false,"
			    "\"queues\":1,\"pin_memory\":false,\"worker\":\"own\",\"poll_us\":200,"
			    "\"bytes_per_second\":0,\"ops_per_"
			    "second\":0,\"burst_ms\":1000}");
	json_add(json_at(config, "/devices/5"), "backing", json_object_new_array());
	json_object_array_add(json_at(config, "/devices/5/backing"), json_object_new_string("/c"));
	assert_int_equal(vmdef_files(config, files, NULL), 3);
	assert_string_equal(files[1].pointer, "/devices/5/backing/0");
	assert_string_equal(files[1].what, "backing file 1 of disk 'disk0'");
	assert_int_equal(files[1].open_flags, O_RDONLY | O_CLOEXEC);
	assert_int_equal(vmdef_set_fd(config, files[1].pointer, 6), 0);
	assert_string_equal(json_object_to_json_string_ext(json_at(config, "/devices/5/backing"),
							   PLAIN),
			    "[{\"fd\":6}]");
	assert_int_equal(vmdef_set_fd(config, "/boot/initrd", 5), -ENOENT);
	assert_int_equal(vmdef_files(config, files, NULL), 2); /* what has a descriptor is done */
	json_add_str(json_get(config, "boot"), "initrd", "/i");
	assert_int_equal(vmdef_files(config, files, NULL), 3);
	assert_string_equal(files[1].what, "initrd");
}

static int64_t lun_of(struct json_object *config, size_t disk, const char *id)
{
	struct json_object *d =
		json_object_array_get_idx(json_at(config, "/devices/5/disks"), disk);

	assert_string_equal(json_get_str(d, "id", ""), id);
	return json_get_int(d, "lun", -1);
}

static void test_luns_stay(void **state)
{
	AUTO_JSON struct json_object *one =
		expand("micro",
		       "[{\"type\":\"virtio-scsi\",\"disks\":[{\"id\":\"a\",\"path\":\"/a\"},"
		       "{\"path\":\"/b\"},{\"id\":\"c\",\"path\":\"/c\"}]}]",
		       NULL);
	AUTO_JSON struct json_object *two = NULL;
	struct vmdef_file files[VMDEF_FILES_MAX];

	(void)state;
	assert_int_equal(lun_of(one, 2, "c"), 2);
	two = expand(
		"micro",
		"[{\"type\":\"virtio-scsi\",\"disks\":[{\"id\":\"c\",\"path\":\"/c\"},"
		"{\"id\":\"x\",\"path\":\"/x\",\"readonly\":true},{\"path\":\"/b\",\"lun\":0}]}]",
		one);
	assert_int_equal(lun_of(two, 0, "c"), 2);
	assert_int_equal(lun_of(two, 1, "x"), 1);
	assert_int_equal(lun_of(two, 2, "scsi0.0"), 0);
	assert_int_equal(vmdef_files(two, files, NULL), 4);
	assert_string_equal(files[2].pointer, "/devices/5/disks/1/path");
	assert_string_equal(files[2].what, "disk 'x'");
	assert_int_equal(files[2].open_flags, O_RDONLY | O_CLOEXEC);
	assert_int_equal(vmdef_set_fd(two, files[2].pointer, 7), 0);
}

/* --- the manual ------------------------------------------------------------------------------------- */

#define MANUAL "man/vm.yaml.5"

static char *manual_read(void)
{
	AUTO_CLOSE int fd = open(MANUAL, O_RDONLY | O_CLOEXEC);
	char *text = NULL;
	size_t len;

	if (fd < 0 || fdio_read_file(fd, 1024 * 1024, &text, &len, NULL) < 0)
		fail_msg("cannot read " MANUAL);
	return text;
}

/* Each key and each type that a schema has must have its paragraph. */
static void manual_has(const char *manual, struct json_object *v)
{
	if (json_object_is_type(v, json_type_array))
		for (size_t i = 0; i < json_object_array_length(v); i++)
			manual_has(manual, json_object_array_get_idx(v, i));
	if (!json_object_is_type(v, json_type_object))
		return;
	json_object_object_foreach(v, key, value) {
		if (!strcmp(key, "properties")) {
			json_object_object_foreach(value, name, property) {
				char item[100];

				(void)property;
				snprintf(item, sizeof(item), "\n.It Ic %s", name);
				if (!strstr(manual, item))
					fail_msg(MANUAL " lacks the key '%s'", name);
			}
		}
		manual_has(manual, value);
	}
}

static void test_manual_is_complete(void **state)
{
	AUTO_FREE char *manual = manual_read();

	(void)state;
	for (const struct embed *f = embed_schemas; f->name; f++) {
		AUTO_JSON struct json_object *schema = NULL;
		char item[100];
		const char *type;

		if (strcmp(f->name, "vm.json") != 0 && strncmp(f->name, "device/", 7) != 0)
			continue;
		assert_int_equal(schema_json(f->name, &schema, NULL), 0);
		manual_has(manual, schema);
		type = json_object_get_string(json_at(schema, "/properties/type/const"));
		snprintf(item, sizeof(item), "\n.It Cm %s\n", type ? type : "micro");
		if (!strstr(manual, item))
			fail_msg(MANUAL " lacks the type '%s'", type);
	}
	for (const struct vmdef_profile *p = vmdef_profiles; p->name; p++) {
		char item[100];

		snprintf(item, sizeof(item), "\n.It Cm %s\n", p->name);
		assert_non_null(strstr(manual, item));
	}
}

/* What stands in the manual as an example works. */
static void test_manual_examples(void **state)
{
	static const char begin[] = ".Bd -literal -offset indent\n";
	AUTO_FREE char *manual = manual_read();
	unsigned int n = 0;

	(void)state;
	for (const char *p = manual; (p = strstr(p, begin));) {
		const char *end = strstr(p += sizeof(begin) - 1, ".Ed\n");
		struct vmfile f = { 0 };
		struct err e = { 0 };

		assert_non_null(end);
		if (strncmp(p, "name:", 5) != 0 && *p != '{')
			continue; /* a message */
		n++;
		if (vmfile_parse(MANUAL, p, (size_t)(end - p), &f, &e) < 0 ||
		    vmdef_check_file(&f, &e) < 0)
			fail_msg("example %u: %s", n, e.msg);
		vmfile_fini(&f);
	}
	assert_true(n >= 4);
}

/* --- opening ---------------------------------------------------------------------------------------- */

struct files {
	char dir[32];
	struct vmdef_file file;
	char path[300];
};

static int files_setup(void **state)
{
	struct files *t = calloc(1, sizeof(*t));
	int fd;

	strcpy(t->dir, "/tmp/test-vmdef-XXXXXX");
	if (!mkdtemp(t->dir) || chmod(t->dir, 0755))
		return -1;
	snprintf(t->path, sizeof(t->path), "%s/file", t->dir);
	fd = open(t->path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
	close(fd);
	t->file = (struct vmdef_file){ .path = t->path,
				       .pointer = "/devices/3/path",
				       .open_flags = O_RDWR | O_CLOEXEC,
				       .what = "disk 'disk0'" };
	*state = t;
	return 0;
}

static int files_teardown(void **state)
{
	struct files *t = *state;

	unlink(t->path);
	rmdir(t->path);
	rmdir(t->dir);
	free(t);
	return 0;
}

static void assert_open_fails(struct files *t, const char *what, const char *hint)
{
	struct err e = { 0 };
	char want[600];

	assert_int_equal(vmdef_open(&t->file, &e), -ERR_FILE);
	assert_int_equal(e.code, ERR_FILE);
	snprintf(want, sizeof(want), "%s '%s'%s", t->file.what, t->file.path, what);
	assert_string_equal(e.msg, want);
	assert_string_equal(e.hint, hint);
}

static void test_open(void **state)
{
	struct files *t = *state;
	struct err e = { 0 };
	int fd = vmdef_open(&t->file, &e);

	assert_true(fd >= 0);
	assert_int_equal(fcntl(fd, F_GETFL) & (O_ACCMODE | O_NONBLOCK), O_RDWR);
	assert_int_equal(fcntl(fd, F_GETFD), FD_CLOEXEC);
	close(fd);
	t->file.open_flags = O_RDONLY | O_CLOEXEC;
	fd = vmdef_open(&t->file, &e);
	assert_int_equal(fcntl(fd, F_GETFL) & O_ACCMODE, O_RDONLY);
	close(fd);
}

static void test_open_what_is_no_file(void **state)
{
	struct files *t = *state;

	unlink(t->path);
	assert_open_fails(t, ": No such file or directory", "");
	assert_int_equal(mkdir(t->path, 0755), 0);
	assert_open_fails(t, " is a directory", "");
	t->file.open_flags = O_RDONLY | O_CLOEXEC;
	assert_open_fails(t, " is a directory", "a disk is a regular file or a block device");
	rmdir(t->path);
	assert_int_equal(mkfifo(t->path, 0600), 0);
	assert_open_fails(t, " is a FIFO", "a disk is a regular file or a block device");
	strcpy(t->file.pointer, "/boot/kernel");
	t->file.what = "kernel";
	assert_open_fails(t, " is a FIFO", "a kernel is a regular file");
	t->file.path = "/dev/null";
	assert_open_fails(t, " is a character device", "a kernel is a regular file");
}

/* root may open everything: a child without its rights tries */
static void test_open_without_right(void **state)
{
	struct files *t = *state;
	pid_t pid;
	int status;

	if (geteuid())
		SKIP_BECAUSE("not root");
	pid = fork();
	assert_true(pid >= 0);
	if (!pid) {
		struct err e = { 0 };
		bool good;

		if (setegid(65534) || seteuid(65534))
			_exit(2);
		good = vmdef_open(&t->file, &e) == -ERR_FILE &&
		       strstr(e.msg, "disk 'disk0' '") == e.msg &&
		       strstr(e.msg, ": Permission denied") && strstr(e.hint, "65534") &&
		       strstr(e.hint, "needs to read and write it and to enter the folders above");
		_exit(good ? 0 : 1);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
}

/* error: what the message has to have in it; NULL: it has to open. */
static bool opens(struct files *t, const char *path, const char *error)
{
	struct err e = { 0 };
	int fd;

	t->file.path = path;
	fd = vmdef_open(&t->file, &e);
	if (fd >= 0)
		close(fd);
	if (fd >= 0 ? error != NULL : !error || !strstr(e.msg, error)) {
		fprintf(stderr, "%s: %s\n", path, fd >= 0 ? "opened" : e.msg);
		return false;
	}
	return true;
}

/* A user who may not enter the folder, in a program that has it open: links on disk lead there, /proc's do not. */
static bool confined_child(struct files *t, bool without)
{
	char open_dir[64], link[64], direct[64], secret[64];
	int dir;

	snprintf(secret, sizeof(secret), "%s/secret", t->dir);
	snprintf(direct, sizeof(direct), "%s/link", t->dir);
	snprintf(link, sizeof(link), "%s/to-proc", t->dir);
	dir = open(secret, O_PATH | O_DIRECTORY);
	snprintf(open_dir, sizeof(open_dir), "/proc/self/fd/%d/file", dir);
	t->file.confined = true;
	if (dir < 0 || chmod(t->path, 0666) < 0 || symlink("file", direct) < 0 ||
	    symlink(open_dir, link) < 0 || (without && !openat2_take_away()) || setegid(65534) ||
	    seteuid(65534))
		return false;
	return opens(t, t->path, NULL) && opens(t, direct, NULL) &&
	       opens(t, open_dir, without ? "Permission denied" : "Too many levels") &&
	       opens(t, link, without ? "Permission denied" : "Too many levels") &&
	       opens(t, "/proc/self/status", "file of /proc") &&
	       opens(t, secret, "Permission denied");
}

static void test_open_confined(void **state)
{
	struct files *t = *state;
	char path[64];

	if (geteuid())
		SKIP_BECAUSE("not root");
	t->file.open_flags = O_RDONLY | O_CLOEXEC;
	for (int without = 0; without < 2; without++) {
		const char *const left[] = { "secret/file", "link", "to-proc", "secret" };
		pid_t pid;
		int status;

		snprintf(path, sizeof(path), "%s/secret", t->dir);
		assert_int_equal(mkdir(path, 0700), 0);
		snprintf(path, sizeof(path), "%s/secret/file", t->dir);
		close(open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0644));
		pid = fork();
		assert_true(pid >= 0);
		if (!pid)
			_exit(!confined_child(t, without));
		assert_int_equal(waitpid(pid, &status, 0), pid);
		for (size_t i = 0; i < ARRAY_SIZE(left); i++) {
			snprintf(path, sizeof(path), "%s/%s", t->dir, left[i]);
			remove(path);
		}
		assert_int_equal(status, 0);
	}
}

/* Each thread of a disk has a ring, and each ring counts what it has pinned. */
static void test_pinning(void **state)
{
	static const char text[] = "{\"devices\":[{\"type\":\"virtio-blk\",\"pin_memory\":true},"
				   "{\"type\":\"virtio-blk\",\"pin_memory\":false},"
				   "{\"type\":\"virtio-blk\",\"pin_memory\":true,\"queues\":4,"
				   "\"worker\":\"own\"},{\"type\":\"virtio-blk\","
				   "\"pin_memory\":true,\"queues\":4,\"worker\":\"per-queue\"},"
				   "{\"type\":\"virtio-rng\"}]}";
	AUTO_JSON struct json_object *config = NULL;

	(void)state;
	assert_int_equal(json_parse(text, strlen(text), &config, NULL), 0);
	assert_int_equal(vmdef_pinning(config), 6);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_name),
		cmocka_unit_test(test_check),
		cmocka_unit_test(test_relative_paths),
		cmocka_unit_test(test_profiles),
		cmocka_unit_test(test_every_type_is_known),
		cmocka_unit_test(test_addresses_stay),
		cmocka_unit_test(test_place_of_what_is_off),
		cmocka_unit_test(test_all_places),
		cmocka_unit_test(test_files),
		cmocka_unit_test(test_pinning),
		cmocka_unit_test(test_luns_stay),
		cmocka_unit_test(test_manual_is_complete),
		cmocka_unit_test(test_manual_examples),
		cmocka_unit_test_setup_teardown(test_open, files_setup, files_teardown),
		cmocka_unit_test_setup_teardown(test_open_what_is_no_file, files_setup,
						files_teardown),
		cmocka_unit_test_setup_teardown(test_open_without_right, files_setup,
						files_teardown),
		cmocka_unit_test_setup_teardown(test_open_confined, files_setup, files_teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
