# SPDX-License-Identifier: MIT
# The tests that need the lab host, and the measurement of KVM that decides where the quickstart runs.
TESTS += $(addprefix tests/lab/,aer bios cards cases fio hostio ide limits net nic numa passthrough pci screen ps2 scsi sleep small systemd uefi vfio)

$(BUILD)/tests/kvmspeed: $(BUILD)/obj/tests/lab/kvmspeed.c.o
	@mkdir -p $(@D)
	$(call say,LD,$@)$(CC) $(ALL_LDFLAGS) -o $@ $^

# what tests/lab/vfio runs in the lab
$(BUILD)/tests/nvmevf: $(BUILD)/obj/tests/lab/nvmevf.c.o
	@mkdir -p $(@D)
	$(call say,LD,$@)$(CC) $(ALL_LDFLAGS) -o $@ $^
check-build: $(BUILD)/tests/nvmevf
