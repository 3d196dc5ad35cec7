// SPDX-License-Identifier: MIT
/* Completion: what vmctl offers, and that bash, zsh and fish show it when somebody presses Tab. */
#include <poll.h>
#include <pty.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/functional/harness.h"
#include "tests/functional/simhost.h"
#include "tests/lib/skip.h"

#define HELLO "name: %s\nmemory: 64MiB\nboot:\n  kernel: %s/kernel\n"

static int setup(void **state)
{
	struct harness *h = harness_new();
	char vmctl[256], path[1024];

	harness_program("vmctl", vmctl, sizeof(vmctl));
	*strrchr(vmctl, '/') = '\0';
	snprintf(path, sizeof(path), "%s:/usr/bin:/bin", vmctl);
	setenv("PATH", path, 1);
	setenv("VMD_SOCKET", h->socket, 1);
	*state = h;
	return 0;
}

/* Words behind "vmctl", the last is the current one; what comes out, names only. */
static void offers(const char *line, const char *expected)
{
	static struct harness_output got;
	char copy[256], names[4096] = "", program[256], *argv[12], *save = NULL;
	size_t n = 0;

	harness_program("vmctl", program, sizeof(program));
	argv[n++] = program;
	argv[n++] = (char *)"__complete";
	snprintf(copy, sizeof(copy), "%s", line);
	for (char *w = strtok_r(copy, " ", &save); w; w = strtok_r(NULL, " ", &save))
		argv[n++] = w;
	if (!line[0] || line[strlen(line) - 1] == ' ')
		argv[n++] = (char *)"";
	argv[n] = NULL;
	assert_int_equal(harness_run(NULL, &got, argv), 0);
	assert_string_equal(got.err, "");
	for (char *l = strtok_r(got.out, "\n", &save); l; l = strtok_r(NULL, "\n", &save))
		snprintf(names + strlen(names), sizeof(names) - strlen(names), "%s%.*s",
			 names[0] ? " " : "", (int)strcspn(l, "\t"), l);
	assert_string_equal(names, expected);
}

static void two_vms(struct harness *h)
{
	static const char *const names[] = { "one", "two" };
	struct harness_output got;
	char text[256];

	harness_vmd(h, "ok", NULL);
	harness_file(h, "kernel", "not looked at by the fake");
	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		snprintf(text, sizeof(text), HELLO, names[i], h->dir);
		assert_int_equal(harness_vmctl(h, NULL, &got, "apply", "-f",
					       harness_file(h, "vm.yaml", text), NULL),
				 0);
	}
	assert_int_equal(harness_vmctl(h, NULL, &got, "start", "one", NULL), 0);
}

static void test_words(void **state)
{
	(void)state;
	offers("sta", "start");
	offers("hos", "host");
	offers("host ", "info doctor");
	offers("--output=", "--output=table --output=wide --output=name --output=json");
	offers("-o j", "json");
	offers("-oj", "-ojson");
	offers("stop --ti", "--timeout");
	offers("list -- --ti", "");
	offers("apply -f ", ":files");
	offers("apply --file=x", ":files");
	offers("validate a.yaml ", ":files");
	offers("stop -t ", "");
	offers("nonsense ", "");
	offers("host nonsense ", "");
	offers("help host ", "info doctor");
	offers("completion ", "bash zsh fish");
	offers("explain vm.re", "vm.revision_mismatch");
	offers("revert one --to ", ""); /* no vmd */
}

static void test_names_by_state(void **state)
{
	struct harness *h = *state;

	two_vms(h);
	offers("start ", "two");
	offers("stop ", "one");
	offers("delete ", "two");
	offers("resume ", "");
	offers("show ", "one two");
	offers("wait o", "one");
	offers("wait one ", "two");
	offers("history ", "one two");
	offers("revert one --to ", "1");
	offers("revert nope --to ", "");
	offers("console one ", "com1 console0");
	offers("rpc vm.rese", "vm.reset");
}

/* Pools, cards and devices in quarantine, of a simulated host. */
static void test_devices(void **state)
{
	static const char pool[] = "kind: pool\nname: front\nvfs: 2\npfs: [\"0000:10:00.0\"]\n";
	static struct harness_output got;
	struct harness *h = *state;
	struct client *c;

	if (!harness_has_kvm())
		SKIP_BECAUSE("no /dev/kvm");
	simhost_new(h, "2", "8", "1");
	harness_vmd(h, "ok", "--sysroot", simhost_root(h), "--cgroup", "none", NULL);
	c = harness_client(h);
	offers("sriov ", "pf pool lease");
	offers("sriov pool ", "list show history export revert delete");
	offers("sriov pool show ", "");
	offers("sriov pf s", "show set");
	offers("sriov lease ", "list");
	offers("sriov pf show ", "0000:10:00.0 0000:20:00.0 0000:90:00.0");
	offers("sriov pf set 0000:2", "0000:20:00.0");
	assert_int_equal(harness_vmctl(h, NULL, &got, "apply", "-f",
				       harness_file(h, "pool.yaml", pool), NULL),
			 0);
	offers("sriov pool show ", "front");
	offers("sriov pool delete b", "");
	offers("attach one pci --pool ", "front");
	offers("attach one pci --pool=f", "--pool=front");
	/* what a reset does not bring back */
	offers("pci release ", "");
	json_object_put(
		client_result(c, "vm.apply",
			      "{'definition': {'name': 'one', 'boot': {'kernel': '/etc/passwd'},"
			      " 'passthrough': [{'pool': 'front'}]}}"));
	json_object_put(client_result(c, "vm.start", "{'vm': 'one'}"));
	offers("pci release ", "");
	simhost_faults(h, "[{'op':'reset','pci':'0000:10:10.0','error':'ENOTTY'}]");
	json_object_put(client_result(c, "vm.stop", "{'vm': 'one'}"));
	offers("pci release ", "0000:10:10.0");
	simhost_faults(h, "");
}

static void test_jobs(void **state)
{
	struct harness *h = *state;
	struct harness_output got;

	two_vms(h);
	assert_int_equal(harness_vmctl(h, NULL, &got, "jobs", "--no-header", NULL), 0);
	got.out[strcspn(got.out, " ")] = '\0'; /* that of the start, which is over */
	offers("job show ", got.out);
	offers("job cancel ", "");
	offers("send-key one ctrl+alt+del", "ctrl+alt+delete");
	offers("job wait j-", "");
}

/* No vmd, one that has hung, one that is none: silence, and soon. */
static void test_silent(void **state)
{
	struct harness *h = *state;

	offers("stop ", "");
	two_vms(h);
	assert_int_equal(kill(h->vmd, SIGSTOP), 0);
	offers("stop ", "");
	assert_int_equal(kill(h->vmd, SIGCONT), 0);
	offers("stop ", "one");
}

/* The scripts themselves: real shells read them below. */
static void test_script(void **state)
{
	AUTO_JSON struct json_object *doc = NULL;
	struct harness_output got;

	assert_int_equal(harness_vmctl(*state, NULL, &got, "completion", "fish", "--json", NULL),
			 0);
	assert_int_equal(json_parse(got.out, strlen(got.out), &doc, NULL), 0);
	assert_string_equal(json_get_str(doc, "schema", ""), "vmctl.completion/1");
	assert_string_equal(json_get_str(doc, "shell", ""), "fish");
	assert_non_null(strstr(json_get_str(doc, "script", ""), "complete -c vmctl"));
	assert_int_equal(harness_vmctl(*state, NULL, &got, "completion", "ksh", NULL), 2);
	assert_string_equal(got.err, "vmctl: no completion for 'ksh': bash, zsh or fish\n");
}

/* --- real shells ------------------------------------------------------------------------------------- */

static void shell_read(int pty, char *all, size_t size, const char *needle)
{
	size_t n = 0;

	all[0] = '\0';
	while (!strstr(all, needle)) {
		struct pollfd p = { .fd = pty, .events = POLLIN };
		ssize_t got = 0;

		if (poll(&p, 1, HARNESS_WAIT_MS) == 1)
			got = read(pty, all + n, size - 1 - n);
		if (got <= 0)
			fail_msg("'%s' did not come, but: %s", needle, all);
		n += (size_t)got;
		all[n] = '\0';
	}
}

static void shell_type(int pty, const char *keys)
{
	assert_int_equal(write(pty, keys, strlen(keys)), (ssize_t)strlen(keys));
}

/* An interactive shell on a terminal: after `start`, keys are typed, and text must appear. */
static void shell_shows(char *const argv[], const char *start, const char *keys, const char *text)
{
	static char all[65536];
	struct winsize size = { .ws_row = 24, .ws_col = 200 };
	int pty;
	pid_t pid = forkpty(&pty, NULL, NULL, &size);

	assert_true(pid >= 0);
	if (!pid) {
		setenv("TERM", "dumb", 1);
		setenv("PS1", "> ", 1);
		execvp(argv[0], argv);
		_exit(127);
	}
	shell_type(pty, start);
	shell_read(pty, all, sizeof(all), "ready-42");
	shell_type(pty, keys);
	shell_read(pty, all, sizeof(all), text);
	kill(pid, SIGKILL);
	assert_int_equal(waitpid(pid, NULL, 0), pid);
	close(pty);
}

static bool shell_there(const char *path)
{
	if (access(path, X_OK) == 0)
		return true;
	print_message("%s is not installed\n", path);
	return false;
}

static void test_bash(void **state)
{
	char *argv[] = { (char *)"bash", (char *)"--norc", (char *)"--noprofile", (char *)"-i",
			 NULL };
	static const char start[] = "source completions/vmctl.bash; echo ready-$((6 * 7))\n";
	static const char sourced[] = "source <(vmctl completion bash); echo ready-$((6 * 7))\n";

	if (!shell_there("/usr/bin/bash"))
		SKIP_BECAUSE("no bash");
	two_vms(*state);
	shell_shows(argv, start, "vmctl sto\t", "vmctl stop ");
	shell_shows(argv, start, "vmctl stop \t", "vmctl stop one ");
	shell_shows(argv, start, "vmctl --output=j\t", "vmctl --output=json ");
	shell_shows(argv, start, "vmctl apply -f READ\t", "vmctl apply -f README.md ");
	shell_shows(argv, start, "vmctl apply --file=READ\t", "vmctl apply --file=README.md ");
	shell_shows(argv, sourced, "vmctl stop \t", "vmctl stop one ");
}

static void test_zsh(void **state)
{
	char *argv[] = { (char *)"zsh", (char *)"-f", (char *)"-i", NULL };
	static const char start[] = "fpath=($PWD/completions $fpath); autoload -Uz compinit; "
				    "compinit -u -D; echo ready-$((6 * 7))\n";
	static const char sourced[] = "autoload -Uz compinit; compinit -u -D; "
				      "source <(vmctl completion zsh); echo ready-$((6 * 7))\n";

	if (!shell_there("/usr/bin/zsh"))
		SKIP_BECAUSE("no zsh");
	two_vms(*state);
	shell_shows(argv, start, "vmctl sto\t", "vmctl stop ");
	shell_shows(argv, start, "vmctl stop \t", "vmctl stop one ");
	shell_shows(argv, start, "vmctl st\t\t", "start  -- start VMs");
	shell_shows(argv, start, "vmctl --output=j\t", "vmctl --output=json ");
	shell_shows(argv, start, "vmctl apply --file=READ\t", "vmctl apply --file=README.md ");
	shell_shows(argv, sourced, "vmctl stop \t", "vmctl stop one ");
	shell_shows(argv, sourced, "vmctl completion b\t", "vmctl completion bash ");
}

static void fish_shows(const char *before, const char *line, const char *expected)
{
	static struct harness_output got;
	char script[256];
	char *argv[] = { (char *)"/usr/bin/fish", (char *)"--no-config", (char *)"-c", script,
			 NULL };

	snprintf(script, sizeof(script), "%s; complete -C '%s'", before, line);
	assert_int_equal(harness_run(NULL, &got, argv), 0);
	assert_string_equal(got.out, expected);
}

static void test_fish(void **state)
{
	/* before fish's own idea of a vmctl */
	static const char path[] = "set fish_complete_path $PWD/completions";

	if (!shell_there("/usr/bin/fish"))
		SKIP_BECAUSE("no fish");
	two_vms(*state);
	fish_shows(path, "vmctl star", "start\tstart VMs\n");
	fish_shows(path, "vmctl stop ", "one\trunning\n");
	fish_shows(path, "vmctl --output=j", "--output=json\n");
	fish_shows(path, "vmctl apply --file=READ", "--file=README.md\n");
	fish_shows("vmctl completion fish | source", "vmctl stop ", "one\trunning\n");
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, harness_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_words),  TEST(test_names_by_state), TEST(test_jobs), TEST(test_devices),
		TEST(test_silent), TEST(test_script),	      TEST(test_bash), TEST(test_zsh),
		TEST(test_fish),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
