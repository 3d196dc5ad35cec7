// SPDX-License-Identifier: MIT
/* vmd under a service manager, which the test plays: sockets and descriptors handed over, and what vmd says. */
#include "tests/functional/harness.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>

#include "lib/conn.h"
#include "lib/errcat.h"
#include "lib/fdio.h"
#include "tests/lib/skip.h"
#include "tests/lib/tempdir.h"

#define FIRST 3 /* where handed descriptors begin */

/* Start vmd as a service manager does, with n descriptors and their names. vmm: its path, or NULL. */
static void manager_start(struct harness *h, const char *vmm, const int *fds, int n,
			  const char *names, const char *watchdog_usec)
{
	char vmd[4096], notify[160], text[16];

	harness_program("vmd", vmd, sizeof(vmd));
	snprintf(notify, sizeof(notify), "%s/notify", h->dir);
	h->vmd = fork();
	assert_true(h->vmd >= 0);
	if (h->vmd)
		return;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	for (int i = 0; i < n; i++) /* out of each other's way first */
		dup2(fds[i], 100 + i);
	for (int i = 0; i < n; i++)
		dup2(100 + i, FIRST + i);
	for (int i = 0; i < n; i++)
		close(100 + i);
	setenv("NOTIFY_SOCKET", notify, 1);
	snprintf(text, sizeof(text), "%d", n);
	setenv("LISTEN_FDS", text, 1);
	setenv("LISTEN_FDNAMES", names, 1);
	snprintf(text, sizeof(text), "%d", (int)getpid());
	setenv("LISTEN_PID", text, 1);
	if (watchdog_usec) {
		setenv("WATCHDOG_USEC", watchdog_usec, 1);
		setenv("WATCHDOG_PID", text, 1);
	}
	execl(vmd, vmd, "--foreground", "--socket", h->socket, "--state-dir", h->state_dir,
	      "--run-dir", h->run_dir, "--monitor-uids", h->uids, vmm ? "--vmm" : NULL, vmm, NULL);
	_exit(127);
}

/*
 * What vmd says next; what it hands over comes as ret_fd (may be NULL; -1 for nothing). The text is valid
 * until the next call.
 */
static const char *manager_next(struct harness *h, int *ret_fd)
{
	static char text[512];
	struct pollfd p = { .fd = h->notify, .events = POLLIN };
	struct fdset fds;
	ssize_t n;

	fdset_init(&fds);
	if (poll(&p, 1, HARNESS_WAIT_MS) != 1)
		fail_msg("vmd says nothing to its service manager");
	n = fdio_recv(h->notify, text, sizeof(text) - 1, &fds);
	assert_true(n > 0);
	text[n] = '\0';
	if (ret_fd)
		*ret_fd = fds.n ? fdset_take(&fds, 0) : -1;
	fdset_fini(&fds);
	return text;
}

static void manager_wait(struct harness *h, const char *line, int *ret_fd)
{
	for (;;) {
		const char *text = manager_next(h, ret_fd);

		if (!strncmp(text, line, strlen(line)))
			return;
		if (ret_fd && *ret_fd >= 0)
			close(*ret_fd);
	}
}

/* Which process? */
static pid_t pidfd_pid(int fd)
{
	char path[64], text[512], *line;
	int info, pid = 0;
	ssize_t n;

	snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", fd);
	info = open(path, O_RDONLY | O_CLOEXEC);
	assert_true(info >= 0);
	n = fdio_read(info, text, sizeof(text) - 1);
	close(info);
	assert_true(n > 0);
	text[n] = '\0';
	line = strstr(text, "Pid:");
	assert_non_null(line);
	assert_int_equal(sscanf(line, "Pid: %d", &pid), 1);
	return pid;
}

/* --- sockets --- */

static void test_activated(void **state)
{
	struct harness *h = *state;
	int listener = conn_listen(h->socket, 0600, NULL), early;
	struct client *c;

	assert_true(listener >= 0);
	early = conn_connect(h->socket, NULL); /* before vmd is there */
	assert_true(early >= 0);
	manager_start(h, NULL, &listener, 1, "vmd", NULL);
	manager_wait(h, "READY=1", NULL);
	c = harness_client(h);
	json_object_put(client_result(c, "daemon.ping", NULL));
	client_close(h, c);
	assert_true(recv(early, (char[64]){ 0 }, 64, 0) > 0); /* greeted too */
	close(early);
	assert_int_equal(harness_vmd_end(h, SIGTERM), 0);
	/* the socket is the service manager's: the next client waits for the next vmd */
	early = conn_connect(h->socket, NULL);
	assert_true(early >= 0);
	manager_start(h, NULL, &listener, 1, "vmd", NULL);
	assert_true(recv(early, (char[64]){ 0 }, 64, 0) > 0);
	close(early);
	close(listener);
}

static void test_activated_read_only(void **state)
{
	struct harness *h = *state;
	char path[160];
	int fds[2] = { conn_listen(h->socket, 0600, NULL), -1 };
	struct client *c;

	snprintf(path, sizeof(path), "%s/handed.sock", h->dir);
	fds[1] = conn_listen(path, 0600, NULL);
	assert_true(fds[0] >= 0 && fds[1] >= 0);
	manager_start(h, NULL, fds, 2, "vmd:vmd-ro", NULL);
	manager_wait(h, "READY=1", NULL);
	c = harness_client_at(h, path);
	json_object_put(client_result(c, "vm.list", NULL));
	client_expect_error(c, "vm.delete", "{'vm': 'one'}", ERR_DENIED,
			    "vm.delete changes something, and this socket is for reading only",
			    "vmd's other socket serves all methods: vmd(8), --socket");
	assert_int_equal(harness_vmd_end(h, SIGTERM), 0);
	for (size_t i = 0; i < ARRAY_SIZE(fds); i++)
		close(fds[i]);
}

static void test_no_listener(void **state)
{
	struct harness *h = *state;
	int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0), status;
	struct stat st;

	manager_start(h, NULL, &fd, 1, "vmd", NULL);
	assert_int_equal(waitpid(h->vmd, &status, 0), h->vmd);
	h->vmd = 0;
	assert_int_equal(WEXITSTATUS(status), 1);
	assert_int_equal(stat(h->socket, &st), -1);
	close(fd);
}

static void test_socket_of_another_name(void **state)
{
	struct harness *h = *state;
	int fds[2] = { open("/dev/null", O_RDONLY | O_CLOEXEC),
		       open("/dev/null", O_RDONLY | O_CLOEXEC) };
	struct client *c;

	manager_start(h, NULL, fds, 2, "other:vm-0000", NULL);
	/* what nobody knows is not kept open, and need not be kept */
	manager_wait(h, "FDSTOREREMOVE=1\nFDNAME=other\n", NULL);
	manager_wait(h, "FDSTOREREMOVE=1\nFDNAME=vm-0000\n", NULL);
	manager_wait(h, "READY=1", NULL);
	c = harness_client(h); /* on a socket of vmd's own */
	json_object_put(client_result(c, "daemon.ping", NULL));
	close(fds[0]);
	close(fds[1]);
}

/* --- what vmd says --- */

static void test_watchdog(void **state)
{
	struct harness *h = *state;

	manager_start(h, NULL, NULL, 0, "", "20000");
	manager_wait(h, "READY=1", NULL);
	for (int i = 0; i < 3; i++)
		manager_wait(h, "WATCHDOG=1", NULL);
	assert_int_equal(kill(h->vmd, SIGTERM), 0);
	manager_wait(h, "STOPPING=1", NULL);
	assert_int_equal(waitpid(h->vmd, NULL, 0), h->vmd);
	h->vmd = 0;
}

static void test_no_watchdog_unasked(void **state)
{
	struct harness *h = *state;

	manager_start(h, NULL, NULL, 0, "", "nonsense");
	manager_wait(h, "READY=1", NULL);
	assert_string_equal(manager_next(h, NULL), "STATUS=0 VMs running");
	assert_int_equal(kill(h->vmd, SIGTERM), 0);
	assert_string_equal(manager_next(h, NULL), "STOPPING=1\n");
	assert_int_equal(waitpid(h->vmd, NULL, 0), h->vmd);
	h->vmd = 0;
}

/* --- pidfds that are kept --- */

struct vm {
	char id[40], kept[80];
	pid_t pid;
	int pidfd; /* owned: as vmd handed it over */
	char vmm[256];
};

static pid_t vm_pid(struct harness *h)
{
	struct client *c = harness_client(h);
	AUTO_JSON struct json_object *o = client_result(c, "vm.get", "{'vm': 'one'}");

	client_close(h, c);
	return (pid_t)json_get_int(json_get(o, "observed"), "pid", 0);
}

/* A VM runs, and its pidfd has been handed over. */
static void vm_up(struct harness *h, struct vm *vm)
{
	AUTO_JSON struct json_object *o = NULL;
	char params[512], fake[4200];
	struct client *c;

	harness_program("../tests/functional/fake_vmm", fake, sizeof(fake));
	snprintf(vm->vmm, sizeof(vm->vmm), "%s/fake_vmm.ok", h->dir);
	assert_int_equal(symlink(fake, vm->vmm), 0);
	manager_start(h, vm->vmm, NULL, 0, "", NULL);
	manager_wait(h, "READY=1", NULL);
	c = harness_client(h);
	snprintf(params, sizeof(params),
		 "{'definition': {'name': 'one', 'boot': {'kernel': '%s'}}}",
		 harness_file(h, "kernel", "not looked at"));
	json_object_put(client_result(c, "vm.apply", params));
	json_object_put(client_result(c, "vm.start", "{'vm': 'one'}"));
	o = client_result(c, "vm.get", "{'vm': 'one'}");
	snprintf(vm->id, sizeof(vm->id), "%s", json_get_str(o, "id", ""));
	client_close(h, c);
	snprintf(vm->kept, sizeof(vm->kept), "FDSTORE=1\nFDNAME=vm-%s\n", vm->id);
	manager_wait(h, vm->kept, &vm->pidfd);
	vm->pid = vm_pid(h);
	assert_int_equal(pidfd_pid(vm->pidfd), vm->pid);
	manager_wait(h, "STATUS=1 VM running", NULL);
}

static void test_kept(void **state)
{
	struct harness *h = *state;
	char line[128], name[80];
	struct client *c;
	struct vm vm;

	if (!harness_has_kvm())
		SKIP_BECAUSE("no /dev/kvm");
	vm_up(h, &vm);
	harness_vmd_end(h, SIGKILL);
	snprintf(name, sizeof(name), "vm-%s", vm.id);
	manager_start(h, vm.vmm, &vm.pidfd, 1, name, NULL);
	/* it takes what was kept: nothing to keep anew, nothing to forget */
	assert_string_equal(manager_next(h, NULL), "READY=1\n");
	assert_string_equal(manager_next(h, NULL), "STATUS=1 VM running");
	assert_int_equal(vm_pid(h), vm.pid);
	c = harness_client(h);
	json_object_put(client_result(c, "vm.kill", "{'vm': 'one'}"));
	snprintf(line, sizeof(line), "FDSTOREREMOVE=1\nFDNAME=%s\n", name);
	manager_wait(h, line, NULL);
	close(vm.pidfd);
}

/* A pidfd of another process under the VM's name: not believed, and that process is left alone. */
static void test_kept_wrong(void **state)
{
	struct harness *h = *state;
	char name[80];
	struct client *c;
	struct vm vm;
	pid_t other;
	int fd;

	if (!harness_has_kvm())
		SKIP_BECAUSE("no /dev/kvm");
	vm_up(h, &vm);
	close(vm.pidfd);
	harness_vmd_end(h, SIGKILL);
	other = fork();
	if (!other)
		for (;;)
			pause();
	fd = harness_pidfd(other);
	snprintf(name, sizeof(name), "vm-%s", vm.id);
	manager_start(h, vm.vmm, &fd, 1, name, NULL);
	manager_wait(h, "READY=1", NULL);
	assert_int_equal(vm_pid(h), vm.pid);
	c = harness_client(h);
	json_object_put(client_result(c, "vm.kill", "{'vm': 'one'}"));
	assert_int_equal(waitpid(other, NULL, WNOHANG), 0);
	assert_int_equal(kill(other, SIGKILL), 0);
	assert_int_equal(waitpid(other, NULL, 0), other);
	close(fd);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define T(name) cmocka_unit_test_setup_teardown(name, harness_setup, harness_teardown)
		T(test_activated),   T(test_activated_read_only),
		T(test_no_listener), T(test_socket_of_another_name),
		T(test_watchdog),    T(test_no_watchdog_unasked),
		T(test_kept),	     T(test_kept_wrong),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
