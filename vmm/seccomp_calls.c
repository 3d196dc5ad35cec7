// SPDX-License-Identifier: MIT
/* The rows of vmm's seccomp filters: see seccomp_calls.h. No state. */
#include "vmm/seccomp_calls.h"

#include <fcntl.h>
#include <linux/fs.h>
#include <linux/if_tun.h>
#include <linux/kvm.h>
#include <linux/vfio.h>
#include <linux/vhost.h>
#include <scsi/sg.h>
#include <sys/ioctl.h>
#include <sys/mman.h>

#include "lib/util.h"
#include "vmm/vfio/iommufd_abi.h"

#define CONTROL BIT(SECCOMP_CONTROL)
#define VCPU BIT(SECCOMP_VCPU)
#define WORKER BIT(SECCOMP_WORKER)
#define WAITER BIT(SECCOMP_WAITER)
#define LOOPS (CONTROL | WORKER)
#define DISPLAY BIT(SECCOMP_DISPLAY)
#define ALL (CONTROL | VCPU | WORKER)
#define EVERY (ALL | WAITER | DISPLAY)

static const struct seccomp_call seccomp_calls[] = {
	{ "read", EVERY, "eventfds, wake-up pipes, a console's client" },
	{ "write", EVERY, "eventfds, interrupts, consoles, the log, the last words" },
	{ "futex", EVERY, "locks, and waiting for another thread" },
	{ "clock_gettime", EVERY, "the guest's timers, where the vDSO cannot tell" },
	{ "brk", EVERY, "the heap" },
	{ "mmap", EVERY, "the heap; never to be executed", SECCOMP_WITHOUT, 2, PROT_EXEC },
	{ "munmap", EVERY, "the heap; a ring or a vCPU's page that goes" },
	{ "madvise", EVERY, "the balloon; a thread's stack, when it ends" },
	{ "rt_sigprocmask", EVERY, "pthread_kill, and the end of a thread" },
	{ "rt_sigreturn", EVERY, "out of the handler of the signal that parks vCPUs" },
	{ "restart_syscall", EVERY, "a wait that SIGSTOP and SIGCONT interrupted" },
	{ "getpid", EVERY, "pthread_kill and abort" },
	{ "gettid", EVERY, "abort: which thread" },
	{ "tgkill", EVERY, "threads of this process: park a vCPU, abort", SECCOMP_EQUAL, 0,
	  SECCOMP_OWN_PID },
	{ "rt_sigaction", EVERY, "abort; signals that the loop stops to watch" },
	{ "writev", EVERY, "the C library's last message before it aborts", SECCOMP_EQUAL, 0, 2 },
	{ "exit", EVERY, "the end of a thread" },
	{ "exit_group", EVERY, "the end" },

	{ "epoll_wait", LOOPS | DISPLAY, "the loop" },
	{ "epoll_pwait", LOOPS | DISPLAY, "the loop, in newer versions of libuv" },
	{ "epoll_ctl", LOOPS | DISPLAY, "what the loop waits for" },
	{ "sched_yield", LOOPS | DISPLAY,
	  "libuv, when a wake-up is closed while it is being sent" },
	{ "poll", EVERY, "is an eventfd set, has a client hung up? never for long" },
	{ "fcntl", LOOPS | DISPLAY, "O_NONBLOCK of a console's client", SECCOMP_EQUAL, 1, F_SETFL },
	{ "fcntl", LOOPS | DISPLAY, "O_NONBLOCK of a console's client", SECCOMP_EQUAL, 1, F_GETFL },
	{ "close", LOOPS | DISPLAY, "connections and consoles; everything, at the end" },

	{ "accept4", LOOPS | DISPLAY, "vmd connects; clients of a console's ports" },
	{ "recvmsg", CONTROL | DISPLAY, "requests, and console clients' descriptors" },
	{ "sendmsg", CONTROL | DISPLAY, "answers and events" },
	{ "mremap", CONTROL | DISPLAY, "a message that grows" },
	{ "eventfd2", CONTROL, "doorbells and interrupts of a device that comes later" },
	{ "fstat", LOOPS | DISPLAY,
	  "how large the kernel is, an image that may have grown, the file of a console's port" },
	{ "newfstatat", LOOPS | DISPLAY, "the same, in glibc before 2.39", SECCOMP_EQUAL, 3,
	  AT_EMPTY_PATH },

	{ "io_uring_enter", WORKER, "disks: the ring takes reads, writes and flushes only" },
	{ "preadv2", ALL,
	  "disks without a ring; registers of a passed-through device; the kernel, at each reset; "
	  "frames of a tap" },
	{ "pwritev2", ALL, "disks without a ring; registers of a passed-through device; frames" },
	{ "fdatasync", LOOPS, "disks without a ring: flush; hot-plug: the header of an image" },
	{ "fallocate", LOOPS, "disks without a ring: discard, zeroes; is there discard?" },
	{ "getrandom", WORKER | DISPLAY,
	  "the entropy device; what a viewer's password is asked with" },

	{ "fcntl", DISPLAY, "that the screen's memory does not shrink", SECCOMP_EQUAL, 1,
	  F_GET_SEALS },
	{ "recvfrom", DISPLAY, "what a viewer says: is a message whole?" },
	{ "select", DISPLAY, "the rest of what a viewer has begun to take" },
	{ "pselect6", DISPLAY, "the same, in newer C libraries" },
	{ "setsockopt", DISPLAY, "TCP_NODELAY and the buffer of a viewer's connection" },
	{ "getsockopt", DISPLAY, "how large that buffer is" },
	{ "socketpair", DISPLAY, "a new viewer: the library's end; a browser's without frames" },
	{ "dup3", DISPLAY, "a new viewer: its socket is the library's" },
	{ "getpeername", DISPLAY, "where a viewer is" },
	{ "shutdown", DISPLAY, "the end of a viewer's connection" },
};

static const struct seccomp_ioctl seccomp_ioctls[] = {
	{ "KVM_RUN", KVM_RUN, VCPU, "the guest" },
	{ "KVM_GET_REGS", KVM_GET_REGS, VCPU, "where a guest was when KVM gave up" },
	{ "KVM_IRQ_LINE", KVM_IRQ_LINE, ALL, "an interrupt line" },
	{ "KVM_SIGNAL_MSI", KVM_SIGNAL_MSI, ALL, "a message interrupt" },
	{ "KVM_SET_GSI_ROUTING", KVM_SET_GSI_ROUTING, CONTROL | VCPU, "the guest routes one" },
	{ "KVM_IRQFD", KVM_IRQFD, CONTROL | VCPU, "MSI-X vectors" },
	{ "KVM_IOEVENTFD", KVM_IOEVENTFD, CONTROL | VCPU, "doorbells follow their BAR" },
	{ "KVM_SET_USER_MEMORY_REGION", KVM_SET_USER_MEMORY_REGION, CONTROL | VCPU,
	  "the memory of a passed-through device, or of a display, follows its BAR" },
	{ "KVM_GET_DIRTY_LOG", KVM_GET_DIRTY_LOG, CONTROL,
	  "somebody looks: what the guest has drawn" },
	{ "KVM_SET_DEVICE_ATTR", KVM_SET_DEVICE_ATTR, CONTROL,
	  "a passed-through device comes or leaves; resume: the TSC's offset" },
	{ "VFIO_DEVICE_SET_IRQS", VFIO_DEVICE_SET_IRQS, CONTROL | VCPU,
	  "the guest switches a passed-through device's interrupts" },
	{ "VFIO_IOMMU_MAP_DMA", VFIO_IOMMU_MAP_DMA, CONTROL | VCPU,
	  "the memory of a passed-through device, for the others" },
	{ "VFIO_IOMMU_UNMAP_DMA", VFIO_IOMMU_UNMAP_DMA, CONTROL | VCPU, "the same, moved" },
	{ "VFIO_DEVICE_RESET", VFIO_DEVICE_RESET, CONTROL | VCPU,
	  "the guest, or the machine, resets a passed-through device" },
	{ "VFIO_DEVICE_GET_PCI_HOT_RESET_INFO", VFIO_DEVICE_GET_PCI_HOT_RESET_INFO, CONTROL,
	  "reset of one that has none of its own: what is reset with it" },
	{ "VFIO_DEVICE_PCI_HOT_RESET", VFIO_DEVICE_PCI_HOT_RESET, CONTROL,
	  "reset of one that has none of its own: its bus" },

	{ "KVM_CREATE_DEVICE", KVM_CREATE_DEVICE, CONTROL, "hot-plug: KVM learns of VFIO" },
	{ "VFIO_GROUP_GET_STATUS", VFIO_GROUP_GET_STATUS, CONTROL,
	  "hot-plug: a group is looked at" },
	{ "VFIO_GROUP_SET_CONTAINER", VFIO_GROUP_SET_CONTAINER, CONTROL,
	  "hot-plug: a group joins" },
	{ "VFIO_GROUP_GET_DEVICE_FD", VFIO_GROUP_GET_DEVICE_FD, CONTROL,
	  "hot-plug: a device of a group" },
	{ "VFIO_GET_API_VERSION", VFIO_GET_API_VERSION, CONTROL, "hot-plug: the first group" },
	{ "VFIO_CHECK_EXTENSION", VFIO_CHECK_EXTENSION, CONTROL, "hot-plug: the first group" },
	{ "VFIO_SET_IOMMU", VFIO_SET_IOMMU, CONTROL, "hot-plug: the first group" },
	{ "VFIO_IOMMU_MAP_DMA", VFIO_IOMMU_MAP_DMA, CONTROL,
	  "hot-plug: the first group has the guest's memory pinned" },
	{ "IOMMU_IOAS_ALLOC", IOMMUFD_ABI_IOAS_ALLOC, CONTROL, "hot-plug: the first device" },
	{ "IOMMU_IOAS_MAP", IOMMUFD_ABI_IOAS_MAP, CONTROL,
	  "hot-plug: the first device has the guest's memory pinned" },
	{ "VFIO_DEVICE_BIND_IOMMUFD", IOMMUFD_ABI_DEVICE_BIND, CONTROL,
	  "hot-plug: a device joins" },
	{ "VFIO_DEVICE_ATTACH_IOMMUFD_PT", IOMMUFD_ABI_DEVICE_ATTACH, CONTROL,
	  "hot-plug: a device joins" },
	{ "VFIO_DEVICE_GET_INFO", VFIO_DEVICE_GET_INFO, CONTROL, "hot-plug: what a device has" },
	{ "VFIO_DEVICE_GET_REGION_INFO", VFIO_DEVICE_GET_REGION_INFO, CONTROL,
	  "hot-plug: what a device has" },
	{ "VFIO_DEVICE_GET_IRQ_INFO", VFIO_DEVICE_GET_IRQ_INFO, CONTROL,
	  "hot-plug: what a device has" },

	{ "KVM_SET_SREGS", KVM_SET_SREGS, CONTROL, "reset of a vCPU" },
	{ "KVM_SET_REGS", KVM_SET_REGS, CONTROL, "reset of a vCPU" },
	{ "KVM_SET_XSAVE", KVM_SET_XSAVE, CONTROL, "reset of a vCPU" },
	{ "KVM_GET_XCRS", KVM_GET_XCRS, CONTROL, "reset of a vCPU" },
	{ "KVM_SET_XCRS", KVM_SET_XCRS, CONTROL, "reset of a vCPU" },
	{ "KVM_GET_LAPIC", KVM_GET_LAPIC, CONTROL, "reset of a vCPU" },
	{ "KVM_SET_LAPIC", KVM_SET_LAPIC, CONTROL, "reset of a vCPU" },
	{ "KVM_SET_MSRS", KVM_SET_MSRS, CONTROL, "reset of a vCPU" },
	{ "KVM_SET_DEBUGREGS", KVM_SET_DEBUGREGS, CONTROL, "reset of a vCPU" },
	{ "KVM_SET_VCPU_EVENTS", KVM_SET_VCPU_EVENTS, CONTROL, "reset of a vCPU" },
	{ "KVM_SET_MP_STATE", KVM_SET_MP_STATE, CONTROL, "reset of a vCPU" },
	{ "KVM_SET_IRQCHIP", KVM_SET_IRQCHIP, CONTROL, "reset of the kernel's interrupt chips" },
	{ "KVM_SET_PIT2", KVM_SET_PIT2, CONTROL, "reset of the kernel's interval timer" },
	{ "KVM_GET_CLOCK", KVM_GET_CLOCK, CONTROL, "pause: kvm-clock, to go on from" },
	{ "KVM_SET_CLOCK", KVM_SET_CLOCK, CONTROL, "resume: kvm-clock goes on" },
	{ "KVM_GET_MSRS", KVM_GET_MSRS, CONTROL, "pause and resume: the guest's TSC" },
	{ "KVM_GET_DEVICE_ATTR", KVM_GET_DEVICE_ATTR, CONTROL, "resume: the TSC's offset" },
	{ "KVM_KVMCLOCK_CTRL", KVM_KVMCLOCK_CTRL, CONTROL, "resume: the guest was stopped" },

	{ "TUNGETIFF", TUNGETIFF, LOOPS, "a card is plugged: is it a tap? is it there still?" },
	{ "TUNSETVNETHDRSZ", TUNSETVNETHDRSZ, CONTROL, "a card is plugged: the tap's header" },
	{ "TUNSETOFFLOAD", TUNSETOFFLOAD, WORKER, "what the guest's driver takes from a tap" },
	{ "TUNSETQUEUE", TUNSETQUEUE, WORKER, "the guest's driver uses more or fewer queues" },
	{ "VHOST_SET_OWNER", VHOST_SET_OWNER, CONTROL, "a card is plugged: vhost-net" },
	{ "VHOST_GET_FEATURES", VHOST_GET_FEATURES, CONTROL, "a card is plugged: vhost-net" },
	{ "VHOST_SET_FEATURES", VHOST_SET_FEATURES, WORKER, "vhost-net gets two queues" },
	{ "VHOST_SET_MEM_TABLE", VHOST_SET_MEM_TABLE, WORKER, "vhost-net gets two queues" },
	{ "VHOST_SET_VRING_NUM", VHOST_SET_VRING_NUM, WORKER, "vhost-net gets two queues" },
	{ "VHOST_SET_VRING_BASE", VHOST_SET_VRING_BASE, WORKER, "vhost-net gets two queues" },
	{ "VHOST_SET_VRING_ADDR", VHOST_SET_VRING_ADDR, WORKER, "vhost-net gets two queues" },
	{ "VHOST_SET_VRING_ERR", VHOST_SET_VRING_ERR, WORKER, "vhost-net gets two queues" },
	{ "VHOST_SET_VRING_CALL", VHOST_SET_VRING_CALL, WORKER, "vhost-net gets two queues" },
	{ "VHOST_SET_VRING_KICK", VHOST_SET_VRING_KICK, WORKER, "vhost-net gets two queues" },
	{ "VHOST_GET_VRING_BASE", VHOST_GET_VRING_BASE, WORKER, "vhost-net gives them back" },
	{ "VHOST_NET_SET_BACKEND", VHOST_NET_SET_BACKEND, WORKER, "vhost-net starts and stops" },

	{ "FIONBIO", FIONBIO, LOOPS | DISPLAY, "libuv: what it polls does not block" },
	{ "TCGETS", TCGETS, CONTROL, "is a console's client a terminal?" },
	{ "TCSETS", TCSETS, CONTROL, "the terminal as it was" },
	{ "SG_IO", SG_IO, WAITER, "a SCSI device of the host: what scsi/host.c lets pass" },
	{ "BLKSECTGET", BLKSECTGET, CONTROL,
	  "hot-plug: what one command of such a device may move" },
	{ "BLKDISCARD", BLKDISCARD, WORKER, "discard on a block device" },
	{ "BLKGETSIZE64", BLKGETSIZE64, CONTROL, "hot-plug: a block device's size" },
	{ "BLKSSZGET", BLKSSZGET, CONTROL, "hot-plug: its sectors" },
	{ "BLKPBSZGET", BLKPBSZGET, CONTROL, "hot-plug: its sectors" },
	{ "BLKROGET", BLKROGET, CONTROL, "hot-plug: may it be written?" },
};

const char *seccomp_table_name(enum seccomp_table table)
{
	static const char *const names[] = { "control", "vcpu", "worker", "waiter", "display" };

	return names[table];
}

const struct seccomp_call *seccomp_call_at(size_t index)
{
	return index < ARRAY_SIZE(seccomp_calls) ? &seccomp_calls[index] : NULL;
}

const struct seccomp_ioctl *seccomp_ioctl_at(size_t index)
{
	return index < ARRAY_SIZE(seccomp_ioctls) ? &seccomp_ioctls[index] : NULL;
}
