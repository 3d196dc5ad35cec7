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

/* A VM 'one' of the profile legacy-pc; boot: the keys of that; more: further ones of its definition */
static struct client *define_boot(struct harness *h, const char *boot, const char *more)
{
	struct client *c;
	char params[2048];

	harness_vmd(h, NULL, "--cgroup", "none", NULL);
	c = harness_client(h);
	snprintf(params, sizeof(params),
		 "{'definition': {'name': 'one', 'profile': 'legacy-pc', 'memory': '64MiB',"
		 " 'boot': {%s}%s}}",
		 boot, more);
	json_object_put(client_result(c, "vm.apply", params));
	return c;
}

static struct client *define(struct harness *h, const char *firmware, const char *more)
{
	char boot[400];

	snprintf(boot, sizeof(boot), "'firmware': '%s'", firmware);
	return define_boot(h, boot, more);
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

/*
 * A bzImage by its header (boot.rst of Linux), whose 16-bit part ends the VM with a sum: of the first byte of its command line,
 * that of its 32-bit part, and the flags that the loader has set in its header.
 */
static const char *kernel(struct harness *h)
{
	static const char code[] = "\xb8\x00\x20"	  /* mov ax, 2000h */
				   "\x8e\xc0"		  /* mov es, ax */
				   "\x26\xa0\x00\x00"	  /* mov al, es:[0] */
				   "\xb9\xff\xff"	  /* mov cx, ffffh */
				   "\x8e\xc1"		  /* mov es, cx */
				   "\x26\x02\x06\x10\x00" /* add al, es:[10h], at 1 MiB */
				   "\x02\x06\x11\x02"	  /* add al, [211h] */
				   "\xe6\xf4"		  /* out PORT, al */
				   "\xf4\xeb\xfd";	  /* hlt, for ever */
	static const char name[] = "kernel";
	uint8_t file[2 * 512 + 512] = { [0x1f1] = 1, /* setup_sects */
					[0x1fe] = 0x55,
					0xaa, /* boot_flag */
					0xeb,
					0x66, /* to 268h */
					'H',
					'd',
					'r',
					'S',
					0x07,
					0x02,		/* version */
					[0x211] = 0x01, /* LOADED_HIGH */
					[0x22c] = 0xff,
					0xff,
					0xff,
					0x37,
					[0x238] = 0xff, /* cmdline_size */
					[1024] = 0x05 };
	char path[400];
	int fd;

	memcpy(file + 0x268, code, sizeof(code) - 1);
	snprintf(path, sizeof(path), "%s/%s", h->dir, name);
	fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	assert_int_equal(write(fd, file, sizeof(file)), sizeof(file));
	close(fd);
	return name;
}

static void test_kernel(void **state)
{
	struct harness *h = *state;
	AUTO_JSON struct json_object *done = NULL;
	struct client *c;
	char boot[500];

	NEEDS_SEABIOS;
	snprintf(boot, sizeof(boot), "'firmware': 'bios', 'kernel': '%s/%s', 'cmdline': 'A b c'",
		 h->dir, kernel(h));
	c = define_boot(h, boot, ", 'devices': [{'type': 'debug-port'}]");
	json_object_put(client_result(c, "vm.start", "{'vm': 'one'}"));
	done = wait_for(c, "{'vm': 'one', 'for': 'stopped', 'timeout_ms': 10000}");
	assert_string_equal(json_get_str(json_get(done, "exit"), "reason", ""), "guest-exit");
	assert_int_equal(json_get_int(json_get(done, "exit"), "code", -1), 'A' + 0x05 + 0x81);
}

/* The message names the kernel and not the firmware. */
static void test_no_kernel(void **state)
{
	struct harness *h = *state;
	struct client *c;

	NEEDS_SEABIOS;
	c = define_boot(h, "'firmware': 'bios', 'kernel': '/etc/passwd'", "");
	client_expect_error(c, "vm.start", "{'vm': 'one'}", ERR_KERNEL_IMAGE,
			    "kernel '/etc/passwd': not a kernel: no HdrS at 0x202", "");
}

/*
 * A program that says when it has begun, looks away from its keyboard for two seconds, with interrupts, and then repeats what
 * it reads until the Enter key.
 */
static void put_reader(const char *path)
{
	static const char code[] = "\xfa"	  /* cli: firmware writes to that port, too */
				   "\x31\xc0"	  /* xor ax, ax */
				   "\x8e\xd8"	  /* mov ds, ax */
				   "\xfc"	  /* cld */
				   "\xba\xf8\x03" /* mov dx, 3f8h */
				   "\xbe\x36\x7c" /* mov si, the text */
				   "\xac"	  /* next: lodsb */
				   "\x84\xc0"	  /* test al, al */
				   "\x74\x03"	  /* jz wait */
				   "\xee"	  /* out dx, al */
				   "\xeb\xf8"	  /* jmp next */
				   "\xfb"	  /* wait: sti */
				   "\xb9\x03\x00" /* mov cx, 3 */
				   "\x88\xc3"	  /* again: mov bl, al */
				   "\xb0\x00"	  /* same: mov al, 0 */
				   "\xe6\x70"	  /* out 70h, al */
				   "\xe4\x71"	  /* in al, 71h: seconds */
				   "\x38\xd8"	  /* cmp al, bl */
				   "\x74\xf6"	  /* je same */
				   "\xe2\xf2"	  /* loop again */
				   "\x30\xe4"	  /* keys: xor ah, ah */
				   "\xcd\x16"	  /* int 16h */
				   "\xee"	  /* out dx, al */
				   "\x3c\x0d"	  /* cmp al, 13 */
				   "\x75\xf7"	  /* jne keys */
				   "\xb0\x2a"	  /* mov al, STATUS */
				   "\xba\xf4\x00" /* mov dx, PORT */
				   "\xee"	  /* out dx, al */
				   "\xf4"	  /* hlt */
				   "ready\r\n";
	uint8_t sector[BOOTSECTOR_SIZE] = { [510] = 0x55, 0xaa };
	int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);

	memcpy(sector, code, sizeof(code));
	assert_int_equal(write(fd, sector, sizeof(sector)), sizeof(sector));
	assert_int_equal(ftruncate(fd, MIB), 0);
	close(fd);
}

#define KEYS "the quick brown fox jumps over 2 dogs"

/* A BIOS has room for 15 keys that its program has not read. Those that are typed wait for both. */
static void test_keys(void **state)
{
	struct harness *h = *state;
	struct harness_output got;
	struct client *c;
	char path[400], more[600];

	NEEDS_SEABIOS;
	snprintf(path, sizeof(path), "%s/reader", h->dir);
	put_reader(path);
	snprintf(more, sizeof(more),
		 ", 'devices': [{'type': 'virtio-blk', 'path': '%s'}, {'type': 'debug-port'}]",
		 path);
	c = define(h, "bios", more);
	json_object_put(client_result(c, "vm.start", "{'vm': 'one'}"));
	expect_line(c, "com1", "ready");
	assert_int_equal(harness_vmctl(h, NULL, &got, "send-key", "one", "--hold", "1ms", "--text",
				       KEYS "\n", NULL),
			 0);
	json_object_put(wait_for(c, "{'vm': 'one', 'for': 'stopped', 'timeout_ms': 10000}"));
	expect_times(c, "com1", KEYS, 1);
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

/* A CD is what is in the file: the BIOS finds nothing to boot in it and says so. Half a sector is no disk. */
static void test_no_iso(void **state)
{
	struct harness *h = *state;
	const char *path = harness_file(h, "x.iso", "no ISO");
	char more[512];
	struct client *c;

	NEEDS_SEABIOS;
	assert_int_equal(truncate(path, 64 * KIB), 0);
	snprintf(more, sizeof(more),
		 ", 'devices': [{'type': 'ide', 'disks':"
		 " [{'kind': 'cdrom', 'id': 'cd', 'path': '%s'}]}]",
		 path);
	c = define(h, "bios", more);
	json_object_put(client_result(c, "vm.start", "{'vm': 'one'}"));
	expect_line(c, "com1",
		    "^Boot failed: Could not read from CDROM \\\\(code [0-9a-f]{4}\\\\)");
	expect_line(c, "com1", "^No bootable device.");
	json_object_put(client_result(c, "vm.kill", "{'vm': 'one'}"));
	assert_int_equal(truncate(path, 6), 0);
	client_expect_error(c, "vm.start", "{'vm': 'one'}", ERR_FILE,
			    "device 'ide0': disk 'cd': the disk image's size, 6 bytes, is not a "
			    "multiple of 512",
			    "round it up: truncate --size %512 FILE");
}

#define T(f) cmocka_unit_test_setup_teardown(f, harness_setup, harness_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(test_no_disk),    T(test_processors), T(test_virtio_blk), T(test_no_file),
		T(test_no_package), T(test_too_small),	T(test_too_large),  T(test_kernel),
		T(test_no_kernel),  T(test_no_iso),	T(test_keys),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
