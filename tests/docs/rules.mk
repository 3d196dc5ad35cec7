# SPDX-License-Identifier: MIT
# Manual pages by mandoc, options of the programs against them, the examples of vmd-rpc(7), the table of tests/FIELD.md: TAP.
TESTS += tests/docs/manuals tests/docs/examples tests/docs/field
