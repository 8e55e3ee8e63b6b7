#!/usr/bin/env bash
# Runs small tests of the engine under Miri, which sees undefined behaviour: as this machine, and as a big-endian one.
# Needs a nightly Rust with the components miri and rust-src, and gets them where rustup can.
set -euo pipefail
cd "$(dirname "$0")/.."

if ! cargo +nightly miri --version >/dev/null 2>&1; then
  # Quiet, for what it could not get is told below.
  rustup toolchain install --no-self-update --profile minimal --component miri,rust-src nightly >/dev/null 2>&1 || true
  cargo +nightly miri --version >/dev/null 2>&1 || { echo "skipped: no Miri"; exit 0; }
fi

# Kernels run emulated: the CPU's own instructions are more than Miri knows.
watch() {
  local miri=(cargo +nightly miri test --target "$1" --target-dir target/miri -p pqscan --features emulated)
  "${miri[@]}" --test emulated && "${miri[@]}" --lib -- top_k:: codes:: collector::
}

# Both at once: Miri uses one core.
host=$(rustc +nightly -vV | sed -n 's/^host: //p')
mkdir -p target
watch "$host" >target/miri.log 2>&1 &
watch s390x-unknown-linux-gnu
wait $! || { cat target/miri.log >&2; exit 1; }
tail -n 3 target/miri.log
