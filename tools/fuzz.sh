#!/bin/sh
# Fuzzes each target for SECONDS (60 unless given): fuzz.sh [SECONDS]
#
# Needs a nightly compiler and cargo-fuzz; says so and does nothing where they are missing. Starts
# from the seeds in tools/fuzz/seeds; what is learnt stays outside version control.
set -eu
seconds=${1:-60}
cd "$(dirname "$0")/fuzz"
if ! cargo +nightly fuzz --version >/dev/null 2>&1; then
    echo "fuzz: it needs nightly Rust and cargo-fuzz" >>"${SKIPPED_TESTS:-/dev/null}"
    echo "fuzz: skipped; it needs 'rustup toolchain install nightly' and 'cargo install cargo-fuzz'" >&2
    exit 0
fi
for target in event events head chunked exchange values connection image journal; do
    mkdir -p "corpus/$target"
    echo "fuzz: $target for $seconds s"
    cargo +nightly fuzz run --fuzz-dir . "$target" "corpus/$target" "seeds/$target" -- \
        -max_total_time="$seconds" -max_len=4096 -print_final_stats=1 -verbosity=0
done
