/* SPDX-License-Identifier: MIT */
/*
 * VM definitions: what a VM file says (schemas/vm.json), checked, and expanded to what the monitor gets.
 * vmctl checks with it offline, vmd at its door, `vmm --config` alone.
 *
 * A machine configuration (the expanded form) is complete: every default is written out, sizes are
 * bytes, the profile has become a list of devices each with type and id, PCI devices have an address:
 *
 *	{"name":"hello","profile":"modern","vcpus":2,"memory":{"size":536870912,"hugepages":0},
 *	 "irqchip":"split","on_reboot":"reset","on_crash":"stop",
 *	 "limits":{"required":false,"cpu_percent":0,"cpu_weight":100,"memory":614465536,"tasks":258},
 *	 "boot":{"kernel":FILE,"initrd":FILE,"cmdline":"console=ttyS0"},	or {"firmware":FILE}
 *	 "devices":[{"type":"serial","id":"com1","port":"com1","backend":"console"},
 *	            {"type":"virtio-blk","id":"disk0","address":"00:03.0","path":FILE,"readonly":false}]}
 *
 * FILE is a path until vmdef_files/vmdef_set_fd made it {"fd": index}.
 */
#ifndef LIB_VMDEF_H
#define LIB_VMDEF_H

#include "lib/err.h"
#include "lib/json.h"
#include "lib/schema.h"
#include "lib/vmfile.h"

#define VMDEF_NAME_MAX 63
#define VMDEF_FILES_MAX 320
#define VMDEF_ROM_VGABIOS "vgabios" /* of a vga's rom, as "none"; everything else is a path */
#define VMDEF_FIRMWARE_BIOS "bios"  /* of boot.firmware … */
#define VMDEF_FIRMWARE_UEFI "uefi"  /* … everything else is a path */

/* A name: a-z 0-9 . _ -, starts with a letter or digit, at most VMDEF_NAME_MAX. */
bool vmdef_name_valid(const char *name);

/*
 * Check a definition: schema, then what a schema cannot say (duplicate ids, two devices at one port or
 * address, a device that the profile needs switched off). Needs no host and no daemon.
 * -ERR_INVALID with where.pointer and e->msg "/devices/0/readonly: expected …".
 */
int vmdef_check(struct json_object *def, struct schema_error *ret_where, struct err *e);
/* The same for a file: e->msg is "FILE:LINE:COL: POINTER: what". Makes relative paths absolute in f->root. */
int vmdef_check_file(struct vmfile *f, struct err *e);

/* -ERR_INVALID with "FILE:LINE:COL: POINTER: what". */
int vmdef_file_error(const struct vmfile *f, const struct schema_error *where, struct err *e);

/*
 * Expand a checked definition. previous is the machine configuration of the revision before or NULL:
 * a PCI device with the same id and type keeps its address.
 */
int vmdef_expand(struct json_object *def, struct json_object *previous,
		 struct json_object **ret_config, struct err *e);

/* The same with the caller's set of schemas, for who has more than one definition, or more than one thing to do. */
int vmdef_check_in(struct schema_set *set, struct json_object *def, struct schema_error *ret_where,
		   struct err *e);
int vmdef_check_file_in(struct schema_set *set, struct vmfile *f, struct err *e);
int vmdef_expand_in(struct schema_set *set, struct json_object *def, struct json_object *previous,
		    struct json_object **ret_config, struct err *e);

/* Of a machine configuration: how often its disks want all memory pinned, once by each of their threads. */
unsigned int vmdef_pinning(struct json_object *config);

/*
 * Of a machine configuration with the firmware "uefi": put the path of the host's in its place, and that of the template of
 * its variables into the flash that has none. Before vmdef_files; off the loop. root: "" for the host, or a folder that stands
 * for it. 1, 0 when there is nothing to find, -ERR_NO_FIRMWARE.
 */
int vmdef_find_firmware(struct json_object *config, const char *root, struct err *e);

/*
 * Whether variables of so many bytes go with code of so many: they are linked to lie right below it, and edk2 makes both
 * together as large as a power of two. code 0: with any. -ERR_FIRMWARE.
 */
#define VMDEF_VARS_BLOCK 4096ull
#define VMDEF_VARS_MAX (8 * MIB)
int vmdef_check_vars(uint64_t code, uint64_t vars, struct err *e);

struct vmdef_file {
	char pointer[96]; /* where in the machine configuration: "/boot/kernel" */
	const char *path; /* borrowed from the configuration */
	int open_flags;	  /* O_RDONLY or O_RDWR, O_CLOEXEC, and O_DIRECT or O_CREAT maybe */
	/*
	 * Opened on behalf of the user whose file system uid the thread has (vmd/ident.h): not by the links of
	 * /proc that lead to what the program itself has open, and nothing in /proc.
	 */
	bool confined;
	bool scsi;	  /* a SCSI device of the host, to be given away */
	bool image;	  /* a disk's, or what is written to alone, to be locked … */
	bool share;	  /* … but not against who writes to it as well */
	const char *what; /* "kernel", "initrd", "disk 'disk0'" for messages */
	char what_buf[96];
};

/* The files that the machine configuration needs opened. Count, or -errno. */
int vmdef_files(struct json_object *config, struct vmdef_file files[static VMDEF_FILES_MAX],
		struct err *e);
/*
 * Open one of them: a regular file or a block device; e says "kernel '/x': No such file or directory".
 * May block: call it off the loop. Returns the descriptor.
 */
int vmdef_open(const struct vmdef_file *file, struct err *e);
/* The folder that a path's last part is in, O_PATH; confined as above. ret_name is that part, in path. */
int vmdef_open_folder(const char *path, bool confined, const char **ret_name, struct err *e);
/*
 * Lock an image that was opened against other use (lib/imagelock.h); any other file is left alone. -ERR_FILE_IN_USE:
 * "disk 'disk0' '/x' is in use"; by whom is the caller's to say.
 */
int vmdef_lock(const struct vmdef_file *file, int fd, struct err *e);
/* Put {"fd": index} in its place. */
int vmdef_set_fd(struct json_object *config, const char *pointer, unsigned int index);

#endif
