// SPDX-License-Identifier: MIT
/* See pools.h. */
#include "tests/functional/pools.h"

#include <stdio.h>
#include <string.h>

const char *pools_params(const char *name, const char *pfs, int vfs)
{
	static char text[512];

	snprintf(text, sizeof(text),
		 "{'pool': {'kind': 'pool', 'name': '%s', 'vfs': %d, 'pfs': %s}}", name, vfs, pfs);
	return text;
}

void pools_apply(struct leases_world *w, const char *name, const char *pfs, int vfs,
		 const char *result)
{
	AUTO_JSON struct json_object *o =
		client_result(w->c, "pool.apply", pools_params(name, pfs, vfs));

	assert_string_equal(json_get_str(o, "result", ""), result);
}

void pools_start_vm(struct leases_world *w, const char *name)
{
	char params[128];

	snprintf(params, sizeof(params), "{'vm': '%s'}", name);
	json_object_put(client_result(w->c, "vm.start", params));
}

void pools_stop_vm(struct leases_world *w, const char *name)
{
	char params[128];

	snprintf(params, sizeof(params), "{'vm': '%s'}", name);
	json_object_put(client_result(w->c, "vm.stop", params));
}

void pools_refuse_start(struct leases_world *w, const char *name, int code, const char *msg,
			const char *hint)
{
	char params[128];

	snprintf(params, sizeof(params), "{'vm': '%s'}", name);
	client_expect_error(w->c, "vm.start", params, code, msg, hint);
}

void pools_expect(struct leases_world *w, const char *name, const char *state, int vfs, int leased,
		  int free)
{
	AUTO_JSON struct json_object *o = NULL;
	char params[128];

	snprintf(params, sizeof(params), "{'name': '%s'}", name);
	o = client_result(w->c, "pool.get", params);
	assert_string_equal(json_get_str(o, "state", ""), state);
	assert_int_equal(json_get_int(o, "vfs", -1), vfs);
	assert_int_equal(json_get_int(o, "leased", -1), leased);
	assert_int_equal(json_get_int(o, "free", -1), free);
}

void pools_expect_pf(struct leases_world *w, const char *pf, int vfs, const char *link)
{
	AUTO_JSON struct json_object *o = NULL;
	char params[128];

	snprintf(params, sizeof(params), "{'pci': '%s'}", pf);
	o = client_result(w->c, "sriov.pf.get", params);
	assert_int_equal(json_get_int(o, "vfs", -1), vfs);
	assert_int_equal(json_object_array_length(json_get(o, "functions")), vfs);
	assert_string_equal(json_get_str(o, "link", "none"), link);
}

void pools_expect_lease(struct leases_world *w, const char *vm, size_t n, const char *pci,
			const char *reason)
{
	AUTO_JSON struct json_object *o = NULL;
	struct json_object *lease;
	char params[128];

	snprintf(params, sizeof(params), "{'vm': '%s'}", vm);
	o = client_result(w->c, "vm.get", params);
	lease = json_object_array_get_idx(json_get(o, "leases"), n);
	assert_string_equal(json_get_str(lease, "pci", ""), pci);
	assert_string_equal(json_get_str(lease, "reason", ""), reason);
}
