// SPDX-License-Identifier: MIT
/* THE device table: every device type that a machine configuration can name. */
#include "vmm/devices.h"

const struct device_class *const device_classes[] = {
	&pci_host_class,
	&i440fx_class,
	&ioapic_class,
	&acpi_pm_class,
	&i8042_class,
	&ps2_keyboard_class,
	&ps2_mouse_class,
	&rtc_class,
	&serial_class,
	&debug_port_class,
	&debug_console_class,
	&fw_cfg_class,
	&floppy_class,
	&ide_class,
	&ahci_class,
	&cfi_flash_class,
	&i6300esb_class,
	&pvpanic_class,
	&pvpanic_isa_class,
	&e1000_class,
	&rtl8139_class,
	&virtio_blk_class,
	&virtio_scsi_class,
	&virtio_console_class,
	&virtio_net_class,
	&virtio_rng_class,
	&virtio_balloon_class,
	&vga_class,
	&vfio_pci_class, /* the host's own */
	NULL,		 /* ends it */
};
