// SPDX-License-Identifier: MIT
/* vmm/vfio/aer.c and vmm/pci/aer.c: what the guest's kernel does to hear of errors, and what it then finds. */
#include "tests/lib/test.h"

#include <linux/pci_regs.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lib/errcat.h"
#include "tests/unit/fake_board.h"
#include "tests/unit/fake_vfio.h"
#include "vmm/devices.h"
#include "vmm/gmem.h"
#include "vmm/vfio/vfio_pci.h"

#define MEM_SIZE (3 * MIB)
#define SOURCE (5u << 3) /* 00:05.0 */
#define COLLECTOR 1u	 /* 00:00.1 */
#define AER 0x100u
#define STATUS (AER + PCI_ERR_ROOT_STATUS)
#define UNCOR (AER + PCI_ERR_UNCOR_STATUS)
#define MESSAGE 0xfee00000u
#define ENABLES \
	(PCI_EXP_DEVCTL_CERE | PCI_EXP_DEVCTL_NFERE | PCI_EXP_DEVCTL_FERE | PCI_EXP_DEVCTL_URRE)

struct fixture {
	struct fake_board fb;
	struct fake_vfio fv;
	struct device *host, *d;
	unsigned int pcie, msi; /* the collector's capabilities */
};

static void device_put(struct fixture *f, unsigned int off, unsigned int size, uint32_t val)
{
	memcpy(f->fv.cfg + off, &val, size);
}

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	fake_board_init(&f->fb, MEM_SIZE);
	f->fb.log.fd = -1;
	fake_vfio_init(&f->fv);
	f->fb.board.vfio_sys = &f->fv.sys;
	device_put(f, AER + PCI_ERR_UNCOR_SEVER, 4, 0x00062030);
	device_put(f, AER + PCI_ERR_UNCOR_MASK, 4, 0x02400000);
	f->host = fake_board_add(&f->fb, &pci_host_class, "pci", NULL);
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	if (f->d)
		fake_board_remove(&f->fb, f->d);
	fake_board_remove(&f->fb, f->host);
	for (int i = 0; i < FAKE_IRQFDS; i++)
		assert_false(f->fb.irqfds[i].used);
	fake_vfio_fini(&f->fv);
	fake_board_fini(&f->fb);
	free(f);
	return 0;
}

static uint32_t get(struct fixture *f, unsigned int function, unsigned int off, unsigned int size)
{
	return (uint32_t)fake_mmio_read(&f->fb, GMEM_ECAM_START + (function << 12) + off, size);
}

static void put(struct fixture *f, unsigned int function, unsigned int off, unsigned int size,
		uint32_t val)
{
	fake_mmio_write(&f->fb, GMEM_ECAM_START + (function << 12) + off, size, val);
}

static unsigned int find(struct fixture *f, unsigned int function, unsigned int id)
{
	unsigned int at = get(f, function, PCI_CAPABILITY_LIST, 1);

	while (at && get(f, function, at, 1) != id)
		at = get(f, function, at + PCI_CAP_LIST_NEXT, 1);
	return at;
}

static void plug(struct fixture *f, int policy)
{
	struct vfio_pci_cfg cfg = fake_vfio_cfg(&f->fv, "00:05.0");

	cfg.on_device_error = policy;
	f->d = fake_board_add(&f->fb, &vfio_pci_class, "nic", &cfg);
	f->host->class->start(f->host);
	f->d->class->start(f->d);
}

/* As a kernel does: the port driver, then the device's. */
static void aer_listen(struct fixture *f)
{
	f->pcie = find(f, COLLECTOR, PCI_CAP_ID_EXP);
	f->msi = find(f, COLLECTOR, PCI_CAP_ID_MSI);
	assert_true(f->pcie && f->msi);
	put(f, COLLECTOR, f->msi + PCI_MSI_ADDRESS_LO, 4, MESSAGE);
	put(f, COLLECTOR, f->msi + PCI_MSI_DATA_64, 2, 0x41);
	put(f, COLLECTOR, f->msi + PCI_MSI_FLAGS, 2, PCI_MSI_FLAGS_ENABLE);
	put(f, COLLECTOR, PCI_COMMAND, 2, PCI_COMMAND_MASTER);
	put(f, COLLECTOR, STATUS, 4, get(f, COLLECTOR, STATUS, 4));
	put(f, COLLECTOR, AER + PCI_ERR_ROOT_COMMAND, 4,
	    PCI_ERR_ROOT_CMD_NONFATAL_EN | PCI_ERR_ROOT_CMD_FATAL_EN);
	put(f, SOURCE, FAKE_VFIO_PCIE + PCI_EXP_DEVCTL, 2, 0x2810 | ENABLES);
}

static void report(struct fixture *f)
{
	fake_vfio_interrupt(&f->fv, VFIO_PCI_ERR_IRQ_INDEX, 0);
	fake_board_watched(&f->fb);
}

/* Messages of the collector since the last question */
static uint64_t messages(struct fixture *f)
{
	uint64_t n = 0;

	for (size_t i = 0; i < FAKE_IRQFDS; i++) {
		const struct fake_irqfd *q = &f->fb.irqfds[i];

		if (q->used && q->fd >= 0 && q->msg.addr == MESSAGE && q->msg.data == 0x41 &&
		    read(q->fd, &n, sizeof(n)) != sizeof(n))
			n = 0;
	}
	return n;
}

/* Clear what was told, as an interrupt handler does, and the device's own. */
static void acknowledge(struct fixture *f)
{
	put(f, SOURCE, UNCOR, 4, get(f, SOURCE, UNCOR, 4));
	put(f, COLLECTOR, STATUS, 4, get(f, COLLECTOR, STATUS, 4));
	assert_int_equal(get(f, SOURCE, UNCOR, 4), 0);
	assert_int_equal(get(f, COLLECTOR, STATUS, 4), 0);
}

static void collector_is_what_a_kernel_looks_for(void **state)
{
	struct fixture *f = *state;

	plug(f, VFIO_ON_ERROR_GUEST);
	assert_int_equal(get(f, COLLECTOR, PCI_CLASS_REVISION, 4) >> 8, 0x080700);
	assert_int_equal(get(f, 0, PCI_HEADER_TYPE, 1), 0x80);
	f->pcie = find(f, COLLECTOR, PCI_CAP_ID_EXP);
	assert_int_equal(get(f, COLLECTOR, f->pcie + PCI_EXP_FLAGS, 2),
			 2 | PCI_EXP_TYPE_RC_EC << 4);
	assert_int_equal(get(f, COLLECTOR, AER, 4), 0x14020001);
	assert_int_equal(get(f, COLLECTOR, 0x140, 4), 0x00010007);
	/* itself, and the function */
	assert_int_equal(get(f, COLLECTOR, 0x144, 4), 1 | 1 << 5);
	put(f, COLLECTOR, 0x144, 4, UINT32_MAX);
	assert_int_equal(get(f, COLLECTOR, 0x144, 4), 1 | 1 << 5);
	/* the function has the capability, and behind it what it had */
	assert_int_equal(get(f, SOURCE, AER, 4), 0x18020001);
	assert_int_equal(get(f, SOURCE, 0x180, 4), 0x19010003);
	assert_int_equal(get(f, SOURCE, AER + PCI_ERR_UNCOR_SEVER, 4), 0x00062030);
	/* the error that is told where nobody knows it any more is not masked */
	assert_int_equal(get(f, SOURCE, AER + PCI_ERR_UNCOR_MASK, 4), 0x02000000);
}

static void an_error_is_a_message_of_the_function(void **state)
{
	struct fixture *f = *state;

	plug(f, VFIO_ON_ERROR_GUEST);
	aer_listen(f);
	report(f);
	assert_string_equal(f->fb.notice, "device.error: nic");
	assert_int_equal(f->fb.nevents, 0);
	assert_int_equal(messages(f), 1);
	assert_int_equal(get(f, COLLECTOR, STATUS, 4),
			 PCI_ERR_ROOT_UNCOR_RCV | PCI_ERR_ROOT_NONFATAL_RCV);
	assert_int_equal(get(f, COLLECTOR, AER + PCI_ERR_ROOT_ERR_SRC, 4), SOURCE << 16);
	/* nobody can say any more what it was */
	assert_int_equal(get(f, SOURCE, UNCOR, 4), PCI_ERR_UNC_INTN);
	assert_int_equal(get(f, SOURCE, AER + PCI_ERR_CAP, 4), 22);
	assert_int_equal(get(f, SOURCE, FAKE_VFIO_PCIE + PCI_EXP_DEVSTA, 2) & 0xf,
			 PCI_EXP_DEVSTA_NFED);
	put(f, SOURCE, FAKE_VFIO_PCIE + PCI_EXP_DEVSTA, 2, PCI_EXP_DEVSTA_NFED);
	/* bytes that were not written keep what they have */
	put(f, SOURCE, UNCOR, 2, 0xffff);
	assert_int_equal(get(f, SOURCE, UNCOR, 4), PCI_ERR_UNC_INTN);
	put(f, SOURCE, UNCOR, 4, ~PCI_ERR_UNC_INTN);
	assert_int_equal(get(f, SOURCE, UNCOR, 4), PCI_ERR_UNC_INTN);
	acknowledge(f);
	report(f);
	assert_int_equal(messages(f), 1);
}

static void its_severity_is_the_guests_to_set(void **state)
{
	struct fixture *f = *state;

	plug(f, VFIO_ON_ERROR_GUEST);
	aer_listen(f);
	device_put(f, UNCOR, 4, PCI_ERR_UNC_DLP | PCI_ERR_UNC_POISON_TLP);
	put(f, SOURCE, AER + PCI_ERR_UNCOR_SEVER, 4, PCI_ERR_UNC_DLP);
	report(f);
	assert_int_equal(messages(f), 1);
	assert_int_equal(get(f, SOURCE, UNCOR, 4), PCI_ERR_UNC_DLP | PCI_ERR_UNC_POISON_TLP);
	assert_int_equal(get(f, SOURCE, AER + PCI_ERR_CAP, 4), 4);
	assert_int_equal(get(f, COLLECTOR, STATUS, 4),
			 PCI_ERR_ROOT_UNCOR_RCV | PCI_ERR_ROOT_MULTI_UNCOR_RCV |
				 PCI_ERR_ROOT_FIRST_FATAL | PCI_ERR_ROOT_FATAL_RCV |
				 PCI_ERR_ROOT_NONFATAL_RCV);
	/* what is told already interrupts once */
	report(f);
	assert_int_equal(messages(f), 0);
	acknowledge(f);
	/* what the guest does not want to know */
	put(f, SOURCE, AER + PCI_ERR_UNCOR_MASK, 4, UINT32_MAX);
	assert_int_equal(get(f, SOURCE, AER + PCI_ERR_UNCOR_MASK, 4), VFIO_AER_ERRORS);
	report(f);
	assert_int_equal(messages(f), 0);
	assert_int_equal(get(f, SOURCE, UNCOR, 4), PCI_ERR_UNC_DLP | PCI_ERR_UNC_POISON_TLP);
	assert_int_equal(get(f, COLLECTOR, STATUS, 4), 0);
}

static void a_guest_that_does_not_listen_hears_nothing(void **state)
{
	struct fixture *f = *state;

	plug(f, VFIO_ON_ERROR_GUEST);
	aer_listen(f);
	/* the function does not report; the device's own bits stay the host's */
	put(f, SOURCE, FAKE_VFIO_PCIE + PCI_EXP_DEVCTL, 2, 0x2810);
	report(f);
	assert_int_equal(get(f, COLLECTOR, STATUS, 4), 0);
	assert_int_equal(messages(f), 0);
	assert_int_equal(get(f, SOURCE, FAKE_VFIO_PCIE + PCI_EXP_DEVCTL, 2), 0x2810);
	acknowledge(f);
	/* nor does the collector, until it is switched on: then it tells what it has */
	put(f, SOURCE, FAKE_VFIO_PCIE + PCI_EXP_DEVCTL, 2, 0x2810 | ENABLES);
	assert_int_equal(get(f, SOURCE, FAKE_VFIO_PCIE + PCI_EXP_DEVCTL, 2), 0x2810 | ENABLES);
	put(f, COLLECTOR, AER + PCI_ERR_ROOT_COMMAND, 4, 0);
	report(f);
	assert_int_equal(messages(f), 0);
	assert_true(get(f, COLLECTOR, STATUS, 4) & PCI_ERR_ROOT_NONFATAL_RCV);
	put(f, COLLECTOR, AER + PCI_ERR_ROOT_COMMAND, 4, PCI_ERR_ROOT_CMD_NONFATAL_EN);
	assert_int_equal(messages(f), 1);
	put(f, COLLECTOR, AER + PCI_ERR_ROOT_COMMAND, 4, PCI_ERR_ROOT_CMD_NONFATAL_EN);
	assert_int_equal(messages(f), 0);
}

/* Whatever the guest writes there: the device's reporting to the host is on. */
static void the_host_keeps_hearing(void **state)
{
	struct fixture *f = *state;

	plug(f, VFIO_ON_ERROR_GUEST);
	assert_int_equal(f->fv.cfg[FAKE_VFIO_PCIE + PCI_EXP_DEVCTL], 0x10 | ENABLES);
	assert_int_equal(get(f, SOURCE, FAKE_VFIO_PCIE + PCI_EXP_DEVCTL, 2), 0x2810);
	put(f, SOURCE, FAKE_VFIO_PCIE + PCI_EXP_DEVCTL, 2, 0x2000);
	assert_int_equal(f->fv.cfg[FAKE_VFIO_PCIE + PCI_EXP_DEVCTL] & ENABLES, ENABLES);
	assert_int_equal(get(f, SOURCE, FAKE_VFIO_PCIE + PCI_EXP_DEVCTL, 2), 0x2000);
	/* and the guest never writes to the device's own registers of errors */
	device_put(f, UNCOR, 4, 0x1234);
	put(f, SOURCE, UNCOR, 4, UINT32_MAX);
	put(f, SOURCE, AER + PCI_ERR_UNCOR_MASK, 4, UINT32_MAX);
	assert_int_equal(f->fv.cfg[UNCOR], 0x34);
	assert_int_equal(f->fv.cfg[AER + PCI_ERR_UNCOR_MASK + 2], 0x40);
}

static void a_reset_forgets_it(void **state)
{
	struct fixture *f = *state;

	plug(f, VFIO_ON_ERROR_GUEST);
	aer_listen(f);
	put(f, SOURCE, AER + PCI_ERR_UNCOR_MASK, 4, PCI_ERR_UNC_DLP);
	report(f);
	/* of the function */
	put(f, SOURCE, FAKE_VFIO_PCIE + PCI_EXP_DEVCTL, 2, PCI_EXP_DEVCTL_BCR_FLR);
	assert_int_equal(get(f, SOURCE, UNCOR, 4), 0);
	assert_int_equal(get(f, SOURCE, AER + PCI_ERR_UNCOR_MASK, 4), 0x02000000);
	assert_int_equal(get(f, SOURCE, AER + PCI_ERR_UNCOR_SEVER, 4), 0x00062030);
	assert_int_equal(get(f, SOURCE, FAKE_VFIO_PCIE + PCI_EXP_DEVSTA, 2) & 0xf, 0);
	assert_true(get(f, COLLECTOR, STATUS, 4));
	/* of the machine */
	f->d->class->reset(f->d);
	f->host->class->reset(f->host);
	assert_int_equal(get(f, COLLECTOR, STATUS, 4), 0);
	assert_int_equal(get(f, COLLECTOR, AER + PCI_ERR_ROOT_COMMAND, 4), 0);
	assert_int_equal(get(f, COLLECTOR, AER + PCI_ERR_ROOT_ERR_SRC, 4), 0);
	assert_int_equal(get(f, COLLECTOR, 0x144, 4), 1 | 1 << 5);
	assert_int_equal(get(f, COLLECTOR, AER, 4), 0x14020001);
}

static void nobody_else_has_a_collector(void **state)
{
	struct fixture *f = *state;

	plug(f, VFIO_ON_ERROR_REPORT);
	assert_int_equal(get(f, COLLECTOR, PCI_VENDOR_ID, 4), UINT32_MAX);
	assert_int_equal(get(f, 0, PCI_HEADER_TYPE, 1), 0);
	report(f);
	assert_int_equal(f->fb.nnotices, 1);
}

/* Its own registers are where it says, and there are none. */
static void a_device_without_it_is_told_of_alone(void **state)
{
	struct fixture *f = *state;

	device_put(f, AER, 4, 0x1402000b);
	plug(f, VFIO_ON_ERROR_GUEST);
	assert_int_equal(get(f, COLLECTOR, PCI_VENDOR_ID, 4), UINT32_MAX);
	report(f);
	assert_string_equal(f->fb.notice, "device.error: nic");
}

static void one_that_comes_later_needs_a_collector(void **state)
{
	struct fixture *f = *state;
	struct vfio_pci_cfg cfg = fake_vfio_cfg(&f->fv, "00:05.0");
	struct err e = { 0 };

	f->host->class->start(f->host);
	cfg.on_device_error = VFIO_ON_ERROR_GUEST;
	assert_int_equal(fake_board_add_fails(&f->fb, &vfio_pci_class, "nic", &cfg, &e),
			 -ERR_VFIO_DEVICE);
	assert_string_equal(e.msg, "the guest began without an event collector, by which it could "
				   "hear of errors");
}

#define TEST(t) cmocka_unit_test_setup_teardown(t, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(collector_is_what_a_kernel_looks_for),
		TEST(an_error_is_a_message_of_the_function),
		TEST(its_severity_is_the_guests_to_set),
		TEST(a_guest_that_does_not_listen_hears_nothing),
		TEST(the_host_keeps_hearing),
		TEST(a_reset_forgets_it),
		TEST(nobody_else_has_a_collector),
		TEST(a_device_without_it_is_told_of_alone),
		TEST(one_that_comes_later_needs_a_collector),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
