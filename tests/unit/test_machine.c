// SPDX-License-Identifier: MIT
/*
 * A whole machine on the host's KVM, with guests of a few instructions: how each kind of end is told apart,
 * pause and resume, reset, and the control socket's methods. Skips without /dev/kvm.
 */
#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>
#include <cmocka.h>

#include "lib/conn.h"
#include "lib/errcat.h"
#include "lib/rpc.h"
#include "vmm/console.h"
#include "vmm/dev/acpi_pm.h"
#include "vmm/control.h"
#include "vmm/machine_impl.h"
#include "tests/lib/skip.h"

#define GUEST_BASE 0x200000
#define GUEST_COUNTER 0x300000
#define GUEST_DEADLINE_MS 10000

/* 32-bit code: the PVH entry */
#define GUEST_SAY_A 0xb0, 'A', 0x66, 0xba, 0xf8, 0x03, 0xee, /* al = 'A', out 0x3f8, al */
#define GUEST_COUNT_FOR_EVER 0xff, 0x05, 0x00, 0x00, 0x30, 0x00, 0xeb, 0xf8 /* inc [counter] */

static const uint8_t guest_exit_7[] = { GUEST_SAY_A 0xb0, 7, 0xe6, 0xf4, 0xeb, 0xfe };
static const uint8_t guest_s5[] = { 0x66, 0xb8, 0x00, 0x34, 0x66, 0xba,
				    0x04, 0x06, 0x66, 0xef, 0xeb, 0xfe };
static const uint8_t guest_reset[] = {
	GUEST_SAY_A 0xb0, 6, 0x66, 0xba, 0xf9, 0x0c, 0xee, 0xeb, 0xfe
};
/* Dirties its .bss and resets itself, once; 9: the .bss was not zero, 7: it was, both times. */
static const uint8_t guest_bss[] = {
	0x80, 0x3d, 0x00, 0x10, 0x20, 0x00, 0x00, 0x75, 0x26, /* [bss] != 0: 9 */
	0xc6, 0x05, 0x00, 0x10, 0x20, 0x00, 0x01,	      /* [bss] = 1 */
	0x80, 0x3d, 0x00, 0x00, 0x30, 0x00, 0x00, 0x75, 0x10, /* [counter] != 0: 7 */
	0xc6, 0x05, 0x00, 0x00, 0x30, 0x00, 0x01,	      /* [counter] = 1 */
	0xb0, 6,    0x66, 0xba, 0xf9, 0x0c, 0xee, 0xeb, 0xfe, /* reset */
	0xb0, 7,    0xe6, 0xf4, 0xeb, 0xfe, 0xb0, 9,	0xe6, 0xf4, 0xeb, 0xfe,
};
static const uint8_t guest_count[] = { GUEST_SAY_A GUEST_COUNT_FOR_EVER };
/* Counts, and sleeps (S3), to wake at 0x7005 */
static const uint8_t guest_sleep[] = {
	0xc7, 0x05, 0x4c, 0x00, 0x0e, 0x00, 0x05, 0x70, 0x00, 0x00, /* [FACS + 12] = 0x7005 */
	0xff, 0x05, 0x00, 0x00, 0x30, 0x00,			    /* inc [counter] */
	0x66, 0xb8, 0x00, 0x2c, 0x66, 0xba, 0x04, 0x06, 0x66, 0xef, /* out 0x604, 0x2c00 */
	0xf4,
};
/* 16 bits, where it wakes: 7, when it is at 0700:0005 */
static const uint8_t guest_awake[] = {
	0xe8, 0x00, 0x00,	      /* call the next */
	0x58,			      /* pop ax: 8 */
	0x3d, 0x08, 0x00, 0x75, 0x0b, /* not 8: 9 */
	0x8c, 0xc8,		      /* ax = cs */
	0x3d, 0x00, 0x07, 0x75, 0x04, /* not 0x700: 9 */
	0xb0, 7,    0xe6, 0xf4, 0xb0, 9, 0xe6, 0xf4, 0xeb, 0xfe,
};
static const uint8_t guest_halt[] = { GUEST_SAY_A 0xfa, 0xf4, 0xeb, 0xfd };

struct guest_image {
	Elf64_Ehdr ehdr;
	Elf64_Phdr phdr[2];
	struct {
		Elf64_Nhdr nhdr;
		char name[4];
		uint32_t entry;
	} note;
	uint8_t code[64];
};

static int guest_kernel(const uint8_t *code, size_t len)
{
	struct guest_image g = {
		.ehdr = { .e_ident = { ELFMAG0, ELFMAG1, ELFMAG2, ELFMAG3, ELFCLASS64, ELFDATA2LSB,
				       EV_CURRENT },
			  .e_type = ET_EXEC,
			  .e_machine = EM_X86_64,
			  .e_version = EV_CURRENT,
			  .e_entry = GUEST_BASE,
			  .e_phoff = offsetof(struct guest_image, phdr),
			  .e_ehsize = sizeof(Elf64_Ehdr),
			  .e_phentsize = sizeof(Elf64_Phdr),
			  .e_phnum = 2 },
		.phdr = { { .p_type = PT_LOAD,
			    .p_offset = offsetof(struct guest_image, code),
			    .p_vaddr = GUEST_BASE,
			    .p_paddr = GUEST_BASE,
			    .p_filesz = sizeof(g.code),
			    .p_memsz = 0x2000 },
			  { .p_type = PT_NOTE,
			    .p_offset = offsetof(struct guest_image, note),
			    .p_filesz = sizeof(g.note),
			    .p_memsz = sizeof(g.note),
			    .p_align = 4 } },
		.note = { .nhdr = { .n_namesz = 4, .n_descsz = 4, .n_type = 18 },
			  .name = "Xen",
			  .entry = GUEST_BASE },
	};
	int fd = memfd_create("kernel", MFD_CLOEXEC);

	memcpy(g.code, code, len);
	assert_int_equal(write(fd, &g, sizeof(g)), sizeof(g));
	return fd;
}

static int guest_kvm(void)
{
	int fd = open("/dev/kvm", O_RDWR | O_CLOEXEC);

	if (fd < 0) {
		SKIP_BECAUSE("no /dev/kvm");
	}
	return fd;
}

static const char guest_config[] =
	"{\"name\":\"t\",\"profile\":\"micro\",\"vcpus\":%u,\"memory\":{\"size\":33554432},"
	"\"irqchip\":\"%s\",\"on_reboot\":\"%s\",\"on_crash\":\"stop\","
	"\"boot\":{\"kernel\":{\"fd\":0}},"
	"\"devices\":[{\"type\":\"pci-host\",\"id\":\"pci\"},%s{\"type\":\"acpi-pm\",\"id\":"
	"\"acpi\"},%s"
	"{\"type\":\"serial\",\"id\":\"com1\",\"port\":\"com1\"},"
	"{\"type\":\"debug-port\",\"id\":\"debug\"}]}";

struct options {
	unsigned int vcpus;
	bool kernel_irqchip, stop_on_reboot, balloon;
};

static struct json_object *guest_json(const struct options *o)
{
	struct json_object *json;
	char text[1024];
	struct err e;

	snprintf(text, sizeof(text), guest_config, o->vcpus ? o->vcpus : 1,
		 o->kernel_irqchip ? "kernel" : "split", o->stop_on_reboot ? "stop" : "reset",
		 o->kernel_irqchip ? "" : "{\"type\":\"ioapic\",\"id\":\"ioapic\"},",
		 o->balloon ? "{\"type\":\"virtio-balloon\",\"id\":\"b\",\"address\":"
			      "\"00:01.0\"},"
			    : "");
	assert_int_equal(json_parse(text, strlen(text), &json, &e), 0);
	return json;
}

struct fixture {
	uv_loop_t loop;
	uv_timer_t deadline;
	struct log log;
	struct machine *machine;
	unsigned int events, suspended, awake, ended;
	struct lastwords words;
};

static void fixture_event(void *arg, const char *type, const char *message)
{
	struct fixture *f = arg;

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

static void fixture_ended(void *arg, const struct lastwords *w)
{
	struct fixture *f = arg;

	f->ended++;
	f->words = *w;
}

static const struct machine_ops fixture_ops = { .event = fixture_event, .ended = fixture_ended };

static void fixture_late(uv_timer_t *t)
{
	(void)t;
	print_error("the guest did not get there in time\n");
	abort();
}

static void fixture_loop(struct fixture *f)
{
	memset(f, 0, sizeof(*f));
	log_init(&f->log, -1, LOG_LEVEL_ERROR, "test");
	uv_loop_init(&f->loop);
	uv_timer_init(&f->loop, &f->deadline);
	uv_timer_start(&f->deadline, fixture_late, GUEST_DEADLINE_MS, 0);
}

static int fixture_init(struct fixture *f, const struct options *o, const uint8_t *code, size_t len,
			struct err *e)
{
	int kvm_fd = guest_kvm(), r;
	struct machine_config config;
	struct json_object *json = guest_json(o);
	struct fdset fds;

	fixture_loop(f);
	fdset_init(&fds);
	fdset_add(&fds, guest_kernel(code, len));
	assert_int_equal(config_parse(json, &fds, &config, e), 0);
	r = machine_new(&f->loop, &config, &fds, kvm_fd, &f->log, &fixture_ops, f, &f->machine, e);
	json_object_put(json);
	fdset_fini(&fds);
	return r;
}

static void fixture_fini(struct fixture *f)
{
	if (f->machine)
		assert_true(machine_close(f->machine));
	uv_close((uv_handle_t *)&f->deadline, NULL);
	uv_run(&f->loop, UV_RUN_DEFAULT);
	assert_int_equal(uv_loop_close(&f->loop), 0);
}

static void fixture_until_ended(struct fixture *f)
{
	while (!f->ended)
		uv_run(&f->loop, UV_RUN_ONCE);
}

static uint32_t fixture_counter(const struct fixture *f)
{
	return __atomic_load_n((uint32_t *)gmem_ptr(&f->machine->gmem, GUEST_COUNTER, 4),
			       __ATOMIC_SEQ_CST);
}

/* The guest runs: its counter moves on. */
static void fixture_until_counting(struct fixture *f)
{
	uint32_t before = fixture_counter(f);

	while (fixture_counter(f) == before)
		uv_run(&f->loop, UV_RUN_NOWAIT);
}

#define fixture_start(f, o, code)                                      \
	do {                                                           \
		struct err err_ = { 0 };                               \
		if (fixture_init(f, o, code, sizeof(code), &err_) < 0) \
			fail_msg("%s", err_.msg);                      \
		if (machine_start((f)->machine, &err_) < 0)            \
			fail_msg("%s", err_.msg);                      \
	} while (0)

static void ends_by_the_debug_port(void **state)
{
	struct fixture f;

	(void)state;
	fixture_start(&f, (&(struct options){ 0 }), guest_exit_7);
	fixture_until_ended(&f);
	assert_int_equal(f.words.reason, LASTWORDS_GUEST_EXIT);
	assert_int_equal(f.words.code, 7);
	fixture_fini(&f);
	assert_int_equal(f.ended, 1);
}

static void ends_by_acpi(void **state)
{
	struct fixture f;

	(void)state;
	fixture_start(&f, (&(struct options){ .vcpus = 2 }), guest_s5);
	fixture_until_ended(&f);
	assert_int_equal(f.words.reason, LASTWORDS_SHUTDOWN);
	fixture_fini(&f);
}

static void a_reset_stops_when_told_so(void **state)
{
	struct fixture f;

	(void)state;
	fixture_start(&f, (&(struct options){ .stop_on_reboot = true }), guest_reset);
	fixture_until_ended(&f);
	assert_int_equal(f.words.reason, LASTWORDS_RESET);
	assert_int_equal(f.events, 0);
	fixture_fini(&f);
}

static void a_reset_clears_the_bss(void **state)
{
	struct fixture f;

	(void)state;
	fixture_start(&f, (&(struct options){ 0 }), guest_bss);
	fixture_until_ended(&f);
	assert_int_equal(f.words.reason, LASTWORDS_GUEST_EXIT);
	assert_int_equal(f.words.code, 7);
	assert_int_equal(f.events, 1);
	fixture_fini(&f);
}

static void a_reset_loop_is_throttled(void **state)
{
	struct fixture f;
	uint64_t start = uv_hrtime();

	(void)state;
	fixture_start(&f, (&(struct options){ .vcpus = 2 }), guest_reset);
	while (f.events <= MACHINE_RESETS_MAX)
		uv_run(&f.loop, UV_RUN_ONCE);
	/* the eleventh came in another second */
	assert_true(uv_hrtime() - start > 500000000);
	machine_kill(f.machine, "enough");
	assert_int_equal(f.words.reason, LASTWORDS_KILLED);
	assert_string_equal(f.words.message, "enough");
	fixture_fini(&f);
}

static void pause_stops_and_resume_goes_on(void **state)
{
	struct fixture f;
	uint32_t at;

	(void)state;
	fixture_start(&f, (&(struct options){ .vcpus = 2 }), guest_count);
	for (unsigned int i = 0; i < 20; i++) {
		fixture_until_counting(&f);
		assert_int_equal(machine_pause(f.machine, NULL), 0);
		assert_int_equal(machine_pause(f.machine, NULL), 0);
		at = fixture_counter(&f);
		uv_run(&f.loop, UV_RUN_NOWAIT);
		assert_int_equal(fixture_counter(&f), at);
		assert_int_equal(machine_resume(f.machine, NULL), 0);
	}
	assert_int_equal(machine_pause(f.machine, NULL), 0);
	assert_int_equal(machine_reset(f.machine, NULL), 0);
	assert_int_equal(machine_get_state(f.machine), MACHINE_PAUSED);
	at = fixture_counter(&f);
	uv_run(&f.loop, UV_RUN_NOWAIT);
	assert_int_equal(fixture_counter(&f), at);
	assert_int_equal(machine_resume(f.machine, NULL), 0);
	fixture_until_counting(&f);
	fixture_fini(&f);
	assert_int_equal(f.words.reason, LASTWORDS_KILLED);
}

#define HOUR_NS (3600 * 1000000000ull)

static uint64_t fixture_kvmclock(const struct fixture *f)
{
	struct kvm_clock_data d = { 0 };

	assert_int_equal(ioctl(f->machine->kvm.vm_fd, KVM_GET_CLOCK, &d), 0);
	return d.clock;
}

static uint64_t fixture_tsc(const struct fixture *f, unsigned int vcpu)
{
	union {
		struct kvm_msrs m;
		uint8_t room[sizeof(struct kvm_msrs) + sizeof(struct kvm_msr_entry)];
	} u = { .m = { .nmsrs = 1 } };

	u.m.entries[0].index = 0x10;
	assert_int_equal(ioctl(f->machine->vcpus.list[vcpu].fd, KVM_GET_MSRS, &u), 1);
	return u.m.entries[0].data;
}

/* As if an hour had passed since the machine was paused */
static void fixture_pass_an_hour(const struct fixture *f)
{
	struct kvm_clock_data d = { .clock = fixture_kvmclock(f) + HOUR_NS };

	assert_int_equal(ioctl(f->machine->kvm.vm_fd, KVM_SET_CLOCK, &d), 0);
}

/* The same for the TSCs; ticks: of an hour. False: they cannot be set here. */
static bool fixture_pass_ticks(const struct fixture *f, uint64_t ticks)
{
	uint64_t offset, before = fixture_tsc(f, 0);
	struct kvm_device_attr attr = { .group = KVM_VCPU_TSC_CTRL,
					.attr = KVM_VCPU_TSC_OFFSET,
					.addr = (uintptr_t)&offset };

	for (unsigned int i = 0; i < f->machine->vcpus.n; i++) {
		if (ioctl(f->machine->vcpus.list[i].fd, KVM_GET_DEVICE_ATTR, &attr))
			return false;
		offset += ticks;
		assert_int_equal(ioctl(f->machine->vcpus.list[i].fd, KVM_SET_DEVICE_ATTR, &attr),
				 0);
	}
	return fixture_tsc(f, 0) - before >= ticks;
}

/* An hour's pause is none for the guest, nor does it come back with the next one. */
static void an_hour_of_pause_is_not_seen(void **state)
{
	struct fixture f;
	uint64_t ns;

	(void)state;
	for (int reset = 0; reset < 2; reset++) {
		fixture_start(&f, (&(struct options){ .vcpus = 2 }), guest_count);
		fixture_until_counting(&f);
		assert_int_equal(machine_pause(f.machine, NULL), 0);
		if (reset) /* while it is paused: the clock stands still from then on */
			assert_int_equal(machine_reset(f.machine, NULL), 0);
		ns = fixture_kvmclock(&f);
		fixture_pass_an_hour(&f);
		assert_true(fixture_kvmclock(&f) >= ns + HOUR_NS);
		for (unsigned int i = 0; i < 2; i++) {
			assert_int_equal(machine_resume(f.machine, NULL), 0);
			fixture_until_counting(&f);
			assert_int_equal(machine_pause(f.machine, NULL), 0);
			assert_true(fixture_kvmclock(&f) + HOUR_NS / 60 - ns < HOUR_NS / 30);
		}
		fixture_fini(&f);
	}
}

static void an_hour_of_pause_is_not_counted(void **state)
{
	uint64_t tsc, hour;
	struct fixture f;
	bool counted;
	int khz;

	(void)state;
	fixture_start(&f, (&(struct options){ .vcpus = 2 }), guest_count);
	fixture_until_counting(&f);
	assert_int_equal(machine_pause(f.machine, NULL), 0);
	khz = ioctl(f.machine->vcpus.list[0].fd, KVM_GET_TSC_KHZ, 0);
	assert_true(khz > 0);
	hour = (uint64_t)khz * 3600 * 1000;
	tsc = fixture_tsc(&f, 0);
	counted = fixture_pass_ticks(&f, hour);
	for (unsigned int i = 0; i < 2 && counted; i++) {
		assert_int_equal(machine_resume(f.machine, NULL), 0);
		fixture_until_counting(&f);
		assert_int_equal(machine_pause(f.machine, NULL), 0);
		assert_true(fixture_tsc(&f, 0) + hour / 60 - tsc < hour / 30);
		assert_true(fixture_tsc(&f, 1) + hour / 60 - tsc < hour / 30);
	}
	fixture_fini(&f);
	if (!counted)
		SKIP_BECAUSE("this KVM does not set a guest's TSC (KVM_VCPU_TSC_OFFSET)");
}

static void a_halted_guest_can_be_paused(void **state)
{
	struct fixture f;

	(void)state;
	fixture_start(&f, (&(struct options){ .vcpus = 4 }), guest_halt);
	assert_int_equal(machine_pause(f.machine, NULL), 0);
	assert_int_equal(machine_resume(f.machine, NULL), 0);
	assert_int_equal(machine_power_button(f.machine, NULL), 0);
	fixture_fini(&f);
}

static void the_kernels_irqchip_works_too(void **state)
{
	struct fixture f;

	(void)state;
	fixture_start(&f, (&(struct options){ .kernel_irqchip = true }), guest_count);
	fixture_until_counting(&f);
	assert_int_equal(machine_reset(f.machine, NULL), 0);
	fixture_until_counting(&f);
	assert_int_equal(f.events, 1);
	fixture_fini(&f);
}

/* --- sleep ------------------------------------------------------------------------------------------- */

static void fixture_until_suspended(struct fixture *f)
{
	while (machine_get_state(f->machine) != MACHINE_SUSPENDED)
		uv_run(&f->loop, UV_RUN_ONCE);
	memcpy(gmem_ptr(&f->machine->gmem, 0x7005, sizeof(guest_awake)), guest_awake,
	       sizeof(guest_awake));
}

/* It has written to PM1_CNT; the loop need not have seen it. */
static bool fixture_asleep(struct fixture *f)
{
	bool asleep;

	pthread_mutex_lock(&f->machine->lock);
	asleep = acpi_pm_asleep(f->machine->board.acpi_pm);
	pthread_mutex_unlock(&f->machine->lock);
	return asleep;
}

static void a_sleeper_wakes_at_its_vector(void **state)
{
	struct fixture f;

	(void)state;
	for (unsigned int i = 0; i < 4; i++) {
		fixture_start(&f, (&(struct options){ .vcpus = 2, .kernel_irqchip = i & 1 }),
			      guest_sleep);
		fixture_until_suspended(&f);
		assert_int_equal(f.suspended, 1);
		assert_int_equal(f.awake, 0);
		/* the power button does, too */
		assert_int_equal(i & 2 ? machine_power_button(f.machine, NULL)
				       : machine_wakeup(f.machine, NULL),
				 0);
		assert_int_equal(machine_get_state(f.machine), MACHINE_RUNNING);
		assert_int_equal(f.awake, 1);
		fixture_until_ended(&f);
		assert_int_equal(f.words.reason, LASTWORDS_GUEST_EXIT);
		assert_int_equal(f.words.code, 7);
		assert_int_equal(f.events, 0);
		fixture_fini(&f);
	}
}

static void a_sleeper_is_reset_and_killed(void **state)
{
	struct fixture f;
	struct err e;

	(void)state;
	fixture_start(&f, (&(struct options){ .vcpus = 2 }), guest_sleep);
	fixture_until_suspended(&f);
	assert_int_equal(fixture_counter(&f), 1);
	assert_int_equal(machine_pause(f.machine, &e), -ERR_VM_STATE);
	assert_string_equal(e.msg, "cannot pause: the VM is suspended");
	assert_int_equal(machine_resume(f.machine, &e), -ERR_VM_STATE);
	assert_int_equal(machine_start(f.machine, &e), -ERR_VM_STATE);
	assert_int_equal(machine_reset(f.machine, NULL), 0);
	assert_int_equal(machine_get_state(f.machine), MACHINE_RUNNING);
	assert_int_equal(f.awake, 1);
	assert_int_equal(f.events, 1);
	/* it has booted, and sleeps again; then it is as good as off */
	fixture_until_suspended(&f);
	assert_int_equal(f.suspended, 2);
	machine_kill(f.machine, "enough");
	assert_int_equal(f.words.reason, LASTWORDS_KILLED);
	assert_int_equal(machine_wakeup(f.machine, &e), -ERR_VM_STATE);
	assert_string_equal(e.msg, "cannot wake it up: the VM is ended");
	fixture_fini(&f);
}

/* Paused in the moment in which it falls asleep: it does so when it may. */
static void a_pause_comes_before_sleep(void **state)
{
	struct fixture f;

	(void)state;
	fixture_start(&f, (&(struct options){ .vcpus = 2 }), guest_sleep);
	while (!fixture_asleep(&f))
		;
	assert_int_equal(machine_pause(f.machine, NULL), 0);
	assert_int_equal(uv_run(&f.loop, UV_RUN_NOWAIT) != 0, 1);
	assert_int_equal(machine_get_state(f.machine), MACHINE_PAUSED);
	assert_int_equal(f.suspended, 0);
	assert_int_equal(machine_resume(f.machine, NULL), 0);
	fixture_until_suspended(&f);
	assert_int_equal(f.suspended, 1);
	assert_int_equal(machine_wakeup(f.machine, NULL), 0);
	fixture_until_ended(&f);
	assert_int_equal(f.words.code, 7);
	fixture_fini(&f);
}

/* One that sleeps without end does so once a second. */
static void a_sleep_loop_is_throttled(void **state)
{
	uint64_t start = uv_hrtime();
	struct fixture f;

	(void)state;
	fixture_start(&f, (&(struct options){ .vcpus = 2 }), guest_sleep);
	for (unsigned int i = 0; i < 3; i++) {
		fixture_until_suspended(&f);
		/* it wakes to sleep: mov ax, 0x2c00; mov dx, 0x604; out dx, ax; hlt */
		memcpy(gmem_ptr(&f.machine->gmem, 0x7005, 8), "\xb8\x00\x2c\xba\x04\x06\xef\xf4",
		       8);
		assert_int_equal(machine_wakeup(f.machine, NULL), 0);
	}
	assert_true(uv_hrtime() - start > 1900000000);
	machine_kill(f.machine, "enough");
	fixture_fini(&f);
}

/* Whether a pin of the kernel's I/O APIC is active */
static bool fixture_pin(const struct fixture *f, unsigned int pin)
{
	struct kvm_irqchip chip = { .chip_id = KVM_IRQCHIP_IOAPIC };

	assert_int_equal(ioctl(f->machine->kvm.vm_fd, KVM_GET_IRQCHIP, &chip), 0);
	return chip.chip.ioapic.irr & BIT(pin);
}

static bool eventfd_is_full(int fd)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };

	return poll(&p, 1, 0) == 1;
}

/* Both chips take level interrupts from an eventfd; what they do to the lines of ours is test_irq's. */
static void an_eventfd_holds_a_line(void **state)
{
	int raise = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	int ended = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);

	(void)state;
	for (int kernel = 0; kernel < 2; kernel++) {
		const struct board *b;
		struct fixture f;
		struct err e = { 0 };

		fixture_start(&f, (&(struct options){ .kernel_irqchip = kernel }), guest_halt);
		b = &f.machine->board;
		assert_int_equal(b->ops->level_irqfd(b->arg, 20, raise, ended, true, &e), 0);
		assert_int_equal(eventfd_write(raise, 1), 0);
		while (kernel ? !fixture_pin(&f, 20) : eventfd_is_full(raise))
			uv_run(&f.loop, UV_RUN_NOWAIT);
		assert_int_equal(b->ops->level_irqfd(b->arg, 20, raise, ended, false, &e), 0);
		assert_false(kernel && fixture_pin(&f, 20));
		assert_int_equal(b->ops->level_irqfd(b->arg, 99, raise, ended, true, &e), -EINVAL);
		fixture_fini(&f);
	}
	close(raise);
	close(ended);
}

static void states_that_do_not_fit(void **state)
{
	struct fixture f;
	struct err e;

	(void)state;
	assert_int_equal(
		fixture_init(&f, &(struct options){ 0 }, guest_halt, sizeof(guest_halt), &e), 0);
	assert_int_equal(machine_pause(f.machine, &e), -ERR_VM_STATE);
	assert_string_equal(e.msg, "cannot pause: the VM is created");
	assert_int_equal(machine_resume(f.machine, &e), -ERR_VM_STATE);
	assert_int_equal(machine_reset(f.machine, &e), -ERR_VM_STATE);
	assert_int_equal(machine_power_button(f.machine, &e), -ERR_VM_STATE);
	assert_string_equal(e.msg, "cannot press the power button: the VM is created");
	machine_kill(f.machine, NULL);
	assert_int_equal(machine_start(f.machine, &e), -ERR_VM_STATE);
	assert_string_equal(e.msg, "cannot start: the VM is ended");
	fixture_fini(&f);
}

static void no_kernel_no_start(void **state)
{
	struct fixture f;
	struct err e;

	(void)state;
	assert_int_equal(
		fixture_init(&f, &(struct options){ 0 }, guest_halt, sizeof(guest_halt), &e), 0);
	assert_int_equal(ftruncate(f.machine->config.boot.kernel_fd, 0), 0);
	assert_int_equal(machine_start(f.machine, &e), -ERR_KERNEL_IMAGE);
	assert_int_equal(machine_get_state(f.machine), MACHINE_CREATED);
	fixture_fini(&f);
}

static void not_kvm_is_said(void **state)
{
	struct gmem g;
	struct kvm k;
	struct err e;
	uint8_t *ram = calloc(1, 4096);

	(void)state;
	gmem_init_buffer(&g, ram, 4096);
	assert_int_equal(kvm_init(&k, open("/dev/null", O_RDWR | O_CLOEXEC), &g, true, NULL, &e),
			 -ERR_KVM);
	assert_string_equal(e.msg, "not /dev/kvm, or its API version -1 is not 12");
	free(ram);
}

/* --- the control socket ------------------------------------------------------------------------------ */

struct client {
	struct fixture f;
	struct conn conn;
	struct control *control;
	struct json_object *inbox;    /* owned: an array, oldest first */
	struct json_object *timeline; /* owned: params of the last machine.timeline */
	bool closed;
};

static void client_message(struct conn *conn, struct json_object *msg, struct fdset *fds)
{
	struct client *c = conn->arg;

	(void)fds;
	if (strcmp(json_get_str(msg, "method", ""), "machine.timeline")) {
		json_object_array_add(c->inbox, json_object_get(msg));
		return;
	}
	json_object_put(c->timeline);
	c->timeline = json_object_get(json_get(msg, "params"));
}

static void client_closed(struct conn *conn, const struct err *why)
{
	struct client *c = conn->arg;

	(void)why;
	c->closed = true;
}

static const struct conn_ops client_ops = { .message = client_message, .closed = client_closed };

/* The next message, with what stands at the pointer. */
static void client_expect(struct client *c, const char *pointer, const char *value)
{
	struct json_object *msg, *o;

	while (!json_object_array_length(c->inbox) && !c->closed)
		uv_run(&c->f.loop, UV_RUN_ONCE);
	msg = json_object_array_get_idx(c->inbox, 0);
	o = json_at(msg, pointer);
	if (!o || strcmp(json_object_get_string(o), value))
		fail_msg("%s of %s is not %s", pointer, json_object_to_json_string(msg), value);
	json_object_array_del_idx(c->inbox, 0, 1);
}

static void client_call(struct client *c, const char *method, struct json_object *params,
			struct fdset *fds)
{
	conn_send(&c->conn, rpc_request(1, method, params), fds);
}

static void client_connect(struct client *c, const char *path, const char *state)
{
	int fd = conn_connect(path, NULL);

	assert_true(fd >= 0);
	assert_int_equal(conn_init(&c->conn, &c->f.loop, fd, &client_ops, c, NULL), 0);
	c->closed = false;
	client_expect(c, "/params/state", state);
}

static void client_init(struct client *c, char path[static 64])
{
	struct err e;
	int fd;

	memset(c, 0, sizeof(*c));
	fixture_loop(&c->f);
	c->inbox = json_object_new_array();
	snprintf(path, 64, "/tmp/vmm-test-%d.sock", (int)getpid());
	fd = conn_listen(path, 0600, &e);
	assert_true(fd >= 0);
	assert_int_equal(control_new(&c->f.loop, fd, NULL, &c->f.log, &c->control, &e), 0);
	client_connect(c, path, "empty");
}

static struct json_object *client_fd(unsigned int index)
{
	return json_add_int(json_new(), "fd", index);
}

static void client_configure(struct client *c, const uint8_t *code, size_t len, int kvm_fd,
			     int exit_fd, bool balloon)
{
	struct json_object *params = json_new();
	struct fdset fds;

	fdset_init(&fds);
	fdset_add(&fds, guest_kernel(code, len));
	fdset_add(&fds, kvm_fd);
	fdset_add(&fds, exit_fd);
	json_add(params, "config", guest_json(&(struct options){ .vcpus = 1, .balloon = balloon }));
	json_add(params, "kvm", client_fd(1));
	json_add(params, "exit_record", client_fd(2));
	client_call(c, "machine.configure", params, &fds);
}

static void client_fini(struct client *c, const char *path, int status)
{
	while (!c->closed)
		uv_run(&c->f.loop, UV_RUN_ONCE);
	uv_close((uv_handle_t *)&c->f.deadline, NULL);
	while (!control_over(c->control))
		uv_run(&c->f.loop, UV_RUN_ONCE);
	assert_int_equal(control_status(c->control), status);
	control_free(c->control);
	assert_int_equal(uv_loop_close(&c->f.loop), 0);
	json_object_put(c->inbox);
	json_object_put(c->timeline);
	unlink(path);
}

static void control_lives_through_a_lost_connection(void **state)
{
	int kvm_fd = guest_kvm(), record[2], console[2];
	char path[64], text[128] = "";
	struct fdset fds;
	struct client c;

	(void)state;
	assert_int_equal(pipe(record), 0);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, console), 0);
	client_init(&c, path);
	client_configure(&c, guest_count, sizeof(guest_count), kvm_fd, record[1], true);
	client_expect(&c, "/result/state", "created");
	client_call(&c, "machine.start", json_new(), NULL);
	client_expect(&c, "/result/state", "running");
	conn_close(&c.conn);
	while (!c.closed)
		uv_run(&c.f.loop, UV_RUN_ONCE);
	client_connect(&c, path, "running");
	client_call(&c, "machine.status", NULL, NULL);
	client_expect(&c, "/result/consoles/0", "com1");
	fdset_init(&fds);
	fdset_add(&fds, console[1]);
	client_call(&c, "console.attach", json_add_bool(json_new(), "scrollback", true), &fds);
	client_expect(&c, "/result/console", "com1");
	while (recv(console[0], text, 1, MSG_DONTWAIT) < 0)
		uv_run(&c.f.loop, UV_RUN_ONCE);
	assert_string_equal(text, "A");
	client_call(&c, "machine.pause", NULL, NULL);
	client_expect(&c, "/result/state", "paused");
	client_call(&c, "machine.quit", NULL, NULL);
	client_expect(&c, "/params/type", "killed");
	client_expect(&c, "/result/state", "ended");
	client_fini(&c, path, 4);
	assert_true(read(record[0], text, sizeof(text)) > 0);
	assert_ptr_equal(strstr(text, "{\"reason\":\"killed\",\"code\":0,"), text);
	close(record[0]);
	close(console[0]);
}

/* Each mark is there once, in order, and the first console byte is told when it comes. */
static void control_tells_the_timeline(void **state)
{
	static const char *const order[] = { "memory", "machine", "kernel", "start", "console" };
	int kvm_fd = guest_kvm(), record[2];
	struct json_object *before = NULL;
	char path[64];
	struct client c;

	(void)state;
	assert_int_equal(pipe(record), 0);
	client_init(&c, path);
	client_configure(&c, guest_count, sizeof(guest_count), kvm_fd, record[1], true);
	client_expect(&c, "/result/state", "created");
	assert_null(c.timeline);
	client_call(&c, "machine.start", json_new(), NULL);
	client_expect(&c, "/result/state", "running");
	while (!c.timeline)
		uv_run(&c.f.loop, UV_RUN_ONCE);
	for (size_t i = 0; i < ARRAY_SIZE(order); i++) {
		assert_true(json_get_int(c.timeline, order[i], 0) > 0);
		if (i)
			assert_true(json_get_int(c.timeline, order[i], 0) >=
				    json_get_int(c.timeline, order[i - 1], 0));
	}
	assert_null(json_get(c.timeline, "kick"));
	/* a reset is no first start */
	before = json_object_get(c.timeline);
	client_call(&c, "machine.reset", NULL, NULL);
	client_expect(&c, "/params/type", "reset");
	client_expect(&c, "/result/state", "running");
	client_call(&c, "machine.status", NULL, NULL);
	while (!json_object_array_length(c.inbox))
		uv_run(&c.f.loop, UV_RUN_ONCE);
	assert_true(json_equal(json_at(json_object_array_get_idx(c.inbox, 0), "/result/timeline"),
			       before));
	json_object_array_del_idx(c.inbox, 0, 1);
	json_object_put(before);
	client_call(&c, "machine.quit", NULL, NULL);
	client_expect(&c, "/params/type", "killed");
	client_expect(&c, "/result/state", "ended");
	client_fini(&c, path, 4);
	close(record[0]);
}

static void control_reports_the_end(void **state)
{
	int kvm_fd = guest_kvm(), record[2];
	char path[64], text[128] = "";
	struct client c;

	(void)state;
	assert_int_equal(pipe(record), 0);
	client_init(&c, path);
	client_configure(&c, guest_exit_7, sizeof(guest_exit_7), kvm_fd, record[1], true);
	client_expect(&c, "/result/state", "created");
	client_call(&c, "machine.start", NULL, NULL);
	client_expect(&c, "/result/state", "running");
	client_expect(&c, "/params/type", "guest-exit");
	client_fini(&c, path, 7);
	assert_true(read(record[0], text, sizeof(text)) > 0);
	assert_string_equal(text, "{\"reason\":\"guest-exit\",\"code\":7,\"message\":\"\"}\n");
	close(record[0]);
}

/* The memory that a guest shall have: what cannot be is refused, and nothing is said of a driver that is not there. */
static void control_sets_the_memory(void **state)
{
	static const char *const wrong[] = { "16777215", "33554433", "9007199254740991" };
	int kvm_fd = guest_kvm(), record[2];
	char path[64];
	struct client c;

	(void)state;
	assert_int_equal(pipe(record), 0);
	client_init(&c, path);
	client_call(&c, "machine.memory", NULL, NULL);
	client_expect(&c, "/error/message", "the machine is empty");
	client_configure(&c, guest_halt, sizeof(guest_halt), kvm_fd, record[1], true);
	client_expect(&c, "/result/state", "created");
	client_call(&c, "machine.memory", NULL, NULL);
	client_expect(&c, "/result",
		      "{ \"size\": 33554432, \"target\": 33554432, \"actual\": 33554432, "
		      "\"driver\": false }");
	client_call(&c, "machine.memory", json_add_int(json_new(), "size", 16777216), NULL);
	client_expect(&c, "/result/target", "16777216");
	for (size_t i = 0; i < ARRAY_SIZE(wrong); i++) {
		client_call(&c, "machine.memory",
			    json_add_int(json_new(), "size", strtoll(wrong[i], NULL, 10)), NULL);
		client_expect(&c, "/error/data/name", "definition.invalid");
	}
	client_call(&c, "machine.memory", json_add_str(json_new(), "size", "1GiB"), NULL);
	client_expect(&c, "/error/message", "'size' is no number of bytes");
	client_call(&c, "machine.memory", NULL, NULL);
	client_expect(&c, "/result/target", "16777216");
	client_call(&c, "machine.quit", NULL, NULL);
	client_expect(&c, "/params/type", "killed");
	client_expect(&c, "/result/state", "ended");
	client_fini(&c, path, 4);
	close(record[0]);
}

static void control_refuses_by_name(void **state)
{
	char path[64];
	struct client c;

	(void)state;
	client_init(&c, path);
	client_call(&c, "machine.fly", NULL, NULL);
	client_expect(&c, "/error/message", "unknown method 'machine.fly'");
	client_call(&c, "machine.start", NULL, NULL);
	client_expect(&c, "/error/message", "the machine is empty");
	client_call(&c, "machine.configure", json_add(json_new(), "config", json_new()), NULL);
	client_expect(&c, "/error/message", "'kvm' names no descriptor");
	client_call(&c, "console.attach", NULL, NULL);
	client_expect(&c, "/error/message", "the VM has no console");
	client_call(&c, "machine.quit", NULL, NULL);
	client_expect(&c, "/result/state", "ended");
	client_fini(&c, path, 4);
}

static struct json_object *client_rng(const char *type, const char *id, const char *address)
{
	struct json_object *d = json_add_str(json_new(), "type", type);

	json_add_str(json_add_str(d, "id", id), "address", address);
	return json_add(json_new(), "device", d);
}

static void client_remove(struct client *c, const char *id)
{
	client_call(c, "device.remove", json_add_str(json_new(), "id", id), NULL);
}

static void client_set(struct client *c, const char *id, struct json_object *change)
{
	client_call(c, "device.set", json_add(json_add_str(json_new(), "id", id), "change", change),
		    NULL);
}

/* What is refused, and why. What is done: tests/functional/test_hotplug.c */
static void control_adds_and_removes_devices(void **state)
{
	int kvm_fd = guest_kvm(), record[2];
	char path[64];
	struct client c;

	(void)state;
	assert_int_equal(pipe(record), 0);
	client_init(&c, path);
	client_call(&c, "device.add", client_rng("virtio-rng", "rng0", "00:05.0"), NULL);
	client_expect(&c, "/error/message", "the machine is empty");
	client_configure(&c, guest_halt, sizeof(guest_halt), kvm_fd, record[1], false);
	client_expect(&c, "/result/state", "created");
	client_call(&c, "device.add", client_rng("virtio-rng", "rng0", "00:05.0"), NULL);
	client_expect(&c, "/error/message", "cannot add a device: the VM is created");
	client_call(&c, "machine.start", json_new(), NULL);
	client_expect(&c, "/result/state", "running");
	/* it has no device with an I/O thread, and gets none now */
	client_call(&c, "device.add", client_rng("virtio-rng", "rng0", "00:05.0"), NULL);
	client_expect(&c, "/error/message", "device 'rng0': the VM runs without an I/O thread");
	client_call(&c, "device.add", client_rng("serial", "com2", "00:05.0"), NULL);
	client_expect(&c, "/error/code", "1232");
	client_call(&c, "device.add", client_rng("virtio-rng", "com1", "00:05.0"), NULL);
	client_expect(&c, "/error/message", "the VM has a device 'com1' already");
	client_call(&c, "device.add", NULL, NULL);
	client_expect(&c, "/error/message", "'device' is no object");
	client_remove(&c, "rng0");
	client_expect(&c, "/error/message", "the VM has no device 'rng0'");
	client_set(&c, "rng0", json_new());
	client_expect(&c, "/error/message", "the VM has no device 'rng0'");
	client_set(&c, "com1", json_new());
	client_expect(&c, "/error/message",
		      "nothing of device 'com1' of type serial can be changed while the VM runs");
	client_set(&c, "com1", NULL);
	client_expect(&c, "/error/message", "'change' is no object");
	client_remove(&c, "pci");
	client_expect(&c, "/error/message",
		      "device 'pci' of type pci-host cannot be removed from a VM that runs");
	client_call(&c, "machine.quit", NULL, NULL);
	client_expect(&c, "/params/type", "killed");
	client_expect(&c, "/result/state", "ended");
	client_fini(&c, path, 4);
	close(record[0]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(ends_by_the_debug_port),
		cmocka_unit_test(ends_by_acpi),
		cmocka_unit_test(a_reset_stops_when_told_so),
		cmocka_unit_test(a_reset_clears_the_bss),
		cmocka_unit_test(a_reset_loop_is_throttled),
		cmocka_unit_test(pause_stops_and_resume_goes_on),
		cmocka_unit_test(an_hour_of_pause_is_not_seen),
		cmocka_unit_test(an_hour_of_pause_is_not_counted),
		cmocka_unit_test(a_halted_guest_can_be_paused),
		cmocka_unit_test(a_sleeper_wakes_at_its_vector),
		cmocka_unit_test(a_sleeper_is_reset_and_killed),
		cmocka_unit_test(a_pause_comes_before_sleep),
		cmocka_unit_test(a_sleep_loop_is_throttled),
		cmocka_unit_test(the_kernels_irqchip_works_too),
		cmocka_unit_test(an_eventfd_holds_a_line),
		cmocka_unit_test(states_that_do_not_fit),
		cmocka_unit_test(no_kernel_no_start),
		cmocka_unit_test(not_kvm_is_said),
		cmocka_unit_test(control_lives_through_a_lost_connection),
		cmocka_unit_test(control_tells_the_timeline),
		cmocka_unit_test(control_reports_the_end),
		cmocka_unit_test(control_sets_the_memory),
		cmocka_unit_test(control_refuses_by_name),
		cmocka_unit_test(control_adds_and_removes_devices),
	};

	return cmocka_run_group_tests_name("machine", tests, NULL, NULL);
}
