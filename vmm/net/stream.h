/* SPDX-License-Identifier: MIT */
/*
 * Frames over a connected AF_UNIX stream, each behind its length, 32 bits big-endian: what passt and QEMU's
 * `-netdev stream` speak. Both directions keep at most one buffer of their own, of a size that is fixed. On the I/O
 * worker. The peer is not trusted: a length that no frame has ends the connection.
 */
#ifndef VMM_NET_STREAM_H
#define VMM_NET_STREAM_H

#include <sys/types.h>
#include <sys/uio.h>
#include "lib/err.h"

#define STREAM_FRAME_MAX \
	65553 /* Ethernet's header, and the longest packet of IPv4 with a VLAN tag */
#define STREAM_IOV_MAX 257

struct stream;

int stream_new(int take_fd, struct stream **ret_stream, struct err *e);
void stream_free(struct stream *s);
int stream_fd(const struct stream *s);

/*
 * The next frame into iov, behind its first at bytes; what does not fit is cut. at and the bytes of the frame; -EAGAIN:
 * none is complete, -EPIPE: the peer has gone, -EPROTO: what came is no frame. After the last two nothing comes.
 */
ssize_t stream_recv_at(struct stream *s, const struct iovec *iov, unsigned int n, size_t at);
/* A whole frame, or nothing of it: 0, -EAGAIN, -EMSGSIZE (also: more than STREAM_IOV_MAX parts), or -EPIPE. */
int stream_send(struct stream *s, const struct iovec *iov, unsigned int n);
/* What the last one left behind: 0, -EAGAIN or -EPIPE. */
int stream_flush(struct stream *s);

#endif
