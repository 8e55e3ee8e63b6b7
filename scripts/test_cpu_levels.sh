#!/usr/bin/env bash
# Runs the tests of the engine on lesser x86-64 CPUs than this one, with every variant that must run there required.
#
# Emulated by QEMU, an instruction above the level ends the test: no SSSE3 (qemu64), SSSE3 (Conroe), AVX2 (max; QEMU has no
# AVX-512). Natively, PQBENCH_CPU masks what the library may use, up to AVX-512 where the machine has it.
set -euo pipefail
cd "$(dirname "$0")/.."

[ "$(uname -m)" = x86_64 ] || { echo "levels: skipped: this machine is $(uname -m)"; exit 0; }
avx2="Sse3 Ssse3 Sse41 Sse42 Popcnt Bmi1 Bmi2 Avx Fma Avx2"

# level NAME FEATURES VARIABLE=VALUE...: the tests with these variables and the variants for these features required.
level() {
  local required
  required=$(scripts/variants_for.sh x86_64 $2)
  echo "== $1: requiring $required"
  # Of the whole workspace, or else Cargo builds the engine anew with fewer features.
  env "PQBENCH_REQUIRE=$required" "${@:3}" cargo test --release --workspace --test kernels --test bad_input
  env "PQBENCH_REQUIRE=$required" "${@:3}" cargo test --release --workspace --test variants -- "${filter[@]}" "${skipped[@]}"
}

skipped=()
filter=()
level "mask baseline" "" PQBENCH_CPU=baseline
level "mask ssse3" "Sse3 Ssse3" PQBENCH_CPU=ssse3
if grep -qw avx512f /proc/cpuinfo; then
  level "mask avx2" "$avx2" PQBENCH_CPU=avx2
else
  echo "== mask avx2: skipped: this CPU has no AVX-512, so a mask would change nothing"
fi

qemu=${1:-$HOME/.cache/pqbench-aarch64}/bin/qemu-x86_64-static
if [ ! -x "$qemu" ]; then
  echo "== emulated: skipped: there is no $qemu (scripts/setup_aarch64.sh makes it)"
  [ "${CI:-}" != true ] || exit 1
  exit 0
fi
runner=CARGO_TARGET_X86_64_UNKNOWN_LINUX_GNU_RUNNER
# Slow, so only what the level is about, on short lists; the masked levels above have run the same code through the rest.
skipped=(--skip cases_before_a_guard_page --skip matrix --skip fuzzed)
level "emulated qemu64" "Sse3" "$runner=$qemu -cpu qemu64"
filter=(ssse3)
level "emulated Conroe" "Sse3 Ssse3" "$runner=$qemu -cpu Conroe"
filter=(avx2)
level "emulated max" "$avx2" "$runner=$qemu -cpu max"
