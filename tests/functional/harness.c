// SPDX-License-Identifier: MIT
/* The functional tests' harness: see harness.h. */
#include "tests/functional/harness.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/kvm.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>

#include "lib/auto.h"
#include "lib/conn.h"
#include "lib/fdio.h"
#include "lib/rpc.h"
#include "tests/lib/tempdir.h"

#define HARNESS_ARGS 32

struct client {
	int fd;	   /* owned */
	char *buf; /* owned */
	size_t len;
	struct fdset fds;
	struct json_object *events; /* owned: notifications that nobody has asked for yet */
	int last_id;
};

static void harness_poll(int fd, const char *what)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };
	int ret;

	do {
		ret = poll(&p, 1, HARNESS_WAIT_MS);
	} while (ret < 0 && errno == EINTR);
	if (ret != 1)
		fail_msg("nothing within %d s: %s", HARNESS_WAIT_MS / 1000, what);
}

void harness_program(const char *name, char *out, size_t size)
{
	char self[4096];
	ssize_t n = readlink("/proc/self/exe", self, sizeof(self) - 1);

	assert_true(n > 0);
	self[n] = '\0';
	/* BUILD/tests/functional/test_x */
	for (int i = 0; i < 3; i++)
		*strrchr(self, '/') = '\0';
	snprintf(out, size, "%s/bin/%s", self, name);
}

void harness_fake(struct harness *h, const char *mode, char *out, size_t size)
{
	char target[4096];

	harness_program("../tests/functional/fake_vmm", target, sizeof(target));
	/* the name says how it misbehaves: vmd passes neither arguments nor an environment */
	snprintf(out, size, "%s/fake_vmm.%s", h->dir, mode);
	if (symlink(target, out) < 0)
		assert_int_equal(errno, EEXIST);
}

int64_t harness_now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

bool harness_has_kvm(void)
{
	AUTO_CLOSE int fd = open("/dev/kvm", O_RDWR | O_CLOEXEC);

	return fd >= 0 && ioctl(fd, KVM_GET_API_VERSION, 0) == KVM_API_VERSION;
}

/* Process ids have 22 bits at most, so this stays below 2^32. */
static void harness_choose_uids(struct harness *h)
{
	static unsigned int made;
	unsigned int slot = (unsigned int)getpid() * HARNESS_AT_ONCE + made++ % HARNESS_AT_ONCE;

	h->uid_first = HARNESS_UID_FIRST + slot * HARNESS_UIDS;
	snprintf(h->uids, sizeof(h->uids), "%u-%u", h->uid_first, h->uid_first + HARNESS_UIDS - 1);
}

struct harness *harness_new(void)
{
	struct harness *h = calloc(1, sizeof(*h));
	struct sockaddr_un addr = { .sun_family = AF_UNIX };

	assert_non_null(h);
	signal(SIGPIPE, SIG_IGN);
	harness_choose_uids(h);
	h->dir = tempdir_new();
	snprintf(h->socket, sizeof(h->socket), "%s/vmd.sock", h->dir);
	snprintf(h->state_dir, sizeof(h->state_dir), "%s/state", h->dir);
	snprintf(h->run_dir, sizeof(h->run_dir), "%s/run", h->dir);
	snprintf(addr.sun_path, sizeof(addr.sun_path), "%s/notify", h->dir);
	h->notify = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	assert_int_equal(bind(h->notify, (struct sockaddr *)&addr, sizeof(addr)), 0);
	return h;
}

/* The monitors of VMs outlive vmd: those of this test are known by their control socket's directory. */
static void harness_kill_vmms(struct harness *h)
{
	AUTO_JSON struct json_object *r = NULL;
	struct json_object *vms;
	struct client *c;

	if (!h->vmd)
		harness_vmd(h, "ok", NULL);
	c = harness_client(h);
	r = client_result(c, "vm.list", NULL);
	vms = json_get(r, "vms");
	for (size_t i = 0; i < json_object_array_length(vms); i++) {
		struct json_object *vm = json_object_array_get_idx(vms, i);
		char params[128];

		snprintf(params, sizeof(params), "{'vm': '%s'}", json_get_str(vm, "name", ""));
		json_object_put(client_result(c, "vm.kill", params));
	}
}

void harness_free(struct harness *h)
{
	char db[160];

	if (!h)
		return;
	snprintf(db, sizeof(db), "%s/state.db", h->state_dir);
	if (access(db, F_OK) == 0)
		harness_kill_vmms(h);
	for (size_t i = 0; i < HARNESS_CLIENTS; i++)
		if (h->clients[i])
			client_close(h, h->clients[i]);
	if (h->vmd)
		harness_vmd_end(h, SIGTERM);
	close(h->notify);
	tempdir_remove(h->dir);
	free(h);
}

int harness_setup(void **state)
{
	*state = harness_new();
	return 0;
}

int harness_teardown(void **state)
{
	harness_free(*state);
	return 0;
}

static void harness_vmd_args(struct harness *h, const char *vmm, char **argv, va_list ap)
{
	static char vmd[4096];
	int n = 0;

	harness_program("vmd", vmd, sizeof(vmd));
	argv[n++] = vmd;
	argv[n++] = (char *)"--foreground";
	argv[n++] = (char *)"--socket";
	argv[n++] = h->socket;
	argv[n++] = (char *)"--state-dir";
	argv[n++] = h->state_dir;
	argv[n++] = (char *)"--run-dir";
	argv[n++] = h->run_dir;
	argv[n++] = (char *)"--monitor-uids";
	argv[n++] = h->uids;
	if (vmm) {
		argv[n++] = (char *)"--vmm";
		argv[n++] = (char *)vmm;
	}
	while (n < HARNESS_ARGS - 1 && (argv[n] = va_arg(ap, char *)))
		n++;
	argv[n] = NULL;
}

void harness_vmd(struct harness *h, const char *fake, ...)
{
	char *argv[HARNESS_ARGS], path[256], note[64] = "";
	ssize_t len;
	va_list ap;

	if (fake)
		harness_fake(h, fake, path, sizeof(path));
	va_start(ap, fake);
	harness_vmd_args(h, fake ? path : NULL, argv, ap);
	va_end(ap);
	assert_int_equal(h->vmd, 0);
	h->vmd = fork();
	assert_true(h->vmd >= 0);
	if (!h->vmd) {
		char name[160];

		snprintf(name, sizeof(name), "%s/notify", h->dir);
		prctl(PR_SET_PDEATHSIG, SIGKILL); /* a test that fails leaves no vmd behind */
		setenv("NOTIFY_SOCKET", name, 1);
		execv(argv[0], argv);
		perror(argv[0]);
		_exit(127);
	}
	do { /* a vmd before this one may have said that it stops */
		harness_poll(h->notify, "vmd is not ready");
		len = recv(h->notify, note, sizeof(note) - 1, 0);
		note[MAX(len, 0)] = '\0';
	} while (!strstr(note, "READY=1"));
}

int harness_vmd_fails(struct harness *h, char *err, size_t err_size, ...)
{
	struct harness_output *o = calloc(1, sizeof(*o));
	char *argv[HARNESS_ARGS];
	va_list ap;
	int status;

	va_start(ap, err_size);
	harness_vmd_args(h, NULL, argv, ap);
	va_end(ap);
	status = harness_run(NULL, o, argv);
	snprintf(err, err_size, "%s", o->err);
	free(o);
	return status;
}

int harness_vmd_end(struct harness *h, int sig)
{
	int status = 0, pidfd = harness_pidfd(h->vmd);

	assert_int_equal(kill(h->vmd, sig), 0);
	harness_wait_pidfd(pidfd);
	assert_int_equal(waitpid(h->vmd, &status, 0), h->vmd);
	h->vmd = 0;
	return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}

/* Read both pipes to their ends. */
static void harness_drain(int out, int err, struct harness_output *ret)
{
	struct pollfd p[2] = { { .fd = out, .events = POLLIN }, { .fd = err, .events = POLLIN } };
	char *to[2] = { ret->out, ret->err }, rest[4096];
	size_t size[2] = { sizeof(ret->out) - 1, sizeof(ret->err) - 1 }, len[2] = { 0, 0 };

	while (p[0].fd >= 0 || p[1].fd >= 0) {
		if (poll(p, 2, 3 * HARNESS_WAIT_MS) <= 0)
			fail_msg("a program does not end");
		for (int i = 0; i < 2; i++) {
			size_t room = size[i] - len[i];
			ssize_t n;

			if (p[i].fd < 0 || !p[i].revents)
				continue;
			n = room ? read(p[i].fd, to[i] + len[i], room)
				 : read(p[i].fd, rest, sizeof(rest));
			if (n <= 0)
				p[i].fd = -1;
			else if (room)
				len[i] += (size_t)n;
		}
	}
	ret->out[len[0]] = ret->err[len[1]] = '\0';
}

int harness_run(const char *input, struct harness_output *ret, char *const argv[])
{
	int in[2], out[2], err[2], status;
	pid_t pid;

	assert_int_equal(pipe2(in, O_CLOEXEC) | pipe2(out, O_CLOEXEC) | pipe2(err, O_CLOEXEC), 0);
	pid = fork();
	assert_true(pid >= 0);
	if (!pid) {
		dup2(in[0], 0);
		dup2(out[1], 1);
		dup2(err[1], 2);
		execv(argv[0], argv);
		perror(argv[0]);
		_exit(127);
	}
	close(in[0]);
	close(out[1]);
	close(err[1]);
	if (input)
		fdio_write(in[1], input, strlen(input)); /* short: it fits the pipe */
	close(in[1]);
	harness_drain(out[0], err[0], ret);
	close(out[0]);
	close(err[0]);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}

int harness_vmctl(struct harness *h, const char *input, struct harness_output *ret, ...)
{
	char *argv[HARNESS_ARGS], program[4096];
	int n = 0;
	va_list ap;

	harness_program("vmctl", program, sizeof(program));
	argv[n++] = program;
	argv[n++] = (char *)"--socket";
	argv[n++] = h->socket;
	va_start(ap, ret);
	while (n < HARNESS_ARGS - 1 && (argv[n] = va_arg(ap, char *)))
		n++;
	va_end(ap);
	argv[n] = NULL;
	return harness_run(input, ret, argv);
}

const char *harness_file(struct harness *h, const char *name, const char *text)
{
	static char path[256];

	tempdir_file(h->dir, name, text);
	snprintf(path, sizeof(path), "%s/%s", h->dir, name);
	return path;
}

/* --- a client --- */

struct client *harness_client(struct harness *h)
{
	return harness_client_at(h, h->socket);
}

struct client *harness_client_at(struct harness *h, const char *socket)
{
	struct client *c = calloc(1, sizeof(*c));
	struct json_object *hello;
	struct err e;
	size_t i = 0;

	assert_non_null(c);
	while (i < HARNESS_CLIENTS && h->clients[i])
		i++;
	assert_true(i < HARNESS_CLIENTS);
	h->clients[i] = c;
	c->fd = conn_connect(socket, &e);
	if (c->fd < 0)
		fail_msg("%s", e.msg);
	c->events = json_object_new_array();
	hello = client_next(c);
	assert_string_equal(json_get_str(hello, "method", ""), "vmd.hello");
	json_object_put(hello);
	return c;
}

struct client *harness_client_as(struct harness *h, uid_t uid, gid_t group)
{
	struct client *c;

	/* the kernel notes who connects when it connects */
	assert_int_equal(setgroups(1, &group) | setegid(uid) | seteuid(uid), 0);
	c = harness_client(h);
	assert_int_equal(seteuid(0) | setegid(0) | setgroups(0, NULL), 0);
	return c;
}

void client_close(struct harness *h, struct client *c)
{
	for (size_t i = 0; i < HARNESS_CLIENTS; i++)
		if (h->clients[i] == c)
			h->clients[i] = NULL;
	close(c->fd);
	free(c->buf);
	fdset_fini(&c->fds);
	json_object_put(c->events);
	free(c);
}

void client_send_line(struct client *c, const char *line)
{
	AUTO_FREE char *text = NULL;
	int len = asprintf(&text, "%s\n", line);

	/* by one call: vmd reads all of it at once, also where it is many lines */
	assert_true(len > 0);
	assert_int_equal(fdio_write(c->fd, text, (size_t)len), len);
}

void client_offer_line(struct client *c, const char *line)
{
	ssize_t n = fdio_write(c->fd, line, strlen(line));

	if (n >= 0)
		n = fdio_write(c->fd, "\n", 1);
	if (n < 0)
		assert_int_equal(n, -EPIPE);
}

struct json_object *client_next(struct client *c)
{
	struct json_object *o;
	struct err e;
	char *lf;
	ssize_t n;

	while (!c->len || !(lf = memchr(c->buf, '\n', c->len))) {
		c->buf = realloc(c->buf, c->len + 65536);
		assert_non_null(c->buf);
		harness_poll(c->fd, "vmd says nothing");
		n = fdio_recv(c->fd, c->buf + c->len, 65536, &c->fds);
		if (n <= 0)
			return NULL;
		c->len += (size_t)n;
	}
	if (json_parse(c->buf, (size_t)(lf - c->buf), &o, &e) < 0)
		fail_msg("vmd sent no JSON: %s", e.msg);
	c->len -= (size_t)(lf + 1 - c->buf);
	memmove(c->buf, lf + 1, c->len);
	return o;
}

static struct json_object *client_parse(const char *text)
{
	char *json = strdup(text ? text : "{}");
	struct json_object *o;
	struct err e;

	assert_non_null(json);
	for (char *p = json; *p; p++)
		if (*p == '\'')
			*p = '"';
	if (json_parse(json, strlen(json), &o, &e) < 0)
		fail_msg("the test's JSON is wrong: %s: %s", json, e.msg);
	free(json);
	return o;
}

int client_ask(struct client *c, const char *method, const char *params)
{
	AUTO_JSON struct json_object *msg = rpc_request(++c->last_id, method, client_parse(params));

	client_send_line(c, json_object_to_json_string_ext(msg, JSON_C_TO_STRING_PLAIN));
	return c->last_id;
}

struct json_object *client_answer(struct client *c, int id)
{
	for (;;) {
		struct json_object *o = client_next(c);

		if (!o)
			fail_msg("vmd has closed the connection");
		if (!json_get(o, "method") && json_get_int(o, "id", -1) == id)
			return o;
		if (!json_get(o, "method"))
			fail_msg("another answer: %s", json_object_to_json_string(o));
		json_object_array_add(c->events, o);
	}
}

struct json_object *client_result(struct client *c, const char *method, const char *params)
{
	AUTO_JSON struct json_object *o = client_answer(c, client_ask(c, method, params));

	if (!json_get(o, "result"))
		fail_msg("%s %s: %s", method, params ? params : "", json_object_to_json_string(o));
	return json_object_get(json_get(o, "result"));
}

struct json_object *client_error(struct client *c, const char *method, const char *params)
{
	AUTO_JSON struct json_object *o = client_answer(c, client_ask(c, method, params));

	if (!json_get(o, "error"))
		fail_msg("%s %s: %s", method, params ? params : "", json_object_to_json_string(o));
	return json_object_get(json_get(o, "error"));
}

void client_expect_error(struct client *c, const char *method, const char *params, int code,
			 const char *message, const char *hint)
{
	AUTO_JSON struct json_object *o = client_error(c, method, params);

	assert_string_equal(json_get_str(o, "message", ""), message);
	assert_int_equal(json_get_int(o, "code", 0), code);
	assert_string_equal(json_get_str(json_get(o, "data"), "hint", ""), hint);
}

static bool client_is_event(struct json_object *o, const char *type, const char *to)
{
	struct json_object *params = json_get(o, "params");

	return !strcmp(json_get_str(o, "method", ""), "event") &&
	       !strcmp(json_get_str(params, "type", ""), type) &&
	       (!to || !strcmp(json_get_str(json_get(params, "data"), "to", ""), to));
}

struct json_object *client_event(struct client *c, const char *type, const char *to)
{
	struct json_object *o;

	for (size_t i = 0; i < json_object_array_length(c->events); i++) {
		o = json_object_array_get_idx(c->events, i);
		if (!client_is_event(o, type, to))
			continue;
		o = json_object_get(json_get(o, "params"));
		/* what came before it is not asked for any more */
		json_object_array_del_idx(c->events, 0, i + 1);
		return o;
	}
	json_object_array_del_idx(c->events, 0, json_object_array_length(c->events));
	for (;;) {
		struct json_object *params;

		o = client_next(c);
		if (!o)
			fail_msg("vmd has closed the connection; waited for %s", type);
		params = json_object_get(json_get(o, "params"));
		if (client_is_event(o, type, to)) {
			json_object_put(o);
			return params;
		}
		json_object_put(params);
		json_object_put(o);
	}
}

int client_fd(const struct client *c)
{
	return c->fd;
}

int client_take_fd(struct client *c)
{
	int fd = c->fds.n ? fdset_take(&c->fds, c->fds.n - 1) : -1;

	fdset_fini(&c->fds);
	return fd;
}

/* --- processes --- */

int harness_pidfd(pid_t pid)
{
	return (int)syscall(SYS_pidfd_open, pid, 0);
}

void harness_wait_pidfd(int take_pidfd)
{
	if (take_pidfd < 0)
		return; /* it is gone already */
	harness_poll(take_pidfd, "a process does not end");
	close(take_pidfd);
}

unsigned int harness_count_fds(pid_t pid)
{
	unsigned int n = 0;
	char path[64];
	DIR *dir;

	snprintf(path, sizeof(path), "/proc/%d/fd", (int)pid);
	dir = opendir(path);
	assert_non_null(dir);
	while (readdir(dir))
		n++;
	closedir(dir);
	return n - 2;
}
