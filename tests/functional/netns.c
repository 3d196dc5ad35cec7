// SPDX-License-Identifier: MIT
/* See netns.h. */
#include "tests/functional/netns.h"

#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <poll.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tests/functional/harness.h"

#define NETNS_ARGS 32

static const char *netns_program(const char *name)
{
	static char path[64];

	snprintf(path, sizeof(path), "/usr/sbin/%s", name);
	if (access(path, X_OK) < 0)
		snprintf(path, sizeof(path), "/sbin/%s", name);
	return path;
}

static int netns_exec(const char *command, struct harness_output *ret)
{
	char text[256], *argv[NETNS_ARGS] = { NULL }, *rest = text;
	size_t n = 0;

	snprintf(text, sizeof(text), "%s", command);
	while (n < NETNS_ARGS - 1 && (argv[n] = strsep(&rest, " ")))
		n++;
	argv[0] = (char *)netns_program(argv[0]);
	return harness_run(NULL, ret, argv);
}

bool netns_enter(void)
{
	if (geteuid() != 0 || access(netns_program("ip"), X_OK) < 0 ||
	    access(netns_program("bridge"), X_OK) < 0 || access("/dev/net/tun", R_OK | W_OK) < 0 ||
	    unshare(CLONE_NEWNET) < 0)
		return false;
	netns_run("ip link set lo up");
	return true;
}

void netns_run(const char *command)
{
	struct harness_output out;

	if (netns_exec(command, &out))
		fail_msg("%s: %s", command, out.err);
}

struct json_object *netns_json(const char *command)
{
	struct json_object *o = NULL;
	struct harness_output out;

	if (netns_exec(command, &out))
		fail_msg("%s: %s", command, out.err);
	assert_int_equal(json_parse(out.out, strlen(out.out), &o, NULL), 0);
	return o;
}

struct json_object *netns_link(const char *name)
{
	AUTO_JSON struct json_object *list = NULL;
	char command[96];

	if (!netns_has(name))
		return NULL;
	snprintf(command, sizeof(command), "ip -j -d link show dev %s", name);
	list = netns_json(command);
	return json_object_get(json_object_array_get_idx(list, 0));
}

bool netns_has(const char *name)
{
	return if_nametoindex(name) != 0;
}

void netns_wait_gone(const char *name)
{
	struct sockaddr_nl addr = { .nl_family = AF_NETLINK, .nl_groups = RTMGRP_LINK };
	AUTO_CLOSE int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);
	struct pollfd p = { .fd = fd, .events = POLLIN };
	char news[32768];

	assert_int_equal(bind(fd, (struct sockaddr *)&addr, sizeof(addr)), 0);
	while (netns_has(name)) {
		if (poll(&p, 1, HARNESS_WAIT_MS) <= 0)
			fail_msg("'%s' is still there", name);
		recv(fd, news, sizeof(news), 0);
	}
}

unsigned int netns_count(const char *prefix)
{
	struct if_nameindex *list = if_nameindex();
	unsigned int n = 0;

	for (struct if_nameindex *i = list; i && i->if_index; i++)
		n += !strncmp(i->if_name, prefix, strlen(prefix));
	if_freenameindex(list);
	return n;
}
