// SPDX-License-Identifier: MIT
/* Names of PCI devices: right ones, for several workers at once (a build with ThreadSanitizer looks at that). */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "vmd/pci_names.h"

#define WORKERS 4

struct worker {
	pthread_t thread;
	char vendor[128], device[128], class_name[128], unknown[128];
};

static void *work(void *arg)
{
	struct pci_names *names = pci_names_new();
	struct worker *w = arg;

	pci_names_vendor(names, 0x8086, w->vendor, sizeof(w->vendor));
	pci_names_device(names, 0x8086, 0x10c9, w->device, sizeof(w->device));
	pci_names_class(names, 0x020000, w->class_name, sizeof(w->class_name));
	strcpy(w->unknown, "left alone");
	pci_names_vendor(names, 0xfff0, w->unknown, sizeof(w->unknown));
	pci_names_free(names);
	return NULL;
}

static void test_several_at_once(void **state)
{
	struct worker workers[WORKERS];

	(void)state;
	for (int i = 0; i < WORKERS; i++)
		assert_int_equal(pthread_create(&workers[i].thread, NULL, work, &workers[i]), 0);
	for (int i = 0; i < WORKERS; i++) {
		struct worker *w = &workers[i];

		assert_int_equal(pthread_join(w->thread, NULL), 0);
		assert_string_equal(w->vendor, "Intel Corporation");
		assert_string_equal(w->device, "82576 Gigabit Network Connection");
		assert_string_equal(w->class_name, "Ethernet controller");
		assert_string_equal(w->unknown, "");
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_several_at_once),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
