/* SPDX-License-Identifier: MIT */
/* Inside of vmdef: the memory of a definition that the schema has passed. */
#ifndef LIB_VMDEF_MEMORY_H
#define LIB_VMDEF_MEMORY_H

#include "lib/vmdef.h"

#define VMDEF_MEMORY_MIN (16 * MIB)
#define VMDEF_MEMORY_DEFAULT (512 * MIB) /* schemas/vm.json says so too; a test compares */
#define VMDEF_PAGE_SIZE (4 * KIB)

struct vmdef_memory {
	uint64_t size, hugepages; /* bytes; hugepages 0: ordinary pages */
	int node;		  /* NUMA; -1: any */
	bool strict;		  /* all of it is taken from the node at the start */
	const char *pointer;	  /* where the size stands: "/memory" or "/memory/size" */
};

struct vmdef_memory vmdef_memory(struct json_object *def);
/* A size, a string or a number; fallback when it is NULL. */
uint64_t vmdef_bytes(struct json_object *size, uint64_t fallback);

#endif
