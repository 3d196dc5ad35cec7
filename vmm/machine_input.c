// SPDX-License-Identifier: MIT
/* Keys for the guest: see machine.h. On the control loop. */
#include "vmm/machine_impl.h"

#include "lib/errcat.h"

int machine_type(struct machine *m, const struct input_chord *chords, unsigned int n, struct err *e)
{
	int r;

	if (m->state != MACHINE_RUNNING && m->state != MACHINE_PAUSED)
		return machine_wrong_state(m, "type", e);
	pthread_mutex_lock(&m->lock);
	r = input_type(&m->input, chords, n, e);
	pthread_mutex_unlock(&m->lock);
	return r;
}
