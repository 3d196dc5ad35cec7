/* SPDX-License-Identifier: MIT */
/*
 * A simulated host (vmd-hostsim(8)) in a harness' directory: PF 0000:10:00.0 with four VFs 0000:10:10.0 to .3 whose
 * driver is igbvf, NVMe PF 0000:90:00.0 with four VFs 0000:90:00.1 to .4 without a driver.
 */
#ifndef TESTS_FUNCTIONAL_SIMHOST_H
#define TESTS_FUNCTIONAL_SIMHOST_H

#include "tests/functional/harness.h"

#define SIMHOST_SNAPSHOT 65536

/* Make it; its root, valid until the next call. */
const char *simhost_make(struct harness *h);
/*
 * Another one: NICs 0000:10:00.0, 0000:20:00.0, … that can have so many VFs each, on NUMA nodes 0, 1, …, and NVMe PFs
 * from 0000:90:00.0 on. They have no VFs yet.
 */
void simhost_new(struct harness *h, const char *pfs, const char *vfs, const char *nvmes);
const char *simhost_root(struct harness *h);
/* A step (vmd/hostio.h), ' for ": its result, owned. A failure fails the test. */
struct json_object *simhost_step(struct harness *h, const char *step);
/* sim/faults.json; "" for none any more: who hangs goes on. */
void simhost_faults(struct harness *h, const char *faults);
/* The machine is started anew: other boot id, no VFs; simhost_vfs makes them. */
void simhost_reboot(struct harness *h);
/* The same, and somebody has plugged in a card: it is 0000:10:00.0, and those that were there have moved. */
void simhost_renumber(struct harness *h);
void simhost_vfs(struct harness *h);
/*
 * Driver and override of each device, VFs, autoprobe and link of each PF, settings of each VF: what is to be as
 * it was.
 */
void simhost_snapshot(struct harness *h, char out[static SIMHOST_SNAPSHOT]);
/* "igbvf", "" for none; valid until the next call. */
const char *simhost_driver(struct harness *h, const char *pci);

#endif
