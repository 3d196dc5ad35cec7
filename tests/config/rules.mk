# SPDX-License-Identifier: MIT
# Golden pairs: a VM file, and the exact message or machine configuration that comes of it.
TESTS += $(BUILD)/tests/config/golden

$(BUILD)/tests/config/golden: $(BUILD)/obj/tests/config/golden.c.o $(BUILD)/lib/common.a
	@mkdir -p $(@D)
	$(call say,LD,$@)$(CC) $(ALL_LDFLAGS) -o $@ $^ -ljson-c -lyaml
