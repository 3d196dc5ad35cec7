// SPDX-License-Identifier: MIT
/* Nothing but an end: what the start-up benchmark runs under each monitor. */
#include "lib/guest.h"

int guest_main(const struct start_info *si)
{
	(void)si;
	return 0;
}
