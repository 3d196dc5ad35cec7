// SPDX-License-Identifier: MIT
/* Base64: the vectors of RFC 4648, section 10, and what is none. */
#include "tests/lib/test.h"

#include <string.h>

#include "lib/base64.h"

static void test_vectors(void **state)
{
	static const char *const vectors[][2] = {
		{ "", "" },
		{ "f", "Zg==" },
		{ "fo", "Zm8=" },
		{ "foo", "Zm9v" },
		{ "foob", "Zm9vYg==" },
		{ "fooba", "Zm9vYmE=" },
		{ "foobar", "Zm9vYmFy" },
	};
	char text[32], back[32];
	size_t len;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(vectors); i++) {
		base64_encode(vectors[i][0], strlen(vectors[i][0]), text);
		assert_string_equal(text, vectors[i][1]);
		assert_true(base64_decode(text, back, sizeof(back), &len));
		assert_int_equal(len, strlen(vectors[i][0]));
		assert_memory_equal(back, vectors[i][0], len);
	}
	base64_encode("\xff\xfe\x00\xfb", 4, text);
	assert_string_equal(text, "//4A+w==");
	assert_true(base64_decode(text, back, 4, &len));
	assert_memory_equal(back, "\xff\xfe\x00\xfb", 4);
}

static void test_none(void **state)
{
	char back[3];
	size_t len;

	(void)state;
	assert_false(base64_decode("Zg=", back, sizeof(back), &len));
	assert_false(base64_decode("Z===", back, sizeof(back), &len));
	assert_false(base64_decode("Zm9v!A==", back, sizeof(back), &len));
	assert_false(base64_decode("Zg==Zg==", back, sizeof(back), &len));
	assert_false(base64_decode("Zm9vYg==", back, sizeof(back), &len)); /* no room */
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_vectors),
		cmocka_unit_test(test_none),
	};

	return cmocka_run_group_tests_name("base64", tests, NULL, NULL);
}
