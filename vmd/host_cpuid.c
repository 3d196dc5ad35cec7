// SPDX-License-Identifier: MIT
/* KVM's list of CPUID leaves, kept: see host_cpuid.h. */
#include "vmd/host_cpuid.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/kvm.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/auto.h"
#include "lib/fdio.h"

#define HOST_CPUID_MAX 256 /* entries; vmm takes no more */

void host_cpuid_init(struct host_cpuid *c)
{
	*c = (struct host_cpuid){ .fd = -1 };
}

void host_cpuid_fini(struct host_cpuid *c)
{
	if (!c)
		return;
	if (c->fd >= 0)
		close(c->fd);
	c->fd = -1;
}

void host_cpuid_copy(const struct host_cpuid *c, struct host_cpuid *ret_copy)
{
	*ret_copy = *c;
	ret_copy->fd = c->fd < 0 ? -1 : fcntl(c->fd, F_DUPFD_CLOEXEC, 0);
}

/* Sealed: one vmm must not change what the next one is given. */
static int host_cpuid_file(const struct kvm_cpuid2 *list, struct err *e)
{
	size_t size = sizeof(*list) + list->nent * sizeof(list->entries[0]);
	AUTO_CLOSE int fd = memfd_create("cpuid", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	ssize_t n;

	if (fd < 0)
		return err_errno(e, "cannot make a file in memory");
	n = fdio_write(fd, list, size);
	if (n < 0)
		return err_ret(e, (int)n, "cannot write to a file in memory");
	if (fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) < 0)
		return err_errno(e, "cannot seal a file in memory");
	return TAKE_FD(fd);
}

int host_cpuid_refresh(struct host_cpuid *c, int kvm_fd, struct err *e)
{
	AUTO_FREE struct kvm_cpuid2 *list = NULL;
	struct stat st;
	int fd;

	if (fstat(kvm_fd, &st) < 0)
		return err_errno(e, "cannot look at '/dev/kvm'");
	if (c->fd >= 0 && c->dev == st.st_dev && c->ino == st.st_ino &&
	    c->changed.tv_sec == st.st_ctim.tv_sec && c->changed.tv_nsec == st.st_ctim.tv_nsec)
		return 0;
	list = calloc(1, sizeof(*list) + HOST_CPUID_MAX * sizeof(list->entries[0]));
	if (!list)
		return err_ret(e, -ENOMEM, "cannot ask KVM for its CPUID leaves");
	list->nent = HOST_CPUID_MAX;
	if (ioctl(kvm_fd, KVM_GET_SUPPORTED_CPUID, list) < 0)
		return err_errno(e, "KVM_GET_SUPPORTED_CPUID");
	fd = host_cpuid_file(list, e);
	if (fd < 0)
		return fd;
	host_cpuid_fini(c);
	*c = (struct host_cpuid){
		.fd = fd, .dev = st.st_dev, .ino = st.st_ino, .changed = st.st_ctim
	};
	return 1;
}
