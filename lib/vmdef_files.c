// SPDX-License-Identifier: MIT
/*
 * The files of a machine configuration: which there are, opening them, and putting descriptors in their
 * place. Any thread; vmdef_open may block.
 */
#include "lib/vmdef.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/magic.h>
#include <linux/openat2.h>
#include <pwd.h>
#include <scsi/sg.h>
#include <stdio.h>
#include <string.h>
#include <sys/fsuid.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "lib/auto.h"
#include "lib/errcat.h"
#include "lib/imagelock.h"

/* NULL: not given, or a descriptor already */
static struct vmdef_file *vmdef_file_add(struct vmdef_file *files, int *n, const char *pointer,
					 struct json_object *value, int flags, const char *what)
{
	struct vmdef_file *file = &files[*n];

	if (!json_object_is_type(value, json_type_string))
		return NULL;
	*file = (struct vmdef_file){ .path = json_object_get_string(value),
				     .open_flags = flags | O_CLOEXEC };
	snprintf(file->pointer, sizeof(file->pointer), "%s", pointer);
	snprintf(file->what_buf, sizeof(file->what_buf), "%s", what);
	file->what = file->what_buf;
	(*n)++;
	return file;
}

static struct vmdef_file *vmdef_image_add(struct vmdef_file *files, int *n, const char *pointer,
					  struct json_object *value, int flags, bool share,
					  const char *what)
{
	struct vmdef_file *file = vmdef_file_add(files, n, pointer, value, flags, what);

	if (!file)
		return NULL;
	file->image = true;
	file->share = share;
	return file;
}

/* What a disk's image is based on is only ever read. */
static int vmdef_backing_add(struct vmdef_file *files, int *n, const char *at,
			     struct json_object *disk, struct err *e)
{
	struct json_object *list = json_get(disk, "backing");
	size_t count = list ? json_object_array_length(list) : 0;

	for (size_t i = 0; i < count; i++) {
		char pointer[128], what[96];

		if (*n == VMDEF_FILES_MAX)
			return err_set(e, E2BIG, "more than %d files", VMDEF_FILES_MAX);
		snprintf(pointer, sizeof(pointer), "%s/backing/%zu", at, i);
		snprintf(what, sizeof(what), "backing file %zu of disk '%.48s'", i + 1,
			 json_get_str(disk, "id", ""));
		vmdef_image_add(files, n, pointer, json_object_array_get_idx(list, i), O_RDONLY,
				json_get_bool(disk, "share", false), what);
	}
	return 0;
}

static bool vmdef_is_scsi(struct json_object *disk)
{
	return !strcmp(json_get_str(disk, "kind", ""), "passthrough");
}

/* The kernel gives a device that is mounted, or part of a volume, to nobody with O_EXCL, and mounts none that was given. */
static int vmdef_disk_flags(struct json_object *disk)
{
	if (vmdef_is_scsi(disk))
		return O_RDWR | O_EXCL;
	return (json_get_bool(disk, "readonly", false) ? O_RDONLY : O_RDWR) |
	       (!strcmp(json_get_str(disk, "cache", ""), "direct") ? O_DIRECT : 0);
}

/* Where distributions put the BIOS that "bios" stands for, the best known first */
static const char *const vmdef_bioses[] = {
	"/usr/share/seabios/bios-256k.bin",
	"/usr/share/qemu/bios-256k.bin",
	"/usr/local/share/qemu/bios-256k.bin",
};

static const char *const vmdef_vgabioses[] = {
	"/usr/share/seabios/vgabios-stdvga.bin",
	"/usr/share/qemu/vgabios-stdvga.bin",
	"/usr/local/share/qemu/vgabios-stdvga.bin",
};

/* The first one that the host has; where it has none, the place of Debian's package. */
static const char *vmdef_first(const char *const *paths, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (!access(paths[i], F_OK))
			return paths[i];
	return paths[0];
}

/* The file of that firmware */
static const char *vmdef_firmware_path(const char *value)
{
	if (strcmp(value, VMDEF_FIRMWARE_BIOS) != 0)
		return value;
	return vmdef_first(vmdef_bioses, ARRAY_SIZE(vmdef_bioses));
}

static void vmdef_firmware_add(struct vmdef_file *files, int *n, struct json_object *value)
{
	struct vmdef_file *file;

	/* which file that is has to be found first: vmdef_find_firmware */
	if (value && !strcmp(json_object_get_string(value), VMDEF_FIRMWARE_UEFI))
		return;
	file = vmdef_file_add(files, n, "/boot/firmware", value, O_RDONLY, "firmware");
	if (file)
		file->path = vmdef_firmware_path(file->path);
}

/* The BIOS of a display; devices have no other ROM of a file. */
static int vmdef_rom_add(struct vmdef_file *files, int *n, const char *at, struct json_object *d,
			 struct err *e)
{
	char pointer[128], what[96];
	struct vmdef_file *file;

	if (!json_get(d, "rom"))
		return 0;
	if (*n == VMDEF_FILES_MAX)
		return err_set(e, E2BIG, "more than %d files", VMDEF_FILES_MAX);
	snprintf(pointer, sizeof(pointer), "%s/rom", at);
	snprintf(what, sizeof(what), "ROM of '%.64s'", json_get_str(d, "id", ""));
	file = vmdef_file_add(files, n, pointer, json_get(d, "rom"), O_RDONLY, what);
	if (file && !strcmp(file->path, VMDEF_ROM_VGABIOS))
		file->path = vmdef_first(vmdef_vgabioses, ARRAY_SIZE(vmdef_vgabioses));
	return 0;
}

/* A disk, at this place of the configuration: its image, and what that is based on */
static int vmdef_disk_add(struct vmdef_file *files, int *n, const char *at,
			  struct json_object *disk, struct err *e)
{
	char pointer[128], what[96];
	struct vmdef_file *file;

	if (*n == VMDEF_FILES_MAX)
		return err_set(e, E2BIG, "more than %d files", VMDEF_FILES_MAX);
	snprintf(pointer, sizeof(pointer), "%s/path", at);
	snprintf(what, sizeof(what), "disk '%.80s'", json_get_str(disk, "id", ""));
	file = vmdef_image_add(files, n, pointer, json_get(disk, "path"), vmdef_disk_flags(disk),
			       json_get_bool(disk, "share", false), what);
	if (file)
		file->scsi = vmdef_is_scsi(disk);
	return vmdef_backing_add(files, n, at, disk, e);
}

/* What a port of a console writes: made if it is not there, never a link to another */
static int vmdef_ports_add(struct vmdef_file *files, int *n, size_t device, struct json_object *d,
			   struct err *e)
{
	struct json_object *ports = json_get(d, "ports");
	size_t count = ports ? json_object_array_length(ports) : 0;

	for (size_t i = 0; i < count; i++) {
		struct json_object *port = json_object_array_get_idx(ports, i);
		char pointer[64], what[96];

		if (strcmp(json_get_str(port, "backend", ""), "file") != 0)
			continue;
		if (*n == VMDEF_FILES_MAX)
			return err_set(e, E2BIG, "more than %d files", VMDEF_FILES_MAX);
		snprintf(pointer, sizeof(pointer), "/devices/%zu/ports/%zu/path", device, i);
		snprintf(what, sizeof(what), "file of port '%.64s'",
			 json_get_str(port, "name", ""));
		vmdef_image_add(files, n, pointer, json_get(port, "path"),
				O_RDWR | O_APPEND | O_CREAT | O_NOFOLLOW, false, what);
	}
	return 0;
}

static int vmdef_device_add(struct vmdef_file *files, int *n, size_t device, struct json_object *d,
			    struct err *e)
{
	struct json_object *disks = json_get(d, "disks");
	size_t count = disks ? json_object_array_length(disks) : 0;
	char at[64];
	int ret;

	if (*n == VMDEF_FILES_MAX)
		return err_set(e, E2BIG, "more than %d files", VMDEF_FILES_MAX);
	snprintf(at, sizeof(at), "/devices/%zu/vars", device);
	if (vmdef_file_add(files, n, at, json_get(d, "vars"), O_RDONLY, "template of variables"))
		return 0;
	snprintf(at, sizeof(at), "/devices/%zu", device);
	ret = vmdef_disk_add(files, n, at, d, e);
	for (size_t i = 0; i < count && ret >= 0; i++) {
		snprintf(at, sizeof(at), "/devices/%zu/disks/%zu", device, i);
		ret = vmdef_disk_add(files, n, at, json_object_array_get_idx(disks, i), e);
	}
	snprintf(at, sizeof(at), "/devices/%zu", device);
	if (ret >= 0)
		ret = vmdef_rom_add(files, n, at, d, e);
	return ret < 0 ? ret : vmdef_ports_add(files, n, device, d, e);
}

int vmdef_files(struct json_object *config, struct vmdef_file files[static VMDEF_FILES_MAX],
		struct err *e)
{
	struct json_object *devices = json_get(config, "devices");
	size_t count = devices ? json_object_array_length(devices) : 0;
	int n = 0, ret = 0;

	vmdef_file_add(files, &n, "/boot/kernel", json_at(config, "/boot/kernel"), O_RDONLY,
		       "kernel");
	vmdef_file_add(files, &n, "/boot/initrd", json_at(config, "/boot/initrd"), O_RDONLY,
		       "initrd");
	vmdef_firmware_add(files, &n, json_at(config, "/boot/firmware"));
	for (size_t i = 0; i < count && ret >= 0; i++)
		ret = vmdef_device_add(files, &n, i, json_object_array_get_idx(devices, i), e);
	return ret < 0 ? ret : n;
}

static const char *vmdef_kind(mode_t mode)
{
	switch (mode & S_IFMT) {
	case S_IFDIR:
		return "a directory";
	case S_IFCHR:
		return "a character device";
	case S_IFBLK:
		return "a block device";
	case S_IFIFO:
		return "a FIFO";
	case S_IFSOCK:
		return "a socket";
	default:
		return "no regular file";
	}
}

/* From the file, not by the C library's services, which a static program (vmm) cannot load. "" : not there. */
static void vmdef_user_name(uid_t uid, char *out, size_t size)
{
	FILE *f = fopen("/etc/passwd", "re");
	const struct passwd *pw;

	out[0] = '\0';
	while (f && !out[0] && (pw = fgetpwent(f)))
		if (pw->pw_uid == uid)
			snprintf(out, size, "%s", pw->pw_name);
	if (f)
		fclose(f);
}

static void vmdef_hint(const struct vmdef_file *file, int error, struct err *e)
{
	bool rw = (file->open_flags & O_ACCMODE) == O_RDWR;
	uid_t uid = (uid_t)setfsuid((uid_t)-1); /* the one that counts; changes nothing */
	char name[33];

	if (error == ENOENT && file->path == vmdef_bioses[0])
		err_hint(e, "install the package seabios, or name the file of a BIOS: "
			    "`boot: {firmware: /PATH}`");
	if (error == ENOENT && file->path == vmdef_vgabioses[0])
		err_hint(e, "install the package seabios, or name the file of a BIOS for this "
			    "display: `rom: /PATH`");
	if (file->confined && error == ELOOP)
		err_hint(e, "too many links, or one of /proc's, which are not followed");
	if (error == ELOOP && file->open_flags & O_NOFOLLOW)
		err_hint(e, "it is a link; name the file itself");
	if (error == EROFS && rw && !(file->open_flags & O_CREAT))
		err_hint(e,
			 "set `readonly: true` for this disk, or use a file that can be written");
	if (error == EBUSY && file->scsi)
		err_hint(e, "it is mounted, part of a volume, or another's already; see lsblk and "
			    "fuser");
	if (error == EINVAL && file->open_flags & O_DIRECT)
		err_hint(e, "its file system cannot do without the page cache: `cache: writeback`");
	if (error != EACCES)
		return;
	vmdef_user_name(uid, name, sizeof(name));
	err_hint(e, "user %s%suid %u%s needs to %s it and to enter the folders above it", name,
		 name[0] ? " (" : "", (unsigned int)uid, name[0] ? ")" : "",
		 rw ? "read and write" : "read");
}

/* Block and generic devices of the kernel's SCSI layer answer this one (scsi/sg.h), and nothing else does. */
static int vmdef_check_scsi_device(const struct vmdef_file *file, int fd, struct err *e)
{
	int version = 0;

	if (ioctl(fd, SG_GET_VERSION_NUM, &version) >= 0 && version >= 30000)
		return 0;
	err_set(e, ERR_FILE, "%s '%s' is no SCSI device", file->what, file->path);
	return err_hint(e, "lsscsi -g lists them: /dev/sdb, /dev/sg2; one image or another kind "
			   "of disk goes with `kind: disk`");
}

/* Which kinds of file do is known by where the path stands: a device may have a block device. */
static int vmdef_check_kind(const struct vmdef_file *file, int fd, struct err *e)
{
	bool made = file->open_flags & O_CREAT;
	bool rom = strlen(file->pointer) > 4 && !strcmp(strrchr(file->pointer, '/'), "/rom");
	bool disk = !strncmp(file->pointer, "/devices/", strlen("/devices/")) && !made && !rom;
	struct statfs fs;
	struct stat st;

	if (fstat(fd, &st) || fstatfs(fd, &fs))
		return err_set(e, ERR_FILE, "%s '%s': %s", file->what, file->path, strerror(errno));
	if (file->confined && fs.f_type == PROC_SUPER_MAGIC)
		return err_set(e, ERR_FILE, "%s '%s' is a file of /proc", file->what, file->path);
	if (file->scsi)
		return vmdef_check_scsi_device(file, fd, e);
	if (S_ISREG(st.st_mode) || (disk && S_ISBLK(st.st_mode)))
		return 0;
	err_set(e, ERR_FILE, "%s '%s' is %s", file->what, file->path, vmdef_kind(st.st_mode));
	return err_hint(e, "a %s is a regular file%s", disk ? "disk" : file->what,
			disk ? " or a block device" : "");
}

/* Where the descriptor's file is: no links in it. */
static bool vmdef_place(int fd, char out[static PATH_MAX])
{
	char link[32];
	ssize_t n;

	snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
	n = readlink(link, out, PATH_MAX);
	if (n < 0 || n >= PATH_MAX)
		return false;
	out[n] = '\0';
	return true;
}

/*
 * The same as with RESOLVE_NO_MAGICLINKS, for RestrictSUIDSGID= of systemd.exec(5) takes openat2 away: whatever
 * the links are, it is opened by the way to where it is, and has to be there still when it is open.
 */
static int vmdef_open_place(const char *path, int flags)
{
	AUTO_CLOSE int at = open(path, O_PATH | O_CLOEXEC);
	AUTO_CLOSE int fd = -1;
	char place[PATH_MAX], now[PATH_MAX];

	if (at < 0)
		return -1;
	errno = ELOOP;
	if (!vmdef_place(at, place))
		return -1;
	fd = open(place, flags | O_NOFOLLOW);
	if (fd < 0)
		return -1;
	errno = ELOOP;
	return vmdef_place(fd, now) && !strcmp(place, now) ? TAKE_FD(fd) : -1;
}

static int vmdef_open_how(const char *path, int flags, bool confined)
{
	struct open_how how = { .flags = (uint64_t)(flags | O_CLOEXEC),
				.resolve = RESOLVE_NO_MAGICLINKS };
	int fd;

	if (!confined)
		return open(path, (int)how.flags);
	fd = (int)syscall(SYS_openat2, AT_FDCWD, path, &how, sizeof(how));
	return fd < 0 && errno == ENOSYS ? vmdef_open_place(path, (int)how.flags) : fd;
}

int vmdef_open_folder(const char *path, bool confined, const char **ret_name, struct err *e)
{
	const char *slash = strrchr(path, '/');
	AUTO_CLOSE int fd = -1;
	char folder[PATH_MAX];
	struct statfs fs;

	if (!slash || !slash[1] || slash - path >= PATH_MAX - 1)
		return err_set(e, errno = EISDIR, "'%s' names no file", path);
	snprintf(folder, sizeof(folder), "%.*s", (int)(slash - path + 1), path);
	fd = vmdef_open_how(folder, O_PATH | O_DIRECTORY, confined);
	if (fd < 0)
		return err_set(e, errno, "folder '%s': %s", folder, strerror(errno));
	if (confined && (fstatfs(fd, &fs) || fs.f_type == PROC_SUPER_MAGIC))
		return err_set(e, errno = ELOOP, "folder '%s' is one of /proc", folder);
	*ret_name = slash + 1;
	return TAKE_FD(fd);
}

/* It may have to be made, which is done in its folder. */
static int vmdef_open_made(const struct vmdef_file *file, int flags)
{
	const char *name = "";
	AUTO_CLOSE int folder = vmdef_open_folder(file->path, file->confined, &name, NULL);

	return folder < 0 ? -1 : openat(folder, name, flags, 0600);
}

static int vmdef_open_path(const struct vmdef_file *file)
{
	int flags = file->open_flags | O_NONBLOCK | O_NOCTTY;

	if (flags & O_CREAT)
		return vmdef_open_made(file, flags);
	return vmdef_open_how(file->path, flags, file->confined);
}

/* Without O_NONBLOCK, opening a FIFO would wait for its other end. */
int vmdef_open(const struct vmdef_file *file, struct err *e)
{
	AUTO_CLOSE int fd = vmdef_open_path(file);
	int flags, ret;

	if (fd < 0) {
		int error = errno;

		if (error == EISDIR)
			return err_set(e, ERR_FILE, "%s '%s' is a directory", file->what,
				       file->path);
		err_set(e, ERR_FILE, "%s '%s': %s", file->what, file->path, strerror(error));
		vmdef_hint(file, error, e);
		return -ERR_FILE;
	}
	ret = vmdef_check_kind(file, fd, e);
	if (ret < 0)
		return ret;
	flags = fcntl(fd, F_GETFL);
	if (flags < 0 || fcntl(fd, F_SETFL, flags & ~O_NONBLOCK) < 0)
		return err_errno(e, "%s '%s'", file->what, file->path);
	return TAKE_FD(fd);
}

int vmdef_lock(const struct vmdef_file *file, int fd, struct err *e)
{
	bool write = (file->open_flags & O_ACCMODE) == O_RDWR;
	int ret = file->image ? imagelock_take(fd, write, file->share) : 0;

	if (ret >= 0 || (file->share && ret != -EBUSY))
		return 0;
	if (ret == -EBUSY)
		return err_set(e, ERR_FILE_IN_USE, "%s '%s' is in use", file->what, file->path);
	err_set(e, ERR_FILE, "%s '%s' cannot be locked: %s", file->what, file->path,
		strerror(-ret));
	return err_hint(e, "use a file system that has locks; or, where nobody else writes to it, "
			   "`share: true`");
}

int vmdef_set_fd(struct json_object *config, const char *pointer, unsigned int index)
{
	struct json_object *value = json_add_int(json_new(), "fd", index);

	if (!json_at(config, pointer) || json_pointer_set(&config, pointer, value) < 0) {
		json_object_put(value);
		return -ENOENT;
	}
	return 0;
}

unsigned int vmdef_pinning(struct json_object *config)
{
	struct json_object *devices = json_get(config, "devices");
	size_t count = devices ? json_object_array_length(devices) : 0;
	unsigned int n = 0;

	for (size_t i = 0; i < count; i++) {
		struct json_object *device = json_object_array_get_idx(devices, i);
		bool each = !strcmp(json_get_str(device, "worker", ""), "per-queue");

		if (json_get_bool(device, "pin_memory", false))
			n += each ? (unsigned int)json_get_int(device, "queues", 1) : 1;
	}
	return n;
}
