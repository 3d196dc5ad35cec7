// SPDX-License-Identifier: MIT
/* Network cards on bridges, taps and private links of a host's network that is the test's own. */
#include <fcntl.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <signal.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "lib/errcat.h"
#include "tests/functional/netns.h"
#include "tests/functional/scene.h"

struct world {
	struct harness *h;
	struct client *c;
	char kernel[512];
};

#define NEEDS_NET(w)                                                        \
	do {                                                                \
		NEEDS_KVM;                                                  \
		if (!(w)->h)                                                \
			SKIP_BECAUSE("no network namespace, ip(8) or tun"); \
	} while (0)

static void serve(struct world *w)
{
	harness_vmd(w->h, NULL, "--cgroup", "none", NULL);
	w->c = harness_client(w->h);
}

static int setup(void **state)
{
	struct world *w = calloc(1, sizeof(*w));

	*state = w;
	if (!harness_has_kvm() || !netns_enter())
		return 0;
	w->h = harness_new();
	harness_program("vmm", w->kernel, sizeof(w->kernel));
	strcpy(strstr(w->kernel, "bin/vmm"), "tests/guest/hotplug");
	netns_run("ip link add br0 type bridge");
	netns_run("ip link set br0 mtu 1600 up");
	serve(w);
	return 0;
}

static int teardown(void **state)
{
	struct world *w = *state;

	harness_free(w->h);
	free(w);
	return 0;
}

/* VM `name` with a card, JSON without the brackets around. */
static void define(struct world *w, const char *name, const char *card)
{
	char params[1200];

	snprintf(params, sizeof(params),
		 "{'definition': {'name': '%s', 'profile': 'micro', 'memory': '32MiB', 'boot':"
		 " {'kernel': '%s'}, 'devices': [{'type': 'virtio-net', %s}]}}",
		 name, w->kernel, card);
	json_object_put(client_result(w->c, "vm.apply", params));
}

static struct json_object *ask(struct world *w, const char *method, const char *vm)
{
	char params[64];

	snprintf(params, sizeof(params), "{'vm': '%s'}", vm);
	return client_result(w->c, method, params);
}

static void start(struct world *w, const char *vm)
{
	json_object_put(ask(w, "vm.start", vm));
}

static void end(struct world *w, const char *vm)
{
	json_object_put(ask(w, "vm.kill", vm));
}

/* What vm.get says of the VM's n-th card; valid until the next call. */
static const char *shown(struct world *w, const char *vm, int n, const char *key)
{
	AUTO_JSON struct json_object *o = ask(w, "vm.get", vm);
	static char text[64];
	char pointer[64];

	snprintf(pointer, sizeof(pointer), "/networks/%d/%s", n, key);
	snprintf(text, sizeof(text), "%s",
		 json_at(o, pointer) ? json_object_get_string(json_at(o, pointer)) : "");
	return text;
}

static int64_t rows(struct world *w, const char *table)
{
	char path[300], sql[64];
	sqlite3_stmt *stmt;
	sqlite3 *db;
	int64_t n;

	snprintf(path, sizeof(path), "%s/state.db", w->h->state_dir);
	snprintf(sql, sizeof(sql), "SELECT count(*) FROM %s", table);
	assert_int_equal(sqlite3_open_v2(path, &db, SQLITE_OPEN_READONLY, NULL), SQLITE_OK);
	assert_int_equal(sqlite3_prepare_v2(db, sql, -1, &stmt, NULL), SQLITE_OK);
	assert_int_equal(sqlite3_step(stmt), SQLITE_ROW);
	n = sqlite3_column_int64(stmt, 0);
	sqlite3_finalize(stmt);
	sqlite3_close(db);
	return n;
}

/* A start of a VM with that card fails so. */
static void refused(struct world *w, const char *card, int code, const char *message,
		    const char *hint)
{
	define(w, "bad", card);
	client_expect_error(w->c, "vm.start", "{'vm': 'bad', 'dry_run': true}", code, message,
			    hint);
	client_expect_error(w->c, "vm.start", "{'vm': 'bad'}", code, message, hint);
	assert_int_equal(rows(w, "nic"), 0);
	assert_int_equal(netns_count("vm"), 0);
}

/* --- bridges ------------------------------------------------------------------------------------------ */

static void test_bridge(void **state)
{
	AUTO_JSON struct json_object *link = NULL, *fdb = NULL, *again = NULL;
	char tap[IFNAMSIZ], command[64];
	struct world *w = *state;
	struct json_object *port;

	NEEDS_NET(w);
	define(w, "web", "'network': {'bridge': 'br0'}, 'mac': '52:54:00:AA:00:01', 'queues': 2");
	start(w, "web");
	assert_string_equal(shown(w, "web", 0, "network"), "bridge");
	assert_string_equal(shown(w, "web", 0, "bridge"), "br0");
	assert_string_equal(shown(w, "web", 0, "mac"), "52:54:00:aa:00:01");
	assert_string_equal(shown(w, "web", 0, "guarded"), "true");
	assert_string_equal(shown(w, "web", 0, "vhost"),
			    access("/dev/vhost-net", R_OK) ? "false" : "true");
	snprintf(tap, sizeof(tap), "%s", shown(w, "web", 0, "tap"));
	link = netns_link(tap);
	assert_non_null(link);
	assert_string_equal(tap + strlen("vm123456"), ".net0");
	assert_string_equal(json_get_str(link, "ifalias", ""), "VM web, net0");
	assert_string_equal(json_get_str(link, "master", ""), "br0");
	assert_string_equal(json_get_str(link, "address", ""), "fe:54:00:aa:00:01");
	assert_string_equal(json_get_str(link, "inet6_addr_gen_mode", ""), "none");
	assert_int_equal(json_get_int(link, "mtu", 0), 1600);
	assert_int_equal(json_get_int(json_at(link, "/linkinfo/info_data"), "numqueues", 0), 2);
	assert_false(json_get_bool(json_at(link, "/linkinfo/info_data"), "persist", true));
	port = json_at(link, "/linkinfo/info_slave_data");
	assert_true(json_get_bool(port, "locked", false));
	assert_true(json_get_bool(port, "root_block", false));
	assert_false(json_get_bool(port, "learning", true));
	snprintf(command, sizeof(command), "bridge -j fdb show dev %s", tap);
	fdb = netns_json(command);
	assert_string_equal(json_get_str(json_at(fdb, "/0"), "mac", ""), "52:54:00:aa:00:01");
	assert_string_equal(json_get_str(json_at(fdb, "/0"), "state", ""), "static");
	end(w, "web");
	assert_false(netns_has(tap));
	assert_int_equal(rows(w, "nic"), 0);
	assert_string_equal(shown(w, "web", 0, "device"), "");
	/* the same name again; and unguarded */
	define(w, "web", "'network': {'bridge': 'br0'}, 'spoofing': true");
	start(w, "web");
	assert_string_equal(shown(w, "web", 0, "tap"), tap);
	assert_string_equal(shown(w, "web", 0, "guarded"), "false");
	again = netns_link(tap);
	port = json_at(again, "/linkinfo/info_slave_data");
	assert_false(json_get_bool(port, "locked", true));
	assert_true(json_get_bool(port, "learning", false));
	end(w, "web");
	assert_int_equal(netns_count("vm"), 0);
}

static void test_bridge_refused(void **state)
{
	AUTO_JSON struct json_object *link = NULL;
	char card[128], message[160];
	struct world *w = *state;

	NEEDS_NET(w);
	refused(w, "'network': {'bridge': 'br7'}", ERR_NET_BRIDGE,
		"device 'net0': there is no bridge 'br7'",
		"ip link add br7 type bridge && ip link set br7 up");
	refused(w, "'network': {'bridge': 'lo'}", ERR_NET_BRIDGE,
		"device 'net0': 'lo' is no bridge", "");
	refused(w, "'network': {'bridge': 'br0'}, 'mtu': 1601", ERR_NET_BRIDGE,
		"device 'net0': mtu 1601 is more than the 1600 of bridge 'br0'",
		"ip link set br0 mtu 1601, and the bridge's other ports");
	refused(w, "'network': {'bridge': 'br0', 'vlan': 7}", ERR_NET_BRIDGE,
		"device 'net0': bridge 'br0' knows no VLANs",
		"ip link set br0 type bridge vlan_filtering 1");
	link = netns_link("br0");
	snprintf(card, sizeof(card), "'network': {'bridge': 'br0'}, 'mac': '%s'",
		 json_get_str(link, "address", ""));
	snprintf(message, sizeof(message),
		 "device 'net0': MAC address %s is that of 'br0' of the host",
		 json_get_str(link, "address", ""));
	refused(w, card, ERR_NET_MAC, message, "");
	/* and that is where the limits are */
	define(w, "good", "'network': {'bridge': 'br0'}, 'mtu': 1600");
	start(w, "good");
}

static void test_vhost(void **state)
{
	struct world *w = *state;

	NEEDS_NET(w);
	if (access("/dev/vhost-net", F_OK) == 0)
		SKIP_BECAUSE("this host has vhost-net");
	refused(w, "'network': {'bridge': 'br0'}, 'vhost': 'on'", ERR_NET_VHOST,
		"device 'net0': vhost: on: cannot open '/dev/vhost-net': No such file or directory",
		"modprobe vhost_net; vhost: auto does without it");
}

static void test_same_mac(void **state)
{
	struct world *w = *state;

	NEEDS_NET(w);
	define(w, "a", "'network': {'bridge': 'br0'}, 'mac': '52:54:00:00:00:01'");
	define(w, "b", "'network': {'private': 'p'}, 'mac': '52:54:00:00:00:01'");
	start(w, "a");
	client_expect_error(
		w->c, "vm.start", "{'vm': 'b'}", ERR_NET_MAC,
		"device 'net0': MAC address 52:54:00:00:00:01 is that of 'net0' of VM 'a'",
		"give one of them another: mac");
	assert_int_equal(rows(w, "nic"), 1);
	assert_int_equal(rows(w, "private_link"), 0);
	end(w, "a");
	start(w, "b");
}

/* --- taps of somebody else's ---------------------------------------------------------------------------- */

static int hold_tap(const char *name)
{
	struct ifreq ifr = { .ifr_flags = IFF_TAP | IFF_NO_PI };
	int fd = open("/dev/net/tun", O_RDWR | O_CLOEXEC);

	snprintf(ifr.ifr_name, sizeof(ifr.ifr_name), "%s", name);
	assert_int_equal(ioctl(fd, TUNSETIFF, &ifr), 0);
	return fd;
}

static void test_tap(void **state)
{
	struct world *w = *state;

	NEEDS_NET(w);
	netns_run("ip tuntap add dev mine mode tap user 4711");
	netns_run("ip link set mine up");
	define(w, "web", "'network': {'tap': 'mine'}");
	start(w, "web");
	assert_string_equal(shown(w, "web", 0, "network"), "tap");
	assert_string_equal(shown(w, "web", 0, "tap"), "mine");
	define(w, "other", "'network': {'tap': 'mine'}");
	client_expect_error(w->c, "vm.start", "{'vm': 'other'}", ERR_NET_TAP,
			    "device 'net0': tap 'mine' is in use by another program", "");
	end(w, "web");
	assert_true(netns_has("mine"));
	start(w, "other");
	end(w, "other");
	netns_run("ip tuntap add dev many mode tap multi_queue");
	netns_run("ip link set many up");
	define(w, "web", "'network': {'tap': 'many'}, 'queues': 3");
	start(w, "web");
	end(w, "web");
}

static void test_tap_refused(void **state)
{
	struct world *w = *state;
	int fd;

	NEEDS_NET(w);
	refused(w, "'network': {'tap': 'mine'}", ERR_NET_TAP,
		"device 'net0': there is no tap interface 'mine'",
		"ip tuntap add dev mine mode tap && ip link set mine up");
	refused(w, "'network': {'tap': 'br0'}", ERR_NET_TAP,
		"device 'net0': 'br0' is no tap interface", "");
	netns_run("ip tuntap add dev mine mode tap");
	refused(w, "'network': {'tap': 'mine'}", ERR_NET_TAP, "device 'net0': tap 'mine' is down",
		"ip link set mine up");
	netns_run("ip link set mine up");
	refused(w, "'network': {'tap': 'mine'}, 'queues': 2", ERR_NET_TAP,
		"device 'net0': tap 'mine' has one queue, and the card 2",
		"ip tuntap add dev mine mode tap multi_queue");
	netns_run("ip tuntap add dev wire mode tun");
	refused(w, "'network': {'tap': 'wire'}", ERR_NET_TAP,
		"device 'net0': 'wire' is no tap interface", "");
	fd = hold_tap("mine");
	define(w, "bad", "'network': {'tap': 'mine'}");
	client_expect_error(w->c, "vm.start", "{'vm': 'bad'}", ERR_NET_TAP,
			    "device 'net0': tap 'mine' is in use by another program", "");
	close(fd);
	start(w, "bad");
}

/* --- private links -------------------------------------------------------------------------------------- */

static void test_private(void **state)
{
	AUTO_JSON struct json_object *link = NULL;
	struct world *w = *state;
	char bridge[IFNAMSIZ];

	NEEDS_NET(w);
	define(w, "a", "'network': {'private': 'back'}, 'mtu': 9000");
	define(w, "b", "'network': {'private': 'back'}");
	define(w, "c", "'network': {'private': 'a-name-that-is-too-long'}");
	start(w, "a");
	assert_string_equal(shown(w, "a", 0, "private"), "back");
	assert_string_equal(shown(w, "a", 0, "bridge"), "vmd-back");
	start(w, "b");
	start(w, "c");
	link = netns_link("vmd-back");
	assert_string_equal(json_get_str(link, "ifalias", ""), "private link back");
	assert_string_equal(json_get_str(link, "inet6_addr_gen_mode", ""), "none");
	assert_int_equal(rows(w, "private_link"), 2);
	assert_int_equal(netns_count("vmd-"), 2);
	end(w, "a");
	snprintf(bridge, sizeof(bridge), "%s", shown(w, "c", 0, "bridge"));
	assert_int_equal(strlen(bridge), strlen("vmd-a-~12345678"));
	end(w, "c");
	netns_wait_gone(bridge);
	assert_true(netns_has("vmd-back"));
	/* vmd is not needed for it, and the next one does not forget it */
	client_close(w->h, w->c);
	harness_vmd_end(w->h, SIGKILL);
	serve(w);
	assert_string_equal(shown(w, "b", 0, "bridge"), "vmd-back");
	end(w, "b");
	netns_wait_gone("vmd-back");
	assert_int_equal(netns_count("vm"), 0);
}

static void test_private_refused(void **state)
{
	struct world *w = *state;

	NEEDS_NET(w);
	netns_run("ip link add vmd-back type bridge");
	define(w, "a", "'network': {'private': 'back'}");
	client_expect_error(
		w->c, "vm.start", "{'vm': 'a'}", ERR_NET_BRIDGE,
		"device 'net0': 'vmd-back' of the private link back exists, and is not vmd's",
		"ip -d link show vmd-back; choose another name for the private link");
	/* nor is it removed */
	define(w, "b", "'network': {'private': 'other'}");
	start(w, "b");
	end(w, "b");
	netns_wait_gone("vmd-other");
	assert_true(netns_has("vmd-back"));
}

/* The VM ends while no vmd is there: the next one clears up. */
static void test_both_end(void **state)
{
	struct world *w = *state;

	NEEDS_NET(w);
	define(w, "a", "'network': {'private': 'back'}");
	start(w, "a");
	scene_end_all(w->h, w->c, "a");
	assert_int_equal(netns_count("vm"), 1);
	assert_true(netns_has("vmd-back"));
	serve(w);
	netns_wait_gone("vmd-back");
	assert_int_equal(rows(w, "nic"), 0);
}

/* --- cards that come and go ------------------------------------------------------------------------------- */

static void test_attach(void **state)
{
	struct world *w = *state;

	NEEDS_NET(w);
	define(w, "a", "'network': {'bridge': 'br0'}");
	start(w, "a");
	json_object_put(client_result(
		w->c, "vm.wait", "{'vm': 'a', 'for': 'console', 'regex': '^waits for devices'}"));
	json_object_put(client_result(w->c, "vm.attach",
				      "{'vm': 'a', 'device': {'type': 'virtio-net', 'network': "
				      "{'private': 'back'}}}"));
	assert_string_equal(shown(w, "a", 1, "bridge"), "vmd-back");
	assert_int_equal(netns_count("vm"), 3);
	client_expect_error(w->c, "vm.attach",
			    "{'vm': 'a', 'device': {'type': 'virtio-net', 'network': {'bridge': "
			    "'br7'}}}",
			    ERR_NET_BRIDGE, "device 'net2': there is no bridge 'br7'",
			    "ip link add br7 type bridge && ip link set br7 up");
	assert_int_equal(rows(w, "nic"), 2);
	json_object_put(client_result(w->c, "vm.detach", "{'vm': 'a', 'device': 'net1'}"));
	netns_wait_gone("vmd-back");
	assert_int_equal(rows(w, "nic"), 1);
	assert_int_equal(netns_count("vm"), 1);
	end(w, "a");
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(test_bridge),	  T(test_bridge_refused), T(test_vhost),   T(test_same_mac),
		T(test_tap),	  T(test_tap_refused),	  T(test_private), T(test_private_refused),
		T(test_both_end), T(test_attach),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
