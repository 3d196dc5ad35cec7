// SPDX-License-Identifier: MIT
/*
 * The variables of UEFI: a store for each VM, made of the template at its first start, which lasts over its stops, over a kill -9 of
 * vmd, and by choice over its deletion. The firmware is one of our own that programs the flash (tests/lib/flashrom.h).
 */
#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/errcat.h"
#include "tests/functional/crash.h"
#include "tests/functional/scene.h"
#include "tests/lib/flashrom.h"

#define OVMF "/usr/share/OVMF/OVMF_CODE_4M.fd"

static void put(struct harness *h, const char *name, const void *data, size_t len)
{
	int fd = open(harness_file(h, name, ""), O_WRONLY | O_CLOEXEC);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, data, len), (ssize_t)len);
	close(fd);
}

static int setup(void **state)
{
	struct harness *h = harness_new();
	uint8_t *rom = malloc(FLASHROM_CODE);

	flashrom_make(rom);
	put(h, "code.fd", rom, FLASHROM_CODE);
	memset(rom, 0xff, FLASHROM_VARS);
	put(h, "vars.fd", rom, FLASHROM_VARS);
	free(rom);
	*state = h;
	return 0;
}

static void template_cut(const struct harness *h, off_t size)
{
	char path[256];

	snprintf(path, sizeof(path), "%s/vars.fd", h->dir);
	assert_int_equal(truncate(path, size), 0);
}

static void define(struct harness *h, struct client *c, const char *name)
{
	char params[1024];

	snprintf(params, sizeof(params),
		 "{'definition': {'name': '%s', 'profile': 'legacy-pc', 'memory': '16MiB',"
		 " 'boot': {'firmware': '%s/code.fd'}, 'devices': [{'type': 'cfi-flash', "
		 "'vars': '%s/vars.fd'},"
		 " {'type': 'debug-port'}]}}",
		 name, h->dir, h->dir);
	json_object_put(client_result(c, "vm.apply", params));
}

static struct client *begin(struct harness *h)
{
	struct client *c;

	harness_vmd(h, NULL, "--cgroup", "none", NULL);
	c = harness_client(h);
	define(h, c, "one");
	return c;
}

/* The store's first byte after another run */
static void runs(struct client *c, const char *name, int byte)
{
	char params[128];
	AUTO_JSON struct json_object *done = NULL;

	snprintf(params, sizeof(params), "{'vm': '%s'}", name);
	json_object_put(client_result(c, "vm.start", params));
	snprintf(params, sizeof(params), "{'vm': '%s', 'for': 'stopped', 'timeout_ms': 15000}",
		 name);
	done = client_result(c, "vm.wait", params);
	assert_string_equal(json_get_str(json_get(done, "exit"), "reason", ""), "guest-exit");
	assert_int_equal(json_get_int(json_get(done, "exit"), "code", -1), byte);
}

/* Files in the folder of stores; the name of one of them, if there is any */
static unsigned int stores(const struct harness *h, char name[64])
{
	const struct dirent *entry;
	unsigned int n = 0;
	char path[256];
	DIR *dir;

	snprintf(path, sizeof(path), "%s/nvram", h->state_dir);
	dir = opendir(path);
	while (dir && (entry = readdir(dir)))
		if (entry->d_name[0] != '.') {
			snprintf(name, 64, "%.63s", entry->d_name);
			n++;
		}
	if (dir)
		closedir(dir);
	return n;
}

static int in_file(const struct harness *h, const char *name)
{
	unsigned char byte = 0;
	char path[320];
	struct stat st;
	int fd;

	snprintf(path, sizeof(path), "%s/nvram/%s", h->state_dir, name);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	assert_true(fd >= 0);
	assert_int_equal(fstat(fd, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0600);
	assert_int_equal(st.st_size, FLASHROM_VARS);
	assert_int_equal(read(fd, &byte, 1), 1);
	close(fd);
	return byte;
}

/* vmd removes files after its answer, on a worker that its end waits for. */
static struct client *again(struct harness *h, struct client *c, int signal)
{
	client_close(h, c);
	harness_vmd_end(h, signal);
	harness_vmd(h, NULL, "--cgroup", "none", NULL);
	return harness_client(h);
}

static void each_vm_has_its_own(void **state)
{
	struct harness *h = *state;
	struct client *c;
	char name[64];

	NEEDS_KVM;
	c = begin(h);
	define(h, c, "two");
	assert_int_equal(stores(h, name), 0);
	runs(c, "one", 0xfe);
	assert_int_equal(stores(h, name), 1);
	assert_int_equal(in_file(h, name), 0xfe);
	runs(c, "one", 0xfc);
	assert_int_equal(in_file(h, name), 0xfc);
	runs(c, "two", 0xfe);
	assert_int_equal(stores(h, name), 2);
	runs(c, "one", 0xf8);
}

/* A template that goes or changes is nothing to who has a store, as long as it can be opened. */
static void it_lasts(void **state)
{
	struct harness *h = *state;
	struct client *c;
	char name[64];

	NEEDS_KVM;
	c = begin(h);
	runs(c, "one", 0xfe);
	c = again(h, c, SIGKILL);
	runs(c, "one", 0xfc);
	template_cut(h, 0);
	runs(c, "one", 0xf8);
	assert_int_equal(stores(h, name), 1);
}

static void it_goes_with_its_vm(void **state)
{
	AUTO_JSON struct json_object *plan = NULL, *done = NULL;
	struct harness *h = *state;
	struct client *c;
	char name[64];

	NEEDS_KVM;
	c = begin(h);
	runs(c, "one", 0xfe);
	plan = client_result(c, "vm.delete", "{'vm': 'one', 'dry_run': true}");
	assert_string_equal(json_object_to_json_string_ext(json_get(plan, "removed"),
							   JSON_C_TO_STRING_PLAIN),
			    "[\"definition\",\"1 revision\",\"logs\",\"variables\"]");
	done = client_result(c, "vm.delete", "{'vm': 'one'}");
	assert_true(json_equal(plan, done));
	c = again(h, c, SIGTERM);
	assert_int_equal(stores(h, name), 0);
	define(h, c, "one");
	runs(c, "one", 0xfe);
}

/* A vmd that died while it copied the template, and a VM that is not started again */
static void a_half_made_one_goes_too(void **state)
{
	struct harness *h = *state;
	char name[64], path[320];
	struct client *c;
	int fd;

	NEEDS_KVM;
	c = begin(h);
	runs(c, "one", 0xfe);
	assert_int_equal(stores(h, name), 1);
	snprintf(path, sizeof(path), "%s/nvram/%s.part", h->state_dir, name);
	fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	assert_true(fd >= 0);
	close(fd);
	json_object_put(client_result(c, "vm.delete", "{'vm': 'one'}"));
	again(h, c, SIGTERM);
	assert_int_equal(stores(h, name), 0);
}

static void it_is_kept(void **state)
{
	AUTO_JSON struct json_object *done = NULL;
	struct harness_output *o = calloc(1, sizeof(*o));
	struct harness *h = *state;
	struct client *c;
	char name[64];

	NEEDS_KVM;
	c = begin(h);
	runs(c, "one", 0xfe);
	assert_int_equal(harness_vmctl(h, NULL, o, "delete", "-y", "--keep-nvram", "one", NULL), 0);
	free(o);
	c = again(h, c, SIGTERM);
	assert_int_equal(stores(h, name), 1);
	define(h, c, "two"); /* another name is another VM */
	runs(c, "two", 0xfe);
	define(h, c, "one");
	runs(c, "one", 0xfc);
	/* and of two that are kept, it is the last one */
	json_object_put(client_result(c, "vm.delete", "{'vm': 'one', 'keep_nvram': true}"));
	define(h, c, "one");
	runs(c, "one", 0xf8);
	done = client_result(c, "vm.delete", "{'vm': 'one'}");
	c = again(h, c, SIGTERM);
	assert_int_equal(stores(h, name), 1); /* of two */
}

/* What the firmware cannot use makes no store: the right one can follow. */
static void a_wrong_template_makes_no_store(void **state)
{
	struct harness *h = *state;
	char text[600], name[64];
	struct client *c;

	NEEDS_KVM;
	c = begin(h);
	template_cut(h, 8192);
	snprintf(text, sizeof(text),
		 "firmware '%s/code.fd': the variable store has 8192 bytes; firmware of 126976 "
		 "bytes has "
		 "room for 4096",
		 h->dir);
	client_expect_error(c, "vm.start", "{'vm': 'one'}", ERR_FIRMWARE, text,
			    "take both files from one build: OVMF_CODE_4M.fd with "
			    "OVMF_VARS_4M.fd");
	scene_expect_state(c, "one", "stopped");
	assert_int_equal(stores(h, name), 0);
	template_cut(h, 4096);
	json_object_put(client_result(c, "vm.start", "{'vm': 'one'}"));
}

/* A store that somebody cut: vmm says it, and it is not made anew behind the user's back. */
static void a_store_of_the_wrong_size_is_refused(void **state)
{
	struct harness *h = *state;
	char text[600], path[320], name[64];
	struct client *c;

	NEEDS_KVM;
	c = begin(h);
	runs(c, "one", 0xfe);
	assert_int_equal(stores(h, name), 1);
	snprintf(path, sizeof(path), "%s/nvram/%s", h->state_dir, name);
	assert_int_equal(truncate(path, 8192), 0);
	snprintf(text, sizeof(text),
		 "firmware '%s/code.fd': device 'nvram': the variable store has 8192 bytes; "
		 "firmware of "
		 "126976 bytes has room for 4096",
		 h->dir);
	client_expect_error(c, "vm.start", "{'vm': 'one'}", ERR_FIRMWARE, text,
			    "take both files from one build: OVMF_CODE_4M.fd with "
			    "OVMF_VARS_4M.fd");
}

/* --- vmd dies --- */

#define STEPS_MAX 400

/* Asks, and kills vmd at its n-th step of the answer. False: it was answered before; vmd runs on then. */
static bool dies_at(struct harness *h, struct client **c, unsigned int n, const char *method,
		    const char *params)
{
	struct crash crash = { .kill_at = n };
	int status;

	crash_attach(&crash, h->vmd);
	client_ask(*c, method, params);
	if (crash_run(&crash, client_fd(*c), &status)) {
		json_object_put(client_next(*c));
		crash_detach(&crash);
		return false;
	}
	assert_true(WIFSIGNALED(status));
	client_close(h, *c);
	h->vmd = 0;
	harness_vmd(h, NULL, "--cgroup", "none", NULL);
	*c = harness_client(h);
	return true;
}

static void stopped(struct client *c)
{
	json_object_put(client_answer(c, client_ask(c, "vm.kill", "{'vm': 'one'}")));
	json_object_put(client_result(c, "vm.wait",
				      "{'vm': 'one', 'for': 'stopped', 'timeout_ms': 15000}"));
}

/* Wherever vmd dies in a first start, the next one has the template's variables, whole, and there is one store. */
static void vmd_dies_in_a_first_start(void **state)
{
	struct harness *h = *state;
	struct client *c;
	bool died = true;
	char name[64];

	NEEDS_KVM;
	if (!crash_possible())
		SKIP_BECAUSE("no process can be traced");
	c = begin(h);
	for (unsigned int n = 1; died; n++) {
		assert_in_range(n, 1, STEPS_MAX);
		died = dies_at(h, &c, n, "vm.start", "{'vm': 'one', 'paused': true}");
		stopped(c);
		runs(c, "one", 0xfe);
		assert_int_equal(stores(h, name), 1);
		json_object_put(client_result(c, "vm.delete", "{'vm': 'one'}"));
		c = again(h, c, SIGTERM);
		assert_int_equal(stores(h, name), 0);
		define(h, c, "one");
	}
}

/* Wherever it dies in a deletion: the VM is there with its variables, or both are gone. */
static void vmd_dies_in_a_deletion(void **state)
{
	struct harness *h = *state;
	struct client *c;
	bool died = true;
	char name[64];

	NEEDS_KVM;
	if (!crash_possible())
		SKIP_BECAUSE("no process can be traced");
	c = begin(h);
	for (unsigned int n = 1; died; n++) {
		AUTO_JSON struct json_object *answer = NULL;

		assert_in_range(n, 1, STEPS_MAX);
		runs(c, "one", 0xfe);
		died = dies_at(h, &c, n, "vm.delete", "{'vm': 'one'}");
		answer = client_answer(c, client_ask(c, "vm.get", "{'vm': 'one'}"));
		if (json_get(answer, "result")) {
			runs(c, "one", 0xfc);
			json_object_put(client_result(c, "vm.delete", "{'vm': 'one'}"));
		}
		c = again(h, c, SIGTERM);
		assert_int_equal(stores(h, name), 0);
		define(h, c, "one");
	}
}

/* The host's own, found by its description: it runs, however slowly; and Secure Boot, which needs what is not there. */
static void the_hosts_firmware(void **state)
{
	struct harness *h = *state;
	struct client *c;
	char name[64];

	NEEDS_KVM;
	if (access(OVMF, R_OK))
		SKIP_BECAUSE("no package ovmf");
	c = begin(h);
	json_object_put(client_result(c, "vm.apply",
				      "{'definition': {'name': 'u', 'profile': 'legacy-pc',"
				      " 'memory': '64MiB', 'boot': {'firmware': 'uefi'}}}"));
	json_object_put(client_result(c, "vm.start", "{'vm': 'u'}"));
	assert_int_equal(stores(h, name), 1);
	json_object_put(client_result(c, "vm.kill", "{'vm': 'u'}"));
	json_object_put(client_result(c, "vm.apply",
				      "{'definition': {'name': 'u', 'profile': 'legacy-pc',"
				      " 'memory': '64MiB', 'boot': {'firmware': 'uefi',"
				      " 'secure': true}}}"));
	client_expect_error(c, "vm.start", "{'vm': 'u'}", ERR_NO_FIRMWARE,
			    "Secure Boot: '/usr/share/OVMF/OVMF_CODE_4M.ms.fd' of the host needs "
			    "system management mode, which the machine has not",
			    "signatures can be checked without it, with keys that a guest's "
			    "administrator can change: vm.yaml(5), cfi-flash");
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, harness_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(each_vm_has_its_own),
		T(it_lasts),
		T(it_goes_with_its_vm),
		T(a_half_made_one_goes_too),
		T(it_is_kept),
		T(a_wrong_template_makes_no_store),
		T(a_store_of_the_wrong_size_is_refused),
		T(vmd_dies_in_a_first_start),
		T(vmd_dies_in_a_deletion),
		T(the_hosts_firmware),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
