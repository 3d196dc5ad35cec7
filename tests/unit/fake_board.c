// SPDX-License-Identifier: MIT
// The board of the unit tests: see fake_board.h. One thread; time stands still unless it is moved.
#include "tests/unit/fake_board.h"

#include <stdarg.h>
#include <setjmp.h>
#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/sockios.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>
#include "lib/auto.h"
#include "lib/json.h"
#include "vmm/console.h"

static void fake_irq_drive(void *arg, unsigned int gsi, bool level)
{
	struct fake_board *fb = arg;

	assert_true(gsi < FAKE_GSIS);
	if (level && !fb->irq[gsi])
		fb->irq_raised[gsi]++;
	fb->irq[gsi] = level;
}

static void fake_irq_set(void *arg, unsigned int gsi, bool level)
{
	irq_set(&((struct fake_board *)arg)->lines, gsi, level);
}

static int fake_level_irqfd(void *arg, unsigned int gsi, int raise_fd, int ended_fd, bool assign,
			    struct err *e)
{
	struct fake_board *fb = arg;

	if (assign)
		return irq_level_attach(&fb->lines, gsi, raise_fd, ended_fd, e);
	irq_level_detach(&fb->lines, gsi, raise_fd);
	return 0;
}

static void fake_irq_ended(void *arg, unsigned int gsi)
{
	irq_ended(&((struct fake_board *)arg)->lines, gsi);
}

static void fake_msi_send(void *arg, const struct msi_msg *msg)
{
	struct fake_board *fb = arg;

	if (fb->nmsis < FAKE_MSIS)
		fb->msis[fb->nmsis] = *msg;
	fb->nmsis++;
}

static int fake_irqfd_attach(void *arg, int eventfd, const struct msi_msg *msg, int *gsi,
			     struct err *e)
{
	struct fake_board *fb = arg;

	if (*gsi == -1) {
		for (int i = 0; i < FAKE_IRQFDS && *gsi == -1; i++)
			if (!fb->irqfds[i].used)
				*gsi = i;
		if (*gsi == -1)
			return err_set(e, ENOSPC, "no interrupt route left");
	}
	assert_in_range(*gsi, 0, FAKE_IRQFDS - 1);
	fb->irqfds[*gsi] = (struct fake_irqfd){ .used = true, .fd = eventfd, .msg = *msg };
	return 0;
}

static void fake_irqfd_detach(void *arg, int eventfd, int gsi)
{
	struct fake_board *fb = arg;

	assert_in_range(gsi, 0, FAKE_IRQFDS - 1);
	assert_int_equal(fb->irqfds[gsi].fd, eventfd);
	fb->irqfds[gsi].fd = -1;
}

static void fake_irqfd_release(void *arg, int gsi)
{
	struct fake_board *fb = arg;

	assert_in_range(gsi, 0, FAKE_IRQFDS - 1);
	assert_true(fb->irqfds[gsi].used);
	fb->irqfds[gsi] = (struct fake_irqfd){ .fd = -1 };
}

static int fake_ioeventfd_op(void *arg, uint64_t addr, unsigned int size, int fd, bool assign,
			     struct err *e)
{
	struct fake_board *fb = arg;

	if (assign) {
		assert_true(fb->nioeventfds < FAKE_IOEVENTFDS);
		fb->ioeventfds[fb->nioeventfds++] =
			(struct fake_ioeventfd){ .addr = addr, .size = size, .fd = fd };
		return 0;
	}
	for (unsigned int i = 0; i < fb->nioeventfds; i++) {
		const struct fake_ioeventfd *io = &fb->ioeventfds[i];

		if (io->addr == addr && io->size == size && io->fd == fd) {
			fb->ioeventfds[i] = fb->ioeventfds[--fb->nioeventfds];
			return 0;
		}
	}
	return err_set(e, ENOENT, "no such ioeventfd");
}

static void fake_ioapic_route(void *arg, unsigned int pin, const struct msi_msg *msg, bool level)
{
	struct fake_board *fb = arg;

	assert_true(pin < FAKE_GSIS);
	fb->routes[pin].msg = *msg;
	fb->routes[pin].level = level;
	fb->routes[pin].calls++;
}

static void fake_event(void *arg, enum board_event event, int code, const char *msg)
{
	struct fake_board *fb = arg;

	if (fb->nevents < FAKE_EVENTS) {
		struct fake_event *ev = &fb->events[fb->nevents];

		ev->event = event;
		ev->code = code;
		snprintf(ev->msg, sizeof(ev->msg), "%s", msg ? msg : "");
	}
	fb->nevents++;
}

static void fake_first_kick(void *arg)
{
	atomic_fetch_add(&((struct fake_board *)arg)->first_kicks, 1);
}

static struct worker *fake_worker(void *arg, bool dedicated, struct err *e)
{
	struct fake_board *fb = arg;

	(void)dedicated;
	if (fb->fail_worker) {
		fb->fail_worker = false;
		err_set(e, ENOMEM, "no worker");
		return NULL;
	}
	if (!fb->threaded)
		return fb->worker;
	assert_true(fb->nthreads < FAKE_THREADS);
	if (worker_new("test", NULL, NULL, &fb->threads[fb->nthreads], e) < 0)
		return NULL;
	return fb->threads[fb->nthreads++];
}

static struct waiters *fake_waiters(void *arg, struct err *e)
{
	struct fake_board *fb = arg;

	if (!fb->waiters && fb->fail_waiters)
		err_set(e, EAGAIN, "no threads");
	else if (!fb->waiters)
		waiters_new(NULL, NULL, &fb->waiters, e);
	return fb->waiters;
}

void fake_board_threads(struct fake_board *fb)
{
	fb->threaded = true;
}

static struct fake_console *fake_console_find(struct fake_board *fb, const char *id)
{
	for (unsigned int i = 0; i < fb->nconsoles; i++)
		if (!strcmp(fb->consoles[i].id, id))
			return &fb->consoles[i];
	return NULL;
}

static struct console *fake_console_op(void *arg, const char *id, struct err *e)
{
	struct fake_board *fb = arg;
	struct fake_console *fc = fake_console_find(fb, id);
	int pair[2];

	if (fc)
		return fc->console;
	assert_true(fb->nconsoles < FAKE_CONSOLES);
	fc = &fb->consoles[fb->nconsoles++];
	snprintf(fc->id, sizeof(fc->id), "%s", id);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
	assert_int_equal(console_new(&fb->loop, id, &fc->console, e), 0);
	assert_int_equal(console_attach(fc->console, pair[1], -1, CONSOLE_READ_WRITE, false, e), 0);
	fc->client = pair[0];
	return fc->console;
}

static uint64_t fake_now_ns(void *arg)
{
	return ((struct fake_board *)arg)->now_ns;
}

static uint64_t fake_realtime_ns(void *arg)
{
	struct fake_board *fb = arg;

	fb->realtime_ns += fb->realtime_step_ns;
	return fb->realtime_ns;
}

static void fake_timer_cancel(void *arg, struct board_timer *t)
{
	struct fake_board *fb = arg;

	for (struct board_timer **p = &fb->timers; *p; p = &(*p)->next) {
		if (*p == t) {
			*p = t->next;
			break;
		}
	}
	t->armed = false;
}

static void fake_timer_arm(void *arg, struct board_timer *t, uint64_t at_ns)
{
	struct fake_board *fb = arg;
	struct board_timer **p = &fb->timers;

	fake_timer_cancel(fb, t);
	t->at_ns = at_ns;
	t->armed = true;
	while (*p && (*p)->at_ns <= at_ns)
		p = &(*p)->next;
	t->next = *p;
	*p = t;
}

static int fake_mem_map(void *arg, uint64_t gpa, uint64_t size, void *host, struct err *e)
{
	struct fake_board *fb = arg;

	/* as KVM has it */
	assert_true(size && !(gpa % 4096) && !(size % 4096) && !((uintptr_t)host % 4096));
	for (int i = 0; i < FAKE_SLOTS; i++) {
		const struct fake_slot *s = &fb->slots[i];

		assert_false(s->size && gpa < s->gpa + s->size && s->gpa < gpa + size);
	}
	for (int i = 0; i < FAKE_SLOTS; i++)
		if (!fb->slots[i].size) {
			fb->slots[i] = (struct fake_slot){ .gpa = gpa, .size = size, .host = host };
			return i;
		}
	return err_set(e, ENOSPC, "no slot left");
}

static int fake_rom_map(void *arg, uint64_t gpa, uint64_t size, void *host, struct err *e)
{
	struct fake_board *fb = arg;
	int slot = fake_mem_map(fb, gpa, size, host, e);

	if (slot >= 0)
		fb->slots[slot].rom = true;
	return slot;
}

static int fake_mem_log(void *arg, int slot, uint64_t gpa, uint64_t size, void *host, bool on)
{
	struct fake_board *fb = arg;

	assert_in_range(slot, 0, FAKE_SLOTS - 1);
	assert_int_equal(fb->slots[slot].gpa, gpa);
	assert_int_equal(fb->slots[slot].size, size);
	assert_ptr_equal(fb->slots[slot].host, host);
	assert_false(fb->slots[slot].rom);
	fb->slots[slot].logged = on;
	memset(fb->slots[slot].written, 0, sizeof(fb->slots[slot].written));
	return 0;
}

static int fake_mem_written(void *arg, int slot, uint64_t *ret_bitmap)
{
	struct fake_board *fb = arg;

	assert_in_range(slot, 0, FAKE_SLOTS - 1);
	assert_true(fb->slots[slot].logged);
	assert_true(fb->slots[slot].size <= 64 * 64 * 4096);
	memcpy(ret_bitmap, fb->slots[slot].written, fb->slots[slot].size / 4096 / 8);
	memset(fb->slots[slot].written, 0, sizeof(fb->slots[slot].written));
	fb->asked++;
	return 0;
}

static void fake_mem_unmap(void *arg, int slot)
{
	struct fake_board *fb = arg;

	assert_in_range(slot, 0, FAKE_SLOTS - 1);
	assert_true(fb->slots[slot].size);
	fb->slots[slot] = (struct fake_slot){ 0 };
}

const struct fake_slot *fake_slot_at(const struct fake_board *fb, uint64_t gpa)
{
	for (int i = 0; i < FAKE_SLOTS; i++)
		if (fb->slots[i].size && fb->slots[i].gpa == gpa)
			return &fb->slots[i];
	return NULL;
}

static int fake_vfio_file(void *arg, int fd, bool add, struct err *e)
{
	struct fake_board *fb = arg;

	(void)e;
	assert_true(fd >= 0);
	fb->vfio_files += add ? 1 : -1;
	return 0;
}

static struct board_watch *fake_watch(void *arg, int fd, void (*ready)(void *ready_arg),
				      void *ready_arg, struct err *e)
{
	struct fake_board *fb = arg;

	(void)e;
	for (int i = 0; i < FAKE_WATCHES; i++)
		if (fb->watches[i].fd < 0) {
			fb->watches[i] = (struct board_watch){ fd, ready, ready_arg };
			return &fb->watches[i];
		}
	fail_msg("too many watches");
	return NULL;
}

static void fake_unwatch(void *arg, struct board_watch *w)
{
	(void)arg;
	if (w)
		w->fd = -1;
}

void fake_board_watched(struct fake_board *fb)
{
	for (int i = 0; i < FAKE_WATCHES; i++) {
		struct pollfd p = { .fd = fb->watches[i].fd, .events = POLLIN };

		if (p.fd >= 0 && poll(&p, 1, 0) == 1)
			fb->watches[i].ready(fb->watches[i].arg);
	}
}

static void fake_pci_gone(void *arg)
{
	struct fake_board *fb = arg;

	fb->gone++;
}

static void fake_notice(void *arg, const char *type, const char *msg)
{
	struct fake_board *fb = arg;

	snprintf(fb->notice, sizeof(fb->notice), "%s: %s", type, msg);
	fb->nnotices++;
}

static const struct board_ops fake_board_ops = {
	.irq_set = fake_irq_set,
	.msi_send = fake_msi_send,
	.irqfd_attach = fake_irqfd_attach,
	.irqfd_detach = fake_irqfd_detach,
	.irqfd_release = fake_irqfd_release,
	.level_irqfd = fake_level_irqfd,
	.irq_ended = fake_irq_ended,
	.ioeventfd = fake_ioeventfd_op,
	.ioapic_route = fake_ioapic_route,
	.event = fake_event,
	.worker = fake_worker,
	.waiters = fake_waiters,
	.console = fake_console_op,
	.now_ns = fake_now_ns,
	.timer_arm = fake_timer_arm,
	.first_kick = fake_first_kick,
	.timer_cancel = fake_timer_cancel,
	.realtime_ns = fake_realtime_ns,
	.mem_map = fake_mem_map,
	.rom_map = fake_rom_map,
	.mem_unmap = fake_mem_unmap,
	.mem_log = fake_mem_log,
	.mem_written = fake_mem_written,
	.vfio_file = fake_vfio_file,
	.watch = fake_watch,
	.unwatch = fake_unwatch,
	.pci_gone = fake_pci_gone,
	.notice = fake_notice,
};

#define FAKE_GUARD 4096 /* before and behind the guest's memory: who goes there dies */

/* Of which most tests touch little: what they do not touch costs nothing. */
static uint8_t *fake_mem_new(uint64_t size)
{
	uint8_t *room = mmap(NULL, size + 2 * FAKE_GUARD, PROT_NONE,
			     MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	assert_ptr_not_equal(room, MAP_FAILED);
	assert_int_equal(mprotect(room + FAKE_GUARD, size, PROT_READ | PROT_WRITE), 0);
	return room + FAKE_GUARD;
}

void fake_board_init(struct fake_board *fb, uint64_t mem_size)
{
	*fb = (struct fake_board){ .mem_size = mem_size };
	fb->mem = fake_mem_new(mem_size);
	gmem_init_buffer(&fb->gmem, fb->mem, mem_size);
	bus_init(&fb->pio, "pio");
	bus_init(&fb->mmio, "mmio");
	log_init(&fb->log, STDERR_FILENO, LOG_LEVEL_ERROR, "test");
	assert_int_equal(uv_loop_init(&fb->loop), 0);
	assert_int_equal(worker_new_inline(&fb->loop, &fb->worker, NULL), 0);
	for (int i = 0; i < FAKE_IRQFDS; i++)
		fb->irqfds[i].fd = -1;
	for (int i = 0; i < FAKE_WATCHES; i++)
		fb->watches[i].fd = -1;
	fb->board = (struct board){
		.gmem = &fb->gmem,
		.pio = &fb->pio,
		.mmio = &fb->mmio,
		.log = &fb->log,
		.ops = &fake_board_ops,
		.arg = fb,
	};
	fb->board.input = &fb->input;
	input_init(&fb->input, &fb->board);
	irq_init(&fb->lines, &fb->board, fake_irq_drive, fb);
}

void fake_board_fini(struct fake_board *fb)
{
	input_fini(&fb->input);
	for (unsigned int i = 0; i < fb->nconsoles; i++) {
		close(fb->consoles[i].client);
		console_close(fb->consoles[i].console);
	}
	assert_null(fb->lines.levels); /* every device has taken its own away */
	worker_free(fb->worker);
	for (unsigned int i = 0; i < fb->nthreads; i++)
		worker_free(fb->threads[i]);
	waiters_free(fb->waiters);
	assert_null(fb->timers);
	uv_run(&fb->loop, UV_RUN_DEFAULT);
	assert_int_equal(uv_loop_close(&fb->loop), 0);
	if (fb->mem)
		munmap(fb->mem - FAKE_GUARD, fb->mem_size + 2 * FAKE_GUARD);
}

static int fake_board_try(struct fake_board *fb, const struct device_class *class, const char *id,
			  const void *cfg, struct device **ret_device, struct err *e)
{
	struct device *d = calloc(1, class->size);
	int ret;

	assert_non_null(d);
	d->class = class;
	d->board = &fb->board;
	snprintf(d->id, sizeof(d->id), "%s", id);
	d->cfg = calloc(1, class->cfg_size + 1);
	assert_non_null(d->cfg);
	if (cfg)
		memcpy(d->cfg, cfg, class->cfg_size);
	else if (class->cfg_defaults)
		class->cfg_defaults(d->cfg);
	ret = class->init(d, e);
	if (ret < 0) {
		fake_board_remove(fb, d);
		return ret;
	}
	*ret_device = d;
	return 0;
}

struct device *fake_board_add(struct fake_board *fb, const struct device_class *class,
			      const char *id, const void *cfg)
{
	struct device *d = NULL;
	struct err e = { 0 };

	if (fake_board_try(fb, class, id, cfg, &d, &e) < 0)
		fail_msg("%s: %s", id, e.msg);
	class->reset(d);
	return d;
}

int fake_board_add_fails(struct fake_board *fb, const struct device_class *class, const char *id,
			 const void *cfg, struct err *e)
{
	struct device *d = NULL;
	int ret = fake_board_try(fb, class, id, cfg, &d, e);

	assert_true(ret < 0);
	return ret;
}

void fake_board_remove(struct fake_board *fb, struct device *d)
{
	(void)fb;
	if (d->class->fini)
		d->class->fini(d);
	free(d->cfg);
	free(d);
}

struct device *fake_board_new(struct fake_board *fb, const char *json, int fd, struct err *e)
{
	AUTO_JSON struct json_object *o = NULL;
	struct device *d = NULL;
	struct fdset fds;

	fdset_init(&fds);
	fdset_add(&fds, dup(fd));
	assert_int_equal(json_parse(json, strlen(json), &o, e), 0);
	device_new(&fb->board, o, &fds, &d, e);
	fdset_fini(&fds);
	return d;
}

struct device *fake_board_start(struct fake_board *fb, const char *json, int fd)
{
	struct err e = { 0 };
	struct device *d = fake_board_new(fb, json, fd, &e);

	if (!d)
		fail_msg("%s", e.msg);
	d->class->reset(d);
	d->class->start(d);
	return d;
}

int fake_image(uint64_t size)
{
	char path[] = "/var/tmp/vmd-image-XXXXXX";
	int fd = mkostemp(path, O_CLOEXEC);

	assert_true(fd >= 0);
	unlink(path);
	assert_int_equal(ftruncate(fd, (off_t)size), 0);
	return fd;
}

int fake_numbered(uint32_t size)
{
	uint8_t *data = calloc(1, size);
	int fd = memfd_create("image", MFD_CLOEXEC);

	assert_true(fd >= 0 && data);
	for (uint32_t n = 0; n < size / 512; n++)
		memcpy(data + 512 * (size_t)n, &n, sizeof(n));
	assert_int_equal(write(fd, data, size), size);
	free(data);
	return fd;
}

void fake_out(struct fake_board *fb, uint16_t port, unsigned int size, uint32_t val)
{
	bus_write(&fb->pio, port, size, val);
}

uint32_t fake_in(struct fake_board *fb, uint16_t port, unsigned int size)
{
	return (uint32_t)bus_read(&fb->pio, port, size);
}

void fake_mmio_write(struct fake_board *fb, uint64_t addr, unsigned int size, uint64_t val)
{
	bus_write(&fb->mmio, addr, size, val);
}

uint64_t fake_mmio_read(struct fake_board *fb, uint64_t addr, unsigned int size)
{
	return bus_read(&fb->mmio, addr, size);
}

static void fake_board_set_time(struct fake_board *fb, uint64_t now_ns)
{
	if (now_ns <= fb->now_ns)
		return;
	fb->realtime_ns += now_ns - fb->now_ns;
	fb->now_ns = now_ns;
}

void fake_board_advance(struct fake_board *fb, uint64_t ns)
{
	uint64_t end = fb->now_ns + ns;

	while (fb->timers && fb->timers->at_ns <= end) {
		struct board_timer *t = fb->timers;

		fake_board_set_time(fb, t->at_ns);
		fake_timer_cancel(fb, t);
		t->fire(t->arg);
	}
	fake_board_set_time(fb, end);
}

void fake_board_run(struct fake_board *fb)
{
	uv_run(&fb->loop, UV_RUN_NOWAIT);
}

static void fake_deadline(uv_timer_t *t)
{
	*(bool *)t->data = true;
}

static void fake_deadline_closed(uv_handle_t *h)
{
	*(bool *)h->data = true;
}

void fake_board_run_until(struct fake_board *fb, bool (*done)(void *arg), void *arg)
{
	uv_timer_t deadline;
	bool late = false, closed = false;

	uv_timer_init(&fb->loop, &deadline);
	deadline.data = &late;
	uv_timer_start(&deadline, fake_deadline, 10000, 0);
	while (!done(arg) && !late)
		uv_run(&fb->loop, UV_RUN_ONCE);
	deadline.data = &closed;
	uv_close((uv_handle_t *)&deadline, fake_deadline_closed);
	while (!closed)
		uv_run(&fb->loop, UV_RUN_NOWAIT);
	assert_true(done(arg));
}

static bool fake_console_readable(void *arg)
{
	struct pollfd p = { .fd = *(int *)arg, .events = POLLIN };

	return poll(&p, 1, 0) == 1;
}

/* What the client has, waiting only while less than want came. */
static size_t fake_console_read(struct fake_board *fb, struct fake_console *fc, char *out,
				size_t size, size_t want)
{
	size_t n = 0;

	fake_board_run(fb);
	while (n < size) {
		ssize_t got;

		if (n < want)
			fake_board_run_until(fb, fake_console_readable, &fc->client);
		got = recv(fc->client, out + n, size - n, MSG_DONTWAIT);
		if (got <= 0)
			break;
		n += (size_t)got;
	}
	return n;
}

void fake_console_expect(struct fake_board *fb, const char *id, const char *text)
{
	struct fake_console *fc = fake_console_find(fb, id);
	size_t want = strlen(text), n;
	char got[4096];

	assert_non_null(fc);
	assert_true(want < sizeof(got));
	n = fake_console_read(fb, fc, got, sizeof(got) - 1, want);
	got[n] = 0;
	assert_string_equal(got, text);
}

/* The peer, our console, has read all that was sent. */
static bool fake_console_taken(void *arg)
{
	int unread = 1;

	return ioctl(*(int *)arg, SIOCOUTQ, &unread) == 0 && unread == 0;
}

void fake_console_type(struct fake_board *fb, const char *id, const void *data, size_t len)
{
	struct fake_console *fc = fake_console_find(fb, id);

	assert_non_null(fc);
	assert_int_equal(send(fc->client, data, len, MSG_NOSIGNAL), (ssize_t)len);
	fake_board_run_until(fb, fake_console_taken, &fc->client);
	fake_board_run(fb);
}
