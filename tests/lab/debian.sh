# SPDX-License-Identifier: MIT
# shellcheck shell=bash
# What the programs that start an installed Debian system (tests/lab/debian) in the lab share. Sourced after check.sh, in the lab.

# debian_host: a bridge, an address for who asks, and a file for who wants it
debian_host() {
	modprobe bridge && modprobe tun && ip link add br0 type bridge && ip addr add 10.9.0.1/24 dev br0 && ip link set br0 up ||
		return 1
	mkdir -p "$work/files" && head -c 3M /dev/urandom >"$work/files/data"
	printf 'start 10.9.0.20\nend 10.9.0.20\ninterface br0\nlease_file %s\noption subnet 255.255.255.0\noption lease 600\n' \
		"$work/leases" >"$work/dhcp.conf"
	: >"$work/leases"
	busybox udhcpd -f "$work/dhcp.conf" >"$LAB_RUN/dhcp.log" 2>&1 &
	busybox httpd -p 10.9.0.1:80 -h "$work/files"
}

# debian_starts FIRMWARE CONTROLLER: the system's disk stays as it is; what the guest writes is thrown away.
debian_starts() {
	qemu-img create -q -f qcow2 -b "$cache/debian-2/disk.raw" -F raw "$work/disk.qcow2" >/dev/null
	cat >"$work/debian.yaml" <<-VM
		name: debian
		profile: legacy-pc
		memory: 512MiB
		boot: {firmware: $1}
		devices:
		  - {type: vga}
		  - {type: $2, disks: [{path: $work/disk.qcow2, format: qcow2, backing: [$cache/debian-2/disk.raw]}]}
		  - {type: e1000, network: {bridge: br0}}
	VM
	ctl apply -f "$work/debian.yaml" && ctl start debian
}

# debian_types TEXT: on its keyboard
debian_types() {
	ctl send-key debian --text "$1"
}

# debian_keeps NAME: a picture for people to look at
debian_keeps() {
	ctl screenshot debian "$work/$1.png" && cp "$work/$1.png" "$LAB_RUN/debian-$1.png"
}

# debian_reads: the screen's text into $said, also where a kernel has drawn it in its own font
debian_reads() {
	ctl screenshot debian --text && return
	ctl screenshot debian "$work/screen.png" && said=$("$BUILD/tests/screentext" "$lab/font" "$work/screen.png" 2>&1)
}

# debian_shows S TEXT: until the screen has it, within limits that a busy machine needs. The fifo, which nobody writes, is the timer.
debian_shows() {
	local deadline=$((SECONDS + $1))
	while :; do
		debian_reads && case $said in *"$2"*) return 0 ;; esac
		[ $SECONDS -lt $deadline ] || break
		read -rt 1 -u 8
	done
	echo "$said" >"$LAB_RUN/screen.txt"
	why="no '$2' on the screen in $1 s: $why$said"
	return 1
}

# debian_answers S COMMAND ANSWER: at the shell. The answer is not in what is typed.
debian_answers() {
	debian_types "clear; $2"$'\n' && debian_shows "$1" "$3"
}

# debian_login PICTURE: by the keyboard, where the screen asks for it
debian_login() {
	debian_types $'root\n' && debian_shows 100 "Password:" && debian_types $'lab\n' && debian_shows 150 'root@lab:~#' &&
		debian_keeps "$1"
}

debian_powers_off() {
	debian_types $'poweroff\n' && ctl wait debian --for stopped --timeout 150 && ends debian shutdown
}
