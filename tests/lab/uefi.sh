# SPDX-License-Identifier: MIT
# shellcheck shell=bash
# What the programs that start OVMF in the lab share, outside of the lab and in it. Sourced after lib.sh.
#
# OVMF writes CR8 at the end of each interrupt. Where one is pending then, QEMU up to 11.1 ends by an assertion in its emulation
# of nested SVM (helper_write_crN calls cpu_interrupt without the lock that it needs). So the lab host's KVM is made to intercept each
# write, as it does where a guest has to be told of its TPR: no more than its way to leave that again is taken out of a copy of the
# module. Should the emulator end like that in spite of it, that is a reason to skip, and no other is.

# uefi_module FILE: a copy of the lab host's kvm-amd.ko whose svm_update_cr8_intercept returns right behind the call, of five bytes,
# that ftrace has at its beginning. The signature at the end of the file, of 28 bytes at least, is right no more, and cut off.
uefi_module() {
	local ko at section place signed='~Module signature appended~' cut=0
	ko=$(find "$(lab_kernel host)/lib/modules/" -name kvm-amd.ko) &&
		read -r at section < <(readelf -sW "$ko" | awk '$4 == "FUNC" && $8 == "svm_update_cr8_intercept" { print $2, $7 }') &&
		place=$(readelf -SW "$ko" | sed -nE "s/^ *\\[ *$section\\] [^ ]+ +PROGBITS +[0-9a-f]+ ([0-9a-f]+) .*/\\1/p") &&
		[ -n "$place" ] && place=$((0x$place + 0x$at)) && [ "$(od -An -tx1 -j "$place" -N 1 "$ko")" = " e8" ] || return 1
	[ "$(tail -c 28 "$ko")" = "$signed" ] && cut=28
	head -c -$cut "$ko" >"$1" && printf '\xc3' | dd of="$1" bs=1 seek=$((place + 5)) conv=notrunc status=none
}

# uefi_kvm: in the lab, before the first guest: that module, if it could be made
uefi_kvm() {
	[ -n "${LAB_ENV_KVM:-}" ] && rmmod kvm_amd && insmod "$LAB_ENV_KVM" && return
	echo "# the lab host's KVM is as it was"
	modprobe kvm_amd
}

# uefi_lab S NAME LOG...: runs tests/lab/NAME-inside, says its TAP, and the end of these logs when it fails. The status is its.
uefi_lab() {
	local limit=$1 name=$2 tap="$BUILD/lab/$2.tap" why="cpu_interrupt: assertion failed: (bql_locked())" status ran planned f
	shift 2
	uefi_module "$BUILD/lab/$name.ko" && export LAB_ENV_KVM=$BUILD/lab/$name.ko
	LAB_SILENCE=${LAB_SILENCE:-150} tests/lab/run --timeout "$limit" --out "$tap" -- "tests/lab/$name-inside"
	status=$?
	if [ $status -eq 125 ] && grep -qsF "$why" "$lab_last/qemu.log"; then
		grep -E '^(1\.\.|(not )?ok |#)' "$tap"
		ran=$(grep -cE '^(not )?ok ' "$tap")
		planned=$(sed -n 's/^1\.\.//p' "$tap")
		while [ $((ran += 1)) -le "$planned" ]; do
			echo "ok $ran # SKIP this QEMU cannot run OVMF in a nested guest: $why"
		done
		! grep -q '^not ok' "$tap"
		return
	fi
	cat "$tap"
	[ $status -eq 0 ] || for f in "$@"; do
		echo "--- last lines of $lab_last/$f" >&2
		tail -n 12 "$lab_last/$f" >&2
	done
	return $status
}
