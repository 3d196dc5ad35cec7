// SPDX-License-Identifier: MIT
/*
 * The files of a log: see logfile.h. They are opened for each job, so that a log that nothing is written
 * to costs no descriptor. On a worker.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/auto.h"
#include "lib/fdio.h"
#include "state/state.h"
#include "vmd/logfile_priv.h"

static void logfile_older(const struct logfile_job *job, char *out, size_t size)
{
	snprintf(out, size, "%s.1", job->path);
}

static int logfile_open_fd(struct logfile_job *job)
{
	const int flags = O_RDWR | O_APPEND | O_CREAT | O_CLOEXEC | O_NOFOLLOW;
	int fd = open(job->path, flags, 0600);
	char dir[sizeof(job->path)];

	if (fd < 0 && errno == ENOENT) {
		memcpy(dir, job->path, sizeof(dir)); /* the loop's thread reads the path, too */
		*strrchr(dir, '/') = '\0';
		mkdir(dir, 0700);
		fd = open(job->path, flags, 0600);
	}
	return fd < 0 ? err_errno(&job->err, "cannot open '%s'", job->path) : fd;
}

/* All records, from the older segment on: what is behind the last one is where it goes on. */
static int logfile_recover(struct logfile_job *job)
{
	AUTO_FREE struct logread *r = malloc(sizeof(*r));
	const struct logread_segment *first;
	struct logrec rec;
	int ret;

	if (!r)
		return err_ret(&job->err, -ENOMEM, "cannot read '%s'", job->path);
	ret = logread_open(r, job->path, &job->err);
	first = &r->segments[r->at];
	job->run = (struct logfile_run){ .name = "-" };
	if (ret >= 0 && first->fd >= 0) {
		memcpy(job->run.name, first->run, sizeof(job->run.name));
		job->run.pos = first->run_pos;
		job->run.next_offset = first->next_offset;
	}
	job->end = r->pos;
	while (ret >= 0 && (ret = logread_next(r, &rec)) > 0) {
		job->run.next_offset = logrec_next_offset(&rec);
		if (rec.kind == LOGREC_BEGIN) {
			snprintf(job->run.name, sizeof(job->run.name), "%.*s", (int)rec.len,
				 rec.data);
			job->run.pos = job->end;
		}
		job->end = r->pos;
	}
	logread_fini(r);
	return ret;
}

/* Take away what is behind the last whole record; a segment without its first record is none. */
static int logfile_cut(struct logfile_job *job)
{
	AUTO_CLOSE int fd = open(job->path, O_RDWR | O_CLOEXEC | O_NOFOLLOW);
	char text[256];
	struct logrec rec;
	ssize_t n, head;
	off_t keep = 0;
	struct stat st;

	if (fd < 0 && errno == ENOENT)
		return 0;
	if (fd < 0)
		return err_errno(&job->err, "cannot open '%s'", job->path);
	n = fdio_pread(fd, text, sizeof(text), 0);
	head = n > 0 ? logrec_parse(text, (size_t)n, &rec) : 0;
	if (head > 0 && rec.kind == LOGREC_SEGMENT && rec.offset <= job->end)
		keep = (off_t)(job->end - rec.offset) + head;
	if (fstat(fd, &st) < 0)
		return err_errno(&job->err, "cannot read '%s'", job->path);
	if (st.st_size > keep && ftruncate(fd, keep) < 0)
		return err_errno(&job->err, "cannot cut '%s'", job->path);
	return 0;
}

static int logfile_write_head(struct logfile_job *job, int fd)
{
	const struct logfile_block *b = job->block;
	char data[128], text[LOGREC_MAX];
	struct logrec rec = {
		.time_ms = state_now_ms(), .kind = LOGREC_SEGMENT, .offset = b->pos, .data = data
	};
	ssize_t n;

	rec.len = (size_t)snprintf(data, sizeof(data), "%s %" PRIu64 " %" PRIu64,
				   b->run.name[0] ? b->run.name : "-", b->run.pos,
				   b->run.next_offset);
	n = fdio_write(fd, text, logrec_format(&rec, text));
	return n < 0 ? (int)n : 0;
}

/* All of it or nothing: a file that ends in the middle of a record is cut back. */
static int logfile_append(struct logfile_job *job)
{
	AUTO_CLOSE int fd = logfile_open_fd(job);
	const struct logfile_block *b = job->block;
	char older[4100];
	struct stat st;
	ssize_t n = 0;

	if (fd < 0)
		return fd;
	if (fstat(fd, &st) < 0)
		return err_errno(&job->err, "cannot read '%s'", job->path);
	if (st.st_size && (size_t)st.st_size + b->len > job->size / 2) {
		logfile_older(job, older, sizeof(older));
		if (rename(job->path, older) < 0)
			return err_errno(&job->err, "cannot rename '%s'", job->path);
		close(TAKE_FD(fd));
		fd = logfile_open_fd(job);
		if (fd < 0)
			return fd;
		st.st_size = 0;
	}
	if (!st.st_size)
		n = logfile_write_head(job, fd);
	if (n >= 0)
		n = fdio_write(fd, b->data, b->len);
	if (n >= 0)
		return 0;
	if (ftruncate(fd, st.st_size) < 0)
		return err_errno(&job->err, "cannot cut '%s'", job->path);
	return err_ret(&job->err, (int)n, "cannot write '%s'", job->path);
}

static void logfile_remove(struct logfile_job *job)
{
	char older[4100];

	logfile_older(job, older, sizeof(older));
	unlink(job->path);
	unlink(older);
}

void logfile_job_run(struct logfile_job *job)
{
	job->ret = 0;
	switch (job->kind) {
	case LOGFILE_OPEN:
		job->ret = logfile_recover(job);
		if (job->ret >= 0)
			job->ret = logfile_cut(job);
		return;
	case LOGFILE_APPEND:
		job->ret = logfile_append(job);
		return;
	case LOGFILE_REMOVE:
		logfile_remove(job);
		return;
	}
}
