// SPDX-License-Identifier: MIT
/*
 * What the host says of a device that a VM has: errors, and that it wants the device back. A fake vmm passes it on for a
 * device of a simulated host (simhost.h), whatever the guest and vmd do meanwhile.
 */
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "lib/errcat.h"
#include "tests/functional/leases.h"
#include "tests/functional/scene.h"

#define OLD "0000:e1:01.0" /* shares its IOMMU group with OLDER */
#define OLDER "0000:e1:02.0"
#define SOON "2" /* seconds that a guest has: --step-timeout */

/* VM 'it' runs with VF in a vmm of this mode; its entry has `more`. */
static void begin(struct leases_world *w, const char *fake, const char *timeout, const char *more)
{
	char entry[256];

	leases_end_vmd(w, SIGTERM);
	leases_begin_vmd(w, fake, timeout);
	snprintf(entry, sizeof(entry), "{'pci': '" VF "'%s}", more);
	leases_define_passthrough(w, "it", entry);
	json_object_put(client_result(w->c, "event.subscribe", NULL));
	json_object_put(client_result(w->c, "vm.start", "{'vm': 'it'}"));
}

/* How often; the data of the last one, owned, or NULL. */
static size_t count_events(struct leases_world *w, const char *type, struct json_object **ret_data)
{
	char params[128];
	AUTO_JSON struct json_object *page = NULL;
	struct json_object *events;
	size_t n;

	snprintf(params, sizeof(params), "{'types': ['%s'], 'limit': 1000}", type);
	page = client_result(w->c, "event.list", params);
	events = json_get(page, "events");
	n = json_object_array_length(events);
	if (ret_data)
		*ret_data = n ? json_object_get(
					json_get(json_object_array_get_idx(events, n - 1), "data"))
			      : NULL;
	return n;
}

static void expect_attachment(struct leases_world *w, const char *expected)
{
	AUTO_JSON struct json_object *vm = client_result(w->c, "vm.get", "{'vm': 'it'}");
	struct json_object *a = json_at(vm, "/attachments/0");

	assert_string_equal(json_get_str(a, "state", ""), expected);
}

static void expect_told_once(struct leases_world *w)
{
	AUTO_JSON struct json_object *data = NULL;

	assert_int_equal(count_events(w, "device.requested", &data), 1);
	assert_string_equal(json_get_str(data, "name", ""), "it");
	assert_string_equal(json_get_str(data, "device", ""), "pci0");
	assert_string_equal(json_get_str(data, "pci", ""), VF);
}

static void test_guest_gives_it_up(void **state)
{
	struct leases_world *w = *state;

	NEEDS_KVM;
	begin(w, "wanted", SCENE_LONG, "");
	json_object_put(client_event(w->c, "device.detached", NULL));
	expect_told_once(w);
	expect_attachment(w, "detached");
	scene_expect_state(w->c, "it", "running");
	simhost_snapshot(w->h, w->after);
	assert_string_equal(w->after, w->before);
	/* its next start has it again */
	json_object_put(client_result(w->c, "vm.restart", "{'vm': 'it'}"));
	json_object_put(client_event(w->c, "device.detached", NULL));
	assert_int_equal(count_events(w, "device.requested", NULL), 2);
	json_object_put(client_result(w->c, "vm.stop", "{'vm': 'it'}"));
	leases_expect_clean(w);
}

/* It is asked again with each request, and another vmd tells nobody anew. */
static void test_guest_is_asked_again(void **state)
{
	struct leases_world *w = *state;
	AUTO_JSON struct json_object *done = NULL, *lease = NULL;

	NEEDS_KVM;
	begin(w, "wanted-late", SOON, "");
	json_object_put(client_event(w->c, "device.requested", NULL));
	lease = leases_find(w, VF);
	assert_non_null(json_get(lease, "requested"));
	do {
		json_object_put(done);
		done = client_event(w->c, "job.done", NULL);
	} while (strcmp(json_get_str(json_get(done, "data"), "op", ""), "detach") != 0);
	assert_int_equal(json_get_int(json_at(done, "/data/error"), "code", 0), ERR_TIMEOUT);
	assert_string_equal(json_get_str(json_get(done, "actor"), "program", ""), "vmd");
	expect_attachment(w, "detaching");
	leases_end_vmd(w, SIGKILL);
	leases_begin_vmd(w, "wanted-late", SOON);
	json_object_put(client_result(w->c, "event.subscribe", "{'since': 1}"));
	json_object_put(client_event(w->c, "device.detached", NULL));
	expect_told_once(w);
	scene_expect_state(w->c, "it", "running");
	json_object_put(client_result(w->c, "vm.stop", "{'vm': 'it'}"));
	leases_expect_clean(w);
}

static void test_guest_keeps_it_and_is_stopped(void **state)
{
	struct leases_world *w = *state;
	AUTO_JSON struct json_object *vm = NULL;

	NEEDS_KVM;
	begin(w, "wanted-keeps", SOON, ", 'on_device_request': 'stop'");
	json_object_put(client_event(w->c, "vm.state", "stopped"));
	expect_told_once(w);
	vm = client_result(w->c, "vm.get", "{'vm': 'it'}");
	assert_string_equal(json_get_str(vm, "desired", ""), "stopped");
	leases_expect_clean(w);
}

/* It is asked for once, told once, and runs on; or is stopped with the next request. */
static void test_guest_cannot_give_it_up(void **state)
{
	struct leases_world *w = *state;
	AUTO_JSON struct json_object *done = NULL;

	NEEDS_KVM;
	begin(w, "wanted-fixed", SCENE_LONG, ", 'on_device_request': 'stop'");
	do {
		json_object_put(done);
		done = client_event(w->c, "job.done", NULL);
	} while (strcmp(json_get_str(json_get(done, "data"), "op", ""), "detach") != 0);
	assert_int_equal(json_get_int(json_at(done, "/data/error"), "code", 0),
			 ERR_VM_DEVICE_FIXED);
	json_object_put(client_event(w->c, "vm.state", "stopped"));
	expect_told_once(w);
	leases_expect_clean(w);
}

/* And what is not the host's, whatever vmm says of it. */
static void test_told_and_nothing_else(void **state)
{
	struct leases_world *w = *state;
	AUTO_JSON struct json_object *data = NULL, *jobs = NULL;

	NEEDS_KVM;
	begin(w, "wanted-errors", SCENE_LONG, ", 'on_device_request': 'report'");
	for (int i = 0; i < 3; i++)
		json_object_put(client_event(w->c, "vm.reset", NULL));
	expect_told_once(w);
	assert_int_equal(count_events(w, "device.error", &data), 1);
	assert_string_equal(json_get_str(data, "device", ""), "pci0");
	assert_string_equal(json_get_str(data, "pci", ""), VF);
	assert_int_equal(json_get_int(data, "errors", 0), 1);
	jobs = client_result(w->c, "job.list", "{'state': 'running'}");
	assert_int_equal(json_object_array_length(json_get(jobs, "jobs")), 0);
	expect_attachment(w, "");
	leases_expect(w, VF, "it", "in-use");
}

/* The job of a detach that vmd itself began; owned. */
static struct json_object *detach_done(struct leases_world *w)
{
	struct json_object *done = NULL;

	do {
		json_object_put(done);
		done = client_event(w->c, "job.done", NULL);
	} while (strcmp(json_get_str(json_get(done, "data"), "op", ""), "detach") != 0);
	assert_string_equal(json_get_str(json_get(done, "actor"), "program", ""), "vmd");
	return done;
}

/* An error is no request: the VM goes on without the device, and its next start has it again. */
static void test_broken_device_goes(void **state)
{
	struct leases_world *w = *state;
	AUTO_JSON struct json_object *done = NULL;

	NEEDS_KVM;
	begin(w, "broken", SCENE_LONG, ", 'on_device_error': 'detach'");
	done = detach_done(w);
	assert_string_equal(json_get_str(json_get(done, "data"), "state", ""), "done");
	assert_int_equal(count_events(w, "device.error", NULL), 1);
	assert_int_equal(count_events(w, "device.requested", NULL), 0);
	expect_attachment(w, "detached");
	scene_expect_state(w->c, "it", "running");
	json_object_put(client_result(w->c, "vm.restart", "{'vm': 'it'}"));
	json_object_put(client_event(w->c, "device.detached", NULL));
	assert_int_equal(count_events(w, "device.error", NULL), 2);
	json_object_put(client_result(w->c, "vm.stop", "{'vm': 'it'}"));
	leases_expect_clean(w);
}

/* A guest that cannot be asked is asked once, not with each error that is told, and keeps the device. */
static void test_broken_device_stays(void **state)
{
	struct leases_world *w = *state;
	AUTO_JSON struct json_object *done = NULL, *jobs = NULL;
	unsigned int detaches = 0;

	NEEDS_KVM;
	begin(w, "broken-fixed", SCENE_LONG, ", 'on_device_error': 'detach'");
	done = detach_done(w);
	assert_int_equal(json_get_int(json_at(done, "/data/error"), "code", 0),
			 ERR_VM_DEVICE_FIXED);
	json_object_put(client_event(w->c, "device.error", NULL));
	assert_int_equal(count_events(w, "device.error", NULL), 2);
	jobs = client_result(w->c, "job.list", "{}");
	for (size_t i = 0; i < json_object_array_length(json_get(jobs, "jobs")); i++)
		detaches +=
			!strcmp(json_get_str(json_object_array_get_idx(json_get(jobs, "jobs"), i),
					     "op", ""),
				"detach");
	assert_int_equal(detaches, 1);
	leases_expect(w, VF, "it", "in-use");
	json_object_put(client_result(w->c, "vm.stop", "{'vm': 'it'}"));
	leases_expect_clean(w);
}

/* Its own kernel has been told: vmd asks for nothing. */
static void test_broken_device_is_the_guests(void **state)
{
	struct leases_world *w = *state;
	AUTO_JSON struct json_object *jobs = NULL;

	NEEDS_KVM;
	begin(w, "broken", SCENE_LONG, ", 'on_device_error': 'guest'");
	json_object_put(client_event(w->c, "device.error", NULL));
	jobs = client_result(w->c, "job.list", "{}");
	for (size_t i = 0; i < json_object_array_length(json_get(jobs, "jobs")); i++)
		assert_string_not_equal(
			json_get_str(json_object_array_get_idx(json_get(jobs, "jobs"), i), "op",
				     ""),
			"detach");
	leases_expect(w, VF, "it", "in-use");
	scene_expect_state(w->c, "it", "running");
	json_object_put(client_result(w->c, "vm.stop", "{'vm': 'it'}"));
	leases_expect_clean(w);
}

/* The other function of its group keeps it: it is told, and with `stop` the VM ends. */
static void test_shared_device_stays(void **state)
{
	struct leases_world *w = *state;

	NEEDS_KVM;
	begin(w, "wanted-errors", SCENE_LONG, "}, {'pci': '" OLD "'}, {'pci': '" OLDER "'");
	for (int i = 0; i < 3; i++)
		json_object_put(client_event(w->c, "vm.reset", NULL));
	scene_expect_state(w->c, "it", "running");
	leases_expect(w, OLD, "it", "in-use");
	leases_expect(w, OLDER, "it", "in-use");
	assert_int_equal(count_events(w, "device.requested", NULL), 3);
	json_object_put(client_result(w->c, "vm.stop", "{'vm': 'it'}"));
	leases_expect_clean(w);
}

static void test_shared_device_ends_the_vm(void **state)
{
	struct leases_world *w = *state;

	NEEDS_KVM;
	begin(w, "wanted-keeps", SOON,
	      ", 'on_device_request': 'report'}, {'pci': '" OLD
	      "', 'on_device_request': 'stop'}, {'pci': '" OLDER "', 'on_device_request': 'stop'");
	json_object_put(client_event(w->c, "vm.state", "stopped"));
	leases_expect_clean(w);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, leases_setup, leases_teardown)
	const struct CMUnitTest tests[] = {
		T(test_guest_gives_it_up),
		T(test_guest_is_asked_again),
		T(test_guest_keeps_it_and_is_stopped),
		T(test_guest_cannot_give_it_up),
		T(test_told_and_nothing_else),
		T(test_broken_device_goes),
		T(test_broken_device_stays),
		T(test_broken_device_is_the_guests),
		T(test_shared_device_stays),
		T(test_shared_device_ends_the_vm),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
