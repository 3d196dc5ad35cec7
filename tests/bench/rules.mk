# SPDX-License-Identifier: MIT
# Figures, side by side with peers and floors in one interleaved run: `make bench`. README.md here has the
# last ones. Nothing of this decides a test.

BENCH_BIN := $(BUILD)/tests/bench/interleave $(BUILD)/tests/bench/kvm_floor

$(BENCH_BIN): $(BUILD)/%: $(BUILD)/obj/%.c.o $(BUILD)/lib/common.a
	@mkdir -p $(@D)
	$(call say,LD,$@)$(CC) $(ALL_LDFLAGS) -o $@ $^ -ljson-c -luv -lyaml

bench-build: $(BENCH_BIN)

bench:
	$(Q)tests/deps build check bench
	$(Q)$(MAKE) --no-print-directory -j$$(nproc) check-build bench-build
	$(Q)tests/bench/startup

.PHONY: bench-build
