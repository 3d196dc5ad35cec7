// SPDX-License-Identifier: MIT
/*
 * Makes the filters of vmm's seccomp tables, at build time: to compile them anew in each vmm costs more than
 * the rest of its cage. Usage: seccomp_gen DIR; writes a file for each table, DIR/control and so on: an array of
 * struct sock_filter (seccomp(2)). What is not in a table is SECCOMP_RET_KILL_PROCESS, which vmm/seccomp.c
 * replaces for the other modes.
 */
#include <errno.h>
#include <fcntl.h>
#include <seccomp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lib/util.h"
#include "vmm/seccomp_calls.h"

static int bpf_number(const char *name)
{
	int nr = seccomp_syscall_resolve_name(name);

	if (nr == __NR_SCMP_ERROR)
		fprintf(stderr, "seccomp_gen: no system call '%s'\n", name);
	return nr;
}

static int bpf_add_call(scmp_filter_ctx ctx, const struct seccomp_call *c)
{
	int nr = bpf_number(c->name);

	if (nr == __NR_SCMP_ERROR)
		return -EINVAL;
	switch (c->match) {
	case SECCOMP_EQUAL: /* the upper half is not looked at: these arguments are ints */
		return seccomp_rule_add(ctx, SCMP_ACT_ALLOW, nr, 1,
					SCMP_CMP(c->arg, SCMP_CMP_MASKED_EQ, UINT32_MAX, c->value));
	case SECCOMP_WITHOUT:
		return seccomp_rule_add(ctx, SCMP_ACT_ALLOW, nr, 1,
					SCMP_CMP(c->arg, SCMP_CMP_MASKED_EQ, c->value, 0));
	case SECCOMP_ANY:
		break;
	}
	return seccomp_rule_add(ctx, SCMP_ACT_ALLOW, nr, 0);
}

static int bpf_add_rows(scmp_filter_ctx ctx, enum seccomp_table table)
{
	const struct seccomp_ioctl *io;
	const struct seccomp_call *c;
	int r = 0;

	for (size_t i = 0; r >= 0 && (io = seccomp_ioctl_at(i)); i++)
		if (io->tables & BIT(table))
			r = seccomp_rule_add(ctx, SCMP_ACT_ALLOW, SCMP_SYS(ioctl), 1,
					     SCMP_CMP(1, SCMP_CMP_MASKED_EQ, UINT32_MAX,
						      io->request));
	for (size_t i = 0; r >= 0 && (c = seccomp_call_at(i)); i++)
		if (c->tables & BIT(table))
			r = bpf_add_call(ctx, c);
	return r;
}

static int bpf_write(enum seccomp_table table, const char *dir)
{
	scmp_filter_ctx ctx = seccomp_init(SCMP_ACT_KILL_PROCESS);
	char path[4096];
	int fd, r;

	snprintf(path, sizeof(path), "%s/%s", dir, seccomp_table_name(table));
	fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
	if (fd < 0 || !ctx) {
		fprintf(stderr, "seccomp_gen: '%s': %s\n", path, strerror(errno));
		return -errno;
	}
	/* a binary tree: the kernel tries each call once when it takes a filter */
	r = seccomp_attr_set(ctx, SCMP_FLTATR_CTL_OPTIMIZE, 2);
	if (r >= 0)
		r = seccomp_attr_set(ctx, SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_KILL_PROCESS);
	if (r >= 0)
		r = bpf_add_rows(ctx, table);
	if (r >= 0)
		r = seccomp_export_bpf(ctx, fd);
	if (r < 0)
		fprintf(stderr, "seccomp_gen: '%s': %s\n", path, strerror(-r));
	seccomp_release(ctx);
	close(fd);
	return r;
}

int main(int argc, char **argv)
{
	if (argc != 2) {
		fputs("usage: seccomp_gen DIR\n", stderr);
		return EXIT_FAILURE;
	}
	for (unsigned int i = 0; i < SECCOMP_TABLES; i++)
		if (bpf_write((enum seccomp_table)i, argv[1]) < 0)
			return EXIT_FAILURE;
	return EXIT_SUCCESS;
}
