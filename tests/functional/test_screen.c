// SPDX-License-Identifier: MIT
/*
 * vm.screenshot and vmctl screenshot: a guest whose picture is known to the last pixel (tests/guest/screen.c) in the real vmm, in its
 * cage; SeaBIOS with its vgabios; VMs without a screen; and monitors that lie. Pictures are left in BUILD/pictures.
 */
#include <errno.h>
#include <png.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/errcat.h"
#include "tests/functional/scene.h"

#define RGB 3
#define WAIT_MS (HARNESS_WAIT_MS / 2)
#define WAITS 20
#define TIMES 6 /* more than may be taken at once: each of them has ended */

/* --- pictures ------------------------------------------------------------------------------------------------ */

struct picture {
	struct json_object *answer; /* owned */
	unsigned int width, height;
	uint8_t *pixels; /* owned mapping, of the whole file */
	size_t size;
};

static void take(struct client *c, struct picture *p)
{
	struct stat st;
	int fd;

	p->answer = client_result(c, "vm.screenshot", "{'vm': 'one'}");
	fd = client_take_fd(c);
	assert_true(fd >= 0);
	assert_int_equal(fstat(fd, &st), 0);
	p->size = (size_t)st.st_size;
	p->width = (unsigned int)json_get_int(p->answer, "width", 0);
	p->height = (unsigned int)json_get_int(p->answer, "height", 0);
	assert_true(p->size >= (size_t)p->width * p->height * RGB);
	/* what the picture does not need is not there */
	assert_true((size_t)st.st_blocks * 512 <=
		    align_up((size_t)p->width * p->height * RGB, 4096));
	/* whoever has it cannot take it away under the reader */
	assert_int_equal(ftruncate(fd, 0), -1);
	assert_int_equal(errno, EPERM);
	p->pixels = mmap(NULL, p->size, PROT_READ, MAP_SHARED, fd, 0);
	assert_true(p->pixels != MAP_FAILED);
	close(fd);
}

static void drop(struct picture *p)
{
	munmap(p->pixels, p->size);
	json_object_put(p->answer);
}

static uint32_t pixel(const struct picture *p, unsigned int x, unsigned int y)
{
	const uint8_t *at = p->pixels + ((size_t)y * p->width + x) * RGB;

	return (uint32_t)at[0] << 16 | (uint32_t)at[1] << 8 | at[2];
}

static const char *line(const struct picture *p, size_t n)
{
	struct json_object *text = json_get(p->answer, "text");

	assert_true(json_object_is_type(text, json_type_array));
	assert_true(n < json_object_array_length(text));
	return json_object_get_string(json_object_array_get_idx(text, n));
}

/* What vmctl has saved is the same picture. */
static void expect_png(const char *path, const struct picture *p)
{
	png_image image = { .version = PNG_IMAGE_VERSION };
	uint8_t *pixels;

	assert_int_not_equal(png_image_begin_read_from_file(&image, path), 0);
	assert_int_equal(image.width, p->width);
	assert_int_equal(image.height, p->height);
	image.format = PNG_FORMAT_RGB;
	pixels = malloc(PNG_IMAGE_SIZE(image));
	assert_non_null(pixels);
	assert_int_not_equal(png_image_finish_read(&image, NULL, pixels, 0, NULL), 0);
	assert_memory_equal(pixels, p->pixels, (size_t)p->width * p->height * RGB);
	free(pixels);
}

/* BUILD/pictures/NAME.png, which stays there for people to look at */
static void save(struct harness *h, const char *name, const struct picture *p)
{
	struct harness_output got;
	char path[512];

	harness_program("../pictures", path, sizeof(path));
	if (mkdir(path, 0777))
		assert_int_equal(errno, EEXIST);
	snprintf(path + strlen(path), sizeof(path) - strlen(path), "/%s.png", name);
	unlink(path);
	assert_int_equal(harness_vmctl(h, NULL, &got, "screenshot", "one", path, NULL), 0);
	expect_png(path, p);
}

/* --- a guest that draws ---------------------------------------------------------------------------------------- */

/* As long as a busy host needs: where KVM interprets a guest's instructions, SeaBIOS alone takes seconds. */
static void wait_line(struct client *c, const char *console, const char *regex)
{
	char params[256];

	snprintf(
		params, sizeof(params),
		"{'vm': 'one', 'for': 'console', 'console': '%s', 'regex': '%s', 'timeout_ms': %d}",
		console, regex, WAIT_MS);
	for (unsigned int i = 0; i < WAITS; i++) {
		AUTO_JSON struct json_object *answer =
			client_answer(c, client_ask(c, "vm.wait", params));
		struct json_object *error = json_get(answer, "error");

		if (!error)
			return;
		if (json_get_int(error, "code", 0) != ERR_TIMEOUT)
			fail_msg("%s: %s", params, json_object_to_json_string(error));
	}
	fail_msg("%s: not in %d s", params, WAITS * WAIT_MS / 1000);
}

static struct client *start_guest(struct harness *h, unsigned int mode, const char *devices)
{
	char cmdline[32], members[128];

	snprintf(cmdline, sizeof(cmdline), "mode=%u stay=1", mode);
	snprintf(members, sizeof(members), "'devices': [%s]", devices);
	return scene_start_guest(h, "screen", cmdline, members);
}

/* Colour n of the guest's sixteen: (n, 2n, 3n) of 6 bits */
static uint32_t color(unsigned int n)
{
	uint32_t rgb = 0;

	for (unsigned int part = 1; part <= 3; part++)
		rgb = rgb << 8 | (n * part << 2 | n * part >> 4);
	return rgb;
}

static void test_text(void **state)
{
	struct harness *h = *state;
	struct harness_output got;
	struct picture p, paused;
	struct client *c;

	NEEDS_KVM;
	c = start_guest(h, 1, "{'type': 'vga'}");
	wait_line(c, "com1", "^screen: drawn");
	take(c, &p);
	assert_int_equal(p.width, 720);
	assert_int_equal(p.height, 400);
	assert_int_equal(json_object_array_length(json_get(p.answer, "text")), 25);
	assert_string_equal(line(&p, 0), "");
	assert_string_equal(line(&p, 24), "X marks the spot");
	assert_int_equal(pixel(&p, 0, 384), color(14)); /* the X … */
	assert_int_equal(pixel(&p, 1, 384), color(1));
	assert_int_equal(pixel(&p, 7, 384), color(14));
	assert_int_equal(pixel(&p, 3, 390), color(14));
	assert_int_equal(pixel(&p, 9, 384), color(1)); /* … and a blank */
	assert_int_equal(pixel(&p, 719, 399), color(0));
	save(h, "text", &p);
	json_object_put(client_result(c, "vm.pause", "{'vm': 'one'}"));
	take(c, &paused);
	assert_memory_equal(p.pixels, paused.pixels, (size_t)p.width * p.height * RGB);
	drop(&paused);
	drop(&p);
	assert_int_equal(harness_vmctl(h, NULL, &got, "screenshot", "one", "--text", NULL), 0);
	assert_string_equal(got.out, "\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n"
				     "X marks the spot\n");
}

static void test_vbe(void **state)
{
	struct harness *h = *state;
	struct harness_output got;
	struct picture p;
	struct client *c;

	NEEDS_KVM;
	c = start_guest(h, 2, "{'type': 'vga'}");
	wait_line(c, "com1", "^screen: drawn");
	take(c, &p);
	assert_int_equal(p.width, 1024);
	assert_int_equal(p.height, 768);
	assert_null(json_get(p.answer, "text"));
	assert_int_equal(pixel(&p, 0, 0), 0xff0000);
	assert_int_equal(pixel(&p, 1, 0), 0);
	assert_int_equal(pixel(&p, 1023, 767), 0x00ff00);
	assert_int_equal(pixel(&p, 99, 200), 0);
	assert_int_equal(pixel(&p, 100, 200), 0x0000ff);
	assert_int_equal(pixel(&p, 115, 215), 0x0000ff);
	assert_int_equal(pixel(&p, 116, 215), 0);
	save(h, "vbe", &p);
	drop(&p);
	assert_int_equal(harness_vmctl(h, NULL, &got, "screenshot", "one", "-t", NULL), 4);
	assert_string_equal(got.err, "vmctl: cannot read the screen of 'one': the screen shows "
				     "graphics, no text\nhint: `vmctl screenshot VM FILE.png` "
				     "takes a picture\ncode: E1202 (vm.wrong_state)\n");
}

/* --- what goes wrong --------------------------------------------------------------------------------------------- */

static void expect_vmctl(struct harness *h, int status, const char *err, const char *a,
			 const char *b)
{
	struct harness_output got;

	assert_int_equal(harness_vmctl(h, NULL, &got, "screenshot", "one", a, b, NULL), status);
	assert_string_equal(got.out, "");
	assert_string_equal(got.err, err);
}

static void test_refused(void **state)
{
	struct harness *h = *state;
	struct client *c;

	NEEDS_KVM;
	c = start_guest(h, 1, "");
	client_expect_error(c, "vm.screenshot", "{'vm': 'one'}", ERR_VM_NO_SCREEN,
			    "the VM has no screen",
			    "add `- {type: vga}` to its devices, and restart it");
	expect_vmctl(h, 2, "vmctl: screenshot VM: give the FILE.png to write, or --text\n", NULL,
		     NULL);
	expect_vmctl(h, 2, "vmctl: screenshot VM: give the FILE.png to write, or --text\n", "x.png",
		     "-t");
	json_object_put(client_result(c, "vm.kill", "{'vm': 'one'}"));
	client_expect_error(c, "vm.screenshot", "{'vm': 'one'}", ERR_VM_STATE,
			    "VM 'one' is stopped", "start it first: vmctl start one");
}

/* A file that cannot be written leaves nothing behind. */
static void test_no_place(void **state)
{
	struct harness *h = *state;
	char folder[256], path[300], err[600];
	struct client *c;

	NEEDS_KVM;
	c = start_guest(h, 1, "{'type': 'vga'}");
	wait_line(c, "com1", "^screen: drawn");
	expect_vmctl(h, 5,
		     "vmctl: cannot take a screenshot of 'one': cannot write '/nowhere/x.png': No "
		     "such file or directory\ncode: E1006 (file.unusable)\n",
		     "/nowhere/x.png", NULL);
	snprintf(folder, sizeof(folder), "%s", harness_file(h, "in", ""));
	unlink(folder);
	assert_int_equal(mkdir(folder, 0700), 0);
	snprintf(path, sizeof(path), "%s/taken", folder);
	assert_int_equal(mkdir(path, 0700), 0);
	snprintf(err, sizeof(err),
		 "vmctl: cannot take a screenshot of 'one': cannot write '%s': Is a directory\n"
		 "code: E1006 (file.unusable)\n",
		 path);
	expect_vmctl(h, 5, err, path, NULL);
	assert_int_equal(scene_count_files(folder), 1);
}

static void test_lies(void **state)
{
	static const char *const lies[] = { "screen-wide", "screen-none", "screen-lines",
					    "screen-words" };

	for (unsigned int i = 0; i < ARRAY_SIZE(lies); i++) {
		struct harness *h = harness_new();
		struct client *c = scene_begin(h, lies[i], SCENE_LONG);

		json_object_put(client_result(c, "vm.start", "{'vm': 'one'}"));
		for (unsigned int n = 0; n < TIMES; n++)
			client_expect_error(c, "vm.screenshot", "{'vm': 'one'}", ERR_VMM_PROTOCOL,
					    "vmm has not said what its screen shows", "");
		harness_free(h);
	}
	(void)state;
}

/* What would change a terminal is blank. */
static void test_escapes(void **state)
{
	struct harness *h = *state;
	struct client *c = scene_begin(h, "screen-escape", SCENE_LONG);
	struct harness_output got;

	json_object_put(client_result(c, "vm.start", "{'vm': 'one'}"));
	for (unsigned int n = 0; n < TIMES; n++) {
		json_object_put(client_result(c, "vm.screenshot", "{'vm': 'one'}"));
		close(client_take_fd(c));
	}
	assert_int_equal(harness_vmctl(h, NULL, &got, "screenshot", "one", "-t", NULL), 0);
	assert_string_equal(got.out, " [2J  31m\xc3\xa4 \n");
}

/* A monitor that does not answer holds up a few calls, and the memory of as many pictures. */
static void test_busy(void **state)
{
	struct harness *h = *state;
	struct client *c = scene_begin(h, "screen-hang", SCENE_LONG);

	json_object_put(client_result(c, "vm.start", "{'vm': 'one'}"));
	for (unsigned int i = 0; i < 4; i++)
		client_ask(c, "vm.screenshot", "{'vm': 'one'}");
	client_expect_error(c, "vm.screenshot", "{'vm': 'one'}", ERR_BUSY,
			    "4 screenshots are being taken already", "");
}

/* --- firmware ------------------------------------------------------------------------------------------------------ */

static void test_firmware(void **state)
{
	struct harness *h = *state;
	struct client *c;
	struct picture p;
	bool found = false;

	NEEDS_KVM;
	if (access("/usr/share/seabios/vgabios-stdvga.bin", R_OK))
		SKIP_BECAUSE("no package seabios");
	harness_vmd(h, NULL, "--cgroup", "none", NULL);
	c = harness_client(h);
	json_object_put(client_result(
		c, "vm.apply",
		"{'definition': {'name': 'one', 'profile': 'legacy-pc', 'memory': '64MiB',"
		" 'boot': {'firmware': 'bios'}, 'devices': [{'type': 'vga'}]}}"));
	json_object_put(client_result(c, "vm.start", "{'vm': 'one'}"));
	/* which writes each line to the screen first */
	wait_line(c, "com1", "^No bootable device.");
	json_object_put(client_result(c, "vm.pause", "{'vm': 'one'}"));
	take(c, &p);
	assert_int_equal(p.width, 720);
	assert_int_equal(p.height, 400);
	assert_memory_equal(line(&p, 0), "SeaBIOS (version ", 17);
	for (size_t i = 0; i < 25; i++)
		found = found || !strncmp(line(&p, i), "No bootable device.", 19);
	assert_true(found);
	save(h, "seabios", &p);
	drop(&p);
}

int main(void)
{
#define T(fn) cmocka_unit_test_setup_teardown(fn, harness_setup, harness_teardown)
	const struct CMUnitTest tests[] = {
		T(test_text), T(test_vbe),     T(test_refused), T(test_no_place),
		T(test_lies), T(test_escapes), T(test_busy),	T(test_firmware),
	};
#undef T

	return cmocka_run_group_tests(tests, NULL, NULL);
}
