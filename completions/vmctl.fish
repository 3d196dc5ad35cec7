# SPDX-License-Identifier: MIT
# fish completion of vmctl: vmctl itself knows what may stand where (vmctl __complete).

function __vmctl_complete
    set -l words (commandline -opc) (commandline -ct)
    set -l lines (command $words[1] __complete $words[2..-1] 2>/dev/null)
    if test "$lines[1]" = :files
        # of "--file=na" only the value is a path; fish puts what stands before it back
        set -l parts (string split -m 1 = -- $words[-1])
        if string match -q -- '-*' $words[-1]; and test (count $parts) -eq 2
            __fish_complete_path $parts[2] | string replace -r -- '^' "$parts[1]="
        else
            __fish_complete_path $words[-1]
        end
        return
    end
    string join \n -- $lines
end

complete -c vmctl -f -a '(__vmctl_complete)'
