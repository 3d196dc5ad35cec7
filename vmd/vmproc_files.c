// SPDX-License-Identifier: MIT
/*
 * What a vmm leaves behind: its last words, its log. Both are written by a process that is not trusted:
 * sizes, types and characters are checked, links are not followed. On the loop's thread; small files of
 * our own run directory.
 */
#include <ctype.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/auto.h"
#include "vmd/gather.h"
#include "vmd/vmproc_priv.h"

#define VMPROC_TAIL 400

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

static bool vmproc_known_reason(const char *reason)
{
	static const char *const known[] = { "shutdown",   "reset",  "triple-fault",
					     "guest-exit", "killed", "fault" };

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

void vmproc_log_tail(const char *dir, char *out, size_t size)
{
	AUTO_CLOSE int fd = vmproc_file(dir, "vmm.log", O_RDONLY);
	char text[VMPROC_TAIL + 1];
	struct stat st;
	ssize_t n;
	char *from = text;

	*out = '\0';
	if (fd < 0 || fstat(fd, &st) < 0)
		return;
	n = fdio_pread(fd, text, VMPROC_TAIL, MAX(st.st_size - VMPROC_TAIL, 0));
	while (n > 0 && isspace((unsigned char)text[n - 1]))
		n--;
	if (n <= 0)
		return;
	text[n] = '\0';
	if (st.st_size > VMPROC_TAIL && strchr(text, '\n'))
		from = strchr(text, '\n') + 1; /* begin with a whole line */
	for (char *p = from; *p; p++)
		if (*p == '\n')
			*p = '|';
	vmproc_printable(from);
	/* it ends up in JSON: what is no ASCII may be cut UTF-8 */
	for (char *p = from; *p; p++)
		if ((unsigned char)*p > 0x7e)
			*p = '?';
	snprintf(out, size, "%s", from);
}

void vmproc_trim_log(const char *dir)
{
	AUTO_CLOSE int fd = vmproc_file(dir, "vmm.log", O_RDWR);
	static const char note[] = "(vmd cut this log)\n";
	char text[65536];
	struct stat st;
	ssize_t n;

	if (fd < 0 || fstat(fd, &st) < 0 || st.st_size <= VMPROC_LOG_MAX)
		return;
	n = fdio_pread(fd, text, sizeof(text), st.st_size - (off_t)sizeof(text));
	/* vmm appends: it goes on at the new end */
	if (ftruncate(fd, 0) < 0 || fdio_write(fd, note, sizeof(note) - 1) < 0 || n <= 0)
		return;
	if (fdio_write(fd, text, (size_t)n) < 0 && ftruncate(fd, 0) < 0)
		return;
}

void vmproc_clean(const char *dir, bool everything)
{
	static const char *const names[] = { "control.sock", GATHER_RECORD, "vmm.log" };
	char path[512];

	for (size_t i = 0; i < ARRAY_SIZE(names) - !everything; i++) {
		snprintf(path, sizeof(path), "%s/%s", dir, names[i]);
		unlink(path);
	}
	rmdir(dir); /* unless a log stays */
}
