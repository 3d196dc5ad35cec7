// SPDX-License-Identifier: MIT
/* network: user: a passt beside each card, on a host's network that is the test's own. */
#include <arpa/inet.h>
#include <dirent.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "lib/errcat.h"
#include "lib/fdio.h"
#include "tests/functional/netw.h"
#include "tests/functional/rows.h"

#define PORT 8080
#define CARD "'network': {'user': {'forwards': ['tcp:127.0.0.1:8080:80', 'udp:5353:53']}}"

#define NEEDS_PASST(w)                                             \
	do {                                                       \
		NEEDS_NET(w);                                      \
		if (access("/usr/bin/passt", X_OK) < 0)            \
			SKIP_BECAUSE("passt(1) is not installed"); \
	} while (0)

/* A way out of the host, which passt takes the guest's address from. */
static void make_uplink(void)
{
	netns_run("ip link add up0 type veth peer name up1");
	netns_run("ip link set up1 up");
	netns_run("ip addr add 10.0.0.2/24 dev up0");
	netns_run("ip link set up0 up");
	netns_run("ip route add default via 10.0.0.1");
}

static bool reads(pid_t pid, const char *name, char *out, size_t size)
{
	char path[64];
	ssize_t n;

	snprintf(path, sizeof(path), "/proc/%d/%s", (int)pid, name);
	AUTO_CLOSE int fd = open(path, O_RDONLY | O_CLOEXEC);

	n = fd < 0 ? -1 : fdio_read(fd, out, size - 1);
	if (n < 0)
		return false;
	for (ssize_t i = 0; i < n; i++)
		out[i] = out[i] ? out[i] : ' ';
	out[n] = '\0';
	return true;
}

/* The one that is in this network namespace; 0: none. */
static pid_t find_passt(void)
{
	char ours[64] = "", theirs[64], path[64], text[512];
	DIR *proc = opendir("/proc");
	struct dirent *entry;
	pid_t found = 0;

	assert_true(readlink("/proc/self/ns/net", ours, sizeof(ours) - 1) > 0);
	while ((entry = readdir(proc))) {
		pid_t pid = atoi(entry->d_name);

		snprintf(path, sizeof(path), "/proc/%d/ns/net", (int)pid);
		memset(theirs, 0, sizeof(theirs));
		if (pid && readlink(path, theirs, sizeof(theirs) - 1) > 0 &&
		    !strcmp(ours, theirs) && reads(pid, "cmdline", text, sizeof(text)) &&
		    !strncmp(text, "passt ", 6))
			found = pid;
	}
	closedir(proc);
	return found;
}

static bool port_open(void)
{
	struct sockaddr_in addr = { .sin_family = AF_INET,
				    .sin_port = htons(PORT),
				    .sin_addr = { htonl(INADDR_LOOPBACK) } };
	AUTO_CLOSE int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	return !connect(fd, (struct sockaddr *)&addr, sizeof(addr));
}

static void test_user(void **state)
{
	struct netw *w = *state;
	char status[4096];
	int pidfd;
	pid_t pid;

	NEEDS_PASST(w);
	make_uplink();
	netw_define(w, "web", CARD);
	assert_false(port_open());
	netw_start(w, "web");
	assert_true(port_open());
	assert_string_equal(netw_shown(w, "web", 0, "network"), "user");
	assert_string_equal(netw_shown(w, "web", 0, "forwards/0"), "tcp:127.0.0.1:8080:80");
	pid = find_passt();
	assert_true(pid > 0);
	assert_true(reads(pid, "status", status, sizeof(status)));
	assert_non_null(strstr(status, "Uid:\t65534\t65534\t65534\t65534\n"));
	assert_non_null(strstr(status, "Gid:\t65534\t65534\t65534\t65534\n"));
	assert_non_null(strstr(status, "Groups:\t \n"));
	assert_non_null(strstr(status, "CapEff:\t0000000000000000\n"));
	assert_non_null(strstr(status, "Seccomp:\t2\n"));
	/* no child of vmd's, and none of its descriptors: it lives on */
	pidfd = harness_pidfd(pid);
	client_close(w->h, w->c);
	harness_vmd_end(w->h, SIGKILL);
	assert_int_equal(poll(&(struct pollfd){ .fd = pidfd, .events = POLLIN }, 1, 0), 0);
	netw_serve(w);
	assert_string_equal(netw_shown(w, "web", 0, "network"), "user");
	assert_true(port_open());
	/* and goes with the VM */
	netw_end(w, "web");
	harness_wait_pidfd(pidfd);
	assert_false(port_open());
}

/* passt is gone, and the VM is not: the guest sees that its cable is. */
static void test_passt_dies(void **state)
{
	AUTO_JSON struct json_object *event = NULL;
	struct netw *w = *state;

	NEEDS_PASST(w);
	make_uplink();
	json_object_put(client_result(w->c, "event.subscribe", NULL));
	strcpy(strrchr(w->kernel, '/'),
	       "/net"); /* it sends, and waits for an answer that none gives */
	netw_define(w, "web", CARD);
	netw_start(w, "web");
	assert_int_equal(kill(find_passt(), SIGKILL), 0);
	event = client_event(w->c, "device.link", NULL);
	assert_string_equal(json_get_str(json_get(event, "data"), "device", ""), "net0");
	assert_string_equal(json_get_str(json_get(event, "data"), "link", ""), "down");
	assert_string_equal(json_get_str(json_get(event, "data"), "reason", ""),
			    "its network is gone");
	assert_string_equal(netw_shown(w, "web", 0, "link"), "down");
	assert_string_equal(netw_shown(w, "web", 0, "lost"), "true");
	client_expect_error(
		w->c, "vm.set_link", "{'vm': 'web', 'device': 'net0', 'link': 'up'}", ERR_VM_STATE,
		"the network of card 'net0' of VM 'web' is gone",
		"vmctl restart web makes it anew; or detach the card and attach another");
	scene_expect_state(w->c, "web", "running");
	netw_end(w, "web");
	netw_start(w, "web");
	assert_true(port_open());
}

/* vmd is away meanwhile: the next one is told. */
static void test_passt_dies_unseen(void **state)
{
	AUTO_JSON struct json_object *event = NULL;
	struct netw *w = *state;
	int pidfd;
	pid_t pid;

	NEEDS_PASST(w);
	make_uplink();
	strcpy(strrchr(w->kernel, '/'), "/net");
	netw_define(w, "web", CARD);
	netw_start(w, "web");
	pid = find_passt();
	pidfd = harness_pidfd(pid);
	client_close(w->h, w->c);
	harness_vmd_end(w->h, SIGKILL);
	assert_int_equal(kill(pid, SIGKILL), 0);
	harness_wait_pidfd(pidfd);
	netw_serve(w);
	json_object_put(client_result(w->c, "event.subscribe", "{'since': 0}"));
	event = client_event(w->c, "device.link", NULL);
	assert_string_equal(json_get_str(json_get(event, "data"), "reason", ""),
			    "its network is gone");
	assert_string_equal(netw_shown(w, "web", 0, "lost"), "true");
	netw_end(w, "web");
}

/* The ports of the one before may still be taken for a moment. */
static void test_restart(void **state)
{
	struct netw *w = *state;

	NEEDS_PASST(w);
	make_uplink();
	netw_define(w, "web", CARD);
	netw_start(w, "web");
	for (int i = 0; i < 5; i++) {
		netw_end(w, "web");
		netw_start(w, "web");
		assert_true(port_open());
	}
}

static void test_refused(void **state)
{
	struct netw *w = *state;

	NEEDS_PASST(w);
	netw_define(w, "web", CARD);
	client_expect_error(w->c, "vm.start", "{'vm': 'web'}", ERR_NET_USER,
			    "device 'net0': passt did not start: External interface not usable",
			    "it takes the guest's address from the host's default route, and there "
			    "is none: ip route");
	make_uplink();
	netw_define(w, "other", "'network': {'user': {'forwards': ['tcp:127.0.0.1:8080:22']}}");
	netw_start(w, "web");
	client_expect_error(w->c, "vm.start", "{'vm': 'other'}", ERR_NET_USER,
			    "device 'net0': passt did not start: Failed to bind any port for '-t "
			    "127.0.0.1/8080:22', exiting",
			    "the port is in use (ss -lntup), or below 1024: sysctl "
			    "net.ipv4.ip_unprivileged_port_start");
	assert_int_equal(rows_count(w->h, "nic"), 1);
}

static void test_not_installed(void **state)
{
	const char *path = getenv("PATH");
	struct netw *w = *state;

	NEEDS_NET(w);
	client_close(w->h, w->c);
	harness_vmd_end(w->h, SIGTERM);
	setenv("PATH", "/nonexistent", 1);
	netw_serve(w);
	setenv("PATH", path, 1);
	netw_define(w, "web", CARD);
	client_expect_error(w->c, "vm.start", "{'vm': 'web'}", ERR_NET_USER,
			    "device 'net0': network: user needs the program passt, which is not "
			    "there",
			    "apt-get install passt");
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, netw_setup, netw_teardown)
	const struct CMUnitTest tests[] = {
		T(test_user),	 T(test_passt_dies), T(test_passt_dies_unseen),
		T(test_restart), T(test_refused),    T(test_not_installed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
