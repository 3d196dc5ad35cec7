// SPDX-License-Identifier: MIT
/* See cgroup.h; Documentation/admin-guide/cgroup-v2.rst. Any thread: nothing here keeps state. */
#include "vmd/cgroup.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "lib/auto.h"
#include "lib/errcat.h"
#include "lib/fdio.h"
#include "vmd/scope.h"

#define CGROUP_MOUNT "/sys/fs/cgroup"
#define CGROUP_PERIOD_US 100000 /* of cpu.max: the kernel's default */

static const struct {
	enum cgroup_controller bit;
	const char *name;
} cgroup_controllers[] = {
	{ CGROUP_CPU, "cpu" },
	{ CGROUP_MEMORY, "memory" },
	{ CGROUP_PIDS, "pids" },
};

static int cgroup_write(int dir, const char *file, const char *text)
{
	AUTO_CLOSE int fd = openat(dir, file, O_WRONLY | O_CLOEXEC | O_NOFOLLOW);
	ssize_t n;

	if (fd < 0)
		return -errno;
	n = write(fd, text, strlen(text));
	return n < 0 ? -errno : 0;
}

/* --- the folder --------------------------------------------------------------------------------------- */

static bool cgroup_is_v2(const char *path)
{
	struct statfs fs;

	return statfs(path, &fs) == 0 && fs.f_type == CGROUP2_SUPER_MAGIC;
}

static void cgroup_enable(int dir)
{
	char text[16];

	for (size_t i = 0; i < ARRAY_SIZE(cgroup_controllers); i++) {
		snprintf(text, sizeof(text), "+%s", cgroup_controllers[i].name);
		cgroup_write(dir, "cgroup.subtree_control",
			     text); /* what counts is what there is then */
	}
}

static unsigned int cgroup_enabled(int dir)
{
	AUTO_CLOSE int fd = openat(dir, "cgroup.subtree_control", O_RDONLY | O_CLOEXEC);
	char text[256] = "", *rest = text, *word;
	unsigned int bits = 0;

	if (fd < 0 || fdio_read(fd, text, sizeof(text) - 1) < 0)
		return 0;
	while ((word = strsep(&rest, " \n")))
		for (size_t i = 0; i < ARRAY_SIZE(cgroup_controllers); i++)
			if (!strcmp(word, cgroup_controllers[i].name))
				bits |= cgroup_controllers[i].bit;
	return bits;
}

static void cgroup_say_missing(struct cgroups *c, unsigned int missing)
{
	size_t len = 0;

	for (size_t i = 0; i < ARRAY_SIZE(cgroup_controllers); i++)
		if (missing & cgroup_controllers[i].bit)
			len += (size_t)snprintf(c->why + len, sizeof(c->why) - len, "%s%s",
						len ? ", " : "", cgroup_controllers[i].name);
	if (len)
		snprintf(c->why + len, sizeof(c->why) - len, ": no such controller in '%s'",
			 c->base);
}

static int cgroup_use_tree(struct cgroups *c, const char *path, struct err *e)
{
	AUTO_CLOSE int dir = -1;
	AUTO_CLOSE int parent = -1;
	bool made;

	if (snprintf(c->base, sizeof(c->base), "%s", path) >= (int)sizeof(c->base))
		return err_set(e, ENAMETOOLONG, "the cgroup's path is too long");
	made = mkdir(path, 0755) == 0;
	if (!made && errno != EEXIST)
		return err_errno(e, "cannot make the cgroup '%s'", path);
	if (!cgroup_is_v2(path) && made)
		rmdir(path);
	if (!cgroup_is_v2(path))
		return err_set(e, EINVAL, "'%s' is not in a cgroup file system of version 2", path);
	dir = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (dir < 0)
		return err_errno(e, "cannot open the cgroup '%s'", path);
	/* its own controllers are those that its parent hands down */
	parent = openat(dir, "..", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (parent >= 0)
		cgroup_enable(parent);
	cgroup_enable(dir);
	c->kind = CGROUP_TREE;
	c->controllers = cgroup_enabled(dir);
	cgroup_say_missing(c, (CGROUP_CPU | CGROUP_MEMORY | CGROUP_PIDS) & ~c->controllers);
	return 0;
}

static int cgroup_use_systemd(struct cgroups *c, struct err *e)
{
	if (access("/run/systemd/system", F_OK) < 0) /* as sd_booted(3) does */
		return err_set(e, ENOENT, "systemd does not run here");
	if (!scope_supported())
		return err_set(e, EOPNOTSUPP, "this vmd was built without libsystemd");
	c->kind = CGROUP_SCOPE;
	c->controllers = CGROUP_CPU | CGROUP_MEMORY | CGROUP_PIDS;
	return 0;
}

/* Without being told: under systemd the tree is systemd's alone, whether it can be asked or not. */
static void cgroup_use_best(struct cgroups *c)
{
	struct err e = { 0 };
	int ret = cgroup_use_systemd(c, &e);

	if (ret == -ENOENT) {
		if (!cgroup_is_v2(CGROUP_MOUNT))
			ret = err_set(&e, ENOENT,
				      "'" CGROUP_MOUNT "' is no cgroup file system of version 2");
		else
			ret = cgroup_use_tree(c, CGROUP_MOUNT "/vmd", &e);
	}
	if (ret < 0)
		snprintf(c->why, sizeof(c->why), "%s", e.msg);
	if (ret >= 0 && !c->controllers) { /* a group that limits nothing is of no use */
		c->kind = CGROUP_NONE;
		rmdir(c->base);
	}
}

int cgroups_init(struct cgroups *c, const char *option, struct err *e)
{
	*c = (struct cgroups){ .kind = CGROUP_NONE };
	if (!option)
		cgroup_use_best(c);
	else if (!strcmp(option, "none"))
		snprintf(c->why, sizeof(c->why), "vmd was told so: --cgroup none");
	else if (!strcmp(option, "systemd"))
		return cgroup_use_systemd(c, e);
	else
		return cgroup_use_tree(c, option, e);
	return 0;
}

/* --- a VM's ------------------------------------------------------------------------------------------- */

void cgroup_name(const struct cgroups *c, const char *vm, char out[static STATE_CGROUP_SIZE])
{
	char random[STATE_ID_SIZE];

	state_uuid(random);
	if (c->kind == CGROUP_SCOPE)
		snprintf(out, STATE_CGROUP_SIZE, "vmd-%.64s-%.8s.scope", vm, random);
	else
		snprintf(out, STATE_CGROUP_SIZE, "%s/%.64s-%.8s", c->base, vm, random);
}

void cgroup_counts(const char *name, char *out, size_t size)
{
	char slice[CGROUP_SLICE_SIZE];

	if (name[0] == '/') {
		snprintf(out, size, "%s", name);
		return;
	}
	cgroup_slice(name, slice);
	snprintf(out, size, CGROUP_MOUNT "/machine.slice/%s", slice);
}

void cgroup_slice(const char *scope, char out[static CGROUP_SLICE_SIZE])
{
	int len = (int)(strlen(scope) - strlen(".scope"));

	snprintf(out, CGROUP_SLICE_SIZE, "machine-%.*s.slice", len, scope);
	/* a '-' would put one more slice around it */
	for (char *p = out + strlen("machine-"); *p; p++)
		*p = *p == '-' ? '_' : *p;
}

void cgroup_limits(struct json_object *config, struct cgroup_limits *ret_limits)
{
	struct json_object *limits = json_get(config, "limits");

	*ret_limits = (struct cgroup_limits){
		.required = json_get_bool(limits, "required", false),
		.cpu_percent = (uint32_t)json_get_int(limits, "cpu_percent", 0),
		.cpu_weight = (uint32_t)json_get_int(limits, "cpu_weight", 100),
		.memory = (uint64_t)json_get_int(limits, "memory", 0),
		.tasks = (uint64_t)json_get_int(limits, "tasks", 0),
	};
}

int cgroup_check(const struct cgroups *c, const struct cgroup_limits *limits, const char *vm,
		 struct err *e)
{
	if (!limits->required || (c->kind != CGROUP_NONE && !c->why[0]))
		return 0;
	err_set(e, ERR_LIMITS, "the limits of VM '%s' cannot be kept here: %s", vm, c->why);
	return err_hint(e, "take 'limits' out of its definition, or see --cgroup in vmd(8)");
}

static int cgroup_limit(int dir, const char *file, const char *text, struct err *e)
{
	int ret = cgroup_write(dir, file, text);

	return ret < 0 ? err_ret(e, ret, "cannot set %s to '%s'", file, text) : 0;
}

static int cgroup_set_cpu(int dir, const struct cgroup_limits *limits, struct err *e)
{
	char text[64] = "max";
	int ret;

	if (limits->cpu_percent)
		snprintf(text, sizeof(text), "%llu %d",
			 (unsigned long long)limits->cpu_percent * (CGROUP_PERIOD_US / 100),
			 CGROUP_PERIOD_US);
	ret = cgroup_limit(dir, "cpu.max", text, e);
	snprintf(text, sizeof(text), "%u", limits->cpu_weight);
	return ret < 0 ? ret : cgroup_limit(dir, "cpu.weight", text, e);
}

static int cgroup_set_number(int dir, const char *file, uint64_t value, struct err *e)
{
	char text[32];

	snprintf(text, sizeof(text), "%llu", (unsigned long long)value);
	return value ? cgroup_limit(dir, file, text, e) : 0;
}

static int cgroup_set(int dir, unsigned int controllers, const struct cgroup_limits *limits,
		      struct err *e)
{
	int ret = 0;

	if (controllers & CGROUP_CPU)
		ret = cgroup_set_cpu(dir, limits, e);
	if (ret >= 0 && controllers & CGROUP_PIDS)
		ret = cgroup_set_number(dir, "pids.max", limits->tasks, e);
	if (ret >= 0 && controllers & CGROUP_MEMORY)
		ret = cgroup_set_number(dir, "memory.max", limits->memory, e);
	/* all or nothing: a monitor without one of its processes is of no use */
	if (ret >= 0 && controllers & CGROUP_MEMORY)
		ret = cgroup_limit(dir, "memory.oom.group", "1", e);
	return ret;
}

int cgroup_make(const struct cgroups *c, const char *name, const struct cgroup_limits *limits,
		struct err *e)
{
	AUTO_CLOSE int dir = -1;
	int ret;

	if (mkdir(name, 0755) < 0)
		return err_errno(e, "cannot make the cgroup '%s'", name);
	dir = open(name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	ret = dir < 0 ? err_errno(e, "cannot open the cgroup '%s'", name)
		      : cgroup_set(dir, c->controllers, limits, e);
	if (ret < 0) {
		rmdir(name);
		return ret;
	}
	return TAKE_FD(dir);
}

int cgroup_remove(const char *name)
{
	AUTO_CLOSE int dir = open(name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (dir >= 0 && cgroup_is_v2(name))
		cgroup_write(dir, "cgroup.kill", "1");
	return rmdir(name) < 0 && errno != ENOENT ? -errno : 0;
}

int cgroup_of(pid_t pid, char *out, size_t size)
{
	AUTO_CLOSE int fd = -1;
	static const char deleted[] = " (deleted)";
	char path[64], text[4096], *line, *end;
	ssize_t n;

	snprintf(path, sizeof(path), "/proc/%d/cgroup", (int)pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	n = fd < 0 ? -errno : fdio_read(fd, text, sizeof(text) - 1);
	if (n < 0)
		return (int)n;
	text[n] = '\0';
	line = strncmp(text, "0::", 3) ? strstr(text, "\n0::") : text;
	if (!line)
		return -ENOENT;
	line = strchr(line, '/');
	if (!line)
		return -ENOENT;
	line[strcspn(line, "\n")] = '\0';
	/* of a zombie whose group systemd was quick to remove */
	end = line + strlen(line) - strlen(deleted);
	if (end > line && !strcmp(end, deleted))
		*end = '\0';
	if (snprintf(out, size, CGROUP_MOUNT "%s", line) >= (int)size)
		return -ENAMETOOLONG;
	return 0;
}

bool cgroup_is(const char *folder, const char *name)
{
	const char *a = strrchr(folder, '/'), *b = strrchr(name, '/');

	return a && !strcmp(a + 1, b ? b + 1 : name);
}
