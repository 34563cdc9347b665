#!/bin/sh
# Runs all tests, then lists what was skipped and why: run.sh [ARGUMENTS OF CARGO TEST]
#
# Cargo shows what a test prints only if the test fails. A test that skips something therefore
# appends a line to the file that SKIPPED_TESTS names (tests/support/skipped.rs). If the caller has
# set SKIPPED_TESTS already, as .ci/run does, the lines of this run are appended to that file too.
set -u
cd "$(dirname "$0")/.."
lines=$(mktemp)
trap 'rm -f "$lines"' EXIT
trap 'exit 1' HUP INT TERM

# One call of cargo, so that it compiles dependencies once for all kinds of tests.
SKIPPED_TESTS=$lines cargo test --workspace --locked "$@"
status=$?

cat "$lines" >>"${SKIPPED_TESTS:-/dev/null}"
sh tests/list-skipped.sh "$lines"
exit $status
