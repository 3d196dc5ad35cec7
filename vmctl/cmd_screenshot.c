// SPDX-License-Identifier: MIT
/*
 * vmctl screenshot: the picture that vmd sends (raw pixels, in a file in memory), as a PNG file by libpng; or the text of the screen.
 * A half-written picture is not left behind under the name that was asked for.
 */
#include <errno.h>
#include <png.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/auto.h"
#include "lib/errcat.h"
#include "vmctl/vmctl.h"

#define SCREENSHOT_SIDE_MAX 16384 /* more is no picture of ours */
#define SCREENSHOT_RGB 3

struct screenshot {
	unsigned int width, height;
	void *pixels; /* a mapping */
	size_t size;
};

static int screenshot_map(struct client_reply *r, struct screenshot *s, struct err *e)
{
	int64_t width = json_get_int(r->result, "width", 0);
	int64_t height = json_get_int(r->result, "height", 0);
	AUTO_CLOSE int fd = fdset_take(&r->fds, 0);
	struct stat st;

	if (fd < 0)
		return err_set(e, ERR_FAILED, "vmd sent no picture");
	if (width < 1 || width > SCREENSHOT_SIDE_MAX || height < 1 ||
	    height > SCREENSHOT_SIDE_MAX ||
	    strcmp(json_get_str(r->result, "format", ""), "rgb") != 0)
		return err_set(e, ERR_FAILED, "vmd sent a picture of an unknown kind");
	s->width = (unsigned int)width;
	s->height = (unsigned int)height;
	s->size = (size_t)width * (size_t)height * SCREENSHOT_RGB;
	if (fstat(fd, &st) || st.st_size < (off_t)s->size)
		return err_set(e, ERR_FAILED, "vmd sent less than the picture");
	s->pixels = mmap(NULL, s->size, PROT_READ, MAP_SHARED, fd, 0);
	return s->pixels == MAP_FAILED ? err_errno(e, "cannot map the picture") : 0;
}

static int screenshot_png(const struct screenshot *s, FILE *out, const char *path, struct err *e)
{
	png_image image = { .version = PNG_IMAGE_VERSION,
			    .width = s->width,
			    .height = s->height,
			    .format = PNG_FORMAT_RGB };

	if (!png_image_write_to_stdio(&image, out, 0, s->pixels, 0, NULL))
		return err_set(e, ERR_FILE, "cannot write '%s': %s", path, image.message);
	return fflush(out) ? err_errno(e, "cannot write '%s'", path) : 0;
}

/* Beside it, and then in its place */
static int screenshot_file(const struct screenshot *s, const char *path, struct err *e)
{
	AUTO_FREE char *temporary = NULL;
	FILE *out;
	int ret;

	if (asprintf(&temporary, "%s.%ld.part", path, (long)getpid()) < 0)
		return err_ret(e, -ENOMEM, "%s", path);
	out = fopen(temporary, "wxe");
	if (!out)
		return err_set(e, ERR_FILE, "cannot write '%s': %s", path, strerror(errno));
	ret = screenshot_png(s, out, path, e);
	if (fclose(out) && ret >= 0)
		ret = err_set(e, ERR_FILE, "cannot write '%s': %s", path, strerror(errno));
	if (ret >= 0 && rename(temporary, path))
		ret = err_set(e, ERR_FILE, "cannot write '%s': %s", path, strerror(errno));
	if (ret < 0)
		unlink(temporary);
	return ret;
}

static int screenshot_save(struct vmctl *v, struct client_reply *r, const char *path)
{
	struct screenshot s = { .pixels = MAP_FAILED };
	struct err e;
	int ret = screenshot_map(r, &s, &e);

	if (ret >= 0)
		ret = strcmp(path, "-") ? screenshot_file(&s, path, &e)
					: screenshot_png(&s, v->out.out, "standard output", &e);
	if (s.pixels != MAP_FAILED)
		munmap(s.pixels, s.size);
	if (ret < 0)
		return vmctl_fail(v, &e, NULL, "take a screenshot of '%s'", v->args.operands[0]);
	if (!strcmp(path, "-"))
		return EXIT_OK;
	if (v->out.format == OUTPUT_JSON)
		output_json(&v->out, "screenshot", r->result);
	else
		output_note(&v->out, "%s: %u x %u pixels in %s", v->args.operands[0], s.width,
			    s.height, path);
	return EXIT_OK;
}

static int screenshot_text(struct vmctl *v, struct json_object *result)
{
	struct json_object *lines = json_get(result, "text");
	struct err e;

	if (v->out.format == OUTPUT_JSON) {
		output_json(&v->out, "screenshot", result);
		return EXIT_OK;
	}
	if (!json_object_is_type(lines, json_type_array)) {
		err_set(&e, ERR_VM_STATE, "the screen shows graphics, no text");
		err_hint(&e, "`vmctl screenshot VM FILE.png` takes a picture");
		return vmctl_fail(v, &e, NULL, "read the screen of '%s'", v->args.operands[0]);
	}
	for (size_t i = 0; i < json_object_array_length(lines); i++)
		fprintf(v->out.out, "%s\n",
			json_object_get_string(json_object_array_get_idx(lines, i)));
	return EXIT_OK;
}

int cmd_screenshot(struct vmctl *v)
{
	const char *path = v->args.noperands > 1 ? v->args.operands[1] : NULL;
	bool text = args_flag(&v->args, "text");
	struct client_reply reply;
	char op[128];
	int status;

	if (text == (path != NULL))
		return vmctl_usage(v, "screenshot VM: give the FILE.png to write, or --text");
	if (path && !strcmp(path, "-") && isatty(fileno(v->out.out)) == 1)
		return vmctl_usage(v, "a picture is not for a terminal; send it to a file");
	snprintf(op, sizeof(op), "take a screenshot of '%.80s'", v->args.operands[0]);
	status = vmctl_call(v, "vm.screenshot", json_add_str(json_new(), "vm", v->args.operands[0]),
			    &reply, op);
	if (status == EXIT_OK)
		status = text ? screenshot_text(v, reply.result) : screenshot_save(v, &reply, path);
	client_reply_fini(&reply);
	return status;
}
