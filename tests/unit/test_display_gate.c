// SPDX-License-Identifier: MIT
/* Where a viewer's message ends (display/gate.h; RFC 6143, section 7): each of them at each of its lengths. */
#include "tests/lib/test.h"

#include <string.h>

#include "display/gate.h"
#include "lib/util.h"

static void expect(enum gate_step step, const void *bytes, size_t n, int what, uint64_t size)
{
	struct gate g = gate_look(step, bytes, n);

	assert_int_equal(g.what, what);
	if (what != GATE_BAD)
		assert_int_equal(g.size, size);
}

static void test_login(void **state)
{
	static const struct {
		enum gate_step step;
		size_t size;
	} rows[] = {
		{ GATE_VERSION, 12 }, { GATE_SECURITY, 1 }, { GATE_RESPONSE, 16 }, { GATE_INIT, 1 }
	};
	uint8_t bytes[20] = { 0 };

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		for (size_t n = 0; n <= sizeof(bytes); n++)
			expect(rows[i].step, bytes, n, n < rows[i].size ? GATE_WAIT : GATE_TAKE,
			       rows[i].size);
		assert_true(gate_look(rows[i].step, bytes, sizeof(bytes)).answers);
	}
}

static void test_messages(void **state)
{
	static const struct {
		uint8_t type;
		size_t size;
		bool answers;
	} rows[] = { { 0, 20, true }, { 3, 10, false }, { 4, 8, false },
		     { 5, 6, false }, { 250, 4, true }, { 255, 12, false } };
	uint8_t bytes[32] = { 0 };

	(void)state;
	expect(GATE_NORMAL, bytes, 0, GATE_WAIT, 1);
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		bytes[0] = rows[i].type;
		for (size_t n = 1; n <= sizeof(bytes); n++)
			expect(GATE_NORMAL, bytes, n, n < rows[i].size ? GATE_WAIT : GATE_TAKE,
			       rows[i].size);
		assert_int_equal(gate_look(GATE_NORMAL, bytes, sizeof(bytes)).answers,
				 rows[i].answers);
	}
}

static void test_counts(void **state)
{
	uint8_t bytes[GATE_MAX] = { 2, 0, 0, 3 };

	(void)state;
	expect(GATE_NORMAL, bytes, 3, GATE_WAIT, 4);
	expect(GATE_NORMAL, bytes, 4, GATE_WAIT, 16);
	expect(GATE_NORMAL, bytes, 15, GATE_WAIT, 16);
	expect(GATE_NORMAL, bytes, 16, GATE_TAKE, 16);
	bytes[2] = GATE_ENCODINGS_MAX >> 8;
	bytes[3] = 0;
	expect(GATE_NORMAL, bytes, GATE_MAX - 1, GATE_WAIT, GATE_MAX);
	expect(GATE_NORMAL, bytes, GATE_MAX, GATE_TAKE, GATE_MAX);
	bytes[3] = 1;
	expect(GATE_NORMAL, bytes, GATE_MAX, GATE_BAD, 0);
	/* SetDesktopSize: the longest is one that can be there */
	bytes[0] = 251;
	bytes[6] = 255;
	expect(GATE_NORMAL, bytes, 8 + 16 * 255 - 1, GATE_WAIT, 8 + 16 * 255);
	expect(GATE_NORMAL, bytes, 8 + 16 * 255, GATE_TAKE, 8 + 16 * 255);
}

static void test_skipped(void **state)
{
	uint8_t cut[8] = { 6, 0, 0, 0, 0x12, 0x34, 0x56, 0x78 };

	(void)state;
	expect(GATE_NORMAL, cut, 7, GATE_WAIT, 8);
	expect(GATE_NORMAL, cut, 8, GATE_SKIP, 8 + 0x12345678);
	memset(cut + 4, 0xff, 4); /* "Extended Clipboard": 1 byte */
	expect(GATE_NORMAL, cut, 8, GATE_SKIP, 9);
	memcpy(cut + 4, "\x80\0\0\0", 4);
	expect(GATE_NORMAL, cut, 8, GATE_SKIP, 8 + 0x80000000ull);
	for (unsigned int type = 8; type <= 10; type++) {
		uint8_t bytes[6] = { (uint8_t)type };

		expect(GATE_NORMAL, bytes, 3, GATE_WAIT, type == 10 ? 6 : 4);
		expect(GATE_NORMAL, bytes, 6, GATE_SKIP, type == 10 ? 6 : 4);
	}
}

/* Whatever else there is, the library does not see it: files, chats. */
static void test_others(void **state)
{
	static const uint8_t known[] = { 0, 2, 3, 4, 5, 6, 8, 9, 10, 15, 250, 251, 255 };
	uint8_t bytes[GATE_MAX] = { 0 };

	(void)state;
	for (unsigned int type = 0; type < 256; type++) {
		bytes[0] = (uint8_t)type;
		assert_int_equal(gate_look(GATE_NORMAL, bytes, sizeof(bytes)).what != GATE_BAD,
				 memchr(known, (int)type, sizeof(known)) != NULL);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_login),
					    cmocka_unit_test(test_messages),
					    cmocka_unit_test(test_counts),
					    cmocka_unit_test(test_skipped),
					    cmocka_unit_test(test_others) };

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
