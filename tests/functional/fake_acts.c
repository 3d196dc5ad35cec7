// SPDX-License-Identifier: MIT
/* What the fake vmm does instead of an answer, by its mode: lies, and messages that are none. See fake_vmm.c. */
#include "tests/functional/fake_vmm.h"

#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/errcat.h"

static void fake_write(struct fake *f, const char *text)
{
	fdio_write(f->client, text, strlen(text));
}

static void fake_drop(struct fake *f)
{
	close(f->client);
	f->client = -1;
	f->len = 0;
}

static bool fake_act_close(struct fake *f, const struct rpc_msg *m)
{
	(void)m;
	fake_drop(f);
	return true;
}

static bool fake_act_drop_once(struct fake *f, const struct rpc_msg *m)
{
	(void)m;
	if (f->acted)
		return false;
	f->acted = true;
	fake_drop(f);
	return true;
}

/* The effect is there, the answer never comes. */
static bool fake_act_drop_paused(struct fake *f, const struct rpc_msg *m)
{
	f->state = "paused";
	return fake_act_drop_once(f, m);
}

/* Answers, and from then on closes each connection after its hello. */
static bool fake_act_flap(struct fake *f, const struct rpc_msg *m)
{
	f->state = "running";
	fake_answer(f, m->id);
	fake_drop(f);
	f->mode = "flap-hello";
	return true;
}

static bool fake_act_no_object(struct fake *f, const struct rpc_msg *m)
{
	(void)m;
	fake_write(f, "42\n[1]\n\"text\"\nnull\n{}\n{\"jsonrpc\":\"2.0\",\"id\":{}}\n");
	return true;
}

static bool fake_act_long_line(struct fake *f, const struct rpc_msg *m)
{
	(void)m;
	memset(f->buf, 'x', sizeof(f->buf));
	for (int i = 0; i < 2; i++)
		fdio_write(f->client, f->buf, sizeof(f->buf));
	fake_write(f, "\n");
	return true;
}

static bool fake_act_deep(struct fake *f, const struct rpc_msg *m)
{
	(void)m;
	memset(f->buf, '[', 100000);
	fdio_write(f->client, f->buf, 100000);
	fake_write(f, "\n");
	return true;
}

static bool fake_act_wrong_ids(struct fake *f, const struct rpc_msg *m)
{
	(void)m;
	fake_write(f, "{\"jsonrpc\":\"2.0\",\"id\":999999,\"result\":{}}\n"
		      "{\"jsonrpc\":\"2.0\",\"id\":\"1\",\"result\":{}}\n"
		      "{\"jsonrpc\":\"2.0\",\"id\":-1,\"result\":{}}\n"
		      "{\"jsonrpc\":\"2.0\",\"id\":null,\"result\":{}}\n");
	return true;
}

/* Answers to nobody, then the answer twice, the second another one. */
static bool fake_act_twice(struct fake *f, const struct rpc_msg *m)
{
	struct err e;

	fake_act_wrong_ids(f, m);
	f->state = "running";
	fake_answer(f, m->id);
	err_set(&e, ERR_FAILED, "no, it has not");
	fake_send(f, rpc_error(m->id, &e, NULL));
	return true;
}

/* More than a balloon can be, and other things than numbers. */
static bool fake_act_memory_lie(struct fake *f, const struct rpc_msg *m)
{
	struct json_object *o = json_add_int(json_new(), "target", -5);

	json_add_str(o, "actual", "all of it");
	json_add_str(o, "stats", "none");
	fake_send(f, rpc_result(m->id, o));
	return true;
}

/* Another one each time: too many, fewer than none, a word, nothing */
static bool fake_act_viewers_lie(struct fake *f, const struct rpc_msg *m)
{
	static const char *const lies[] = { "65", "-1", "\"some\"", "{}" };
	char text[100];

	snprintf(text, sizeof(text),
		 "{\"jsonrpc\":\"2.0\",\"id\":%lld,\"result\":{\"viewers\":%s}}\n",
		 (long long)json_object_get_int64(m->id), lies[f->presses++ % ARRAY_SIZE(lies)]);
	fake_write(f, text);
	return true;
}

static bool fake_act_refuse_serve(struct fake *f, const struct rpc_msg *m)
{
	struct err e;

	err_set(&e, ERR_FAILED, "it shows nothing");
	fake_send(f, rpc_error(m->id, &e, NULL));
	return true;
}

/* To the first vmd: the next one hears nothing. */
static bool fake_act_hello_once(struct fake *f, const struct rpc_msg *m)
{
	(void)m;
	if (f->acted)
		return true;
	f->acted = true;
	return false;
}

/* A drive whose name is none */
static bool fake_act_drive_lie(struct fake *f, const struct rpc_msg *m)
{
	struct json_object *list = json_object_new_array();

	json_object_array_add(list, json_add_str(json_new(), "id", "\x1b[2J"));
	fake_send(f, rpc_result(m->id, json_add(json_new(), "drives", list)));
	return true;
}

/* A picture that nobody can have, lines without end, lines that are none, and what a terminal would obey */
static bool fake_act_screen_lie(struct fake *f, const struct rpc_msg *m)
{
	struct json_object *o = json_add_int(json_new(), "height", 1), *text;

	text = json_object_new_array();
	for (int i = 0; fake_is(f, "screen-lines") && i < 101; i++)
		json_object_array_add(text, json_object_new_string(""));
	if (fake_is(f, "screen-words"))
		json_object_array_add(text, json_object_new_int(1));
	if (fake_is(f, "screen-escape"))
		json_object_array_add(text, json_object_new_string("\x1b[2J\xc2\x9b"
								   "31m\xc3\xa4\x7f"));
	if (!fake_is(f, "screen-none"))
		json_add_int(o, "width", fake_is(f, "screen-wide") ? 2561 : 1);
	fake_send(f, rpc_result(m->id, json_add(o, "text", text)));
	return true;
}

static bool fake_act_silent(struct fake *f, const struct rpc_msg *m)
{
	(void)f;
	(void)m;
	return true;
}

/* Limits that none can have, and one that is left out */
static bool fake_act_rate_lie(struct fake *f, const struct rpc_msg *m)
{
	struct json_object *o = json_add_int(json_new(), "bytes_per_second", -5);

	json_add_str(o, "ops_per_second", "many");
	fake_send(f, rpc_result(m->id, json_add(json_new(), "settings", o)));
	return true;
}

static bool fake_act_refuse_disk(struct fake *f, const struct rpc_msg *m)
{
	struct err e;

	err_set(&e, ERR_FAILED, "no disk today");
	fake_send(f, rpc_error(m->id, &e, NULL));
	return true;
}

/* Devices and disks that are none */
static bool fake_act_disk_lie(struct fake *f, const struct rpc_msg *m)
{
	struct json_object *status = NULL;
	struct err e;
	static const char text[] =
		"{\"state\":\"running\",\"name\":\"one\",\"devices\":[null,5,{\"disks\":"
		"[null,5,{}]},{\"id\":5,\"disks\":\"scsi0.0\"}]}";

	if (json_parse(text, strlen(text), &status, &e) < 0)
		_exit(12);
	fake_send(f, rpc_result(m->id, status));
	return true;
}

static bool fake_act_string_result(struct fake *f, const struct rpc_msg *m)
{
	f->state = "running";
	fake_send(f, rpc_result(m->id, json_object_new_string("yes")));
	return true;
}

static bool fake_act_error_types(struct fake *f, const struct rpc_msg *m)
{
	char text[256];

	snprintf(text, sizeof(text),
		 "{\"jsonrpc\":\"2.0\",\"id\":%lld,\"error\":{\"code\":\"1\",\"message\":[1],"
		 "\"data\":{\"hint\":{}}}}\n",
		 (long long)json_object_get_int64(m->id));
	fake_write(f, text);
	return true;
}

/* A code of the catalogue's that is not vmm's to give, and far too many words. */
static bool fake_act_error_long(struct fake *f, const struct rpc_msg *m)
{
	struct json_object *error = json_add_int(json_new(), "code", -32700);
	struct json_object *o = json_add_str(json_new(), "jsonrpc", "2.0");

	memset(f->buf, 'y', 900000);
	memcpy(f->buf, "a\033[31m\nb\177c", 10);
	f->buf[900000] = '\0';
	json_add(o, "id", json_object_get(m->id));
	fake_send(f, json_add(o, "error", json_add_str(error, "message", f->buf)));
	return true;
}

static void fake_say_hello(struct fake *f, const char *pid, const char *state)
{
	char text[256];

	snprintf(text, sizeof(text),
		 "{\"jsonrpc\":\"2.0\",\"method\":\"vmm.hello\",\"params\":{\"pid\":%s,"
		 "\"state\":\"%s\"}}\n",
		 pid, state);
	fake_write(f, text);
}

static bool fake_act_hello_state(struct fake *f, const struct rpc_msg *m)
{
	char pid[16];

	(void)m;
	snprintf(pid, sizeof(pid), "%d", (int)getpid());
	fake_say_hello(f, pid, "dan\\ncing");
	return true;
}

static bool fake_act_hello_types(struct fake *f, const struct rpc_msg *m)
{
	(void)m;
	fake_say_hello(f, "[1]", "empty");
	return true;
}

static bool fake_act_hello_bare(struct fake *f, const struct rpc_msg *m)
{
	(void)m;
	fake_write(f, "{\"jsonrpc\":\"2.0\",\"method\":\"vmm.hello\"}\n");
	return true;
}

/* The right one, then one that would change everything. */
static bool fake_act_hello_twice(struct fake *f, const struct rpc_msg *m)
{
	char pid[16];

	(void)m;
	snprintf(pid, sizeof(pid), "%d", (int)getpid());
	fake_say_hello(f, pid, f->state);
	fake_say_hello(f, "1", "ended");
	return true;
}

static bool fake_act_flood(struct fake *f, const struct rpc_msg *m)
{
	f->state = "running";
	fake_answer(f, m->id);
	for (int i = 0; i < 100000; i++)
		fake_write(f, "{\"jsonrpc\":\"2.0\",\"method\":\"machine.event\",\"params\":"
			      "{\"type\":\"reset\",\"message\":\"\\u001b[2J\"}}\n");
	return true;
}

/* As many descriptors as go with a message, with messages that say nothing of them. */
static bool fake_act_fds(struct fake *f, const struct rpc_msg *m)
{
	static const char event[] = "{\"jsonrpc\":\"2.0\",\"method\":\"x\",\"fds\":3}\n{}\n";
	int fds[FDIO_SEND_MAX];

	for (size_t i = 0; i < ARRAY_SIZE(fds); i++)
		fds[i] = f->record;
	f->state = "running";
	for (int i = 0; i < 20; i++)
		fdio_send(f->client, event, sizeof(event) - 1, fds, ARRAY_SIZE(fds));
	fake_answer(f, m->id);
	return true;
}

/* Answers a pause when the next request comes. */
static bool fake_act_late(struct fake *f, const struct rpc_msg *m)
{
	struct json_object *id;

	if (!f->kept_id) {
		f->kept_id = json_object_get_int64(m->id);
		return true;
	}
	id = json_object_new_int64(f->kept_id);
	fake_answer(f, id);
	json_object_put(id);
	return false;
}

static void fake_memory(struct fake *f, const char *type, unsigned int percent)
{
	char text[32];

	snprintf(text, sizeof(text), "guest memory %u%%", percent);
	fake_send(f, rpc_notification("machine.event",
				      json_add_str(json_add_str(json_new(), "type", type),
						   "message", text)));
	poll(NULL, 0, 500); /* the work */
}

/* Takes three seconds, and says how far it is: with the memory of a node, and then with pinning it. */
static bool fake_act_pins(struct fake *f, const struct rpc_msg *m)
{
	for (unsigned int percent = 32; percent < 100; percent += 32)
		fake_memory(f, "populating", percent);
	for (unsigned int percent = 32; percent < 100; percent += 32)
		fake_memory(f, "pinning", percent);
	fake_answer(f, m->id);
	return true;
}

/* Says so for ever, and gets no further; or what cannot be. */
static bool fake_act_pins_stuck(struct fake *f, const struct rpc_msg *m)
{
	(void)m;
	fake_memory(f, "pinning", 101);
	while (f->client >= 0)
		fake_memory(f, "pinning", 16);
	return true;
}

static bool fake_act_deafen(struct fake *f, const struct rpc_msg *m)
{
	f->state = "running";
	fake_answer(f, m->id);
	fake_hang();
	return true;
}

/* --- records --- */

static bool fake_act_record_types(struct fake *f, const struct rpc_msg *m)
{
	static const char text[] = "{\"reason\":\"shutdown\",\"code\":\"7\",\"message\":{}}\n";

	(void)m;
	fdio_write(f->record, text, sizeof(text) - 1);
	_exit(0);
}

static bool fake_act_record_lie(struct fake *f, const struct rpc_msg *m)
{
	(void)m;
	fake_end(f, "promoted", 7, "a reason that there is not");
	return true;
}

static bool fake_act_record_long(struct fake *f, const struct rpc_msg *m)
{
	char text[3000] = "{\"reason\":\"fault\",\"code\":9,\"message\":\"\\u001b\\n";
	size_t len = strlen(text);

	(void)m;
	memset(text + len, 'z', sizeof(text) - len - 3);
	memcpy(text + sizeof(text) - 3, "\"}\n", 3);
	fdio_write(f->record, text, sizeof(text));
	_exit(0);
}

/* Something else where the record was. vmm has no right to, in its cage. */
static void fake_replace_record(struct fake *f, char *path, size_t size)
{
	char link[64];
	ssize_t n;

	snprintf(link, sizeof(link), "/proc/self/fd/%d", f->record);
	n = readlink(link, path, size - 1);
	if (n <= 0)
		_exit(11);
	path[n] = '\0';
	unlink(path);
}

static bool fake_act_record_link(struct fake *f, const struct rpc_msg *m)
{
	char path[512], target[520];
	int fd;

	(void)m;
	fake_replace_record(f, path, sizeof(path));
	snprintf(target, sizeof(target), "%s.secret", path);
	fd = open(target, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	if (fd >= 0 && write(fd, "{\"reason\":\"shutdown\"}", 21) == 21 && !symlink(target, path))
		_exit(6);
	_exit(12);
}

static bool fake_act_record_fifo(struct fake *f, const struct rpc_msg *m)
{
	char path[512];

	(void)m;
	fake_replace_record(f, path, sizeof(path));
	_exit(mkfifo(path, 0600) ? 12 : 6);
}

/* act: true when there is nothing more to do for the request */
static const struct fake_act {
	const char *mode, *at;
	bool (*act)(struct fake *f, const struct rpc_msg *m);
} fake_acts[] = {
	{ "close-hello", "hello", fake_act_close },
	{ "flap-hello", "after-hello", fake_act_close },
	{ "hello-state", "hello", fake_act_hello_state },
	{ "hello-types", "hello", fake_act_hello_types },
	{ "hello-bare", "hello", fake_act_hello_bare },
	{ "hello-twice", "hello", fake_act_hello_twice },
	{ "close-configure", "machine.configure", fake_act_close },
	{ "no-object", "machine.configure", fake_act_no_object },
	{ "long-line", "machine.configure", fake_act_long_line },
	{ "deep", "machine.configure", fake_act_deep },
	{ "wrong-ids", "machine.configure", fake_act_wrong_ids },
	{ "pins", "machine.configure", fake_act_pins },
	{ "pins-stuck", "machine.configure", fake_act_pins_stuck },
	{ "error-types", "machine.configure", fake_act_error_types },
	{ "error-long", "machine.configure", fake_act_error_long },
	{ "close-start", "machine.start", fake_act_close },
	{ "twice", "machine.start", fake_act_twice },
	{ "string-result", "machine.start", fake_act_string_result },
	{ "flap", "machine.start", fake_act_flap },
	{ "flood", "machine.start", fake_act_flood },
	{ "fds", "machine.start", fake_act_fds },
	{ "deafen", "machine.start", fake_act_deafen },
	{ "memory-lie", "machine.memory", fake_act_memory_lie },
	{ "drive-lie", "device.medium", fake_act_drive_lie },
	{ "screen-wide", "screen.capture", fake_act_screen_lie },
	{ "screen-none", "screen.capture", fake_act_screen_lie },
	{ "screen-lines", "screen.capture", fake_act_screen_lie },
	{ "screen-words", "screen.capture", fake_act_screen_lie },
	{ "screen-hang", "screen.capture", fake_act_silent },
	{ "screen-escape", "screen.capture", fake_act_screen_lie },
	{ "rate-lie", "device.set", fake_act_rate_lie },
	{ "hello-once", "hello", fake_act_hello_once },
	{ "serve-silent", "display.serve", fake_act_silent },
	{ "serve-close", "display.serve", fake_act_close },
	{ "serve-refuse", "display.serve", fake_act_refuse_serve },
	{ "viewers-lie", "display.status", fake_act_viewers_lie },
	{ "disk-lie", "disk.add", fake_act_refuse_disk },
	{ "disk-lie", "machine.status", fake_act_disk_lie },
	{ "drop-pause", "machine.pause", fake_act_drop_once },
	{ "drop-paused", "machine.pause", fake_act_drop_paused },
	{ "late-pause", "machine.pause", fake_act_late },
	{ "drop-reset", "machine.reset", fake_act_drop_once },
	{ "drop-button", "machine.power_button", fake_act_drop_once },
	{ "record-types", "machine.power_button", fake_act_record_types },
	{ "record-lie", "machine.power_button", fake_act_record_lie },
	{ "record-long", "machine.power_button", fake_act_record_long },
	{ "record-link", "machine.power_button", fake_act_record_link },
	{ "record-fifo", "machine.power_button", fake_act_record_fifo },
};

bool fake_act(struct fake *f, const char *at, const struct rpc_msg *m)
{
	for (size_t i = 0; i < ARRAY_SIZE(fake_acts); i++)
		if (fake_is(f, fake_acts[i].mode) && !strcmp(fake_acts[i].at, at))
			return fake_acts[i].act(f, m);
	return false;
}
