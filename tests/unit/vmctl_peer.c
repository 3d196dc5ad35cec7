// SPDX-License-Identifier: MIT
/* A scripted vmd: see vmctl_peer.h. One thread a run, blocking I/O. */
#include "tests/unit/vmctl_peer.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <pty.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>
#include <utmp.h>

#include "lib/auto.h"
#include "lib/conn.h"
#include "lib/rpc.h"
#include "tests/lib/test.h"
#include "vmctl/vmctl.h"

#define PEER_ARGS_MAX 32

struct peer {
	const struct peer_row *script;
	int listener;
	FILE *requests, *typed;
	size_t len;
	char dir[32], socket[64];
	pthread_t thread;
};

static const char *peer_hello(void)
{
	return "{\"jsonrpc\":\"2.0\",\"method\":\"vmd.hello\",\"params\":{\"version\":\"9.9\","
	       "\"api\":{\"major\":1,\"minor\":0},\"features\":[],\"server_id\":\"s\","
	       "\"boot_id\":\"b\"}}\n";
}

static const struct peer_row *peer_find(const struct peer *p, const struct rpc_msg *m)
{
	for (const struct peer_row *r = p->script; r->method; r++) {
		AUTO_JSON struct json_object *params = NULL;

		if (strcmp(r->method, m->method))
			continue;
		if (!r->params)
			return r;
		assert_int_equal(json_parse(r->params, strlen(r->params), &params, NULL), 0);
		if (json_equal(params, m->params))
			return r;
	}
	return NULL;
}

static void peer_send(int fd, const char *text, int take_fd)
{
	struct fdset fds = { .n = 0 };

	if (take_fd >= 0)
		fdset_add(&fds, take_fd);
	fdio_send(fd, text, strlen(text), fds.fds, fds.n);
	fdset_fini(&fds);
}

static void peer_answer(int fd, const struct peer_row *row, const struct rpc_msg *m, int take_fd)
{
	AUTO_FREE char *text = NULL;
	const char *id = json_object_to_json_string(m->id);
	int n;

	if (row->result)
		n = asprintf(&text, "{\"jsonrpc\":\"2.0\",\"id\":%s,\"result\":%s%s}\n%s", id,
			     row->result, take_fd >= 0 ? ",\"fds\":1" : "",
			     row->notify ? row->notify : "");
	else
		n = asprintf(&text, "{\"jsonrpc\":\"2.0\",\"id\":%s,\"error\":%s}\n", id,
			     row->error);
	if (n > 0)
		peer_send(fd, text, take_fd);
}

/* The guest's end: what it says, then all that is typed until "\n" ends its life, or at once. */
static void peer_console(struct peer *p, int fd, const struct peer_row *row)
{
	bool wants = strchr(row->console, '$') != NULL;
	char c;

	fdio_write(fd, row->console, strlen(row->console));
	while (wants && read(fd, &c, 1) == 1 && c != '\n')
		fputc(c, p->typed);
	close(fd);
}

static bool peer_request(struct peer *p, int fd, const char *line, size_t len)
{
	static const struct peer_row unknown = {
		.error = "{\"code\":-32601,\"message\":\"no method of this name\","
			 "\"data\":{\"name\":\"rpc.method_not_found\"}}"
	};
	AUTO_JSON struct json_object *msg = NULL;
	const struct peer_row *row;
	int pair[2] = { -1, -1 };
	struct rpc_msg m;
	struct err e;

	if (json_parse(line, len, &msg, &e) < 0 || rpc_msg_parse(msg, &m, &e) < 0)
		return false;
	fprintf(p->requests, "%s %s\n", m.method,
		json_object_to_json_string_ext(m.params, JSON_C_TO_STRING_PLAIN |
								 JSON_C_TO_STRING_NOSLASHESCAPE));
	row = peer_find(p, &m);
	if (!row)
		row = &unknown;
	if (row->after == PEER_INTERRUPT)
		kill(getpid(), SIGINT);
	if (row->after == PEER_GARBAGE)
		peer_send(fd, "{]\n", -1);
	if (row->after != PEER_GO_ON)
		return row->after != PEER_CLOSE;
	if (row->console)
		socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair);
	peer_answer(fd, row, &m, pair[1]);
	if (row->console)
		peer_console(p, pair[0], row);
	return true;
}

static void *peer_thread(void *arg)
{
	struct peer *p = arg;
	char line[65536];
	size_t len = 0;
	int fd = accept(p->listener, NULL, NULL);
	ssize_t n;

	if (fd < 0)
		return NULL;
	peer_send(fd, peer_hello(), -1);
	while (len < sizeof(line) && (n = read(fd, line + len, sizeof(line) - len)) > 0) {
		char *lf;
		bool go_on = true;

		len += (size_t)n;
		while (go_on && (lf = memchr(line, '\n', len))) {
			go_on = peer_request(p, fd, line, (size_t)(lf - line));
			len -= (size_t)(lf + 1 - line);
			memmove(line, lf + 1, len);
		}
		if (!go_on)
			break;
	}
	close(fd);
	return NULL;
}

static FILE *peer_input(const char *text)
{
	FILE *f = text ? tmpfile() : fopen("/dev/null", "r");

	assert_non_null(f);
	if (text) {
		fputs(text, f);
		rewind(f);
		fflush(f);
	}
	return f;
}

static char *peer_slurp(FILE *f)
{
	char *text = NULL;
	size_t len;

	fflush(f);
	lseek(fileno(f), 0, SEEK_SET);
	assert_int_equal(fdio_read_file(fileno(f), 1 << 24, &text, &len, NULL), 0);
	fclose(f);
	return text;
}

/* vmctl --socket SOCKET ARGS… */
static int peer_vmctl(const char *socket, const char *args, FILE *in, FILE *out, FILE *err)
{
	AUTO_FREE char *copy = strdup(args);
	char *argv[PEER_ARGS_MAX] = { (char *)"vmctl", (char *)"--socket", (char *)socket };
	int argc = 3;
	char *save = NULL;

	for (char *w = strtok_r(copy, " ", &save); w && argc < PEER_ARGS_MAX - 1;
	     w = strtok_r(NULL, " ", &save))
		argv[argc++] = w;
	return vmctl_run(argc, argv, in, out, err);
}

static void peer_run_at(const char *socket, const char *args, const char *input,
			struct peer_run *ret)
{
	FILE *in = peer_input(input), *out = tmpfile(), *err = tmpfile();

	assert_non_null(out);
	assert_non_null(err);
	/* a file named "-" is read by lib/vmfile from the process's own */
	dup2(fileno(in), STDIN_FILENO);
	ret->status = peer_vmctl(socket, args, in, out, err);
	ret->out = peer_slurp(out);
	ret->err = peer_slurp(err);
	fclose(in);
}

void peer_run_alone(const char *args, const char *input, struct peer_run *ret)
{
	*ret = (struct peer_run){ 0 };
	peer_run_at("/nonexistent/vmd.sock", args, input, ret);
}

static void peer_begin(struct peer *p, const struct peer_row *script, struct peer_run *ret)
{
	*ret = (struct peer_run){ 0 };
	*p = (struct peer){ .script = script, .dir = "/tmp/vmctl-test-XXXXXX" };
	assert_non_null(mkdtemp(p->dir));
	snprintf(p->socket, sizeof(p->socket), "%s/vmd.sock", p->dir);
	p->listener = conn_listen(p->socket, 0600, NULL);
	assert_true(p->listener >= 0);
	fcntl(p->listener, F_SETFL, 0); /* accept waits */
	p->requests = open_memstream(&ret->requests, &p->len);
	p->typed = open_memstream(&ret->typed, &p->len);
	assert_int_equal(pthread_create(&p->thread, NULL, peer_thread, p), 0);
}

static void peer_end(struct peer *p)
{
	/* wakes an accept that nobody came to */
	shutdown(p->listener, SHUT_RDWR);
	pthread_join(p->thread, NULL);
	fclose(p->requests);
	fclose(p->typed);
	close(p->listener);
	unlink(p->socket);
	rmdir(p->dir);
}

void peer_run(const struct peer_row *script, const char *args, const char *input,
	      struct peer_run *ret)
{
	struct peer p;

	peer_begin(&p, script, ret);
	peer_run_at(p.socket, args, input, ret);
	peer_end(&p);
}

/* Collect what the terminal shows; answer the prompt once. */
static char *peer_terminal(int master, pid_t pid, const char *prompt, const char *typed)
{
	char *shown = calloc(1, 65536);
	size_t len = 0;
	ssize_t n;

	assert_non_null(shown);
	while (len < 65535 && (n = read(master, shown + len, 65535 - len)) > 0) {
		len += (size_t)n;
		if (prompt && strstr(shown, prompt)) {
			if (typed)
				fdio_write(master, typed, strlen(typed));
			else
				kill(pid, SIGTERM);
			prompt = NULL;
		}
	}
	return shown;
}

void peer_run_tty(const struct peer_row *script, const char *args, const char *prompt,
		  const char *typed, struct peer_run *ret, bool *ret_restored)
{
	struct termios before = { 0 }, after = { 0 };
	struct peer p;
	int master, slave, status = 0;
	pid_t pid;

	peer_begin(&p, script, ret);
	assert_int_equal(openpty(&master, &slave, NULL, NULL, NULL), 0);
	tcgetattr(slave, &before);
	pid = fork();
	assert_true(pid >= 0);
	if (!pid) {
		close(master);
		login_tty(slave);
		alarm(20);
		_exit(peer_vmctl(p.socket, args, stdin, stdout, stderr));
	}
	/* our own slave would keep the terminal alive: its mode is asked for through the master */
	close(slave);
	ret->out = peer_terminal(master, pid, prompt, typed);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	tcgetattr(master, &after);
	*ret_restored = !memcmp(&before, &after, sizeof(before));
	ret->status = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
	close(master);
	peer_end(&p);
}

void peer_run_free(struct peer_run *r)
{
	free(r->out);
	free(r->err);
	free(r->requests);
	free(r->typed);
}

void peer_check(const struct peer_row *script, const char *args, const char *input, int status,
		const char *out, const char *err)
{
	struct peer_run r;

	if (script)
		peer_run(script, args, input, &r);
	else
		peer_run_alone(args, input, &r);
	if (out)
		assert_string_equal(r.out, out);
	if (err)
		assert_string_equal(r.err, err);
	assert_int_equal(r.status, status);
	peer_run_free(&r);
}

void peer_check_requests(const struct peer_row *script, const char *args, const char *requests)
{
	struct peer_run r;

	peer_run(script, args, NULL, &r);
	assert_string_equal(r.requests, requests);
	peer_run_free(&r);
}
