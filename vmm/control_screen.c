// SPDX-License-Identifier: MIT
/* The methods screen.* of vmd's side door: see control.h. Control loop. */
#include "vmm/control_impl.h"

#include <errno.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/auto.h"
#include "lib/errcat.h"
#include "vmm/display/vga.h"
#include "vmm/machine.h"

/* The file is as large as it has to be, and nobody makes it smaller: vmd has sealed it. */
static int control_draw(const struct vga_shot *s, int fd, struct err *e)
{
	size_t size = (size_t)s->width * s->height * VGA_RGB;
	struct stat st;
	void *map;

	if (fstat(fd, &st) || st.st_size < (off_t)size)
		return err_set(e, ERR_RPC_PARAMS, "the file has no room for a picture of %zu bytes",
			       size);
	map = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (map == MAP_FAILED)
		return err_errno(e, "cannot write the picture");
	vga_shot_rows(s, 0, s->height, map);
	munmap(map, size);
	return 0;
}

int control_screen(struct control *c, struct control_call *call, struct json_object **ret_result,
		   struct err *e)
{
	AUTO_CLOSE int fd = control_take_fd(call, "picture", e);
	struct vga_shot *s = NULL;
	struct json_object *text;
	int r;

	if (fd < 0)
		return fd;
	if (!c->machine)
		return err_set(e, ERR_VM_STATE, "there is no machine yet");
	r = machine_screen(c->machine, &s, e);
	if (r >= 0)
		r = control_draw(s, fd, e);
	if (r >= 0) {
		*ret_result = json_add_int(json_new(), "width", s->width);
		json_add_int(*ret_result, "height", s->height);
		text = vga_shot_text(s);
		if (text)
			json_add(*ret_result, "text", text);
	}
	vga_shot_free(s);
	return r;
}

int control_view(struct control *c, struct control_call *call, struct json_object **ret_result,
		 struct err *e)
{
	int fd = control_take_fd(call, "link", e), r;

	if (fd < 0)
		return fd;
	if (!c->machine || c->ended) {
		close(fd);
		return err_set(e, ERR_VM_STATE, "the machine is %s", control_state(c));
	}
	r = machine_view(c->machine, fd, e);
	if (r >= 0)
		*ret_result = json_new();
	return r;
}
