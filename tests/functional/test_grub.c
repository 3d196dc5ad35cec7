// SPDX-License-Identifier: MIT
/*
 * GRUB's rescue images (package grub-rescue-pc), unmodified, from SeaBIOS to GRUB's prompt over the serial port: the CD in a
 * drive at a virtio-scsi controller by `boot.order`, and the USB stick's image as a virtio disk.
 */
#include <ctype.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "tests/functional/scene.h"

#define IMAGES "/usr/lib/grub-rescue/grub-rescue-"
#define SAID_MAX (256 * 1024)
/* GRUB unpacks itself: a minute and more where KVM interprets the guest, on a busy host */
#define GRUB_WAIT_MS 240000

struct screen {
	int fd;
	char said[SAID_MAX]; /* letters, digits and signs alone: see screen_take */
	size_t len;
	bool escape;
};

static int setup(void **state)
{
	*state = harness_new();
	return 0;
}

static int teardown(void **state)
{
	harness_free(*state);
	return 0;
}

/* SeaBIOS sends what changes on its screen, with the cursor sent about between letters: sequences and blanks say nothing. */
static void screen_take(struct screen *s, const char *data, size_t n)
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

static int64_t now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

static void screen_wait(struct screen *s, const char *text)
{
	struct pollfd p = { .fd = s->fd, .events = POLLIN };
	int64_t end = now_ms() + GRUB_WAIT_MS;
	char data[4096];
	ssize_t n;

	while (!strstr(s->said, text)) {
		if (poll(&p, 1, (int)MAX(end - now_ms(), 0)) <= 0)
			fail_msg("no '%s' in %d s: %s", text, GRUB_WAIT_MS / 1000, s->said);
		n = read(s->fd, data, sizeof(data));
		if (n <= 0)
			fail_msg("the console ended before '%s': %s", text, s->said);
		screen_take(s, data, (size_t)n);
	}
}

static void boots(struct harness *h, const char *image, const char *more)
{
	struct screen s = { .fd = -1 };
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
	screen_wait(&s, "GNUGRUB");
	/* its command line, in the place of the menu */
	assert_int_equal(write(s.fd, "c", 1), 1);
	screen_wait(&s, "grub>");
	close(s.fd);
}

static void test_cd(void **state)
{
	struct harness *h = *state;
	char more[600];

	snprintf(more, sizeof(more),
		 "'boot': {'firmware': 'bios', 'order': ['cd']}, 'devices': ["
		 "{'type': 'virtio-scsi', 'disks': [{'id': 'cd', 'kind': 'cdrom', 'path': '%s'}]}]",
		 IMAGES "cdrom.iso");
	boots(h, IMAGES "cdrom.iso", more);
}

static void test_disk(void **state)
{
	struct harness *h = *state;
	char more[600];

	snprintf(more, sizeof(more),
		 "'boot': {'firmware': 'bios'}, 'devices': ["
		 "{'type': 'virtio-blk', 'readonly': true, 'path': '%s'}]",
		 IMAGES "usb.img");
	boots(h, IMAGES "usb.img", more);
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = { T(test_cd), T(test_disk) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
