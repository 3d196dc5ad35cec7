// SPDX-License-Identifier: MIT
/* vmd/activation: what the environment may say, and what is made of it. */
#include "tests/lib/test.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "vmd/activation.h"

static void environment(const char *pid, const char *fds, const char *names)
{
	char self[16];

	snprintf(self, sizeof(self), "%d", (int)getpid());
	setenv("LISTEN_PID", pid ? pid : self, 1);
	setenv("LISTEN_FDS", fds, 1);
	setenv("LISTEN_FDNAMES", names, 1);
}

static void assert_environment_is_clean(void)
{
	assert_null(getenv("LISTEN_PID"));
	assert_null(getenv("LISTEN_FDS"));
	assert_null(getenv("LISTEN_FDNAMES"));
}

static void refused(const char *pid, const char *fds, const char *message)
{
	struct activation a;
	struct err e = { 0 };

	environment(pid, fds, "");
	assert_true(activation_init(&a, &e) < 0);
	assert_string_equal(e.msg, message);
	assert_int_equal(a.n, 0);
	assert_environment_is_clean();
}

static void test_bad_environment(void **state)
{
	(void)state;
	refused(NULL, "x", "LISTEN_FDS is no number up to 65536: 'x'");
	refused(NULL, "", "LISTEN_FDS is no number up to 65536: ''");
	refused(NULL, "-1", "LISTEN_FDS is no number up to 65536: '-1'");
	refused(NULL, "65537", "LISTEN_FDS is no number up to 65536: '65537'");
	refused(NULL, "99999999999999999999",
		"LISTEN_FDS is no number up to 65536: '99999999999999999999'");
	refused("4x", "1", "LISTEN_PID is no number up to 2147483647: '4x'");
}

static void nothing(void)
{
	struct activation a;

	assert_int_equal(activation_init(&a, NULL), 0);
	assert_int_equal(a.n, 0);
	assert_int_equal(activation_take(&a, "vmd"), -ENOENT);
	activation_fini(&a);
	assert_environment_is_clean();
}

static void test_nothing_for_us(void **state)
{
	(void)state;
	nothing();
	environment("1", "3", "vmd"); /* another process's */
	nothing();
	environment(NULL, "0", "");
	nothing();
	environment(NULL, "1", "vmd");
	unsetenv("LISTEN_PID");
	nothing();
}

/* Descriptors from 3 on are what cmocka has open: a process of its own for what uses them. */
static void in_child(void (*run)(void))
{
	int status;
	pid_t pid = fork();

	assert_true(pid >= 0);
	if (!pid) {
		run();
		_exit(0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
}

#define MUST(condition)                                              \
	do {                                                         \
		if (!(condition)) {                                  \
			fprintf(stderr, "not so: %s\n", #condition); \
			_exit(1);                                    \
		}                                                    \
	} while (0)

static void run_takes(void)
{
	struct activation a;
	int pipes[2], socks[2];

	MUST(pipe(pipes) == 0 && socketpair(AF_UNIX, SOCK_STREAM, 0, socks) == 0);
	MUST(dup2(pipes[0], 103) == 103 && dup2(pipes[1], 104) == 104 &&
	     dup2(socks[0], 105) == 105);
	for (int i = 0; i < 3; i++)
		MUST(dup2(103 + i, 3 + i) == 3 + i);
	environment(NULL, "3", "one:two");
	MUST(activation_init(&a, NULL) == 0 && a.n == 3);
	for (int fd = 3; fd < 6; fd++)
		MUST(fcntl(fd, F_GETFD) == FD_CLOEXEC);
	MUST(activation_take(&a, "two") == 4);
	MUST(activation_take(&a, "two") == -ENOENT);
	MUST(!strcmp(a.items[2].name, "")); /* fewer names than descriptors */
	activation_fini(&a);
	MUST(fcntl(4, F_GETFD) == FD_CLOEXEC); /* taken: ours */
	MUST(fcntl(3, F_GETFD) < 0 && fcntl(5, F_GETFD) < 0);
}

static void test_takes(void **state)
{
	(void)state;
	in_child(run_takes);
}

static void run_too_few(void)
{
	struct activation a;
	struct err e;

	MUST(dup2(0, 3) == 3);
	close(4);
	environment(NULL, "2", "one:two");
	MUST(activation_init(&a, &e) == -EBADF);
	MUST(!strcmp(e.msg, "LISTEN_FDS says 2, but descriptor 4: Bad file descriptor"));
	MUST(fcntl(3, F_GETFD) < 0); /* nothing is kept of what is wrong */
}

static void test_too_few(void **state)
{
	(void)state;
	in_child(run_too_few);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_bad_environment),
		cmocka_unit_test(test_nothing_for_us),
		cmocka_unit_test(test_takes),
		cmocka_unit_test(test_too_few),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
