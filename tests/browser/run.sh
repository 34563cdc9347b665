#!/bin/sh
# Looks at the dashboard in headless Chromium: run.sh MILLRACE CHALLENGE
#
# Needs Node.js and Chromium; what else it needs, it takes from npm into tests/browser/node_modules.
# Where something is missing it says so and is skipped. Pictures go to target/screenshots.
set -eu
MILLRACE=$(realpath "$1")
CHALLENGE=$(realpath "$2")
cd "$(dirname "$0")"

skip() {
    echo "test-browser: $*" >>"${SKIPPED_TESTS:-/dev/null}"
    echo "test-browser: skipped; $*"
    exit 0
}
command -v node >/dev/null && command -v npm >/dev/null || skip 'it needs Node.js with npm'
CHROMIUM=$(command -v "${CHROMIUM:-chromium}" || command -v chromium-browser || command -v google-chrome) ||
    skip 'it needs Chromium (apt-get install chromium)'
npm ci --silent --no-audit --no-fund || skip 'npm cannot fetch playwright-core and axe-core'
mkdir -p ../../target/screenshots
SCREENSHOTS=$(realpath ../../target/screenshots)
export MILLRACE CHALLENGE CHROMIUM SCREENSHOTS
exec npm test --silent
