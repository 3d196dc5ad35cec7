// SPDX-License-Identifier: MIT
/* See netw.h. */
#include "tests/functional/netw.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void netw_serve(struct netw *w)
{
	harness_vmd(w->h, NULL, "--cgroup", "none", NULL);
	w->c = harness_client(w->h);
}

int netw_setup(void **state)
{
	struct netw *w = calloc(1, sizeof(*w));

	*state = w;
	if (!harness_has_kvm() || !netns_enter())
		return 0;
	w->h = harness_new();
	harness_program("vmm", w->kernel, sizeof(w->kernel));
	strcpy(strstr(w->kernel, "bin/vmm"), "tests/guest/hotplug");
	netns_run("ip link add br0 type bridge");
	netns_run("ip link set br0 mtu 1600 up");
	netw_serve(w);
	return 0;
}

int netw_teardown(void **state)
{
	struct netw *w = *state;

	harness_free(w->h);
	free(w);
	return 0;
}

void netw_define(struct netw *w, const char *name, const char *card)
{
	char params[1200];

	snprintf(params, sizeof(params),
		 "{'definition': {'name': '%s', 'profile': 'micro', 'memory': '32MiB', 'boot':"
		 " {'kernel': '%s'}, 'devices': [{'type': 'virtio-net', %s}]}}",
		 name, w->kernel, card);
	json_object_put(client_result(w->c, "vm.apply", params));
}

struct json_object *netw_ask(struct netw *w, const char *method, const char *vm)
{
	char params[64];

	snprintf(params, sizeof(params), "{'vm': '%s'}", vm);
	return client_result(w->c, method, params);
}

void netw_start(struct netw *w, const char *vm)
{
	json_object_put(netw_ask(w, "vm.start", vm));
}

void netw_end(struct netw *w, const char *vm)
{
	json_object_put(netw_ask(w, "vm.kill", vm));
}

const char *netw_shown(struct netw *w, const char *vm, int n, const char *key)
{
	AUTO_JSON struct json_object *o = netw_ask(w, "vm.get", vm);
	static char text[64];
	char pointer[64];

	snprintf(pointer, sizeof(pointer), "/networks/%d/%s", n, key);
	snprintf(text, sizeof(text), "%s",
		 json_at(o, pointer) ? json_object_get_string(json_at(o, pointer)) : "");
	return text;
}
