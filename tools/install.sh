#!/bin/sh
# Copies a built program, its man page, its completions and its documents below a directory.
# `make install` and tools/package.sh use it, so an installation from source has the files of a package.
#
#     sh tools/install.sh BINARY DIRECTORY
set -eu
binary=$1
root=$2
cd "$(dirname "$0")/.."
umask 022

install -D -m 755 "$binary" "$root/bin/millrace"
for page in man:share/man/man1/millrace.1 \
    bash:share/bash-completion/completions/millrace \
    zsh:share/zsh/vendor-completions/_millrace \
    fish:share/fish/vendor_completions.d/millrace.fish; do
    install -d "$root/$(dirname "${page#*:}")"
    "$binary" --generate "${page%%:*}" >"$root/${page#*:}"
done
install -D -m 644 -t "$root/share/doc/millrace" README.md ARCHITECTURE.md CHANGELOG.md CONTRIBUTING.md \
    SECURITY.md LICENSE
install -D -m 644 -t "$root/share/doc/millrace/docs" docs/*
install -D -m 644 -t "$root/share/doc/millrace/monitoring" tools/monitoring/*
