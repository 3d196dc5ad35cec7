/* SPDX-License-Identifier: MIT */
/*
 * Stores of UEFI variables (device cfi-flash): a file for each VM that has any, in the folder nvram of the state directory, made
 * from the template at the VM's first start and kept until the VM is deleted, or, kept over that, until the next VM of the same
 * name and owner is. Making it is gather_nvram.c's; removing it a worker's of this module. On the loop's thread.
 */
#ifndef VMD_NVRAM_H
#define VMD_NVRAM_H

#include "lib/json.h"
#include "state/state.h"

#define NVRAM_FOLDER "nvram"
#define NVRAM_PART ".part" /* behind the name of one that is being made */
#define NVRAM_TYPE "cfi-flash"
#define NVRAM_STORE \
	"store" /* of that device, between nvram_reserve and the gather: the file's path */

struct daemon;
struct nvram;

struct nvram *nvram_new(struct daemon *d);
/* vmd ends: nothing begins any more. */
void nvram_close(struct nvram *n);
/* Its worker has ended. Accepts NULL. */
void nvram_free(struct nvram *n);

/* A machine configuration is about to be made ready (a gather begins): its store is written down. */
int nvram_reserve(struct daemon *d, const struct state_vm *vm, struct json_object *config,
		  struct err *e);
/* Remove the files of stores that are over, also those that a vmd before this one did not come to. */
void nvram_sweep(struct daemon *d);

#endif
