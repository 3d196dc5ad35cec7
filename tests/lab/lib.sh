# SPDX-License-Identifier: MIT
# shellcheck shell=bash
# What the lab's scripts share: places, messages. Sourced; sets `top` and changes to it.
top=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
cd "$top" || exit 1
BUILD=${BUILD:-build}
# fetched files: kept by `make clean`, shared by every BUILD
cache=${VMD_CACHE:-build/cache}
case $cache in
/*) ;;
*) cache=$top/$cache ;;
esac

# The folder of a program's last run in the lab: its own name, for another may run beside it; LAB_LAST is a command's.
case ${0##*/} in
run) ;;
*) export LAB_LAST=last-${0##*/} ;;
esac
lab_last=$BUILD/lab/${LAB_LAST:-last}

# lab_die WHAT [HINT]: says what failed and what to do, and ends the script.
lab_die() {
	printf '%s: %s\n' "${0#"$top"/}" "$1" >&2
	[ $# -gt 1 ] && printf '    %s\n' "$2" >&2
	exit 1
}

# The folder of an unpacked kernel: lab_kernel generic|cloud|host. The lab host's is Debian's generic one, or the
# one that LAB_KERNEL names.
lab_kernel() {
	case $1 in
	host) realpath -m "${LAB_KERNEL:-$cache/linux-generic}" ;;
	*) echo "$cache/linux-$1" ;;
	esac
}
