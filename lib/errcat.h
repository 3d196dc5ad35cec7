/* SPDX-License-Identifier: MIT */
/*
 * The catalogue of errors that programs may tell apart: a stable number, a stable name, the exit status
 * that vmctl maps it to, and whether the same request may succeed later without anybody having changed
 * it. Numbers are never reused. JSON-RPC's own codes are negative and stand in the table too
 * (https://www.jsonrpc.org/specification, section 5.1). schemas/error.json has a page for each of them:
 * `vmctl explain` prints it, and vmd-errors(7) is made of them.
 */
#ifndef LIB_ERRCAT_H
#define LIB_ERRCAT_H

#include "lib/err.h"

/* vmctl's exit statuses */
enum errcat_exit {
	EXIT_OK = 0,
	EXIT_FAILED = 1,
	EXIT_USAGE = 2,
	EXIT_NOT_FOUND = 3,
	EXIT_CONFLICT = 4,
	EXIT_PRECONDITION = 5,
	EXIT_TIMEOUT = 6,
	EXIT_DENIED = 7,
	EXIT_UNREACHABLE = 8,
	EXIT_PARTIAL = 9,
};

#define ERRCAT(X)                                                                  \
	X(ERR_FAILED, 1000, "failed", EXIT_FAILED, false)                          \
	X(ERR_DENIED, 1001, "denied", EXIT_DENIED, false)                          \
	X(ERR_TIMEOUT, 1002, "timeout", EXIT_TIMEOUT, true)                        \
	X(ERR_BUSY, 1003, "busy", EXIT_CONFLICT, true)                             \
	X(ERR_UNREACHABLE, 1004, "daemon.unreachable", EXIT_UNREACHABLE, true)     \
	X(ERR_CANCELLED, 1005, "cancelled", EXIT_FAILED, false)                    \
	X(ERR_FILE, 1006, "file.unusable", EXIT_PRECONDITION, false)               \
	X(ERR_FILE_IN_USE, 1007, "file.in_use", EXIT_CONFLICT, true)               \
	X(ERR_NO_TOPIC, 1020, "topic.unknown", EXIT_NOT_FOUND, false)              \
	X(ERR_REQUEST_REUSED, 1030, "request.reused", EXIT_CONFLICT, false)        \
	X(ERR_REQUEST_LOST, 1031, "request.answer_lost", EXIT_FAILED, false)       \
	X(ERR_INVALID, 1100, "definition.invalid", EXIT_PRECONDITION, false)       \
	X(ERR_SYNTAX, 1101, "definition.syntax", EXIT_PRECONDITION, false)         \
	X(ERR_VM_NOT_FOUND, 1200, "vm.not_found", EXIT_NOT_FOUND, false)           \
	X(ERR_VM_EXISTS, 1201, "vm.exists", EXIT_CONFLICT, false)                  \
	X(ERR_VM_STATE, 1202, "vm.wrong_state", EXIT_CONFLICT, false)              \
	X(ERR_VM_REVISION, 1203, "vm.revision_mismatch", EXIT_CONFLICT, false)     \
	X(ERR_VM_NO_CONSOLE, 1204, "vm.no_console", EXIT_NOT_FOUND, false)         \
	X(ERR_VM_NO_SCREEN, 1205, "vm.no_screen", EXIT_NOT_FOUND, false)           \
	X(ERR_VM_NO_DISPLAY, 1206, "vm.no_display", EXIT_NOT_FOUND, false)         \
	X(ERR_VM_NO_REVISION, 1220, "vm.no_revision", EXIT_NOT_FOUND, false)       \
	X(ERR_VM_NO_DEVICE, 1230, "vm.no_device", EXIT_NOT_FOUND, false)           \
	X(ERR_VM_DEVICE_EXISTS, 1231, "vm.device_exists", EXIT_CONFLICT, false)    \
	X(ERR_VM_DEVICE_FIXED, 1232, "vm.device_fixed", EXIT_PRECONDITION, false)  \
	X(ERR_VM_NO_KEYBOARD, 1234, "vm.no_keyboard", EXIT_PRECONDITION, false)    \
	X(ERR_VM_PINNED, 1235, "vm.memory_pinned", EXIT_PRECONDITION, false)       \
	X(ERR_VM_MEDIUM_LOCKED, 1240, "vm.medium_locked", EXIT_CONFLICT, true)     \
	X(ERR_KVM, 1300, "host.kvm_unusable", EXIT_PRECONDITION, false)            \
	X(ERR_MEMORY, 1301, "host.memory_short", EXIT_PRECONDITION, true)          \
	X(ERR_CPUS, 1302, "host.cpus_short", EXIT_PRECONDITION, false)             \
	X(ERR_LIMITS, 1303, "host.limits_unkept", EXIT_PRECONDITION, false)        \
	X(ERR_NUMA_NODE, 1304, "host.no_numa_node", EXIT_PRECONDITION, false)      \
	X(ERR_NUMA_MEMORY, 1305, "host.node_short", EXIT_PRECONDITION, true)       \
	X(ERR_KERNEL_IMAGE, 1400, "boot.kernel_invalid", EXIT_PRECONDITION, false) \
	X(ERR_FIRMWARE, 1401, "boot.firmware_invalid", EXIT_PRECONDITION, false)   \
	X(ERR_NO_FIRMWARE, 1402, "boot.no_firmware", EXIT_PRECONDITION, false)     \
	X(ERR_VMM_DIED, 1500, "vmm.died", EXIT_FAILED, false)                      \
	X(ERR_VMM_PROTOCOL, 1501, "vmm.protocol", EXIT_FAILED, false)              \
	X(ERR_STATE, 1600, "state.database", EXIT_FAILED, false)                   \
	X(ERR_STATE_UNKNOWN, 1601, "state.unknown", EXIT_FAILED, false)            \
	X(ERR_JOB_NOT_FOUND, 1700, "job.not_found", EXIT_NOT_FOUND, false)         \
	X(ERR_PCI_NOT_FOUND, 1801, "pci.not_found", EXIT_NOT_FOUND, false)         \
	X(ERR_PCI_NO_IOMMU, 1802, "pci.no_iommu", EXIT_PRECONDITION, false)        \
	X(ERR_PCI_GROUP, 1803, "pci.group_not_viable", EXIT_PRECONDITION, false)   \
	X(ERR_PCI_VITAL, 1804, "pci.vital", EXIT_PRECONDITION, false)              \
	X(ERR_PCI_BROKEN, 1805, "pci.broken", EXIT_PRECONDITION, false)            \
	X(ERR_PCI_KIND, 1806, "pci.not_assignable", EXIT_PRECONDITION, false)      \
	X(ERR_PCI_NO_RESET, 1807, "pci.no_reset", EXIT_PRECONDITION, false)        \
	X(ERR_PCI_NO_VFIO, 1808, "pci.no_vfio", EXIT_PRECONDITION, false)          \
	X(ERR_PCI_DENIED, 1809, "pci.denied", EXIT_DENIED, false)                  \
	X(ERR_HOST_STUCK, 1900, "host.stuck", EXIT_TIMEOUT, false)                 \
	X(ERR_HOST_WRITE, 1901, "host.write_refused", EXIT_FAILED, true)           \
	X(ERR_HOST_GONE, 1902, "host.device_gone", EXIT_NOT_FOUND, false)          \
	X(ERR_HOST_DRIVER, 1903, "host.driver_unbound", EXIT_PRECONDITION, false)  \
	X(ERR_HOST_VFS, 1904, "host.vfs_short", EXIT_PRECONDITION, false)          \
	X(ERR_HOST_RESET, 1905, "host.reset_failed", EXIT_FAILED, false)           \
	X(ERR_HOST_VF, 1906, "host.vf_refused", EXIT_PRECONDITION, false)          \
	X(ERR_HOST_UNCLEAN, 1907, "host.device_unclean", EXIT_FAILED, false)       \
	X(ERR_HOST_HELPER, 1908, "host.helper_failed", EXIT_FAILED, true)          \
	X(ERR_VFIO, 2000, "vfio.failed", EXIT_FAILED, false)                       \
	X(ERR_VFIO_GROUP, 2001, "vfio.not_viable", EXIT_PRECONDITION, false)       \
	X(ERR_VFIO_PINNING, 2002, "vfio.unpinned", EXIT_PRECONDITION, true)        \
	X(ERR_VFIO_DEVICE, 2003, "vfio.device_unfit", EXIT_PRECONDITION, false)    \
	X(ERR_LEASE_TAKEN, 2100, "lease.taken", EXIT_CONFLICT, true)               \
	X(ERR_LEASE_BAD, 2101, "lease.quarantined", EXIT_PRECONDITION, false)      \
	X(ERR_LEASE_OTHER, 2102, "lease.other_device", EXIT_PRECONDITION, false)   \
	X(ERR_LEASE_MAC, 2103, "lease.mac_in_use", EXIT_CONFLICT, false)           \
	X(ERR_POOL_EXHAUSTED, 2104, "sriov.pool_exhausted", EXIT_CONFLICT, true)   \
	X(ERR_LEASE_STRAY, 2105, "lease.stray", EXIT_CONFLICT, false)              \
	X(ERR_LEASE_NOT_FOUND, 2106, "lease.not_found", EXIT_NOT_FOUND, false)     \
	X(ERR_LEASE_HELD, 2107, "lease.still_held", EXIT_CONFLICT, true)           \
	X(ERR_LEASE_VFIO, 2108, "lease.vfio_unusable", EXIT_PRECONDITION, false)   \
	X(ERR_LEASE_MEMLOCK, 2109, "lease.memlock", EXIT_PRECONDITION, false)      \
	X(ERR_POOL_NOT_FOUND, 2200, "pool.not_found", EXIT_NOT_FOUND, false)       \
	X(ERR_POOL_IN_USE, 2201, "pool.in_use", EXIT_CONFLICT, true)               \
	X(ERR_POOL_PF, 2202, "sriov.pf_unusable", EXIT_PRECONDITION, false)        \
	X(ERR_POOL_DOWN, 2203, "sriov.pf_down", EXIT_PRECONDITION, false)          \
	X(ERR_POOL_UNREADY, 2204, "pool.not_ready", EXIT_CONFLICT, true)           \
	X(ERR_POOL_SHARED, 2205, "pool.pf_taken", EXIT_CONFLICT, false)            \
	X(ERR_POOL_REVISION, 2206, "pool.revision_mismatch", EXIT_CONFLICT, false) \
	X(ERR_POOL_NO_REVISION, 2207, "pool.no_revision", EXIT_NOT_FOUND, false)   \
	X(ERR_NET_BRIDGE, 2300, "net.bridge_unusable", EXIT_PRECONDITION, false)   \
	X(ERR_NET_TAP, 2301, "net.tap_unusable", EXIT_PRECONDITION, false)         \
	X(ERR_NET_MAC, 2302, "net.mac_in_use", EXIT_CONFLICT, false)               \
	X(ERR_NET_VHOST, 2303, "net.no_vhost", EXIT_PRECONDITION, false)           \
	X(ERR_NET_USER, 2304, "net.no_passt", EXIT_PRECONDITION, false)            \
	X(ERR_RPC_PARSE, -32700, "rpc.parse_error", EXIT_FAILED, false)            \
	X(ERR_RPC_REQUEST, -32600, "rpc.invalid_request", EXIT_FAILED, false)      \
	X(ERR_RPC_METHOD, -32601, "rpc.method_not_found", EXIT_FAILED, false)      \
	X(ERR_RPC_PARAMS, -32602, "rpc.invalid_params", EXIT_PRECONDITION, false)  \
	X(ERR_RPC_INTERNAL, -32603, "rpc.internal", EXIT_FAILED, true)             \
	X(ERR_RPC_TOO_LONG, -32001, "rpc.message_too_long", EXIT_FAILED, false)

enum errcat_code {
#define X(id, code, name, exit, retryable) id = (code),
	ERRCAT(X)
#undef X
};

struct errcat_entry {
	int code;
	const char *name;
	enum errcat_exit exit;
	bool retryable;
};

/* In the order of the table; a row without a name ends it. */
extern const struct errcat_entry errcat_entries[];

/*
 * The entry for a code of the catalogue; for an errno value, the entry that stands for it (ENOENT is
 * "file.unusable", EPERM and EACCES "denied", ETIMEDOUT "timeout", …, else "failed"). Never NULL.
 */
const struct errcat_entry *errcat_find(int code);
/* The entry of a name, or NULL. */
const struct errcat_entry *errcat_by_name(const char *name);
/* As people read it: "E1203", "-32601". */
const char *errcat_label(int code, char out[static 16]);

#endif
