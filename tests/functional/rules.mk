# SPDX-License-Identifier: MIT
# Functional tests: test_*.c, each a program with the harness; they run the programs of $(BUILD)/bin.
# viewers: where their library is there
FUNCTIONAL_VNC := $(addprefix tests/functional/,test_display.c test_display_life.c test_display_slow.c viewing.c rfb.c)
FUNCTIONAL_SRC := $(filter-out $(if $(VNC),,$(FUNCTIONAL_VNC)),$(sort $(wildcard tests/functional/test_*.c)))
FUNCTIONAL_BIN := $(patsubst %.c,$(BUILD)/%,$(FUNCTIONAL_SRC))
FUNCTIONAL_HELPERS := $(call obj,$(filter-out $(FUNCTIONAL_VNC) %/fake_vmm.c %/fake_acts.c %/clock_shim.c $(FUNCTIONAL_SRC),$(wildcard tests/functional/*.c)) \
	tests/lib/tempdir.c tests/lib/pci_tree.c)
TESTS += $(FUNCTIONAL_BIN) tests/functional/units

$(FUNCTIONAL_BIN): $(BUILD)/%: $(BUILD)/obj/%.c.o $(FUNCTIONAL_HELPERS) \
		$(BUILD)/lib/state.a $(BUILD)/lib/common.a \
		| $(addprefix $(BUILD)/bin/,$(PROGRAMS)) $(addprefix $(BUILD)/tests/,functional/fake_vmm functional/clock_shim.so guest/ticks guest/halt)
	@mkdir -p $(@D)
	$(call say,LD,$@)$(CC) $(ALL_LDFLAGS) -o $@ $^ -lcmocka -luv -lsqlite3 -ljson-c -lyaml -lpng $(if $(findstring test_display,$@),-lvncclient $(VNC_LIBS))

# real guests
$(addprefix $(BUILD)/tests/functional/,test_display test_display_life test_display_slow): $(call obj,tests/functional/rfb.c tests/functional/viewing.c) | $(BUILD)/tests/guest/look $(BUILD)/tests/guest/screen
$(BUILD)/tests/functional/test_hotplug: | $(BUILD)/tests/guest/hotplug
$(BUILD)/tests/functional/test_disk: | $(BUILD)/tests/guest/idle $(BUILD)/tests/guest/grow $(BUILD)/tests/guest/blkload
$(BUILD)/tests/functional/test_follow: | $(BUILD)/tests/guest/count
$(BUILD)/tests/functional/test_media: | $(BUILD)/tests/guest/media
$(BUILD)/tests/functional/test_ports: | $(BUILD)/tests/guest/ports
$(addprefix $(BUILD)/tests/functional/,test_net test_net_crash test_net_user): | $(addprefix $(BUILD)/tests/guest/,hotplug net)
$(BUILD)/tests/functional/test_screen: | $(BUILD)/tests/guest/screen
$(BUILD)/tests/functional/test_scsi: | $(addprefix $(BUILD)/tests/guest/,scsi hotplug)
$(BUILD)/tests/functional/test_memory: | $(BUILD)/tests/guest/balloon
$(BUILD)/tests/functional/test_sleep: | $(BUILD)/tests/guest/suspend
$(BUILD)/tests/functional/test_send_key: | $(BUILD)/tests/guest/ps2
$(BUILD)/tests/functional/test_serial: | $(BUILD)/tests/guest/uarts
$(BUILD)/tests/functional/test_panic: | $(BUILD)/tests/guest/panic
$(BUILD)/tests/functional/test_watchdog: | $(BUILD)/tests/guest/watchdog
$(BUILD)/tests/functional/test_timeline: | $(BUILD)/tests/guest/rng $(BUILD)/tests/guest/serial

$(BUILD)/tests/functional/fake_vmm: $(call obj,tests/functional/fake_vmm.c tests/functional/fake_acts.c) $(BUILD)/lib/common.a
	@mkdir -p $(@D)
	$(call say,LD,$@)$(CC) $(ALL_LDFLAGS) -o $@ $^ -luv -ljson-c -lyaml

# preloaded into a vmd, with or without sanitizers: it has none itself
$(BUILD)/tests/functional/clock_shim.so: tests/functional/clock_shim.c
	@mkdir -p $(@D)
	$(call say,CC,$<)$(CC) $(CPPFLAGS) -std=gnu11 $(WARN) -O2 -fPIC -shared -o $@ $<

functional: $(FUNCTIONAL_BIN)
	$(Q)tests/run $(FUNCTIONAL_BIN)

.PHONY: functional
