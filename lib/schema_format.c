// SPDX-License-Identifier: MIT
/* The types and formats of the schema validator, as tables. Any thread. */
#include "lib/cpulist.h"
#include "lib/netdef.h"
#include "lib/pci_addr.h"
#include "lib/schema_node.h"

#include <ctype.h>
#include <errno.h>
#include <string.h>

static const struct {
	const char *name;
	unsigned int bit;
} schema_types[] = {
	{ "object", SCHEMA_OBJECT },   { "array", SCHEMA_ARRAY },   { "string", SCHEMA_STRING },
	{ "integer", SCHEMA_INTEGER }, { "number", SCHEMA_NUMBER }, { "boolean", SCHEMA_BOOLEAN },
	{ "null", SCHEMA_NULL },
};

unsigned int schema_type_find(const char *name)
{
	for (size_t i = 0; i < ARRAY_SIZE(schema_types); i++)
		if (!strcmp(schema_types[i].name, name))
			return schema_types[i].bit;
	return 0;
}

unsigned int schema_type_of(const struct json_object *value)
{
	static const unsigned int bits[] = {
		[json_type_null] = SCHEMA_NULL,
		[json_type_boolean] = SCHEMA_BOOLEAN,
		[json_type_double] = SCHEMA_NUMBER,
		[json_type_int] = SCHEMA_NUMBER | SCHEMA_INTEGER,
		[json_type_object] = SCHEMA_OBJECT,
		[json_type_array] = SCHEMA_ARRAY,
		[json_type_string] = SCHEMA_STRING,
	};
	unsigned int bit = bits[json_object_get_type(value)];
	int64_t v;

	return bit == SCHEMA_NUMBER && json_int(value, &v) ? bit | SCHEMA_INTEGER : bit;
}

#define SCHEMA_SIZE "a size such as \"4GiB\""

static const char *schema_check_size(const char *text)
{
	uint64_t bytes;
	int ret = json_size_parse(text, &bytes);

	return !ret ? NULL : ret == -ERANGE ? "a size below 8192TiB" : SCHEMA_SIZE;
}

static const char *schema_check_name(const char *text)
{
	static const char first[] = "abcdefghijklmnopqrstuvwxyz0123456789";
	static const char all[] = "abcdefghijklmnopqrstuvwxyz0123456789._-";
	size_t n = strlen(text);

	if (n && n <= 63 && strchr(first, text[0]) && strspn(text, all) == n)
		return NULL;
	return "a name of at most 63 of a-z, 0-9, '.', '_' and '-' that starts with a letter or "
	       "digit";
}

static const char *schema_check_path(const char *text)
{
	size_t n = strlen(text);

	for (size_t i = 0; i < n; i++)
		if (iscntrl((unsigned char)text[i]))
			return "a path without control characters";
	return !n ? "a path" : n < 4096 ? NULL : "a path of at most 4095 bytes";
}

/* Bus 0, function 0; 00:00.0 is the host bridge, 00:1f.0 is kept for the bridges of a chipset. */
static const char *schema_check_pci_address(const char *text)
{
	static const char digits[] = "0123456789abcdef";

	if (strlen(text) == 7 && !strncmp(text, "00:", 3) && (text[3] == '0' || text[3] == '1') &&
	    strspn(text + 4, digits) == 1 && !strcmp(text + 5, ".0") &&
	    strncmp(text + 3, "00", 2) != 0 && strncmp(text + 3, "1f", 2) != 0)
		return NULL;
	return "a PCI address from \"00:01.0\" to \"00:1e.0\"";
}

static const char *schema_check_pci_function(const char *text)
{
	struct pci_addr addr;

	return pci_addr_parse(text, &addr, NULL) < 0
		       ? "a PCI function of the host such as \"0000:3b:00.0\""
		       : NULL;
}

#define SCHEMA_PCI_ID "four hexadecimal digits in quotes such as \"8086\""

static const char *schema_check_pci_id(const char *text)
{
	return strlen(text) == 4 && strspn(text, "0123456789abcdefABCDEF") == 4 ? NULL
										: SCHEMA_PCI_ID;
}

#define SCHEMA_UUID "a UUID such as \"1b4e28ba-2fa1-11d2-883f-0016d3cca427\""
#define SCHEMA_MAC "a MAC address such as \"52:54:00:12:34:56\""

/* Of one device: IEEE 802-2014, 8.2.2; bit 0 of the first byte is a group's. */
static const char *schema_check_mac(const char *text)
{
	static const char digits[] = "0123456789abcdefABCDEF";

	for (size_t i = 0; i < 17; i++)
		if (!text[i] || (i % 3 == 2 ? text[i] != ':' : !strchr(digits, text[i])))
			return SCHEMA_MAC;
	if (text[17])
		return SCHEMA_MAC;
	if (strchr("13579bdfBDF", text[1]))
		return "the MAC address of one device, not of a group (an odd first byte is "
		       "multicast)";
	return strspn(text, "0:") == 17 ? "a MAC address that is not all zeros" : NULL;
}

/* dev_valid_name() of the kernel; the dash would be taken for an option */
static const char *schema_check_ifname(const char *text)
{
	size_t n = strlen(text);

	for (size_t i = 0; i < n; i++)
		if (!isgraph((unsigned char)text[i]) || strchr("/:%", text[i]))
			n = 0;
	if (!n || n > NETDEF_IFNAME_MAX || text[0] == '-' || !strcmp(text, ".") ||
	    !strcmp(text, ".."))
		return "the name of a network interface, at most 15 characters";
	return NULL;
}

#define SCHEMA_FORWARD "PROTOCOL:[ADDRESS:]PORT:GUEST-PORT such as \"tcp:8080:80\""

static const char *schema_check_forward(const char *text)
{
	struct netdef_forward forward;

	return netdef_forward_parse(text, &forward) < 0 ? SCHEMA_FORWARD : NULL;
}

/* RFC 4122, section 3 */
static const char *schema_check_uuid(const char *text)
{
	size_t n = strspn(text, "0123456789abcdefABCDEF-");

	if (n != 36 || text[n])
		return SCHEMA_UUID;
	for (size_t i = 0; i < n; i++)
		if ((text[i] == '-') != (i == 8 || i == 13 || i == 18 || i == 23))
			return SCHEMA_UUID;
	return NULL;
}

#define SCHEMA_CPU_LIST "processors such as \"3\" or \"2,4-7\""

static const char *schema_check_cpu_list(const char *text)
{
	cpu_set_t set;

	return cpulist_parse(text, &set) < 0 ? SCHEMA_CPU_LIST : NULL;
}

static const struct schema_format schema_formats[] = {
	{ "uuid", SCHEMA_UUID, false, schema_check_uuid },
	{ "size", SCHEMA_SIZE, true, schema_check_size },
	{ "name", "a name", false, schema_check_name },
	{ "path", "a path", false, schema_check_path },
	{ "pci-address", "a PCI address such as \"00:03.0\"", false, schema_check_pci_address },
	{ "pci-function", "a PCI function of the host such as \"0000:3b:00.0\"", false,
	  schema_check_pci_function },
	{ "pci-id", SCHEMA_PCI_ID, false, schema_check_pci_id },
	{ "mac", SCHEMA_MAC, false, schema_check_mac },
	{ "ifname", "the name of a network interface", false, schema_check_ifname },
	{ "forward", SCHEMA_FORWARD, false, schema_check_forward },
	{ "cpu-list", SCHEMA_CPU_LIST, false, schema_check_cpu_list },
};

const struct schema_format *schema_format_find(const char *name)
{
	for (size_t i = 0; i < ARRAY_SIZE(schema_formats); i++)
		if (!strcmp(schema_formats[i].name, name))
			return &schema_formats[i];
	return NULL;
}

bool schema_format_valid(const char *format, const char *text)
{
	const struct schema_format *f = schema_format_find(format);

	return f && !f->check(text);
}
