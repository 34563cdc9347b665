#!/bin/sh
# Waits for a server: await.sh LOG PROCESS [WORDS]
#
# Prints the URL of the server's line 'listening on …' as soon as its log has it, or with WORDS the
# first line that begins with them. Prints the log and fails when the process ends without such a
# line, or after half a minute.
set -eu
log=$1
process=$2
words=${3:-listening on}

tries=600
until line=$(grep -m 1 "^$words" "$log"); do
    tries=$((tries - 1))
    # What an ended process has said may have come since.
    if [ "$tries" -eq 0 ] || { ! kill -0 "$process" 2>/dev/null && ! grep -q "^$words" "$log"; }; then
        cat "$log" >&2
        exit 1
    fi
    sleep 0.05
done
printf '%s\n' "$line" | sed 's/^listening on \(http:[^ ]*\).*/\1/'
