# SPDX-License-Identifier: MIT
# shellcheck shell=bash
# Tests of a VM's limits, the same for groups that vmd makes and for systemd's scopes. Sourced after check.sh.

# limits_folder NAME: the VM's control group, into $folder.
limits_folder() {
	local pid
	pid=$(vm_show "$1" .observed.pid)
	why="VM '$1' has no process: $(vm_show "$1" .observed)"
	folder=/sys/fs/cgroup$(sed -n 's/^0:://p' "/proc/$pid/cgroup" 2>/dev/null)
	[ -r "/proc/$pid/cgroup" ] || return 1
	why="the process of '$1' is in $folder"
}

# limit_is FILE VALUE
limit_is() {
	why="$folder/$1 is '$(cat "$folder/$1")', expected '$2'"
	[ "$(cat "$folder/$1")" = "$2" ]
}

# limits_up NAME LIMITS: a VM that has limits, started, with $memory.
limits_up() {
	vm_file "$1" 1 vmlinuz "" "limits: {$2}" && sed -i "s/^memory: .*/memory: ${memory:-128MiB}/" "$work/$1.yaml" &&
		ctl apply -f "$work/$1.yaml" && ctl start "$1"
}

limits_kept() {
	limits_up lim "cpu_percent: 50, cpu_weight: 200, memory_overhead: 32MiB, tasks: 100" && limits_folder lim &&
		limit_is cpu.max "50000 100000" && limit_is cpu.weight 200 && limit_is memory.max $((160 << 20)) &&
		limit_is pids.max 100 || return 1
	[[ $folder != *.scope ]] || (folder=${folder%/*} && limit_is cpu.weight 200) || return 1
	ctl kill lim --yes && ends lim killed || return 1
	# and the defaults
	ctl delete lim --yes && limits_up lim "" && limits_folder lim && limit_is cpu.max "max 100000" &&
		limit_is memory.max $(((128 + 64 + 1 + 2) << 20)) && limit_is pids.max 257 || return 1
	ctl kill lim --yes && ends lim killed && ctl delete lim --yes
}

# limits_fake MODE: the path of a monitor that behaves so (tests/functional/fake_vmm.c).
limits_fake() {
	ln -sfn "$lab/../tests/functional/fake_vmm" "$work/fake_vmm.$1"
	echo "$work/fake_vmm.$1"
}

# limits_memory COMMAND...: which makes vmd run the monitor that is its last argument. Three times: each verdict counts.
limits_memory() {
	local memory=16MiB n # it takes time to fill where processors are emulated
	"$@" "$(limits_fake greedy)" && limits_up greedy "memory_overhead: 16MiB" && ends greedy oom || return 1
	for n in 1 2; do
		ctl start greedy && ends greedy oom || return 1
	done
	why=$(vm_show greedy .observed.exit.message)
	[[ $why == *"at its memory limit; raise limits.memory_overhead" ]] && ctl delete greedy --yes
}

# limits_memory_away COMMAND END START...: as above, while there is no vmd: END is its end, START another one.
limits_memory_away() {
	local memory=16MiB pid
	"$1" "$(limits_fake greedy-alone)" && limits_up alone "memory_overhead: 16MiB" || return 1
	pid=$(vm_show alone .observed.pid)
	"$2" || return 1
	timeout 40 tail --pid="$pid" -f /dev/null || {
		why="the monitor did not end within 40 s"
		return 1
	}
	"${@:3}" && ends alone oom && ctl delete alone --yes
}

# The first of 16 tasks is the monitor itself.
limits_tasks() {
	"$@" "$(limits_fake many)" && limits_up many "tasks: 16" && ends many fault || return 1
	why="$(vm_show many .observed.exit)"
	[ "$(vm_show many .observed.exit.code)" = 15 ] && ctl delete many --yes
}
