// SPDX-License-Identifier: MIT
#include "lib/fdio.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "lib/auto.h"
#include "tests/lib/test.h"

static void test_fdset(void **state)
{
	struct fdset s;
	int fd = dup(STDERR_FILENO);

	(void)state;
	fdset_init(&s);
	assert_int_equal(fdset_add(&s, fd), 0);
	assert_int_equal(fdset_take(&s, 1), -EBADF);
	assert_int_equal(fdset_take(&s, 0), fd);
	assert_int_equal(fdset_take(&s, 0), -EBADF);
	for (unsigned int i = 1; i < FDSET_MAX; i++)
		assert_int_equal(fdset_add(&s, dup(STDERR_FILENO)), (int)i);
	assert_int_equal(fdset_add(&s, fd), -ENOSPC);
	assert_int_equal(fcntl(fd, F_GETFD), -1); /* closed, as promised */
	fd = s.fds[5];
	fdset_fini(&s);
	assert_int_equal(fcntl(fd, F_GETFD), -1);
	fdset_fini(NULL);
}

static void test_transfer(void **state)
{
	AUTO_CLOSE int fd = memfd_create("test", MFD_CLOEXEC);
	char out[16] = "";

	(void)state;
	assert_int_equal(fdio_write(fd, "0123456789", 10), 10);
	assert_int_equal(fdio_pread(fd, out, 4, 3), 4);
	assert_memory_equal(out, "3456", 4);
	assert_int_equal(fdio_pread(fd, out, sizeof(out), 8), 2);
	assert_int_equal(lseek(fd, 0, SEEK_SET), 0);
	assert_int_equal(fdio_read(fd, out, sizeof(out)), 10);
	assert_int_equal(fdio_read(-1, out, 1), -EBADF);
	assert_int_equal(fdio_write(-1, out, 1), -EBADF);
}

static void test_pass_descriptors(void **state)
{
	AUTO_CLOSE int memfd = memfd_create("test", MFD_CLOEXEC);
	int sv[2], send[FDIO_SEND_MAX];
	struct fdset s;
	char out[16];

	(void)state;
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sv), 0);
	assert_int_equal(fdio_write(memfd, "memfd", 5), 5);
	for (unsigned int i = 0; i < FDIO_SEND_MAX; i++)
		send[i] = memfd;
	fdset_init(&s);
	assert_int_equal(fdio_send(sv[0], "hello", 5, send, 2), 5);
	assert_int_equal(fdio_recv(sv[1], out, sizeof(out), &s), 5);
	assert_int_equal(s.n, 2);
	assert_int_not_equal(fcntl(s.fds[0], F_GETFD) & FD_CLOEXEC, 0);
	assert_int_equal(fdio_pread(s.fds[1], out, sizeof(out), 0), 5);
	assert_memory_equal(out, "memfd", 5);
	/* more than the set has room for: the rest is closed, not leaked (ASan cannot see this) */
	for (int i = 0; i < 2; i++) {
		assert_int_equal(fdio_send(sv[0], "x", 1, send, FDIO_SEND_MAX), 1);
		assert_int_equal(fdio_recv(sv[1], out, sizeof(out), &s), 1);
	}
	assert_int_equal(s.n, FDSET_MAX);
	fdset_fini(&s);
	assert_int_equal(fdio_send(sv[0], "y", 1, NULL, 0), 1);
	assert_int_equal(fdio_recv(sv[1], out, sizeof(out), &s), 1);
	assert_int_equal(s.n, 0);
	close(sv[0]);
	assert_int_equal(fdio_recv(sv[1], out, sizeof(out), &s), 0);
	assert_int_equal(fdio_send(sv[1], "z", 1, NULL, 0), -EPIPE);
	close(sv[1]);
}

static void test_read_file(void **state)
{
	AUTO_CLOSE int fd = memfd_create("test", MFD_CLOEXEC);
	char block[10000], *data = NULL;
	struct err e = { 0 };
	size_t len = 0;

	(void)state;
	memset(block, 'b', sizeof(block));
	assert_int_equal(fdio_write(fd, block, sizeof(block)), sizeof(block));
	for (size_t max = sizeof(block); max < sizeof(block) + 2; max++) {
		lseek(fd, 0, SEEK_SET);
		assert_int_equal(fdio_read_file(fd, max, &data, &len, NULL), 0);
		assert_int_equal(len, sizeof(block));
		assert_memory_equal(data, block, len);
		assert_int_equal(data[len], '\0');
		free(data);
	}
	lseek(fd, 0, SEEK_SET);
	assert_int_equal(fdio_read_file(fd, sizeof(block) - 1, &data, &len, &e), -EFBIG);
	assert_string_equal(e.msg, "larger than 9999 bytes");
	assert_int_equal(fdio_read_file(-1, 1, &data, &len, NULL), -EBADF);
	assert_int_equal(fdio_read_file(fd, 0, &data, &len, NULL), 0); /* at its end: empty */
	assert_int_equal(len, 0);
	free(data);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_fdset),
		cmocka_unit_test(test_transfer),
		cmocka_unit_test(test_pass_descriptors),
		cmocka_unit_test(test_read_file),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
