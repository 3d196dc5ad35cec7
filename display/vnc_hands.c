// SPDX-License-Identifier: MIT
/*
 * What viewers' users do: keys by keysym and by scan code, pointers. See vnc.h. The library calls this with messages that are whole
 * (vnc_door.c).
 */
#include <arpa/inet.h>
#include <stdlib.h>

#include "display/vnc_impl.h"
#include "vmm/input.h"

#define VNC_QEMU_KEYS (-258) /* rfbproto: "QEMU Extended Key Event Pseudo-encoding" */
#define VNC_QEMU_MESSAGE 255
#define VNC_QEMU_REST 11 /* bytes of it behind its type */

/* --- keys and pointers ------------------------------------------------------------------------------------ */

static void vnc_hands_key(struct vnc_viewer *w, uint16_t key, bool down)
{
	uint64_t bit = BIT64(key % 64), *held = &w->down[key / 64];

	if (key == KEY_RESERVED || (!down && !(*held & bit)))
		return;
	*held = down ? *held | bit : *held & ~bit;
	w->vnc->o.ops->key(w->vnc->o.arg, key, down);
}

static void vnc_hands_keysym(rfbBool down, rfbKeySym keysym, rfbClientPtr client)
{
	if (client->clientData)
		vnc_hands_key(client->clientData, keymap_keysym((uint32_t)keysym), down);
}

static int vnc_hands_clamp(int way)
{
	return MIN(MAX(way, -LINK_MOVE_MAX), LINK_MOVE_MAX);
}

/* A viewer says where its pointer is, the guest's mouse by how much it was moved. */
static void vnc_hands_pointer(int mask, int x, int y, rfbClientPtr client)
{
	static const struct {
		int bit;
		uint32_t button;
	} buttons[] = { { BIT(0), INPUT_LEFT },
			{ BIT(1), INPUT_MIDDLE },
			{ BIT(2), INPUT_RIGHT },
			{ BIT(7), INPUT_SIDE } };
	struct vnc_viewer *w = client->clientData;
	struct link_pointer p = { .type = LINK_POINTER };
	int pressed;

	if (!w)
		return;
	pressed = mask & ~w->mask;
	p.dx = w->moved ? vnc_hands_clamp(x - w->x) : 0;
	p.dy = w->moved ? vnc_hands_clamp(y - w->y) : 0;
	p.dz = (pressed & BIT(4) ? 1 : 0) - (pressed & BIT(3) ? 1 : 0);
	for (size_t i = 0; i < ARRAY_SIZE(buttons); i++)
		p.buttons |= mask & buttons[i].bit ? buttons[i].button : 0;
	w->moved = true;
	w->x = x;
	w->y = y;
	w->mask = mask;
	w->vnc->o.ops->pointer(w->vnc->o.arg, &p);
}

/*
 * Asked for it, a server says that it knows the encoding by a rectangle of it, which has no pixels. That goes behind the first
 * update: libvncclient forgets it when the library's own list of messages comes, which is in that.
 */
static rfbBool vnc_hands_ext_enable(rfbClientPtr client, void **data, int encoding)
{
	struct vnc_viewer *w = client->clientData;

	(void)data;
	if (encoding != VNC_QEMU_KEYS || !w)
		return FALSE;
	w->ext_due = true;
	return TRUE;
}

void vnc_hands_tell(struct vnc_viewer *w)
{
	struct __attribute__((packed)) {
		uint8_t type, pad;
		uint16_t count, x, y, width, height;
		int32_t encoding;
	} update = { .count = htons(1),
		     .width = htons((uint16_t)w->client->screen->width),
		     .height = htons((uint16_t)w->client->screen->height),
		     .encoding = (int32_t)htonl((uint32_t)VNC_QEMU_KEYS) };

	if (!w->ext_due || w->client->sock == RFB_INVALID_SOCKET || !vnc_door_room(w))
		return;
	w->ext_due = false;
	if (rfbWriteExact(w->client, (const char *)&update, sizeof(update)) <= 0)
		rfbCloseClient(w->client);
}

static rfbBool vnc_hands_ext_message(rfbClientPtr client, void *data,
				     const rfbClientToServerMsg *msg)
{
	struct vnc_viewer *w = client->clientData;
	uint8_t rest[VNC_QEMU_REST];
	uint32_t keysym, code;
	uint16_t key;

	(void)data;
	if (msg->type != VNC_QEMU_MESSAGE)
		return FALSE;
	if (rfbReadExact(client, (char *)rest, sizeof(rest)) <= 0 || rest[0] != 0) {
		rfbCloseClient(client);
		return TRUE;
	}
	keysym = (uint32_t)rest[3] << 24 | (uint32_t)rest[4] << 16 | (uint32_t)rest[5] << 8 |
		 rest[6];
	code = (uint32_t)rest[7] << 24 | (uint32_t)rest[8] << 16 | (uint32_t)rest[9] << 8 |
	       rest[10];
	if (!w)
		return TRUE;
	key = keymap_scancode(&w->vnc->keymap, code);
	if (key == KEY_RESERVED)
		key = keymap_keysym(keysym);
	vnc_hands_key(w, key, rest[1] || rest[2]);
	return TRUE;
}

/* --- from the first to the last ------------------------------------------------------------------------------ */

void vnc_hands_init(struct vnc *v)
{
	static int encodings[] = { VNC_QEMU_KEYS, 0 };
	static rfbProtocolExtension extension = {
		/* the library links it in */
		.pseudoEncodings = encodings,
		.enablePseudoEncoding = vnc_hands_ext_enable,
		.handleMessage = vnc_hands_ext_message,
	};

	keymap_init(&v->keymap);
	v->rfb->kbdAddEvent = vnc_hands_keysym;
	v->rfb->ptrAddEvent = vnc_hands_pointer;
	rfbRegisterProtocolExtension(&extension);
}

/* The library frees neither these with a client, nor by rfbDisableExtension. */
static void vnc_hands_forget(rfbClientPtr client)
{
	while (client->extensions) {
		rfbExtensionData *ext = client->extensions;

		client->extensions = ext->next;
		free(ext);
	}
}

void vnc_hands_let_go(struct vnc_viewer *w)
{
	for (uint16_t key = 1; key < KEY_CNT; key++)
		vnc_hands_key(w, key, false);
	if (w->mask)
		w->vnc->o.ops->pointer(w->vnc->o.arg, &(struct link_pointer){ LINK_POINTER });
	if (w->client)
		vnc_hands_forget(w->client);
}
