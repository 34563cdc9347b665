#!/bin/sh
# Builds the static, stripped binary, proves that it is static, and runs it.
#
# With the musl target where rustup has installed it, else against the C library at hand with
# crt-static. The explicit --target matters for the latter: without one, the flag would apply to
# build scripts and procedural macros too, which cannot be static.
set -eu
cd "$(dirname "$0")/.."

host=$(rustc -vV | sed -n 's/^host: //p')
musl=${host%%-*}-unknown-linux-musl
if [ -d "$(rustc --print sysroot)/lib/rustlib/$musl/lib" ]; then
    target=$musl
else
    target=$host
    echo "dist: no $musl here (rustup target add $musl), so $host with crt-static"
fi
case $target in
*-linux-*) ;;
*) echo "dist: static binaries are for Linux, this is $target" >&2; exit 1 ;;
esac

# The empty directory is what the volume of a container begins with.
mkdir -p dist/state
binary=dist/millrace

# Paths of this machine are no business of the binary, which is to be the same from any of them.
build() { # FLAGS…
    RUSTFLAGS="${RUSTFLAGS:-} -C target-feature=+crt-static --remap-path-prefix=$PWD=. \
--remap-path-prefix=${CARGO_HOME:-$HOME/.cargo}=cargo $*" \
        cargo build --profile dist --locked --package millrace --bin millrace --target "$target"
    cp "${CARGO_TARGET_DIR:-target}/$target/dist/millrace" "$binary"
}

# Relocations in their packed form are 26 KB less; musl reads them since 1.2.4, GNU ld writes them
# since 2.38.
build -C link-arg=-Wl,-z,pack-relative-relocs
"$binary" -V >/dev/null 2>&1 || build

# A program that needs no loader has no PT_INTERP (type 3) among its ELF program headers, and one
# that needs no library no DT_NEEDED (tag 1) in its dynamic section. The headers are read with od,
# which every system has; 64-bit little-endian, as are all targets with a musl of Rust's tier 2.
number() { # OFFSET BYTES
    od -An -v -tu"$2" -j"$1" -N"$2" "$binary" | tr -d ' \n'
}
case $(od -An -v -tx1 -N6 "$binary" | tr -d ' \n') in
7f454c460201) ;;
*) echo "dist: $binary is no 64-bit little-endian ELF file" >&2; exit 1 ;;
esac
headers=$(number 32 8) header_bytes=$(number 54 2) header_count=$(number 56 2) load_count=0
while [ "$header_count" -gt 0 ]; do
    case $(number "$headers" 4) in
    1) load_count=$((load_count + 1)) ;;
    2)
        entry=$(number $((headers + 8)) 8)
        end=$((entry + $(number $((headers + 32)) 8)))
        while [ "$entry" -lt "$end" ]; do
            if [ "$(number "$entry" 8)" = 1 ]; then
                echo "dist: $binary needs a shared library (DT_NEEDED)" >&2
                exit 1
            fi
            entry=$((entry + 16))
        done
        ;;
    3) echo "dist: $binary needs a loader (PT_INTERP)" >&2; exit 1 ;;
    esac
    headers=$((headers + header_bytes)) header_count=$((header_count - 1))
done
[ "$load_count" -gt 0 ] || { echo "dist: $binary has nothing to load" >&2; exit 1; }

version=$("$binary" -V)
case $version in
"millrace "*) ;;
*) echo "dist: $binary -V says '$version'" >&2; exit 1 ;;
esac
echo "$binary: $version, $target, $(wc -c <"$binary" | tr -d ' ') bytes, static (no PT_INTERP, no DT_NEEDED)"
