// SPDX-License-Identifier: MIT
/* Roles by group, and who may do what: see role.h. On the loop's thread. */
#include "vmd/role.h"

#include <ctype.h>
#include <errno.h>
#include <grp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lib/auto.h"
#include "lib/errcat.h"
#include "vmd/call.h"
#include "vmd/client.h"
#include "vmd/daemon.h"
#include "vmd/methods.h"
#include "vmd/server.h"

#define ROLE_GROUPS_MAX 65536 /* the kernel's limit for a process */
#define ROLE_ENTRY_MAX (1024 * 1024)

static const struct {
	const char *name, *group; /* the usual group */
} role_table[ROLE_COUNT] = {
	[ROLE_NONE] = { "none", NULL },
	[ROLE_VIEWER] = { "viewer", "vmd-viewer" },
	[ROLE_OPERATOR] = { "operator", "vmd-operator" },
	[ROLE_ADMIN] = { "admin", "vmd" },
};

const char *role_name(enum role role)
{
	return role_table[role].name;
}

/* A group's number needs no entry. */
static bool role_group_number(const char *name, gid_t *ret_gid)
{
	char *end;
	unsigned long n;

	if (!isdigit((unsigned char)name[0]))
		return false;
	errno = 0;
	n = strtoul(name, &end, 10);
	if (*end || errno || n >= (gid_t)-1)
		return false;
	*ret_gid = (gid_t)n;
	return true;
}

static int role_group_find(struct role_group *g, struct err *e)
{
	AUTO_FREE char *space = malloc(ROLE_ENTRY_MAX);
	struct group entry, *found = NULL;

	if (!space)
		return err_ret(e, -ENOMEM, "cannot look for group '%s'", g->name);
	g->known = role_group_number(g->name, &g->gid);
	if (g->known || getgrnam_r(g->name, &entry, space, ROLE_ENTRY_MAX, &found) || !found)
		return 0;
	g->gid = found->gr_gid;
	g->known = true;
	return 0;
}

int role_groups_init(struct role_groups *g, const char *const names[static ROLE_COUNT],
		     struct err *e)
{
	*g = (struct role_groups){ 0 };
	for (int role = ROLE_VIEWER; role < ROLE_COUNT; role++) {
		const char *name = names[role] ? names[role] : role_table[role].group;
		int ret;

		snprintf(g->of[role].name, sizeof(g->of[role].name), "%s", name);
		ret = role_group_find(&g->of[role], e);
		if (ret < 0)
			return ret;
		if (names[role] && !g->of[role].known)
			return err_set(e, ENOENT, "there is no group '%s' (--%s-group)", name,
				       role_table[role].name);
	}
	return 0;
}

bool role_groups_open(const struct role_groups *g)
{
	return g->of[ROLE_VIEWER].known || g->of[ROLE_OPERATOR].known;
}

static enum role role_of_group(const struct role_groups *g, gid_t gid)
{
	for (int role = ROLE_COUNT - 1; role > ROLE_NONE; role--)
		if (g->of[role].known && g->of[role].gid == gid)
			return (enum role)role;
	return ROLE_NONE;
}

enum role role_of_peer(const struct role_groups *g, int fd, const struct ucred *cred)
{
	AUTO_FREE gid_t *groups = NULL;
	enum role best = role_of_group(g, cred->gid);
	socklen_t len = 0;

	if (!cred->uid || cred->uid == geteuid())
		return ROLE_ADMIN;
	/* the first call says how much there is */
	if (getsockopt(fd, SOL_SOCKET, SO_PEERGROUPS, NULL, &len) >= 0 || errno != ERANGE ||
	    len > ROLE_GROUPS_MAX * sizeof(*groups))
		return best;
	groups = malloc(len);
	if (!groups || getsockopt(fd, SOL_SOCKET, SO_PEERGROUPS, groups, &len) < 0)
		return best;
	for (size_t i = 0; i < len / sizeof(*groups); i++)
		best = MAX(best, role_of_group(g, groups[i]));
	return best;
}

/* The VM is there and is somebody else's: refused. One that is not there is the method's to answer. */
static int role_check_owner(const struct call *call, const char *word, bool exact, struct err *e)
{
	struct state_vm vm;
	int ret = state_vm_find(call->daemon->state, word, &vm, e);

	if (ret == -ERR_VM_NOT_FOUND)
		return 0;
	/* a definition's name may be the beginning of some id: then it is a new VM's */
	if (ret < 0 || (exact && strcmp(vm.name, word)) || vm.owner == call->actor.uid)
		return MIN(ret, 0);
	err_set(e, ERR_DENIED, "%s: VM '%s' belongs to user %u, and you are user %u",
		call->method->name, vm.name, (unsigned int)vm.owner, (unsigned int)call->actor.uid);
	return err_hint(e, "its owner may, and members of the group '%s'",
			server_roles(call->client->server)->of[ROLE_ADMIN].name);
}

static int role_check_operator(const struct call *call, const struct method_info *info,
			       struct err *e)
{
	const char *vm = json_get_str(call->params, "vm", NULL);
	const char *name = json_get_str(json_get(call->params, "definition"), "name", NULL);
	int ret = vm ? role_check_owner(call, vm, false, e) : 0;

	if (ret >= 0 && name)
		ret = role_check_owner(call, name, true, e);
	/* when it names none though it must, the schema says so next */
	if (ret < 0 || vm || name || info->needs_vm)
		return ret;
	err_set(e, ERR_DENIED, "%s is for administrators", call->method->name);
	return err_hint(e, "members of the group '%s' may",
			server_roles(call->client->server)->of[ROLE_ADMIN].name);
}

int role_check_vm(const struct call *call, const char *vm, struct err *e)
{
	return call->client->role == ROLE_ADMIN ? 0 : role_check_owner(call, vm, false, e);
}

int role_check(const struct call *call, const struct method_info *info, struct err *e)
{
	enum role role = call->client->role;

	if (role == ROLE_ADMIN || (info->read && !info->owner))
		return 0;
	if (role == ROLE_OPERATOR)
		return info->any ? 0 : role_check_operator(call, info, e);
	err_set(e, ERR_DENIED, "%s is not for viewers", call->method->name);
	return err_hint(e, "members of the groups '%s' and '%s' may",
			server_roles(call->client->server)->of[ROLE_OPERATOR].name,
			server_roles(call->client->server)->of[ROLE_ADMIN].name);
}
