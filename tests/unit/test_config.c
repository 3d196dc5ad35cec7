// SPDX-License-Identifier: MIT
/* The machine configuration: what is bound, what is refused, and that no descriptor leaks. */
#include <fcntl.h>
#include <unistd.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "lib/errcat.h"
#include "vmm/config.h"
#include "vmm/gmem.h"
#include "vmm/lastwords.h"

#define CONFIG_HEAD "{\"name\":\"hello\",\"profile\":\"modern\",\"vcpus\":2,"
#define CONFIG_TAIL "\"devices\":[{\"type\":\"serial\",\"id\":\"com1\"}]}"
#define CONFIG_MEMORY "\"memory\":{\"size\":536870912,\"hugepages\":2097152},"
#define CONFIG_BOOT "\"boot\":{\"kernel\":{\"fd\":0},\"initrd\":{\"fd\":1},\"cmdline\":\"quiet\"},"

static int config_try(const char *text, struct machine_config *c, struct err *e, int fds[2])
{
	struct json_object *json;
	struct fdset set;
	int r;

	assert_int_equal(json_parse(text, strlen(text), &json, e), 0);
	fdset_init(&set);
	for (unsigned int i = 0; i < 2; i++) {
		fds[i] = open("/dev/null", O_RDONLY | O_CLOEXEC);
		fdset_add(&set, fds[i]);
	}
	r = config_parse(json, &set, c, e);
	fdset_fini(&set);
	json_object_put(json);
	return r;
}

static bool config_is_open(int fd)
{
	return fcntl(fd, F_GETFD) >= 0;
}

static void config_refused(const char *text, int code, const char *msg)
{
	struct machine_config c;
	struct err e = { 0 };
	int fds[2];

	assert_int_equal(config_try(text, &c, &e, fds), -code);
	assert_string_equal(e.msg, msg);
	assert_false(config_is_open(fds[0]) || config_is_open(fds[1]));
}

static void binds_it_all(void **state)
{
	struct machine_config c;
	struct err e;
	int fds[2];

	(void)state;
	assert_int_equal(config_try(CONFIG_HEAD
				    "\"irqchip\":\"kernel\",\"on_reboot\":\"stop\","
				    "\"on_crash\":\"reset\"," CONFIG_MEMORY CONFIG_BOOT CONFIG_TAIL,
				    &c, &e, fds),
			 0);
	assert_string_equal(c.name, "hello");
	assert_int_equal(c.vcpus, 2);
	assert_int_equal(c.irqchip, CONFIG_IRQCHIP_KERNEL);
	assert_int_equal(c.on_reboot, CONFIG_AFTER_STOP);
	assert_int_equal(c.on_crash, CONFIG_AFTER_RESET);
	assert_true(c.memory.size == 512 * MIB && c.memory.hugepages == 2 * MIB);
	assert_int_equal(c.memory.node, GMEM_ANY_NODE);
	assert_int_equal(c.boot.kernel_fd, fds[0]);
	assert_int_equal(c.boot.initrd_fd, fds[1]);
	assert_string_equal(c.boot.cmdline, "quiet");
	assert_int_equal(json_object_array_length(c.devices), 1);
	config_fini(&c);
	assert_false(config_is_open(fds[0]) || config_is_open(fds[1]));
	config_fini(&c);
	config_fini(NULL);
}

static void refuses_what_is_missing_or_odd(void **state)
{
	(void)state;
	config_refused(CONFIG_HEAD CONFIG_BOOT CONFIG_TAIL, ERR_INVALID, "config: no memory");
	config_refused(CONFIG_HEAD CONFIG_MEMORY CONFIG_TAIL, ERR_INVALID, "config: no boot");
	config_refused(CONFIG_HEAD CONFIG_MEMORY "\"boot\":{\"initrd\":{\"fd\":1}}," CONFIG_TAIL,
		       ERR_INVALID, "config: no kernel");
	config_refused(CONFIG_HEAD CONFIG_MEMORY CONFIG_BOOT "\"devices\":{}}", ERR_INVALID,
		       "config: devices is no array");
	config_refused("{\"vcpus\":0," CONFIG_MEMORY CONFIG_BOOT CONFIG_TAIL, ERR_CPUS,
		       "0 vCPUs; a machine has 1 to 254");
	config_refused("{\"vcpus\":255," CONFIG_MEMORY CONFIG_BOOT CONFIG_TAIL, ERR_CPUS,
		       "255 vCPUs; a machine has 1 to 254");
}

static void last_words(void **state)
{
	struct lastwords w = { .reason = LASTWORDS_GUEST_EXIT,
			       .code = 0x12a,
			       .message = "a \"b\"/c" };
	char line[256];
	int fds[2];
	ssize_t n;

	(void)state;
	assert_int_equal(pipe(fds), 0);
	lastwords_write(&w, fds[1]);
	n = read(fds[0], line, sizeof(line) - 1);
	line[n] = '\0';
	assert_string_equal(
		line, "{\"reason\":\"guest-exit\",\"code\":298,\"message\":\"a \\\"b\\\"/c\"}\n");
	assert_int_equal(lastwords_status(&w), 0x2a);
	w.reason = LASTWORDS_TRIPLE_FAULT;
	assert_int_equal(lastwords_status(&w), 3);
	w.reason = LASTWORDS_KILLED;
	assert_int_equal(lastwords_status(&w), 4);
	w.reason = LASTWORDS_FAULT;
	assert_int_equal(lastwords_status(&w), 1);
	w.reason = LASTWORDS_RESET;
	assert_int_equal(lastwords_status(&w), 0);
	close(fds[0]);
	close(fds[1]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(binds_it_all),
		cmocka_unit_test(refuses_what_is_missing_or_odd),
		cmocka_unit_test(last_words),
	};

	return cmocka_run_group_tests_name("config", tests, NULL, NULL);
}
