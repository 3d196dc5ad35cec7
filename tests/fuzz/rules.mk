# SPDX-License-Identifier: MIT
# Fuzz targets: each fuzz_<what>.c has LLVMFuzzerTestOneInput and a corpus folder of the same name.
# `make fuzz` runs them with libFuzzer (FUZZ_SECONDS each, FUZZ_TARGETS to choose); `make check` replays
# the corpora through the same code with an ordinary build.

# viewers: where their library is there
FUZZ_SRC := $(filter-out $(if $(VNC),,tests/fuzz/fuzz_display_%.c),$(sort $(wildcard tests/fuzz/fuzz_*.c)))
FUZZ_NAMES := $(patsubst tests/fuzz/fuzz_%.c,%,$(FUZZ_SRC))
FUZZ_TARGETS ?= $(FUZZ_NAMES)
FUZZ_SECONDS ?= 60
FUZZ_LIBS := -lcmocka -luv -luring -lsqlite3 -ljson-c -lyaml -lz
# the board and the driver's side of the unit tests
FUZZ_HELPERS := $(call obj,$(addprefix tests/unit/,fake_board.c ahci_fixture.c fake_net.c fake_vfio.c net_fixture.c nic_fixture.c guest_virtio.c guest_ring.c))

REPLAY_BIN := $(patsubst tests/fuzz/fuzz_%.c,$(BUILD)/tests/fuzz/replay_%,$(FUZZ_SRC))
TESTS += $(REPLAY_BIN)

$(BUILD)/tests/fuzz/replay_%: $(BUILD)/obj/tests/fuzz/fuzz_%.c.o $(BUILD)/obj/tests/fuzz/replay.c.o $(FUZZ_HELPERS) $(ARCHIVES)
	@mkdir -p $(@D)
	$(call say,LD,$@)$(CC) $(ALL_LDFLAGS) -o $@ $^ $(FUZZ_LIBS) $(if $(findstring _display_,$@),$(VNC_LIBS))

$(BUILD)/tests/fuzz/fuzz_%: $(BUILD)/obj/tests/fuzz/fuzz_%.c.o $(FUZZ_HELPERS) $(ARCHIVES)
	@mkdir -p $(@D)
	$(call say,LD,$@)$(CC) $(LDFLAGS) -pie -fsanitize=fuzzer,address,undefined -pthread -o $@ $^ $(FUZZ_LIBS) $(if $(findstring _display_,$@),$(VNC_LIBS))

fuzz-build: $(addprefix $(BUILD)/tests/fuzz/fuzz_,$(FUZZ_TARGETS))

fuzz:
	$(Q)tests/deps build check ci
	$(Q)$(MAKE) --no-print-directory -j$$(nproc) BUILD=$(BUILD)/fuzz CC=clang \
		SAN=fuzzer-no-link,address,undefined fuzz-build
	$(Q)for t in $(FUZZ_TARGETS); do \
		mkdir -p $(BUILD)/fuzz/corpus/$$t && echo "fuzz $$t: $(FUZZ_SECONDS) s" && \
		$(BUILD)/fuzz/tests/fuzz/fuzz_$$t -max_total_time=$(FUZZ_SECONDS) -print_final_stats=1 -verbosity=0 \
			-artifact_prefix=$(BUILD)/fuzz/$$t- $(BUILD)/fuzz/corpus/$$t tests/fuzz/corpus/$$t || exit 1; done

.PHONY: fuzz-build
