# SPDX-License-Identifier: MIT
# shellcheck shell=bash
# What the programs that test in the lab share: counting tests, and VMs with Debian's cloud kernel. Sourced after
# lib.sh and guest.sh, with $work, a folder for files. A function that fails leaves the reason in $why.
boot=60 # seconds that a guest may take to its prompt
lab=$top/$BUILD/lab
case $BUILD in /*) lab=$BUILD/lab ;; esac
count=0 failed=0 why= said=

# check NAME FUNCTION ARGUMENT...: one test. A function that fails leaves the reason in $why.
check() {
	local name=$1
	shift
	why=
	count=$((count + 1))
	if "$@"; then
		echo "ok $count - $name"
	else
		failed=$((failed + 1))
		echo "not ok $count - $name"
		echo "# $* failed: ${why//$'\n'/$'\n'# }"
	fi
}

# ctl ARGUMENT...: vmctl, whose words become $why when it fails; its output is $said.
ctl() {
	said=$(vmctl "$@" 2>"$work/err") && return
	why="vmctl $*: $(cat "$work/err")$said"
	return 1
}

# vm_show NAME FILTER: a value of `vmctl show --json`.
vm_show() {
	vmctl show "$1" --json 2>/dev/null | jq -r "$2"
}

# vm_file NAME CPUS KERNEL CMDLINE [LINE...]: writes the VM file, with $profile and $initrd.
vm_file() {
	local name=$1 cpus=$2 kernel=$3 cmdline=$4 line
	shift 4
	{
		cat <<-VM
			kind: vm
			name: $name
			profile: ${profile:-modern}
			cpus: $cpus
			memory: 256MiB
			boot: {kernel: $cache/linux-cloud/$kernel, initrd: $lab/${initrd:-guest.img}, cmdline: "console=ttyS0 quiet panic=-1 $cmdline"}
		VM
		for line in "$@"; do
			echo "$line"
		done
	} >"$work/$name.yaml"
}

# vm_up NAME: applied, started, at its prompt.
vm_up() {
	ctl apply -f "$work/$1.yaml" && ctl start "$1" && vm_prompt "$1"
}

vm_prompt() {
	guest_open vmctl console "$1"
	guest_prompt $boot && return
	why="no prompt of $1 after $boot s; last output: $(last_of 300 "$guest_seen") state: $(vm_show "$1" .observed) $(vm_looks "$1")"
	# a driver that has given its device up after a minute lets the guest go on
	guest_prompt 75 && guest_run 20 'dmesg | tail -n 20' && why+=$'\n'"later: $guest_out"
	return 1
}

# vm_looks NAME: what its monitor's threads wait for, and where its processors leave the guest, within a second.
vm_looks() {
	local pid t trace=/sys/kernel/tracing
	pid=$(vm_show "$1" .observed.pid)
	[ -d /proc/"$pid" ] || return
	echo "threads of $pid:"
	for t in /proc/"$pid"/task/*; do
		echo "$(cat "$t"/{comm,wchan,syscall} | tr '\0\n' '  '): $(awk '{ print $2 }' "$t/stack" | head -n 6 | tr '\n' ' ')"
	done
	mountpoint -q $trace || mount -t tracefs tracefs $trace || return
	echo >$trace/trace
	echo 1 >$trace/events/kvm/enable
	guest_read 1
	echo 0 >$trace/events/kvm/enable
	grep -v '^#' $trace/trace | tail -n 12
} 2>&1

# in_guest COMMAND EXPECTED: runs it and compares its output.
in_guest() {
	local status
	guest_run 30 "$1"
	status=$?
	[ $status -eq 0 ] && [ "${guest_out%$'\n'}" = "$2" ] && return
	why="'$1' in the guest: status $status, output '$guest_out', expected '$2'"
	return 1
}

# ends NAME REASON: the VM stops, and for this reason.
ends() {
	local reason
	ctl wait "$1" --for stopped --timeout 40 || return 1
	reason=$(vm_show "$1" .observed.exit.reason)
	[ "$reason" = "$2" ] && return
	why="exit reason '$reason', expected '$2': $(vm_show "$1" .observed)"
	return 1
}

# daemon_answers [VMM]: vmd of the build, without a service manager; VMM: its monitor.
daemon_answers() {
	local deadline=$((SECONDS + 20))
	vmd --foreground --socket "$VMD_SOCKET" --state-dir "$work/state" --run-dir "$work/run" ${1:+--vmm "$1"} \
		>>"$LAB_RUN/vmd.log" 2>&1 &
	vmd_pid=$!
	# the fifo, which nobody writes, is the timer
	[ -p "$work/tick" ] || { mkfifo "$work/tick" && exec 8<>"$work/tick"; }
	until ctl rpc daemon.ping; do
		kill -0 $vmd_pid 2>/dev/null || return 1
		[ $SECONDS -lt $deadline ] || return 1
		read -rt 0.1 -u 8
	done
	return 0
}

daemon_ends() {
	local status
	kill -TERM $vmd_pid
	timeout 10 tail --pid=$vmd_pid -f /dev/null || {
		why="vmd did not end within 10 s of SIGTERM"
		kill -9 $vmd_pid
		return 1
	}
	wait $vmd_pid
	status=$?
	why="vmd's status is $status"
	[ $status -eq 0 ]
}

# sleeps NAME: the guest says what woke it with "back".
sleeps() {
	guest_seen=
	guest_send $'echo mem >/sys/power/state; echo ba""ck\n'
	ctl wait "$1" --for suspended --timeout 30 && return
	guest_run 20 'dmesg | tail -n 12'
	why+="; the guest's log ends: $guest_out"
	return 1
}

says_back() {
	guest_expect 40 back && return
	why="the guest does not come back; last output: $(last_of 300 "$guest_seen")"
	return 1
}

vm_is() {
	why="state $(vm_show "$1" .observed.state), expected $2"
	[ "$(vm_show "$1" .observed.state)" = "$2" ]
}
