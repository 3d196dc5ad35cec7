/* SPDX-License-Identifier: MIT */
/*
 * Configuration space of the devices of a simulated host: PCI Express Base 3.0, section 7.5 to 7.12; SR-IOV 1.1, 3.3.
 * Enough of it for its readers: identity, PCI Express with FLR, MSI-X, serial number, ACS, SR-IOV.
 */
#ifndef HOSTIO_SIM_CONFIG_H
#define HOSTIO_SIM_CONFIG_H

#include "hostio/sim.h"

#define SIM_CONFIG_SIZE 4096

/* How much of out is the device's: 256 or 4096 bytes. */
size_t sim_config_make(const struct sim_function *f, char out[static SIM_CONFIG_SIZE]);
/* The lines of sysfs's "resource". Returns out. */
const char *sim_config_resource(const struct sim_function *f, char *out, size_t size);

#endif
