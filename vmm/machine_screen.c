// SPDX-License-Identifier: MIT
/* What the machine's screen shows: see machine.h. On the control loop. */
#include "vmm/machine_impl.h"

#include "lib/errcat.h"
#include "vmm/devices.h"
#include "vmm/display/vga.h"

int machine_screen(struct machine *m, struct vga_shot **ret_shot, struct err *e)
{
	struct device *d = machine_device_of(m, &vga_class);
	int r;

	if (!d) {
		err_set(e, ERR_VM_NO_SCREEN, "the VM has no screen");
		return err_hint(e, "add `- {type: vga}` to its devices, and restart it");
	}
	pthread_mutex_lock(&m->lock);
	r = vga_shot_new(d, ret_shot);
	pthread_mutex_unlock(&m->lock);
	return r < 0 ? err_ret(e, r, "a picture of the screen") : 0;
}
