// SPDX-License-Identifier: MIT
// The control socket's methods, each on a whole machine. Skips without /dev/kvm.
#include "tests/unit/tiny_machine.h"

#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "lib/conn.h"
#include "lib/errcat.h"
#include "lib/rpc.h"
#include "vmm/control.h"
#include "vmm/machine_impl.h"

struct client {
	struct tiny f;
	struct conn conn;
	struct control *control;
	struct json_object *inbox;    /* owned: an array, oldest first */
	struct json_object *timeline; /* owned: params of the last machine.timeline */
	bool closed;
};

static void client_message(struct conn *conn, struct json_object *msg, struct fdset *fds)
{
	struct client *c = conn->arg;

	(void)fds;
	if (strcmp(json_get_str(msg, "method", ""), "machine.timeline")) {
		json_object_array_add(c->inbox, json_object_get(msg));
		return;
	}
	json_object_put(c->timeline);
	c->timeline = json_object_get(json_get(msg, "params"));
}

static void client_closed(struct conn *conn, const struct err *why)
{
	struct client *c = conn->arg;

	(void)why;
	c->closed = true;
}

static const struct conn_ops client_ops = { .message = client_message, .closed = client_closed };

/* The next message, with what stands at the pointer. */
static void client_expect(struct client *c, const char *pointer, const char *value)
{
	struct json_object *msg, *o;

	while (!json_object_array_length(c->inbox) && !c->closed)
		uv_run(&c->f.loop, UV_RUN_ONCE);
	msg = json_object_array_get_idx(c->inbox, 0);
	o = json_at(msg, pointer);
	if (!o || strcmp(json_object_get_string(o), value))
		fail_msg("%s of %s is not %s", pointer, json_object_to_json_string(msg), value);
	json_object_array_del_idx(c->inbox, 0, 1);
}

static void client_call(struct client *c, const char *method, struct json_object *params,
			struct fdset *fds)
{
	conn_send(&c->conn, rpc_request(1, method, params), fds);
}

static void client_connect(struct client *c, const char *path, const char *state)
{
	int fd = conn_connect(path, NULL);

	assert_true(fd >= 0);
	assert_int_equal(conn_init(&c->conn, &c->f.loop, fd, &client_ops, c, NULL), 0);
	c->closed = false;
	client_expect(c, "/params/state", state);
}

static void client_init(struct client *c, char path[static 64])
{
	struct err e;
	int fd;

	memset(c, 0, sizeof(*c));
	tiny_loop(&c->f);
	c->inbox = json_object_new_array();
	snprintf(path, 64, "/tmp/vmm-test-%d.sock", (int)getpid());
	fd = conn_listen(path, 0600, &e);
	assert_true(fd >= 0);
	assert_int_equal(control_new(&c->f.loop, fd, NULL, &c->f.log, &c->control, &e), 0);
	client_connect(c, path, "empty");
}

static struct json_object *client_fd(unsigned int index)
{
	return json_add_int(json_new(), "fd", index);
}

static void client_configure(struct client *c, const uint8_t *code, size_t len, int kvm_fd,
			     int exit_fd, bool balloon)
{
	struct json_object *params = json_new();
	struct fdset fds;

	fdset_init(&fds);
	fdset_add(&fds, tiny_kernel(code, len));
	fdset_add(&fds, kvm_fd);
	fdset_add(&fds, exit_fd);
	json_add(params, "config",
		 tiny_json(&(struct tiny_options){ .vcpus = 1, .balloon = balloon }));
	json_add(params, "kvm", client_fd(1));
	json_add(params, "exit_record", client_fd(2));
	client_call(c, "machine.configure", params, &fds);
}

static void client_fini(struct client *c, const char *path, int status)
{
	while (!c->closed)
		uv_run(&c->f.loop, UV_RUN_ONCE);
	uv_close((uv_handle_t *)&c->f.deadline, NULL);
	while (!control_over(c->control))
		uv_run(&c->f.loop, UV_RUN_ONCE);
	assert_int_equal(control_status(c->control), status);
	control_free(c->control);
	assert_int_equal(uv_loop_close(&c->f.loop), 0);
	json_object_put(c->inbox);
	json_object_put(c->timeline);
	unlink(path);
}

static void control_lives_through_a_lost_connection(void **state)
{
	int kvm_fd = tiny_kvm(), record[2], console[2];
	char path[64], text[128] = "";
	struct fdset fds;
	struct client c;

	(void)state;
	assert_int_equal(pipe(record), 0);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, console), 0);
	client_init(&c, path);
	client_configure(&c, tiny_count, sizeof(tiny_count), kvm_fd, record[1], true);
	client_expect(&c, "/result/state", "created");
	client_call(&c, "machine.start", json_new(), NULL);
	client_expect(&c, "/result/state", "running");
	conn_close(&c.conn);
	while (!c.closed)
		uv_run(&c.f.loop, UV_RUN_ONCE);
	client_connect(&c, path, "running");
	client_call(&c, "machine.status", NULL, NULL);
	client_expect(&c, "/result/consoles/0", "com1");
	fdset_init(&fds);
	fdset_add(&fds, console[1]);
	client_call(&c, "console.attach", json_add_bool(json_new(), "scrollback", true), &fds);
	client_expect(&c, "/result/console", "com1");
	while (recv(console[0], text, 1, MSG_DONTWAIT) < 0)
		uv_run(&c.f.loop, UV_RUN_ONCE);
	assert_string_equal(text, "A");
	client_call(&c, "machine.pause", NULL, NULL);
	client_expect(&c, "/result/state", "paused");
	client_call(&c, "machine.quit", NULL, NULL);
	client_expect(&c, "/params/type", "killed");
	client_expect(&c, "/result/state", "ended");
	client_fini(&c, path, 4);
	assert_true(read(record[0], text, sizeof(text)) > 0);
	assert_ptr_equal(strstr(text, "{\"reason\":\"killed\",\"code\":0,"), text);
	close(record[0]);
	close(console[0]);
}

/* Each mark is there once, in order, and the first console byte is told when it comes. */
static void control_tells_the_timeline(void **state)
{
	static const char *const order[] = { "memory", "machine", "kernel", "start", "console" };
	int kvm_fd = tiny_kvm(), record[2];
	struct json_object *before = NULL;
	char path[64];
	struct client c;

	(void)state;
	assert_int_equal(pipe(record), 0);
	client_init(&c, path);
	client_configure(&c, tiny_count, sizeof(tiny_count), kvm_fd, record[1], true);
	client_expect(&c, "/result/state", "created");
	assert_null(c.timeline);
	client_call(&c, "machine.start", json_new(), NULL);
	client_expect(&c, "/result/state", "running");
	while (!c.timeline)
		uv_run(&c.f.loop, UV_RUN_ONCE);
	for (size_t i = 0; i < ARRAY_SIZE(order); i++) {
		assert_true(json_get_int(c.timeline, order[i], 0) > 0);
		if (i)
			assert_true(json_get_int(c.timeline, order[i], 0) >=
				    json_get_int(c.timeline, order[i - 1], 0));
	}
	assert_null(json_get(c.timeline, "kick"));
	/* a reset is no first start */
	before = json_object_get(c.timeline);
	client_call(&c, "machine.reset", NULL, NULL);
	client_expect(&c, "/params/type", "reset");
	client_expect(&c, "/result/state", "running");
	client_call(&c, "machine.status", NULL, NULL);
	while (!json_object_array_length(c.inbox))
		uv_run(&c.f.loop, UV_RUN_ONCE);
	assert_true(json_equal(json_at(json_object_array_get_idx(c.inbox, 0), "/result/timeline"),
			       before));
	json_object_array_del_idx(c.inbox, 0, 1);
	json_object_put(before);
	client_call(&c, "machine.quit", NULL, NULL);
	client_expect(&c, "/params/type", "killed");
	client_expect(&c, "/result/state", "ended");
	client_fini(&c, path, 4);
	close(record[0]);
}

static void control_reports_the_end(void **state)
{
	int kvm_fd = tiny_kvm(), record[2];
	char path[64], text[128] = "";
	struct client c;

	(void)state;
	assert_int_equal(pipe(record), 0);
	client_init(&c, path);
	client_configure(&c, tiny_exit_7, sizeof(tiny_exit_7), kvm_fd, record[1], true);
	client_expect(&c, "/result/state", "created");
	client_call(&c, "machine.start", NULL, NULL);
	client_expect(&c, "/result/state", "running");
	client_expect(&c, "/params/type", "guest-exit");
	client_fini(&c, path, 7);
	assert_true(read(record[0], text, sizeof(text)) > 0);
	assert_string_equal(text, "{\"reason\":\"guest-exit\",\"code\":7,\"message\":\"\"}\n");
	close(record[0]);
}

/* The memory that a guest shall have: what cannot be is refused, and nothing is said of a driver that is not there. */
static void control_sets_the_memory(void **state)
{
	static const char *const wrong[] = { "16777215", "33554433", "9007199254740991" };
	int kvm_fd = tiny_kvm(), record[2];
	char path[64];
	struct client c;

	(void)state;
	assert_int_equal(pipe(record), 0);
	client_init(&c, path);
	client_call(&c, "machine.memory", NULL, NULL);
	client_expect(&c, "/error/message", "the machine is empty");
	client_configure(&c, tiny_halt, sizeof(tiny_halt), kvm_fd, record[1], true);
	client_expect(&c, "/result/state", "created");
	client_call(&c, "machine.memory", NULL, NULL);
	client_expect(&c, "/result",
		      "{ \"size\": 33554432, \"target\": 33554432, \"actual\": 33554432, "
		      "\"driver\": false }");
	client_call(&c, "machine.memory", json_add_int(json_new(), "size", 16777216), NULL);
	client_expect(&c, "/result/target", "16777216");
	for (size_t i = 0; i < ARRAY_SIZE(wrong); i++) {
		client_call(&c, "machine.memory",
			    json_add_int(json_new(), "size", strtoll(wrong[i], NULL, 10)), NULL);
		client_expect(&c, "/error/data/name", "definition.invalid");
	}
	client_call(&c, "machine.memory", json_add_str(json_new(), "size", "1GiB"), NULL);
	client_expect(&c, "/error/message", "'size' is no number of bytes");
	client_call(&c, "machine.memory", NULL, NULL);
	client_expect(&c, "/result/target", "16777216");
	client_call(&c, "machine.quit", NULL, NULL);
	client_expect(&c, "/params/type", "killed");
	client_expect(&c, "/result/state", "ended");
	client_fini(&c, path, 4);
	close(record[0]);
}

static void control_refuses_by_name(void **state)
{
	char path[64];
	struct client c;

	(void)state;
	client_init(&c, path);
	client_call(&c, "machine.fly", NULL, NULL);
	client_expect(&c, "/error/message", "unknown method 'machine.fly'");
	client_call(&c, "machine.start", NULL, NULL);
	client_expect(&c, "/error/message", "the machine is empty");
	client_call(&c, "machine.configure", json_add(json_new(), "config", json_new()), NULL);
	client_expect(&c, "/error/message", "'kvm' names no descriptor");
	client_call(&c, "console.attach", NULL, NULL);
	client_expect(&c, "/error/message", "the VM has no console");
	client_call(&c, "machine.quit", NULL, NULL);
	client_expect(&c, "/result/state", "ended");
	client_fini(&c, path, 4);
}

static struct json_object *client_rng(const char *type, const char *id, const char *address)
{
	struct json_object *d = json_add_str(json_new(), "type", type);

	json_add_str(json_add_str(d, "id", id), "address", address);
	return json_add(json_new(), "device", d);
}

static void client_remove(struct client *c, const char *id)
{
	client_call(c, "device.remove", json_add_str(json_new(), "id", id), NULL);
}

static void client_set(struct client *c, const char *id, struct json_object *change)
{
	client_call(c, "device.set", json_add(json_add_str(json_new(), "id", id), "change", change),
		    NULL);
}

/* What is refused, and why. What is done: tests/functional/test_hotplug.c */
static void control_adds_and_removes_devices(void **state)
{
	int kvm_fd = tiny_kvm(), record[2];
	char path[64];
	struct client c;

	(void)state;
	assert_int_equal(pipe(record), 0);
	client_init(&c, path);
	client_call(&c, "device.add", client_rng("virtio-rng", "rng0", "00:05.0"), NULL);
	client_expect(&c, "/error/message", "the machine is empty");
	client_configure(&c, tiny_halt, sizeof(tiny_halt), kvm_fd, record[1], false);
	client_expect(&c, "/result/state", "created");
	client_call(&c, "device.add", client_rng("virtio-rng", "rng0", "00:05.0"), NULL);
	client_expect(&c, "/error/message", "cannot add a device: the VM is created");
	client_call(&c, "machine.start", json_new(), NULL);
	client_expect(&c, "/result/state", "running");
	/* it has no device with an I/O thread, and gets none now */
	client_call(&c, "device.add", client_rng("virtio-rng", "rng0", "00:05.0"), NULL);
	client_expect(&c, "/error/message", "device 'rng0': the VM runs without an I/O thread");
	client_call(&c, "device.add", client_rng("serial", "com2", "00:05.0"), NULL);
	client_expect(&c, "/error/code", "1232");
	client_call(&c, "device.add", client_rng("virtio-rng", "com1", "00:05.0"), NULL);
	client_expect(&c, "/error/message", "the VM has a device 'com1' already");
	client_call(&c, "device.add", NULL, NULL);
	client_expect(&c, "/error/message", "'device' is no object");
	client_remove(&c, "rng0");
	client_expect(&c, "/error/message", "the VM has no device 'rng0'");
	client_set(&c, "rng0", json_new());
	client_expect(&c, "/error/message", "the VM has no device 'rng0'");
	client_set(&c, "com1", json_new());
	client_expect(&c, "/error/message",
		      "nothing of device 'com1' of type serial can be changed while the VM runs");
	client_set(&c, "com1", NULL);
	client_expect(&c, "/error/message", "'change' is no object");
	client_remove(&c, "pci");
	client_expect(&c, "/error/message",
		      "device 'pci' of type pci-host cannot be removed from a VM that runs");
	client_call(&c, "machine.quit", NULL, NULL);
	client_expect(&c, "/params/type", "killed");
	client_expect(&c, "/result/state", "ended");
	client_fini(&c, path, 4);
	close(record[0]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(control_lives_through_a_lost_connection),
		cmocka_unit_test(control_tells_the_timeline),
		cmocka_unit_test(control_reports_the_end),
		cmocka_unit_test(control_sets_the_memory),
		cmocka_unit_test(control_refuses_by_name),
		cmocka_unit_test(control_adds_and_removes_devices),
	};

	return cmocka_run_group_tests_name("machine_control", tests, NULL, NULL);
}
