// SPDX-License-Identifier: MIT
/* What a scalar without quotes means: YAML 1.2's core schema (section 10.3). See vmfile.h. Any thread. */
#include "lib/vmfile.h"

#include <errno.h>
#include <string.h>

static bool vmfile_one_of(const char *text, const char *const *words)
{
	for (; *words; words++)
		if (!strcmp(text, *words))
			return true;
	return false;
}

/* [-+]? [0-9]+ | 0o [0-7]+ | 0x [0-9a-fA-F]+: the base, or 0; *ret_digits is what strtoll reads */
static int vmfile_integer_base(const char *text, const char **ret_digits)
{
	const char *digits = text + (*text == '-' || *text == '+');
	int base = 10;

	if (text[0] == '0' && (text[1] == 'o' || text[1] == 'x')) {
		base = text[1] == 'o' ? 8 : 16;
		digits = text + 2;
	}
	*ret_digits = base == 10 ? text : digits;
	if (!*digits || digits[strspn(digits, base == 8	   ? "01234567"
					      : base == 10 ? "0123456789"
							   : "0123456789abcdefABCDEF")])
		return 0;
	return base;
}

/* [-+]? ( \. [0-9]+ | [0-9]+ ( \. [0-9]* )? ) ( [eE] [-+]? [0-9]+ )? */
static bool vmfile_is_float(const char *text)
{
	const char *p = text + (*text == '-' || *text == '+');
	size_t whole = strspn(p, "0123456789"), part = 0;

	p += whole;
	if (*p == '.') {
		part = strspn(++p, "0123456789");
		p += part;
	}
	if (!whole && !part)
		return false;
	if (*p == 'e' || *p == 'E') {
		p++;
		p += *p == '-' || *p == '+';
		part = strspn(p, "0123456789");
		p += part;
		return part && !*p;
	}
	return !*p;
}

/* A float's text in JSON's form, so that it can be printed as it stands: +.5 -> 0.5 */
static int vmfile_float(const char *text, struct json_object **ret_value)
{
	struct json_object *value;
	int ret = json_float_from_text(text, &value);

	if (ret < 0)
		return ret;
	*ret_value = json_object_new_double(json_object_get_double(value));
	json_object_put(value);
	return 0;
}

int vmfile_scalar(const char *text, struct json_object **ret_value)
{
	static const char *const nulls[] = { "", "~", "null", "Null", "NULL", NULL };
	static const char *const trues[] = { "true", "True", "TRUE", NULL };
	static const char *const falses[] = { "false", "False", "FALSE", NULL };
	static const char *const specials[] = { ".inf",	 ".Inf",  ".INF",  "+.inf", "+.Inf",
						"+.INF", "-.inf", "-.Inf", "-.INF", ".nan",
						".NaN",	 ".NAN",  NULL };
	const char *digits;
	int base = vmfile_integer_base(text, &digits), ret = 0;

	*ret_value = NULL;
	if (base)
		ret = json_int_from_text(digits, base, ret_value);
	else if (vmfile_one_of(text, trues) || vmfile_one_of(text, falses))
		*ret_value = json_object_new_boolean((text[0] | 0x20) == 't');
	else if (vmfile_one_of(text, specials))
		ret = -ERANGE;
	else if (vmfile_is_float(text))
		ret = vmfile_float(text, ret_value);
	else if (!vmfile_one_of(text, nulls))
		*ret_value = json_object_new_string(text);
	return ret;
}
