// SPDX-License-Identifier: MIT
/* Memory and registers as after power-on: what firmware or a kernel finds. vCPUs are held. */
#include "vmm/machine_impl.h"

#include <stdio.h>
#include <string.h>

#include "vmm/dev/floppy.h"
#include "vmm/devices.h"
#include "vmm/x86/acpi.h"
#include "vmm/x86/boot.h"
#include "vmm/x86/boot_bios.h"
#include "vmm/x86/bootorder.h"
#include "vmm/x86/cpu.h"
#include "vmm/x86/firmware.h"

/* What the ACPI tables say is there is what the configuration lists. */
static void machine_acpi_config(struct machine *m, struct acpi_config *c)
{
	size_t n = json_object_array_length(m->config.devices);

	*c = (struct acpi_config){ .nvcpus = m->config.vcpus,
				   .pic = !m->kvm.split,
				   .ecam = !machine_device_of(m, &i440fx_class),
				   .pci64 = m->board.pci64 };
	c->pci32 = gmem_pci32(&m->gmem, c->ecam);
	for (size_t i = 0; i < n; i++) {
		struct json_object *d = json_object_array_get_idx(m->config.devices, i);
		const char *type = json_get_str(d, "type", "");
		unsigned int port;

		c->i8042 |= !strcmp(type, i8042_class.type);
		c->rtc |= !strcmp(type, rtc_class.type);
		c->pvpanic |= !strcmp(type, pvpanic_isa_class.type);
		c->floppy |= !strcmp(type, floppy_class.type);
		if (strcmp(type, serial_class.type))
			continue;
		if (sscanf(json_get_str(d, "port", ""), "com%u", &port) == 1 && port >= 1 &&
		    port <= ARRAY_SIZE(c->com))
			c->com[port - 1] = true;
	}
}

static uint8_t machine_floppies(const struct machine *m)
{
	struct device *floppy = machine_device_of(m, &floppy_class);

	return floppy ? floppy_cmos(floppy) : 0;
}

/* It is told once; what a guest made of it in memory goes with the next power-on. */
static int machine_tell_firmware(struct machine *m, struct err *e)
{
	char order[BOOTORDER_MAX] = BOOT_BIOS_ORDER;
	struct acpi_config acpi;
	struct firmware_config c = {
		.fw_cfg = machine_device_of(m, &fw_cfg_class),
		.rtc = machine_device_of(m, &rtc_class),
		.acpi = &acpi,
		.screen = machine_device_of(m, &vga_class),
		.floppies = machine_floppies(m),
		.smbios = { .system = m->config.smbios,
			    .uuid = m->config.uuid,
			    .nvcpus = m->config.vcpus },
		.bootorder = order,
	};
	int r = 0;

	machine_acpi_config(m, &acpi);
	if (m->config.boot.kernel_fd < 0)
		r = bootorder_text(m->config.boot.order, m->config.devices, order, e);
	return r < 0 ? r : firmware_tell(&m->gmem, &c, e);
}

static int machine_boot_firmware(struct machine *m, struct boot_entry *entry, struct err *e)
{
	struct boot_config kernel = {
		.kernel_fd = m->config.boot.kernel_fd,
		.initrd_fd = m->config.boot.initrd_fd,
		.cmdline = m->config.boot.cmdline,
	};
	struct device *fw_cfg = m->booted ? NULL : machine_device_of(m, &fw_cfg_class);
	int r = 0;

	*entry = (struct boot_entry){ .protocol = BOOT_RESET_VECTOR };
	firmware_shadow(&m->gmem);
	if (kernel.kernel_fd >= 0)
		r = boot_bios(&m->gmem, &kernel, fw_cfg, e);
	return r < 0 || !fw_cfg ? r : machine_tell_firmware(m, e);
}

static int machine_boot_kernel(struct machine *m, struct boot_entry *entry, struct err *e)
{
	struct boot_config boot = {
		.kernel_fd = m->config.boot.kernel_fd,
		.initrd_fd = m->config.boot.initrd_fd,
		.cmdline = m->config.boot.cmdline,
		.fresh = !m->booted,
	};
	struct device *rtc = machine_device_of(m, &rtc_class);
	struct acpi_config acpi;
	int r;

	if (rtc && !m->booted)
		firmware_tell_floppies(rtc, machine_floppies(m));
	machine_acpi_config(m, &acpi);
	r = acpi_build(&m->gmem, &acpi, &boot.rsdp, e);
	if (r >= 0)
		r = boot_load(&m->gmem, &boot, entry, e);
	return r < 0 ? r : cpu_write_tables(&m->gmem, entry, e);
}

int machine_boot(struct machine *m, struct err *e)
{
	bool fresh = !m->booted;
	struct boot_entry entry;
	int r = m->config.boot.firmware_fd >= 0 ? machine_boot_firmware(m, &entry, e)
						: machine_boot_kernel(m, &entry, e);

	m->booted = true; /* or in part, if this fails */
	for (unsigned int i = 0; i < m->vcpus.n && r >= 0; i++)
		r = cpu_reset(m->vcpus.list[i].fd, i, &entry, fresh, e);
	return r;
}
