# SPDX-License-Identifier: MIT
# The tests that need the lab host, and the measurement of KVM that decides where the quickstart runs.
TESTS += $(addprefix tests/lab/,aer ahci bios cards cases fio floppy hostio ide install install-uefi ipxe ipxe-kernel limits net nic numa passthrough pci screen ps2 scsi sleep small systemd uefi vfio)

$(BUILD)/tests/kvmspeed: $(BUILD)/obj/tests/lab/kvmspeed.c.o
	@mkdir -p $(@D)
	$(call say,LD,$@)$(CC) $(ALL_LDFLAGS) -o $@ $^

# what tests/lab/vfio runs in the lab
$(BUILD)/tests/nvmevf: $(BUILD)/obj/tests/lab/nvmevf.c.o
	@mkdir -p $(@D)
	$(call say,LD,$@)$(CC) $(ALL_LDFLAGS) -o $@ $^
check-build: $(BUILD)/tests/nvmevf

# what tests/lab/floppy runs in its guest
$(BUILD)/tests/fdtrack: $(BUILD)/obj/tests/lab/fdtrack.c.o
	@mkdir -p $(@D)
	$(call say,LD,$@)$(CC) $(ALL_LDFLAGS) -o $@ $^
check-build: $(BUILD)/tests/fdtrack

# what tests/lab/install-uefi reads the screen with
$(BUILD)/tests/screentext: $(BUILD)/obj/tests/lab/screentext.c.o
	@mkdir -p $(@D)
	$(call say,LD,$@)$(CC) $(ALL_LDFLAGS) -o $@ $^ -lpng
check-build: $(BUILD)/tests/screentext
