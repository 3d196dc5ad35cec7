// SPDX-License-Identifier: MIT
/*
 * VMs in control groups: where their processes are, what is left behind, what is refused. In whatever cgroup
 * file system of version 2 there is; its controllers are the lab's affair (tests/lab/limits).
 */
#include "tests/functional/scene.h"

#include <dirent.h>
#include <fcntl.h>
#include <mntent.h>
#include <signal.h>
#include <sqlite3.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "lib/errcat.h"
#include "lib/fdio.h"
#include "tests/lib/skip.h"

struct groups {
	struct harness *h;
	char base[256]; /* "" where there is no cgroup file system for us */
};

/* A folder of our own in a mounted cgroup file system of version 2. */
static void groups_find(struct groups *g)
{
	FILE *mounts = setmntent("/proc/self/mounts", "r");
	struct mntent *m;

	assert_non_null(mounts);
	while (!g->base[0] && (m = getmntent(mounts))) {
		if (strcmp(m->mnt_type, "cgroup2"))
			continue;
		snprintf(g->base, sizeof(g->base), "%s/vmd-test-%d", m->mnt_dir, (int)getpid());
		if (mkdir(g->base, 0755) < 0)
			g->base[0] = '\0';
	}
	endmntent(mounts);
}

static int setup(void **state)
{
	struct groups *g = calloc(1, sizeof(*g));

	assert_non_null(g);
	g->h = harness_new();
	groups_find(g);
	*state = g;
	return 0;
}

static int teardown(void **state)
{
	struct groups *g = *state;

	harness_free(g->h);
	if (g->base[0])
		assert_int_equal(rmdir(g->base), 0); /* nothing of a VM is in there */
	free(g);
	return 0;
}

#define NEEDS(g)                                                                        \
	do {                                                                            \
		if (!harness_has_kvm())                                                 \
			SKIP_BECAUSE("no /dev/kvm");                                    \
		if (!(g)->base[0])                                                      \
			SKIP_BECAUSE("no cgroup file system of version 2 to write to"); \
	} while (0)

static void apply(struct groups *g, struct client *c, const char *more)
{
	char params[512];

	snprintf(params, sizeof(params),
		 "{'definition': {'name': 'one', 'boot': {'kernel': '%s'}%s}}",
		 harness_file(g->h, "kernel", "not looked at"), more);
	json_object_put(client_result(c, "vm.apply", params));
}

/* The line of version 2 in /proc/PID/cgroup ends so. */
static bool is_in(pid_t pid, const char *end)
{
	char path[64], text[4096], *line;
	ssize_t n;
	int fd;

	snprintf(path, sizeof(path), "/proc/%d/cgroup", (int)pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	assert_true(fd >= 0);
	n = fdio_read(fd, text, sizeof(text) - 1);
	close(fd);
	assert_true(n > 0);
	text[n] = '\0';
	line = strstr(text, "0::");
	assert_non_null(line);
	line[strcspn(line, "\n")] = '\0';
	return strlen(line) > strlen(end) && !strcmp(line + strlen(line) - strlen(end), end);
}

/* The groups below the base: their number, and the name of one. */
static unsigned int count(struct groups *g, char *ret_name, size_t size)
{
	DIR *dir = opendir(g->base);
	unsigned int n = 0;
	struct dirent *d;

	assert_non_null(dir);
	while ((d = readdir(dir))) {
		if (d->d_type != DT_DIR || d->d_name[0] == '.')
			continue;
		n++;
		snprintf(ret_name, size, "/%s", d->d_name);
	}
	closedir(dir);
	return n;
}

/* vmd removes a group within some turns of its loop, or tries again a little later. */
static void assert_none(struct groups *g, struct client *c)
{
	int64_t end = harness_now_ms() + HARNESS_WAIT_MS;
	char name[300];

	while (count(g, name, sizeof(name)) && harness_now_ms() < end)
		json_object_put(client_result(c, "daemon.ping", NULL));
	assert_int_equal(count(g, name, sizeof(name)), 0);
}

static int take_cgroup(void *arg, int n, char **values, char **names)
{
	(void)n;
	(void)names;
	snprintf(arg, 300, "%s", values[0]);
	return 0;
}

/* The one process that the database knows of is said to be in it. */
static void assert_written(struct groups *g, const char *name)
{
	char path[600], seen[300] = "";
	sqlite3 *db;

	snprintf(path, sizeof(path), "%s/state.db", g->h->state_dir);
	assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
	assert_int_equal(sqlite3_exec(db, "SELECT cgroup FROM process", take_cgroup, seen, NULL),
			 SQLITE_OK);
	sqlite3_close(db);
	snprintf(path, sizeof(path), "%s%s", g->base, name);
	assert_string_equal(seen, path);
}

static struct client *up(struct groups *g, char *ret_name, size_t size)
{
	struct client *c;

	harness_vmd(g->h, "ok", "--cgroup", g->base, NULL);
	c = harness_client(g->h);
	apply(g, c, "");
	json_object_put(client_result(c, "vm.start", "{'vm': 'one'}"));
	assert_int_equal(count(g, ret_name, size), 1);
	assert_memory_equal(ret_name, "/one-", 5);
	assert_true(is_in(scene_pid(c, "one"), ret_name));
	assert_written(g, ret_name);
	assert_false(is_in(g->h->vmd, ret_name));
	return c;
}

static void test_own_group(void **state)
{
	struct groups *g = *state;
	char first[300], second[300];
	struct client *c;

	NEEDS(g);
	c = up(g, first, sizeof(first));
	json_object_put(client_result(c, "vm.kill", "{'vm': 'one'}"));
	assert_none(g, c);
	json_object_put(client_result(c, "vm.start", "{'vm': 'one'}"));
	assert_int_equal(count(g, second, sizeof(second)), 1);
	assert_string_not_equal(first, second); /* the old one's end never hits the new one */
	json_object_put(client_result(c, "vm.kill", "{'vm': 'one'}"));
	assert_none(g, c);
}

static void test_failed_start(void **state)
{
	struct groups *g = *state;
	struct client *c;

	NEEDS(g);
	harness_vmd(g->h, "die-configure", "--cgroup", g->base, NULL);
	c = harness_client(g->h);
	apply(g, c, "");
	json_object_put(client_error(c, "vm.start", "{'vm': 'one'}"));
	assert_none(g, c);
	unlink(harness_file(g->h, "kernel", ""));
	json_object_put(client_error(c, "vm.start", "{'vm': 'one'}"));
	assert_none(g, c);
}

static void test_outlives_vmd(void **state)
{
	struct groups *g = *state;
	char name[300], again[300];
	struct client *c;
	pid_t pid;

	NEEDS(g);
	c = up(g, name, sizeof(name));
	pid = scene_pid(c, "one");
	client_close(g->h, c);
	harness_vmd_end(g->h, SIGKILL);
	harness_vmd(g->h, "ok", "--cgroup", g->base, NULL);
	c = harness_client(g->h);
	assert_int_equal(scene_pid(c, "one"), pid);
	assert_int_equal(count(g, again, sizeof(again)), 1);
	assert_true(is_in(pid, name));
	json_object_put(client_result(c, "vm.kill", "{'vm': 'one'}"));
	assert_none(g, c);
}

/* vmd and vmm have both gone; the next vmd, which makes no groups at all, removes what they left. */
static void test_left_behind(void **state)
{
	struct groups *g = *state;
	char name[300];
	struct client *c;

	NEEDS(g);
	c = up(g, name, sizeof(name));
	scene_end_all(g->h, c, "one");
	assert_int_equal(count(g, name, sizeof(name)), 1);
	harness_vmd(g->h, "ok", "--cgroup", "none", NULL);
	c = harness_client(g->h);
	assert_none(g, c);
}

static void run_sql(struct groups *g, const char *sql)
{
	char path[200];
	sqlite3 *db;

	snprintf(path, sizeof(path), "%s/state.db", g->h->state_dir);
	assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
	assert_int_equal(sqlite3_exec(db, sql, NULL, NULL, NULL), SQLITE_OK);
	sqlite3_close(db);
}

/* The database says that this is a group of the VM 'one', and its process's; it is a folder that looks like it. */
static void write_group(struct groups *g, const char *name, int kills, bool of_process)
{
	char path[200], text[400], sql[700];

	snprintf(path, sizeof(path), "%s/%s", g->h->dir, name);
	assert_int_equal(mkdir(path, 0755), 0);
	snprintf(path, sizeof(path), "%s/memory.events", name);
	snprintf(text, sizeof(text), "low 0\nhigh 0\nmax 7\noom 1\noom_kill %d\n", kills);
	snprintf(sql, sizeof(sql), "INSERT INTO cgroup SELECT '%s/%s', id FROM vm WHERE name='one'",
		 g->h->dir, name);
	harness_file(g->h, path, text);
	run_sql(g, sql);
	snprintf(sql, sizeof(sql), "UPDATE process SET cgroup = '%s/%s'", g->h->dir, name);
	if (of_process)
		run_sql(g, sql);
}

/*
 * vmm is ended while no vmd is there: what the kernel has counted in its group tells the next one why. Groups of earlier
 * processes that could not be removed are there too, and say nothing of this one.
 */
static void test_memory_while_away(void **state)
{
	static const struct {
		int kills[2]; /* of a group each; -1: there is none */
		int own;      /* the process's; -1: it was in none */
		const char *reason;
	} cases[] = { { { 1, -1 }, 0, "oom" },	  { { 0, -1 }, 0, "lost" },
		      { { -1, -1 }, -1, "lost" }, { { 0, 1 }, 1, "oom" },
		      { { 1, 0 }, 0, "oom" },	  { { 0, 1 }, 0, "lost" },
		      { { 1, -1 }, -1, "lost" } };
	struct groups *g = *state;
	struct client *c;
	char name[20];
	pid_t pid;

	if (!harness_has_kvm())
		SKIP_BECAUSE("no /dev/kvm");
	/* a process that PID 1 has not reaped yet is found again, and is in no group of ours */
	prctl(PR_SET_CHILD_SUBREAPER, 1);
	harness_vmd(g->h, "ok", "--cgroup", "none", NULL);
	c = harness_client(g->h);
	apply(g, c, "");
	for (unsigned int i = 0; i < ARRAY_SIZE(cases); i++) {
		json_object_put(client_result(c, "vm.start", "{'vm': 'one'}"));
		pid = scene_pid(c, "one");
		scene_end_all(g->h, c, "one");
		assert_int_equal(waitpid(pid, NULL, 0), pid);
		run_sql(g, "DELETE FROM cgroup"); /* ours are none that could be removed */
		for (int k = 0; k < 2 && cases[i].kills[k] >= 0; k++) {
			snprintf(name, sizeof(name), "group%u%d", i, k);
			write_group(g, name, cases[i].kills[k], k == cases[i].own);
		}
		harness_vmd(g->h, "ok", "--cgroup", "none", NULL);
		c = harness_client(g->h);
		scene_expect_exit(c, "one", cases[i].reason, NULL);
	}
	prctl(PR_SET_CHILD_SUBREAPER, 0);
}

#define HINT "take 'limits' out of its definition, or see --cgroup in vmd(8)"

static void test_limits_unkept(void **state)
{
	struct groups *g = *state;
	const char *message = "the limits of VM 'one' cannot be kept here: vmd was told so: "
			      "--cgroup none";
	AUTO_JSON struct json_object *o = NULL;
	char params[512];
	struct client *c;

	if (!harness_has_kvm())
		SKIP_BECAUSE("no /dev/kvm");
	harness_vmd(g->h, "ok", "--cgroup", "none", NULL);
	c = harness_client(g->h);
	apply(g, c, ", 'limits': {'cpu_percent': 50}");
	client_expect_error(c, "vm.start", "{'vm': 'one'}", ERR_LIMITS, message, HINT);
	client_expect_error(c, "vm.start", "{'vm': 'one', 'dry_run': true}", ERR_LIMITS, message,
			    HINT);
	snprintf(params, sizeof(params),
		 "{'definition': {'name': 'two', 'boot': {'kernel': '%s/kernel'}, "
		 "'limits': {'tasks': 50}}}",
		 g->h->dir);
	o = client_result(c, "vm.validate", params);
	assert_string_equal(json_object_get_string(json_at(o, "/warnings/0")),
			    "the limits of VM 'two' cannot be kept here: vmd was told so: "
			    "--cgroup none");
	/* defaults are left out where they cannot be kept */
	apply(g, c, ", 'limits': {}");
	json_object_put(client_result(c, "vm.start", "{'vm': 'one'}"));
	json_object_put(client_result(c, "vm.kill", "{'vm': 'one'}"));
}

static void refused(struct groups *g, const char *path, int status, const char *message)
{
	char err[512];

	assert_int_equal(harness_vmd_fails(g->h, err, sizeof(err), "--cgroup", path, NULL), status);
	err[strcspn(err, "\n")] = '\0';
	assert_string_equal(err, message);
}

static void test_bad_option(void **state)
{
	struct groups *g = *state;
	char path[256], message[512];
	struct stat st;

	refused(g, "here", 2, "vmd: --cgroup: 'here' is no PATH|none|systemd");
	refused(g, "/nowhere/at/all", 1,
		"vmd: --cgroup: cannot make the cgroup '/nowhere/at/all': No such file or "
		"directory");
	snprintf(path, sizeof(path), "%s/plain", g->h->dir);
	snprintf(message, sizeof(message),
		 "vmd: --cgroup: '%s' is not in a cgroup file system of version 2", path);
	refused(g, path, 1, message);
	assert_int_equal(stat(path, &st), -1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
		T(test_own_group),	   T(test_failed_start),  T(test_outlives_vmd),
		T(test_left_behind),	   T(test_limits_unkept), T(test_bad_option),
		T(test_memory_while_away),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
