// SPDX-License-Identifier: MIT
/*
 * Method vm.screenshot: what a VM's screen shows. The monitor draws into a file in memory, whose pages a worker has made, so that
 * they are not the VM's; the caller gets its descriptor and the size of the picture, which is within limits whatever
 * the monitor says. vmd itself never looks at a pixel. On the loop's thread.
 */
#include "vmd/methods.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "lib/auto.h"
#include "lib/errcat.h"
#include "vmd/daemon.h"
#include "vmd/guest.h"

/* vmm/display/vga.h: what a monitor that tells the truth keeps to */
#define SCREEN_WIDTH_MAX 2560
#define SCREEN_HEIGHT_MAX 1600
#define SCREEN_RGB 3
#define SCREEN_FILE_SIZE ((off_t)SCREEN_WIDTH_MAX * SCREEN_HEIGHT_MAX * SCREEN_RGB)
#define SCREEN_LINES_MAX 100
#define SCREEN_LINE_BYTES (3 * 160)

/* Each has its file of 12 MiB until it is done: so many at once, for whomever. */
#define SCREEN_CALLS_MAX 4

struct screen_call {
	uv_work_t work;
	struct call *call; /* ends with us */
	struct daemon *d;
	char id[STATE_ID_SIZE]; /* the VM's */
	char name[64];
	pid_t pid; /* of its process */
	int fd;	   /* owned: the file */
	int ret;
	struct err err;
};

static void screen_free(struct screen_call *s)
{
	s->d->screenshots--;
	if (s->fd >= 0)
		close(s->fd);
	free(s);
}

static void screen_fail(struct screen_call *s, const struct err *why)
{
	call_fail(s->call, why, NULL);
	screen_free(s);
}

/* --- what vmm says ------------------------------------------------------------------------------------- */

/* A terminal takes it: no C0, no DEL, and of UTF-8 no C1 (C2h 80h to 9Fh). */
static void screen_clean(char *text)
{
	for (char *p = text; *p; p++) {
		unsigned char c = (unsigned char)p[0], next = (unsigned char)p[1];

		if (c < ' ' || c == 0x7f)
			*p = ' ';
		else if (c == 0xc2 && next < 0xa0)
			p[0] = p[1] = ' ';
	}
}

static struct json_object *screen_line(struct json_object *said)
{
	char text[SCREEN_LINE_BYTES + 1];

	if (!json_object_is_type(said, json_type_string) ||
	    json_object_get_string_len(said) > SCREEN_LINE_BYTES)
		return NULL;
	memcpy(text, json_object_get_string(said), (size_t)json_object_get_string_len(said) + 1);
	screen_clean(text);
	return json_object_new_string(text);
}

static bool screen_text(struct json_object *said, struct json_object *out)
{
	struct json_object *lines;
	size_t n;

	if (!said)
		return true;
	n = json_object_is_type(said, json_type_array) ? json_object_array_length(said) : SIZE_MAX;
	if (n > SCREEN_LINES_MAX)
		return false;
	lines = json_object_new_array();
	json_add(out, "text", lines);
	for (size_t i = 0; i < n; i++) {
		struct json_object *line = screen_line(json_object_array_get_idx(said, i));

		if (!line)
			return false;
		json_object_array_add(lines, line);
	}
	return true;
}

/* NULL: it makes no sense */
static struct json_object *screen_result(const struct screen_call *s, struct json_object *said)
{
	int64_t width = json_get_int(said, "width", 0), height = json_get_int(said, "height", 0);
	struct json_object *o;

	if (width < 1 || width > SCREEN_WIDTH_MAX || height < 1 || height > SCREEN_HEIGHT_MAX)
		return NULL;
	o = json_add_str(json_new(), "name", s->name);
	json_add_str(o, "format", "rgb");
	json_add_int(o, "width", width);
	json_add_int(o, "height", height);
	if (screen_text(json_get(said, "text"), o))
		return o;
	json_object_put(o);
	return NULL;
}

/* What the picture does not need goes back to the host; the size stays. Where that cannot be, it is kept for longer. */
static void screen_trim(const struct screen_call *s, struct json_object *result)
{
	off_t used = (off_t)json_get_int(result, "width", 0) *
		     (off_t)json_get_int(result, "height", 0) * SCREEN_RGB;

	(void)fallocate(s->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, used,
			SCREEN_FILE_SIZE - used);
}

static void screen_done(void *arg, struct json_object *said, const struct err *why)
{
	struct screen_call *s = arg;
	struct json_object *result = why ? NULL : screen_result(s, said);
	struct fdset fds;
	struct err e;

	if (result) {
		screen_trim(s, result);
		fdset_init(&fds);
		fdset_add(&fds, TAKE_FD(s->fd));
		call_reply_fds(s->call, result, &fds);
		screen_free(s);
		return;
	}
	if (!why)
		err_set(&e, ERR_VMM_PROTOCOL, "vmm has not said what its screen shows");
	screen_fail(s, why ? why : &e);
}

/* --- asking it ------------------------------------------------------------------------------------------- */

static void screen_ask(struct screen_call *s, struct guest *g)
{
	struct json_object *params = json_new();
	struct fdset fds;
	struct err e;
	int fd = fcntl(s->fd, F_DUPFD_CLOEXEC, 0);

	if (fd < 0) {
		err_errno(&e, "a screenshot of VM '%s'", s->name);
		json_object_put(params);
		screen_fail(s, &e);
		return;
	}
	fdset_init(&fds);
	fdset_add(&fds, fd);
	json_add(params, "picture", json_add_int(json_new(), "fd", 0));
	vmproc_call(g->proc, "screen.capture", params, &fds, guest_call_ms(g), screen_done, s);
}

static void screen_made(uv_work_t *work, int status)
{
	struct screen_call *s = container_of(work, struct screen_call, work);
	struct guest *g = guest_find(s->d, s->id);
	struct err e;

	if (status < 0)
		s->ret = err_ret(&s->err, status, "vmd ends");
	if (s->ret < 0) {
		e = s->err;
		screen_fail(s, &e);
	} else if (!g || !g->proc || vmproc_pid(g->proc) != s->pid) {
		err_set(&e, ERR_VM_STATE, "VM '%s' has ended meanwhile", s->name);
		screen_fail(s, &e);
	} else {
		screen_ask(s, g);
	}
}

/* --- the file, on a worker --------------------------------------------------------------------------------- */

/* Sealed: whoever maps it is not surprised by another size. */
static int screen_make(struct screen_call *s)
{
	int ret;

	s->fd = memfd_create("screenshot", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	if (s->fd < 0)
		return err_errno(&s->err, "cannot make a file in memory");
	ret = posix_fallocate(s->fd, 0, SCREEN_FILE_SIZE);
	if (ret)
		return err_ret(&s->err, -ret, "no memory for a picture");
	if (fcntl(s->fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) < 0)
		return err_errno(&s->err, "cannot seal a file in memory");
	return 0;
}

static void screen_work(uv_work_t *work)
{
	struct screen_call *s = container_of(work, struct screen_call, work);

	s->ret = screen_make(s);
}

static int screen_begin(struct daemon *d, struct call *call, const struct guest *g, struct err *e)
{
	struct screen_call *s;

	if (d->screenshots == SCREEN_CALLS_MAX)
		return err_set(e, ERR_BUSY, "%d screenshots are being taken already",
			       SCREEN_CALLS_MAX);
	s = calloc(1, sizeof(*s));
	if (!s)
		return err_set(e, ERR_RPC_INTERNAL, "out of memory");
	*s = (struct screen_call){ .call = call, .d = d, .pid = vmproc_pid(g->proc), .fd = -1 };
	memcpy(s->id, g->id, sizeof(s->id));
	snprintf(s->name, sizeof(s->name), "%s", g->name);
	d->screenshots++;
	if (uv_queue_work(&d->loop, &s->work, screen_work, screen_made) >= 0)
		return 0;
	screen_free(s);
	return err_set(e, ERR_RPC_INTERNAL, "out of memory");
}

void method_vm_screenshot(struct daemon *d, struct call *call)
{
	struct guest *g = method_running_guest(d, call);
	struct err e;

	if (!g)
		return;
	if (screen_begin(d, call, g, &e) < 0)
		call_fail(call, &e, NULL);
	guest_put(g);
}
