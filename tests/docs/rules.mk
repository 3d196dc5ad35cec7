# SPDX-License-Identifier: MIT
# Manual pages by mandoc, options of the programs against them: TAP.
TESTS += tests/docs/manuals
