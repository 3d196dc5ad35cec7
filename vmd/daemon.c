// SPDX-License-Identifier: MIT
/*
 * vmd from its start to its end: lock, database, processes of the vmd before, then clients. VMs outlive
 * it: at the end they are let go. On the loop's thread, which is the only one but for libuv's workers.
 */
#include "vmd/daemon.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/auto.h"
#include "lib/errcat.h"
#include "lib/fdio.h"
#include "lib/schema.h"
#include "vmd/cage.h"
#include "vmd/display.h"
#include "vmd/event.h"
#include "vmd/guest.h"
#include "vmd/guest_plug.h"
#include "vmd/host.h"
#include "vmd/hostio.h"
#include "vmd/job.h"
#include "vmd/lease.h"
#include "vmd/nets.h"
#include "vmd/pool.h"
#include "vmd/pci_policy.h"
#include "vmd/nvram.h"
#include "vmd/ports.h"
#include "vmd/scope.h"
#include "vmd/server.h"
#include "vmd/turn.h"
#include "vmd/vmlog.h"

/* FileDescriptorName= of the socket units */
#define DAEMON_LISTENER "vmd"
#define DAEMON_LISTENER_RO "vmd-ro"
#define DAEMON_DRAIN_MS 3000 /* for workers and close callbacks at the end */

static int daemon_make_dir(const char *path, mode_t mode, struct err *e)
{
	if (mkdir(path, mode) < 0 && errno != EEXIST)
		return err_errno(e, "cannot make '%s'", path);
	return 0;
}

/*
 * One vmd a state directory: a lock of this process, which ends with it however it ends. A child that has
 * not come to its exec yet holds none, as it would that of an open file description.
 */
static int daemon_lock(struct daemon *d, struct err *e)
{
	struct flock lock = { .l_type = F_WRLCK, .l_whence = SEEK_SET };
	char path[4096], pid[16] = "";
	ssize_t n;

	snprintf(path, sizeof(path), "%s/vmd.lock", d->options->state_dir);
	d->lock_fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	if (d->lock_fd < 0)
		return err_errno(e, "cannot open '%s'", path);
	if (fcntl(d->lock_fd, F_SETLK, &lock) < 0) {
		n = fdio_pread(d->lock_fd, pid, sizeof(pid) - 1, 0);
		pid[n > 0 ? strspn(pid, "0123456789") : 0] = '\0';
		return err_set(e, ERR_BUSY, "another vmd uses '%s': process %s",
			       d->options->state_dir, pid[0] ? pid : "unknown");
	}
	n = snprintf(pid, sizeof(pid), "%d\n", (int)getpid());
	if (ftruncate(d->lock_fd, 0) < 0 || pwrite(d->lock_fd, pid, (size_t)n, 0) != n)
		return err_errno(e, "cannot write '%s'", path);
	return 0;
}

static void daemon_serve(struct daemon *d)
{
	pools_start(d);
	guest_ops_resume(d);
	guest_plugs_resume(d);
	server_open(d->server);
	log_info(&d->log, "vmd " VERSION " serves on '%s'", d->options->socket);
	if (d->cgroups.why[0])
		log_warn(&d->log, "VMs run without limits: %s", d->cgroups.why);
	notify_ready(&d->notify, &d->loop);
	guests_tell_status(d);
	if (d->ready_fd < 0)
		return;
	fdio_write(d->ready_fd, "r", 1);
	close(TAKE_FD(d->ready_fd));
}

static void daemon_close(struct daemon *d)
{
	if (uv_is_closing((uv_handle_t *)&d->sigterm))
		return;
	notify_stopping(&d->notify);
	uv_close((uv_handle_t *)&d->sigterm, NULL);
	uv_close((uv_handle_t *)&d->sigint, NULL);
	turn_close(d->turn);
	guests_close(d);
	jobs_close(d->jobs);
	scope_bus_close(d->scopes);
	vmlogs_close(d);
	hostio_free(TAKE_PTR(d->hostio));
	leases_close(d->leases);
	pools_close(d->pools);
	nets_close(d->nets);
	ports_close(d->ports);
	nvram_close(d->nvram);
	displays_close(d);
	server_close(d->server);
	event_hub_close(d->events);
}

static void daemon_signal(uv_signal_t *handle, int signum)
{
	struct daemon *d = handle->data;

	log_info(&d->log, "ends: %s", signum == SIGTERM ? "SIGTERM" : "SIGINT");
	daemon_close(d);
}

static int daemon_setup_loop(struct daemon *d, struct err *e)
{
	int ret = uv_loop_init(&d->loop);

	if (ret < 0)
		return err_ret(e, ret, "cannot make the event loop");
	d->sigterm.data = d->sigint.data = d;
	uv_signal_init(&d->loop, &d->sigterm);
	uv_signal_init(&d->loop, &d->sigint);
	ret = uv_signal_start(&d->sigterm, daemon_signal, SIGTERM);
	if (ret >= 0)
		ret = uv_signal_start(&d->sigint, daemon_signal, SIGINT);
	return ret < 0 ? err_ret(e, ret, "cannot watch signals") : 0;
}

static int daemon_setup_cgroups(struct daemon *d, struct err *e)
{
	int ret = cgroups_init(&d->cgroups, d->options->cgroup, e);

	if (ret < 0)
		return err_wrap(e, "--cgroup");
	if (d->cgroups.kind != CGROUP_SCOPE)
		return 0;
	d->scopes = scope_bus_new(&d->loop);
	return d->scopes ? 0 : err_ret(e, -ENOMEM, "cannot start");
}

/* So that the first start has it too; without KVM, or with another one later, a start asks. */
static void daemon_ask_kvm(struct daemon *d)
{
	AUTO_CLOSE int fd = host_kvm_open(&d->hostfs, NULL, NULL);

	if (fd >= 0)
		host_cpuid_refresh(&d->cpuid, fd, NULL);
}

static int daemon_setup_host(struct daemon *d, struct err *e)
{
	const struct daemon_options *o = d->options;
	int ret = hostfs_init(&d->hostfs, o->sysroot, e);

	if (ret >= 0)
		ret = host_boot_id(&d->hostfs, d->boot_id, sizeof(d->boot_id), e);
	if (ret >= 0)
		ret = daemon_make_dir(o->state_dir, 0700, e);
	if (ret >= 0)
		ret = daemon_make_dir(o->run_dir, 0711, e);
	if (ret >= 0)
		daemon_ask_kvm(d);
	return ret;
}

static int daemon_load_policy(struct daemon *d, struct err *e)
{
	const struct daemon_options *o = d->options;
	char path[4096];

	snprintf(path, sizeof(path), "%s/etc/vmd/policy.yaml", d->hostfs.host ? "" : o->sysroot);
	return pci_policy_load(o->policy ? o->policy : path, o->policy != NULL, &d->policy, e);
}

/* The service manager's socket where it has one of that name for us; else our own. */
static int daemon_listen_at(struct daemon *d, const char *name, const char *path, bool read_only,
			    struct err *e)
{
	int fd = activation_take(&d->activation, name), ret;

	if (fd < 0)
		return server_listen(d->server, path, read_only, e);
	ret = server_listen_fd(d->server, fd, read_only, e);
	if (ret >= 0)
		return ret;
	err_wrap(e, "socket '%s' of the service manager", name);
	return err_hint(e, "its unit needs ListenStream=/a/path and Accept=no");
}

/* Beside the other one: vmd.sock and vmd-ro.sock; no two vmds share it, then. */
static void daemon_ro_path(const char *socket, char *out, size_t size)
{
	size_t len = strlen(socket), end = strlen(".sock");
	bool suffix = len > end && !strcmp(socket + len - end, ".sock");

	snprintf(out, size, "%.*s-ro%s", (int)(suffix ? len - end : len), socket,
		 suffix ? ".sock" : "");
}

static int daemon_listen(struct daemon *d, struct err *e)
{
	const struct daemon_options *o = d->options;
	char path[4096];
	int ret = daemon_listen_at(d, DAEMON_LISTENER, o->socket, false, e);

	daemon_ro_path(o->socket, path, sizeof(path));
	if (ret >= 0)
		ret = daemon_listen_at(d, DAEMON_LISTENER_RO, o->ro_socket ? o->ro_socket : path,
				       true, e);
	return ret;
}

static void daemon_in_doubt(void *arg)
{
	guests_save_later(arg);
}

static int daemon_setup_leases(struct daemon *d, struct err *e)
{
	struct hostio_options options = { .loop = &d->loop,
					  .log = &d->log,
					  .program = d->options->hostio,
					  .sysroot = d->options->sysroot,
					  .most_ms = d->options->step_timeout_ms };
	int ret = hostio_new(&options, &d->hostio, e);

	if (ret < 0)
		return ret;
	d->leases = leases_new(d);
	d->pools = pools_new(d);
	d->nets = nets_new(d);
	d->ports = ports_new(d);
	d->nvram = nvram_new(d);
	return d->leases && d->pools && d->nets && d->ports && d->nvram
		       ? 0
		       : err_ret(e, -ENOMEM, "cannot start");
}

static int daemon_setup(struct daemon *d, struct err *e)
{
	int ret = daemon_setup_host(d, e);

	if (ret >= 0)
		ret = daemon_load_policy(d, e);
	if (ret >= 0)
		ret = daemon_lock(d, e);
	if (ret >= 0)
		ret = cage_claim_uids(d, e);
	if (ret >= 0)
		ret = daemon_setup_cgroups(d, e);
	if (ret >= 0)
		ret = state_open(d->options->state_dir, &d->state, e);
	if (ret < 0)
		return ret;
	cage_init(d);
	d->events = event_hub_new(&d->loop, d->state, &d->log);
	d->jobs = jobs_new(d);
	d->guests = guests_new(d);
	d->logs = vmlogs_new(d);
	d->schemas = schema_set_new();
	if (!d->events || !d->jobs || !d->guests || !d->logs)
		return err_ret(e, -ENOMEM, "cannot start");
	state_on_doubt(d->state, daemon_in_doubt, d);
	ret = turn_new(d, &d->turn, e);
	if (ret >= 0)
		ret = daemon_setup_leases(d, e);
	if (ret >= 0)
		ret = server_new(d, &d->server, e);
	return ret < 0 ? ret : daemon_listen(d, e);
}

static void daemon_give_up(uv_timer_t *timer)
{
	uv_stop(timer->loop);
}

/* Let the close callbacks run, and workers end; a worker that hangs in an open(2) is not waited for. */
static bool daemon_drain(struct daemon *d)
{
	uv_timer_t limit;

	uv_timer_init(&d->loop, &limit);
	uv_timer_start(&limit, daemon_give_up, DAEMON_DRAIN_MS, 0);
	uv_unref((uv_handle_t *)&limit);
	uv_run(&d->loop, UV_RUN_DEFAULT);
	uv_close((uv_handle_t *)&limit, NULL);
	uv_run(&d->loop, UV_RUN_NOWAIT);
	return uv_loop_close(&d->loop) == 0;
}

static void daemon_fini(struct daemon *d)
{
	bool clean = true;

	if (d->loop.data) {
		daemon_close(d);
		clean = daemon_drain(d);
	}
	if (clean) {
		server_free(d->server);
		guests_free(d->guests);
		jobs_free(d->jobs);
		leases_free(d->leases);
		pools_free(d->pools);
		nets_free(d->nets);
		ports_free(d->ports);
		nvram_free(d->nvram);
		vmlogs_free(d->logs);
		scope_bus_free(d->scopes);
		event_hub_free(d->events);
		turn_free(d->turn);
	}
	cage_fini(d);
	schema_set_free(d->schemas);
	pci_policy_free(d->policy);
	state_close(d->state);
	host_cpuid_fini(&d->cpuid);
	hostfs_fini(&d->hostfs);
	activation_fini(&d->activation);
	notify_fini(&d->notify);
	if (d->lock_fd >= 0)
		close(d->lock_fd);
	if (d->ready_fd >= 0)
		close(d->ready_fd);
	if (!clean)
		_exit(0); /* a worker still holds what it works on */
}

/* What the service manager has handed over and nobody has taken: of a VM that is gone, or of a newer vmd. */
static void daemon_drop_handed(struct daemon *d)
{
	for (size_t i = 0; i < d->activation.n; i++) {
		const struct activation_item *item = &d->activation.items[i];

		if (item->fd < 0)
			continue;
		log_info(&d->log, "no use for the service manager's descriptor '%s'", item->name);
		notify_forget(&d->notify, item->name);
	}
	activation_fini(&d->activation);
}

int daemon_run(const struct daemon_options *options, int log_fd, int take_ready_fd, struct err *e)
{
	struct daemon d = { .options = options,
			    .hostfs = { .root = -1 },
			    .cpuid = { .fd = -1 },
			    .lock_fd = -1,
			    .uid_lock_fd = -1,
			    .ns = { -1, -1, -1, -1 },
			    .ready_fd = take_ready_fd,
			    .started_ms = state_now_ms() };
	int ret;

	log_init(&d.log, log_fd, options->log_level, "vmd");
	notify_init(&d.notify, &d.log);
	ret = activation_init(&d.activation, e);
	if (ret >= 0)
		ret = daemon_setup_loop(&d, e);
	if (ret >= 0)
		d.loop.data = &d;
	if (ret >= 0)
		ret = daemon_setup(&d, e);
	if (ret >= 0) {
		guests_adopt(&d, daemon_serve);
		daemon_drop_handed(&d);
		uv_run(&d.loop, UV_RUN_DEFAULT);
	}
	daemon_fini(&d);
	return ret;
}
