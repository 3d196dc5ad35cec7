/* SPDX-License-Identifier: MIT */
/* The emulated chips of the PC: their classes (rows of devices.c) and configurations. */
#ifndef VMM_DEV_DEV_H
#define VMM_DEV_DEV_H

#include "vmm/device.h"

/*
 * "serial": {"port": "com1".."com4", "backend": "console" | "none" | "socket" | "pty" | "file", "ports": […]}; the last
 * three lead to the one port (serial_host.h)
 */
enum serial_port { SERIAL_COM1, SERIAL_COM2, SERIAL_COM3, SERIAL_COM4 };
enum serial_backend {
	SERIAL_BACKEND_CONSOLE,
	SERIAL_BACKEND_NONE,
	SERIAL_BACKEND_SOCKET,
	SERIAL_BACKEND_PTY,
	SERIAL_BACKEND_FILE,
};
struct serial_cfg {
	int port;		 /* enum serial_port */
	int backend;		 /* enum serial_backend */
	struct field_list ports; /* of struct serial_host_cfg */
};
extern const struct device_class serial_class;

/* "rtc": {"base": "utc" | "local"} */
enum rtc_base { RTC_BASE_UTC, RTC_BASE_LOCAL };
struct rtc_cfg {
	int base; /* enum rtc_base */
};
extern const struct device_class rtc_class;

/* "i6300esb": {"address": "00:03.0", "action": "reset" | "pause" | "stop" | "event"} */
enum i6300esb_action {
	I6300ESB_ACTION_RESET,
	I6300ESB_ACTION_PAUSE,
	I6300ESB_ACTION_STOP,
	I6300ESB_ACTION_EVENT,
};
struct i6300esb_cfg {
	char address[16];
	int action; /* enum i6300esb_action */
};
extern const struct device_class i6300esb_class;

/* "pvpanic": {"address": "00:03.0"} */
struct pvpanic_cfg {
	char address[16];
};
extern const struct device_class pvpanic_class;
extern const struct device_class pvpanic_isa_class; /* "pvpanic-isa": at a port, ACPI's QEMU0001 */

extern const struct device_class i8042_class;	      /* "i8042" */
extern const struct device_class ps2_keyboard_class;  /* "ps2-keyboard": after i8042 */
extern const struct device_class ps2_mouse_class;     /* "ps2-mouse": after i8042 */
extern const struct device_class acpi_pm_class;	      /* "acpi-pm": see acpi_pm.h */
extern const struct device_class ioapic_class;	      /* "ioapic": see ioapic.h */
extern const struct device_class debug_port_class;    /* "debug-port" */
extern const struct device_class debug_console_class; /* "debug-console" */
extern const struct device_class fw_cfg_class;	      /* "fw-cfg": see fw_cfg.h */
extern const struct device_class cfi_flash_class;     /* "cfi-flash": {"vars": FILE} */

#endif
