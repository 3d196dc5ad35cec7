// SPDX-License-Identifier: MIT
/* vmctl, the command line of vmd: see vmctl.h. */
#include "vmctl/vmctl.h"

int main(int argc, char **argv)
{
	return vmctl_run(argc, argv, stdin, stdout, stderr);
}
