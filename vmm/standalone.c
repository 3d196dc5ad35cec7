// SPDX-License-Identifier: MIT
/*
 * `vmm --config FILE`: what vmd does for a machine, in one process: check and expand the definition, open
 * its files, wire the console to stdin and stdout. SIGTERM and SIGHUP press the power button, the second one
 * kills; SIGINT kills where the terminal does not hand Ctrl-C to the guest. Control loop.
 */
#include "vmm/standalone.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <uv.h>

#include "lib/auto.h"
#include "lib/errcat.h"
#include "lib/fdio.h"
#include "lib/imagelock.h"
#include "lib/vmdef.h"
#include "vmm/console.h"
#include "vmm/kvm.h"
#include "vmm/machine.h"
#include "vmm/net/open.h"
#include "vmm/thread.h"
#include "vmm/vfio/open.h"
#include "vmm/virtio/port_open.h"

#define STANDALONE_DRAIN_MS 2000

static const int standalone_signals[] = { SIGTERM, SIGHUP, SIGINT };

struct standalone {
	uv_loop_t loop;
	uv_signal_t signals[ARRAY_SIZE(standalone_signals)];
	const struct log *log;
	const struct sandbox *sandbox; /* borrowed */
	struct machine *machine;
	struct console *console;
	bool asked; /* the power button was pressed */
	int status;
};

/* --- the definition ------------------------------------------------------------------------------ */

static int standalone_lock(const struct vmdef_file *file, int fd, struct err *e)
{
	int ret = vmdef_lock(file, fd, e);
	struct hostfs host;
	char who[96];
	struct stat st;
	pid_t holder;

	if (ret != -ERR_FILE_IN_USE || fstat(fd, &st) < 0 || hostfs_init(&host, "/", NULL) < 0)
		return ret;
	for (unsigned int tries = 0; ret == -ERR_FILE_IN_USE; tries++) {
		if (!imagelock_again(&host, st.st_ino, tries, &holder)) {
			imagelock_name(&host, holder, who, sizeof(who));
			imagelock_blame(e, who);
			break;
		}
		ret = vmdef_lock(file, fd, e);
	}
	hostfs_fini(&host);
	return ret;
}

static int standalone_open_files(struct json_object *config, struct fdset *fds, struct err *e)
{
	/* not on the stack, each page of which is touched: most machines have two */
	AUTO_FREE struct vmdef_file *files = malloc(VMDEF_FILES_MAX * sizeof(*files));
	int n = files ? vmdef_find_firmware(config, "", e) : err_ret(e, -ENOMEM, "files");

	if (n >= 0)
		n = vmdef_files(config, files, e);
	for (int i = 0; i < n; i++) {
		int fd = vmdef_open(&files[i], e), r;

		if (fd < 0)
			return fd;
		r = standalone_lock(&files[i], fd, e);
		if (r < 0) {
			close(fd);
			return r;
		}
		fd = fdset_add(fds, fd);
		if (fd < 0)
			return err_set(e, ERR_INVALID, "more than %d files", FDSET_MAX);
		r = vmdef_set_fd(config, files[i].pointer, (unsigned int)fd);
		if (r < 0)
			return err_ret(e, r, "%s", files[i].pointer);
	}
	return n < 0 ? n : 0;
}

static int standalone_load(const char *path, struct sandbox *sandbox, const struct log *log,
			   struct machine_config *ret_config, struct fdset *fds, struct err *e)
{
	AUTO_JSON struct json_object *config = NULL;
	struct schema_set *set;
	struct vmfile file;
	unsigned int pinning = 0;
	bool passed;
	int r = vmfile_load(path, &file, e);

	if (r < 0)
		return r;
	set = schema_set_new();
	r = vmdef_check_file_in(set, &file, e);
	if (r >= 0)
		r = vmdef_expand_in(set, file.root, NULL, &config, e);
	schema_set_free(set);
	vmfile_fini(&file);
	if (r >= 0 && json_get(config, "display")) {
		log_warn(log, "nobody can look at the screen: 'display' needs vmd");
		json_object_object_del(config, "display");
	}
	if (r >= 0)
		r = standalone_open_files(config, fds, e);
	if (r >= 0)
		r = net_open_devices(config, fds, e);
	if (r >= 0)
		r = port_open_all(config, log, fds, e);
	if (r >= 0)
		r = vfio_open_devices(config, fds, e);
	passed = r > 0;
	if (r >= 0)
		pinning = vmdef_pinning(config);
	if (r >= 0)
		r = config_parse(config, fds, ret_config, e);
	if (r >= 0)
		sandbox->memlock = ret_config->memory.size * (passed + pinning);
	return r;
}

/* --- while it runs --------------------------------------------------------------------------------- */

static void standalone_ended(void *arg, const struct lastwords *w)
{
	struct standalone *s = arg;

	s->status = lastwords_status(w);
	uv_stop(&s->loop);
}

static void standalone_event(void *arg, const char *type, const char *message)
{
	struct standalone *s = arg;

	log_info(s->log, "%s%s%s", type, message ? ": " : "", message ? message : "");
}

static void standalone_thread(void *arg, enum seccomp_table kind)
{
	struct standalone *s = arg;

	sandbox_thread(s->sandbox, kind);
}

static const struct machine_ops standalone_ops = {
	.event = standalone_event,
	.ended = standalone_ended,
	.thread = standalone_thread,
};

static void standalone_escape(void *arg)
{
	struct standalone *s = arg;

	machine_kill(s->machine, "Ctrl-] on the console");
}

static void standalone_signal_cb(uv_signal_t *sig, int signum)
{
	struct standalone *s = sig->data;

	if (s->asked || signum == SIGINT || machine_power_button(s->machine, NULL) < 0) {
		machine_kill(s->machine, strsignal(signum));
		return;
	}
	s->asked = true;
}

static void standalone_watch_signals(struct standalone *s)
{
	for (unsigned int i = 0; i < ARRAY_SIZE(standalone_signals); i++) {
		uv_signal_init(&s->loop, &s->signals[i]);
		s->signals[i].data = s;
		uv_signal_start(&s->signals[i], standalone_signal_cb, standalone_signals[i]);
	}
}

static int standalone_attach(struct standalone *s, const char *id, struct err *e)
{
	s->console = machine_console(s->machine, id);
	if (!s->console && id)
		return err_set(e, ERR_VM_NO_CONSOLE, "the VM has no console '%s'", id);
	if (!s->console)
		return 0;
	return console_attach_stdio(s->console, STDIN_FILENO, STDOUT_FILENO, standalone_escape, s,
				    e);
}

static int standalone_go(struct standalone *s, const struct standalone_options *o, struct err *e)
{
	int r = standalone_attach(s, o->console, e);

	if (r < 0)
		return r;
	standalone_watch_signals(s);
	sandbox_thread(s->sandbox, SECCOMP_CONTROL);
	r = machine_start(s->machine, e);
	if (r < 0)
		return r;
	uv_run(&s->loop, UV_RUN_DEFAULT);
	return 0;
}

/* It could not start: everything back, in order. */
static void standalone_close(struct standalone *s)
{
	for (unsigned int i = 0; i < ARRAY_SIZE(standalone_signals); i++)
		if (s->signals[i].data)
			uv_close((uv_handle_t *)&s->signals[i], NULL);
	if (!machine_close(s->machine))
		_exit(s->status);
	uv_run(&s->loop, UV_RUN_DEFAULT);
	uv_loop_close(&s->loop);
}

/* The output that is still on its way, the terminal's settings, the last words. */
_Noreturn static void standalone_leave(struct standalone *s)
{
	struct lastwords words = *machine_lastwords(s->machine);

	if (s->console)
		console_drain(s->console, STANDALONE_DRAIN_MS);
	machine_leave(s->machine);
	lastwords_write(&words, STDERR_FILENO);
	_exit(s->status);
}

/* --- KVM --------------------------------------------------------------------------------------------- */

/*
 * KVM makes a VM, nothing in it yet, and tells what vCPUs can have, while the definition is read: an eighth of the start.
 * Who needs what did not come asks once more, and says why not.
 */
struct standalone_kvm {
	int fd; /* owned: /dev/kvm; or what err says */
	struct err err;
	int vm_fd;		    /* owned; or negative */
	struct cpu_support support; /* owned; or none */
	pthread_t thread;
	bool has_thread;
};

static void *standalone_kvm_run(void *arg)
{
	struct standalone_kvm *k = arg;
	struct err e;

	k->vm_fd = kvm_new_vm(k->fd, &e);
	(void)cpu_support_get(&k->support, k->fd, -1, &e);
	return NULL;
}

static void standalone_kvm_begin(struct standalone_kvm *k)
{
	*k = (struct standalone_kvm){ .vm_fd = -1 };
	k->fd = kvm_open(&k->err);
	k->has_thread = k->fd >= 0 && !thread_spawn_beside(&k->thread, standalone_kvm_run, k);
}

static void standalone_kvm_end(struct standalone_kvm *k)
{
	if (k->vm_fd >= 0)
		close(k->vm_fd);
	if (k->fd >= 0)
		close(k->fd);
	cpu_support_fini(&k->support);
}

/* What a machine is made of. ret_kvm_fd is owned. */
static int standalone_prepare(const struct standalone_options *o, const struct log *log,
			      struct machine_config *ret_config, struct fdset *fds, int *ret_kvm_fd,
			      struct err *e)
{
	struct standalone_kvm kvm;
	int r;

	standalone_kvm_begin(&kvm);
	r = standalone_load(o->config, o->sandbox, log, ret_config, fds, e);
	if (kvm.has_thread)
		pthread_join(kvm.thread, NULL);
	if (r >= 0 && kvm.fd < 0) {
		*e = kvm.err;
		config_fini(ret_config);
		r = kvm.fd;
	}
	if (r >= 0) {
		*ret_kvm_fd = TAKE_FD(kvm.fd);
		ret_config->vm_fd = kvm.vm_fd < 0 ? -1 : TAKE_FD(kvm.vm_fd);
		ret_config->support = kvm.support;
		kvm.support.cpuid = NULL;
	}
	standalone_kvm_end(&kvm);
	return r;
}

/*
 * The machine, and the cage between its memory and the rest: to make namespaces takes as long as KVM does for much memory,
 * and a thread is at that meanwhile. A user's own namespace is only for a process of one thread.
 */
static int standalone_make(struct standalone *s, const struct standalone_options *o,
			   struct machine_config *take_config, struct fdset *fds, int take_kvm_fd,
			   struct err *e)
{
	bool first = geteuid() != 0;
	int r = first ? sandbox_enter(o->sandbox, s->log, e) : 0;

	if (r < 0) {
		config_fini(take_config);
		close(take_kvm_fd);
		return r;
	}
	r = machine_new(&s->loop, take_config, take_kvm_fd, s->log, &standalone_ops, s, &s->machine,
			e);
	if (r >= 0 && !first)
		r = sandbox_enter(o->sandbox, s->log, e);
	return r < 0 ? r : machine_fit(s->machine, fds, e);
}

int standalone_run(const struct standalone_options *o, const struct log *log, struct err *e)
{
	struct standalone s = { .log = log, .sandbox = o->sandbox };
	struct machine_config config;
	struct fdset fds;
	int r, kvm_fd = -1;

	fdset_init(&fds);
	r = standalone_prepare(o, log, &config, &fds, &kvm_fd, e);
	if (r < 0) {
		fdset_fini(&fds);
		return r;
	}
	uv_loop_init(&s.loop);
	r = standalone_make(&s, o, &config, &fds, kvm_fd, e);
	fdset_fini(&fds);
	if (r >= 0)
		r = standalone_go(&s, o, e);
	if (r >= 0)
		standalone_leave(&s);
	standalone_close(&s);
	return r;
}
