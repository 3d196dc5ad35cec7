/* SPDX-License-Identifier: MIT */
/*
 * What the host says of a device that a VM has: errors (PCI Express AER), and that it wants the device back, as when its
 * administrator unbinds or removes it. vmm passes both on, a request every ten seconds as the kernel repeats it. Each
 * becomes an event, device.error at most once in ten seconds and device.requested once; what is done then is what the definition's
 * on_device_error and on_device_request say. On the loop's thread.
 */
#ifndef VMD_GUEST_SIGNAL_H
#define VMD_GUEST_SIGNAL_H

#include "vmd/guest.h"

/* For the guest to let go, and then to end; --step-timeout when that is less. */
#define GUEST_SIGNAL_MS 30000

/* vmm's event, if it is one of these: false: it is another. message: the device's id, by its word */
bool guest_signal(struct guest *g, const char *type, const char *message);
/* Tell of a request for a device, once in its lease: in the open transaction. */
int guest_signal_store(struct guest *g, const char *device, struct err *e);
/* The device is gone, or with NULL the process is. */
void guest_signals_forget(struct guest *g, const char *device);

#endif
