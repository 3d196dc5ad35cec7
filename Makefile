# SPDX-License-Identifier: MIT
# vmd, vmctl, vmm. `make help` lists the targets. Variants: BUILD=build/asan SAN=address,undefined,
# CC=clang, WERROR=0 (for packagers), V=1 (shows the commands).

# make's own rules would make tests/lab/limits of tests/lab/limits.sh
MAKEFLAGS += --no-builtin-rules
.SUFFIXES:

BUILD ?= build
PREFIX ?= /usr/local
DESTDIR ?=
# make's own default, cc, is no choice of anybody's
ifeq ($(origin CC),default)
CC := gcc
endif
V ?= 0
WERROR ?= 1
SAN ?=
IASL ?= iasl

Q := $(if $(filter 1,$(V)),,@)
say = $(if $(filter 1,$(V)),,@printf '  %-7s %s\n' '$(1)' '$(2)';)

VERSION := 0.1.0

# --- flags ------------------------------------------------------------------------------------
WARN := -Wall -Wextra -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wold-style-definition \
	-Wpointer-arith -Wwrite-strings -Wvla -Wundef -Wformat=2 -Wimplicit-fallthrough \
	-Wno-missing-field-initializers
CLANG := $(findstring clang,$(shell $(CC) --version 2>/dev/null | head -n1))
WARN += $(if $(CLANG),-Wconditional-uninitialized -Wno-gnu-statement-expression,)
WARN += $(if $(filter 1,$(WERROR)),-Werror,)
HARDEN := $(if $(SAN),-fno-omit-frame-pointer -fsanitize=$(SAN) $(if $(findstring undefined,$(SAN)),-fno-sanitize-recover=undefined),\
	-D_FORTIFY_SOURCE=2 -fstack-protector-strong $(if $(CLANG),,-ftrivial-auto-var-init=zero))
LDHARDEN := -pie $(if $(SAN),-fsanitize=$(SAN),-Wl,-z,relro,-z,now)

PKGS := json-c libuv sqlite3 liburing yaml-0.1 libpci libseccomp libmnl zlib libpng
# scopes for VMs by systemd's bus, where its library is there
SYSTEMD := $(shell pkg-config --exists libsystemd 2>/dev/null && echo 1)
SYSTEMD_LIBS := $(if $(SYSTEMD),-lsystemd)
CPPFLAGS += $(if $(SYSTEMD),-DHAVE_SYSTEMD)
PKG_CFLAGS := $(shell pkg-config --cflags $(PKGS) 2>/dev/null)
CPPFLAGS += -I. -D_GNU_SOURCE -DVERSION='"$(VERSION)"'
CFLAGS ?= -O2 -g
ALL_CFLAGS = -std=gnu11 $(CFLAGS) -fPIE -pthread $(HARDEN) $(WARN) $(PKG_CFLAGS)
ALL_LDFLAGS = $(LDFLAGS) $(LDHARDEN) -pthread

# --- programs ---------------------------------------------------------------------------------
# viewers of a VM's screen, where their library is there
VNC := $(shell pkg-config --exists libvncserver 2>/dev/null && echo 1)
VNC_LIBS := -lvncserver -lgcrypt
PROGRAMS := vmd vmctl vmm vmd-hostio vmd-hostsim $(if $(VNC),vmm-display)
LIB_SRC := $(sort $(wildcard lib/*.c))
STATE_SRC := $(sort $(wildcard state/*.c))
VMD_SRC := $(sort $(wildcard vmd/*.c))
VMCTL_SRC := $(sort $(wildcard vmctl/*.c))
VMM_SRC := $(sort $(wildcard vmm/*.c vmm/*/*.c))
HOSTIO_SRC := $(sort $(wildcard hostio/*.c))
# what needs no library of viewers is there in any case: its tests are
DISPLAY_SRC := $(if $(VNC),$(sort $(wildcard display/*.c)),$(addprefix display/,edge.c gate.c keymap.c screen.c slice.c))

# the archives $(1) by their paths if the compiler finds them all
archive_path = $(filter /%,$(shell $(CC) -print-file-name=$(1) 2>/dev/null))
archives = $(if $(filter $(words $(1)),$(words $(foreach a,$(1),$(call archive_path,$(a))))),\
	$(foreach a,$(1),$(call archive_path,$(a))))
obj = $(patsubst %,$(BUILD)/obj/%.o,$(1))
# what is a program is no part of an archive: *_gen.c makes something of the build
archive_of = $(call obj,$(filter-out %/main.c %_main.c %_gen.c,$(1)))

all: $(addprefix $(BUILD)/bin/,$(PROGRAMS)) $(BUILD)/man/vmd-errors.7

$(BUILD)/lib/common.a: $(call obj,$(LIB_SRC)) $(BUILD)/obj/gen/schemas.o
$(BUILD)/lib/state.a: $(call obj,$(STATE_SRC)) $(BUILD)/obj/gen/migrations.o
$(BUILD)/lib/vmd.a: $(call archive_of,$(VMD_SRC))
$(BUILD)/lib/hostio.a: $(call archive_of,$(HOSTIO_SRC))
$(BUILD)/lib/display.a: $(call archive_of,$(DISPLAY_SRC))
$(BUILD)/lib/vmctl.a: $(call archive_of,$(VMCTL_SRC)) $(BUILD)/obj/gen/completions.o
$(BUILD)/lib/vmm.a: $(call archive_of,$(VMM_SRC)) $(call obj,vmm/x86/boot_rom.S) $(BUILD)/obj/gen/dsdt.o $(BUILD)/obj/gen/seccomp.o

$(BUILD)/bin/vmd: $(call obj,vmd/main.c) $(BUILD)/lib/vmd.a $(BUILD)/lib/state.a $(BUILD)/lib/common.a
$(BUILD)/bin/vmctl: $(call obj,vmctl/main.c) $(BUILD)/lib/vmctl.a $(BUILD)/lib/common.a
$(BUILD)/bin/vmm: $(call obj,vmm/main.c) $(BUILD)/lib/vmm.a $(BUILD)/lib/common.a
$(BUILD)/bin/vmd: LIBS := -luv -lsqlite3 -ljson-c -lyaml -lpci -lmnl $(SYSTEMD_LIBS)
$(BUILD)/bin/vmctl: LIBS := -luv -ljson-c -lyaml -lpng
$(BUILD)/bin/vmd-hostio: $(call obj,hostio/main.c) $(BUILD)/lib/hostio.a $(BUILD)/lib/common.a
$(BUILD)/bin/vmd-hostsim: $(call obj,hostio/sim_main.c) $(BUILD)/lib/hostio.a $(BUILD)/lib/common.a
$(BUILD)/bin/vmm-display: $(call obj,display/main.c) $(BUILD)/lib/display.a $(BUILD)/lib/vmm.a $(BUILD)/lib/common.a
$(BUILD)/bin/vmm-display: LIBS := $(VNC_LIBS) -luv -ljson-c
$(BUILD)/bin/vmd-hostio $(BUILD)/bin/vmd-hostsim: LIBS := -lmnl -ljson-c -lyaml
# vmm is linked statically where the archives are there: each shared library costs every VM a tenth of a
# millisecond and private pages, and would have to be in its empty root. VMM_STATIC=0: shared ones, for
# packagers and sanitizers.
VMM_STATIC ?= $(if $(SAN),0,1)
VMM_ARCHIVES := $(if $(filter 1,$(VMM_STATIC)),$(call archives,libuv_a.a liburing.a libjson-c.a libyaml.a libz.a libc.a))
$(BUILD)/bin/vmm: LIBS := $(if $(VMM_ARCHIVES),-static-pie $(VMM_ARCHIVES),-luv -luring -ljson-c -lyaml -lz)

# libuv could ask for users' names, which needs shared libraries; vmm does not, and the linker need not say so.
# A copy, as an installed one is: what a linker writes piece by piece stays in small pages of the page cache, which
# costs each start a thirtieth.
$(BUILD)/bin/vmm:
	@mkdir -p $(@D) $(BUILD)/gen
	$(call say,LD,$@)$(CC) $(if $(VMM_ARCHIVES),$(filter-out -pie,$(ALL_LDFLAGS)),$(ALL_LDFLAGS)) -o $(BUILD)/gen/vmm $^ $(LIBS) 2>$(BUILD)/gen/vmm.ld; r=$$?; \
		grep -vE 'in function|statically linked applications' $(BUILD)/gen/vmm.ld >&2; \
		[ $$r -ne 0 ] || install -m 755 $(BUILD)/gen/vmm $@; exit $$r

$(BUILD)/bin/%:
	@mkdir -p $(@D)
	$(call say,LD,$@)$(CC) $(ALL_LDFLAGS) -o $@ $^ $(LIBS)

$(BUILD)/lib/%.a:
	@mkdir -p $(@D)
	$(call say,AR,$@)rm -f $@ && ar rcs $@ $(filter %.o,$^)

$(BUILD)/obj/%.c.o: %.c
	@mkdir -p $(@D)
	$(call say,CC,$<)$(CC) $(CPPFLAGS) $(ALL_CFLAGS) -MMD -MP -c -o $@ $<

$(BUILD)/obj/%.S.o: %.S
	@mkdir -p $(@D)
	$(call say,AS,$<)$(CC) -c -o $@ $<

# --- embedded files: a table of {name, data, size} made from a folder ---------------------------
# $(1) symbol, $(2) folder, $(3) files below it
define embed_rule
$(BUILD)/gen/$(1).S: $(addprefix $(2)/,$(3)) Makefile
	@mkdir -p $$(@D)
	$$(Q){ n=0; printf '.section .rodata\n'; for f in $(3); do \
		printf 'n%d: .asciz "%s"\n' $$$$n $$$$f; n=$$$$((n+1)); done; \
	n=0; for f in $(3); do \
		printf 'd%d: .incbin "%s"\ne%d: .byte 0\n' $$$$n $(2)/$$$$f $$$$n; n=$$$$((n+1)); done; \
	printf '.section .data.rel.ro,"aw"\n.balign 8\n.globl embed_$(1)\nembed_$(1):\n'; \
	i=0; while [ $$$$i -lt $$$$n ]; do printf '.quad n%d, d%d, e%d - d%d\n' $$$$i $$$$i $$$$i $$$$i; i=$$$$((i+1)); done; \
	printf '.quad 0, 0, 0\n.section .note.GNU-stack,"",@progbits\n'; } > $$@
$(BUILD)/obj/gen/$(1).o: $(BUILD)/gen/$(1).S
	@mkdir -p $$(@D)
	$$(call say,AS,$$<)$$(CC) -c -o $$@ $$<
endef
SCHEMA_FILES := $(sort $(patsubst schemas/%,%,$(wildcard schemas/*.json schemas/device/*.json schemas/rpc/*.json)))
MIGRATION_FILES := $(sort $(patsubst state/migrations/%,%,$(wildcard state/migrations/*.sql)))
$(eval $(call embed_rule,schemas,schemas,$(SCHEMA_FILES)))
COMPLETION_FILES := _vmctl vmctl.bash vmctl.fish
$(eval $(call embed_rule,completions,completions,$(COMPLETION_FILES)))
$(eval $(call embed_rule,migrations,state/migrations,$(MIGRATION_FILES)))

# --- vmm's seccomp filters, from their tables: compiled here, not at each start of a vmm -------------
SECCOMP_TABLES := control vcpu worker waiter display
$(BUILD)/gen/seccomp_gen: $(call obj,vmm/seccomp_gen.c vmm/seccomp_calls.c)
	@mkdir -p $(@D)
	$(call say,LD,$@)$(CC) $(ALL_LDFLAGS) -o $@ $^ -lseccomp
$(BUILD)/gen/seccomp/control: $(BUILD)/gen/seccomp_gen
	@mkdir -p $(@D)
	$(call say,BPF,$(@D))$< $(@D)
$(BUILD)/gen/seccomp/vcpu $(BUILD)/gen/seccomp/worker $(BUILD)/gen/seccomp/waiter $(BUILD)/gen/seccomp/display: $(BUILD)/gen/seccomp/control
$(eval $(call embed_rule,seccomp,$(BUILD)/gen/seccomp,$(SECCOMP_TABLES)))

# --- the DSDT, from its source ------------------------------------------------------------------
$(BUILD)/gen/dsdt.aml: vmm/x86/dsdt.asl
	@mkdir -p $(@D)
	$(call say,IASL,$<)$(IASL) -vs -p $(BUILD)/gen/dsdt $< >$(BUILD)/gen/dsdt.log 2>&1 || { cat $(BUILD)/gen/dsdt.log; exit 1; }
$(BUILD)/obj/gen/dsdt.o: $(BUILD)/gen/dsdt.aml
	@mkdir -p $(@D)
	$(Q)printf '.section .rodata\n.balign 8\n.globl acpi_dsdt\nacpi_dsdt: .incbin "%s"\n.section .note.GNU-stack,"",@progbits\n' $< > $(BUILD)/gen/dsdt.S
	$(call say,AS,$<)$(CC) -c -o $@ $(BUILD)/gen/dsdt.S

# --- the manual page of the errors, from their catalogue -----------------------------------------
$(BUILD)/gen/vmd-errors: $(call obj,man/vmd-errors.c) $(BUILD)/lib/common.a
	@mkdir -p $(@D)
	$(call say,LD,$@)$(CC) $(ALL_LDFLAGS) -o $@ $^ -ljson-c -lyaml
$(BUILD)/man/vmd-errors.7: $(BUILD)/gen/vmd-errors
	@mkdir -p $(@D)
	$(Q)$< >$@.new && mv $@.new $@

# --- tests: each folder of tests/ adds its own rules, its programs to TESTS -----------------------
TESTS :=
UNIT_VNC := tests/unit/test_display_hold.c tests/unit/test_display_ws.c
UNIT_SRC := $(filter-out $(if $(VNC),,$(UNIT_VNC)),$(sort $(wildcard tests/lib/test_*.c tests/unit/test_*.c)))
UNIT_BIN := $(patsubst %.c,$(BUILD)/%,$(UNIT_SRC))
UNIT_HELPERS := $(call obj,$(filter-out $(UNIT_VNC) $(UNIT_SRC),$(wildcard tests/lib/*.c tests/unit/*.c)))
ARCHIVES := $(addprefix $(BUILD)/lib/,vmctl.a vmd.a state.a display.a vmm.a hostio.a common.a)
TESTS += $(UNIT_BIN)

$(UNIT_BIN): $(BUILD)/%: $(BUILD)/obj/%.c.o $(UNIT_HELPERS) $(ARCHIVES)
	@mkdir -p $(@D)
	$(call say,LD,$@)$(CC) $(ALL_LDFLAGS) -o $@ $^ -lcmocka -luv -luring -lsqlite3 -ljson-c -lyaml -lz -lpci -lmnl -lpng $(SYSTEMD_LIBS) $(if $(filter $(UNIT_VNC:%.c=$(BUILD)/%),$@),$(VNC_LIBS))

# it has helpers
$(BUILD)/tests/unit/test_hostio: | $(BUILD)/bin/vmd-hostsim

include $(sort $(wildcard tests/*/rules.mk))

# what `make check` builds before it runs tests/run
check-build: all $(TESTS)

unit: $(UNIT_BIN)
	$(Q)tests/run $(UNIT_BIN)

# all tests but the lab's; those that show what threads do: for the sanitizer builds
check-local: check-build
	$(Q)tests/run $(filter-out tests/lab/% $(BUILD)/tests/lab/%,$(TESTS))

check-threads: check-build
	$(Q)tests/run $(UNIT_BIN) $(foreach t,$(TESTS),$(if $(findstring tests/functional/,$(t)),$(t)))

check:
	$(Q)tests/deps build check lab
	$(Q)$(MAKE) --no-print-directory -j$$(nproc) check-build
	$(Q)tests/run $(TESTS)

# installs, builds, runs; times each
quickstart:
	$(Q)tests/quickstart

lab:
	$(Q)tests/deps build check lab
	$(Q)$(MAKE) --no-print-directory -j$$(nproc) check-build
	$(Q)tests/run $(filter tests/lab/% $(BUILD)/tests/lab/%,$(TESTS))

# --- code checks ----------------------------------------------------------------------------------
C_FILES := $(LIB_SRC) $(STATE_SRC) $(VMD_SRC) $(VMCTL_SRC) $(VMM_SRC) $(HOSTIO_SRC) $(DISPLAY_SRC) man/vmd-errors.c
H_FILES := $(sort $(wildcard lib/*.h state/*.h vmd/*.h vmctl/*.h vmm/*.h vmm/*/*.h hostio/*.h display/*.h))
TEST_C := $(sort $(wildcard tests/*/*.c tests/*/*.h))

headers:
	$(Q)for h in $(H_FILES); do echo "#include \"$$h\"" | \
		$(CC) $(CPPFLAGS) -std=gnu11 $(WARN) $(PKG_CFLAGS) -fsyntax-only -x c - || exit 1; done

format:
	$(Q)clang-format -i $(C_FILES) $(H_FILES) $(TEST_C)

format-check:
	$(Q)clang-format --dry-run --Werror $(C_FILES) $(H_FILES) $(TEST_C)

tidy:
	$(Q)printf '%s\n' $(C_FILES) | xargs -P$$(nproc) -I{} \
		clang-tidy --quiet --warnings-as-errors='*' {} -- $(CPPFLAGS) -std=gnu11 $(PKG_CFLAGS)

cppcheck:
	$(Q)cppcheck --quiet --std=c11 --enable=warning,performance,portability --inline-suppr \
		--suppressions-list=tests/cppcheck.suppress --error-exitcode=1 -j$$(nproc) $(CPPFLAGS) $(C_FILES)

# the whole matrix: both compilers, both sanitizer builds, the code checks
ci:
	$(Q)tests/deps build check lab ci
	$(Q)tests/ci

MAN_PAGES = $(wildcard man/*.[1-8]) $(BUILD)/man/vmd-errors.7
UNITDIR = $(PREFIX)/lib/systemd/system
SYSUSERSDIR = $(PREFIX)/lib/sysusers.d
UDEVDIR = $(PREFIX)/lib/udev/rules.d
UNITS := vmd.service vmd.socket vmd-ro.socket

install: all
	install -d $(DESTDIR)$(PREFIX)/bin $(DESTDIR)$(PREFIX)/sbin $(DESTDIR)$(PREFIX)/libexec/vmd
	install -m 755 $(BUILD)/bin/vmctl $(DESTDIR)$(PREFIX)/bin/vmctl
	install -m 755 $(BUILD)/bin/vmd $(DESTDIR)$(PREFIX)/sbin/vmd
	install -m 755 $(BUILD)/bin/vmm $(DESTDIR)$(PREFIX)/libexec/vmd/vmm
	install -m 755 $(BUILD)/bin/vmd-hostio $(BUILD)/bin/vmd-hostsim $(if $(VNC),$(BUILD)/bin/vmm-display) $(DESTDIR)$(PREFIX)/libexec/vmd
	install -D -m 644 completions/vmctl.bash $(DESTDIR)$(PREFIX)/share/bash-completion/completions/vmctl
	install -D -m 644 completions/_vmctl $(DESTDIR)$(PREFIX)/share/zsh/site-functions/_vmctl
	install -D -m 644 completions/vmctl.fish $(DESTDIR)$(PREFIX)/share/fish/vendor_completions.d/vmctl.fish
	install -d $(DESTDIR)$(UNITDIR) $(DESTDIR)$(SYSUSERSDIR)
	for u in $(UNITS); do sed 's|@SBINDIR@|$(PREFIX)/sbin|' vmd/systemd/$$u.in >$(DESTDIR)$(UNITDIR)/$$u && \
		chmod 644 $(DESTDIR)$(UNITDIR)/$$u || exit 1; done
	install -D -m 644 vmd/systemd/sriov.conf $(DESTDIR)$(PREFIX)/share/vmd/sriov.conf
	install -D -m 644 vmd/systemd/network.conf $(DESTDIR)$(PREFIX)/share/vmd/network.conf
	install -m 644 vmd/systemd/vmd.sysusers $(DESTDIR)$(SYSUSERSDIR)/vmd.conf
	install -D -m 644 vmd/systemd/60-vmd-vf.rules $(DESTDIR)$(UDEVDIR)/60-vmd-vf.rules
	for m in $(MAN_PAGES); do s=$${m##*.}; install -D -m 644 $$m $(DESTDIR)$(PREFIX)/share/man/man$$s/$${m##*/} || exit 1; done

uninstall:
	rm -f $(DESTDIR)$(PREFIX)/bin/vmctl $(DESTDIR)$(PREFIX)/sbin/vmd \
		$(addprefix $(DESTDIR)$(PREFIX)/libexec/vmd/,vmm vmm-display vmd-hostio vmd-hostsim)
	rm -f $(DESTDIR)$(PREFIX)/share/bash-completion/completions/vmctl \
		$(DESTDIR)$(PREFIX)/share/zsh/site-functions/_vmctl \
		$(DESTDIR)$(PREFIX)/share/fish/vendor_completions.d/vmctl.fish
	-rmdir $(DESTDIR)$(PREFIX)/libexec/vmd 2>/dev/null
	for u in $(UNITS); do rm -f $(DESTDIR)$(UNITDIR)/$$u; done
	rm -f $(DESTDIR)$(SYSUSERSDIR)/vmd.conf $(DESTDIR)$(UDEVDIR)/60-vmd-vf.rules $(addprefix $(DESTDIR)$(PREFIX)/share/vmd/,sriov.conf network.conf)
	-rmdir $(DESTDIR)$(PREFIX)/share/vmd 2>/dev/null
	for m in $(MAN_PAGES); do s=$${m##*.}; rm -f $(DESTDIR)$(PREFIX)/share/man/man$$s/$${m##*/}; done

clean:
	rm -rf $(filter-out $(BUILD)/cache,$(wildcard $(BUILD)/*))

help:
	@printf '%s\n' \
		'all         the programs, in build/bin' \
		'quickstart  a VM file becomes a running Debian guest' \
		'check       every test' \
		'unit        the unit tests alone (no apt, no KVM)' \
		'lab         the tests that need the emulated host' \
		'bench       figures, side by side with the peers' \
		'fuzz        the fuzzers' \
		'ci          the whole matrix: compilers, sanitizers, code checks' \
		'headers, format, format-check, tidy, cppcheck   single code checks' \
		'install, uninstall   PREFIX=/usr/local DESTDIR=' \
		'clean       all that was built, but not what was fetched (build/cache)'

.PHONY: all check check-build check-local check-threads unit quickstart lab bench fuzz ci install uninstall clean help headers format \
	format-check tidy cppcheck
.SECONDARY:
-include $(shell find $(BUILD)/obj -name '*.d' 2>/dev/null)
