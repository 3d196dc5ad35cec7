/* SPDX-License-Identifier: MIT */
/*
 * What most tests of running VMs begin with and look at: a vmd with a certain monitor, a VM 'one' whose
 * files exist, its state, what is left of it.
 */
#ifndef TESTS_FUNCTIONAL_SCENE_H
#define TESTS_FUNCTIONAL_SCENE_H

#include "tests/functional/harness.h"
#include "tests/lib/skip.h"

/* First in a test of VMs that run. */
#define NEEDS_KVM                                    \
	do {                                         \
		if (!harness_has_kvm())              \
			SKIP_BECAUSE("no /dev/kvm"); \
	} while (0)

/*
 * Start vmd with a mode of fake_vmm.c (NULL: the real vmm) and --step-timeout, define 'one'. The client has
 * subscribed to all events. SCENE_SHORT is for monitors that do not answer; where one has to answer, a busy
 * machine is given its time.
 */
#define SCENE_SHORT "1"
#define SCENE_LONG "15"
struct client *scene_begin(struct harness *h, const char *fake, const char *step_timeout);
/*
 * A vmd with groups for all three roles, for clients of harness_client_as; they are numbers, so that no entry
 * of the host matters. As root.
 */
#define SCENE_ADMINS 54301
#define SCENE_OPERATORS 54302
#define SCENE_VIEWERS 54303
void scene_serve_roles(struct harness *h);
/* cmocka's setup: a harness with such a vmd, or without any when we are not root. */
int scene_setup_roles(void **state);
/* Define a VM with the kernel at a path; the "changed" of vm.apply is not looked at. */
void scene_define(struct client *c, const char *name, const char *kernel);
/*
 * The real vmm in its cage, and 'one' of 32 MiB, which runs a program of tests/guest with this command line; members: what else
 * is in its definition, JSON without the braces around. The client has subscribed to all events.
 */
struct client *scene_start_guest(struct harness *h, const char *program, const char *cmdline,
				 const char *members);
/* Its first console says a line that matches, or has done so. */
void scene_says(struct client *c, const char *regex);
/* vmd ends as by `signal`, and another begins with such a monitor; a client of the new one. */
struct client *scene_restart(struct harness *h, struct client *c, int signal, const char *fake);
/* vmd ends as by SIGKILL, and then the VM's process, while no vmd is there. */
void scene_end_all(struct harness *h, struct client *c, const char *vm);

pid_t scene_pid(struct client *c, const char *vm);
/* RUN-DIR/ID/name, valid until the next call. */
const char *scene_path(struct harness *h, struct client *c, const char *vm, const char *name);
void scene_expect_state(struct client *c, const char *vm, const char *state);
/* What observed.exit says: reason, and message unless NULL. */
void scene_expect_exit(struct client *c, const char *vm, const char *reason, const char *message);
/* The next bytes that come over fd are these. */
void scene_hear(int fd, const char *text);
/* How many descriptors vmd keeps open: the least in some turns of its loop, since its workers open and close others. */
unsigned int scene_fds(struct harness *h, struct client *c);
/* Of a VM that runs: the connection, the pidfd, what its two consoles and the monitor itself say. */
#define SCENE_VM_FDS 5
/* Within some turns of vmd's loop: so many open descriptors. */
void scene_expect_fds(struct harness *h, struct client *c, unsigned int expected);
/* The names in a directory, without . and .. */
unsigned int scene_count_files(const char *path);
unsigned int scene_count_children(pid_t pid);

/* What comes to the VM and goes: "disk0 attached, pci0 detaching", in their order; "" for nothing. */
void scene_expect_attachments(struct client *c, const char *name, const char *expected);

#endif
