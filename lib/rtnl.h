/* SPDX-License-Identifier: MIT */
/*
 * rtnetlink(7) by libmnl: one question and its answer, or the parts of a list. A socket a call, blocking for as long as
 * others hold the kernel's lock of its network. Any thread. For programs that link libmnl.
 */
#ifndef LIB_RTNL_H
#define LIB_RTNL_H

#include <libmnl/libmnl.h>
#include <linux/rtnetlink.h>
#include "lib/err.h"

#define RTNL_REQUEST 1024 /* bytes: room for any request made here */
#define RTNL_ANSWER 32768 /* one link without its VFs */

/* A request about a link, begun in RTNL_REQUEST bytes; ret_info may be NULL. */
struct nlmsghdr *rtnl_link_begin(void *buf, uint16_t type, uint16_t flags, int family, int index,
				 struct ifinfomsg **ret_info);
/*
 * The answer into size bytes, or with NLM_F_ACK the verdict. -errno as the kernel gave it, e has its own words where it
 * has some (NETLINK_EXT_ACK).
 */
int rtnl_ask(const struct nlmsghdr *m, void *in, size_t size, struct err *e);
/* The verdict alone; the request has NLM_F_ACK. */
int rtnl_do(const struct nlmsghdr *m, struct err *e);
/* A list (NLM_F_DUMP): each message to cb, as mnl_cb_run(3) has it. */
int rtnl_list(struct nlmsghdr *m, mnl_cb_t cb, void *arg, struct err *e);

#endif
