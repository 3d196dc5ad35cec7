// SPDX-License-Identifier: MIT
/* vmctl logs -f and events -f go on when vmd is started anew: nothing lost, nothing twice. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/fdio.h"
#include "tests/functional/harness.h"
#include "tests/lib/skip.h"

#define LOST "vmctl: vmd at '"
#define BACK "vmctl: vmd is there again\n"

/* A vmctl that runs, and what it has printed. */
struct follow {
	pid_t pid;
	int fds[2]; /* of standard output and standard error */
	char text[2][1 << 16];
	size_t len[2];
};

static void follow_begin(struct harness *h, struct follow *f, const char *verb, const char *arg)
{
	char program[4096];
	int out[2], err[2];

	harness_program("vmctl", program, sizeof(program));
	assert_int_equal(pipe2(out, O_CLOEXEC), 0);
	assert_int_equal(pipe2(err, O_CLOEXEC), 0);
	memset(f, 0, sizeof(*f));
	f->pid = fork();
	assert_true(f->pid >= 0);
	if (!f->pid) {
		dup2(out[1], 1);
		dup2(err[1], 2);
		execl(program, program, "--socket", h->socket, verb, "--follow", arg, NULL);
		_exit(127);
	}
	close(out[1]);
	close(err[1]);
	f->fds[0] = out[0];
	f->fds[1] = err[0];
}

/* More of what it prints; false when it has ended. */
static bool follow_read(struct follow *f, const char *missing)
{
	struct pollfd p[2] = { { .fd = f->fds[0], .events = POLLIN },
			       { .fd = f->fds[1], .events = POLLIN } };
	bool open = false;

	if (poll(p, 2, HARNESS_WAIT_MS) <= 0)
		fail_msg("'%s' did not come; %s%s", missing, f->text[1],
			 f->text[0] + f->len[0] - MIN(f->len[0], (size_t)200));
	for (int i = 0; i < 2; i++) {
		size_t room = sizeof(f->text[i]) - 1 - f->len[i];
		ssize_t n = p[i].revents ? read(p[i].fd, f->text[i] + f->len[i], room) : -1;

		open |= !p[i].revents || n > 0;
		f->len[i] += n > 0 ? (size_t)n : 0;
	}
	return open;
}

/* Until that stands in one of its outputs (0 or 1), behind `from`. */
static void follow_until(struct follow *f, int which, size_t from, const char *text)
{
	while (f->len[which] < from || !strstr(f->text[which] + from, text))
		if (!follow_read(f, text))
			fail_msg("ended without '%s': %s", text, f->text[1]);
}

/* Its exit status, as shells have it. */
static int follow_end(struct follow *f, int signal)
{
	int status;

	if (signal)
		assert_int_equal(kill(f->pid, signal), 0);
	while (follow_read(f, "its end"))
		;
	close(f->fds[0]);
	close(f->fds[1]);
	assert_int_equal(waitpid(f->pid, &status, 0), f->pid);
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

/* vmd ends as by `signal`, vmctl notes that; and the next one comes. */
static void restart(struct harness *h, struct follow *f, int signal)
{
	size_t from = f->len[1];

	harness_vmd_end(h, signal);
	follow_until(f, 1, from, "; waiting for the next one for 30 s\n");
	harness_vmd(h, NULL, NULL);
	follow_until(f, 1, from, BACK);
}

static void define(struct harness *h, const char *name, const char *kernel)
{
	struct client *c = harness_client(h);
	char params[4400];

	snprintf(params, sizeof(params),
		 "{'definition': {'name': '%s', 'memory': '16MiB', 'boot': {'kernel': '%s'}}}",
		 name, kernel);
	json_object_put(client_result(c, "vm.apply", params));
	client_close(h, c);
}

static void test_logs(void **state)
{
	struct harness *h = *state;
	static struct follow f;
	struct client *c;
	char kernel[4096], want[32];
	unsigned int n = 0;

	if (!harness_has_kvm())
		SKIP_BECAUSE("no /dev/kvm");
	harness_program("../tests/guest/count", kernel, sizeof(kernel));
	harness_vmd(h, NULL, NULL);
	define(h, "one", kernel);
	c = harness_client(h);
	json_object_put(client_result(c, "vm.start", "{'vm': 'one'}"));
	client_close(h, c);
	follow_begin(h, &f, "logs", "one");
	follow_until(&f, 0, 0, "\nn 50\n");
	restart(h, &f, SIGKILL);
	follow_until(&f, 0, f.len[0], "\n");
	restart(h, &f, SIGTERM); /* which tells those who wait */
	restart(h, &f, SIGKILL);
	follow_until(&f, 0, f.len[0], "\n");
	assert_int_equal(follow_end(&f, SIGINT), 130);
	for (char *line = f.text[0], *end; (end = strchr(line, '\n')); line = end + 1) {
		*end = '\0';
		snprintf(want, sizeof(want), "n %u", ++n);
		assert_string_equal(line, want);
	}
	assert_true(n > 50);
	c = harness_client(h);
	json_object_put(client_result(c, "vm.kill", "{'vm': 'one'}"));
}

/* What happens before vmctl is there again is not left out. */
static void test_events(void **state)
{
	struct harness *h = *state;
	static struct follow f;
	char *at;

	harness_vmd(h, NULL, NULL);
	define(h, "one", "/one");
	follow_begin(h, &f, "events", "--since=0");
	follow_until(&f, 0, 0, " one ");
	assert_int_equal(kill(f.pid, SIGSTOP), 0);
	harness_vmd_end(h, SIGKILL);
	harness_vmd(h, NULL, NULL);
	define(h, "two", "/two");
	assert_int_equal(kill(f.pid, SIGCONT), 0);
	follow_until(&f, 1, 0, LOST);
	follow_until(&f, 0, 0, " two ");
	restart(h, &f, SIGTERM);
	define(h, "three", "/three");
	follow_until(&f, 0, 0, " three ");
	assert_int_equal(follow_end(&f, SIGINT), 130);
	at = f.text[0] + strcspn(f.text[0], "\n");
	for (int seq = 1; seq <= 3; seq++) {
		assert_int_equal(strtol(at + 1, NULL, 10), seq);
		at = strchr(at + 1, '\n');
		assert_non_null(at);
	}
	assert_string_equal(at, "\n");
}

/* Numbers and positions mean nothing to another database. */
static void test_another_database(void **state)
{
	struct harness *h = *state;
	static struct follow f;
	char old[160], want[256];

	harness_vmd(h, NULL, NULL);
	define(h, "one", "/one");
	follow_begin(h, &f, "events", "--since=0");
	follow_until(&f, 0, 0, " one ");
	harness_vmd_end(h, SIGKILL);
	snprintf(old, sizeof(old), "%s.old", h->state_dir);
	assert_int_equal(rename(h->state_dir, old), 0);
	harness_vmd(h, NULL, NULL);
	assert_int_equal(follow_end(&f, 0), 8);
	snprintf(want, sizeof(want), "vmctl: vmd at '%s' is another one: it has another database\n",
		 h->socket);
	assert_non_null(strstr(f.text[1], want));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_logs, harness_setup, harness_teardown),
		cmocka_unit_test_setup_teardown(test_events, harness_setup, harness_teardown),
		cmocka_unit_test_setup_teardown(test_another_database, harness_setup,
						harness_teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
