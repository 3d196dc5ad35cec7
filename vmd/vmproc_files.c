// SPDX-License-Identifier: MIT
/*
 * What a vmm leaves behind, and says meanwhile: its last words, its log. Both are written by a process that is not trusted:
 * sizes, types and characters are checked, links are not followed. On the loop's thread; small files of
 * our own run directory.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/auto.h"
#include "vmd/gather.h"
#include "vmd/vmproc_priv.h"

static int vmproc_file(const char *dir, const char *name, int flags)
{
	char path[512];

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	return open(path, flags | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
}

void vmproc_printable(char *text)
{
	for (; *text; text++)
		if ((unsigned char)*text < ' ' || *text == 0x7f)
			*text = ' ';
}

bool vmproc_known_reason(const char *reason)
{
	static const char *const known[] = { "shutdown", "reset",      "triple-fault", "watchdog",
					     "panic",	 "guest-exit", "killed",       "fault" };

	for (size_t i = 0; i < ARRAY_SIZE(known); i++)
		if (!strcmp(reason, known[i]))
			return true;
	return false;
}

void vmproc_last_words(const char *dir, struct state_exit *ret_exit)
{
	AUTO_CLOSE int fd = vmproc_file(dir, GATHER_RECORD, O_RDONLY);
	AUTO_JSON struct json_object *o = NULL;
	char text[VMPROC_RECORD_MAX];
	ssize_t n = fd < 0 ? -1 : fdio_read(fd, text, sizeof(text));
	const char *reason;

	*ret_exit = (struct state_exit){ .reason = "lost",
					 .message = "vmm ended and left no last words",
					 .time_ms = state_now_ms() };
	if (n <= 0 || json_parse(text, (size_t)n, &o, NULL) < 0)
		return;
	reason = json_get_str(o, "reason", "");
	if (!vmproc_known_reason(reason))
		return;
	snprintf(ret_exit->reason, sizeof(ret_exit->reason), "%s", reason);
	ret_exit->code = json_get_int(o, "code", 0);
	snprintf(ret_exit->message, sizeof(ret_exit->message), "%s",
		 json_get_str(o, "message", ""));
	vmproc_printable(ret_exit->message);
}

int vmproc_open_log(const char *dir, struct err *e)
{
	AUTO_CLOSE int fd = vmproc_file(dir, VMPROC_FIFO, O_RDONLY);
	struct stat st;

	if (fd < 0 || fstat(fd, &st) < 0)
		return err_errno(e, "cannot open '%s/" VMPROC_FIFO "'", dir);
	if (!S_ISFIFO(st.st_mode))
		return err_set(e, EINVAL, "'%s/" VMPROC_FIFO "' is no FIFO", dir);
	return TAKE_FD(fd);
}

int vmproc_take_log(struct vmproc *p, struct err *e)
{
	return p->log >= 0 ? TAKE_FD(p->log) : vmproc_open_log(p->options.dir, e);
}

void vmproc_clean(const char *dir)
{
	static const char *const names[] = { "control.sock", GATHER_RECORD, GATHER_TAIL,
					     VMPROC_FIFO };
	char path[512];

	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		snprintf(path, sizeof(path), "%s/%s", dir, names[i]);
		unlink(path);
	}
	rmdir(dir);
}
