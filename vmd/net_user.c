// SPDX-License-Identifier: MIT
/*
 * See net_user.h. passt goes into the background once all is well, which ends the process that was made here and closes
 * its standard error: no later than then it is known how it went. On a worker; no state.
 */
#include "vmd/net_user.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "lib/auto.h"
#include "lib/errcat.h"
#include "lib/netdef.h"

#define NET_USER_MS 10000  /* for passt to go into the background */
#define NET_USER_SAID 4096 /* bytes of what it says that are kept */
#define NET_USER_NOBODY 65534
#define NET_USER_ARGS 160     /* two for each of 64 forwards, and the others */
#define NET_USER_FD 3	      /* of its end */
#define NET_USER_BIND_MS 1500 /* for the ports of a VM that has just ended to become free */
#define NET_USER_PAUSE_MS 20

struct net_user_argv {
	const char *args[NET_USER_ARGS]; /* the last is NULL */
	size_t n;
	char mtu[16], specs[64][INET6_ADDRSTRLEN + 16];
	size_t nspecs;
};

/* "127.0.0.1/8080:80" */
static void net_user_add_forward(struct net_user_argv *a, const struct netdef_forward *f)
{
	char *spec = a->specs[a->nspecs++];

	snprintf(spec, sizeof(a->specs[0]), "%s%s%u:%u", f->address, f->address[0] ? "/" : "",
		 f->port, f->guest_port);
	a->args[a->n++] = f->udp ? "-u" : "-t";
	a->args[a->n++] = spec;
}

static void net_user_argv(const struct net_user *u, struct net_user_argv *a)
{
	/* no-map-gw: else the gateway's address would lead to what listens on the host's loopback */
	static const char *const first[] = { "passt", "--quiet", "--fd", "3", "--no-map-gw" };
	size_t n = u->forwards ? json_object_array_length(u->forwards) : 0;
	struct netdef_forward f;

	memset(a, 0, sizeof(*a));
	for (size_t i = 0; i < ARRAY_SIZE(first); i++)
		a->args[a->n++] = first[i];
	if (u->mtu) {
		snprintf(a->mtu, sizeof(a->mtu), "%u", u->mtu);
		a->args[a->n++] = "--mtu";
		a->args[a->n++] = a->mtu;
	}
	for (size_t i = 0; i < MIN(n, ARRAY_SIZE(a->specs)); i++)
		if (netdef_forward_parse(
			    json_object_get_string(json_object_array_get_idx(u->forwards, i)),
			    &f) >= 0)
			net_user_add_forward(a, &f);
}

/* --- the child: async-signal-safe (signal-safety(7)) --------------------------------------------------- */

_Noreturn static void net_user_fail(const char *what)
{
	const char *why = strerrorname_np(errno);

	if (write(STDERR_FILENO, what, strlen(what)) > 0 && why &&
	    write(STDERR_FILENO, why, strlen(why)) > 0)
		_exit(126);
	_exit(126);
}

_Noreturn static void net_user_child(const struct net_user_argv *a, int null, int end, int said,
				     int procs)
{
	sigset_t none;
	bool root = geteuid() == 0;

	if (procs >= 0 && write(procs, "0", 1) != 1)
		net_user_fail("its control group: ");
	/* all above 3 first, so that no dup2 hits a source of another */
	null = fcntl(null, F_DUPFD, 10);
	end = fcntl(end, F_DUPFD, 10);
	said = fcntl(said, F_DUPFD, 10);
	if (dup2(null, 0) < 0 || dup2(null, 1) < 0 || dup2(said, 2) < 0 ||
	    dup2(end, NET_USER_FD) < 0)
		_exit(126);
	syscall(SYS_close_range, NET_USER_FD + 1, ~0u, 0);
	for (int sig = 1; sig < NSIG; sig++)
		signal(sig, SIG_DFL);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	setsid();
	if (chdir("/") < 0 ||
	    (root && (setgroups(0, NULL) < 0 ||
		      setresgid(NET_USER_NOBODY, NET_USER_NOBODY, NET_USER_NOBODY) < 0 ||
		      setresuid(NET_USER_NOBODY, NET_USER_NOBODY, NET_USER_NOBODY) < 0)))
		net_user_fail("its rights: ");
	execvp(a->args[0], (char *const *)a->args);
	if (errno == ENOENT)
		_exit(127);
	net_user_fail("passt: ");
}

/* --- how it went ------------------------------------------------------------------------------------- */

static int64_t net_user_now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

/* What it says until it closes it; false when that takes too long. */
static bool net_user_listen(int said, char out[static NET_USER_SAID])
{
	int64_t until = net_user_now_ms() + NET_USER_MS, left;
	struct pollfd p = { .fd = said, .events = POLLIN };
	char rest[512];
	size_t len = 0;
	ssize_t n = 1;

	while (n > 0 && (left = until - net_user_now_ms()) > 0) {
		if (poll(&p, 1, (int)left) <= 0)
			continue;
		if (len < NET_USER_SAID - 1)
			n = read(said, out + len, NET_USER_SAID - 1 - len);
		else
			n = read(said, rest, sizeof(rest)); /* it is heard out, and that is all */
		if (n > 0 && len < NET_USER_SAID - 1)
			len += (size_t)n;
	}
	out[len] = '\0';
	return n <= 0;
}

/* Its last line that is of use: without a system log each line is followed by a complaint about that. */
static const char *net_user_last_line(char *said)
{
	const char *last = "";

	for (char *line = strtok_r(said, "\n", &said); line; line = strtok_r(NULL, "\n", &said))
		if (strncmp(line, "Failed to send", strlen("Failed to send")) != 0)
			last = line;
	return last;
}

static int net_user_failed(int status, char *said, struct err *e)
{
	const char *line = net_user_last_line(said);

	if (WIFEXITED(status) && WEXITSTATUS(status) == 127) {
		err_set(e, ERR_NET_USER,
			"network: user needs the program passt, which is not there");
		return err_hint(e, "apt-get install passt");
	}
	err_set(e, ERR_NET_USER, "passt did not start: %.300s",
		line[0] ? line : "it has ended without a word");
	if (strstr(line, "External interface"))
		return err_hint(e,
				"it takes the guest's address from the host's default route, and "
				"there is none: ip route");
	if (strstr(line, "Failed to bind"))
		return err_hint(e, "the port is in use (ss -lntup), or below 1024: sysctl "
				   "net.ipv4.ip_unprivileged_port_start");
	return err_hint(e, "vmd-network(7), RIGHTS");
}

static int net_user_wait(pid_t pid, int said, struct err *e)
{
	char text[NET_USER_SAID];
	bool ended = net_user_listen(said, text);
	int status = 0;

	if (!ended)
		kill(pid, SIGKILL);
	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	if (!ended)
		return err_set(e, ERR_NET_USER, "passt did not come up within %d s",
			       NET_USER_MS / 1000);
	return status ? net_user_failed(status, text, e) : 0;
}

static int net_user_try(const struct net_user *u, struct err *e)
{
	AUTO_CLOSE int null = open("/dev/null", O_RDWR | O_CLOEXEC), procs = -1;
	AUTO_CLOSE int end = -1, ours = -1, said = -1, tells = -1;
	struct net_user_argv argv;
	int pair[2], tell[2], ret;
	pid_t pid;

	net_user_argv(u, &argv);
	if (u->cgroup >= 0)
		procs = openat(u->cgroup, "cgroup.procs", O_WRONLY | O_CLOEXEC);
	if (null < 0 || (u->cgroup >= 0 && procs < 0))
		return err_errno(e, "passt");
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0)
		return err_errno(e, "passt");
	ours = pair[0];
	end = pair[1];
	if (pipe2(tell, O_CLOEXEC) < 0)
		return err_errno(e, "passt");
	said = tell[0];
	tells = tell[1];
	pid = fork();
	if (pid < 0)
		return err_errno(e, "cannot make a process for passt");
	if (!pid)
		net_user_child(&argv, null, end, tells, procs);
	close(TAKE_FD(end)); /* passt's alone: its end is to be seen */
	close(TAKE_FD(tells));
	ret = net_user_wait(pid, said, e);
	return ret < 0 ? ret : TAKE_FD(ours);
}

/* The passt of the same VM's last process may just be ending: there is no other sign of that than its ports. */
int net_user_start(const struct net_user *u, struct err *e)
{
	const struct timespec pause = { .tv_nsec = NET_USER_PAUSE_MS * 1000000L };
	int64_t until = net_user_now_ms() + NET_USER_BIND_MS;
	struct err why = { 0 };
	int ret;

	for (;;) {
		ret = net_user_try(u, &why);
		if (ret >= 0 || !strstr(why.msg, "Failed to bind") || net_user_now_ms() > until)
			break;
		nanosleep(&pause, NULL);
	}
	if (ret < 0 && e)
		*e = why;
	return ret;
}
