// SPDX-License-Identifier: MIT
/* See stream.h. On the I/O worker. */
#include "vmm/net/stream.h"

#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lib/auto.h"
#include "vmm/virtio/virtio.h"

#define STREAM_LENGTH sizeof(uint32_t)
#define STREAM_IN_SIZE (2 * (STREAM_FRAME_MAX + STREAM_LENGTH)) /* bursts are read at once */

struct stream {
	int fd; /* owned */
	bool dead;
	uint8_t in[STREAM_IN_SIZE]; /* [in_start, in_end): not yet given on */
	size_t in_start, in_end;
	uint8_t out[STREAM_FRAME_MAX + STREAM_LENGTH]; /* what of a frame the socket did not take */
	size_t out_start, out_end;
	struct iovec iov[STREAM_IOV_MAX + 1];
};

int stream_new(int take_fd, struct stream **ret_stream, struct err *e)
{
	AUTO_CLOSE int fd = take_fd;
	struct stream *s;

	if (fcntl(fd, F_SETFL, O_RDWR | O_NONBLOCK) < 0)
		return err_errno(e, "a stream of frames");
	s = calloc(1, sizeof(*s));
	if (!s)
		return err_set(e, ENOMEM, "a stream of frames");
	s->fd = TAKE_FD(fd);
	*ret_stream = s;
	return 0;
}

void stream_free(struct stream *s)
{
	if (!s)
		return;
	close(s->fd);
	free(s);
}

int stream_fd(const struct stream *s)
{
	return s->fd;
}

static int stream_end(struct stream *s, int code)
{
	s->dead = true;
	return code;
}

/* --- from the peer ------------------------------------------------------------------------------------------- */

/* The length of the frame at in_start: 0 while its first four bytes are not all there. */
static int stream_frame(struct stream *s, size_t *ret_len)
{
	uint32_t len;

	*ret_len = 0;
	if (s->in_end - s->in_start < STREAM_LENGTH)
		return 0;
	memcpy(&len, s->in + s->in_start, sizeof(len));
	*ret_len = be32toh(len);
	return *ret_len && *ret_len <= STREAM_FRAME_MAX ? 0 : stream_end(s, -EPROTO);
}

static int stream_read(struct stream *s)
{
	ssize_t got;

	if (s->in_start) {
		memmove(s->in, s->in + s->in_start, s->in_end - s->in_start);
		s->in_end -= s->in_start;
		s->in_start = 0;
	}
	do
		got = read(s->fd, s->in + s->in_end, sizeof(s->in) - s->in_end);
	while (got < 0 && errno == EINTR);
	if (got > 0)
		s->in_end += (size_t)got;
	if (got < 0 && errno == EAGAIN)
		return -EAGAIN;
	return got > 0 ? 0 : stream_end(s, -EPIPE);
}

ssize_t stream_recv_at(struct stream *s, const struct iovec *iov, unsigned int n, size_t at)
{
	size_t len = 0;

	for (;;) {
		int r = s->dead ? -EPIPE : stream_frame(s, &len);

		if (r < 0)
			return r;
		if (len && s->in_end - s->in_start >= STREAM_LENGTH + len)
			break;
		r = stream_read(s);
		if (r < 0)
			return r;
	}
	iov_write(iov, n, at, s->in + s->in_start + STREAM_LENGTH, len);
	s->in_start += STREAM_LENGTH + len;
	return (ssize_t)(at + len);
}

/* --- to the peer --------------------------------------------------------------------------------------------- */

/* pwritev2 at -1 is writev(2): tap.c says why. SIGPIPE is ignored. */
static ssize_t stream_write(struct stream *s, const struct iovec *iov, unsigned int n)
{
	ssize_t sent;

	do
		sent = pwritev2(s->fd, iov, (int)n, -1, 0);
	while (sent < 0 && errno == EINTR);
	if (sent >= 0)
		return sent;
	return errno == EAGAIN ? -EAGAIN : stream_end(s, -EPIPE);
}

int stream_flush(struct stream *s)
{
	while (!s->dead && s->out_start < s->out_end) {
		struct iovec iov = { s->out + s->out_start, s->out_end - s->out_start };
		ssize_t sent = stream_write(s, &iov, 1);

		if (sent < 0)
			return (int)sent;
		s->out_start += (size_t)sent;
	}
	return s->dead ? -EPIPE : 0;
}

int stream_send(struct stream *s, const struct iovec *iov, unsigned int n)
{
	size_t len = iov_size(iov, n);
	uint32_t be = htobe32((uint32_t)len);
	ssize_t sent;
	int r;

	if (!len || len > STREAM_FRAME_MAX || n > STREAM_IOV_MAX)
		return -EMSGSIZE;
	r = stream_flush(s);
	if (r < 0)
		return r;
	s->iov[0] = (struct iovec){ &be, sizeof(be) };
	memcpy(&s->iov[1], iov, n * sizeof(*iov));
	sent = stream_write(s, s->iov, n + 1);
	if (sent < 0)
		return (int)sent;
	/* the rest is copied: the guest gets its buffers back */
	s->out_start = 0;
	s->out_end = iov_read(s->iov, n + 1, (size_t)sent, s->out, sizeof(s->out));
	return 0;
}
