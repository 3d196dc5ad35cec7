// SPDX-License-Identifier: MIT
/* The policy file's part on PCI devices: see pci_policy.h. */
#include "vmd/pci_policy.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lib/auto.h"
#include "lib/errcat.h"
#include "lib/schema.h"
#include "lib/vmfile.h"

struct pci_policy {
	struct json_object
		*pci;	/* owned; never written to, so any thread may read it. NULL: empty */
	char name[256]; /* of the file */
};

static int pci_policy_refuse(const struct vmfile *f, const char *pointer, bool key, const char *msg,
			     struct err *e)
{
	unsigned int line = 1, column = 1;

	vmfile_locate(f, pointer, key, &line, &column);
	return err_set(e, ERR_INVALID, "%s:%u:%u: %s%s%s", f->name, line, column, pointer,
		       pointer[0] ? ": " : "", msg);
}

static int pci_policy_check_schema(const struct vmfile *f, struct err *e)
{
	struct schema_set *set = schema_set_new();
	struct schema_error where;
	const struct schema *schema;
	int ret = schema_set_get(set, "policy.json", &schema, e);

	if (ret >= 0 && schema_validate(schema, f->root, &where) < 0)
		ret = pci_policy_refuse(f, where.pointer, where.at_key, where.msg, e);
	schema_set_free(set);
	return ret;
}

static bool pci_policy_hex(const char *text)
{
	return !text || strspn(text, "0123456789abcdefABCDEF") == strlen(text);
}

static int pci_policy_check_item(const struct vmfile *f, const char *list, size_t i, struct err *e)
{
	struct json_object *item;
	char pointer[64];
	struct pci_addr addr;
	struct err why;

	snprintf(pointer, sizeof(pointer), "/pci/%s/%zu", list, i);
	item = json_at(f->root, pointer);
	if (!json_object_is_type(item, json_type_string))
		return pci_policy_hex(json_get_str(item, "vendor", NULL)) &&
				       pci_policy_hex(json_get_str(item, "device", NULL)) &&
				       pci_policy_hex(json_get_str(item, "class", NULL))
			       ? 0
			       : pci_policy_refuse(f, pointer, false,
						   "expected hexadecimal digits, as \"10de\"", e);
	if (pci_addr_parse(json_object_get_string(item), &addr, &why) >= 0)
		return 0;
	return pci_policy_refuse(f, pointer, false, why.msg, e);
}

static int pci_policy_check_lists(const struct vmfile *f, struct err *e)
{
	static const char *const lists[] = { "allow", "deny" };

	for (size_t k = 0; k < ARRAY_SIZE(lists); k++) {
		struct json_object *list = json_get(json_get(f->root, "pci"), lists[k]);

		for (size_t i = 0; list && i < json_object_array_length(list); i++) {
			int ret = pci_policy_check_item(f, lists[k], i, e);

			if (ret < 0)
				return ret;
		}
	}
	return 0;
}

int pci_policy_load(const char *path, bool needed, struct pci_policy **ret_policy, struct err *e)
{
	struct pci_policy *policy = calloc(1, sizeof(*policy));
	struct vmfile file = { 0 };
	int ret = 0;

	if (!policy)
		return err_ret(e, -ENOMEM, "cannot read '%s'", path);
	snprintf(policy->name, sizeof(policy->name), "%s", path);
	if (needed || access(path, F_OK) == 0 || errno != ENOENT) {
		ret = vmfile_load(path, &file, e);
		if (ret >= 0)
			ret = pci_policy_check_schema(&file, e);
		if (ret >= 0)
			ret = pci_policy_check_lists(&file, e);
		if (ret >= 0)
			policy->pci = json_object_get(json_get(file.root, "pci"));
		vmfile_fini(&file);
	}
	if (ret < 0) {
		pci_policy_free(policy);
		return err_wrap(e, "the policy file");
	}
	*ret_policy = policy;
	return 0;
}

void pci_policy_free(struct pci_policy *policy)
{
	if (!policy)
		return;
	json_object_put(policy->pci);
	free(policy);
}

static bool pci_policy_is_number(struct json_object *item, const char *key, uint16_t value)
{
	const char *text = json_get_str(item, key, NULL);

	return !text || strtoul(text, NULL, 16) == value;
}

static bool pci_policy_is_class(struct json_object *item, uint32_t class_code)
{
	const char *text = json_get_str(item, "class", NULL);
	char code[16];

	snprintf(code, sizeof(code), "%06x", class_code & 0xffffff);
	return !text || !strncasecmp(code, text, strlen(text));
}

static bool pci_policy_matches(struct json_object *item, const struct pci_function *f)
{
	struct pci_addr addr;

	if (json_object_is_type(item, json_type_string))
		return pci_addr_parse(json_object_get_string(item), &addr, NULL) >= 0 &&
		       !pci_addr_cmp(&addr, &f->addr);
	return pci_policy_is_number(item, "vendor", f->id.vendor) &&
	       pci_policy_is_number(item, "device", f->id.device) &&
	       pci_policy_is_class(item, f->class_code);
}

/* Its place in the list, or -1. */
static int pci_policy_find(const struct pci_policy *policy, const char *key,
			   const struct pci_function *f)
{
	struct json_object *list = json_get(policy->pci, key);

	for (size_t i = 0; list && i < json_object_array_length(list); i++)
		if (pci_policy_matches(json_object_array_get_idx(list, i), f))
			return (int)i;
	return -1;
}

void pci_policy_terms(const struct pci_policy *policy, const struct pci_function *f,
		      struct pci_terms *ret_terms)
{
	*ret_terms = (struct pci_terms){
		.allowed = pci_policy_find(policy, "allow", f) >= 0,
		.require_reset = json_get_bool(policy->pci, "require_reset", false),
	};
}

int pci_policy_denies(const struct pci_policy *policy, const struct pci_function *f, struct err *e)
{
	int i = pci_policy_find(policy, "deny", f);
	char addr[PCI_ADDR_SIZE];

	if (i < 0)
		return 0;
	err_set(e, ERR_PCI_DENIED, "the policy file keeps %s from VMs: /pci/deny/%d",
		pci_addr_format(&f->addr, addr), i);
	return err_hint(e, "take another device, or change %.120s and restart vmd", policy->name);
}

int pci_policy_check(const struct pci_policy *policy, const struct hostfs *h,
		     const struct pci_inventory *inventory, const struct pci_function *f,
		     const struct pci_addr *others, size_t n, struct err *e)
{
	struct pci_terms terms;
	int ret = pci_policy_denies(policy, f, e);

	if (ret < 0)
		return ret;
	pci_policy_terms(policy, f, &terms);
	terms.others = others;
	terms.n_others = n;
	return pci_check_terms(h, inventory, f, &terms, e);
}
