// SPDX-License-Identifier: MIT
/* Completion: see complete.h. The words before the cursor say which table the current one is looked up in. */
#include "vmctl/complete.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>
#include <unistd.h>

#include "lib/auto.h"
#include "lib/errcat.h"
#include "lib/keys.h"
#include "lib/netdef.h"
#include "vmctl/changes.h"
#include "vmctl/commands.h"
#include "vmctl/completion.h"
#include "vmctl/vmctl.h"

struct complete {
	FILE *out;
	char *const *words; /* all of them */
	int n;
	const char *current,
		*prefix; /* what is typed; what stands before it in the same word ("--output=") */
	size_t prefix_len;
	const char *socket;
	const char *group; /* first word of a command of two */
	const struct command *command;
	const struct args_option *pending; /* the option whose value the current word is */
	const char *operands[32];	   /* given before */
	size_t noperands;
	bool ended; /* "--" was read */
	bool lost;  /* a command that is none: nothing fits behind it */
};

static void complete_offer(const struct complete *c, const char *word, const char *what)
{
	if (strncmp(word, c->current, strlen(c->current)))
		return;
	fprintf(c->out, "%.*s%s%s%s\n", (int)c->prefix_len, c->prefix, word, what ? "\t" : "",
		what ? what : "");
}

/* --- what vmd knows --------------------------------------------------------------------------------- */

static void complete_too_late(int signum)
{
	(void)signum;
	_exit(0);
}

/* The answer, or NULL. A vmd that hangs, or a socket that does not even accept, ends the whole program. */
static struct json_object *complete_ask(const struct complete *c, const char *method,
					struct json_object *take_params)
{
	const struct itimerval limit = { .it_value = { .tv_usec = COMPLETE_LIMIT_MS * 1000 } };
	const struct itimerval none = { 0 };
	struct json_object *result = NULL;
	struct client_reply reply = { 0 };
	struct client client;

	signal(SIGALRM, complete_too_late);
	setitimer(ITIMER_REAL, &limit, NULL);
	if (client_open(&client, c->socket, NULL) < 0)
		json_object_put(take_params);
	else if (client_call(&client, method, take_params, &reply, NULL) >= 0)
		result = TAKE_PTR(reply.result);
	client_reply_fini(&reply);
	client_close(&client);
	setitimer(ITIMER_REAL, &none, NULL);
	return result;
}

static bool complete_given(const struct complete *c, const char *name)
{
	for (size_t i = 0; i < c->noperands; i++)
		if (!strcmp(c->operands[i], name))
			return true;
	return false;
}

/* Is the state one of the words? */
static bool complete_state(const char *states, const char *state)
{
	const char *at = states ? strstr(states, state) : NULL;
	size_t len = strlen(state);

	return !states ||
	       (at && len && (at == states || at[-1] == ' ') && (!at[len] || at[len] == ' '));
}

static void complete_vms(struct complete *c)
{
	AUTO_JSON struct json_object *result = complete_ask(c, "vm.list", json_new());
	struct json_object *vms = json_get(result, "vms");

	for (size_t i = 0; vms && i < json_object_array_length(vms); i++) {
		const struct json_object *vm = json_object_array_get_idx(vms, i);
		const char *name = json_get_str(vm, "name", "");
		const char *state = json_get_str(json_get(vm, "observed"), "state", "");

		if (complete_state(c->command->states, state) && !complete_given(c, name))
			complete_offer(c, name, state);
	}
}

static void complete_jobs(struct complete *c)
{
	AUTO_JSON struct json_object *result = complete_ask(c, "job.list", json_new());
	struct json_object *jobs = json_get(result, "jobs");

	for (size_t i = 0; jobs && i < json_object_array_length(jobs); i++) {
		const struct json_object *job = json_object_array_get_idx(jobs, i);
		const char *state = json_get_str(job, "state", "");
		char what[100];

		snprintf(what, sizeof(what), "%s %s, %s", json_get_str(job, "op", ""),
			 json_get_str(job, "name", ""), state);
		if (complete_state(c->command->states, state))
			complete_offer(c, json_get_str(job, "job", ""), what);
	}
}

/* `pci release`: what is in quarantine, and why */
static void complete_quarantined(struct complete *c)
{
	AUTO_JSON struct json_object *result = complete_ask(c, "lease.list", json_new());
	struct json_object *list = json_get(result, "leases");

	for (size_t i = 0; list && i < json_object_array_length(list); i++) {
		const struct json_object *lease = json_object_array_get_idx(list, i);

		if (!strcmp(json_get_str(lease, "state", ""), "quarantined"))
			complete_offer(c, json_get_str(lease, "pci", ""),
				       json_get_str(lease, "quarantine", NULL));
	}
}

/* `sriov pf`: what can have VFs, with its interface */
static void complete_pfs(struct complete *c)
{
	AUTO_JSON struct json_object *result = complete_ask(c, "sriov.pf.list", json_new());
	struct json_object *list = json_get(result, "pfs");

	for (size_t i = 0; list && i < json_object_array_length(list); i++) {
		struct json_object *pf = json_object_array_get_idx(list, i);

		complete_offer(c, json_get_str(pf, "pci", ""),
			       json_object_get_string(json_at(pf, "/netdevs/0")));
	}
}

static void complete_pools(struct complete *c)
{
	AUTO_JSON struct json_object *result = complete_ask(c, "pool.list", json_new());
	struct json_object *list = json_get(result, "pools");

	for (size_t i = 0; list && i < json_object_array_length(list); i++) {
		const struct json_object *pool = json_object_array_get_idx(list, i);
		char what[64];

		snprintf(what, sizeof(what), "%s, %lld of %lld VFs free",
			 json_get_str(pool, "state", "?"), (long long)json_get_int(pool, "free", 0),
			 (long long)json_get_int(pool, "vfs", 0));
		complete_offer(c, json_get_str(pool, "name", ""), what);
	}
}

/* What may be passed through, with its name; bridges are nobody's. */
static void complete_pci_all(struct complete *c)
{
	AUTO_JSON struct json_object *result = complete_ask(c, "pci.list", json_new());
	struct json_object *list = json_get(result, "functions");

	for (size_t i = 0; list && i < json_object_array_length(list); i++) {
		const struct json_object *f = json_object_array_get_idx(list, i);
		const char *name = json_get_str(f, "device_name", "");

		if (strcmp(json_get_str(f, "role", ""), "bridge") != 0)
			complete_offer(c, json_get_str(f, "pci", ""), name[0] ? name : NULL);
	}
}

/* An address means another thing to each command. */
static void complete_pci(struct complete *c)
{
	if (!strcmp(c->command->name, "release"))
		complete_quarantined(c);
	else if (c->command->group && !strcmp(c->command->group, "sriov"))
		complete_pfs(c);
	else
		complete_pci_all(c);
}

static void complete_consoles(struct complete *c)
{
	AUTO_JSON struct json_object *result = complete_ask(
		c, "vm.get", json_add_str(json_new(), "vm", c->noperands ? c->operands[0] : ""));
	struct json_object *ids = json_get(result, "consoles");

	for (size_t i = 0; ids && i < json_object_array_length(ids); i++)
		complete_offer(c, json_object_get_string(json_object_array_get_idx(ids, i)), NULL);
}

static void complete_scsi_disks(struct complete *c, struct json_object *list)
{
	for (size_t i = 0; list && i < json_object_array_length(list); i++) {
		const struct json_object *d = json_object_array_get_idx(list, i);

		complete_offer(c, json_get_str(d, "id", ""), json_get_str(d, "kind", "disk"));
	}
}

static void complete_device_list(struct complete *c, struct json_object *list, const char *key)
{
	for (size_t i = 0; list && i < json_object_array_length(list); i++) {
		const struct json_object *d = json_object_array_get_idx(list, i);
		const char *type = json_get_str(d, "type", "");

		if (!strncmp(type, "vfio-", 5) || !strcmp(type, "virtio-blk") ||
		    !strcmp(type, "virtio-rng") || netdef_is_card(type) ||
		    !strcmp(type, "virtio-scsi"))
			complete_offer(c, json_get_str(d, key, ""), type);
		if (!strcmp(type, "virtio-scsi") ||
		    !strcmp(type, "ahci")) /* those of others stay */
			complete_scsi_disks(c, json_get(d, "disks"));
	}
}

/* What a VM can be asked to let go. */
static void complete_devices(struct complete *c)
{
	AUTO_JSON struct json_object *result = complete_ask(
		c, "vm.get", json_add_str(json_new(), "vm", c->noperands ? c->operands[0] : ""));

	complete_device_list(c, json_get(json_get(result, "config"), "devices"), "id");
	complete_device_list(c, json_get(result, "attachments"), "device");
}

static void complete_controllers(struct complete *c, const char *type)
{
	AUTO_JSON struct json_object *result = complete_ask(
		c, "vm.get", json_add_str(json_new(), "vm", c->noperands ? c->operands[0] : ""));
	struct json_object *list = json_get(json_get(result, "config"), "devices");

	for (size_t i = 0; list && i < json_object_array_length(list); i++) {
		const struct json_object *d = json_object_array_get_idx(list, i);

		if (!strcmp(json_get_str(d, "type", ""), type))
			complete_offer(c, json_get_str(d, "id", ""), NULL);
	}
}

static void complete_scsi(struct complete *c)
{
	complete_controllers(c, "virtio-scsi");
}

static void complete_ahci(struct complete *c)
{
	complete_controllers(c, "ahci");
}

static void complete_cards(struct complete *c)
{
	AUTO_JSON struct json_object *result = complete_ask(
		c, "vm.get", json_add_str(json_new(), "vm", c->noperands ? c->operands[0] : ""));
	struct json_object *list = json_get(result, "networks");

	for (size_t i = 0; list && i < json_object_array_length(list); i++) {
		const struct json_object *n = json_object_array_get_idx(list, i);

		complete_offer(c, json_get_str(n, "device", ""), json_get_str(n, "network", ""));
	}
}

static void complete_links(struct complete *c)
{
	complete_offer(c, "up", "plugged in");
	complete_offer(c, "down", "pulled out");
}

/* "ctrl+alt+": each key behind what is there */
static void complete_keys(struct complete *c)
{
	const char *plus = strrchr(c->current, '+');
	int before = plus ? (int)(plus + 1 - c->current) : 0;
	char word[256];

	for (const struct keys_name *k = keys_names; k->name; k++) {
		snprintf(word, sizeof(word), "%.*s%s", before, c->current, k->name);
		complete_offer(c, word, NULL);
	}
}

static void complete_attach_kinds(struct complete *c)
{
	complete_offer(c, "pci", "a device of the host");
	complete_offer(c, "scsi", "a SCSI device of the host, at a SCSI controller");
	complete_offer(c, "disk", "an image, by virtio-blk, or at a SCSI or AHCI controller");
	complete_offer(c, "cdrom", "a drive at a SCSI or AHCI controller");
	complete_offer(c, "nic", "a network card: user, bridge:NAME, private:NAME, tap:NAME");
	complete_offer(c, "rng", "entropy, by virtio-rng");
}

static void complete_methods(struct complete *c)
{
	AUTO_JSON struct json_object *result = complete_ask(c, "rpc.discover", json_new());
	struct json_object *methods = json_get(result, "methods");

	for (size_t i = 0; methods && i < json_object_array_length(methods); i++) {
		const struct json_object *m = json_object_array_get_idx(methods, i);

		complete_offer(c, json_get_str(m, "name", ""), json_get_str(m, "summary", NULL));
	}
}

/* `revert VM --to`, `export VM --revision`: the numbers, and what each changed */
static void complete_revisions(struct complete *c)
{
	AUTO_JSON struct json_object *result =
		complete_ask(c, "vm.history",
			     json_add_str(json_new(), "vm", c->noperands ? c->operands[0] : ""));
	struct json_object *list = json_get(result, "revisions");

	for (size_t i = 0; list && i < json_object_array_length(list); i++) {
		const struct json_object *r = json_object_array_get_idx(list, i);
		char number[24], changes[60];

		snprintf(number, sizeof(number), "%lld", (long long)json_get_int(r, "revision", 0));
		changes_join(json_get(r, "changes"), changes, sizeof(changes));
		complete_offer(c, number, changes[0] ? changes : NULL);
	}
}

/* --- what the tables know ------------------------------------------------------------------------------ */

/* Commands and groups, or the commands of the group. */
static void complete_commands(struct complete *c)
{
	const char *last = "";

	for (const struct command *row = commands; row->name; row++) {
		if (c->group ? !row->group || strcmp(row->group, c->group) : !!row->group)
			continue;
		complete_offer(c, row->name, row->summary);
	}
	for (const struct command *row = commands; row->name && !c->group; row++) {
		if (!row->group || !strcmp(row->group, last))
			continue;
		last = row->group;
		complete_offer(c, row->group, "more commands");
	}
}

/* `help host info` */
static void complete_help(struct complete *c)
{
	c->group = c->noperands ? c->operands[0] : NULL;
	complete_commands(c);
}

/* `explain`: errors by name, and what keys begin with */
static void complete_errors(struct complete *c)
{
	for (const struct errcat_entry *e = errcat_entries; e->name; e++)
		complete_offer(c, e->name, NULL);
	complete_offer(c, "vm", "keys of a VM file");
}

static void complete_shells(struct complete *c)
{
	for (const struct completion *s = completions; s->shell; s++)
		complete_offer(c, s->shell, NULL);
}

static void complete_files(struct complete *c)
{
	fputs(":files\n", c->out);
}

/* By the word in the table: of an operand, or of an option's value. */
static const struct {
	const char *word;
	void (*offer)(struct complete *c);
} complete_kinds[] = {
	{ "VM", complete_vms },
	{ "CONSOLE", complete_consoles },
	{ "METHOD", complete_methods },
	{ "COMMAND", complete_help },
	{ "FILE", complete_files },
	{ "PATH", complete_files },
	{ "ERROR|KEY", complete_errors },
	{ "REVISION", complete_revisions },
	{ "JOB", complete_jobs },
	{ "SHELL", complete_shells },
	{ "ADDRESS", complete_pci },
	{ "DEVICE", complete_devices },
	{ "NAME", complete_pools },
	{ "POOL", complete_pools },
	{ "KIND", complete_attach_kinds },
	{ "CARD", complete_cards },
	{ "CONTROLLER", complete_scsi },
	{ "AHCI", complete_ahci },
	{ "LINK", complete_links },
	{ "KEY", complete_keys },
	{ "DIR", complete_files },
};

/* "list|show|set": words as they are typed */
static void complete_words(struct complete *c, const char *words, size_t len)
{
	char word[32];

	for (const char *end = words + len; words < end; words += strcspn(words, "|") + 1) {
		snprintf(word, sizeof(word), "%.*s",
			 (int)MIN(strcspn(words, "|"), (size_t)(end - words)), words);
		complete_offer(c, word, NULL);
	}
}

static void complete_kind(struct complete *c, const char *word, size_t len)
{
	if (*word >= 'a' && *word <= 'z')
		complete_words(c, word, len);
	for (size_t i = 0; i < ARRAY_SIZE(complete_kinds); i++)
		if (strlen(complete_kinds[i].word) == len &&
		    !memcmp(complete_kinds[i].word, word, len))
			complete_kinds[i].offer(c);
}

/* "VM [CONSOLE]", "FILE...": the word of the operand that comes next; the last may be repeated. */
static void complete_operand(struct complete *c)
{
	const char *at = c->command->operands;
	size_t len;

	for (size_t i = 0; at; i++) {
		at += strspn(at, " [");
		len = strcspn(at, " ].");
		if (i == c->noperands || strstr(at, "...") == at + len) {
			complete_kind(c, at, len);
			return;
		}
		at = strchr(at, ' ');
	}
}

static void complete_value(struct complete *c)
{
	const struct args_option *o = c->pending;

	for (const char *const *choice = o->choices; choice && *choice; choice++)
		complete_offer(c, *choice, NULL);
	if (o->metavar)
		complete_kind(c, o->metavar, strlen(o->metavar));
}

static void complete_options_of(const struct complete *c, const struct args_option *table)
{
	char name[64];

	for (; table && table->name; table++) {
		snprintf(name, sizeof(name), "--%s", table->name);
		complete_offer(c, name, table->help);
	}
}

/* --- the words before ------------------------------------------------------------------------------------- */

static const struct args_option *complete_option(const struct complete *c, const char *name,
						 size_t len, char letter)
{
	const struct args_option *tables[] = { c->command ? c->command->options : NULL,
					       command_globals };

	for (size_t i = 0; i < ARRAY_SIZE(tables); i++)
		for (const struct args_option *o = tables[i]; o && o->name; o++)
			if (name ? strlen(o->name) == len && !memcmp(o->name, name, len)
				 : letter && o->letter == letter)
				return o;
	return NULL;
}

/* "-qs": the last letter may want a value. Else what is attached is the value. */
static const struct args_option *complete_letters(const struct complete *c, const char *word,
						  const char **ret_value)
{
	*ret_value = NULL;
	for (const char *l = word + 1; *l; l++) {
		const struct args_option *o = complete_option(c, NULL, 0, *l);

		if (!o || o->type == ARGS_FLAG)
			continue;
		*ret_value = l[1] ? l + 1 : NULL;
		return o;
	}
	return NULL;
}

/* The option that takes a value in this word, with what is attached of it, or NULL. */
static const struct args_option *complete_takes(const struct complete *c, const char *word,
						const char **ret_value)
{
	const struct args_option *o;
	const char *equals = strchr(word, '=');

	if (word[1] != '-')
		return complete_letters(c, word, ret_value);
	*ret_value = equals ? equals + 1 : NULL;
	o = complete_option(c, word + 2, equals ? (size_t)(equals - word - 2) : strlen(word + 2),
			    0);
	return o && o->type != ARGS_FLAG ? o : NULL;
}

static void complete_word(struct complete *c, const char *word)
{
	int ret = 0;

	if (c->command) {
		if (c->noperands < ARRAY_SIZE(c->operands))
			c->operands[c->noperands++] = word;
		return;
	}
	ret = command_find(commands, c->group ? c->group : word, c->group ? word : NULL,
			   &c->command, NULL);
	if (ret == -EAGAIN)
		c->group = word;
	else if (ret < 0)
		c->lost = true;
}

static void complete_read(struct complete *c)
{
	for (int i = 0; i < c->n - 1; i++) {
		const char *word = c->words[i], *value;

		if (c->ended || word[0] != '-' || !word[1]) {
			complete_word(c, word);
			continue;
		}
		c->ended = !strcmp(word, "--");
		c->pending = complete_takes(c, word, &value);
		if (c->pending && !value && i + 1 < c->n - 1)
			value = c->words[++i];
		if (c->pending && !strcmp(c->pending->name, "socket") && value)
			c->socket = value;
		if (value)
			c->pending = NULL;
	}
}

/* A value in the same word as its option: "--output=js". */
static void complete_attached(struct complete *c)
{
	const char *value;
	const struct args_option *o = complete_takes(c, c->current, &value);

	if (!o || !value)
		return;
	c->pending = o;
	c->prefix_len = (size_t)(value - c->current);
	c->current = value;
}

void complete_print(int n, char *const *words, FILE *out)
{
	const char *socket = getenv("VMD_SOCKET");
	struct complete c = { .out = out, .words = words, .n = n };

	if (n < 1)
		return;
	c.socket = socket && socket[0] ? socket : CLIENT_SOCKET_DEFAULT;
	c.current = c.prefix = words[n - 1];
	complete_read(&c);
	if (!c.pending && !c.ended && c.current[0] == '-' && c.current[1])
		complete_attached(&c);
	if (c.pending) {
		complete_value(&c);
	} else if (!c.ended && c.current[0] == '-') {
		complete_options_of(&c, c.command ? c.command->options : NULL);
		complete_options_of(&c, command_globals);
	} else if (c.command) {
		complete_operand(&c);
	} else if (!c.lost) {
		complete_commands(&c);
	}
}
