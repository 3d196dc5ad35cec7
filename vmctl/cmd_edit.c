// SPDX-License-Identifier: MIT
/*
 * vmctl edit: a VM's definition in the user's editor. What is applied is for the revision that was edited; a
 * file that could not be applied is kept.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

#include "lib/auto.h"
#include "lib/errcat.h"
#include "lib/vmdef.h"
#include "vmctl/files.h"

struct edit {
	struct client_reply exported;
	const char *name; /* borrowed from exported */
	int64_t revision;
	char path[4096];	/* "" while there is no file */
	struct files_item item; /* what was made of it */
};

static int edit_file_error(struct err *e, const char *what, const char *path)
{
	return err_set(e, ERR_FILE, "cannot %s '%s': %s", what, path, strerror(errno));
}

/* A file of the user's own, with the definition behind some lines of explanation. */
static int edit_write(struct edit *x, struct err *e)
{
	struct json_object *definition = json_get(x->exported.result, "definition");
	const char *dir = getenv("TMPDIR");
	char path[sizeof(x->path)];
	FILE *f = NULL;
	int ret = 0, fd;

	snprintf(path, sizeof(path), "%s/vmctl-%.64s-XXXXXX.yaml", dir && dir[0] ? dir : "/tmp",
		 x->name);
	fd = mkostemps(path, (int)strlen(".yaml"), O_CLOEXEC);
	if (fd >= 0)
		f = fdopen(fd, "w");
	if (!f)
		return edit_file_error(e, "make", path);
	memcpy(x->path, path, sizeof(path));
	fprintf(f,
		"# VM '%s', revision %" PRId64 ". It is applied when the editor ends.\n"
		"# To change nothing, leave it as it is. vm.yaml(5) has all keys.\n",
		x->name, x->revision);
	ret = vmfile_write(f, &definition, 1, e);
	if (fclose(f) && ret >= 0)
		ret = edit_file_error(e, "write", path);
	return ret;
}

/* The shell takes $EDITOR apart, which may have arguments; the path is no part of its text. */
static void edit_exec(const char *editor, const char *path)
{
	char *command;

	if (asprintf(&command, "%s \"$1\"", editor) >= 0)
		execl("/bin/sh", "sh", "-c", command, "sh", path, (char *)NULL);
	_exit(127);
}

/* Ctrl-C is the editor's while it runs, as with system(3). */
static int edit_run(const char *path, struct err *e)
{
	const char *visual = getenv("VISUAL"), *editor = getenv("EDITOR");
	struct sigaction ignore = { .sa_handler = SIG_IGN }, interrupt, quit;
	int status = 0;
	pid_t pid;

	editor = visual && visual[0] ? visual : editor && editor[0] ? editor : "vi";
	sigaction(SIGINT, &ignore, &interrupt);
	sigaction(SIGQUIT, &ignore, &quit);
	pid = fork();
	if (!pid) {
		sigaction(SIGINT, &interrupt, NULL);
		sigaction(SIGQUIT, &quit, NULL);
		edit_exec(editor, path);
	}
	while (pid > 0 && waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	sigaction(SIGINT, &interrupt, NULL);
	sigaction(SIGQUIT, &quit, NULL);
	if (pid < 0)
		return err_errno(e, "cannot run the editor '%.100s'", editor);
	if (WIFEXITED(status) && !WEXITSTATUS(status))
		return 0;
	err_set(e, ERR_FAILED, "the editor '%.100s' failed: %s %d", editor,
		WIFSIGNALED(status) ? "signal" : "exit status",
		WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status));
	return err_hint(e, "set EDITOR to the editor that you want");
}

/* Relative paths start where the user is, not where the file happens to be. */
static int edit_read(struct edit *x, struct err *e)
{
	AUTO_FREE char *cwd = getcwd(NULL, 0);
	struct vmfile *file = &x->item.file;
	int ret = vmfile_load(x->path, file, e);

	if (ret < 0)
		return ret;
	x->item.loaded = true;
	snprintf(file->dir, sizeof(file->dir), "%s", cwd ? cwd : "");
	ret = vmdef_check_file(file, e);
	if (ret < 0)
		return ret;
	if (strcmp(json_get_str(file->root, "name", ""), x->name)) {
		err_set(e, ERR_INVALID, "the name was changed from '%s' to '%s'", x->name,
			json_get_str(file->root, "name", ""));
		return err_hint(e, "make another VM of it: vmctl apply -f %s", x->path);
	}
	return 0;
}

static int edit_apply(struct vmctl *v, struct edit *x)
{
	struct json_object *params = json_add_int(json_new(), "if_revision", x->revision);
	int status = vmctl_connect(v);

	if (status != EXIT_OK) {
		json_object_put(params);
		return status;
	}
	if (args_flag(&v->args, "dry-run"))
		json_add_bool(params, "dry_run", true);
	files_call(v, &x->item, "vm.apply", params);
	if (x->item.status != EXIT_OK)
		return vmctl_fail(v, &x->item.e, &x->item.reply, "apply '%s'", x->name);
	if (v->out.format == OUTPUT_JSON)
		output_json(&v->out, "edit", x->item.reply.result);
	else
		files_print_applied(v, &x->item);
	return EXIT_OK;
}

static int edit_edit(struct vmctl *v, struct edit *x)
{
	struct err e;
	int ret = edit_write(x, &e);

	if (ret >= 0)
		ret = edit_run(x->path, &e);
	if (ret >= 0)
		ret = edit_read(x, &e);
	return ret < 0 ? vmctl_fail(v, &e, NULL, "edit '%s'", x->name) : edit_apply(v, x);
}

int cmd_edit(struct vmctl *v)
{
	struct json_object *params = json_add_str(json_new(), "vm", v->args.operands[0]);
	struct edit x = { 0 };
	char op[100];
	int status;

	snprintf(op, sizeof(op), "edit '%.80s'", v->args.operands[0]);
	status = vmctl_call(v, "vm.export", params, &x.exported, op);
	if (status == EXIT_OK) {
		/* an editor may be open for days: no connection meanwhile */
		client_close(&v->client);
		v->connected = false;
		x.name = json_get_str(x.exported.result, "name", "?");
		x.revision = json_get_int(x.exported.result, "revision", 0);
		status = edit_edit(v, &x);
		if (status == EXIT_OK)
			unlink(x.path);
		else if (x.path[0] && !access(x.path, F_OK))
			output_note(&v->out, "vmctl: the file is kept: %s", x.path);
	}
	if (x.item.loaded)
		vmfile_fini(&x.item.file);
	client_reply_fini(&x.item.reply);
	client_reply_fini(&x.exported);
	return status;
}
