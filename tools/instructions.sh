#!/bin/sh
# Counts the server's user-space instructions for a request: instructions.sh DIRECTORY [BUDGET]
#
# DIRECTORY holds the built millrace and challenge. Under callgrind the server answers two runs that
# differ in length only; the difference of the counts by the difference of the requests is free of
# starting, connecting and stopping. The usual traffic: 64 connections, 16 requests in flight on
# each, all users known after the first round. Without the sandbox, since valgrind's own calls would
# be the server's. Fails above BUDGET (698 unless given: what is reached and 1 %). With KEPT=everysec or
# KEPT=always in the environment the server keeps a state directory.
set -eu
directory=$1
budget=${2:-698}
short=100000
long=300000
if ! command -v valgrind >/dev/null; then
    echo "instructions: it needs valgrind (apt-get install valgrind)" >>"${SKIPPED_TESTS:-/dev/null}"
    echo "instructions: skipped; it needs valgrind (apt-get install valgrind)" >&2
    exit 0
fi

work=$(mktemp -d)
server=
trap '[ -z "$server" ] || kill "$server" 2>/dev/null || :; rm -rf "$work"' EXIT
trap 'exit 1' HUP INT TERM

# Prints the instructions of a server that answers $1 events.
count() {
    valgrind --tool=callgrind --callgrind-out-file="$work/out.%p" "$directory/millrace" \
        --workers 1 --listen 127.0.0.1:0 --log-level error --sandbox=no \
        ${KEPT:+--state "$work/state.$1" --fsync "$KEPT"} >"$work/log" 2>&1 &
    server=$!
    url=$(sh "$(dirname "$0")/await.sh" "$work/log" "$server")
    "$directory/challenge" --json --connections 64 --pipeline 16 --users 5000 --events "$1" \
        "$url" >"$work/report" || { cat "$work/report" >&2; exit 1; }
    kill "$server"
    wait "$server" || :
    # By its process id: the process that starts successors writes a file of its own.
    mv "$work/out.$server" "$work/out.of.$1"
    server=
    sed -n 's/^\(summary\|totals\): *//p' "$work/out.of.$1" | head -n 1
}

few=$(count $short)
many=$(count $long)
each=$(((many - few) / (long - short)))
echo "$each instructions in user space for a POST /event, 16 in flight (budget $budget)"
if command -v callgrind_annotate >/dev/null && [ -n "${DETAILS:-}" ]; then
    callgrind_annotate "$work/out.of.$long" | head -n 45
fi
[ "$each" -le "$budget" ] || { echo "instructions: above the budget" >&2; exit 1; }
