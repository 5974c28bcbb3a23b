#!/usr/bin/env bash
# Run a command that takes long, and show what it is doing and for how many seconds. Needs nothing but bash and sed.
#
#   show_progress.sh TITLE FILTER COMMAND...
#
# FILTER is a program for `sed -nE`. Of the command's output, without its colors, it prints what to show, e.g.
# 's/^Unpacking (\S+).*/\1/p'.
# A terminal has one line, which changes each second. Elsewhere, e.g. in the log of CI, each change is a line of its
# own: at most one each PROGRESS_SECONDS (10), and the time alone if nothing changes for three times as long.
# If the command fails, the end of its output follows, and the exit status is the command's.
set -uo pipefail

title=$1
filter=$2
shift 2
# Lines of the output that are shown after a failure.
tail_lines=40
log=$(mktemp "${TMPDIR:-/tmp}/${title//[^[:alnum:]]/-}.XXXXXX.log")
trap 'rm -f "$log"' EXIT
if [[ -t 1 ]]; then
    is_terminal=true changed_seconds=0 unchanged_seconds=1
else
    is_terminal=false changed_seconds=${PROGRESS_SECONDS:-10} unchanged_seconds=$((3 * ${PROGRESS_SECONDS:-10}))
fi
# Let bash set COLUMNS, which it does after a command of its own process.
shopt -s checkwinsize
(:)

# Print a line in the form that the demo gives to its tasks: mark, seconds, what is being done.
print_line() {
    local line
    printf -v line 'setup    %-20s%6d s    %s' "$title" "$SECONDS" "$2"
    if $is_terminal; then
        line=${line:0:${COLUMNS:-80} - 5}
        printf '\r\e[K  %s %s' "$1" "$line"
    else
        printf '  %s %s\n' "$1" "${line%"${line##*[![:space:]]}"}"
    fi
}

# Show the lines of the standard input, each until the next one comes.
show_lines() {
    local line='' beginning='' doing='' printed='' printed_at=0 wait_seconds status
    print_line '…' ''
    while true; do
        IFS= read -r -t 1 line
        status=$?
        # A timeout gives more than 128, and the beginning of a line that is not complete. The end of the input gives 1.
        beginning+=$line
        ((status == 0)) && doing=$beginning beginning=''
        ((status == 0 || status > 128)) || break
        [[ $doing == "$printed" ]] && wait_seconds=$unchanged_seconds || wait_seconds=$changed_seconds
        ((SECONDS - printed_at >= wait_seconds)) || continue
        print_line '…' "$doing"
        printed=$doing
        printed_at=$SECONDS
    done
}

"$@" </dev/null 2>&1 | tee "$log" | sed -nuE "s/\x1b\[[0-9;]*m//g; $filter" | show_lines
status=${PIPESTATUS[0]}
if ((status == 0)); then
    print_line '✓' ''
    $is_terminal && echo
    exit 0
fi
trap - EXIT
print_line '✗' 'failed'
$is_terminal && echo
echo "The last lines of the output, which is in $log:" >&2
tail -n "$tail_lines" "$log" | sed 's/^/    /' >&2
exit "$status"
