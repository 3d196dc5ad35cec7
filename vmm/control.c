// SPDX-License-Identifier: MIT
/*
 * vmd's side door to the monitor: see control.h for the methods. One connection, the newest wins; losing it
 * changes nothing for the machine. Control loop.
 */
#include "vmm/control_impl.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "lib/auto.h"
#include "lib/errcat.h"
#include "lib/rpc.h"
#include "vmm/console.h"
#include "vmm/machine.h"

/* The last message may wait for vmd to read no longer than this */
#define CONTROL_LINGER_MS 3000

struct control_method {
	const char *name;
	int (*run)(struct control *c, struct control_call *call, struct json_object **ret_result,
		   struct err *e);
};

const char *control_state(const struct control *c)
{
	if (c->ended)
		return machine_state_name(MACHINE_ENDED);
	return c->machine ? machine_state_name(machine_get_state(c->machine)) : "empty";
}

static struct json_object *control_state_json(const struct control *c)
{
	return json_add_str(json_new(), "state", control_state(c));
}

static struct json_object *control_timeline_json(const struct control *c)
{
	static const char *const names[MACHINE_MARKS] = { "memory", "pinned",  "machine", "kernel",
							  "start",  "console", "kick" };
	struct json_object *o = json_new();

	for (size_t i = 0; c->machine && i < ARRAY_SIZE(names); i++) {
		uint64_t at = machine_get_mark(c->machine, (enum machine_mark)i);

		if (at)
			json_add_int(o, names[i], (int64_t)at);
	}
	return o;
}

/* --- the end ---------------------------------------------------------------------------------------- */

static void control_linger_cb(uv_timer_t *t)
{
	struct control *c = t->data;

	if (c->client)
		conn_close(&c->client->conn);
}

/* vmd is away: what the guest said last waits for the next one in a file. */
static void control_save_consoles(struct control *c)
{
	struct console *console;

	if (c->tail_fd < 0 || !c->machine)
		return;
	for (unsigned int i = 0; (console = machine_console_at(c->machine, i)); i++)
		console_save(console, c->tail_fd);
}

/* The machine stays as it ended: the process goes next, and the kernel takes all of it in one go. */
static void control_left(struct control *c)
{
	uv_close((uv_handle_t *)&c->linger, NULL);
	c->left = true;
}

/* No more is wanted of the loop, once the last message is out. */
static void control_shut(struct control *c)
{
	if (c->closing)
		return;
	c->closing = true;
	uv_close((uv_handle_t *)&c->listen, NULL);
	uv_timer_start(&c->linger, control_linger_cb, CONTROL_LINGER_MS, 0);
	control_save_consoles(c);
	if (c->machine)
		machine_kill(c->machine, "closed");
	if (c->client)
		conn_finish(&c->client->conn);
	if (!c->nclients)
		control_left(c);
}

static void control_notify(struct control *c, const char *type, const char *message)
{
	struct json_object *params = json_add_str(json_new(), "type", type);

	if (message && *message)
		json_add_str(params, "message", message);
	if (c->client)
		conn_send(&c->client->conn, rpc_notification("machine.event", params), NULL);
	else
		json_object_put(params);
}

static void control_machine_event(void *arg, const char *type, const char *message)
{
	struct control *c = arg;

	if (!c->closing)
		control_notify(c, type, message);
}

static void control_machine_panic(void *arg, bool handled, const char *console)
{
	struct control *c = arg;
	struct json_object *params;

	if (!c->client || c->closing)
		return;
	params = json_add_str(json_add_bool(json_new(), "handled", handled), "console", console);
	conn_send(&c->client->conn, rpc_notification("machine.panic", params), NULL);
}

static void control_machine_removed(void *arg, const char *id)
{
	struct control *c = arg;

	if (c->client)
		conn_send(&c->client->conn,
			  rpc_notification("device.removed", json_add_str(json_new(), "id", id)),
			  NULL);
}

static void control_machine_marked(void *arg)
{
	struct control *c = arg;

	if (c->client && !c->closing)
		conn_send(&c->client->conn,
			  rpc_notification("machine.timeline", control_timeline_json(c)), NULL);
}

static void control_machine_ended(void *arg, const struct lastwords *w)
{
	struct control *c = arg;

	c->words = *w;
	c->ended = true;
	/* first of all: vmd reads it after our end, and may be away now */
	lastwords_write(w, c->exit_fd);
	control_notify(c, lastwords_reason_name(w->reason), w->message);
	if (!c->in_call)
		control_shut(c);
}

static void control_machine_thread(void *arg, enum seccomp_table kind)
{
	struct control *c = arg;

	sandbox_thread(c->sandbox, kind);
}

static const struct machine_ops control_machine_ops = {
	.event = control_machine_event,
	.panic = control_machine_panic,
	.removed = control_machine_removed,
	.marked = control_machine_marked,
	.ended = control_machine_ended,
	.thread = control_machine_thread,
};

/* --- methods ------------------------------------------------------------------------------------------ */

int control_take_fd(struct control_call *call, const char *member, struct err *e)
{
	struct json_object *o = json_get(call->params, member);
	int64_t index = json_get_int(o, "fd", -1);
	int fd = index < 0 || index >= FDSET_MAX ? -EBADF
						 : fdset_take(call->fds, (unsigned int)index);

	if (fd < 0)
		return err_set(e, ERR_RPC_PARAMS, "'%s' names no descriptor", member);
	return fd;
}

static int control_make_machine(struct control *c, struct control_call *call, int take_kvm_fd,
				struct err *e)
{
	struct machine_config config;
	int r = config_parse(json_get(call->params, "config"), call->fds, &config, e);

	if (r < 0) {
		close(take_kvm_fd);
		return r;
	}
	if (json_get(call->params, "cpuid")) {
		r = control_take_fd(call, "cpuid", e);
		if (r >= 0)
			r = cpu_support_get(&config.support, take_kvm_fd, r, e);
	}
	if (r < 0) {
		config_fini(&config);
		close(take_kvm_fd);
		return r;
	}
	snprintf(c->name, sizeof(c->name), "%s", config.name);
	r = machine_new(c->loop, &config, take_kvm_fd, c->log, &control_machine_ops, c, &c->machine,
			e);
	if (r >= 0) {
		r = machine_fit(c->machine, call->fds, e);
		if (r < 0)
			machine_close(TAKE_PTR(c->machine));
	}
	/* every file, thread and ring is there: what follows meets the guest's bytes, its kernel's first */
	if (r >= 0)
		sandbox_thread(c->sandbox, SECCOMP_CONTROL);
	return r;
}

static int control_configure(struct control *c, struct control_call *call,
			     struct json_object **ret_result, struct err *e)
{
	AUTO_CLOSE int kvm_fd = -1, exit_fd = -1, tail_fd = -1;
	int r;

	if (c->configured)
		return err_set(e, ERR_VM_STATE, "this monitor has its machine already");
	if (!json_object_is_type(json_get(call->params, "config"), json_type_object))
		return err_set(e, ERR_RPC_PARAMS, "'config' is no object");
	kvm_fd = control_take_fd(call, "kvm", e);
	if (kvm_fd < 0)
		return kvm_fd;
	exit_fd = control_take_fd(call, "exit_record", e);
	if (exit_fd < 0)
		return exit_fd;
	if (json_get(call->params, "console_tail")) {
		tail_fd = control_take_fd(call, "console_tail", e);
		if (tail_fd < 0)
			return tail_fd;
	}
	r = control_make_machine(c, call, TAKE_FD(kvm_fd), e);
	if (r < 0)
		return r;
	c->exit_fd = TAKE_FD(exit_fd);
	c->tail_fd = TAKE_FD(tail_fd);
	c->configured = true;
	*ret_result = json_add(control_state_json(c), "timeline", control_timeline_json(c));
	return 0;
}

static int control_with_machine(struct control *c, int (*fn)(struct machine *m, struct err *e),
				struct json_object **ret_result, struct err *e)
{
	int r;

	if (!c->machine || c->ended)
		return err_set(e, ERR_VM_STATE, "the machine is %s", control_state(c));
	r = fn(c->machine, e);
	if (r < 0)
		return r;
	*ret_result = control_state_json(c);
	return 0;
}

static int control_start(struct control *c, struct control_call *call,
			 struct json_object **ret_result, struct err *e)
{
	int r = control_with_machine(c, machine_start, ret_result, e);

	(void)call;
	if (r >= 0)
		json_add(*ret_result, "timeline", control_timeline_json(c));
	return r;
}

static int control_pause(struct control *c, struct control_call *call,
			 struct json_object **ret_result, struct err *e)
{
	(void)call;
	return control_with_machine(c, machine_pause, ret_result, e);
}

static int control_resume(struct control *c, struct control_call *call,
			  struct json_object **ret_result, struct err *e)
{
	(void)call;
	return control_with_machine(c, machine_resume, ret_result, e);
}

static int control_reset(struct control *c, struct control_call *call,
			 struct json_object **ret_result, struct err *e)
{
	(void)call;
	return control_with_machine(c, machine_reset, ret_result, e);
}

static int control_power_button(struct control *c, struct control_call *call,
				struct json_object **ret_result, struct err *e)
{
	(void)call;
	return control_with_machine(c, machine_power_button, ret_result, e);
}

static int control_wakeup(struct control *c, struct control_call *call,
			  struct json_object **ret_result, struct err *e)
{
	(void)call;
	return control_with_machine(c, machine_wakeup, ret_result, e);
}

static int control_get_status(struct control *c, struct control_call *call,
			      struct json_object **ret_result, struct err *e)
{
	struct json_object *o = control_state_json(c), *consoles = json_object_new_array();
	struct console *console;

	(void)call;
	(void)e;
	json_add_str(o, "name", c->name);
	for (unsigned int i = 0; c->machine && (console = machine_console_at(c->machine, i)); i++)
		json_object_array_add(consoles, json_object_new_string(console_id(console)));
	json_add(o, "consoles", consoles);
	json_add(o, "devices", control_devices(c));
	json_add(o, "timeline", control_timeline_json(c));
	if (c->ended)
		json_add(o, "exit", lastwords_json(&c->words));
	*ret_result = o;
	return 0;
}

static int control_quit(struct control *c, struct control_call *call,
			struct json_object **ret_result, struct err *e)
{
	(void)call;
	(void)e;
	if (c->machine) {
		machine_kill(c->machine, "asked to quit");
	} else if (!c->ended) {
		c->words.reason = LASTWORDS_KILLED;
		c->ended = true;
	}
	*ret_result = control_state_json(c);
	return 0;
}

static int control_console_attach(struct control *c, struct control_call *call,
				  struct json_object **ret_result, struct err *e)
{
	static const char *const modes[] = { "read", "write", "take", "log" };
	const char *id = json_get_str(call->params, "console", NULL);
	const char *mode = json_get_str(call->params, "mode", "write");
	struct console *console = c->machine ? machine_console(c->machine, id) : NULL;
	unsigned int i;
	int fd, r;

	if (!console && id)
		return err_set(e, ERR_VM_NO_CONSOLE, "the VM has no console '%s'", id);
	if (!console)
		return err_set(e, ERR_VM_NO_CONSOLE, "the VM has no console");
	for (i = 0; i < ARRAY_SIZE(modes) && strcmp(modes[i], mode); i++)
		;
	if (i == ARRAY_SIZE(modes))
		return err_set(e, ERR_RPC_PARAMS, "mode '%s' is not read, write, take or log",
			       mode);
	fd = fdset_take(call->fds, 0);
	if (fd < 0)
		return err_set(e, ERR_RPC_PARAMS, "no descriptor came along");
	if (i == CONSOLE_TAKE + 1)
		r = console_attach_log(console, fd, e);
	else
		r = console_attach(console, fd, -1, (enum console_mode)i,
				   json_get_bool(call->params, "scrollback", false), e);
	if (r < 0)
		return r;
	*ret_result = json_add_str(json_new(), "console", console_id(console));
	return 0;
}

static const struct control_method control_methods[] = {
	{ "machine.configure", control_configure },
	{ "machine.start", control_start },
	{ "machine.pause", control_pause },
	{ "machine.resume", control_resume },
	{ "machine.reset", control_reset },
	{ "machine.power_button", control_power_button },
	{ "machine.wakeup", control_wakeup },
	{ "machine.memory", control_memory },
	{ "machine.keys", control_keys },
	{ "machine.status", control_get_status },
	{ "machine.quit", control_quit },
	{ "console.attach", control_console_attach },
	{ "device.add", control_device_add },
	{ "device.remove", control_device_remove },
	{ "disk.add", control_disk_add },
	{ "disk.remove", control_disk_remove },
	{ "device.set", control_device_set },
	{ "device.resize", control_device_resize },
	{ "device.medium", control_medium },
	{ "screen.capture", control_screen },
	{ "screen.view", control_view },
};

/* --- the connection ----------------------------------------------------------------------------------- */

static int control_call(struct control *c, const struct rpc_msg *rpc, struct fdset *fds,
			struct json_object **ret_result, struct err *e)
{
	struct control_call call = { .params = rpc->params, .fds = fds };

	for (size_t i = 0; i < ARRAY_SIZE(control_methods); i++)
		if (!strcmp(control_methods[i].name, rpc->method))
			return control_methods[i].run(c, &call, ret_result, e);
	return err_set(e, ERR_RPC_METHOD, "unknown method '%s'", rpc->method);
}

static void control_message(struct conn *conn, struct json_object *msg, struct fdset *fds)
{
	struct control_client *client = conn->arg;
	struct control *c = client->control;
	struct json_object *result = NULL;
	struct err e = { 0 };
	struct rpc_msg rpc = { 0 };
	int r = rpc_msg_parse(msg, &rpc, &e);

	if (c->closing)
		return;
	if (r >= 0 && rpc.kind != RPC_REQUEST)
		return;
	c->in_call = true;
	if (r >= 0)
		r = control_call(c, &rpc, fds, &result, &e);
	c->in_call = false;
	conn_send(conn, r < 0 ? rpc_error(rpc.id, &e, NULL) : rpc_result(rpc.id, result), NULL);
	if (c->ended)
		control_shut(c);
}

static void control_bad_input(struct conn *conn, const struct err *why)
{
	conn_send(conn, rpc_error(NULL, why, NULL), NULL);
}

static void control_closed(struct conn *conn, const struct err *why)
{
	struct control_client *client = conn->arg;
	struct control *c = client->control;

	if (why)
		log_info(c->log, "control connection: %s", why->msg);
	if (c->client == client)
		c->client = NULL;
	free(client);
	if (!--c->nclients && c->closing)
		control_left(c);
}

static const struct conn_ops control_conn_ops = {
	.message = control_message,
	.bad_input = control_bad_input,
	.closed = control_closed,
};

static void control_welcome(struct control *c, int take_fd)
{
	struct control_client *client = calloc(1, sizeof(*client));
	struct json_object *hello;
	struct err e = { 0 };

	if (!client) {
		close(take_fd);
		return;
	}
	client->control = c;
	if (conn_init(&client->conn, c->loop, take_fd, &control_conn_ops, client, &e) < 0) {
		log_warn(c->log, "control connection: %s", e.msg);
		free(client);
		return;
	}
	if (c->client)
		conn_close(&c->client->conn);
	c->client = client;
	c->nclients++;
	hello = json_add_str(json_new(), "version", VERSION);
	json_add_int(hello, "pid", getpid());
	json_add_str(hello, "state", control_state(c));
	conn_send(&client->conn, rpc_notification("vmm.hello", hello), NULL);
	if (c->machine)
		machine_tell(c->machine);
}

static void control_listen_cb(uv_poll_t *p, int status, int events)
{
	struct control *c = p->data;
	int fd;

	(void)events;
	if (status < 0)
		return;
	fd = accept4(c->listen_fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
	if (fd >= 0)
		control_welcome(c, fd);
	else if (errno != EAGAIN && errno != EINTR && errno != ECONNABORTED)
		log_warn(c->log, "control socket: %s", strerror(errno));
}

int control_new(uv_loop_t *loop, int take_listen_fd, const struct sandbox *sandbox,
		const struct log *log, struct control **ret_control, struct err *e)
{
	struct control *c = calloc(1, sizeof(*c));
	int r;

	if (!c) {
		close(take_listen_fd);
		return err_ret(e, -ENOMEM, "control socket");
	}
	c->loop = loop;
	c->log = log;
	c->sandbox = sandbox;
	c->listen_fd = take_listen_fd;
	c->exit_fd = c->tail_fd = -1;
	c->words.reason = LASTWORDS_KILLED;
	r = uv_poll_init(loop, &c->listen, take_listen_fd);
	if (r < 0) {
		control_free(c);
		return err_ret(e, r, "control socket");
	}
	uv_timer_init(loop, &c->linger);
	c->listen.data = c;
	c->linger.data = c;
	uv_poll_start(&c->listen, UV_READABLE, control_listen_cb);
	*ret_control = c;
	return 0;
}

bool control_over(const struct control *c)
{
	return c->left;
}

int control_status(const struct control *c)
{
	return lastwords_status(&c->words);
}

void control_free(struct control *c)
{
	if (!c)
		return;
	machine_close(c->machine);
	if (c->left)
		uv_run(c->loop, UV_RUN_DEFAULT); /* handles are freed from there */
	if (c->exit_fd >= 0)
		close(c->exit_fd);
	if (c->tail_fd >= 0)
		close(c->tail_fd);
	close(c->listen_fd);
	free(c);
}
