// SPDX-License-Identifier: MIT
/* SHA-1: the vectors of RFC 3174, section 7.3, and each length about the end of a block. */
#include "tests/lib/test.h"

#include <stdio.h>
#include <string.h>

#include "lib/sha1.h"
#include "lib/util.h"

static void expect(const void *data, size_t len, const char *hex)
{
	uint8_t digest[SHA1_SIZE];
	char text[2 * SHA1_SIZE + 1];

	sha1(data, len, digest);
	for (unsigned int i = 0; i < SHA1_SIZE; i++)
		snprintf(text + (size_t)2 * i, 3, "%02x", digest[i]);
	assert_string_equal(text, hex);
}

static void test_vectors(void **state)
{
	char many[640];

	(void)state;
	expect("abc", 3, "a9993e364706816aba3e25717850c26c9cd0d89d");
	expect("abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq", 56,
	       "84983e441c3bd26ebaae4aa1f95129e5e54670f1");
	for (unsigned int i = 0; i < sizeof(many); i++)
		many[i] = (char)('0' + i % 8);
	expect(many, sizeof(many), "dea356a2cddd90c7a7ecedc5ebb563934f460452");
	expect("", 0, "da39a3ee5e6b4b0d3255bfef95601890afd80709");
}

/* Of so many 'a', by another implementation: where the length still fits behind the text, and where it does not. */
static void test_ends(void **state)
{
	static const struct {
		size_t len;
		const char *hex;
	} rows[] = {
		{ 55, "c1c8bbdc22796e28c0e15163d20899b65621d65a" },
		{ 56, "c2db330f6083854c99d4b5bfb6e8f29f201be699" },
		{ 63, "03f09f5b158a7a8cdad920bddc29b81c18a551f5" },
		{ 64, "0098ba824b5c16427bd7a1122a5a442a25ec644d" },
		{ 65, "11655326c708d70319be2610e8a57d9a5b959d3b" },
		{ 119, "ee971065aaa017e0632a8ca6c77bb3bf8b1dfc56" },
		{ 120, "f34c1488385346a55709ba056ddd08280dd4c6d6" },
	};
	char text[128];

	(void)state;
	memset(text, 'a', sizeof(text));
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		expect(text, rows[i].len, rows[i].hex);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_vectors),
					    cmocka_unit_test(test_ends) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
