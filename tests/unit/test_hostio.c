// SPDX-License-Identifier: MIT
/* vmd/hostio: helpers on a simulated host: their order, deadlines and ends. */
#include "tests/lib/test.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/ptrace.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/auto.h"
#include "lib/errcat.h"
#include "lib/fdio.h"
#include "lib/hostfs.h"
#include "tests/lib/skip.h"
#include "tests/lib/tempdir.h"
#include "vmd/hostio.h"

#define PF "0000:10:00.0"
#define VF(n) "0000:10:10." #n
#define SHORT_MS 400
#define BUSY_MS 2500 /* seen for a helper at a load of 20 on two processors */
#define WAIT_MS 20000
#define STEPS_MAX 64

struct answer {
	struct bench *b;
	bool done;
	int code; /* 0: worked */
	char text[1024];
	unsigned int at; /* its place in the order of ends */
};

struct bench {
	char *dir; /* owned */
	char root[256], program[4096];
	uv_loop_t loop;
	uv_timer_t limit, go; /* go: who hangs goes on then */
	struct log log;
	struct hostio *io;
	struct answer answers[STEPS_MAX];
	unsigned int begun, ended, most_children;
	bool late;
	int gate; /* owned: what is held goes on when it is closed; -1: nothing is */
};

static void bench_program(struct bench *b)
{
	ssize_t n = readlink("/proc/self/exe", b->program, sizeof(b->program) - 64);

	assert_true(n > 0);
	b->program[n] = '\0';
	for (int i = 0; i < 3; i++) /* BUILD/tests/unit/test_x */
		*strrchr(b->program, '/') = '\0';
	strcat(b->program, "/bin/vmd-hostsim");
}

static void bench_run(char *const argv[])
{
	pid_t pid = fork();
	int status;

	if (!pid) {
		execv(argv[0], argv);
		_exit(127);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
}

static void bench_open(struct bench *b, unsigned int most_ms)
{
	struct hostio_options options = { .loop = &b->loop,
					  .log = &b->log,
					  .program = b->program,
					  .sysroot = b->root,
					  .most_ms = most_ms };

	assert_int_equal(hostio_new(&options, &b->io, NULL), 0);
}

static int setup(void **state)
{
	struct bench *b = calloc(1, sizeof(*b));

	b->gate = -1;
	b->dir = tempdir_new();
	snprintf(b->root, sizeof(b->root), "%s/host", b->dir);
	bench_program(b);
	bench_run((char *[]){ b->program, (char *)"--make", b->root, (char *)"--pfs", (char *)"1",
			      (char *)"--vfs", (char *)"32", NULL });
	uv_loop_init(&b->loop);
	uv_timer_init(&b->loop, &b->limit);
	uv_timer_init(&b->loop, &b->go);
	log_init(&b->log, STDERR_FILENO, LOG_LEVEL_DEBUG, "test");
	*state = b;
	return 0;
}

/* As vmd does at its end; who reaps the helpers then is init. */
static void bench_close(struct bench *b)
{
	if (b->gate >= 0)
		close(TAKE_FD(b->gate));
	hostio_free(b->io);
	b->io = NULL;
	uv_run(&b->loop, UV_RUN_DEFAULT);
	while (waitpid(-1, NULL, 0) > 0)
		;
}

static int teardown(void **state)
{
	struct bench *b = *state;

	uv_close((uv_handle_t *)&b->go, NULL);
	bench_close(b);
	uv_close((uv_handle_t *)&b->limit, NULL);
	uv_run(&b->loop, UV_RUN_DEFAULT);
	assert_int_equal(uv_loop_close(&b->loop), 0);
	tempdir_remove(b->dir);
	free(b);
	return 0;
}

/* Children of this process: their number, and the first's pid. */
static unsigned int children(pid_t *ret_first)
{
	char path[64], text[1024] = "", *at = text;
	AUTO_CLOSE int fd = -1;
	unsigned int n = 0;
	long pid;

	snprintf(path, sizeof(path), "/proc/self/task/%d/children", getpid());
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0 || fdio_read(fd, text, sizeof(text) - 1) < 0)
		return 0;
	while ((pid = strtol(at, &at, 10)) > 0)
		if (!n++ && ret_first)
			*ret_first = (pid_t)pid;
	return n;
}

static void done(void *arg, struct json_object *result, const struct err *why)
{
	struct answer *a = arg;

	assert_false(a->done);
	a->done = true;
	a->at = a->b->ended++;
	a->code = result ? 0 : why->code;
	a->b->most_children = MAX(a->b->most_children, children(NULL));
	if (result)
		snprintf(a->text, sizeof(a->text), "%s",
			 json_object_to_json_string_ext(result, JSON_C_TO_STRING_PLAIN));
	else
		snprintf(a->text, sizeof(a->text), "%s|%s", why->msg, why->cause);
	assert_true((result != NULL) == (why == NULL));
}

static struct json_object *parse(const char *text)
{
	char json[1024];
	struct json_object *o = NULL;

	snprintf(json, sizeof(json), "%s", text);
	for (char *p = json; *p; p++)
		*p = *p == '\'' ? '"' : *p;
	assert_int_equal(json_parse(json, strlen(json), &o, NULL), 0);
	return o;
}

static struct answer *begin(struct bench *b, const char *text)
{
	AUTO_JSON struct json_object *step = parse(text);
	struct answer *a = &b->answers[b->begun++];

	assert_true(b->begun <= STEPS_MAX);
	a->b = b;
	hostio_do(b->io, step, done, a);
	assert_false(a->done); /* never from inside */
	return a;
}

static void too_late(uv_timer_t *timer)
{
	container_of(timer, struct bench, limit)->late = true;
}

/* Until all that was begun has ended. */
static void wait_all(struct bench *b)
{
	uv_timer_start(&b->limit, too_late, WAIT_MS, 0);
	while (b->ended < b->begun && !b->late)
		uv_run(&b->loop, UV_RUN_ONCE);
	uv_timer_stop(&b->limit);
	assert_false(b->late);
}

static void ok(struct bench *b, const char *step, const char *result)
{
	struct answer *a = begin(b, step);

	wait_all(b);
	assert_string_equal(a->text, result);
	assert_int_equal(a->code, 0);
}

static void refused(struct bench *b, const char *step, int code, const char *text)
{
	struct answer *a = begin(b, step);

	wait_all(b);
	assert_string_equal(a->text, text);
	assert_int_equal(a->code, code);
}

static void faults(struct bench *b, const char *text)
{
	AUTO_JSON struct json_object *o = parse(text);

	tempdir_file(b->root, "sim/faults.json", json_object_to_json_string(o));
}

static void make_vfs(struct bench *b)
{
	bench_open(b, 0);
	ok(b, "{'op':'vfs','pf':'" PF "','count':32,'autoprobe':false}", "{\"count\":32}");
	bench_close(b);
	b->begun = b->ended = b->most_children = 0;
	memset(b->answers, 0, sizeof(b->answers));
}

/* Of one device in order, and of many at once; at most eight processes. */
static void test_order(void **state)
{
	struct bench *b = *state;

	make_vfs(b);
	bench_open(b, 0);
	for (int i = 0; i < 48; i++) {
		char step[128];

		snprintf(step, sizeof(step), "{'op':'driver','pci':'0000:10:1%d.%d','driver':'%s'}",
			 i % 24 / 8, i % 8, i < 24 ? "vfio-pci" : "");
		begin(b, step);
	}
	wait_all(b);
	for (int i = 0; i < 48; i++)
		assert_string_equal(b->answers[i].text, "{}");
	for (int i = 0; i < 24; i++)
		assert_true(b->answers[i].at < b->answers[i + 24].at);
	assert_true(b->most_children > 1 && b->most_children <= 8);
}

/* A slow step holds up those of its device, and no others. */
static void test_same_device(void **state)
{
	struct bench *b = *state;
	struct answer *slow, *next, *other;

	make_vfs(b);
	bench_open(b, 0);
	faults(b, "[{'op':'vf-set','at':'vlan','error':'EBUSY','times':5}]");
	slow = begin(b, "{'op':'vf-set','pf':'" PF "','vf':3,'set':{'vlan':7}}");
	next = begin(b, "{'op':'link-up','pf':'" PF "'}");
	other = begin(b, "{'op':'reset','pci':'" VF(4) "'}");
	wait_all(b);
	assert_int_equal(slow->code | next->code | other->code, 0);
	assert_int_equal(other->at, 0);
	assert_int_equal(slow->at, 1);
	assert_int_equal(next->at, 2);
	/* the last one did not have a helper of its own, to wait with */
	assert_int_equal(b->most_children, 2);
}

/* The kernel's no, by the helper, is the step's. */
static void test_refused(void **state)
{
	struct bench *b = *state;

	bench_open(b, 0);
	refused(b, "{'op':'vfs','pf':'" PF "','count':33}", ERR_HOST_VFS,
		PF " can have 32 VFs, not 33|");
	refused(b, "{'op':'x','pf':'" PF "'}", ERR_INVALID, "there is no step 'x'|");
}

static void test_deadline(void **state)
{
	struct bench *b = *state;
	char path[600];

	make_vfs(b);
	bench_open(b, SHORT_MS);
	ok(b, "{'op':'driver','pci':'" VF(3) "','driver':'vfio-pci'}", "{}");
	/* who has it open is told */
	tempdir_file(b->root, "proc/4711/comm", "vmm\n");
	tempdir_file(b->root, "proc/4711/fd/0", "");
	snprintf(path, sizeof(path), "%s/proc/4711/fd/9", b->root);
	assert_int_equal(symlink("/sys/bus/pci/devices/" VF(3) "/config", path), 0);
	faults(b, "[{'op':'driver','at':'unbind','hang':true}]");
	refused(b, "{'op':'driver','pci':'" VF(3) "','driver':''}", ERR_HOST_STUCK,
		"unbind " VF(3) ": not done within 0.4 s|process 4711 (vmm) holds "
				"/sys/bus/pci/devices/" VF(3) "/config");
	/* the next one gets a new helper */
	faults(b, "[]");
	ok(b, "{'op':'driver','pci':'" VF(3) "','driver':''}", "{}");
}

static void let_go(uv_timer_t *timer)
{
	const struct bench *b = container_of(timer, struct bench, go);
	char path[600];
	AUTO_CLOSE int fd = -1;

	snprintf(path, sizeof(path), "%s/sim/hang", b->root);
	fd = open(path, O_WRONLY | O_NONBLOCK | O_CLOEXEC);
	if (fd < 0) /* nobody hangs there so far */
		uv_timer_start(timer, let_go, 10, 0);
}

/* On a host that has much to do a helper may not have the processor for seconds: its device is not stuck. */
static void test_busy_host(void **state)
{
	struct bench *b = *state;

	make_vfs(b);
	bench_open(b, 0);
	faults(b, "[{'op':'link-up','hang':true,'times':1}]");
	uv_timer_start(&b->go, let_go, BUSY_MS, 0);
	ok(b, "{'op':'link-up','pf':'" PF "'}", "{\"was\":\"down\"}");
	assert_false(uv_is_active((uv_handle_t *)&b->go));
}

/* Many at once that hang: no more processes than eight, and each is told. */
static void test_many_hang(void **state)
{
	struct bench *b = *state;

	make_vfs(b);
	bench_open(b, SHORT_MS);
	faults(b, "[{'op':'reset','hang':true}]");
	for (int i = 0; i < 16; i++) {
		char step[128];

		snprintf(step, sizeof(step), "{'op':'reset','pci':'0000:10:1%d.%d'}", i / 8, i % 8);
		begin(b, step);
	}
	wait_all(b);
	for (int i = 0; i < 16; i++)
		assert_int_equal(b->answers[i].code, ERR_HOST_STUCK);
	assert_true(b->most_children <= 8);
}

static void test_bad_helper(void **state)
{
	struct bench *b = *state;

	make_vfs(b);
	bench_open(b, 0);
	faults(b, "[{'op':'reset','exit':true,'times':1}]");
	refused(b, "{'op':'reset','pci':'" VF(3) "'}", ERR_HOST_HELPER,
		"reset " VF(3) ": the helper was ended by signal 9 (Killed)|");
	ok(b, "{'op':'reset','pci':'" VF(3) "'}", "{}");
	faults(b, "[{'op':'reset','garbage':true,'times':1}]");
	refused(b, "{'op':'reset','pci':'" VF(3) "'}", ERR_HOST_HELPER,
		"reset " VF(3) ": the helper's answer is none: byte 0: expected a value, got 'w'|");
	ok(b, "{'op':'reset','pci':'" VF(3) "'}", "{}");
}

static void test_no_program(void **state)
{
	struct bench *b = *state;
	char text[4200];

	strcat(b->program, "-none");
	bench_open(b, 0);
	snprintf(text, sizeof(text),
		 "cannot run '%s', which does all writes to the host: no such file or directory|",
		 b->program);
	refused(b, "{'op':'reset','pci':'" VF(3) "'}", ERR_HOST_HELPER, text);
	refused(b, "{'op':'reset','pci':'" VF(3) "'}", ERR_HOST_HELPER, text);
}

/* vmd ends: nobody is called any more, and the loop comes to its end although a helper hangs. */
static void test_vmd_ends(void **state)
{
	struct bench *b = *state;
	char path[600];

	make_vfs(b);
	bench_open(b, 0);
	faults(b, "[{'op':'reset','hang':true,'times':1}]");
	begin(b, "{'op':'reset','pci':'" VF(3) "'}");
	begin(b, "{'op':'reset','pci':'" VF(3) "'}");
	/* until the first hangs: the FIFO is there then */
	snprintf(path, sizeof(path), "%s/sim/hang", b->root);
	while (access(path, F_OK) < 0)
		uv_run(&b->loop, UV_RUN_NOWAIT);
	hostio_free(b->io);
	b->io = NULL;
	uv_run(&b->loop, UV_RUN_DEFAULT);
	assert_int_equal(b->ended, 0);
	/* let it go: it finds its input at the end */
	AUTO_CLOSE int fd = open(path, O_WRONLY | O_CLOEXEC);

	assert_int_equal(write(fd, "x", 1), 1);
	assert_true(waitpid(-1, NULL, 0) > 0);
}

/* What is asked while another program holds the device's lock waits, and is not begun when its vmd is gone. */
static void test_lock(void **state)
{
	struct bench *b = *state;
	char path[600];
	AUTO_CLOSE int fd = -1;

	make_vfs(b);
	snprintf(path, sizeof(path), "%s/sys/bus/pci/devices/" VF(3), b->root);
	fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	assert_int_equal(flock(fd, LOCK_EX), 0);
	bench_open(b, SHORT_MS);
	refused(b, "{'op':'driver','pci':'" VF(3) "','driver':'vfio-pci'}", ERR_HOST_STUCK,
		"bind " VF(3) " to vfio-pci: not done within 0.4 s|");
	/* what changes nothing does not wait */
	ok(b, "{'op':'clean','pci':'" VF(3) "','driver':''}", "{}");
	assert_int_equal(flock(fd, LOCK_UN), 0);
	ok(b, "{'op':'driver','pci':'" VF(3) "','driver':'vfio-pci'}", "{}");
}

static void test_orphan(void **state)
{
	static const char step[] =
		"{\"op\":\"driver\",\"pci\":\"" VF(3) "\",\"driver\":\"vfio-pci\"}\n";
	struct bench *b = *state;
	char *argv[] = { b->program,	     (char *)"--sysroot", b->root,
			 (char *)"--parent", (char *)"1",	  NULL };
	char answer[512] = "";
	int in[2], out[2], status;
	pid_t pid;

	make_vfs(b);
	assert_int_equal(pipe2(in, O_CLOEXEC) | pipe2(out, O_CLOEXEC), 0);
	pid = fork();
	if (!pid) {
		dup2(in[0], 0);
		dup2(out[1], 1);
		execv(argv[0], argv);
		_exit(127);
	}
	close(in[0]);
	close(out[1]);
	assert_int_equal(write(in[1], step, strlen(step)), strlen(step));
	close(in[1]);
	assert_true(fdio_read(out[0], answer, sizeof(answer) - 1) > 0);
	close(out[0]);
	assert_non_null(strstr(answer, "the vmd that asked for it is gone"));
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	bench_open(b, 0);
	ok(b, "{'op':'clean','pci':'" VF(3) "','driver':''}", "{}");
}

/* Nothing of vmd's is inherited but standard error. */
static void test_descriptors(void **state)
{
	struct bench *b = *state;
	char path[600], to[256];
	unsigned int n = 0;
	pid_t pid = 0;

	make_vfs(b);
	bench_open(b, 0);
	ok(b, "{'op':'clean','pci':'" VF(3) "','driver':''}", "{}");
	assert_int_equal(children(&pid), 1);
	for (int fd = 0; fd < 64; fd++) {
		ssize_t len;

		snprintf(path, sizeof(path), "/proc/%d/fd/%d", pid, fd);
		len = readlink(path, to, sizeof(to) - 1);
		if (len <= 0)
			continue;
		to[len] = '\0';
		n++;
		if (fd > 2)
			assert_string_equal(to, b->root);
	}
	assert_int_equal(n, 4);
}

/* --- a helper that the kernel does not let go ---------------------------------------------------- */

/*
 * A tracer that stops the process at its exit (PTRACE_EVENT_EXIT): killed, and still there, as one that waits in the
 * kernel is. It lets go at the end of gate.
 */
static pid_t hold_at_exit(pid_t victim, int ready, const int gate[2])
{
	pid_t pid = fork();
	char byte;

	if (pid)
		return pid;
	close(gate[1]);
	if (ptrace(PTRACE_SEIZE, victim, NULL, PTRACE_O_TRACEEXIT) < 0)
		_exit(1);
	if (write(ready, "x", 1) != 1 || waitpid(victim, NULL, __WALL) != victim)
		_exit(2);
	while (read(gate[0], &byte, 1) > 0)
		;
	ptrace(PTRACE_DETACH, victim, NULL, NULL);
	_exit(0);
}

static void test_left_behind(void **state)
{
	struct bench *b = *state;
	char path[600], byte, text[256];
	int ready[2], gate[2];
	struct answer *a;
	pid_t tracer, helper = 0;

	make_vfs(b);
	bench_open(b, SHORT_MS);
	faults(b, "[{'op':'reset','hang':true,'times':1}]");
	a = begin(b, "{'op':'reset','pci':'" VF(3) "'}");
	snprintf(path, sizeof(path), "%s/sim/hang", b->root);
	while (access(path, F_OK) < 0)
		uv_run(&b->loop, UV_RUN_NOWAIT);
	assert_int_equal(children(&helper), 1);
	assert_int_equal(pipe2(ready, O_CLOEXEC) | pipe2(gate, O_CLOEXEC), 0);
	tracer = hold_at_exit(helper, ready[1], gate);
	b->gate = gate[1];
	close(ready[1]);
	if (read(ready[0], &byte, 1) != 1)
		SKIP_BECAUSE("this machine does not let processes be traced");
	wait_all(b);
	assert_int_equal(a->code, ERR_HOST_STUCK);
	assert_string_equal(a->text,
			    "reset " VF(3) ": not done within 0.4 s, and the kernel does not let "
					   "the helper go|");
	/* that device is left alone, others are not; whoever waits is not the loop */
	snprintf(text, sizeof(text),
		 "reset " VF(
			 3) ": not begun, for an earlier step still hangs in the kernel (pid %d)|",
		 helper);
	refused(b, "{'op':'reset','pci':'" VF(3) "'}", ERR_HOST_STUCK, text);
	ok(b, "{'op':'reset','pci':'" VF(4) "'}", "{}");
	/* gone at last: the device may be used again */
	close(TAKE_FD(b->gate));
	assert_int_equal(waitpid(tracer, NULL, 0), tracer);
	do {
		a = begin(b, "{'op':'reset','pci':'" VF(3) "'}");
		wait_all(b);
	} while (a->code == ERR_HOST_STUCK && b->begun < STEPS_MAX);
	assert_int_equal(a->code, 0);
	close(ready[0]);
	close(gate[0]);
}

/* --- words ------------------------------------------------------------------------------------- */

static void test_text(void **state)
{
	static const char *const texts[][2] = {
		{ "{'op':'driver','pci':'" VF(3) "','driver':'vfio-pci'}",
		  "bind " VF(3) " to vfio-pci" },
		{ "{'op':'driver','pci':'" VF(3) "','driver':'igbvf','override':false}",
		  "bind " VF(3) " to igbvf, without override" },
		{ "{'op':'driver','pci':'" VF(3) "','driver':''}", "unbind " VF(3) },
		{ "{'op':'reset','pci':'" VF(3) "'}", "reset " VF(3) },
		{ "{'op':'vfs','pf':'" PF "','count':8,'autoprobe':false}",
		  "make 8 VFs on " PF ", drivers for them off" },
		{ "{'op':'vfs','pf':'" PF "','count':0}", "remove the VFs of " PF },
		{ "{'op':'link-up','pf':'" PF "'}", "set the network interface of " PF " up" },
		{ "{'op':'vf-set','pf':'" PF "','vf':3,'set':{'mac':'52:54:00:12:34:56','vlan':100,"
		  "'trust':false,'max_tx_rate':7}}",
		  "set MAC 52:54:00:12:34:56, VLAN 100, trust off, most rate 7 Mbit/s on VF 3 "
		  "of " PF },
		{ "{'op':'nvme-vf','pf':'" PF "','vf':1,'queues':2,'interrupts':3,'online':true}",
		  "give 2 queues and 3 interrupts to VF 1 of " PF " and set it online" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
		AUTO_JSON struct json_object *step = parse(texts[i][0]);
		char text[256], cut[8];

		assert_string_equal(hostio_text(step, text, sizeof(text)), texts[i][1]);
		assert_int_equal(strlen(hostio_text(step, cut, sizeof(cut))), sizeof(cut) - 1);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_order, setup, teardown),
		cmocka_unit_test_setup_teardown(test_same_device, setup, teardown),
		cmocka_unit_test_setup_teardown(test_refused, setup, teardown),
		cmocka_unit_test_setup_teardown(test_deadline, setup, teardown),
		cmocka_unit_test_setup_teardown(test_busy_host, setup, teardown),
		cmocka_unit_test_setup_teardown(test_many_hang, setup, teardown),
		cmocka_unit_test_setup_teardown(test_bad_helper, setup, teardown),
		cmocka_unit_test_setup_teardown(test_no_program, setup, teardown),
		cmocka_unit_test_setup_teardown(test_vmd_ends, setup, teardown),
		cmocka_unit_test_setup_teardown(test_lock, setup, teardown),
		cmocka_unit_test_setup_teardown(test_orphan, setup, teardown),
		cmocka_unit_test_setup_teardown(test_descriptors, setup, teardown),
		cmocka_unit_test_setup_teardown(test_left_behind, setup, teardown),
		cmocka_unit_test(test_text),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
