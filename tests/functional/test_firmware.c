// SPDX-License-Identifier: MIT
/* Firmware in the place of a kernel: SeaBIOS alone, after a reset, from a disk; and firmware that is none. */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lib/errcat.h"
#include "tests/functional/scene.h"
#include "tests/lib/bootsector.h"

#define SEABIOS "/usr/share/seabios/bios-256k.bin"
#define PORT 0xf4 /* debug-port's */
#define STATUS 42
#define WAIT_MS 10000
#define WAITS 8

#define NEEDS_SEABIOS                                       \
	do {                                                \
		NEEDS_KVM;                                  \
		if (access(SEABIOS, R_OK))                  \
			SKIP_BECAUSE("no package seabios"); \
	} while (0)

static int setup(void **state)
{
	*state = harness_new();
	return 0;
}

static int teardown(void **state)
{
	harness_free(*state);
	return 0;
}

/* A VM 'one' of the profile legacy-pc; more: further keys of its definition */
static struct client *define(struct harness *h, const char *firmware, const char *more)
{
	struct client *c;
	char params[2048];

	harness_vmd(h, NULL, "--cgroup", "none", NULL);
	c = harness_client(h);
	snprintf(params, sizeof(params),
		 "{'definition': {'name': 'one', 'profile': 'legacy-pc', 'memory': '64MiB',"
		 " 'boot': {'firmware': '%s'}%s}}",
		 firmware, more);
	json_object_put(client_result(c, "vm.apply", params));
	return c;
}

/*
 * vm.wait, as long as a busy host needs: where KVM interprets a guest's instructions, SeaBIOS alone takes seconds. The
 * result, owned.
 */
static struct json_object *wait_for(struct client *c, const char *params)
{
	for (unsigned int i = 0; i < WAITS; i++) {
		AUTO_JSON struct json_object *answer = NULL;
		struct json_object *error;

		answer = client_answer(c, client_ask(c, "vm.wait", params));
		error = json_get(answer, "error");
		if (!error)
			return json_object_get(json_get(answer, "result"));
		if (json_get_int(error, "code", 0) != ERR_TIMEOUT)
			fail_msg("%s: %s", params, json_object_to_json_string(error));
	}
	fail_msg("%s: not in %d s", params, WAITS * WAIT_MS / 1000);
	return NULL;
}

static void expect_line(struct client *c, const char *console, const char *regex)
{
	char params[512];

	snprintf(params, sizeof(params),
		 "{'vm': 'one', 'for': 'console', 'console': '%s', 'regex': '%s',"
		 " 'timeout_ms': %d}",
		 console, regex, WAIT_MS);
	json_object_put(wait_for(c, params));
}

static unsigned int count(const char *in, const char *text)
{
	unsigned int n = 0;

	for (; (in = strstr(in, text)); in++)
		n++;
	return n;
}

/* Wait until the console has said this so often. A line may come in pieces, as the guest writes it. */
static void expect_times(struct client *c, const char *console, const char *text, unsigned int n)
{
	unsigned int silent = 0;
	char said[16384] = "";
	int64_t next = 0;

	while (count(said, text) < n) {
		AUTO_JSON struct json_object *page = NULL;
		struct json_object *records;
		char params[256];

		snprintf(params, sizeof(params),
			 "{'vm': 'one', 'console': '%s', 'after': %lld, 'timeout_ms': %d}", console,
			 (long long)next, WAIT_MS);
		page = client_result(c, "vm.logs", params);
		records = json_get(page, "records");
		if (!json_object_array_length(records) && ++silent == WAITS)
			fail_msg("'%s' came %u times, not %u: %s", text, count(said, text), n,
				 said);
		for (size_t i = 0; i < json_object_array_length(records); i++)
			snprintf(said + strlen(said), sizeof(said) - strlen(said), "%s",
				 json_get_str(json_object_array_get_idx(records, i), "text", ""));
		next = json_get_int(page, "next", -1);
	}
	assert_int_equal(count(said, text), n);
}

/* The VM's id, from the SMBIOS tables. */
static void expect_uuid(struct client *c)
{
	AUTO_JSON struct json_object *vm = client_result(c, "vm.get", "{'vm': 'one'}");
	char regex[128];

	snprintf(regex, sizeof(regex), "^Machine UUID %s", json_get_str(vm, "id", "?"));
	expect_line(c, "com1", regex);
}

static void test_no_disk(void **state)
{
	struct harness *h = *state;
	struct client *c;

	NEEDS_SEABIOS;
	c = define(h, "bios", "");
	json_object_put(client_result(c, "vm.start", "{'vm': 'one'}"));
	/* what it found, in its own log, and what a person sees, at the serial port */
	expect_line(c, "firmware", "^Running on QEMU .i440fx.");
	expect_line(c, "firmware", "^QEMU fw_cfg DMA interface supported");
	expect_line(c, "firmware", "^PCI: init bdf=00:01.3 id=8086:7113");
	expect_line(c, "firmware", "^table.50434146.=0x[0-9a-f]+ .via xsdt");
	expect_line(c, "com1", "SeaBIOS .version ");
	expect_uuid(c);
	expect_line(c, "com1", "^No bootable device");
	/* all of it once more: the guest's copy of the ROM, PAM and PIRQs are as at power-on */
	json_object_put(client_result(c, "vm.reset", "{'vm': 'one'}"));
	expect_times(c, "firmware", "Moving pm_base to 0x600", 2);
	scene_expect_state(c, "one", "running");
}

/* More processors than one, which the firmware starts and counts; by path. */
static void test_processors(void **state)
{
	struct harness *h = *state;
	struct client *c;

	NEEDS_SEABIOS;
	c = define(h, SEABIOS, ", 'cpus': 3");
	json_object_put(client_result(c, "vm.start", "{'vm': 'one'}"));
	expect_line(c, "firmware", "^Found 3 cpu.s. max supported 3 cpu.s.");
}

/* {virtio-blk of this file} */
static const char *disk(struct harness *h)
{
	static const char name[] = "disk";
	uint8_t sector[BOOTSECTOR_SIZE];
	char path[400];
	int fd;

	snprintf(path, sizeof(path), "%s/%s", h->dir, name);
	bootsector_make(sector, "the boot sector\r\n", PORT, STATUS);
	fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	assert_int_equal(write(fd, sector, sizeof(sector)), sizeof(sector));
	assert_int_equal(ftruncate(fd, MIB), 0);
	close(fd);
	return name;
}

static void test_virtio_blk(void **state)
{
	struct harness *h = *state;
	AUTO_JSON struct json_object *done = NULL;
	struct client *c;
	char more[600];

	NEEDS_SEABIOS;
	snprintf(more, sizeof(more),
		 ", 'devices': [{'type': 'virtio-blk', 'path': '%s/%s'}, {'type': 'debug-port'}]",
		 h->dir, disk(h));
	c = define(h, "bios", more);
	json_object_put(client_result(c, "vm.start", "{'vm': 'one'}"));
	done = wait_for(c, "{'vm': 'one', 'for': 'stopped', 'timeout_ms': 10000}");
	expect_times(c, "com1", "the boot sector", 1);
	assert_string_equal(json_get_str(json_get(done, "exit"), "reason", ""), "guest-exit");
	assert_int_equal(json_get_int(json_get(done, "exit"), "code", -1), STATUS);
}

/* The message has the path before it. */
static void refused(struct harness *h, const char *firmware, int code, const char *message)
{
	struct client *c = define(h, firmware, "");
	char text[600];

	snprintf(text, sizeof(text), "firmware '%s': %s", firmware, message);
	client_expect_error(c, "vm.start", "{'vm': 'one'}", code, text, "");
	scene_expect_state(c, "one", "stopped");
}

static void test_no_file(void **state)
{
	NEEDS_KVM;
	refused(*state, "/nonexistent/bios.bin", ERR_FILE, "No such file or directory");
}

/* On a host without the package, which a namespace shows us: what to install. */
static void test_no_package(void **state)
{
	struct harness *h = *state;
	struct harness_output *o = calloc(1, sizeof(*o));
	char vmm[400], command[1200];
	char *argv[] = { (char *)"/usr/bin/unshare",
			 (char *)"-m",
			 (char *)"/bin/sh",
			 (char *)"-c",
			 command,
			 NULL };
	int status;

	NEEDS_SEABIOS;
	if (geteuid())
		SKIP_BECAUSE("needs root for a mount namespace");
	harness_program("vmm", vmm, sizeof(vmm));
	snprintf(command, sizeof(command),
		 "mount -t tmpfs none /usr/share/seabios && exec %s --config %s", vmm,
		 harness_file(h, "vm.yaml",
			      "name: one\nprofile: legacy-pc\nboot: {firmware: bios}\n"));
	status = harness_run(NULL, o, argv);
	assert_string_equal(o->err,
			    "vmm: firmware '" SEABIOS "': No such file or directory\n"
			    "  hint: install the package seabios, or name the file of a BIOS: "
			    "`boot: {firmware: /PATH}`\n");
	assert_int_equal(status, 1);
	free(o);
}

static void test_too_small(void **state)
{
	struct harness *h = *state;

	NEEDS_KVM;
	refused(h, harness_file(h, "bios", "a text"), ERR_FIRMWARE,
		"the firmware has 6 bytes, not 64 KiB or more in pages of 4 KiB");
}

static void test_too_large(void **state)
{
	struct harness *h = *state;
	const char *path = harness_file(h, "bios", "");

	NEEDS_KVM;
	assert_int_equal(truncate(path, 17 * MIB), 0);
	refused(h, path, ERR_FIRMWARE,
		"the firmware has 17825792 bytes; there is room for 16 MiB below 4 GiB");
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(test_no_disk),    T(test_processors), T(test_virtio_blk), T(test_no_file),
		T(test_no_package), T(test_too_small),	T(test_too_large),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
