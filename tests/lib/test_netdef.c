// SPDX-License-Identifier: MIT
/* MAC addresses and forwarded ports. */
#include <errno.h>
#include <string.h>

#include "lib/netdef.h"
#include "tests/lib/test.h"

static void test_forwards(void **state)
{
	static const struct {
		const char *text, *address;
		bool udp;
		unsigned int port, guest_port;
	} good[] = {
		{ "tcp:8080:80", "", false, 8080, 80 },
		{ "udp:1:65535", "", true, 1, 65535 },
		{ "udp:127.0.0.1:5353:53", "127.0.0.1", true, 5353, 53 },
		{ "tcp:[::1]:22:2222", "::1", false, 22, 2222 },
		{ "tcp:[2001:db8::1]:22:22", "2001:db8::1", false, 22, 22 },
	};
	struct netdef_forward f;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(good); i++) {
		assert_int_equal(netdef_forward_parse(good[i].text, &f), 0);
		assert_string_equal(f.address, good[i].address);
		assert_int_equal(f.udp, good[i].udp);
		assert_int_equal(f.port, good[i].port);
		assert_int_equal(f.guest_port, good[i].guest_port);
	}
}

static void test_bad_forwards(void **state)
{
	static const char *const bad[] = {
		"",
		"tcp",
		"tcp:",
		"tcp:80",
		"tcp:80:",
		"tcp::80",
		"tcp:80:80:80",
		"tcp:0:80",
		"tcp:80:0",
		"tcp:65536:80",
		"tcp:80:65536",
		"tcp:100000:80",
		"tcp:080:80",
		"tcp:80:80 ",
		"tcp: 80:80",
		"tcp:-1:80",
		"sctp:80:80",
		"TCP:80:80",
		"tcp:::1:80:80",
		"tcp:[::1]80:80",
		"tcp:[::1:80:80",
		"tcp:[1.2.3.4]:80:80",
		"tcp:1.2.3:80:80",
		"tcp:localhost:80:80",
		"tcp:1.2.3.4:80",
		"tcp:[]:80:80",
		"tcp:[0000:0000:0000:0000:0000:0000:0000:0000:0000:0000]:80:80",
	};
	struct netdef_forward f = { .port = 7 };

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		if (netdef_forward_parse(bad[i], &f) != -EINVAL)
			fail_msg("'%s' is taken", bad[i]);
	assert_int_equal(f.port, 7);
}

static void test_mac(void **state)
{
	static const uint8_t expected[] = { 0x52, 0x54, 0x00, 0xab, 0xcd, 0xef };
	static const char *const bad[] = { "",
					   "52:54:00:ab:cd",
					   "52:54:00:ab:cd:e",
					   "52-54-00-ab-cd-ef",
					   "52:54:00:ab:cd:eg",
					   "52:54:00:ab:cd:ef:" };
	uint8_t mac[NETDEF_MAC_SIZE];
	char text[NETDEF_MAC_TEXT];

	(void)state;
	assert_int_equal(netdef_mac_parse("52:54:00:aB:Cd:EF", mac), 0);
	assert_memory_equal(mac, expected, sizeof(expected));
	assert_string_equal(netdef_mac_format(mac, text), "52:54:00:ab:cd:ef");
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		assert_int_equal(netdef_mac_parse(bad[i], mac), -EINVAL);
	assert_memory_equal(mac, expected, sizeof(expected));
}

/* Stable, and different for each pair of names, however they are cut. */
static void test_made_mac(void **state)
{
	static const char *const names[][2] = { { "web", "net0" },
						{ "web", "net1" },
						{ "web1", "net0" },
						{ "webn", "et0" },
						{ "", "webnet0" } };
	char made[ARRAY_SIZE(names)][NETDEF_MAC_TEXT], again[NETDEF_MAC_TEXT];

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		netdef_mac_make(names[i][0], names[i][1], made[i]);
		assert_string_equal(netdef_mac_make(names[i][0], names[i][1], again), made[i]);
		assert_memory_equal(made[i], "52:54:", 6);
		for (size_t j = 0; j < i; j++)
			assert_string_not_equal(made[i], made[j]);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_forwards),
		cmocka_unit_test(test_bad_forwards),
		cmocka_unit_test(test_mac),
		cmocka_unit_test(test_made_mac),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
