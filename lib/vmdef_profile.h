/* SPDX-License-Identifier: MIT */
/* Profiles: the sets of devices that a VM definition starts from, each device with its reason. */
#ifndef LIB_VMDEF_PROFILE_H
#define LIB_VMDEF_PROFILE_H

#include "lib/util.h"

#define VMDEF_BALLOON "virtio-balloon"
#define VMDEF_I8042 "i8042"
#define VMDEF_KEYBOARD "ps2-keyboard"
#define VMDEF_MOUSE "ps2-mouse"

struct vmdef_preset {
	const char *type, *id;
	bool needed;	    /* the profile does not work without it */
	const char *reason; /* why it is there: "reboot and power-off" */
	bool firmware;	    /* only with `boot.firmware` … */
	bool uefi;	    /* … and only where that is uefi */
};

struct vmdef_profile {
	const char *name;
	const char *irqchip; /* "split": IOAPIC of ours; "kernel": PIC, PIT and IOAPIC in KVM */
	const char *summary;
	unsigned int
		chipset; /* slots of the PCI bus that its chipset has, beside slot 0: a bit each */
	const struct vmdef_preset *presets;
	size_t npresets;
};

/* In the order in which vm.json lists them; a row without a name ends the table. */
extern const struct vmdef_profile vmdef_profiles[];
/* NULL when there is none of that name. */
const struct vmdef_profile *vmdef_profile_find(const char *name);

#endif
