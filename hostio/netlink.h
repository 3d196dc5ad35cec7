/* SPDX-License-Identifier: MIT */
/*
 * rtnetlink(7) for PFs and their VFs, by libmnl: RTM_GETLINK with RTEXT_FILTER_VF, RTM_SETLINK with IFLA_VFINFO_LIST
 * (linux/if_link.h). A socket a call, blocking; the caller has a deadline. These are kernel_ops: see kernel.h.
 */
#ifndef HOSTIO_NETLINK_H
#define HOSTIO_NETLINK_H

#include "hostio/kernel.h"

int netlink_link(struct kernel *k, const char *netdev, bool up, struct err *e);
int netlink_vf_get(struct kernel *k, const char *netdev, unsigned int vf, struct vf *ret_vf,
		   struct err *e);
int netlink_vf_macs(struct kernel *k, const char *netdev,
		    int (*each)(void *arg, unsigned int vf, const uint8_t mac[static 6]), void *arg,
		    struct err *e);
int netlink_vf_set(struct kernel *k, const char *netdev, unsigned int vf, enum vf_part part,
		   const struct vf *want, struct err *e);

#endif
