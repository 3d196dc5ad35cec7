// SPDX-License-Identifier: MIT
/*
 * vmd's calls, in turn with their floors on the same file system: one durable vm.apply of a new revision
 * against one row of SQLite (WAL, synchronous=FULL) with as much text, and a warm daemon.ping against an
 * echo by libuv (uv_floor.c).
 */
#include <err.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sqlite3.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/conn.h"
#include "lib/fdio.h"
#include "tests/bench/bench.h"
#include "tests/functional/harness.h"

#define RPC_APPLIES 10	   /* a round */
#define RPC_PINGS 50	   /* a round, taken together */
#define RPC_ROW_BYTES 1100 /* what an apply of the definition below writes as text */
#define RPC_WAIT_MS 20000

struct rpc_floor {
	sqlite3 *db;
	sqlite3_stmt *insert;
	char text[RPC_ROW_BYTES + 1];
	pid_t echo;
	int fd;
};

static void rpc_floor_open(struct rpc_floor *f)
{
	char path[256];

	snprintf(path, sizeof(path), "%s/floor.db", bench_dir());
	memset(f->text, 'x', RPC_ROW_BYTES);
	if (sqlite3_open(path, &f->db) != SQLITE_OK ||
	    sqlite3_exec(f->db,
			 "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;"
			 "CREATE TABLE row (id INTEGER PRIMARY KEY, text TEXT NOT NULL) STRICT;",
			 NULL, NULL, NULL) != SQLITE_OK ||
	    sqlite3_prepare_v2(f->db, "INSERT INTO row (text) VALUES (?1)", -1, &f->insert, NULL) !=
		    SQLITE_OK)
		errx(1, "%s: %s", path, sqlite3_errmsg(f->db));
}

static void rpc_floor_close(struct rpc_floor *f)
{
	sqlite3_finalize(f->insert);
	sqlite3_close(f->db);
	close(f->fd);
	bench_wait(f->echo, "uv_floor");
}

static double rpc_floor_row(struct rpc_floor *f)
{
	double begin = bench_now_ms();

	sqlite3_bind_text(f->insert, 1, f->text, RPC_ROW_BYTES, SQLITE_STATIC);
	if (sqlite3_step(f->insert) != SQLITE_DONE)
		errx(1, "insert: %s", sqlite3_errmsg(f->db));
	sqlite3_reset(f->insert);
	return bench_now_ms() - begin;
}

static void rpc_floor_start(struct rpc_floor *f)
{
	char path[256];
	const char *argv[] = { bench_path("tests/bench/uv_floor"), path, NULL };
	struct pollfd p = { .events = POLLIN };
	struct err e = { 0 };
	int out[2];

	snprintf(path, sizeof(path), "%s/echo.sock", bench_dir());
	if (pipe2(out, O_CLOEXEC) < 0)
		err(1, "pipe");
	f->echo = bench_spawn(argv, out[1]);
	close(out[1]);
	p.fd = out[0];
	if (poll(&p, 1, RPC_WAIT_MS) != 1 || !(p.revents & POLLIN))
		errx(1, "uv_floor does not serve");
	close(out[0]);
	f->fd = conn_connect(path, &e);
	if (f->fd < 0)
		errx(1, "%s", e.msg);
}

/* As much as a ping has, there and back, read as bytes. */
static double rpc_floor_echo(struct rpc_floor *f, unsigned int n)
{
	static const char line[] =
		"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"daemon.ping\",\"params\":{}}\n";
	double begin = bench_now_ms();
	char back[sizeof(line)];

	for (unsigned int i = 0; i < n; i++) {
		size_t got = 0;

		if (write(f->fd, line, sizeof(line) - 1) != sizeof(line) - 1)
			err(1, "uv_floor");
		while (got < sizeof(line) - 1) {
			ssize_t r = read(f->fd, back, sizeof(back));

			if (r <= 0)
				err(1, "uv_floor");
			got += (size_t)r;
		}
	}
	return (bench_now_ms() - begin) / n;
}

/* The same bytes as the floor sends; the answer is read to its LF, not parsed. */
static double rpc_ping(int fd, unsigned int n)
{
	static const char line[] =
		"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"daemon.ping\",\"params\":{}}\n";
	double begin = bench_now_ms();
	char back[4096];

	for (unsigned int i = 0; i < n; i++) {
		ssize_t r = 0;

		if (write(fd, line, sizeof(line) - 1) != sizeof(line) - 1)
			err(1, "vmd");
		do {
			r = read(fd, back, sizeof(back));
			if (r <= 0)
				err(1, "vmd");
		} while (back[r - 1] != '\n');
	}
	return (bench_now_ms() - begin) / n;
}

static double rpc_apply(struct client *c, unsigned int i)
{
	char params[512];
	double begin;

	snprintf(params, sizeof(params),
		 "{'definition': {'name': 'bench', 'profile': 'micro', 'memory': '128MiB', "
		 "'description': 'revision %u', 'boot': {'kernel': '/srv/images/vmlinux'}}}",
		 i);
	begin = bench_now_ms();
	json_object_put(client_result(c, "vm.apply", params));
	return bench_now_ms() - begin;
}

static int rpc_connect(struct harness *h)
{
	struct err e = { 0 };
	char hello[4096];
	int fd = conn_connect(h->socket, &e);

	if (fd < 0 || read(fd, hello, sizeof(hello)) <= 0)
		errx(1, "vmd: %s", e.msg);
	return fd;
}

static void rpc_measure(struct harness *h, struct rpc_floor *f)
{
	struct bench_series apply = { .n = 0 }, row = { .n = 0 }, ping = { .n = 0 },
			    echo = { .n = 0 };
	struct bench_row out = { .bench = "rpc", .peer = BENCH_NONE, .against = BENCH_FLOOR };
	unsigned int rounds = bench_rounds(), revision = 0;
	struct client *c = harness_client(h);
	int fd = rpc_connect(h);

	rpc_apply(c, revision++);
	rpc_ping(fd, RPC_PINGS);
	rpc_floor_echo(f, RPC_PINGS);
	for (unsigned int r = 0; r < rounds; r++) {
		for (unsigned int i = 0; i < RPC_APPLIES; i++) {
			bench_add(&row, rpc_floor_row(f));
			bench_add(&apply, rpc_apply(c, revision++));
		}
		bench_add(&echo, rpc_floor_echo(f, RPC_PINGS));
		bench_add(&ping, rpc_ping(fd, RPC_PINGS));
	}
	close(fd);
	out.name = "a durable vm.apply";
	out.unit = "ms";
	out.ours = bench_median(&apply);
	out.floor = bench_median(&row);
	out.target = 2;
	bench_row(&out);
	out.name = "warm round trip";
	out.unit = "us";
	out.ours = bench_median(&ping) * 1e3;
	out.floor = bench_median(&echo) * 1e3;
	out.target = 2.5;
	bench_row(&out);
}

int main(void)
{
	struct harness *h = harness_new();
	struct rpc_floor f = { .fd = -1 };

	harness_vmd(h, NULL, NULL);
	rpc_floor_open(&f);
	rpc_floor_start(&f);
	rpc_measure(h, &f);
	rpc_floor_close(&f);
	harness_free(h);
	return 0;
}
