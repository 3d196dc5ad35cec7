// SPDX-License-Identifier: MIT
#include "lib/vmfile.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lib/auto.h"
#include "lib/errcat.h"
#include "lib/fdio.h"
#include "tests/lib/test.h"

static void assert_reads(const char *text, const char *json)
{
	struct vmfile f = { 0 };
	struct err e = { 0 };

	if (vmfile_parse("f", text, strlen(text), &f, &e) < 0)
		fail_msg("%s: %s", text, e.msg);
	assert_string_equal(json_object_to_json_string_ext(f.root,
							   JSON_C_TO_STRING_PLAIN |
								   JSON_C_TO_STRING_NOSLASHESCAPE),
			    json);
	vmfile_fini(&f);
}

static void assert_refused(const char *text, const char *msg)
{
	struct vmfile f = { .nmarks = 77 };
	struct err e = { 0 };

	if (vmfile_parse("f", text, strlen(text), &f, &e) >= 0)
		fail_msg("%s: was taken", text);
	assert_int_equal(e.code, ERR_SYNTAX);
	assert_string_equal(e.msg, msg);
	assert_int_equal(f.nmarks, 77);
}

static void test_scalars(void **state)
{
	static const struct {
		const char *text, *json;
	} rows[] = {
		{ "a:", "{\"a\":null}" },
		{ "[~, null, Null, NULL]", "[null,null,null,null]" },
		{ "[true, True, FALSE, false]", "[true,true,false,false]" },
		{ "[yes, No, on, off, y, TRue]", "[\"yes\",\"No\",\"on\",\"off\",\"y\",\"TRue\"]" },
		{ "[0, -7, +7, 007, 0x1F, 0o17]", "[0,-7,7,7,31,15]" },
		{ "[0x, 0o8, 0xg, -0x1, 1_000, 0b1]",
		  "[\"0x\",\"0o8\",\"0xg\",\"-0x1\",\"1_000\",\"0b1\"]" },
		{ "[1.5, .5, -2.0, 1e3, 1.e-2]", "[1.5,0.5,-2.0,1000.0,0.01]" },
		{ "[., e1, 1e, 1.2.3, -, +, 1:30]",
		  "[\".\",\"e1\",\"1e\",\"1.2.3\",\"-\",\"+\",\"1:30\"]" },
		{ "['7', \"true\", \"\", 'null']", "[\"7\",\"true\",\"\",\"null\"]" },
		{ "a: |\n  1\n  2\nb: >\n  1\n  2\n", "{\"a\":\"1\\n2\\n\",\"b\":\"1 2\\n\"}" },
		{ "9007199254740991", "9007199254740991" },
		{ "plain text, with a comma", "\"plain text, with a comma\"" },
		{ "1: a\ntrue: b\n", "{\"1\":\"a\",\"true\":\"b\"}" },
		{ "2026-01-31", "\"2026-01-31\"" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		assert_reads(rows[i].text, rows[i].json);
}

static void test_json_text(void **state)
{
	(void)state;
	assert_reads("{\"a\":[1,{\"b\":null}],\"c\":\"\\u00e9\\/\\\"\",\n\t\"d\":true}",
		     "{\"a\":[1,{\"b\":null}],\"c\":\"\u00e9/\\\"\",\"d\":true}");
	assert_reads("[]", "[]");
	assert_reads("{}", "{}");
	assert_reads("\xef\xbb\xbf{\"a\":1}", "{\"a\":1}"); /* a byte order mark in front */
}

static void test_refused(void **state)
{
	static const struct {
		const char *text, *msg;
	} rows[] = {
		{ "a: 1\nb: 2\na: 3\n", "f:3:1: duplicate key 'a'" },
		{ "a: {b: 1, b: 2}\n", "f:1:11: duplicate key 'b'" },
		{ "a: &x 1\n", "f:1:4: anchors are not supported" },
		{ "a: &x [1]\n", "f:1:4: anchors are not supported" },
		{ "a: *x\n", "f:1:4: aliases are not supported" },
		{ "a: !x 1\n", "f:1:4: tags are not supported" },
		{ "a: !!map {}\n", "f:1:4: tags are not supported" },
		{ "%TAG ! tag:x,2000:\n--- a\n", "f:1:1: tags are not supported" },
		{ "--- 1\n--- 2\n", "f:2:1: a second document; a file holds one" },
		{ "", "f:1:1: the file is empty" },
		{ "# only this\n", "f:1:1: the file is empty" },
		{ "[a]: 1\n", "f:1:1: a key must be a string" },
		{ "a:\n\t- 1\n", "f:2:1: a tab; YAML wants spaces here" },
		{ "a: .nan\n", "f:1:4: number .nan is out of range" },
		{ "a: 9007199254740992\n", "f:1:4: number 9007199254740992 is out of range" },
		{ "a: 0xffffffffffffffffff\n",
		  "f:1:4: number 0xffffffffffffffffff is out of range" },
		{ "a: 1e999\n", "f:1:4: number 1e999 is out of range" },
		{ "a: \"\\0\"\n", "f:1:4: a NUL character in a string is not supported" },
		{ "\u00e9: \"\xff\"\n", "f:1:6: invalid leading UTF-8 octet" },
		{ "a: b\x01\n", "f:1:5: control characters are not allowed" },
		{ "a: \"b\n",
		  "f:2:1: found unexpected end of stream while scanning a quoted scalar "
		  "that starts at 1:4" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		assert_refused(rows[i].text, rows[i].msg);
}

static void test_limits(void **state)
{
	const size_t big = 1024 * 1024 + 1;
	AUTO_FREE char *text = malloc(big + 1);
	struct vmfile f = { 0 };
	struct err e = { 0 };

	(void)state;
	memset(text, '[', JSON_DEPTH_MAX + 1);
	text[JSON_DEPTH_MAX + 1] = '\0';
	assert_refused(text, "f:1:65: more than 64 levels");
	memset(text, ' ', big);
	assert_int_equal(vmfile_parse("f", text, big, &f, &e), -ERR_SYNTAX);
	assert_string_equal(e.msg, "f: larger than 1048576 bytes");
	text[0] = '[';
	for (size_t i = 0; i < 10000; i++)
		memcpy(text + 1 + 2 * i, "1,", 2);
	memcpy(text + 20000, "]", 2);
	assert_refused(text, "f:1:20000: more than 10000 values");
	memcpy(text + 19998, "]", 2); /* the list and 9999 items */
	assert_int_equal(vmfile_parse("f", text, strlen(text), &f, &e), 0);
	assert_int_equal(json_object_array_length(f.root), 9999);
	vmfile_fini(&f);
}

static void assert_place(const struct vmfile *f, const char *pointer, bool key, unsigned int line,
			 unsigned int column)
{
	unsigned int l = 0, c = 0;

	if (vmfile_locate(f, pointer, key, &l, &c) != (line != 0) || l != line || c != column)
		fail_msg("%s: %u:%u", pointer, l, c);
}

static void test_places(void **state)
{
	static const char text[] = "name: a\n"
				   "boot:\n"
				   "  kernel: /k\n"
				   "devices:\n"
				   "- type: rtc\n"
				   "- {type: serial, \"a/b~\": [1, 2]}\n";
	struct vmfile f = { 0 };

	(void)state;
	assert_int_equal(vmfile_parse("f", text, sizeof(text) - 1, &f, NULL), 0);
	assert_place(&f, "", false, 1, 1);
	assert_place(&f, "/name", false, 1, 7);
	assert_place(&f, "/name", true, 1, 1);
	assert_place(&f, "/boot", false, 3, 3);
	assert_place(&f, "/boot", true, 2, 1);
	assert_place(&f, "/boot/kernel", false, 3, 11);
	assert_place(&f, "/devices/0", false, 5, 3);
	assert_place(&f, "/devices/0/type", false, 5, 9);
	assert_place(&f, "/devices/1/a~1b~0/1", false, 6, 30);
	assert_place(&f, "/devices/1/a~1b~0", true, 6, 18);
	assert_place(&f, "/devices/2", false, 0, 0);
	assert_place(&f, "/nothing", true, 0, 0);
	assert_place(&f, "name", false, 0, 0);
	vmfile_fini(&f);
	assert_place(&f, "", false, 0, 0);
}

static void test_load(void **state)
{
	char dir[] = "/tmp/test-vmfile-XXXXXX", path[64], cwd[4096];
	struct vmfile f = { 0 };
	struct err e = { 0 };
	char want[600];
	int fd;

	(void)state;
	assert_non_null(mkdtemp(dir));
	assert_non_null(getcwd(cwd, sizeof(cwd)));
	snprintf(path, sizeof(path), "%s/vm.yaml", dir);
	fd = open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
	assert_int_equal(fdio_write(fd, "a: 1\n", 5), 5);
	close(fd);
	assert_int_equal(vmfile_load(path, &f, &e), 0);
	assert_string_equal(f.name, path);
	assert_string_equal(f.dir, dir);
	vmfile_fini(&f);
	assert_int_equal(chdir(dir), 0);
	assert_int_equal(vmfile_load("vm.yaml", &f, &e), 0);
	assert_string_equal(f.name, "vm.yaml");
	assert_string_equal(f.dir, dir);
	vmfile_fini(&f);
	assert_int_equal(chdir(cwd), 0);
	assert_int_equal(unlink(path), 0);
	assert_int_equal(vmfile_load(path, &f, &e), -ERR_FILE);
	snprintf(want, sizeof(want), "cannot open '%s': No such file or directory", path);
	assert_string_equal(e.msg, want);
	assert_int_equal(vmfile_load(dir, &f, &e), -ERR_FILE);
	snprintf(want, sizeof(want), "%s: cannot read: Is a directory", dir);
	assert_string_equal(e.msg, want);
	assert_int_equal(rmdir(dir), 0);
}

static void test_load_standard_input(void **state)
{
	int fds[2], saved = dup(STDIN_FILENO);
	struct vmfile f = { 0 };
	char cwd[4096];

	(void)state;
	assert_int_equal(pipe(fds), 0);
	assert_int_equal(fdio_write(fds[1], "a: 1\n", 5), 5);
	close(fds[1]);
	assert_int_equal(dup2(fds[0], STDIN_FILENO), STDIN_FILENO);
	close(fds[0]);
	assert_int_equal(vmfile_load("-", &f, NULL), 0);
	assert_int_equal(dup2(saved, STDIN_FILENO), STDIN_FILENO);
	close(saved);
	assert_string_equal(f.name, "<stdin>");
	assert_string_equal(f.dir, getcwd(cwd, sizeof(cwd)));
	assert_int_equal(json_get_int(f.root, "a", 0), 1);
	vmfile_fini(&f);
	vmfile_fini(NULL);
}

static void test_documents(void **state)
{
	static const char text[] = "---\na: 1\n---\n---\nb:\n  c: 2\n---\n";
	char path[] = "/tmp/test_vmfile.XXXXXX";
	int fd = mkstemp(path);
	struct vmfile *files;
	unsigned int line, column;
	struct err e = { 0 };
	size_t n;

	(void)state;
	assert_true(write(fd, text, strlen(text)) == (ssize_t)strlen(text));
	assert_int_equal(vmfile_load_all(path, &files, &n, &e), 0);
	assert_int_equal(n, 2); /* those that hold nothing are left out */
	assert_string_equal(json_object_to_json_string_ext(files[0].root, JSON_C_TO_STRING_PLAIN),
			    "{\"a\":1}");
	assert_int_equal(vmfile_locate(&files[1], "/b/c", false, &line, &column), 1);
	assert_int_equal(line, 6); /* of the file */
	assert_string_equal(files[1].dir, "/tmp");
	vmfile_free_all(files, n);
	/* an error in any of them is one of all */
	assert_int_equal(pwrite(fd, "---\na: 1\n---\nb: [", 18, 0), 18);
	assert_int_equal(vmfile_load_all(path, &files, &n, &e), -ERR_SYNTAX);
	assert_int_equal(ftruncate(fd, 0), 0);
	assert_int_equal(vmfile_load_all(path, &files, &n, &e), -ERR_SYNTAX);
	assert_non_null(strstr(e.msg, ":1:1: the file is empty"));
	assert_int_equal(pwrite(fd, "---\n---\n", 8, 0), 8);
	assert_int_equal(vmfile_load_all(path, &files, &n, &e), -ERR_SYNTAX);
	assert_non_null(strstr(e.msg, ":1:1: the file is empty"));
	close(fd);
	unlink(path);
}

static void test_too_many_documents(void **state)
{
	char path[] = "/tmp/test_vmfile.XXXXXX";
	int fd = mkstemp(path);
	struct vmfile *files;
	struct err e = { 0 };
	size_t n;

	(void)state;
	for (int i = 0; i <= VMFILE_DOCUMENTS_MAX; i++)
		assert_int_equal(write(fd, "--- a\n", 6), 6);
	assert_int_equal(vmfile_load_all(path, &files, &n, &e), -ERR_SYNTAX);
	assert_non_null(strstr(e.msg, ":1001:1: more than 1000 documents"));
	close(fd);
	unlink(path);
}

/* What is written for a value, and that it is read as the same value. */
static void check_written(const char *json, const char *yaml)
{
	AUTO_JSON struct json_object *value = NULL;
	AUTO_FREE char *text = NULL;
	struct vmfile f = { 0 };
	struct err e = { 0 };
	size_t len;
	FILE *out = open_memstream(&text, &len);

	assert_int_equal(json_parse(json, strlen(json), &value, &e), 0);
	if (vmfile_write(out, &value, 1, &e) < 0)
		fail_msg("%s: %s", json, e.msg);
	fclose(out);
	if (yaml)
		assert_string_equal(text, yaml);
	if (vmfile_parse("f", text, len, &f, &e) < 0)
		fail_msg("%s is written as %s: %s", json, text, e.msg);
	if (!json_equal(f.root, value))
		fail_msg("%s is written as %s", json, text);
	vmfile_fini(&f);
}

static void test_write(void **state)
{
	static const char *const strings[] = {
		"",
		" ",
		"a",
		"-",
		"- a",
		"a: b",
		"a:b",
		"a #b",
		"#a",
		"~",
		"null",
		"NULL",
		"true",
		"7",
		"007",
		"+7",
		"0x1F",
		"1e3",
		".5",
		".inf",
		"1_000",
		"0b1",
		"yes",
		"No",
		"on",
		"00:03.0",
		"2026-01-01",
		"512MiB",
		"console=ttyS0 panic=-1",
		"'",
		"\\\"",
		"{a",
		"[a]",
		"&a",
		"*a",
		"!a",
		"%a",
		"@a",
		"`a",
		"|",
		">",
		"a\\nb",
		"a\\n",
		"\\n",
		" a\\n b\\n",
		"\\ta",
		"a ",
		"gr\\u00fc\\u00dfe",
		"\\u0085",
		"\\ufeffa",
		"\\u2028",
		"\\ud83d\\ude00",
		"\\u0001",
		"\\u007f",
		"---",
		"...",
		"--- a",
		"a\\r\\nb",
		"?",
		"? a",
		":",
		"a,b",
		"9007199254740993",
		"=",
		"<<",
	};

	(void)state;
	check_written(
		"{\"name\":\"a\",\"memory\":\"1GiB\",\"cpus\":2,\"list\":[{\"a\":\"00:03.0\","
		"\"b\":true},[],{}],\"c\":null,\"d\":1.5,\"e\":\"7\",\"f\":\"x\\ny\\n\"}",
		"name: a\nmemory: 1GiB\ncpus: 2\nlist:\n- a: \"00:03.0\"\n  b: true\n- []\n- {}\n"
		"c: null\nd: 1.5\ne: \"7\"\nf: |\n  x\n  y\n");
	for (size_t i = 0; i < ARRAY_SIZE(strings); i++) {
		char json[200];

		snprintf(json, sizeof(json), "[\"%s\", {\"%s\": \"%s\"}]", strings[i], strings[i],
			 strings[i]);
		check_written(json, NULL);
	}
}

static void test_write_fails(void **state)
{
	AUTO_JSON struct json_object *value = json_add_str(json_new(), "a", "b");
	FILE *full = fopen("/dev/full", "w");
	struct err e = { 0 };

	(void)state;
	setvbuf(full, NULL, _IONBF, 0);
	assert_int_equal(vmfile_write(full, &value, 1, &e), -EIO);
	assert_non_null(strstr(e.msg, "cannot write YAML: "));
	fclose(full);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_scalars),
		cmocka_unit_test(test_json_text),
		cmocka_unit_test(test_refused),
		cmocka_unit_test(test_limits),
		cmocka_unit_test(test_places),
		cmocka_unit_test(test_load),
		cmocka_unit_test(test_load_standard_input),
		cmocka_unit_test(test_documents),
		cmocka_unit_test(test_too_many_documents),
		cmocka_unit_test(test_write),
		cmocka_unit_test(test_write_fails),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
