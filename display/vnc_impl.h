/* SPDX-License-Identifier: MIT */
/* What vnc.c (the screen's side), vnc_door.c (viewers that come, and their bytes) and vnc_hands.c (what their users do) share. */
#ifndef DISPLAY_VNC_IMPL_H
#define DISPLAY_VNC_IMPL_H

#include <linux/input-event-codes.h>
#include <rfb/rfb.h>

#include "display/edge.h"
#include "display/keymap.h"
#include "display/vnc.h"

struct vnc_viewer {
	struct vnc_viewer *next;
	struct vnc *vnc;
	int fd;		     /* owned; -1: the client's, or closed */
	rfbClientPtr client; /* owned; NULL: nobody knows yet how it speaks */
	uv_timer_t timer;    /* until that is known; then until it has logged in */
	bool browser;	     /* it has begun a WebSocket handshake */
	bool in;	     /* it has logged in */
	bool hung;	     /* it will say no more than what is there */
	uint64_t skip;	     /* bytes that it says and nobody reads */
	size_t room;	     /* bytes that its socket takes when it has room */
	bool waits;	     /* until it takes more */
	bool resized; /* the screen has another size than it was told, or knows by an update */
	bool ext_due; /* it is to be told of the extended key event */
	uint64_t down[(KEY_CNT + 63) / 64];
	bool moved; /* x and y are known */
	int x, y, mask;
};

struct vnc {
	struct vnc_options o;
	char *passwords[2];
	int listen_fd; /* owned */
	uv_poll_t listen;
	struct edge *edge;	    /* owned: of the viewers' sockets */
	rfbScreenInfoPtr rfb;	    /* owned */
	struct vnc_viewer *viewers; /* owned, the newest first */
	unsigned int looking;
	bool fresh; /* a frame has come since somebody looks */
	struct keymap keymap;
};

/* --- vnc.c ------------------------------------------------------------------------------------------------------- */

/* Those that are gone, or have logged in; and what is new for the others. It may free any viewer. */
void vnc_updates(struct vnc *v);

/* --- vnc_door.c -------------------------------------------------------------------------------------------------- */

int vnc_door_open(struct vnc *v, struct err *e);
void vnc_door_close(struct vnc *v);
/* It goes with the next vnc_updates. */
void vnc_door_end(struct vnc_viewer *w);
bool vnc_door_ended(const struct vnc_viewer *w);
/* Is there room in its socket? If not, it is called again when there is. */
bool vnc_door_room(struct vnc_viewer *w);

/* --- vnc_hands.c ------------------------------------------------------------------------------------------------- */

void vnc_hands_init(struct vnc *v);
/* It leaves: what it holds is let go. */
void vnc_hands_let_go(struct vnc_viewer *w);
/* That QEMU's extended key event is known, if it has asked. */
void vnc_hands_tell(struct vnc_viewer *w);

#endif
