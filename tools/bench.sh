#!/bin/sh
# Measures requests a second: bench.sh DIRECTORY [ARGUMENT…]
#
# DIRECTORY holds the built millrace and challenge; the arguments go to the load generator (with
# wrk, `-- 16` sends 16 requests at a time). The server takes a port the system chooses and is
# stopped by its process id, whatever happens. What wrk and oha report is a closed loop: a rate, not
# a latency one could promise.
set -eu
directory=$1
shift
tools=$(dirname "$0")

log=$(mktemp)
"$directory/millrace" --listen 127.0.0.1:0 2>"$log" &
server=$!
trap 'kill "$server" 2>/dev/null || :; wait "$server" 2>/dev/null || :; rm -f "$log"' EXIT
trap 'exit 1' HUP INT TERM

# The server says when it is ready, and where.
tries=100 url=
while [ -z "$url" ]; do
    url=$(sed -n 's/^listening on \(http:[^ ]*\).*/\1/p' "$log")
    tries=$((tries - 1))
    if [ "$tries" -eq 0 ] || ! kill -0 "$server" 2>/dev/null; then
        echo "bench: the server did not start:" >&2
        cat "$log" >&2
        exit 1
    fi
    [ -n "$url" ] || sleep 0.1
done
cat "$log"

if command -v wrk >/dev/null; then
    echo "bench: with wrk (also: oha, by cargo install oha; the challenge client, by make challenge)"
    wrk --threads 1 --connections 64 --duration 10s --latency --script "$tools/wrk/challenge.lua" \
        "$url" "$@"
elif command -v oha >/dev/null; then
    echo "bench: with oha, one and the same event (for the challenge's: apt-get install wrk)"
    oha --no-tui -n 1000000 -c 64 -m POST -T application/json \
        -d '{"userId":"user_12345","value":345.5}' "$@" "$url/event"
else
    echo "bench: with the challenge client (also: apt-get install wrk, or cargo install oha)"
    "$directory/challenge" --connections 64 "$@" "$url"
fi
if command -v curl >/dev/null; then
    echo "statistics: $(curl --silent --show-error "$url/stats")"
fi
