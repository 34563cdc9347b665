#!/bin/sh
# Tries what `make package` has made as those who get it would: package-check.sh CHALLENGE
#
#   1. another directory's build of the same source gives the same bytes
#   2. the tarball is whole
#   3. the binary serves in a root that holds nothing else, as in an image FROM scratch
#   4. the Debian package in a fresh Debian: installed, started, used, restarted, stopped, removed
#
# The third needs root or user namespaces, the fourth root and debootstrap; where they are missing it
# says so and goes on. CHALLENGE is the built client.
set -eu
cd "$(dirname "$0")/.."
challenge=$(realpath "$1")
dist=dist

work=$(mktemp -d)
server=
finish() {
    [ -z "$server" ] || kill "$server" 2>/dev/null || :
    ! mountpoint -q "$work/debian/proc" 2>/dev/null || umount "$work/debian/proc"
    rm -rf --one-file-system "$work"
}
trap finish EXIT
trap 'exit 1' HUP INT TERM

say() { printf '\npackage: %s\n' "$*"; }

# Sends events to the server at $1 and lets the client judge the statistics.
use() { "$challenge" --events 20000 --users 1000 --connections 50 "$1" >"$work/report" 2>&1 || { cat "$work/report"; exit 1; }; }

# Prints what is skipped and why, also to the list that .ci/run prints at its end.
skip() {
    echo "skipped: $*"
    echo "package-check: $*" >>"${SKIPPED_TESTS:-/dev/null}"
}

say 'the same bytes from another directory'
if [ -n "$(git status --porcelain 2>/dev/null)" ]; then
    skip 'a second build: the working tree differs from the last commit'
else
    mkdir "$work/source"
    git archive HEAD | tar -x -C "$work/source"
    SOURCE_DATE_EPOCH=$(git log -1 --format=%ct)
    export SOURCE_DATE_EPOCH
    (cd "$work/source" && CARGO_TARGET_DIR=target sh tools/dist.sh && sh tools/package.sh) >"$work/log" 2>&1 ||
        { cat "$work/log"; exit 1; }
    diff "$dist/SHA256SUMS" "$work/source/dist/SHA256SUMS"
    echo 'identical'
fi

say 'the tarball'
mkdir "$work/unpacked"
tar -xzf "$dist"/millrace-*.tar.gz -C "$work/unpacked"
(cd "$work/unpacked"/* && sha256sum --check --quiet SHA256SUMS && bin/millrace -V)

say 'an empty root'
mkdir "$work/root"
cp "$dist/millrace" "$work/root/millrace"
if [ "$(id -u)" = 0 ]; then
    inside="chroot --userspec=65534:65534 $work/root"
else
    inside="unshare --user --map-root-user --root=$work/root"
fi
# A command and its arguments, without spaces of their own.
# shellcheck disable=SC2086
if $inside /millrace -V; then
    # No function: the process id has to be the server's own.
    $inside /millrace --listen 127.0.0.1:0 --allow-reset >"$work/log" 2>&1 &
    server=$!
    url=$(sh tools/await.sh "$work/log" "$server")
    $inside /millrace --health "$url"
    use "$url"
    kill "$server"
    wait "$server"
    server=
    grep '^final statistics {"totalRequests":20000,"uniqueUsers":1000' "$work/log"
else
    skip 'an empty root: this user can change the root directory neither directly nor in a namespace'
fi

say 'a fresh Debian'
if [ "$(id -u)" != 0 ] || ! command -v debootstrap >/dev/null || ! ls "$dist"/*.deb >/dev/null 2>&1; then
    skip 'a fresh Debian: it needs root, debootstrap and the Debian package'
    exit 0
fi
debian=$work/debian
mirror=$(cat /etc/apt/sources.list /etc/apt/sources.list.d/* 2>/dev/null |
    sed -n 's/^deb \(\[[^]]*\] \)\{0,1\}\([^ ]*\) .*/\2/p; s/^URIs: *\([^ ]*\).*/\1/p' | head -n 1)
if ! debootstrap --variant=minbase bookworm "$debian" ${mirror:+"$mirror"} >"$work/log" 2>&1; then
    tail -n 3 "$work/log"
    skip 'a fresh Debian: it could not be fetched'
    exit 0
fi
mount -t proc proc "$debian/proc" || :
cp "$dist"/*.deb "$debian/tmp/"
chroot "$debian" sh -c 'dpkg --install /tmp/*.deb && millrace -V && millrace --check'
chroot "$debian" sh -c 'cd / && md5sum usr/bin/millrace >/dev/null && test -s usr/share/man/man1/millrace.1.gz'
chroot "$debian" /usr/bin/millrace --listen 127.0.0.1:0 --allow-reset >"$work/log" 2>&1 &
server=$!
url=$(sh tools/await.sh "$work/log" "$server")
use "$url"
chroot "$debian" millrace --health "$url/metrics" >"$work/metrics"
grep '^millrace_events_total 20000$' "$work/metrics"
grep '^process_resident_memory_bytes ' "$work/metrics"
kill -USR2 "$server"
wait "$server"
server=$(grep -o 'handed over to=[0-9]*' "$work/log" | cut -d= -f2)
chroot "$debian" millrace --health "$url/stats" | grep '"totalRequests":20000,"uniqueUsers":1000,'
use "$url"
kill "$server"
sh tools/await.sh "$work/log" "$server" 'final statistics {"totalRequests":20000,'
server=
chroot "$debian" dpkg --purge millrace
! [ -e "$debian/usr/bin/millrace" ]

say 'its scripts'
# There is no systemd in there, so a program in its place writes down what it is told.
mkdir -p "$debian/run/systemd/system"
cat >"$debian/usr/bin/systemctl" <<'END'
#!/bin/sh
echo "$*" >>/tmp/systemctl
case "$1" in
    is-active) [ -e /tmp/active ] ;;
    enable) : >/tmp/active ;;
    disable) rm -f /tmp/active ;;
esac
END
chmod 755 "$debian/usr/bin/systemctl"
# told EXPECTED COMMAND...: runs the command in the Debian, and compares what systemd is told.
told() {
    expected=$1
    shift
    : >"$debian/tmp/systemctl"
    chroot "$debian" sh -c "$*" >"$work/log" 2>&1 || { cat "$work/log"; exit 1; }
    actual=$(grep -v -e '^daemon-reload$' -e '^is-active ' "$debian/tmp/systemctl" | tr '\n' ';')
    [ "$actual" = "$expected" ] || { echo "$*: systemd was told '$actual', not '$expected'"; exit 1; }
    echo "$*: $actual"
}
told 'enable --now millrace.service;' dpkg --install /tmp/*.deb
# What a service with StateDirectory= and DynamicUser= leaves: the state, and a link to it.
state=$debian/var/lib/private/millrace
mkdir -p "$state"
echo counts >"$state/control"
ln -s private/millrace "$debian/var/lib/millrace"
told 'reload millrace.service;' dpkg --install /tmp/*.deb
told 'disable --now millrace.service millrace.socket;' dpkg --remove millrace
grep -q counts "$debian/var/lib/millrace/control" || { echo 'the removal has removed the state'; exit 1; }
told 'enable --now millrace.service;' dpkg --install /tmp/*.deb
rm "$debian/tmp/active"
told '' dpkg --install /tmp/*.deb
grep -q counts "$debian/var/lib/millrace/control" || { echo 'the installation has removed the state'; exit 1; }
told 'disable --now millrace.service millrace.socket;' dpkg --purge millrace
for path in "$state" "$debian/var/lib/millrace"; do
    ! [ -e "$path" ] && ! [ -L "$path" ] || { echo "the purge has left $path"; exit 1; }
done
echo 'the state: kept by a removal and an installation, removed by a purge'
