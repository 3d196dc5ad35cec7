# SPDX-License-Identifier: MIT
# The tests that need the lab host, and the measurement of KVM that decides where the quickstart runs.
TESTS += tests/lab/cases tests/lab/hostio tests/lab/limits tests/lab/systemd

$(BUILD)/tests/kvmspeed: $(BUILD)/obj/tests/lab/kvmspeed.c.o
	@mkdir -p $(@D)
	$(call say,LD,$@)$(CC) $(ALL_LDFLAGS) -o $@ $^
