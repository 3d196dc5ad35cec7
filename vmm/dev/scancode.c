// SPDX-License-Identifier: MIT
// Tables of scan codes: see scancode.h. Set 1 is what the controller's translation makes of set 2.
#include "vmm/dev/scancode.h"

#include <linux/input-event-codes.h>
#include <string.h>

#include "lib/util.h"

#define SCANCODE_E0 0xe000

/* Set 2; SCANCODE_E0: after a byte E0h. Pause and Print Screen are no table's. */
static const uint16_t scancode_keys[] = {
	[KEY_ESC] = 0x76,
	[KEY_1] = 0x16,
	[KEY_2] = 0x1e,
	[KEY_3] = 0x26,
	[KEY_4] = 0x25,
	[KEY_5] = 0x2e,
	[KEY_6] = 0x36,
	[KEY_7] = 0x3d,
	[KEY_8] = 0x3e,
	[KEY_9] = 0x46,
	[KEY_0] = 0x45,
	[KEY_MINUS] = 0x4e,
	[KEY_EQUAL] = 0x55,
	[KEY_BACKSPACE] = 0x66,
	[KEY_TAB] = 0x0d,
	[KEY_Q] = 0x15,
	[KEY_W] = 0x1d,
	[KEY_E] = 0x24,
	[KEY_R] = 0x2d,
	[KEY_T] = 0x2c,
	[KEY_Y] = 0x35,
	[KEY_U] = 0x3c,
	[KEY_I] = 0x43,
	[KEY_O] = 0x44,
	[KEY_P] = 0x4d,
	[KEY_LEFTBRACE] = 0x54,
	[KEY_RIGHTBRACE] = 0x5b,
	[KEY_ENTER] = 0x5a,
	[KEY_LEFTCTRL] = 0x14,
	[KEY_A] = 0x1c,
	[KEY_S] = 0x1b,
	[KEY_D] = 0x23,
	[KEY_F] = 0x2b,
	[KEY_G] = 0x34,
	[KEY_H] = 0x33,
	[KEY_J] = 0x3b,
	[KEY_K] = 0x42,
	[KEY_L] = 0x4b,
	[KEY_SEMICOLON] = 0x4c,
	[KEY_APOSTROPHE] = 0x52,
	[KEY_GRAVE] = 0x0e,
	[KEY_LEFTSHIFT] = 0x12,
	[KEY_BACKSLASH] = 0x5d,
	[KEY_Z] = 0x1a,
	[KEY_X] = 0x22,
	[KEY_C] = 0x21,
	[KEY_V] = 0x2a,
	[KEY_B] = 0x32,
	[KEY_N] = 0x31,
	[KEY_M] = 0x3a,
	[KEY_COMMA] = 0x41,
	[KEY_DOT] = 0x49,
	[KEY_SLASH] = 0x4a,
	[KEY_RIGHTSHIFT] = 0x59,
	[KEY_KPASTERISK] = 0x7c,
	[KEY_LEFTALT] = 0x11,
	[KEY_SPACE] = 0x29,
	[KEY_CAPSLOCK] = 0x58,
	[KEY_F1] = 0x05,
	[KEY_F2] = 0x06,
	[KEY_F3] = 0x04,
	[KEY_F4] = 0x0c,
	[KEY_F5] = 0x03,
	[KEY_F6] = 0x0b,
	[KEY_F7] = 0x83,
	[KEY_F8] = 0x0a,
	[KEY_F9] = 0x01,
	[KEY_F10] = 0x09,
	[KEY_NUMLOCK] = 0x77,
	[KEY_SCROLLLOCK] = 0x7e,
	[KEY_KP7] = 0x6c,
	[KEY_KP8] = 0x75,
	[KEY_KP9] = 0x7d,
	[KEY_KPMINUS] = 0x7b,
	[KEY_KP4] = 0x6b,
	[KEY_KP5] = 0x73,
	[KEY_KP6] = 0x74,
	[KEY_KPPLUS] = 0x79,
	[KEY_KP1] = 0x69,
	[KEY_KP2] = 0x72,
	[KEY_KP3] = 0x7a,
	[KEY_KP0] = 0x70,
	[KEY_KPDOT] = 0x71,
	[KEY_102ND] = 0x61,
	[KEY_F11] = 0x78,
	[KEY_F12] = 0x07,
	[KEY_RO] = 0x51,
	[KEY_KATAKANAHIRAGANA] = 0x13,
	[KEY_HENKAN] = 0x64,
	[KEY_MUHENKAN] = 0x67,
	[KEY_YEN] = 0x6a,
	[KEY_KPEQUAL] = 0x0f,
	[KEY_KPCOMMA] = 0x6d,
	[KEY_F13] = 0x08,
	[KEY_F14] = 0x10,
	[KEY_F15] = 0x18,
	[KEY_F16] = 0x20,
	[KEY_F17] = 0x28,
	[KEY_F18] = 0x30,
	[KEY_F19] = 0x38,
	[KEY_F20] = 0x40,
	[KEY_F21] = 0x48,
	[KEY_F22] = 0x50,
	[KEY_F23] = 0x57,
	[KEY_F24] = 0x5f,
	[KEY_KPENTER] = SCANCODE_E0 | 0x5a,
	[KEY_RIGHTCTRL] = SCANCODE_E0 | 0x14,
	[KEY_KPSLASH] = SCANCODE_E0 | 0x4a,
	[KEY_RIGHTALT] = SCANCODE_E0 | 0x11,
	[KEY_HOME] = SCANCODE_E0 | 0x6c,
	[KEY_UP] = SCANCODE_E0 | 0x75,
	[KEY_PAGEUP] = SCANCODE_E0 | 0x7d,
	[KEY_LEFT] = SCANCODE_E0 | 0x6b,
	[KEY_RIGHT] = SCANCODE_E0 | 0x74,
	[KEY_END] = SCANCODE_E0 | 0x69,
	[KEY_DOWN] = SCANCODE_E0 | 0x72,
	[KEY_PAGEDOWN] = SCANCODE_E0 | 0x7a,
	[KEY_INSERT] = SCANCODE_E0 | 0x70,
	[KEY_DELETE] = SCANCODE_E0 | 0x71,
	[KEY_MUTE] = SCANCODE_E0 | 0x23,
	[KEY_VOLUMEDOWN] = SCANCODE_E0 | 0x21,
	[KEY_VOLUMEUP] = SCANCODE_E0 | 0x32,
	[KEY_POWER] = SCANCODE_E0 | 0x37,
	[KEY_SLEEP] = SCANCODE_E0 | 0x3f,
	[KEY_WAKEUP] = SCANCODE_E0 | 0x5e,
	[KEY_LEFTMETA] = SCANCODE_E0 | 0x1f,
	[KEY_RIGHTMETA] = SCANCODE_E0 | 0x27,
	[KEY_COMPOSE] = SCANCODE_E0 | 0x2f,
	[KEY_CALC] = SCANCODE_E0 | 0x2b,
	[KEY_MAIL] = SCANCODE_E0 | 0x48,
	[KEY_BACK] = SCANCODE_E0 | 0x38,
	[KEY_FORWARD] = SCANCODE_E0 | 0x30,
	[KEY_HOMEPAGE] = SCANCODE_E0 | 0x3a,
	[KEY_SEARCH] = SCANCODE_E0 | 0x10,
	[KEY_BOOKMARKS] = SCANCODE_E0 | 0x18,
	[KEY_REFRESH] = SCANCODE_E0 | 0x20,
	[KEY_STOP] = SCANCODE_E0 | 0x28,
	[KEY_NEXTSONG] = SCANCODE_E0 | 0x4d,
	[KEY_PREVIOUSSONG] = SCANCODE_E0 | 0x15,
	[KEY_PLAYPAUSE] = SCANCODE_E0 | 0x34,
	[KEY_STOPCD] = SCANCODE_E0 | 0x3b,
	[KEY_COMPUTER] = SCANCODE_E0 | 0x40,
};

/* What follows 84h is the same in both sets; FFh of 00h is the overrun. */
static const uint8_t scancode_set1[] = {
	0xff, 0x43, 0x41, 0x3f, 0x3d, 0x3b, 0x3c, 0x58, 0x64, 0x44, 0x42, 0x40, 0x3e, 0x0f, 0x29,
	0x59, 0x65, 0x38, 0x2a, 0x70, 0x1d, 0x10, 0x02, 0x5a, 0x66, 0x71, 0x2c, 0x1f, 0x1e, 0x11,
	0x03, 0x5b, 0x67, 0x2e, 0x2d, 0x20, 0x12, 0x05, 0x04, 0x5c, 0x68, 0x39, 0x2f, 0x21, 0x14,
	0x13, 0x06, 0x5d, 0x69, 0x31, 0x30, 0x23, 0x22, 0x15, 0x07, 0x5e, 0x6a, 0x72, 0x32, 0x24,
	0x16, 0x08, 0x09, 0x5f, 0x6b, 0x33, 0x25, 0x17, 0x18, 0x0b, 0x0a, 0x60, 0x6c, 0x34, 0x35,
	0x26, 0x27, 0x19, 0x0c, 0x61, 0x6d, 0x73, 0x28, 0x74, 0x1a, 0x0d, 0x62, 0x6e, 0x3a, 0x36,
	0x1c, 0x1b, 0x75, 0x2b, 0x63, 0x76, 0x55, 0x56, 0x77, 0x78, 0x79, 0x7a, 0x0e, 0x7b, 0x7c,
	0x4f, 0x7d, 0x4b, 0x47, 0x7e, 0x7f, 0x6f, 0x52, 0x53, 0x50, 0x4c, 0x4d, 0x48, 0x01, 0x45,
	0x57, 0x4e, 0x51, 0x4a, 0x37, 0x49, 0x46, 0x54, 0x80, 0x81, 0x82, 0x41, 0x54,
};

uint8_t scancode_translate(uint8_t byte)
{
	return byte < sizeof(scancode_set1) ? scancode_set1[byte] : byte;
}

static unsigned int scancode_one(unsigned int set, uint16_t code, bool down, uint8_t *ret)
{
	unsigned int n = 0;

	if (code & SCANCODE_E0)
		ret[n++] = 0xe0;
	if (set == 1) {
		ret[n++] = scancode_translate((uint8_t)code) | (down ? 0 : 0x80);
		return n;
	}
	if (!down)
		ret[n++] = SCANCODE_BREAK;
	ret[n++] = (uint8_t)code;
	return n;
}

/* Shift is told before it, unless it is down anyway; with Alt the key is another: SysRq. */
static unsigned int scancode_print(unsigned int set, bool down, struct scancode_held held,
				   uint8_t *ret)
{
	unsigned int n;

	if (held.alt)
		return scancode_one(set, 0x84, down, ret);
	if (held.shift || held.ctrl)
		return scancode_one(set, SCANCODE_E0 | 0x7c, down, ret);
	n = scancode_one(set, SCANCODE_E0 | (down ? 0x12 : 0x7c), down, ret);
	return n + scancode_one(set, SCANCODE_E0 | (down ? 0x7c : 0x12), down, ret + n);
}

/* It goes up at once, so that it never repeats; with Ctrl it is Break. */
static unsigned int scancode_pause(unsigned int set, bool down, struct scancode_held held,
				   uint8_t *ret)
{
	static const uint8_t set1[] = { 0xe1, 0x1d, 0x45, 0xe1, 0x9d, 0xc5 };
	static const uint8_t set2[] = { 0xe1, 0x14, 0x77, 0xe1, 0xf0, 0x14, 0xf0, 0x77 };
	unsigned int n;

	if (!down)
		return 0;
	if (held.ctrl) {
		n = scancode_one(set, SCANCODE_E0 | 0x7e, true, ret);
		return n + scancode_one(set, SCANCODE_E0 | 0x7e, false, ret + n);
	}
	n = set == 1 ? sizeof(set1) : sizeof(set2);
	memcpy(ret, set == 1 ? set1 : set2, n);
	return n;
}

unsigned int scancode_encode(unsigned int set, uint16_t key, bool down, struct scancode_held held,
			     uint8_t ret[SCANCODE_MAX])
{
	if (key == KEY_PAUSE)
		return scancode_pause(set, down, held, ret);
	if (key == KEY_SYSRQ)
		return scancode_print(set, down, held, ret);
	if (key >= ARRAY_SIZE(scancode_keys) || !scancode_keys[key])
		return 0;
	return scancode_one(set, scancode_keys[key], down, ret);
}
