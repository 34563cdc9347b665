#!/bin/sh
# Prints the tests that were skipped, each with its reason: list-skipped.sh FILE
#
# FILE has a line for each skip (tests/support/skipped.rs). A test that skips the same check several
# times is listed once.
set -u
if [ -s "$1" ]; then
    printf '\nSkipped, although nothing failed (%s):\n' "$(sort -u "$1" | wc -l | tr -d ' ')"
    sort -u "$1" | sed 's/^/  /'
else
    printf '\nNo test was skipped.\n'
fi
