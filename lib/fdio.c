// SPDX-License-Identifier: MIT
/* File descriptors: see fdio.h. Any thread. */
#include "lib/fdio.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include "lib/auto.h"

void fdset_init(struct fdset *s)
{
	s->n = 0;
}

void fdset_fini(struct fdset *s)
{
	if (!s)
		return;
	for (unsigned int i = 0; i < s->n; i++)
		if (s->fds[i] >= 0)
			close(s->fds[i]);
	s->n = 0;
}

int fdset_add(struct fdset *s, int take_fd)
{
	if (s->n == FDSET_MAX) {
		close(take_fd);
		return -ENOSPC;
	}
	s->fds[s->n] = take_fd;
	return (int)s->n++;
}

int fdset_take(struct fdset *s, unsigned int index)
{
	if (index >= s->n || s->fds[index] < 0)
		return -EBADF;
	return TAKE_FD(s->fds[index]);
}

ssize_t fdio_read(int fd, void *data, size_t len)
{
	size_t done = 0;

	while (done < len) {
		ssize_t n = read(fd, (char *)data + done, len - done);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		if (!n)
			break;
		done += (size_t)n;
	}
	return (ssize_t)done;
}

ssize_t fdio_pread(int fd, void *data, size_t len, off_t off)
{
	size_t done = 0;

	while (done < len) {
		/* preadv2: vmm's sandbox has no second call for the same */
		struct iovec iov = { (char *)data + done, len - done };
		ssize_t n = preadv2(fd, &iov, 1, off + (off_t)done, 0);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		if (!n)
			break;
		done += (size_t)n;
	}
	return (ssize_t)done;
}

ssize_t fdio_write(int fd, const void *data, size_t len)
{
	size_t done = 0;

	while (done < len) {
		ssize_t n = write(fd, (const char *)data + done, len - done);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		done += (size_t)n;
	}
	return (ssize_t)done;
}

ssize_t fdio_send(int sock, const void *data, size_t len, const int *fds, unsigned int nfds)
{
	union {
		struct cmsghdr align;
		char space[CMSG_SPACE(sizeof(int) * FDIO_SEND_MAX)];
	} control = { 0 };
	struct iovec iov = { .iov_base = (void *)data, .iov_len = len };
	struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1 };
	ssize_t n;

	assert(nfds <= FDIO_SEND_MAX);
	if (nfds) {
		struct cmsghdr *c = &control.align;

		msg.msg_control = &control;
		msg.msg_controllen = CMSG_SPACE(sizeof(int) * nfds);
		c->cmsg_level = SOL_SOCKET;
		c->cmsg_type = SCM_RIGHTS;
		c->cmsg_len = CMSG_LEN(sizeof(int) * nfds);
		memcpy(CMSG_DATA(c), fds, sizeof(int) * nfds);
	}
	do {
		n = sendmsg(sock, &msg, MSG_NOSIGNAL);
	} while (n < 0 && errno == EINTR);
	return n < 0 ? -errno : n;
}

static void fdio_collect(struct msghdr *msg, struct fdset *set)
{
	for (struct cmsghdr *c = CMSG_FIRSTHDR(msg); c; c = CMSG_NXTHDR(msg, c)) {
		size_t n;

		if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
			continue;
		n = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
		for (size_t i = 0; i < n; i++) {
			int fd;

			memcpy(&fd, CMSG_DATA(c) + i * sizeof(int), sizeof(fd));
			fdset_add(set, fd);
		}
	}
}

ssize_t fdio_recv(int sock, void *data, size_t len, struct fdset *set)
{
	union {
		struct cmsghdr align;
		char space[CMSG_SPACE(sizeof(int) * FDIO_SEND_MAX)];
	} control;
	struct iovec iov = { .iov_base = data, .iov_len = len };
	struct msghdr msg = { .msg_iov = &iov,
			      .msg_iovlen = 1,
			      .msg_control = &control,
			      .msg_controllen = sizeof(control) };
	ssize_t n;

	do {
		n = recvmsg(sock, &msg, MSG_CMSG_CLOEXEC);
	} while (n < 0 && errno == EINTR);
	if (n < 0)
		return -errno;
	fdio_collect(&msg, set);
	return n;
}

int fdio_read_file(int fd, size_t max, char **ret_data, size_t *ret_len, struct err *e)
{
	AUTO_FREE char *data = NULL;
	size_t len = 0, cap = 4096;

	for (;;) {
		char *grown;
		ssize_t n;

		cap = MIN(cap, max + 1);
		grown = realloc(data, cap + 1);
		if (!grown)
			return err_ret(e, -ENOMEM, "cannot read");
		data = grown;
		n = fdio_read(fd, data + len, cap - len);
		if (n < 0)
			return err_ret(e, (int)n, "cannot read");
		len += (size_t)n;
		if (len > max)
			return err_set(e, EFBIG, "larger than %zu bytes", max);
		if (len < cap)
			break;
		cap *= 2;
	}
	data[len] = '\0';
	*ret_data = TAKE_PTR(data);
	*ret_len = len;
	return 0;
}
