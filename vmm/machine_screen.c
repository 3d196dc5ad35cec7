// SPDX-License-Identifier: MIT
/* What the machine's screen shows: see machine.h. On the control loop. */
#include "vmm/machine_impl.h"

#include <unistd.h>

#include "lib/auto.h"
#include "lib/errcat.h"
#include "vmm/devices.h"
#include "vmm/display/vga.h"
#include "vmm/display/viewer.h"

static int machine_no_screen(struct err *e)
{
	err_set(e, ERR_VM_NO_SCREEN, "the VM has no screen");
	return err_hint(e, "add `- {type: vga}` to its devices, and restart it");
}

int machine_screen(struct machine *m, struct vga_shot **ret_shot, struct err *e)
{
	struct device *d = machine_device_of(m, &vga_class);
	int r;

	if (!d)
		return machine_no_screen(e);
	pthread_mutex_lock(&m->lock);
	r = vga_shot_new(d, ret_shot);
	pthread_mutex_unlock(&m->lock);
	return r < 0 ? err_ret(e, r, "a picture of the screen") : 0;
}

int machine_view(struct machine *m, int take_fd, struct err *e)
{
	AUTO_CLOSE int fd = take_fd;
	struct device *d = machine_device_of(m, &vga_class);
	struct viewer_options o = {
		.loop = m->loop, .log = m->log, .lock = &m->lock, .screen = d, .input = &m->input
	};

	if (!d)
		return machine_no_screen(e);
	if (vga_view_fd(d) < 0)
		return err_set(e, ERR_VM_STATE, "the screen's memory is nobody else's to see");
	viewer_free(TAKE_PTR(m->viewer));
	return viewer_new(&o, TAKE_FD(fd), &m->viewer, e);
}
