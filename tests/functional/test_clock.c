// SPDX-License-Identifier: MIT
/* The wall clock is set back by an hour while vmd runs: events keep their order, deadlines their length. */
#include "tests/functional/harness.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "lib/errcat.h"
#include "tests/functional/scene.h"
#include "tests/lib/skip.h"

struct clock {
	struct harness *h;
	int64_t *offset; /* seconds that vmd's clock is wrong by */
	char file[256], shim[4096];
};

static int setup(void **state)
{
	struct clock *k = calloc(1, sizeof(*k));
	int fd;

	assert_non_null(k);
	k->h = harness_new();
	snprintf(k->file, sizeof(k->file), "%s", harness_file(k->h, "clock", "12345678"));
	harness_program("../tests/functional/clock_shim.so", k->shim, sizeof(k->shim));
	fd = open(k->file, O_RDWR | O_CLOEXEC);
	k->offset = mmap(NULL, sizeof(*k->offset), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	close(fd);
	assert_true(k->offset != MAP_FAILED);
	*state = k;
	return 0;
}

static int teardown(void **state)
{
	struct clock *k = *state;

	harness_free(k->h);
	munmap(k->offset, sizeof(*k->offset));
	free(k);
	return 0;
}

/* vmd alone has the wrong clock. */
static struct client *begin(struct clock *k, int64_t offset)
{
	*k->offset = offset;
	setenv("CLOCK_SHIM", k->file, 1);
	setenv("LD_PRELOAD", k->shim, 1);
	setenv("ASAN_OPTIONS", "verify_asan_link_order=0", 1);
	harness_vmd(k->h, "ok", "--step-timeout", "5", NULL);
	unsetenv("LD_PRELOAD");
	unsetenv("ASAN_OPTIONS");
	return harness_client(k->h);
}

/* Numbers rise by one; ret_back counts the times that are before the one before. */
static void read_events(struct harness *h, unsigned int *ret_back)
{
	struct client *c = harness_client(h);
	char last[64] = "";
	AUTO_JSON struct json_object *answer = client_result(c, "event.subscribe", "{'since': 0}");
	int64_t seq = 0, end = json_get_int(answer, "seq", 0);

	*ret_back = 0;
	assert_true(end > 0);
	while (seq < end) {
		AUTO_JSON struct json_object *o = client_next(c);
		struct json_object *event = json_get(o, "params");
		const char *time = json_get_str(event, "time", "");

		assert_int_equal(json_get_int(event, "seq", 0), ++seq);
		*ret_back += strcmp(time, last) < 0;
		snprintf(last, sizeof(last), "%s", time);
	}
	client_close(h, c);
}

static void test_clock_set_back(void **state)
{
	struct clock *k = *state;
	AUTO_FREE struct harness_output *o = calloc(1, sizeof(*o));
	struct client *c;
	unsigned int back;
	pid_t pid;

	if (!harness_has_kvm())
		SKIP_BECAUSE("no /dev/kvm");
	assert_non_null(o);
	c = begin(k, 3600);
	scene_define(c, "one", harness_file(k->h, "kernel", ""));
	json_object_put(client_result(c, "vm.start", "{'vm': 'one'}"));
	pid = scene_pid(c, "one");
	read_events(k->h, &back);
	assert_int_equal(back, 0);
	/* back to the right time, which is before all that was written down */
	*k->offset = 0;
	client_expect_error(c, "vm.wait", "{'vm': 'one', 'for': 'paused', 'timeout_ms': 100}",
			    ERR_TIMEOUT, "VM 'one' is not paused after 0.1 s: it is running", "");
	assert_int_equal(harness_vmctl(k->h, NULL, o, "list", NULL), 0);
	if (!strstr(o->out, "one   running     0s "))
		fail_msg("%s", o->out);
	json_object_put(client_result(c, "vm.pause", "{'vm': 'one'}"));
	json_object_put(client_result(c, "vm.resume", "{'vm': 'one'}"));
	read_events(k->h, &back);
	assert_int_equal(back, 1);
	/* who it is depends on no wall clock */
	client_close(k->h, c);
	harness_vmd_end(k->h, SIGKILL);
	c = begin(k, -7200);
	scene_expect_state(c, "one", "running");
	assert_int_equal(scene_pid(c, "one"), pid);
	json_object_put(client_result(c, "vm.stop", "{'vm': 'one'}"));
	scene_expect_exit(c, "one", "shutdown", NULL);
	read_events(k->h, &back);
	assert_int_equal(back, 2);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
		T(test_clock_set_back),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
