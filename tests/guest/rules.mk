# SPDX-License-Identifier: MIT
# Tiny guests: freestanding programs of one behaviour each, started by `vmm --config` through its PVH
# entry. lib/ is their library (start.S is the way to 64-bit mode, guest.h says what there is), run is the
# TAP program that starts them. A new guest: NAME.c with a guest_main(), and a line or two in run. It
# prints to port 0xe9, CHECKs, and returns its exit status; it needs no time limit of its own.
#
# The code is for KVMs that emulate every instruction: no SSE, no XSAVE, no cmpxchg16b.
GUEST_NAMES := $(patsubst tests/guest/%.c,%,$(sort $(wildcard tests/guest/*.c)))
GUEST_BIN := $(addprefix $(BUILD)/tests/guest/,$(GUEST_NAMES))
GUEST_LIB_OBJ := $(patsubst %,$(BUILD)/guest/%.o,$(notdir $(wildcard tests/guest/lib/*.S tests/guest/lib/*.c)))
GUEST_CFLAGS := -std=gnu11 -O2 -g -m64 -ffreestanding -mgeneral-regs-only -mno-red-zone -fno-pic -fno-pie \
	-fno-stack-protector -fno-asynchronous-unwind-tables -fcf-protection=none -Itests/guest/lib $(WARN)

$(BUILD)/guest/%.S.o: tests/guest/lib/%.S
	@mkdir -p $(@D)
	$(call say,AS,$<)$(CC) -c -m64 -o $@ $<
$(BUILD)/guest/%.c.o: tests/guest/lib/%.c
	@mkdir -p $(@D)
	$(call say,CC,$<)$(CC) $(GUEST_CFLAGS) -MMD -MP -c -o $@ $<
$(BUILD)/guest/%.c.o: tests/guest/%.c
	@mkdir -p $(@D)
	$(call say,CC,$<)$(CC) $(GUEST_CFLAGS) -MMD -MP -c -o $@ $<

$(GUEST_BIN): $(BUILD)/tests/guest/%: $(BUILD)/guest/%.c.o $(GUEST_LIB_OBJ) tests/guest/lib/guest.ld
	@mkdir -p $(@D)
	$(call say,LD,$@)$(CC) -m64 -static -nostdlib -Wl,--build-id=none -Wl,-z,noexecstack \
		-Wl,-z,max-page-size=4096 -Wl,-T,tests/guest/lib/guest.ld -o $@ $(filter %.o,$^)

guests: $(GUEST_BIN)
check-build: $(GUEST_BIN)
TESTS += tests/guest/run

.PHONY: guests
-include $(wildcard $(BUILD)/guest/*.d)
