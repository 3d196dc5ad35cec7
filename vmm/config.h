/* SPDX-License-Identifier: MIT */
/*
 * A machine configuration (lib/vmdef.h: complete, sizes in bytes, files as descriptors) as a struct.
 * vmd or `vmm --config` has checked it against the schemas; here it is bound and nothing is trusted that
 * memory safety hangs on.
 */
#ifndef VMM_CONFIG_H
#define VMM_CONFIG_H

#include "lib/err.h"
#include "lib/fdio.h"
#include "lib/json.h"
#include "vmm/x86/cpu.h"

#define CONFIG_NAME_MAX 64
#define CONFIG_CMDLINE_MAX 2048
#define CONFIG_DEVICES_MAX 64
#define CONFIG_VCPUS_MAX 254 /* 8-bit APIC ids, 0xff is the broadcast */

enum config_irqchip { CONFIG_IRQCHIP_SPLIT, CONFIG_IRQCHIP_KERNEL };
enum config_after { CONFIG_AFTER_RESET, CONFIG_AFTER_STOP }; /* what a reboot or a crash becomes */

/* Memory of another node: when this one has no more, or never */
enum config_policy { CONFIG_POLICY_PREFER, CONFIG_POLICY_STRICT };

struct config_memory {
	uint64_t size;	    /* bytes */
	uint64_t hugepages; /* bytes of one; 0: ordinary pages */
	uint32_t node;	    /* NUMA; GMEM_ANY_NODE */
	int policy;	    /* enum config_policy, of the node */
};

struct config_boot {
	int kernel_fd;	 /* owned; -1: firmware */
	int firmware_fd; /* owned; -1: a kernel */
	int initrd_fd;	 /* owned; -1: none */
	char cmdline[CONFIG_CMDLINE_MAX];
	struct json_object *order; /* owned: x86/bootorder.h; NULL: as the firmware likes */
};

struct machine_config {
	char name[CONFIG_NAME_MAX];
	char profile[32];
	uint32_t vcpus;
	char uuid[40]; /* of the VM; "": none is known */
	int irqchip, on_reboot, on_crash;
	struct config_memory memory;
	struct config_boot boot;
	struct cpu_support support;  /* owned: where somebody has asked KVM already */
	int vm_fd;		     /* owned: a VM of KVM, nothing in it yet; -1: make one */
	struct json_object *devices; /* owned: an array of objects, each for device_new */
	struct json_object *smbios;  /* owned: x86/smbios.h; NULL: nothing is said */
};

/* -ERR_INVALID with "config: …". ret_config is then empty (config_fini is fine and not needed). */
int config_parse(struct json_object *json, struct fdset *fds, struct machine_config *ret_config,
		 struct err *e);
void config_fini(struct machine_config *c);

#endif
