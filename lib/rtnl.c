// SPDX-License-Identifier: MIT
/* See rtnl.h. No state. */
#include "lib/rtnl.h"

#include <errno.h>
#include <string.h>

#define RTNL_SEQ 1 /* a socket has one question */

static void rtnl_close(struct mnl_socket **nl)
{
	if (*nl)
		mnl_socket_close(*nl);
}

#define AUTO_RTNL __attribute__((cleanup(rtnl_close)))

struct nlmsghdr *rtnl_link_begin(void *buf, uint16_t type, uint16_t flags, int family, int index,
				 struct ifinfomsg **ret_info)
{
	struct nlmsghdr *m = mnl_nlmsg_put_header(buf);
	struct ifinfomsg *info;

	m->nlmsg_type = type;
	m->nlmsg_flags = NLM_F_REQUEST | flags;
	m->nlmsg_seq = RTNL_SEQ;
	info = mnl_nlmsg_put_extra_header(m, sizeof(*info));
	info->ifi_family = (unsigned char)family;
	info->ifi_index = index;
	if (ret_info)
		*ret_info = info;
	return m;
}

static int rtnl_word(const struct nlattr *attr, void *arg)
{
	const char **word = arg;

	if (mnl_attr_get_type(attr) == NLMSGERR_ATTR_MSG &&
	    mnl_attr_validate(attr, MNL_TYPE_NUL_STRING) >= 0)
		*word = mnl_attr_get_str(attr);
	return MNL_CB_OK;
}

static int rtnl_refused(const struct nlmsghdr *m, struct err *e)
{
	const struct nlmsgerr *why = mnl_nlmsg_get_payload(m);
	size_t off = sizeof(*why);
	int code;
	const char *word = NULL;

	if (mnl_nlmsg_get_payload_len(m) < sizeof(*why))
		return err_set(e, EPROTO, "the kernel's answer is cut");
	if (!why->error)
		return 0;
	if (!(m->nlmsg_flags & NLM_F_CAPPED))
		off += mnl_nlmsg_get_payload_len(m) - sizeof(*why) >=
				       why->msg.nlmsg_len - sizeof(why->msg)
			       ? why->msg.nlmsg_len - sizeof(why->msg)
			       : 0;
	if (m->nlmsg_flags & NLM_F_ACK_TLVS)
		mnl_attr_parse(m, (unsigned int)MNL_ALIGN(off), rtnl_word, &word);
	code = -why->error;
	if (word)
		return err_set(e, code, "%s (%s)", word, strerrordesc_np(code));
	return err_ret(e, why->error, "the kernel says");
}

static int rtnl_open(struct mnl_socket **ret_nl, struct err *e)
{
	struct mnl_socket *nl = mnl_socket_open2(NETLINK_ROUTE, SOCK_CLOEXEC);
	int one = 1;

	*ret_nl = nl;
	if (!nl || mnl_socket_bind(nl, 0, MNL_SOCKET_AUTOPID) < 0)
		return err_errno(e, "cannot open a netlink socket");
	mnl_socket_setsockopt(nl, NETLINK_EXT_ACK, &one, sizeof(one));
	mnl_socket_setsockopt(nl, NETLINK_CAP_ACK, &one, sizeof(one));
	return 0;
}

static ssize_t rtnl_receive(struct mnl_socket *nl, void *in, size_t size, struct err *e)
{
	ssize_t n;

	do {
		n = mnl_socket_recvfrom(nl, in, size);
	} while (n < 0 && errno == EINTR);
	return n < 0 ? err_errno(e, "no answer by netlink") : n;
}

static int rtnl_send(struct mnl_socket *nl, const struct nlmsghdr *m, struct err *e)
{
	return mnl_socket_sendto(nl, m, m->nlmsg_len) < 0 ? err_errno(e, "cannot ask by netlink")
							  : 0;
}

int rtnl_ask(const struct nlmsghdr *m, void *in, size_t size, struct err *e)
{
	AUTO_RTNL struct mnl_socket *nl = NULL;
	const struct nlmsghdr *answer = in;
	int ret = rtnl_open(&nl, e);
	ssize_t n;

	if (ret >= 0)
		ret = rtnl_send(nl, m, e);
	if (ret < 0)
		return ret;
	n = rtnl_receive(nl, in, size, e);
	if (n < 0)
		return (int)n;
	if (!mnl_nlmsg_ok(answer, (int)n))
		return err_set(e, EPROTO, "the kernel's answer is cut");
	return answer->nlmsg_type == NLMSG_ERROR ? rtnl_refused(answer, e) : 0;
}

int rtnl_do(const struct nlmsghdr *m, struct err *e)
{
	union {
		struct nlmsghdr header;
		char bytes[RTNL_REQUEST * 4];
	} in;

	return rtnl_ask(m, &in, sizeof(in), e);
}

int rtnl_list(struct nlmsghdr *m, mnl_cb_t cb, void *arg, struct err *e)
{
	AUTO_RTNL struct mnl_socket *nl = NULL;
	union {
		struct nlmsghdr header;
		char bytes[RTNL_ANSWER];
	} in;
	int ret = rtnl_open(&nl, e), more = MNL_CB_OK;

	m->nlmsg_flags |= NLM_F_DUMP;
	if (ret >= 0)
		ret = rtnl_send(nl, m, e);
	while (ret >= 0 && more > MNL_CB_STOP) {
		ssize_t n = rtnl_receive(nl, &in, sizeof(in), e);

		if (n < 0)
			return (int)n;
		more = mnl_cb_run(&in, (size_t)n, RTNL_SEQ, mnl_socket_get_portid(nl), cb, arg);
	}
	return ret < 0 ? ret : more < 0 ? err_errno(e, "the kernel's list is cut") : 0;
}
