// SPDX-License-Identifier: MIT
/*
 * A filter on the calling thread: see seccomp.h. The programs are made at build time (vmm/seccomp_gen.c) and
 * embedded; two numbers are put in here: what happens to other calls, and the process's own number. Any
 * thread.
 */
#include "vmm/seccomp.h"

#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "lib/embed.h"
#include "lib/errcat.h"

#define SECCOMP_INSNS_MAX 256

static const struct {
	const char *name;
	uint32_t action;
} seccomp_modes[] = {
	[SECCOMP_KILL] = { "kill", SECCOMP_RET_KILL_PROCESS },
	[SECCOMP_ERRNO] = { "errno", SECCOMP_RET_ERRNO | EPERM },
	[SECCOMP_LOG] = { "log", SECCOMP_RET_LOG },
	[SECCOMP_OFF] = { "off", SECCOMP_RET_ALLOW },
};

int seccomp_mode_parse(const char *name, enum seccomp_mode *ret_mode)
{
	for (unsigned int i = 0; i < ARRAY_SIZE(seccomp_modes); i++) {
		if (strcmp(seccomp_modes[i].name, name))
			continue;
		*ret_mode = (enum seccomp_mode)i;
		return 0;
	}
	return -EINVAL;
}

static const struct embed *seccomp_find(const char *name)
{
	const struct embed *f = embed_seccomp;

	while (f->name && strcmp(f->name, name))
		f++;
	return f;
}

static void seccomp_fill_in(struct sock_filter *insn, size_t n, uint32_t action)
{
	for (size_t i = 0; i < n; i++) {
		if (insn[i].code == (BPF_RET | BPF_K) && insn[i].k == SECCOMP_RET_KILL_PROCESS)
			insn[i].k = action;
		if (BPF_CLASS(insn[i].code) == BPF_JMP && insn[i].k == SECCOMP_OWN_PID)
			insn[i].k = (uint32_t)getpid();
	}
}

int seccomp_confine(enum seccomp_table table, enum seccomp_mode mode, struct err *e)
{
	const struct embed *f = seccomp_find(seccomp_table_name(table));
	struct sock_filter insn[SECCOMP_INSNS_MAX];
	struct sock_fprog program = { .filter = insn };

	if (mode == SECCOMP_OFF)
		return 0;
	if (!f->name || f->size > sizeof(insn))
		return err_set(e, ERR_FAILED, "seccomp: the filter '%s' was built wrong",
			       seccomp_table_name(table));
	memcpy(insn, f->data, f->size);
	program.len = (unsigned short)(f->size / sizeof(insn[0]));
	seccomp_fill_in(insn, program.len, seccomp_modes[mode].action);
	if (!syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &program))
		return 0;
	err_set(e, ERR_FAILED, "cannot confine a thread: seccomp: %s", strerror(errno));
	return err_hint(e, "a kernel without CONFIG_SECCOMP_FILTER needs --seccomp=off");
}
