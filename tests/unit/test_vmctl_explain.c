// SPDX-License-Identifier: MIT
/* vmctl explain, without any vmd: what it prints, to the byte. */
#include <string.h>

#include "lib/errcat.h"
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

#define EXISTS                                                                              \
	"E1201 vm.exists: there is a VM of this name already\n"                             \
	"vmctl's exit status is 4\n\n"                                                      \
	"cause:  The call asked for a new VM (if_revision 0), and the name is taken.\n"     \
	"check:  vmctl show VM\n"                                                           \
	"fix:    Choose another name, or apply without if_revision to change the VM that\n" \
	"        is there.\n"

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
	assert_non_null(strstr(r.out, "E1201   vm.exists             there is a VM of this name"));
	peer_run_free(&r);
}

static void test_unknown(void **state)
{
	(void)state;
	check("explain vm.exsts", 3, "",
	      "vmctl: no error 'vm.exsts'\nhint: did you mean 'vm.exists'?\n"
	      "code: E1020 (topic.unknown)\n");
	check("explain 5", 3, "",
	      "vmctl: no error '5'\nhint: vmctl explain lists all errors\n"
	      "code: E1020 (topic.unknown)\n");
	check("explain E123", 3, "",
	      "vmctl: no error 'E123'\nhint: vmctl explain lists all errors\n"
	      "code: E1020 (topic.unknown)\n");
	check("explain E999999999999999999999", 3, NULL,
	      "vmctl: no error 'E999999999999999999999'\n"
	      "hint: vmctl explain lists all errors\ncode: E1020 (topic.unknown)\n");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_error),
		cmocka_unit_test(test_list),
		cmocka_unit_test(test_unknown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
