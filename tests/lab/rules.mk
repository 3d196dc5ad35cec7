# SPDX-License-Identifier: MIT
# The tests that need the lab host, and the measurement of KVM that decides where the quickstart runs.
TESTS += $(addprefix tests/lab/,cases hostio limits pci systemd)

$(BUILD)/tests/kvmspeed: $(BUILD)/obj/tests/lab/kvmspeed.c.o
	@mkdir -p $(@D)
	$(call say,LD,$@)$(CC) $(ALL_LDFLAGS) -o $@ $^
