# SPDX-License-Identifier: MIT
# Guests of a bench in the lab host that take turns. One is at it, the others stand still (SIGSTOP): on the one processor
# there, an idle guest of QEMU would take a seventh of what is measured, and one of ours nothing. Behind
# tests/lab/guest.sh, which has one console at a time.
#
#   turns_switch NAME         this one's turn: guest_* are its own; the one before stands still
#   turns_up NAME COMMAND...  the same with a new one, until its prompt
#   turns_median FILE         of the numbers in it, a line each
#   turns_end                 all of them end

# for each guest's kernel: that its time jumps is no lockup
turns_cmdline="console=ttyS0 quiet panic=-1 nowatchdog rcupdate.rcu_cpu_stall_suppress=1"
declare -A turns_rd turns_wr turns_pid
turns_here=

turns_switch() {
	if [ -n "$turns_here" ]; then
		turns_rd[$turns_here]=$guest_rd turns_wr[$turns_here]=$guest_wr turns_pid[$turns_here]=$guest_pid
		kill -STOP "$guest_pid"
	fi
	turns_here=$1
	guest_rd=${turns_rd[$1]:-} guest_wr=${turns_wr[$1]:-} guest_pid=${turns_pid[$1]:-}
	[ -z "$guest_pid" ] || kill -CONT "$guest_pid"
}

turns_up() {
	turns_switch "$1"
	shift
	guest_log=$LAB_RUN/guest-$turns_here.log
	guest_open "$@" 2>>"$LAB_RUN/$turns_here.log"
	guest_prompt 180 || lab_die "no prompt of $turns_here's guest; last output: $(last_of 300 "$guest_seen")"
}

turns_median() {
	sort -g "$1" | awk '{v[NR] = $1} END {print (v[int((NR + 1) / 2)] + v[int(NR / 2) + 1]) / 2}'
}

turns_end() {
	turns_pid[$turns_here]=$guest_pid
	for pid in "${turns_pid[@]}"; do
		kill -9 "$pid"
	done
}
