# SPDX-License-Identifier: MIT
# Manual pages by mandoc, options of the programs against them, the examples of vmd-rpc(7): TAP.
TESTS += tests/docs/manuals tests/docs/examples
