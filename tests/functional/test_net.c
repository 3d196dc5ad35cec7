// SPDX-License-Identifier: MIT
/* Network cards on bridges, taps and private links of a host's network that is the test's own. */
#include <arpa/inet.h>
#include <dirent.h>
#include <fcntl.h>
#include <linux/if_packet.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/errcat.h"
#include "tests/functional/netw.h"
#include "tests/functional/rows.h"

/* A start of a VM with that card fails so. */
static void refused(struct netw *w, const char *card, int code, const char *message,
		    const char *hint)
{
	netw_define(w, "bad", card);
	client_expect_error(w->c, "vm.start", "{'vm': 'bad', 'dry_run': true}", code, message,
			    hint);
	client_expect_error(w->c, "vm.start", "{'vm': 'bad'}", code, message, hint);
	assert_int_equal(rows_count(w->h, "nic"), 0);
	assert_int_equal(netns_count("vm"), 0);
}

/* --- bridges ------------------------------------------------------------------------------------------ */

static void test_bridge(void **state)
{
	AUTO_JSON struct json_object *link = NULL, *fdb = NULL, *again = NULL;
	char tap[IFNAMSIZ], command[64];
	struct harness_output out;
	struct netw *w = *state;
	struct json_object *port;

	NEEDS_NET(w);
	netw_define(w, "web",
		    "'network': {'bridge': 'br0'}, 'mac': '52:54:00:AA:00:01', 'queues': 2");
	netw_start(w, "web");
	assert_string_equal(netw_shown(w, "web", 0, "network"), "bridge");
	assert_string_equal(netw_shown(w, "web", 0, "bridge"), "br0");
	assert_string_equal(netw_shown(w, "web", 0, "mac"), "52:54:00:aa:00:01");
	assert_string_equal(netw_shown(w, "web", 0, "guarded"), "true");
	assert_string_equal(netw_shown(w, "web", 0, "vhost"),
			    access("/dev/vhost-net", R_OK) ? "false" : "true");
	snprintf(tap, sizeof(tap), "%s", netw_shown(w, "web", 0, "tap"));
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
	assert_int_equal(harness_vmctl(w->h, NULL, &out, "show", "web", NULL), 0);
	assert_non_null(strstr(out.out, "\nnet0      virtio-net  00:02.0  bridge br0\n"));
	assert_non_null(strstr(
		out.out, "\nDEVICE  MAC                NETWORK  BRIDGE  TAP            "
			 "VHOST  GUARDED  LINK\nnet0    52:54:00:aa:00:01  bridge   br0     "));
	netw_end(w, "web");
	assert_false(netns_has(tap));
	assert_int_equal(rows_count(w->h, "nic"), 0);
	assert_string_equal(netw_shown(w, "web", 0, "device"), "");
	/* the same name again; and unguarded */
	netw_define(w, "web", "'network': {'bridge': 'br0'}, 'spoofing': true");
	netw_start(w, "web");
	assert_string_equal(netw_shown(w, "web", 0, "tap"), tap);
	assert_string_equal(netw_shown(w, "web", 0, "guarded"), "false");
	again = netns_link(tap);
	port = json_at(again, "/linkinfo/info_slave_data");
	assert_false(json_get_bool(port, "locked", true));
	assert_true(json_get_bool(port, "learning", false));
	netw_end(w, "web");
	assert_int_equal(netns_count("vm"), 0);
}

/* The guest asks the host for its address, and pings it, with frames in several parts. */
static void test_traffic(void **state)
{
	static const struct {
		const char *guest, *cmdline, *card;
	} rows[] = {
		{ "net", "", "'virtio-net', 'queues': 1" },
		{ "net", "mrg=1 mtu=1600", "'virtio-net', 'mtu': 1600, 'spoofing': true" },
		{ "e1000", "", "'e1000'" },
		{ "rtl8139", "", "'rtl8139'" },
	};
	AUTO_JSON struct json_object *vm = NULL;
	char params[1200], kernel[512];
	struct netw *w = *state;

	NEEDS_NET(w);
	netns_run("ip addr add 10.0.0.1/24 dev br0");
	snprintf(kernel, sizeof(kernel), "%s", w->kernel);
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		strcpy(strrchr(kernel, '/') + 1, rows[i].guest);
		snprintf(params, sizeof(params),
			 "{'definition': {'name': 'web', 'profile': 'micro', 'memory': '32MiB', "
			 "'boot': {'kernel': '%s', 'cmdline': '%s'}, 'devices': [{'type': "
			 "'debug-port'}, {'type': %s, 'network': {'bridge': 'br0'}}]}}",
			 kernel, rows[i].cmdline, rows[i].card);
		json_object_put(client_result(w->c, "vm.apply", params));
		netw_start(w, "web");
		assert_string_equal(netw_shown(w, "web", 0, "network"), "bridge");
		json_object_put(client_result(w->c, "vm.wait", "{'vm': 'web', 'for': 'stopped'}"));
		scene_expect_exit(w->c, "web", "guest-exit", NULL);
		vm = netw_ask(w, "vm.get", "web");
		assert_int_equal(json_get_int(json_at(vm, "/observed/exit"), "code", -1), 0);
		json_object_put(TAKE_PTR(vm));
	}
}

/* One more queue of a card's tap: what a vmm that lies could send. */
static int join_tap(const char *name)
{
	struct ifreq ifr = { .ifr_flags = IFF_TAP | IFF_NO_PI | IFF_VNET_HDR | IFF_MULTI_QUEUE };
	int fd = open("/dev/net/tun", O_RDWR | O_CLOEXEC);

	snprintf(ifr.ifr_name, sizeof(ifr.ifr_name), "%s", name);
	assert_int_equal(ioctl(fd, TUNSETIFF, &ifr), 0);
	return fd;
}

static void send_from(int tap, uint8_t last)
{
	uint8_t frame[12 + 60] = { 0 }, *eth = frame + 12;
	const uint8_t source[] = { 0x52, 0x54, 0, 0xaa, 0, last };

	memset(eth, 0xff, 6);
	memcpy(eth + 6, source, 6);
	eth[12] = 0x88; /* IEEE 802, local experiments */
	eth[13] = 0xb5;
	assert_int_equal(write(tap, frame, sizeof(frame)), sizeof(frame));
}

/* The host does not take vmm's word for where a frame comes from. */
static void test_guard(void **state)
{
	struct netw *w = *state;
	AUTO_CLOSE int heard = -1, tap = -1;
	struct sockaddr_ll addr = { .sll_family = AF_PACKET, .sll_protocol = htons(0x88b5) };
	uint8_t frame[128];

	NEEDS_NET(w);
	netw_define(w, "web",
		    "'network': {'bridge': 'br0'}, 'mac': '52:54:00:aa:00:01', 'queues': 2");
	netw_start(w, "web");
	heard = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, htons(0x88b5));
	addr.sll_ifindex = (int)if_nametoindex("br0");
	assert_int_equal(bind(heard, (struct sockaddr *)&addr, sizeof(addr)), 0);
	tap = join_tap(netw_shown(w, "web", 0, "tap"));
	send_from(tap, 0x66);
	send_from(tap, 0x01);
	assert_int_equal(
		poll(&(struct pollfd){ .fd = heard, .events = POLLIN }, 1, HARNESS_WAIT_MS), 1);
	assert_int_equal(recv(heard, frame, sizeof(frame), 0), 60);
	assert_int_equal(frame[11], 0x01);
}

static void test_bridge_refused(void **state)
{
	AUTO_JSON struct json_object *link = NULL;
	char card[128], message[160];
	struct netw *w = *state;

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
	netw_define(w, "good", "'network': {'bridge': 'br0'}, 'mtu': 1600");
	netw_start(w, "good");
}

/* Threads of a process that do not interrupt others. */
static unsigned int count_batch(pid_t pid)
{
	char path[64];
	struct dirent *entry;
	unsigned int n = 0;
	DIR *dir;

	snprintf(path, sizeof(path), "/proc/%d/task", (int)pid);
	dir = opendir(path);
	assert_non_null(dir);
	while ((entry = readdir(dir)))
		n += entry->d_name[0] != '.' &&
		     sched_getscheduler(atoi(entry->d_name)) == SCHED_BATCH;
	closedir(dir);
	return n;
}

/* That of the card gives way to the guest: the others, which its disks wait for, do not. */
static void test_gives_way(void **state)
{
	struct netw *w = *state;

	NEEDS_NET(w);
	netw_define(w, "web", "'network': {'bridge': 'br0'}");
	netw_start(w, "web");
	assert_int_equal(count_batch(scene_pid(w->c, "web")), 1);
	netw_end(w, "web");
}

static void test_vhost(void **state)
{
	struct netw *w = *state;

	NEEDS_NET(w);
	if (access("/dev/vhost-net", F_OK) == 0)
		SKIP_BECAUSE("this host has vhost-net");
	refused(w, "'network': {'bridge': 'br0'}, 'vhost': 'on'", ERR_NET_VHOST,
		"device 'net0': vhost: on: cannot open '/dev/vhost-net': No such file or directory",
		"modprobe vhost_net; vhost: auto does without it");
}

static void test_same_mac(void **state)
{
	struct netw *w = *state;

	NEEDS_NET(w);
	netw_define(w, "a", "'network': {'bridge': 'br0'}, 'mac': '52:54:00:00:00:01'");
	netw_define(w, "b", "'network': {'private': 'p'}, 'mac': '52:54:00:00:00:01'");
	netw_start(w, "a");
	client_expect_error(
		w->c, "vm.start", "{'vm': 'b'}", ERR_NET_MAC,
		"device 'net0': MAC address 52:54:00:00:00:01 is that of 'net0' of VM 'a'",
		"give one of them another: mac");
	assert_int_equal(rows_count(w->h, "nic"), 1);
	assert_int_equal(rows_count(w->h, "private_link"), 0);
	netw_end(w, "a");
	netw_start(w, "b");
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
	struct netw *w = *state;

	NEEDS_NET(w);
	netns_run("ip tuntap add dev mine mode tap user 4711");
	netns_run("ip link set mine up");
	netw_define(w, "web", "'network': {'tap': 'mine'}");
	netw_start(w, "web");
	assert_string_equal(netw_shown(w, "web", 0, "network"), "tap");
	assert_string_equal(netw_shown(w, "web", 0, "tap"), "mine");
	netw_define(w, "other", "'network': {'tap': 'mine'}");
	client_expect_error(w->c, "vm.start", "{'vm': 'other'}", ERR_NET_TAP,
			    "device 'net0': tap 'mine' is in use by another program", "");
	netw_end(w, "web");
	assert_true(netns_has("mine"));
	netw_start(w, "other");
	netw_end(w, "other");
	netns_run("ip tuntap add dev many mode tap multi_queue");
	netns_run("ip link set many up");
	netw_define(w, "web", "'network': {'tap': 'many'}, 'queues': 3");
	netw_start(w, "web");
	netw_end(w, "web");
}

static void test_tap_refused(void **state)
{
	struct netw *w = *state;
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
	refused(w, "'network': {'tap': 'mine'}, 'mtu': 1501", ERR_NET_TAP,
		"device 'net0': mtu 1501 is more than the 1500 of tap 'mine'",
		"ip link set mine mtu 1501");
	netns_run("ip tuntap add dev wire mode tun");
	refused(w, "'network': {'tap': 'wire'}", ERR_NET_TAP,
		"device 'net0': 'wire' is no tap interface", "");
	fd = hold_tap("mine");
	netw_define(w, "bad", "'network': {'tap': 'mine'}");
	client_expect_error(w->c, "vm.start", "{'vm': 'bad'}", ERR_NET_TAP,
			    "device 'net0': tap 'mine' is in use by another program", "");
	close(fd);
	netw_start(w, "bad");
}

/* A VM of who may not rule the host: what is his, and nothing of others. */
static void test_operator(void **state)
{
	struct netw *w = *state;
	struct client *admin;

	NEEDS_NET(w);
	client_close(w->h, w->c);
	harness_vmd_end(w->h, SIGTERM);
	harness_vmd(w->h, NULL, "--cgroup", "none", "--admin-group", "54301", "--operator-group",
		    "54302", NULL);
	assert_int_equal(chmod(w->h->dir, 0711), 0);
	admin = harness_client(w->h);
	w->c = harness_client_as(w->h, 4711, SCENE_OPERATORS);
	netw_define(w, "op", "'network': {'bridge': 'br0'}");
	client_expect_error(w->c, "vm.start", "{'vm': 'op'}", ERR_DENIED,
			    "device 'net0': VM 'op' is user 4711's, who may not use bridge 'br0'",
			    "network: user, a private link, or a tap that is the user's: ip tuntap "
			    "add mode tap user NAME");
	netns_run("ip tuntap add dev theirs mode tap user 4711");
	netns_run("ip link set theirs up");
	netns_run("ip tuntap add dev other mode tap user 4712");
	netns_run("ip link set other up");
	netw_define(w, "op", "'network': {'tap': 'other'}");
	client_expect_error(w->c, "vm.start", "{'vm': 'op'}", ERR_DENIED,
			    "device 'net0': tap 'other' is not user 4711's, who has VM 'op'", "");
	netw_define(w, "op", "'network': {'tap': 'theirs'}");
	netw_start(w, "op");
	netw_end(w, "op");
	/* a link of that name, and not the administrator's */
	netw_define(w, "op", "'network': {'private': 'back'}");
	netw_start(w, "op");
	assert_int_equal(strncmp(netw_shown(w, "op", 0, "bridge"), "vmd-ba~", 7), 0);
	w->c = admin;
	netw_define(w, "mine", "'network': {'private': 'back'}");
	netw_start(w, "mine");
	assert_string_equal(netw_shown(w, "mine", 0, "bridge"), "vmd-back");
}

/* --- private links -------------------------------------------------------------------------------------- */

static void test_private(void **state)
{
	AUTO_JSON struct json_object *link = NULL;
	struct netw *w = *state;
	char bridge[IFNAMSIZ];

	NEEDS_NET(w);
	netw_define(w, "a", "'network': {'private': 'back'}, 'mtu': 9000");
	netw_define(w, "b", "'network': {'private': 'back'}");
	netw_define(w, "c", "'network': {'private': 'a-name-that-is-too-long'}");
	netw_start(w, "a");
	assert_string_equal(netw_shown(w, "a", 0, "private"), "back");
	assert_string_equal(netw_shown(w, "a", 0, "bridge"), "vmd-back");
	netw_start(w, "b");
	netw_start(w, "c");
	link = netns_link("vmd-back");
	assert_string_equal(json_get_str(link, "ifalias", ""), "private link back");
	assert_string_equal(json_get_str(link, "inet6_addr_gen_mode", ""), "none");
	assert_int_equal(rows_count(w->h, "private_link"), 2);
	assert_int_equal(netns_count("vmd-"), 2);
	netw_end(w, "a");
	snprintf(bridge, sizeof(bridge), "%s", netw_shown(w, "c", 0, "bridge"));
	assert_int_equal(strlen(bridge), strlen("vmd-a-~12345678"));
	netw_end(w, "c");
	netns_wait_gone(bridge);
	assert_true(netns_has("vmd-back"));
	/* vmd is not needed for it, and the next one does not forget it */
	client_close(w->h, w->c);
	harness_vmd_end(w->h, SIGKILL);
	netw_serve(w);
	assert_string_equal(netw_shown(w, "b", 0, "bridge"), "vmd-back");
	netw_end(w, "b");
	netns_wait_gone("vmd-back");
	assert_int_equal(netns_count("vm"), 0);
}

static void test_private_refused(void **state)
{
	struct netw *w = *state;

	NEEDS_NET(w);
	netns_run("ip link add vmd-back type bridge");
	netw_define(w, "a", "'network': {'private': 'back'}");
	client_expect_error(
		w->c, "vm.start", "{'vm': 'a'}", ERR_NET_BRIDGE,
		"device 'net0': 'vmd-back' of the private link back exists, and is not vmd's",
		"ip -d link show vmd-back; choose another name for the private link");
	/* nor is it removed */
	netw_define(w, "b", "'network': {'private': 'other'}");
	netw_start(w, "b");
	netw_end(w, "b");
	netns_wait_gone("vmd-other");
	assert_true(netns_has("vmd-back"));
}

/* --- cards that come and go ------------------------------------------------------------------------------- */

static void test_attach(void **state)
{
	struct netw *w = *state;
	struct harness_output out;

	NEEDS_NET(w);
	netw_define(w, "a", "'network': {'bridge': 'br0'}");
	netw_start(w, "a");
	json_object_put(client_result(
		w->c, "vm.wait", "{'vm': 'a', 'for': 'console', 'regex': '^waits for devices'}"));
	assert_int_equal(
		harness_vmctl(w->h, NULL, &out, "attach", "a", "nic", "private:back", NULL), 0);
	assert_string_equal(out.out, "a: net1 attached\n");
	assert_string_equal(netw_shown(w, "a", 1, "bridge"), "vmd-back");
	assert_int_equal(netns_count("vm"), 3);
	client_expect_error(w->c, "vm.attach",
			    "{'vm': 'a', 'device': {'type': 'virtio-net', 'network': {'bridge': "
			    "'br7'}}}",
			    ERR_NET_BRIDGE, "device 'net2': there is no bridge 'br7'",
			    "ip link add br7 type bridge && ip link set br7 up");
	assert_int_equal(rows_count(w->h, "nic"), 2);
	json_object_put(client_result(w->c, "vm.detach", "{'vm': 'a', 'device': 'net1'}"));
	netns_wait_gone("vmd-back");
	assert_int_equal(rows_count(w->h, "nic"), 1);
	assert_int_equal(netns_count("vm"), 1);
	netw_end(w, "a");
}

/* The emulated ones, too: nothing of hot-plug is theirs. */
static void test_attach_emulated(void **state)
{
	static const char *const types[] = { "e1000", "rtl8139" };
	struct netw *w = *state;
	AUTO_JSON struct json_object *vm = NULL;
	struct harness_output out;

	NEEDS_NET(w);
	netw_define(w, "a", "'network': {'bridge': 'br0'}");
	netw_start(w, "a");
	json_object_put(client_result(
		w->c, "vm.wait", "{'vm': 'a', 'for': 'console', 'regex': '^waits for devices'}"));
	for (size_t i = 0; i < ARRAY_SIZE(types); i++) {
		assert_int_equal(harness_vmctl(w->h, NULL, &out, "attach", "a", "nic", "bridge:br0",
					       "--type", types[i], NULL),
				 0);
		assert_string_equal(out.out, "a: net1 attached\n");
		vm = netw_ask(w, "vm.get", "a");
		assert_string_equal(json_get_str(json_at(vm, "/attachments/0"), "type", ""),
				    types[i]);
		json_object_put(TAKE_PTR(vm));
		assert_string_equal(netw_shown(w, "a", 1, "network"), "bridge");
		assert_string_equal(netw_shown(w, "a", 1, "link"), "up");
		assert_int_equal(netns_count("vm"), 2);
		assert_int_equal(harness_vmctl(w->h, NULL, &out, "detach", "a", "net1", NULL), 0);
		assert_int_equal(netns_count("vm"), 1);
	}
	netw_end(w, "a");
}

/* --- cables ------------------------------------------------------------------------------------------------ */

static void set_link(struct netw *w, const char *link, bool changed)
{
	AUTO_JSON struct json_object *o = NULL;
	char params[96];

	snprintf(params, sizeof(params), "{'vm': 'a', 'device': 'net0', 'link': '%s'}", link);
	o = client_result(w->c, "vm.set_link", params);
	assert_int_equal(json_get_bool(o, "changed", !changed), changed);
	assert_string_equal(netw_shown(w, "a", 0, "link"), link);
}

static void test_set_link(void **state)
{
	AUTO_JSON struct json_object *dry = NULL, *down = NULL, *up = NULL;
	struct netw *w = *state;
	struct harness_output out;

	NEEDS_NET(w);
	json_object_put(client_result(w->c, "event.subscribe", NULL));
	netw_define(w, "a", "'network': {'bridge': 'br0'}");
	netw_start(w, "a");
	assert_string_equal(netw_shown(w, "a", 0, "link"), "up");
	dry = client_result(w->c, "vm.set_link",
			    "{'vm': 'a', 'device': 'net0', 'link': 'down', 'dry_run': true}");
	assert_string_equal(json_get_str(dry, "note", ""), "would be set");
	set_link(w, "up", false);
	set_link(w, "down", true);
	set_link(w, "down", false);
	down = client_event(w->c, "device.link", NULL);
	assert_string_equal(json_get_str(json_get(down, "data"), "device", ""), "net0");
	assert_string_equal(json_get_str(json_get(down, "data"), "link", ""), "down");
	assert_int_equal(harness_vmctl(w->h, NULL, &out, "set-link", "a", "net0", "up", NULL), 0);
	assert_string_equal(out.out, "a: link of net0 is up\n");
	up = client_event(w->c, "device.link", NULL);
	assert_string_equal(json_get_str(json_get(up, "data"), "link", ""), "up");
	assert_int_equal(harness_vmctl(w->h, NULL, &out, "set-link", "a", "net0", "up", NULL), 0);
	assert_string_equal(out.err, "a: link of net0: it is so already\n");
	/* a card has no limits to be set, and none to be shown */
	client_expect_error(w->c, "vm.set_rate", "{'vm': 'a', 'device': 'net0'}",
			    ERR_VM_DEVICE_FIXED, "device 'net0' of VM 'a' has no limits",
			    "disks have, and images at a SCSI or AHCI controller");
	client_expect_error(w->c, "vm.set_rate",
			    "{'vm': 'a', 'device': 'net0', 'ops_per_second': 5}",
			    ERR_VM_DEVICE_FIXED, "device 'net0' of VM 'a' has no limits",
			    "disks have, and images at a SCSI or AHCI controller");
	client_expect_error(w->c, "vm.set_link", "{'vm': 'a', 'device': 'rng0', 'link': 'up'}",
			    ERR_VM_NO_DEVICE, "VM 'a' has no network card 'rng0'", "");
	netw_end(w, "a");
	json_object_put(
		client_error(w->c, "vm.set_link", "{'vm': 'a', 'device': 'net0', 'link': 'up'}"));
	/* as the definition says, at each start */
	netw_define(w, "a", "'network': {'bridge': 'br0'}, 'link': 'down'");
	netw_start(w, "a");
	assert_string_equal(netw_shown(w, "a", 0, "link"), "down");
	set_link(w, "up", true);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, netw_setup, netw_teardown)
	const struct CMUnitTest tests[] = {
		T(test_bridge),	     T(test_traffic),
		T(test_guard),	     T(test_bridge_refused),
		T(test_gives_way),   T(test_vhost),
		T(test_same_mac),    T(test_tap),
		T(test_tap_refused), T(test_operator),
		T(test_private),     T(test_private_refused),
		T(test_attach),	     T(test_attach_emulated),
		T(test_set_link),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
