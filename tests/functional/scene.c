// SPDX-License-Identifier: MIT
/* See scene.h. */
#include "tests/functional/scene.h"

#include <dirent.h>
#include <poll.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "lib/fdio.h"

#define SCENE_TURNS 20

void scene_define(struct client *c, const char *name, const char *kernel)
{
	char params[512];

	snprintf(params, sizeof(params),
		 "{'definition': {'name': '%s', 'memory': '64MiB', 'boot': {'kernel': '%s'}}}",
		 name, kernel);
	json_object_put(client_result(c, "vm.apply", params));
}

void scene_serve_roles(struct harness *h)
{
	harness_vmd(h, "ok", "--admin-group", "54301", "--operator-group", "54302",
		    "--viewer-group", "54303", NULL);
	assert_int_equal(chmod(h->dir, 0711), 0);
}

int scene_setup_roles(void **state)
{
	*state = harness_new();
	if (!geteuid())
		scene_serve_roles(*state);
	return 0;
}

struct client *scene_begin(struct harness *h, const char *fake, const char *step_timeout)
{
	struct client *c;

	harness_vmd(h, fake, "--step-timeout", step_timeout, NULL);
	c = harness_client(h);
	scene_define(c, "one", harness_file(h, "kernel", "not looked at"));
	json_object_put(client_result(c, "event.subscribe", NULL));
	return c;
}

struct client *scene_start_guest(struct harness *h, const char *program, const char *cmdline,
				 const char *members)
{
	char name[64], path[512], params[2048];
	struct client *c;

	snprintf(name, sizeof(name), "../tests/guest/%s", program);
	harness_program(name, path, sizeof(path));
	harness_vmd(h, NULL, "--cgroup", "none", NULL);
	c = harness_client(h);
	snprintf(params, sizeof(params),
		 "{'definition': {'name': 'one', 'memory': '32MiB',"
		 " 'boot': {'kernel': '%s', 'cmdline': '%s'}, %s}}",
		 path, cmdline, members);
	json_object_put(client_result(c, "vm.apply", params));
	json_object_put(client_result(c, "event.subscribe", "{}"));
	json_object_put(client_result(c, "vm.start", "{'vm': 'one'}"));
	return c;
}

void scene_says(struct client *c, const char *regex)
{
	char params[200];

	snprintf(params, sizeof(params),
		 "{'vm': 'one', 'for': 'console', 'regex': '%s', 'timeout_ms': %d}", regex,
		 HARNESS_WAIT_MS * 3 / 4);
	json_object_put(client_result(c, "vm.wait", params));
}

struct client *scene_restart(struct harness *h, struct client *c, int signal, const char *fake)
{
	client_close(h, c);
	harness_vmd_end(h, signal);
	harness_vmd(h, fake, "--step-timeout", SCENE_LONG, NULL);
	return harness_client(h);
}

void scene_end_all(struct harness *h, struct client *c, const char *vm)
{
	pid_t pid = scene_pid(c, vm);
	int pidfd = harness_pidfd(pid);

	client_close(h, c);
	harness_vmd_end(h, SIGKILL);
	assert_int_equal(kill(pid, SIGKILL), 0);
	harness_wait_pidfd(pidfd);
}

static struct json_object *scene_get(struct client *c, const char *vm)
{
	char params[128];

	snprintf(params, sizeof(params), "{'vm': '%s'}", vm);
	return client_result(c, "vm.get", params);
}

pid_t scene_pid(struct client *c, const char *vm)
{
	AUTO_JSON struct json_object *o = scene_get(c, vm);

	return (pid_t)json_get_int(json_get(o, "observed"), "pid", 0);
}

const char *scene_path(struct harness *h, struct client *c, const char *vm, const char *name)
{
	AUTO_JSON struct json_object *o = scene_get(c, vm);
	static char path[256];

	snprintf(path, sizeof(path), "%s/%s/%s", h->run_dir, json_get_str(o, "id", ""), name);
	return path;
}

void scene_expect_state(struct client *c, const char *vm, const char *state)
{
	AUTO_JSON struct json_object *o = scene_get(c, vm);

	assert_string_equal(json_get_str(json_get(o, "observed"), "state", ""), state);
}

void scene_expect_exit(struct client *c, const char *vm, const char *reason, const char *message)
{
	AUTO_JSON struct json_object *o = scene_get(c, vm);
	struct json_object *exit = json_get(json_get(o, "observed"), "exit");

	assert_string_equal(json_get_str(exit, "reason", ""), reason);
	if (message)
		assert_string_equal(json_get_str(exit, "message", ""), message);
}

static void scene_show_fds(pid_t pid)
{
	char path[300], to[256];
	struct dirent *entry;
	DIR *dir;
	ssize_t n;

	snprintf(path, sizeof(path), "/proc/%d/fd", (int)pid);
	dir = opendir(path);
	while (dir && (entry = readdir(dir))) {
		snprintf(path, sizeof(path), "/proc/%d/fd/%.16s", (int)pid, entry->d_name);
		n = readlink(path, to, sizeof(to));
		if (n > 0)
			print_message("# %s -> %.*s\n", path, (int)n, to);
	}
	if (dir)
		closedir(dir);
}

unsigned int scene_fds(struct harness *h, struct client *c)
{
	unsigned int least = harness_count_fds(h->vmd);

	for (unsigned int i = 0; i < SCENE_TURNS; i++) {
		unsigned int n;

		json_object_put(client_result(c, "daemon.ping", NULL));
		n = harness_count_fds(h->vmd);
		least = MIN(n, least);
	}
	return least;
}

void scene_expect_fds(struct harness *h, struct client *c, unsigned int expected)
{
	time_t until = time(NULL) + HARNESS_WAIT_MS / 1000;
	unsigned int n = harness_count_fds(h->vmd);

	/* each ping is a turn of vmd's loop or less; its workers open and close files meanwhile */
	while (n != expected && time(NULL) < until) {
		json_object_put(client_result(c, "daemon.ping", NULL));
		n = harness_count_fds(h->vmd);
	}
	if (n != expected)
		scene_show_fds(h->vmd);
	assert_int_equal(n, expected);
}

void scene_hear(int fd, const char *text)
{
	size_t len = strlen(text), have = 0;
	char got[8192] = "";

	assert_true(len < sizeof(got));
	while (have < len) {
		struct pollfd p = { .fd = fd, .events = POLLIN };
		ssize_t n;

		assert_int_equal(poll(&p, 1, HARNESS_WAIT_MS), 1);
		n = read(fd, got + have, len - have);
		assert_true(n > 0);
		have += (size_t)n;
	}
	assert_string_equal(got, text);
}

unsigned int scene_count_files(const char *path)
{
	DIR *dir = opendir(path);
	unsigned int n = 0;

	assert_non_null(dir);
	while (readdir(dir))
		n++;
	closedir(dir);
	return n - 2;
}

unsigned int scene_count_children(pid_t pid)
{
	char path[64], text[256] = "";
	unsigned int n = 0;
	int fd;

	snprintf(path, sizeof(path), "/proc/%d/task/%d/children", (int)pid, (int)pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return 0; /* a kernel without CONFIG_PROC_CHILDREN */
	assert_true(fdio_read(fd, text, sizeof(text) - 1) >= 0);
	close(fd);
	for (char *p = text; *p; p++)
		n += *p == ' ';
	return n;
}

void scene_expect_attachments(struct client *c, const char *name, const char *expected)
{
	AUTO_JSON struct json_object *vm = NULL;
	struct json_object *list;
	char text[256] = "", params[100];

	snprintf(params, sizeof(params), "{'vm': '%s'}", name);
	vm = client_result(c, "vm.get", params);
	list = json_get(vm, "attachments");
	for (size_t i = 0; list && i < json_object_array_length(list); i++) {
		struct json_object *o = json_object_array_get_idx(list, i);

		snprintf(text + strlen(text), sizeof(text) - strlen(text), "%s%s %s", i ? ", " : "",
			 json_get_str(o, "device", ""), json_get_str(o, "state", ""));
	}
	assert_string_equal(text, expected);
}
