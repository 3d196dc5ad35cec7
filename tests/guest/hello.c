// SPDX-License-Identifier: MIT
/* A guest prints and ends with the status that its command line names. */
#include "lib/guest.h"

int guest_main(const struct start_info *si)
{
	print("hello from a guest\n");
	return (int)cmdline_number(si, "status", 0);
}
