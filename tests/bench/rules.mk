# SPDX-License-Identifier: MIT
# Figures, side by side with peers and floors in one interleaved run: `make bench`, or some of them by
# `make bench BENCH="startup idle"`. README.md here has the last ones. Nothing of this decides a test: smoke
# only sees that each program works and prints its rows.

BENCH_NAMES := startup idle exits latency churn scale rpc lease balloon net blk scsi bios $(if $(VNC),vnc)
BENCH_BIN := $(addprefix $(BUILD)/tests/bench/,$(BENCH_NAMES) boot kvm_floor uv_floor)
BENCH_HELPERS := $(call obj,tests/bench/bench.c tests/functional/harness.c tests/functional/simhost.c tests/lib/tempdir.c)
TESTS += tests/bench/smoke

$(BUILD)/tests/bench/vnc: $(call obj,tests/functional/rfb.c) | $(BUILD)/tests/guest/look

$(BENCH_BIN): $(BUILD)/%: $(BUILD)/obj/%.c.o $(BENCH_HELPERS) $(BUILD)/lib/state.a $(BUILD)/lib/common.a
	@mkdir -p $(@D)
	$(call say,LD,$@)$(CC) $(ALL_LDFLAGS) -o $@ $^ -lcmocka -luv -lsqlite3 -ljson-c -lyaml $(if $(findstring bench/vnc,$@),-lvncclient)

check-build: $(BENCH_BIN)

bench:
	$(Q)tests/deps build check bench
	$(Q)$(MAKE) --no-print-directory -j$$(nproc) check-build
	$(Q)tests/bench/run $(BENCH)
