// SPDX-License-Identifier: MIT
/* Names of keys, and what a US keyboard types: see keys.h. Any thread. */
#include "lib/keys.h"

#include <ctype.h>
#include <linux/input-event-codes.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "lib/errcat.h"
#include "lib/schema_node.h"
#include "lib/util.h"

#define KEYS_NEAR_MAX 3

/* QEMU's first, as completion lists them. */
const struct keys_name keys_names[] = {
	{ "esc", KEY_ESC },
	{ "f1", KEY_F1 },
	{ "f2", KEY_F2 },
	{ "f3", KEY_F3 },
	{ "f4", KEY_F4 },
	{ "f5", KEY_F5 },
	{ "f6", KEY_F6 },
	{ "f7", KEY_F7 },
	{ "f8", KEY_F8 },
	{ "f9", KEY_F9 },
	{ "f10", KEY_F10 },
	{ "f11", KEY_F11 },
	{ "f12", KEY_F12 },
	{ "1", KEY_1 },
	{ "2", KEY_2 },
	{ "3", KEY_3 },
	{ "4", KEY_4 },
	{ "5", KEY_5 },
	{ "6", KEY_6 },
	{ "7", KEY_7 },
	{ "8", KEY_8 },
	{ "9", KEY_9 },
	{ "0", KEY_0 },
	{ "a", KEY_A },
	{ "b", KEY_B },
	{ "c", KEY_C },
	{ "d", KEY_D },
	{ "e", KEY_E },
	{ "f", KEY_F },
	{ "g", KEY_G },
	{ "h", KEY_H },
	{ "i", KEY_I },
	{ "j", KEY_J },
	{ "k", KEY_K },
	{ "l", KEY_L },
	{ "m", KEY_M },
	{ "n", KEY_N },
	{ "o", KEY_O },
	{ "p", KEY_P },
	{ "q", KEY_Q },
	{ "r", KEY_R },
	{ "s", KEY_S },
	{ "t", KEY_T },
	{ "u", KEY_U },
	{ "v", KEY_V },
	{ "w", KEY_W },
	{ "x", KEY_X },
	{ "y", KEY_Y },
	{ "z", KEY_Z },
	{ "minus", KEY_MINUS },
	{ "equal", KEY_EQUAL },
	{ "backspace", KEY_BACKSPACE },
	{ "tab", KEY_TAB },
	{ "bracket_left", KEY_LEFTBRACE },
	{ "bracket_right", KEY_RIGHTBRACE },
	{ "ret", KEY_ENTER },
	{ "semicolon", KEY_SEMICOLON },
	{ "apostrophe", KEY_APOSTROPHE },
	{ "grave_accent", KEY_GRAVE },
	{ "backslash", KEY_BACKSLASH },
	{ "comma", KEY_COMMA },
	{ "dot", KEY_DOT },
	{ "slash", KEY_SLASH },
	{ "less", KEY_102ND },
	{ "spc", KEY_SPACE },
	{ "ctrl", KEY_LEFTCTRL },
	{ "ctrl_r", KEY_RIGHTCTRL },
	{ "shift", KEY_LEFTSHIFT },
	{ "shift_r", KEY_RIGHTSHIFT },
	{ "alt", KEY_LEFTALT },
	{ "alt_r", KEY_RIGHTALT },
	{ "meta_l", KEY_LEFTMETA },
	{ "meta_r", KEY_RIGHTMETA },
	{ "menu", KEY_COMPOSE },
	{ "caps_lock", KEY_CAPSLOCK },
	{ "num_lock", KEY_NUMLOCK },
	{ "scroll_lock", KEY_SCROLLLOCK },
	{ "print", KEY_SYSRQ },
	{ "pause", KEY_PAUSE },
	{ "insert", KEY_INSERT },
	{ "delete", KEY_DELETE },
	{ "home", KEY_HOME },
	{ "end", KEY_END },
	{ "pgup", KEY_PAGEUP },
	{ "pgdn", KEY_PAGEDOWN },
	{ "up", KEY_UP },
	{ "down", KEY_DOWN },
	{ "left", KEY_LEFT },
	{ "right", KEY_RIGHT },
	{ "kp_0", KEY_KP0 },
	{ "kp_1", KEY_KP1 },
	{ "kp_2", KEY_KP2 },
	{ "kp_3", KEY_KP3 },
	{ "kp_4", KEY_KP4 },
	{ "kp_5", KEY_KP5 },
	{ "kp_6", KEY_KP6 },
	{ "kp_7", KEY_KP7 },
	{ "kp_8", KEY_KP8 },
	{ "kp_9", KEY_KP9 },
	{ "kp_decimal", KEY_KPDOT },
	{ "kp_enter", KEY_KPENTER },
	{ "kp_add", KEY_KPPLUS },
	{ "kp_subtract", KEY_KPMINUS },
	{ "kp_multiply", KEY_KPASTERISK },
	{ "kp_divide", KEY_KPSLASH },
	{ "kp_equals", KEY_KPEQUAL },
	{ "kp_comma", KEY_KPCOMMA },
	{ "audiomute", KEY_MUTE },
	{ "volumedown", KEY_VOLUMEDOWN },
	{ "volumeup", KEY_VOLUMEUP },
	{ "power", KEY_POWER },
	{ "sleep", KEY_SLEEP },
	{ "wake", KEY_WAKEUP },
	{ "henkan", KEY_HENKAN },
	{ "muhenkan", KEY_MUHENKAN },
	{ "yen", KEY_YEN },
	{ "ro", KEY_RO },
	/* the codes' own, where they differ */
	{ "enter", KEY_ENTER },
	{ "space", KEY_SPACE },
	{ "leftbrace", KEY_LEFTBRACE },
	{ "rightbrace", KEY_RIGHTBRACE },
	{ "grave", KEY_GRAVE },
	{ "102nd", KEY_102ND },
	{ "leftctrl", KEY_LEFTCTRL },
	{ "rightctrl", KEY_RIGHTCTRL },
	{ "leftshift", KEY_LEFTSHIFT },
	{ "rightshift", KEY_RIGHTSHIFT },
	{ "leftalt", KEY_LEFTALT },
	{ "rightalt", KEY_RIGHTALT },
	{ "altgr", KEY_RIGHTALT },
	{ "leftmeta", KEY_LEFTMETA },
	{ "rightmeta", KEY_RIGHTMETA },
	{ "compose", KEY_COMPOSE },
	{ "capslock", KEY_CAPSLOCK },
	{ "numlock", KEY_NUMLOCK },
	{ "scrolllock", KEY_SCROLLLOCK },
	{ "sysrq", KEY_SYSRQ },
	{ "pageup", KEY_PAGEUP },
	{ "pagedown", KEY_PAGEDOWN },
	{ "kp0", KEY_KP0 },
	{ "kp1", KEY_KP1 },
	{ "kp2", KEY_KP2 },
	{ "kp3", KEY_KP3 },
	{ "kp4", KEY_KP4 },
	{ "kp5", KEY_KP5 },
	{ "kp6", KEY_KP6 },
	{ "kp7", KEY_KP7 },
	{ "kp8", KEY_KP8 },
	{ "kp9", KEY_KP9 },
	{ "kpdot", KEY_KPDOT },
	{ "kpenter", KEY_KPENTER },
	{ "kpplus", KEY_KPPLUS },
	{ "kpminus", KEY_KPMINUS },
	{ "kpasterisk", KEY_KPASTERISK },
	{ "kpslash", KEY_KPSLASH },
	{ "kpequal", KEY_KPEQUAL },
	{ "kpcomma", KEY_KPCOMMA },
	{ "mute", KEY_MUTE },
	{ "wakeup", KEY_WAKEUP },
	{ NULL, 0 },
};

/* What each printable character is typed with; those of the second row with Shift. */
static const struct {
	uint16_t code;
	char plain, shifted;
} keys_us[] = {
	{ KEY_1, '1', '!' },	       { KEY_2, '2', '@' },	     { KEY_3, '3', '#' },
	{ KEY_4, '4', '$' },	       { KEY_5, '5', '%' },	     { KEY_6, '6', '^' },
	{ KEY_7, '7', '&' },	       { KEY_8, '8', '*' },	     { KEY_9, '9', '(' },
	{ KEY_0, '0', ')' },	       { KEY_MINUS, '-', '_' },	     { KEY_EQUAL, '=', '+' },
	{ KEY_LEFTBRACE, '[', '{' },   { KEY_RIGHTBRACE, ']', '}' }, { KEY_SEMICOLON, ';', ':' },
	{ KEY_APOSTROPHE, '\'', '"' }, { KEY_GRAVE, '`', '~' },	     { KEY_BACKSLASH, '\\', '|' },
	{ KEY_COMMA, ',', '<' },       { KEY_DOT, '.', '>' },	     { KEY_SLASH, '/', '?' },
	{ KEY_SPACE, ' ', 0 },	       { KEY_ENTER, '\n', 0 },	     { KEY_TAB, '\t', 0 },
};

static const struct keys_name *keys_find(const char *name)
{
	if (!strncasecmp(name, "key_", 4))
		name += 4;
	for (const struct keys_name *k = keys_names; k->name; k++)
		if (!strcasecmp(k->name, name))
			return k;
	return NULL;
}

/* "; did you mean 'delete' or 'menu'?" */
static int keys_unknown(const char *name, struct err *e)
{
	char text[160] = "";
	size_t len = 0;
	unsigned int n = 0;

	for (const struct keys_name *k = keys_names; k->name && n < KEYS_NEAR_MAX; k++) {
		if (!schema_text_near(name, k->name))
			continue;
		len += (size_t)snprintf(text + len, sizeof(text) - len, "%s'%s'",
					n ? " or " : "; did you mean ", k->name);
		n++;
	}
	return err_set(e, ERR_INVALID, "there is no key '%.40s'%s%s", name, text, n ? "?" : "");
}

static int keys_add(struct keys_chord *c, const char *name, struct err *e)
{
	const struct keys_name *k = keys_find(name);

	if (!*name)
		return err_set(e, ERR_INVALID, "expected keys such as \"ctrl+alt+delete\"");
	if (!k)
		return keys_unknown(name, e);
	for (unsigned int i = 0; i < c->n; i++)
		if (c->codes[i] == k->code)
			return err_set(e, ERR_INVALID, "key '%s' is there twice", name);
	if (c->n == KEYS_CHORD_MAX)
		return err_set(e, ERR_INVALID, "more than %d keys at a time", KEYS_CHORD_MAX);
	c->codes[c->n++] = k->code;
	return 0;
}

int keys_parse(const char *text, struct keys_chord *ret, struct err *e)
{
	struct keys_chord c = { .n = 0 };
	char name[64];

	for (const char *at = text;; at++) {
		size_t len = strcspn(at, "+");
		int r;

		/* a name that is too long is none */
		snprintf(name, sizeof(name), "%.*s", (int)MIN(len, sizeof(name)), at);
		r = keys_add(&c, name, e);
		if (r < 0)
			return r;
		at += len;
		if (!*at)
			break;
	}
	*ret = c;
	return 0;
}

static void keys_type(struct keys_chord *ret, uint16_t code, bool shift)
{
	ret->n = 0;
	if (shift)
		ret->codes[ret->n++] = KEY_LEFTSHIFT;
	ret->codes[ret->n++] = code;
}

int keys_char(const char *text, struct keys_chord *ret, struct err *e)
{
	unsigned char c = (unsigned char)*text;
	char name[] = { (char)tolower(c), '\0' };
	size_t len = 1;

	if (c < 0x80 && isalpha(c)) {
		keys_type(ret, keys_find(name)->code, isupper(c));
		return 1;
	}
	for (size_t i = 0; c && i < ARRAY_SIZE(keys_us); i++) {
		if (keys_us[i].plain != (char)c && keys_us[i].shifted != (char)c)
			continue;
		keys_type(ret, keys_us[i].code, keys_us[i].shifted == (char)c);
		return 1;
	}
	if (c < ' ' || c == 0x7f)
		return err_set(e, ERR_INVALID, "no key types the byte %02xh", c);
	while (((unsigned char)text[len] & 0xc0) == 0x80)
		len++;
	return err_set(e, ERR_INVALID, "a US keyboard has no '%.*s'", (int)MIN(len, 4u), text);
}
