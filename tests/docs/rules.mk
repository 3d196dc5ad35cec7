# SPDX-License-Identifier: MIT
# Manual pages by mandoc, options of the programs against them, install and uninstall: TAP scripts.
TESTS += tests/docs/manuals tests/docs/install
