// SPDX-License-Identifier: MIT
/* A kernel image: loaded into 64 MiB of guest memory, or refused with a reason. */
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "lib/fdio.h"
#include "vmm/x86/boot.h"
#include "vmm/x86/boot_bios.h"
#include "vmm/x86/map.h"

#define FUZZ_MEM_SIZE (64 * MIB)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct boot_config c = { .initrd_fd = -1,
				 .cmdline = "console=ttyS0",
				 .rsdp = MAP_ACPI_RSDP };
	struct boot_entry entry;
	struct gmem g;
	struct err e;
	uint8_t *mem = mmap(NULL, FUZZ_MEM_SIZE, PROT_READ | PROT_WRITE,
			    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	if (mem == MAP_FAILED)
		abort();
	c.kernel_fd = memfd_create("kernel", MFD_CLOEXEC);
	if (c.kernel_fd < 0 || fdio_write(c.kernel_fd, data, size) < 0)
		abort();
	gmem_init_buffer(&g, mem, FUZZ_MEM_SIZE);
	e.msg[0] = '\0';
	if (boot_load(&g, &c, &entry, &e) < 0 ? !e.msg[0] : !gmem_ptr(&g, entry.rip, 1))
		__builtin_trap();
	e.msg[0] = '\0';
	if (boot_bios(&g, &c, NULL, &e) < 0 && !e.msg[0])
		__builtin_trap();
	gmem_fini(&g);
	close(c.kernel_fd);
	munmap(mem, FUZZ_MEM_SIZE);
	return 0;
}
