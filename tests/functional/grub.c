// SPDX-License-Identifier: MIT
/* See grub.h. */
#include "tests/functional/grub.h"

#include <ctype.h>
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/functional/scene.h"

#define SAID_MAX (256 * 1024)
/* GRUB unpacks itself: a minute and more where KVM interprets the guest, on a busy host */
#define GRUB_WAIT_MS 240000

struct grub_screen {
	int fd;
	char said[SAID_MAX]; /* letters, digits and signs alone: see grub_screen_take */
	size_t len;
	bool escape;
};

/* SeaBIOS sends what changes on its screen, with the cursor sent about between letters: sequences and blanks say nothing. */
static void grub_screen_take(struct grub_screen *s, const char *data, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		if (data[i] == '\x1b')
			s->escape = true;
		else if (s->escape)
			s->escape = !isalpha((unsigned char)data[i]);
		else if (isgraph((unsigned char)data[i]) && s->len + 1 < sizeof(s->said))
			s->said[s->len++] = data[i];
	}
	s->said[s->len] = '\0';
}

static void grub_screen_wait(struct grub_screen *s, const char *text)
{
	struct pollfd p = { .fd = s->fd, .events = POLLIN };
	int64_t end = harness_now_ms() + GRUB_WAIT_MS;
	char data[4096];
	ssize_t n;

	while (!strstr(s->said, text)) {
		if (poll(&p, 1, (int)MAX(end - harness_now_ms(), 0)) <= 0)
			fail_msg("no '%s' in %d s: %s", text, GRUB_WAIT_MS / 1000, s->said);
		n = read(s->fd, data, sizeof(data));
		if (n <= 0)
			fail_msg("the console ended before '%s': %s", text, s->said);
		grub_screen_take(s, data, (size_t)n);
	}
}

void grub_boots(struct harness *h, const char *image, const char *more)
{
	struct grub_screen s = { .fd = -1 };
	struct client *c;
	char params[1024];

	NEEDS_KVM;
	if (access(image, R_OK))
		SKIP_BECAUSE("no package grub-rescue-pc");
	harness_vmd(h, NULL, "--cgroup", "none", NULL);
	c = harness_client(h);
	snprintf(params, sizeof(params),
		 "{'definition': {'name': 'one', 'profile': 'legacy-pc', 'memory': '64MiB', %s}}",
		 more);
	json_object_put(client_result(c, "vm.apply", params));
	json_object_put(client_result(c, "vm.start", "{'vm': 'one'}"));
	json_object_put(client_result(c, "vm.console",
				      "{'vm': 'one', 'console': 'com1', 'scrollback': true}"));
	s.fd = client_take_fd(c);
	assert_true(s.fd >= 0);
	grub_screen_wait(&s, "GNUGRUB");
	/* its command line, in the place of the menu */
	assert_int_equal(write(s.fd, "c", 1), 1);
	grub_screen_wait(&s, "grub>");
	close(s.fd);
}

/* --- what is on the screen -------------------------------------------------------------------------------------------- */

static bool grub_has(struct json_object *text, const char *words)
{
	for (size_t i = 0; i < json_object_array_length(text); i++)
		if (strstr(json_object_get_string(json_object_array_get_idx(text, i)), words))
			return true;
	return false;
}

static bool grub_screen_has(struct client *c, const char *words)
{
	AUTO_JSON struct json_object *shot = client_result(c, "vm.screenshot", "{'vm': 'one'}");
	struct json_object *text = json_get(shot, "text");

	close(client_take_fd(c));
	assert_true(json_object_is_type(text, json_type_array));
	return grub_has(text, words);
}

/* SeaBIOS writes to the screen first, and then to the serial port, where the prompt was seen. */
void grub_expect_screen(struct harness *h, const char *name, const char *words)
{
	struct client *c = harness_client(h);
	struct harness_output got;
	char path[512];

	harness_program("../pictures", path, sizeof(path));
	if (mkdir(path, 0777))
		assert_int_equal(errno, EEXIST);
	snprintf(path + strlen(path), sizeof(path) - strlen(path), "/%s.png", name);
	assert_int_equal(harness_vmctl(h, NULL, &got, "screenshot", "one", path, NULL), 0);
	assert_true(grub_screen_has(c, "GNU GRUB"));
	assert_true(grub_screen_has(c, words));
}

int grub_main(const char *name, CMUnitTestFunction test)
{
	const struct CMUnitTest tests[] = {
		{ name, test, harness_setup, harness_teardown, NULL },
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
