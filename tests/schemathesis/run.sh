#!/bin/sh
# Lets schemathesis (PyPI) try the interface that /openapi.json describes: run.sh MILLRACE
#
# All of its checks, on valid and invalid requests that it makes up. Not /live, whose answer has no
# end; tests/live.rs reads that. Skipped with a line where schemathesis is not installed.
set -eu
millrace=$(realpath "$1")
cd "$(dirname "$0")"
if ! command -v schemathesis >/dev/null || ! schemathesis --version >/dev/null 2>&1; then
    echo 'test-interface: it needs schemathesis (pip install schemathesis)' >>"${SKIPPED_TESTS:-/dev/null}"
    echo 'test-interface: skipped; it needs schemathesis (pip install schemathesis)'
    exit 0
fi

work=$(mktemp -d)
server=
trap '[ -z "$server" ] || kill "$server" 2>/dev/null || :; rm -rf "$work"' EXIT
trap 'exit 1' HUP INT TERM
"$millrace" --listen 127.0.0.1:0 --allow-reset --max-users 1000000 2>"$work/log" &
server=$!
url=$(sh ../../tools/await.sh "$work/log" "$server")
# It leaves its notes where it runs.
cp hooks.py "$work/"
cd "$work"
SCHEMATHESIS_HOOKS=hooks schemathesis run "$url/openapi.json" --checks all --max-examples 300 \
    --request-timeout 10 --exclude-path /live --no-color
