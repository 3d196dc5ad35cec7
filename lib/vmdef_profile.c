// SPDX-License-Identifier: MIT
/* The table of profiles. Order matters: PCI devices get their places in it. */
#include "lib/vmdef_profile.h"

#include <string.h>

#define PRESET_PCI_HOST                                                                   \
	{                                                                                 \
		"pci-host", "pci-host", true, "the PCI bus that every other device is on" \
	}
#define PRESET_I440FX                                                              \
	{                                                                          \
		"i440fx", "pci-host", true, "the PCI bus, and the chipset of a PC" \
	}
#define PRESET_IOAPIC                                                                        \
	{                                                                                    \
		"ioapic", "ioapic", true, "wired interrupts (the kernel's irqchip is split)" \
	}
#define PRESET_ACPI_PM                                                       \
	{                                                                    \
		"acpi-pm", "acpi-pm", true, "shutdown, power-off and reboot" \
	}
#define PRESET_COM1                                                                   \
	{                                                                             \
		"serial", "com1", false, "the kernel's messages and a console, ttyS0" \
	}
#define PRESET_RNG                                                                           \
	{                                                                                    \
		"virtio-rng", "rng0", false, "entropy at boot, so that nothing waits for it" \
	}
#define PRESET_I8042                                                                    \
	{                                                                               \
		"i8042", "i8042", false, "the reset line that guests without ACPI pull" \
	}
#define PRESET_RTC                                             \
	{                                                      \
		"rtc", "rtc", false, "the time of day at boot" \
	}

static const struct vmdef_preset vmdef_micro[] = {
	PRESET_PCI_HOST, PRESET_IOAPIC, PRESET_ACPI_PM, PRESET_COM1, PRESET_RNG,
};

static const struct vmdef_preset vmdef_modern[] = {
	PRESET_PCI_HOST,
	PRESET_IOAPIC,
	PRESET_ACPI_PM,
	PRESET_COM1,
	PRESET_RNG,
	PRESET_I8042,
	PRESET_RTC,
	{ "virtio-console", "console0", false,
	  "a console that is faster than a serial port, hvc0" },
	{ VMDEF_BALLOON, "balloon0", false,
	  "memory that the guest has free goes back to the host" },
};

static const struct vmdef_preset vmdef_legacy_pc[] = {
	PRESET_I440FX,
	PRESET_ACPI_PM,
	PRESET_I8042,
	{ VMDEF_KEYBOARD, "keyboard0", false, "somewhere to type at a screen" },
	{ VMDEF_MOUSE, "mouse0", false, "a pointer for a screen" },
	PRESET_RTC,
	PRESET_COM1,
	{ "fw-cfg", "fw-cfg", true, "what firmware is told of the machine", true },
	{ "debug-console", "firmware", false, "what firmware has to say", true },
	{ "cfi-flash", "nvram", true, "the variables of UEFI", true, true },
};

const struct vmdef_profile vmdef_profiles[] = {
	{ "micro", "split", "the least that boots Linux", 0, vmdef_micro, ARRAY_SIZE(vmdef_micro) },
	{ "modern", "split", "virtio throughout", 0, vmdef_modern, ARRAY_SIZE(vmdef_modern) },
	{ "legacy-pc", "kernel", "the chips that an old guest expects", BIT(1), vmdef_legacy_pc,
	  ARRAY_SIZE(vmdef_legacy_pc) },
	{ NULL },
};

const struct vmdef_profile *vmdef_profile_find(const char *name)
{
	for (const struct vmdef_profile *p = vmdef_profiles; p->name; p++)
		if (!strcmp(p->name, name))
			return p;
	return NULL;
}
