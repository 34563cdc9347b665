#!/bin/sh
# Packs what `make dist` has built: a tarball, a Debian package and their checksums, in dist.
#
# The same source, compiler and architecture give the same bytes: names in order, one time for all
# files (that of the last commit, or SOURCE_DATE_EPOCH), no owner but root.
set -eu
cd "$(dirname "$0")/.."
umask 022

dist=dist
binary=$dist/millrace
version=$("$binary" -V | sed 's/^millrace //')
machine=$(uname -m)
: "${SOURCE_DATE_EPOCH:=$(git log -1 --format=%ct 2>/dev/null || echo 0)}"
export SOURCE_DATE_EPOCH

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
trap 'exit 1' HUP INT TERM

pack() { # OUTPUT DIRECTORY NAME
    tar --create --sort=name --format=gnu --mtime="@$SOURCE_DATE_EPOCH" --owner=0 --group=0 \
        --numeric-owner --directory="$2" "$3" | gzip -9 --no-name >"$1"
}

name=millrace-$version-$machine-linux
sh tools/install.sh "$binary" "$work/$name"
install -D -m 644 -t "$work/$name/systemd" tools/deploy/millrace.service \
    tools/deploy/millrace.socket tools/deploy/millrace.default
(cd "$work/$name" && find . -type f ! -name SHA256SUMS | LC_ALL=C sort | xargs sha256sum >../SHA256SUMS)
mv "$work/SHA256SUMS" "$work/$name/SHA256SUMS"
pack "$dist/$name.tar.gz" "$work" "$name"
made=$name.tar.gz

if command -v dpkg-deb >/dev/null; then
    architecture=$(dpkg --print-architecture)
    root=$work/deb
    sh tools/install.sh "$binary" "$root/usr"
    gzip -9 --no-name "$root/usr/share/man/man1/millrace.1"
    mv "$root/usr/share/doc/millrace/LICENSE" "$root/usr/share/doc/millrace/copyright"
    install -D -m 644 -t "$root/lib/systemd/system" tools/deploy/millrace.service tools/deploy/millrace.socket
    install -D -m 644 tools/deploy/millrace.default "$root/etc/default/millrace"
    install -D -m 755 -t "$root/DEBIAN" tools/deploy/debian/preinst tools/deploy/debian/postinst \
        tools/deploy/debian/prerm tools/deploy/debian/postrm
    echo /etc/default/millrace >"$root/DEBIAN/conffiles"
    kibibytes=$(du -sk --apparent-size --exclude=DEBIAN "$root" | cut -f1)
    sed -e "s/@VERSION@/$version/" -e "s/@ARCHITECTURE@/$architecture/" \
        -e "s/@KIBIBYTES@/$kibibytes/" tools/deploy/debian/control >"$root/DEBIAN/control"
    find "$root" -exec touch --no-dereference --date="@$SOURCE_DATE_EPOCH" {} +
    deb=millrace_${version}_$architecture.deb
    dpkg-deb --root-owner-group -Zxz --build "$root" "$dist/$deb" >/dev/null
    made="$made $deb"
else
    echo "package: no Debian package; it needs dpkg-deb" >&2
fi

# shellcheck disable=SC2086 # names without spaces
(cd "$dist" && sha256sum millrace $made >SHA256SUMS && cat SHA256SUMS)
