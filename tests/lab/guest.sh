# SPDX-License-Identifier: MIT
# shellcheck shell=bash
# Drives a guest's shell through a console program. Sourced.
#
#   guest_open COMMAND...   starts the program (vmctl console NAME, or vmctl start NAME --console)
#   guest_prompt S          waits for a shell prompt
#   guest_run S COMMAND     runs it in the guest; $guest_out is its output, the status is the guest's
#   guest_send TEXT         types it
#   guest_shows S TEXT      waits until a screen that SeaBIOS sends has a text (without blanks)
#   guest_eof S             waits until the console closes
#   guest_close             ends the program
#   last_of N TEXT          the end of it, for a message
# All that comes is appended to $guest_log, and shown when guest_show is set. Waiting is reading with a
# deadline.
guest_log=${guest_log:-/dev/null}
guest_show=
guest_out=
guest_seen= # what came since guest_open or the last guest_run
guest_count=0
guest_pid=

# last_of N TEXT: its last N characters, or all of it.
last_of() {
	printf '%s' "${2:$((${#2} > $1 ? ${#2} - $1 : 0))}"
}

guest_open() {
	guest_close
	guest_seen=
	coproc GUEST { exec "$@" 2>&1; }
	guest_pid=$GUEST_PID
	# copies, which bash does not close behind our back when the program ends
	exec {guest_rd}<&"${GUEST[0]}" {guest_wr}>&"${GUEST[1]}"
}

guest_close() {
	[ -n "$guest_pid" ] || return 0
	exec {guest_wr}>&- {guest_rd}<&-
	kill "$guest_pid" 2>/dev/null
	wait "$guest_pid" 2>/dev/null
	guest_pid=
}

# Types; a console that has closed is noticed by reading.
guest_send() {
	printf '%s' "$1" >&"$guest_wr"
} 2>/dev/null

# guest_read S: what comes within S seconds at most, appended to guest_seen. 1 when the console has closed.
guest_read() {
	local chunk status
	IFS= read -r -d '' -t "$1" -n 1 chunk <&"$guest_rd"
	status=$?
	if [ $status -eq 0 ]; then
		local more
		IFS= read -r -d '' -t 0.05 -n 4096 more <&"$guest_rd"
		chunk+=$more
	fi
	[ -n "$chunk" ] && {
		guest_seen+=$chunk
		printf '%s' "$chunk" >>"$guest_log"
		if [ -n "$guest_show" ]; then
			# not what only a terminal needs: returns, the shell's question for the cursor
			chunk=${chunk//$'\r'/}
			printf '%s' "${chunk//$'\e[6n'/}"
		fi
	}
	[ $status -eq 0 ] || [ $status -gt 128 ]
}

# guest_expect S PATTERN: until a glob pattern has come. 1 at the deadline or when the console has closed.
guest_expect() {
	local deadline=$((SECONDS + $1))
	# shellcheck disable=SC2254 # a pattern is meant
	while :; do
		case $guest_seen in *$2*) return 0 ;; esac
		[ $SECONDS -lt $deadline ] || return 1
		guest_read 1 || case $guest_seen in *$2*) return 0 ;; *) return 1 ;; esac
	done
}

# guest_shows S TEXT: SeaBIOS sends the cursor about, between letters too, by sequences and by returns, and blanks or none.
guest_shows() {
	local deadline=$((SECONDS + $1)) open=yes plain
	while :; do
		plain=$(sed 's/\x1b\[[0-9;?]*[A-Za-z]//g' <<<"$guest_seen" | LC_ALL=C tr -dc '[:graph:]')
		case $plain in *"$2"*) return 0 ;; esac
		[ $open ] && [ $SECONDS -lt $deadline ] || break
		guest_read 1 || open=
	done
	why="no '$2'; last output: $(last_of 400 "$plain")"
	return 1
}

# A newline every few seconds: one typed before the guest's driver was there is lost, and a prompt printed
# before the console was opened is not seen.
guest_prompt() {
	local deadline=$((SECONDS + $1))
	while [ $SECONDS -lt $deadline ]; do
		guest_expect 4 'guest# ' && return 0
		kill -0 "$guest_pid" 2>/dev/null || return 1
		guest_send $'\n' || return 1
	done
	return 1
}

guest_run() {
	local begin end line
	guest_count=$((guest_count + 1))
	begin="begin-$guest_count." end="end-$guest_count:"
	guest_seen=
	# the markers are not in the echo of what is typed
	guest_send "echo be\"\"gin-$guest_count.; $2; echo en\"\"d-$guest_count:\$?."$'\n'
	guest_out=
	guest_expect "$1" "$begin*$end*." || return 255
	line=${guest_seen#*"$begin"}
	guest_out=${line%%"$end"*}
	guest_out=${guest_out//$'\r'/}
	guest_out=${guest_out#$'\n'}
	line=${line#*"$end"}
	return "${line%%.*}"
}

guest_eof() {
	local deadline=$((SECONDS + $1))
	while guest_read 1; do
		[ $SECONDS -lt $deadline ] || return 1
	done
}
