// SPDX-License-Identifier: MIT
// See tiny_machine.h.
#include "tests/unit/tiny_machine.h"

#include <elf.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "tests/lib/skip.h"
#include "vmm/machine_impl.h"

#define TINY_BASE 0x200000
#define TINY_COUNTER 0x300000
#define TINY_DEADLINE_MS 10000

const uint8_t tiny_exit_7[13] = { TINY_SAY_A 0xb0, 7, 0xe6, 0xf4, 0xeb, 0xfe };
const uint8_t tiny_count[15] = { TINY_SAY_A 0xff,
				 0x05,
				 0x00,
				 0x00,
				 0x30,
				 0x00,
				 0xeb,
				 0xf8 /* inc [counter] */ };
const uint8_t tiny_halt[11] = { TINY_SAY_A 0xfa, 0xf4, 0xeb, 0xfd };

struct tiny_image {
	Elf64_Ehdr ehdr;
	Elf64_Phdr phdr[2];
	struct {
		Elf64_Nhdr nhdr;
		char name[4];
		uint32_t entry;
	} note;
	uint8_t code[64];
};

int tiny_kernel(const uint8_t *code, size_t len)
{
	struct tiny_image g = {
		.ehdr = { .e_ident = { ELFMAG0, ELFMAG1, ELFMAG2, ELFMAG3, ELFCLASS64, ELFDATA2LSB,
				       EV_CURRENT },
			  .e_type = ET_EXEC,
			  .e_machine = EM_X86_64,
			  .e_version = EV_CURRENT,
			  .e_entry = TINY_BASE,
			  .e_phoff = offsetof(struct tiny_image, phdr),
			  .e_ehsize = sizeof(Elf64_Ehdr),
			  .e_phentsize = sizeof(Elf64_Phdr),
			  .e_phnum = 2 },
		.phdr = { { .p_type = PT_LOAD,
			    .p_offset = offsetof(struct tiny_image, code),
			    .p_vaddr = TINY_BASE,
			    .p_paddr = TINY_BASE,
			    .p_filesz = sizeof(g.code),
			    .p_memsz = 0x2000 },
			  { .p_type = PT_NOTE,
			    .p_offset = offsetof(struct tiny_image, note),
			    .p_filesz = sizeof(g.note),
			    .p_memsz = sizeof(g.note),
			    .p_align = 4 } },
		.note = { .nhdr = { .n_namesz = 4, .n_descsz = 4, .n_type = 18 },
			  .name = "Xen",
			  .entry = TINY_BASE },
	};
	int fd = memfd_create("kernel", MFD_CLOEXEC);

	memcpy(g.code, code, len);
	assert_int_equal(write(fd, &g, sizeof(g)), sizeof(g));
	return fd;
}

int tiny_kvm(void)
{
	int fd = open("/dev/kvm", O_RDWR | O_CLOEXEC);

	if (fd < 0) {
		SKIP_BECAUSE("no /dev/kvm");
	}
	return fd;
}

static const char tiny_config[] =
	"{\"name\":\"t\",\"profile\":\"micro\",\"vcpus\":%u,\"memory\":{\"size\":%llu},"
	"\"irqchip\":\"%s\",\"on_reboot\":\"%s\",\"on_crash\":\"stop\","
	"\"boot\":{\"kernel\":{\"fd\":0}},"
	"\"devices\":[{\"type\":\"pci-host\",\"id\":\"pci\"},%s{\"type\":\"acpi-pm\",\"id\":"
	"\"acpi\"},%s"
	"{\"type\":\"serial\",\"id\":\"com1\",\"port\":\"com1\"},"
	"{\"type\":\"debug-port\",\"id\":\"debug\"}]}";

struct json_object *tiny_json(const struct tiny_options *o)
{
	struct json_object *json;
	char text[1024];
	struct err e;

	snprintf(text, sizeof(text), tiny_config, o->vcpus ? o->vcpus : 1,
		 (unsigned long long)(o->memory ? o->memory : 32 * MIB),
		 o->kernel_irqchip ? "kernel" : "split", o->stop_on_reboot ? "stop" : "reset",
		 o->kernel_irqchip ? "" : "{\"type\":\"ioapic\",\"id\":\"ioapic\"},",
		 o->balloon ? "{\"type\":\"virtio-balloon\",\"id\":\"b\",\"address\":"
			      "\"00:01.0\"},"
			    : "");
	assert_int_equal(json_parse(text, strlen(text), &json, &e), 0);
	return json;
}

static void tiny_event(void *arg, const char *type, const char *message)
{
	struct tiny *f = arg;

	(void)message;
	if (!strcmp(type, "suspended")) {
		f->suspended++;
		return;
	}
	if (!strcmp(type, "awake")) {
		f->awake++;
		return;
	}
	assert_string_equal(type, "reset");
	f->events++;
}

static void tiny_ended(void *arg, const struct lastwords *w)
{
	struct tiny *f = arg;

	f->ended++;
	f->words = *w;
}

static void tiny_thread(void *arg, enum seccomp_table kind)
{
	struct tiny *f = arg;

	f->filtered += kind == SECCOMP_VCPU;
}

static const struct machine_ops tiny_ops = {
	.event = tiny_event,
	.ended = tiny_ended,
	.thread = tiny_thread,
};

static void tiny_late(uv_timer_t *t)
{
	(void)t;
	print_error("the guest did not get there in time\n");
	abort();
}

void tiny_loop(struct tiny *f)
{
	memset(f, 0, sizeof(*f));
	log_init(&f->log, -1, LOG_LEVEL_ERROR, "test");
	uv_loop_init(&f->loop);
	uv_timer_init(&f->loop, &f->deadline);
	uv_timer_start(&f->deadline, tiny_late, TINY_DEADLINE_MS, 0);
}

int tiny_init(struct tiny *f, const struct tiny_options *o, const uint8_t *code, size_t len,
	      struct err *e)
{
	int kvm_fd = tiny_kvm(), r;
	struct machine_config config;
	struct json_object *json = tiny_json(o);
	struct fdset fds;

	tiny_loop(f);
	fdset_init(&fds);
	fdset_add(&fds, tiny_kernel(code, len));
	assert_int_equal(config_parse(json, &fds, &config, e), 0);
	r = machine_new(&f->loop, &config, kvm_fd, &f->log, &tiny_ops, f, &f->machine, e);
	if (r >= 0)
		r = machine_fit(f->machine, &fds, e);
	json_object_put(json);
	fdset_fini(&fds);
	return r;
}

void tiny_fini(struct tiny *f)
{
	if (f->machine)
		assert_true(machine_close(f->machine));
	uv_close((uv_handle_t *)&f->deadline, NULL);
	uv_run(&f->loop, UV_RUN_DEFAULT);
	assert_int_equal(uv_loop_close(&f->loop), 0);
}

void tiny_until_ended(struct tiny *f)
{
	while (!f->ended)
		uv_run(&f->loop, UV_RUN_ONCE);
}

void tiny_expect_exit(struct tiny *f, int code)
{
	tiny_until_ended(f);
	assert_int_equal(f->words.reason, LASTWORDS_GUEST_EXIT);
	assert_int_equal(f->words.code, code);
}

uint32_t tiny_counter(const struct tiny *f)
{
	return __atomic_load_n((uint32_t *)gmem_ptr(&f->machine->gmem, TINY_COUNTER, 4),
			       __ATOMIC_SEQ_CST);
}

void tiny_until_counting(struct tiny *f)
{
	uint32_t before = tiny_counter(f);

	while (tiny_counter(f) == before)
		uv_run(&f->loop, UV_RUN_NOWAIT);
}
