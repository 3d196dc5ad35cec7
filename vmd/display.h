/* SPDX-License-Identifier: MIT */
/*
 * The processes that show VMs' screens to viewers (vmm-display): one beside the monitor of each VM whose definition has a display,
 * in the same cage (vmd-security(7)), found again as the monitors are. One that ends never takes its VM along: an event tells, and
 * another one is started, unless they end too soon too often. On the loop's thread.
 */
#ifndef VMD_DISPLAY_H
#define VMD_DISPLAY_H

#include "vmd/guest.h"

#define DISPLAY_FOLDER "display" /* below the run directory: a folder for each process */
#define DISPLAY_TRIES 3		 /* that may end within … */
#define DISPLAY_STEADY_MS 10000	 /* … this of their start, one after the other */

struct display;

/* Before a start: is there a program for it? -ERR_FILE */
int display_check(const struct daemon *d, struct json_object *config, struct err *e);
/* The monitor has been told of its machine: start one for it. take_files: gather_display's. */
void display_begin(struct guest *g, struct gather_display *take_files);
/* The VM has no process any more: nor has its screen. Without one that is fine. */
void display_end(struct daemon *d, const char *vm);
/* A descriptor (the caller's) that can be read when the one of a start before has ended; -1: it has, or there was none. */
int display_ended_fd(const struct daemon *d, const char *vm);
/* Those of the vmd before, and what it has left; after the monitors were found. */
void displays_adopt(struct daemon *d);
/* After that: of a monitor that was found, and whose definition has a display, one is started if it has none. */
void display_missing(struct guest *g);
/* vmd ends: they are let go. */
void displays_close(struct daemon *d);

/* NULL: the VM has none. */
struct display *display_find(const struct daemon *d, const char *vm);
/* {type, address, path? | host?, port?, password, state: "up" | "down"} */
struct json_object *display_json(const struct display *w);
/* Its process, to be asked; NULL: down. */
struct vmproc *display_process(const struct display *w);

#endif
