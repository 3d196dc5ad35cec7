/* SPDX-License-Identifier: MIT */
/* Every device class: what devices.c lists. One line here and one there makes a device known. */
#ifndef VMM_DEVICES_H
#define VMM_DEVICES_H

#include "vmm/device.h"

/* vmm/pci */
extern const struct device_class pci_host_class;
extern const struct device_class i440fx_class;
/* vmm/dev */
extern const struct device_class ioapic_class;
extern const struct device_class acpi_pm_class;
extern const struct device_class i8042_class;
extern const struct device_class ps2_keyboard_class;
extern const struct device_class ps2_mouse_class;
extern const struct device_class rtc_class;
extern const struct device_class serial_class;
extern const struct device_class debug_port_class;
extern const struct device_class debug_console_class;
extern const struct device_class fw_cfg_class;
extern const struct device_class floppy_class;
/* vmm/ata */
extern const struct device_class ahci_class;
extern const struct device_class ide_class;
extern const struct device_class cfi_flash_class;
extern const struct device_class i6300esb_class;
extern const struct device_class pvpanic_class;
extern const struct device_class pvpanic_isa_class;
extern const struct device_class e1000_class;
extern const struct device_class rtl8139_class;
/* vmm/virtio */
extern const struct device_class virtio_blk_class;
extern const struct device_class virtio_console_class;
extern const struct device_class virtio_net_class;
extern const struct device_class virtio_rng_class;
extern const struct device_class virtio_scsi_class;
extern const struct device_class virtio_balloon_class;
/* vmm/display */
extern const struct device_class vga_class;
/* vmm/vfio */
extern const struct device_class vfio_pci_class;

#endif
