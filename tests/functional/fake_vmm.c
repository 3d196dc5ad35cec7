// SPDX-License-Identifier: MIT
/*
 * A vmm for tests: it speaks vmm/control.h and runs nothing. How it misbehaves stands in its own name:
 * fake_vmm.MODE. One thread, blocking.
 *
 * ok            as it should
 * die-hello     ends with status 3 before hello       die-configure, die-start   at that request
 * signal-hello  ends by SIGKILL before hello, with words on its stderr; sigsys-hello by SIGSYS
 * hang-hello    never says hello                      hang-configure, hang-start, hang-quit, hang-pause
 * bad-hello     says another pid
 * garbage       answers configure with no JSON        oversized    with a line without end
 * refuse        answers configure with an error
 * last-words    writes a record and ends at configure
 * noisy         says 4 MiB on its standard error at hello, with control characters, then its last line
 * log-gap       sends its log with a gap, some of it twice, and then what is no log
 * log-flood     sends 32 MiB at once, as much of it as is taken, and "the end"
 * slow-start    does not answer start, but all else: it says to the next vmd that it is created
 * deaf          does not obey its power button        stubborn     obeys when it is pressed again
 * no-button     says that it has none
 * bad-record    ends at the power button with a record that is too long and no JSON
 * greedy        takes memory once it runs, a GiB at most: for the lab, where there is a limit
 * greedy-alone  takes it once vmd is gone
 * wanted        the host wants the devices that it has back, again and again
 * wanted-late   the same, and it lets go when it is asked for the third time; wanted-keeps never
 * wanted-fixed  the same, and it cannot be removed
 * wanted-errors the same, and they have errors, and it says so of what it has not, and that it was reset
 * broken        the devices that it has have errors, again and again; broken-fixed: and cannot be removed
 * shows         says that it runs when it has just begun, as a vmm-display that shows a screen
 * many          starts threads once it runs until it may not, and ends with their number as the code
 *
 * and those of fake_acts.c, which do something else than answer, at a request or at hello.
 */
#include "tests/functional/fake_vmm.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "lib/auto.h"
#include "lib/console_log.h"
#include "lib/errcat.h"

bool fake_is(const struct fake *f, const char *mode)
{
	return !strcmp(f->mode, mode);
}

void fake_send(struct fake *f, struct json_object *take_msg)
{
	const char *text = json_object_to_json_string_ext(take_msg, JSON_C_TO_STRING_PLAIN);

	if (fdio_send(f->client, text, strlen(text), NULL, 0) > 0)
		fdio_send(f->client, "\n", 1, NULL, 0);
	json_object_put(take_msg);
}

void fake_hang(void)
{
	for (;;)
		pause();
}

void fake_end(struct fake *f, const char *reason, int code, const char *message)
{
	char text[256];
	int n = snprintf(text, sizeof(text), "{\"reason\":\"%s\",\"code\":%d,\"message\":\"%s\"}\n",
			 reason, code, message);

	fdio_write(f->record, text, (size_t)n);
	_exit(0);
}

/* Standard error does not block: what vmd does not read at once is gone, but for the last line. */
static void fake_noise(void)
{
	static const char line[] = "noise \033[31m\a of a monitor that has much to say\n";
	static const char last[] = "the last line\n";
	struct pollfd p = { .fd = STDERR_FILENO, .events = POLLOUT };

	for (size_t n = 0; n < 4 << 20; n += sizeof(line) - 1)
		if (write(STDERR_FILENO, line, sizeof(line) - 1) < 0 && errno != EAGAIN)
			_exit(11);
	while (write(STDERR_FILENO, last, sizeof(last) - 1) < 0)
		poll(&p, 1, -1);
}

static void fake_hello(struct fake *f)
{
	struct json_object *params = json_add_str(json_new(), "version", "fake");

	if (fake_is(f, "die-hello"))
		_exit(3);
	if (fake_is(f, "signal-hello")) {
		fprintf(stderr, "fake: first line\nfake: the last line\n");
		raise(SIGKILL);
	}
	if (fake_is(f, "noisy"))
		fake_noise();
	if (fake_is(f, "sigsys-hello"))
		raise(SIGSYS);
	if (fake_is(f, "hang-hello"))
		fake_hang();
	if (fake_act(f, "hello", NULL)) {
		json_object_put(params);
		return;
	}
	json_add_int(params, "pid", getpid() + fake_is(f, "bad-hello"));
	json_add_str(params, "state", f->state);
	fake_send(f, rpc_notification("vmm.hello", params));
	fake_act(f, "after-hello", NULL);
}

void fake_answer(struct fake *f, struct json_object *id)
{
	fake_send(f, rpc_result(id, json_add_str(json_new(), "state", f->state)));
}

static void fake_take_devices(struct fake *f, struct json_object *devices)
{
	for (size_t i = 0; i < json_object_array_length(devices); i++) {
		struct json_object *d = json_object_array_get_idx(devices, i);

		if (!strcmp(json_get_str(d, "type", ""), "vfio-pci"))
			json_object_array_add(f->devices, json_add_str(json_new(), "id",
								       json_get_str(d, "id", "")));
	}
}

static void fake_configure(struct fake *f, const struct rpc_msg *m)
{
	int64_t index = json_get_int(json_get(m->params, "exit_record"), "fd", -1);
	struct err e;

	f->record = fdset_take(&f->fds, (unsigned int)index);
	if (f->record < 0 || !json_get(m->params, "cpuid") ||
	    !json_get(json_get(m->params, "config"), "devices"))
		_exit(9);
	if (fake_is(f, "die-configure"))
		_exit(4);
	if (fake_is(f, "hang-configure"))
		fake_hang();
	if (fake_is(f, "last-words"))
		fake_end(f, "fault", 7, "the fake has failed");
	if (fake_is(f, "garbage"))
		fdio_send(f->client, "{]}\n", 4, NULL, 0);
	if (fake_is(f, "oversized"))
		memset(f->buf, 'x', sizeof(f->buf));
	for (int i = 0; fake_is(f, "oversized") && i < 64; i++)
		fdio_write(f->client, f->buf, 1 << 16);
	if (fake_is(f, "refuse")) {
		err_set(&e, ERR_KERNEL_IMAGE, "not\ta kernel");
		fake_send(f, rpc_error(m->id, &e, NULL));
		return;
	}
	fake_take_devices(f, json_get(json_get(m->params, "config"), "devices"));
	f->state = "created";
	fake_answer(f, m->id);
}

static void fake_eat(void)
{
	for (int i = 0; i < 1024; i++) {
		char *p = malloc(1 << 20);

		if (!p)
			break;
		memset(p, i | 1, 1 << 20);
	}
	_exit(11);
}

static void *fake_thread(void *arg)
{
	fake_hang();
	return arg;
}

static int fake_threads(void)
{
	pthread_t thread;
	int n = 0;

	while (n < 4096 && pthread_create(&thread, NULL, fake_thread, NULL) == 0)
		n++;
	return n;
}

static void fake_start(struct fake *f, const struct rpc_msg *m)
{
	if (fake_is(f, "die-start"))
		raise(SIGTERM);
	if (fake_is(f, "hang-start"))
		fake_hang();
	if (fake_is(f, "slow-start"))
		return;
	f->state = "running";
	fake_answer(f, m->id);
	if (fake_is(f, "greedy"))
		fake_eat();
	if (fake_is(f, "many"))
		fake_end(f, "fault", fake_threads(), "may not start more threads");
}

static void fake_power_button(struct fake *f, const struct rpc_msg *m)
{
	static char junk[8192];
	struct err e;

	if (fake_is(f, "no-button")) {
		err_set(&e, ERR_VM_STATE, "the VM has no power button");
		fake_send(f, rpc_error(m->id, &e, NULL));
		return;
	}
	fake_answer(f, m->id);
	if (fake_is(f, "deaf") || (fake_is(f, "stubborn") && !f->presses++))
		return;
	if (fake_is(f, "bad-record")) {
		memset(junk, '{', sizeof(junk));
		fdio_write(f->record, junk, sizeof(junk));
		_exit(5);
	}
	fake_end(f, "shutdown", 0, "the guest has powered off");
}

static void fake_log_send(int fd, uint64_t offset, const char *text, int flags)
{
	struct console_log_msg msg = { .offset = offset };
	size_t len = strlen(text);

	memcpy(msg.data, text, len);
	if (send(fd, &msg, offsetof(struct console_log_msg, data) + len, flags) < 0 && !flags)
		_exit(8);
}

static void fake_log_flood(int fd)
{
	uint64_t offset = 8;
	char text[4001];

	memset(text, 'x', sizeof(text) - 1);
	text[sizeof(text) - 2] = '\n';
	text[sizeof(text) - 1] = '\0';
	for (; offset < 32 << 20; offset += sizeof(text) - 1)
		fake_log_send(fd, offset, text, MSG_DONTWAIT);
	fake_log_send(fd, offset, "the end\n", 0);
}

/* vmd's own reader: kept open, as vmm does. */
static void fake_log(struct fake *f, const struct rpc_msg *m, int take_fd)
{
	fake_log_send(take_fd, 0, "console\n", 0);
	if (fake_is(f, "log-gap")) {
		fake_log_send(take_fd, 108, "behind\n", 0);
		fake_log_send(take_fd, 0, "console\n", 0);
		fake_log_send(take_fd, UINT64_MAX - 3, "overflow\n", 0);
		fake_log_send(take_fd, 115, "not listened to\n", MSG_DONTWAIT);
	}
	if (fake_is(f, "log-flood") && strstr(json_get_str(m->params, "console", ""), "com1"))
		fake_log_flood(take_fd);
	/* it stays open: its end would be that of what the console says */
	fake_send(f, rpc_result(m->id, json_add_str(json_new(), "console", "com1")));
}

static void fake_console(struct fake *f, const struct rpc_msg *m)
{
	int fd = fdset_take(&f->fds, 0);

	if (fd >= 0 && !strcmp(json_get_str(m->params, "mode", ""), "log")) {
		fake_log(f, m, fd);
		return;
	}
	if (fd < 0 || fdio_write(fd, "console\n", 8) < 0)
		_exit(8);
	close(fd);
	fake_send(f, rpc_result(m->id, json_add_str(json_new(), "console", "com1")));
}

/* --- devices that come and go: "add-refuse" takes none, "keeps" lets none go --- */

static bool fake_keeps(struct fake *f)
{
	return fake_is(f, "keeps") || fake_is(f, "wanted-keeps") ||
	       (fake_is(f, "wanted-late") && ++f->presses < 3);
}

static void fake_event(struct fake *f, const char *type, const char *message)
{
	fake_send(f, rpc_notification("machine.event",
				      json_add_str(json_add_str(json_new(), "type", type),
						   "message", message)));
}

static bool fake_broken(const struct fake *f)
{
	return !strncmp(f->mode, "broken", 6);
}

/* What the host says of its devices. */
static void fake_wanted(struct fake *f)
{
	for (size_t i = 0; i < json_object_array_length(f->devices); i++) {
		const char *id = json_get_str(json_object_array_get_idx(f->devices, i), "id", "");

		if (!fake_broken(f))
			fake_event(f, "device.request", id);
		if (fake_broken(f) || fake_is(f, "wanted-errors"))
			fake_event(f, "device.error", id);
	}
	if (!fake_is(f, "wanted-errors"))
		return;
	fake_event(f, "device.error", "rng0");
	fake_event(f, "device.request", "rng0");
	fake_event(f, "reset", "");
}

static void fake_device_add(struct fake *f, const struct rpc_msg *m)
{
	const char *id = json_get_str(json_get(m->params, "device"), "id", "");
	struct err e;

	if (fake_is(f, "add-refuse")) {
		err_set(&e, ERR_VFIO_DEVICE, "the fake does not like it");
		fake_send(f, rpc_error(m->id, &e, NULL));
		return;
	}
	json_object_array_add(f->devices, json_add_str(json_new(), "id", id));
	fake_send(f, rpc_result(m->id, json_add_str(json_new(), "id", id)));
}

static void fake_device_remove(struct fake *f, const struct rpc_msg *m)
{
	const char *id = json_get_str(m->params, "id", "");
	struct err e;

	if (fake_is(f, "wanted-fixed") || fake_is(f, "broken-fixed")) {
		err_set(&e, ERR_VM_DEVICE_FIXED, "the fake has no hot-plug");
		fake_send(f, rpc_error(m->id, &e, NULL));
		return;
	}
	fake_send(f, rpc_result(m->id, json_add_str(json_new(), "id", id)));
	for (size_t i = 0; i < json_object_array_length(f->devices); i++) {
		struct json_object *d = json_object_array_get_idx(f->devices, i);

		if (strcmp(json_get_str(d, "id", ""), id) != 0)
			continue;
		if (fake_keeps(f)) {
			json_add_bool(d, "ejecting", true);
			return;
		}
		json_object_array_del_idx(f->devices, i, 1);
		fake_send(f,
			  rpc_notification("device.removed", json_add_str(json_new(), "id", id)));
		return;
	}
}

static void fake_status(struct fake *f, const struct rpc_msg *m)
{
	struct json_object *o = json_add_str(json_new(), "state", f->state);

	json_add(o, "devices", json_object_get(f->devices));
	fake_send(f, rpc_result(m->id, o));
}

static void fake_request(struct fake *f, const struct rpc_msg *m)
{
	if (fake_act(f, m->method, m))
		return;
	if (!strcmp(m->method, "machine.configure")) {
		fake_configure(f, m);
	} else if (!strcmp(m->method, "machine.start")) {
		fake_start(f, m);
	} else if (!strcmp(m->method, "machine.power_button")) {
		fake_power_button(f, m);
	} else if (!strcmp(m->method, "console.attach")) {
		fake_console(f, m);
	} else if (!strcmp(m->method, "device.add")) {
		fake_device_add(f, m);
	} else if (!strcmp(m->method, "device.remove")) {
		fake_device_remove(f, m);
	} else if (!strcmp(m->method, "machine.status")) {
		fake_status(f, m);
	} else if (!strcmp(m->method, "machine.quit")) {
		if (fake_is(f, "hang-quit"))
			fake_hang();
		fake_answer(f, m->id);
		fake_end(f, "killed", 0, "asked to quit");
	} else if (!strcmp(m->method, "machine.pause") && fake_is(f, "hang-pause")) {
		return;
	} else {
		if (!strcmp(m->method, "machine.pause"))
			f->state = "paused";
		else if (!strcmp(m->method, "machine.resume"))
			f->state = "running";
		else if (!strcmp(m->method, "machine.reset"))
			fake_send(f, rpc_notification("machine.event",
						      json_add_str(json_new(), "type", "reset")));
		fake_answer(f, m->id);
	}
}

static void fake_lines(struct fake *f)
{
	char *lf;

	while ((lf = memchr(f->buf, '\n', f->len))) {
		AUTO_JSON struct json_object *msg = NULL;
		size_t n = (size_t)(lf + 1 - f->buf);
		struct rpc_msg m;

		if (json_parse(f->buf, n - 1, &msg, NULL) < 0 || rpc_msg_parse(msg, &m, NULL) < 0)
			_exit(10);
		f->len -= n;
		memmove(f->buf, lf + 1, f->len);
		fake_request(f, &m);
		fdset_fini(&f->fds);
		if (f->client < 0)
			return;
	}
}

static void fake_serve(struct fake *f)
{
	struct pollfd p[2] = { { .fd = f->listen, .events = POLLIN },
			       { .fd = f->client, .events = POLLIN } };

	bool wanted =
		(!strncmp(f->mode, "wanted", 6) || fake_broken(f)) && !strcmp(f->state, "running");
	int ready = poll(p, f->client < 0 ? 1 : 2, wanted && f->client >= 0 ? 250 : -1);

	if (!ready)
		fake_wanted(f);
	if (ready <= 0)
		return;
	if (p[0].revents) {
		if (f->client >= 0)
			close(f->client);
		f->client = accept(f->listen, NULL, NULL);
		f->len = 0;
		if (f->client >= 0)
			fake_hello(f);
	} else if (p[1].revents) {
		ssize_t n = fdio_recv(f->client, f->buf + f->len, sizeof(f->buf) - f->len, &f->fds);

		if (n <= 0) {
			close(f->client);
			f->client = -1; /* vmd is gone; the VM runs on */
			if (fake_is(f, "greedy-alone"))
				fake_eat();
			return;
		}
		f->len += (size_t)n;
		fake_lines(f);
	}
}

int main(int argc, char **argv)
{
	static struct fake f = { .state = "empty", .client = -1, .record = -1 };
	const char *mode = strrchr(argv[0], '.');

	f.mode = mode ? mode + 1 : "ok";
	if (fake_is(&f, "shows"))
		f.state = "running";
	/* the options of its cage follow */
	if (argc < 3 || strcmp(argv[1], "--control-fd"))
		return 2;
	f.listen = atoi(argv[2]);
	f.devices = json_object_new_array();
	signal(SIGPIPE, SIG_IGN);
	for (;;)
		fake_serve(&f);
}
