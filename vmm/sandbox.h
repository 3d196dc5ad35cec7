/* SPDX-License-Identifier: MIT */
/*
 * The cage: what a monitor gives up before anything of a guest reaches it. vmd-security(7) tells what each part
 * is for. sandbox_enter is for the calling thread: each one that there is already has its filter first (sandbox_thread),
 * and ends before the guest runs. seccomp comes last, thread by thread (seccomp.h).
 */
#ifndef VMM_SANDBOX_H
#define VMM_SANDBOX_H

#include <sys/types.h>
#include "lib/log.h"
#include "lib/err.h"
#include "vmm/seccomp.h"

/*
 * A build with AddressSanitizer or ThreadSanitizer is for tests: their runtimes read /proc, make threads, and trace
 * the process at its end. Such a vmm keeps its root, and has neither Landlock nor seccomp.
 */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SANDBOX_SANITIZER 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define SANDBOX_SANITIZER 1
#endif
#endif
#ifndef SANDBOX_SANITIZER
#define SANDBOX_SANITIZER 0
#endif

struct sandbox {
	enum seccomp_mode seccomp;
	bool has_uid;
	uid_t uid;	  /* uid and gid to become; where has_uid */
	uint64_t memlock; /* bytes of the guest that devices of the host pin; 0: none */
	int root_fd; /* owned: a mount namespace with an empty root; the starter has chosen the others. -1: make them */
};

/*
 * Namespaces, root, uid, groups, capabilities, limits, Landlock, no_new_privs. Needs root for all of it. With uid
 * or root_fd, anything that cannot be had is an error; without, as much as the rights allow, and the log says
 * what is missing. root_fd is closed.
 */
int sandbox_enter(struct sandbox *s, const struct log *log, struct err *e);
/* seccomp_confine for a thread that is born so: without its filter it does not run (the process ends). */
void sandbox_thread(const struct sandbox *s, enum seccomp_table table);

#endif
