#!/usr/bin/env bash
# Makes a folder from which `cargo test --target aarch64-unknown-linux-gnu` works on an x86-64 Debian machine:
#
#   scripts/setup_aarch64.sh [FOLDER]     default: ~/.cache/pqbench-aarch64
#   ( source FOLDER/env.sh; cargo test --target aarch64-unknown-linux-gnu --target-dir target/aarch64 )
#
# It holds Debian's rustc with the standard libraries of both architectures (a rustup may have no std for aarch64), and the
# user-mode QEMU for aarch64 and x86-64. About 250 MB are downloaded and 600 MB kept. Needs root for apt, which installs the
# cross linker and nothing else: all other packages are unpacked into the folder. A complete folder is left as it is.
set -euo pipefail

target=aarch64-unknown-linux-gnu
oldest_rust=1.95

fail() {
  echo "setup_aarch64: $*" >&2
  exit 1
}

# Runs a command quietly; shows the end of what it said if it fails.
quietly() {
  "$@" >"$folder/log" 2>&1 || { tail -n 15 "$folder/log" >&2; fail "failed: $*"; }
}

[ "$(uname -m)" = x86_64 ] || fail "this machine is $(uname -m), not x86_64 (on aarch64 plain 'cargo test' does it)"
for tool in apt-get dpkg dpkg-deb flock tar; do
  command -v "$tool" >/dev/null || fail "there is no '$tool'; this script is for Debian"
done

folder=${1:-$HOME/.cache/pqbench-aarch64}
mkdir -p "$folder"
folder=$(cd "$folder" && pwd)
case $folder in *[[:space:]]*) fail "the folder's path must not have blanks, since cargo splits the runner there: $folder" ;; esac
if [ -n "$(ls -A "$folder")" ] && [ ! -e "$folder/.lock" ]; then
  fail "$folder holds files that this script did not put there"
fi
exec 9>"$folder/.lock"
flock -w 900 9 || fail "another run has held $folder/.lock for 15 minutes"

install() {
  [ "$(id -u)" = 0 ] || fail "not root; install first: $*"
  quietly env DEBIAN_FRONTEND=noninteractive apt-get -q update
  quietly env DEBIAN_FRONTEND=noninteractive apt-get -q -y -o DPkg::Lock::Timeout=300 install --no-install-recommends "$@"
}

if ! command -v aarch64-linux-gnu-gcc >/dev/null || [ ! -e /usr/aarch64-linux-gnu/lib/libc.so ]; then
  install gcc-aarch64-linux-gnu libc6-dev-arm64-cross
fi

# Bump when what is unpacked changes; the folder of another version is made anew. Its path is part of its files.
wanted="version 1 at $folder"
ready() {
  [ -x "$folder/bin/rustc" ] && [ -x "$folder/bin/qemu-aarch64-static" ] && [ -x "$folder/bin/qemu-x86_64-static" ] &&
    [ "$(cat "$folder/ready" 2>/dev/null)" = "$wanted" ]
}
if ready; then
  echo "setup_aarch64: ready, source $folder/env.sh"
  exit
fi
find "$folder" -mindepth 1 -maxdepth 1 ! -name .lock -exec rm -rf {} +
mkdir -p "$folder"/{bin,root,packages,apt/lists/partial,apt/cache/archives/partial}

# An apt state of our own knows arm64 too, over the machine's package sources; the machine's stays as it is.
: >"$folder/apt/status"
ours=(-q -o APT::Architecture=amd64 -o APT::Architectures::=amd64 -o APT::Architectures::=arm64
  -o Dir::State::lists="$folder/apt/lists" -o Dir::State::status="$folder/apt/status" -o Dir::Cache="$folder/apt/cache"
  -o APT::Sandbox::User=root -o Acquire::Languages=none -o Acquire::Retries=3)
echo "setup_aarch64: downloading Rust for aarch64 and QEMU"
quietly apt-get "${ours[@]}" update

versions() { apt-cache "${ours[@]}" show "$1" 2>/dev/null | sed -n 's/^Version: //p' | sort -u; }
needed() { apt-cache "${ours[@]}" show "$1" 2>/dev/null | sed -n 's/^Depends: //p' | head -n 1 | grep -oE "$2" | head -n 1; }

# rustc takes a standard library of its very own version only: the newest that both architectures have.
rust=$(comm -12 <(versions rustc-web) <(versions libstd-rust-web-dev:arm64) | sort -V | tail -n 1)
[ -n "$rust" ] || fail "apt knows no version of rustc-web that is also there as libstd-rust-web-dev:arm64"
dpkg --compare-versions "$rust" ge "$oldest_rust" || fail "apt's newest rustc-web is $rust, older than $oldest_rust"
runtime=$(needed "libstd-rust-web-dev=$rust" 'libstd-rust-web-[0-9.]+') || fail "libstd-rust-web-dev names no runtime"
llvm=$(needed "$runtime=$rust" 'libllvm[0-9.]+') || fail "$runtime names no libllvm"
(cd "$folder/packages" && quietly apt-get "${ours[@]}" download "rustc-web=$rust" "$runtime=$rust" \
  "libstd-rust-web-dev=$rust" "libstd-rust-web-dev:arm64=$rust" "$llvm" qemu-user-static)

for package in "$folder"/packages/*.deb; do
  case $package in
    */qemu-*) wanted_files=(--wildcards './usr/bin/qemu-aarch64-static' './usr/bin/qemu-x86_64-static') ;;
    *) wanted_files=(--exclude=./usr/share) ;;
  esac
  dpkg-deb --fsys-tarfile "$package" | tar -x -C "$folder/root" "${wanted_files[@]}" || fail "can't unpack $package"
done
rm -rf "$folder/packages" "$folder/apt"

ln -s "$folder"/root/usr/bin/qemu-{aarch64,x86_64}-static "$folder/bin/"
libraries=$folder/root/usr/lib/x86_64-linux-gnu
for tool in rustc rustdoc; do
  cat >"$folder/bin/$tool" <<WRAPPER
#!/bin/sh
LD_LIBRARY_PATH=$libraries\${LD_LIBRARY_PATH:+:\$LD_LIBRARY_PATH} exec $folder/root/usr/bin/$tool "\$@"
WRAPPER
  chmod +x "$folder/bin/$tool"
done
# LLVM leans on a few libraries of the system; they come with it where one is missing.
if LD_LIBRARY_PATH=$libraries ldd "$folder/root/usr/bin/rustdoc" "$libraries"/librustc_driver-*.so | grep -q 'not found'; then
  install "$llvm"
fi

cat >"$folder/env.sh" <<ENV
# For a subshell: RUSTC would govern builds for x86-64 too.
export RUSTC=$folder/bin/rustc
export RUSTDOC=$folder/bin/rustdoc
export CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_LINKER=aarch64-linux-gnu-gcc
export CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_RUNNER="$folder/bin/qemu-aarch64-static -L /usr/aarch64-linux-gnu"
ENV

# It counts as ready once a program has run.
printf 'fn main() { println!("{}", std::arch::is_aarch64_feature_detected!("neon")) }\n' >"$folder/probe.rs"
quietly "$folder/bin/rustc" --target "$target" -C linker=aarch64-linux-gnu-gcc -o "$folder/probe" "$folder/probe.rs"
answer=$("$folder/bin/qemu-aarch64-static" -L /usr/aarch64-linux-gnu "$folder/probe") || fail "a first program does not run"
[ "$answer" = true ] || fail "a first program finds no NEON: $answer"
rm -f "$folder"/probe{,.rs} "$folder/log"
echo "$wanted" >"$folder/ready"
echo "setup_aarch64: ready, source $folder/env.sh"
