// SPDX-License-Identifier: MIT
/*
 * vmd, the daemon. Without --foreground it goes to the background: the command ends once vmd serves, with
 * 0, or with 1 and the reason on standard error when it cannot; the log is in the state directory then.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/auto.h"
#include "lib/errcat.h"
#include "lib/pooldef.h"
#include "vmd/options.h"

static int main_fail(const struct err *e, int status)
{
	const char *at = e->cause;
	char cause[sizeof(e->cause)];

	fprintf(stderr, "vmd: %s\n", e->msg);
	while (err_next_cause(&at, cause, sizeof(cause)))
		fprintf(stderr, "cause: %s\n", cause);
	if (e->hint[0])
		fprintf(stderr, "hint: %s\n", e->hint);
	if (e->code >= ERR_FAILED)
		fprintf(stderr, "code: E%d (%s)\n", e->code, errcat_find(e->code)->name);
	return status;
}

static int main_check(const char *path)
{
	struct vmfile file = { 0 };
	struct schema_set *set = schema_set_new();
	struct err e = { 0 };
	int ret = vmfile_load(path, &file, &e);

	if (ret >= 0)
		ret = pooldef_check_file(set, &file, &e);
	if (ret >= 0)
		printf("%s: valid (%s '%s')\n", file.name, pooldef_is(file.root) ? "pool" : "VM",
		       json_get_str(file.root, "name", ""));
	vmfile_fini(&file);
	schema_set_free(set);
	return ret < 0 ? main_fail(&e, (int)errcat_find(e.code)->exit) : EXIT_OK;
}

static int main_open_log(const struct options *o, struct err *e)
{
	char path[4096];
	int fd;

	if (mkdir(o->daemon.state_dir, 0700) < 0 && errno != EEXIST)
		return err_errno(e, "cannot make '%s'", o->daemon.state_dir);
	snprintf(path, sizeof(path), "%s/vmd.log", o->daemon.state_dir);
	fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
	return fd < 0 ? err_errno(e, "cannot open '%s'", path) : fd;
}

/* The child: standard error stays the caller's until vmd serves or has failed. */
static int main_child(const struct options *o, int take_ready_fd)
{
	AUTO_CLOSE int log_fd = -1;
	AUTO_CLOSE int null = open("/dev/null", O_RDWR | O_CLOEXEC);
	AUTO_CLOSE int ready = take_ready_fd;
	struct err e = { 0 };

	setsid();
	if (null < 0 || dup2(null, STDIN_FILENO) < 0 || dup2(null, STDOUT_FILENO) < 0)
		return EXIT_FAILED;
	log_fd = main_open_log(o, &e);
	if (log_fd < 0)
		return main_fail(&e, EXIT_FAILED);
	if (daemon_run(&o->daemon, log_fd, TAKE_FD(ready), &e) < 0)
		return main_fail(&e, EXIT_FAILED);
	return EXIT_OK;
}

static int main_background(const struct options *o)
{
	int ready[2], status;
	char byte;
	pid_t pid;

	if (pipe2(ready, O_CLOEXEC) < 0 || (pid = fork()) < 0) {
		perror("vmd");
		return EXIT_FAILED;
	}
	if (!pid) {
		close(ready[0]);
		return main_child(o, ready[1]);
	}
	close(ready[1]);
	if (read(ready[0], &byte, 1) == 1)
		return EXIT_OK;
	waitpid(pid, &status, 0);
	return WIFEXITED(status) ? WEXITSTATUS(status) : EXIT_FAILED;
}

int main(int argc, char **argv)
{
	struct options o;
	struct err e;

	signal(SIGPIPE, SIG_IGN);
	if (options_parse(&o, argc, argv, &e) < 0) {
		err_hint(&e, "vmd --help");
		return main_fail(&e, EXIT_USAGE);
	}
	if (o.help)
		options_help();
	else if (o.version)
		printf("vmd " VERSION "\n");
	else if (o.check)
		return main_check(o.check);
	else if (!o.foreground)
		return main_background(&o);
	else if (daemon_run(&o.daemon, STDERR_FILENO, -1, &e) < 0)
		return main_fail(&e, EXIT_FAILED);
	return EXIT_OK;
}
