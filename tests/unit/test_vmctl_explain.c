// SPDX-License-Identifier: MIT
/* vmctl explain, without any vmd: what it prints, to the byte. */
#include <stdio.h>
#include <string.h>

#include "lib/auto.h"
#include "lib/embed.h"
#include "lib/errcat.h"
#include "lib/schema.h"
#include "tests/lib/test.h"
#include "tests/unit/vmctl_peer.h"

static void check(const char *args, int status, const char *out, const char *err)
{
	struct peer_run r;

	peer_run_alone(args, NULL, &r);
	if (out)
		assert_string_equal(r.out, out);
	assert_string_equal(r.err, err);
	assert_int_equal(r.status, status);
	peer_run_free(&r);
}

#define EXISTS                                                                           \
	"E1201 vm.exists: there is a VM of this name already\n"                          \
	"vmctl's exit status is 4\n\n"                                                   \
	"cause:   The call asked for a new VM (if_revision 0), and the name is taken.\n" \
	"check:   vmctl show VM\n"                                                       \
	"fix:     Choose another name, or apply without if_revision to change the VM\n"  \
	"         that is there.\n"

static void test_error(void **state)
{
	(void)state;
	check("explain E1201", 0, EXISTS, "");
	check("explain e1201", 0, EXISTS, "");
	check("explain 1201", 0, EXISTS, "");
	check("explain vm.exists", 0, EXISTS, "");
	check("explain vm.exists -q", 0, "vm.exists\n", "");
	check("explain -q -- -32601", 0, "rpc.method_not_found\n", "");
	check("explain -q 32601", 0, "rpc.method_not_found\n", "");
	check("explain --json vm.exists", 0,
	      "{\"schema\":\"vmctl.explain/1\",\"code\":1201,\"name\":\"vm.exists\","
	      "\"exit_status\":4,\"retryable\":false,"
	      "\"summary\":\"there is a VM of this name already\",\"cause\":\"The call asked for "
	      "a new VM (if_revision 0), and the name is taken.\",\"check\":\"vmctl show VM\","
	      "\"fix\":\"Choose another name, or apply without if_revision to change the VM that "
	      "is there.\"}\n",
	      "");
}

static void test_list(void **state)
{
	struct peer_run r;
	size_t lines = 0, rows = 0;

	(void)state;
	peer_run_alone("explain --no-header", NULL, &r);
	for (const char *at = r.out; *at; at += strcspn(at, "\n") + 1, lines++)
		assert_true(strcspn(at, "\n") < 80);
	for (const struct errcat_entry *e = errcat_entries; e->name; e++)
		rows++;
	assert_int_equal(lines, rows);
	assert_non_null(
		strstr(r.out, "E1201   vm.exists               there is a VM of this name"));
	peer_run_free(&r);
}

static void test_unknown(void **state)
{
	(void)state;
	check("explain vm.exsts", 3, "",
	      "vmctl: no error 'vm.exsts'\nhint: did you mean 'vm.exists'?\n"
	      "code: E1020 (topic.unknown)\n");
	check("explain 5", 3, "",
	      "vmctl: no error '5'\nhint: vmctl explain lists all errors, vmctl explain vm the "
	      "keys of a VM file\n"
	      "code: E1020 (topic.unknown)\n");
	check("explain E123", 3, "",
	      "vmctl: no error 'E123'\nhint: vmctl explain lists all errors, vmctl explain vm the "
	      "keys of a VM file\n"
	      "code: E1020 (topic.unknown)\n");
	check("explain E999999999999999999999", 3, NULL,
	      "vmctl: no error 'E999999999999999999999'\n"
	      "hint: vmctl explain lists all errors, vmctl explain vm the keys of a VM file\ncode: "
	      "E1020 (topic.unknown)\n");
}

static void test_key(void **state)
{
	(void)state;
	check("explain vm.cpus", 0,
	      "vm.cpus: Number of virtual CPUs.\n\n"
	      "type:    integer\nrange:   1 to 254\ndefault: 1\n",
	      "");
	check("explain vm.memory", 0,
	      "vm.memory: Memory of the guest: a size, or an object that says more. At least\n"
	      "           16MiB, a multiple of 4KiB.\n\n"
	      "type:    string or integer (size), or object\ndefault: 512MiB\nkeys:\n"
	      "  size            How much.\n"
	      "  hugepages       Take the memory from the host's pool of pages of this size;\n"
	      "                  without it, ordinary pages.\n"
	      "  node            NUMA node of the host that the memory comes from. A VM's\n"
	      "                  virtual functions come from there too.\n"
	      "  policy          What of a node that has not so much: prefer takes the rest\n"
	      "                  from others, strict takes all memory at the start and refuses\n"
	      "                  that.\n",
	      "");
	check("explain vm.memory.hugepages", 0,
	      "vm.memory.hugepages: Take the memory from the host's pool of pages of this\n"
	      "                     size; without it, ordinary pages.\n\nvalues:  2MiB, 1GiB\n",
	      "");
	check("explain vm.devices.virtio-blk.readonly", 0,
	      "vm.devices.virtio-blk.readonly:\n  Whether the guest may only read.\n\n"
	      "type:    boolean\ndefault: false\n",
	      "");
	check("explain vm.cpus --json", 0,
	      "{\"schema\":\"vmctl.explain/1\",\"field\":\"vm.cpus\",\"definition\":{"
	      "\"description\":\"Number of virtual CPUs.\",\"type\":\"integer\",\"minimum\":1,"
	      "\"maximum\":254,\"default\":1}}\n",
	      "");
	check("explain vm.devices.virtio-bkl", 3, "",
	      "vmctl: vm.devices has no key 'virtio-bkl'\n"
	      "hint: did you mean 'vm.devices.virtio-blk'?\ncode: E1020 (topic.unknown)\n");
	check("explain vm.cpus.x", 3, "",
	      "vmctl: vm.cpus has no key 'x'\nhint: vmctl explain vm lists its keys\n"
	      "code: E1020 (topic.unknown)\n");
}

static void check_keys(const char *before, struct json_object *schema)
{
	struct json_object *properties = json_get(schema, "properties");

	json_object_object_foreach(properties, key, value) {
		const char *description = json_get_str(value, "description", "?");
		struct peer_run r;
		char args[160], begin[160], text[32];

		snprintf(args, sizeof(args), "explain %s.%s", before, key);
		snprintf(begin, sizeof(begin), "%s.%s:", before, key);
		peer_run_alone(args, NULL, &r);
		snprintf(text, sizeof(text), "%.20s", description);
		if (r.status || strncmp(r.out, begin, strlen(begin)) || !strstr(r.out, text))
			fail_msg("%s: %s%s", args, r.out, r.err);
		for (const char *at = r.out; *at; at += strcspn(at, "\n") + 1)
			assert_true(strcspn(at, "\n") < 80);
		peer_run_free(&r);
	}
}

static void test_every_key(void **state)
{
	size_t files = 0;

	(void)state;
	for (const struct embed *f = embed_schemas; f->name; f++) {
		AUTO_JSON struct json_object *schema = NULL;
		char before[100] = "vm";

		if (strcmp(f->name, "vm.json") != 0 && strncmp(f->name, "device/", 7) != 0)
			continue;
		assert_int_equal(schema_json(f->name, &schema, NULL), 0);
		if (f->name[0] == 'd')
			snprintf(before, sizeof(before), "vm.devices.%s",
				 json_get_str(json_at(schema, "/properties/type"), "const", "?"));
		check_keys(before, schema);
		files++;
	}
	assert_true(files >= 11);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_error),	  cmocka_unit_test(test_list),
		cmocka_unit_test(test_unknown),	  cmocka_unit_test(test_key),
		cmocka_unit_test(test_every_key),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
