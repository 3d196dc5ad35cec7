# SPDX-License-Identifier: MIT
# bash completion of vmctl: vmctl itself knows what may stand where (vmctl __complete).

_vmctl() {
	local -a words=()
	local i w joined=0

	# bash takes "--output=json" apart; put it together again
	for ((i = 1; i <= COMP_CWORD; i++)); do
		w=${COMP_WORDS[i]}
		if [[ ${#words[@]} -gt 0 && ($joined == 1 || $w == =) ]]; then
			words[-1]+=$w
		else
			words+=("$w")
		fi
		[[ $w == = ]] && joined=1 || joined=0
	done

	local current=${words[-1]} line
	local value=${current#*=}
	COMPREPLY=()
	while IFS= read -r line; do
		if [[ $line == :files ]]; then
			compopt -o filenames 2>/dev/null
			[[ $current == -*=* ]] || value=$current
			mapfile -t COMPREPLY < <(compgen -f -- "$value")
			return
		fi
		line=${line%%$'\t'*}
		[[ $current == -*=* ]] && line=${line#*=}
		COMPREPLY+=("$line")
	done < <("$1" __complete "${words[@]}" 2>/dev/null)
}
complete -F _vmctl vmctl
