# SPDX-License-Identifier: MIT
# shellcheck shell=bash
# What the programs that start OVMF in the lab share. Sourced after lib.sh.
#
# OVMF writes CR8 at the end of each interrupt. Where one is pending then, QEMU up to 11.1 ends by an assertion in its emulation
# of nested SVM (helper_write_crN calls cpu_interrupt without the lock that it needs); that is a reason to skip, and no other is.

# uefi_lab S NAME LOG...: runs tests/lab/NAME-inside, says its TAP, and the end of these logs when it fails. The status is its.
uefi_lab() {
	local limit=$1 name=$2 tap="$BUILD/lab/$2.tap" why="cpu_interrupt: assertion failed: (bql_locked())" status ran planned f
	shift 2
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
