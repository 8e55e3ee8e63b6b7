#!/usr/bin/env bash
# Cross-compiles the tests of the engine to aarch64 and runs them under emulation, with every variant for NEON required to run.
# Without the toolchain of scripts/setup_aarch64.sh it says so and does nothing; with CI=true that is a failure.
set -euo pipefail
cd "$(dirname "$0")/.."

folder=${1:-$HOME/.cache/pqbench-aarch64}
if [ ! -e "$folder/env.sh" ]; then
  echo "aarch64: skipped: no aarch64 toolchain in $folder (scripts/setup_aarch64.sh makes it)"
  [ "${CI:-}" != true ] || exit 1
  exit 0
fi
source "$folder/env.sh"
PQBENCH_REQUIRE=$(scripts/variants_for.sh aarch64 Neon)
export PQBENCH_REQUIRE
echo "aarch64: requiring $PQBENCH_REQUIRE"
# Dependencies unoptimized, which builds sooner; the kernels as users have them, and the bench, for emulation is slow.
run() {
  cargo test --target aarch64-unknown-linux-gnu --target-dir target/aarch64 \
    --config 'profile.dev.debug=false' --config 'profile.dev.package.pqscan.opt-level=3' \
    --config 'profile.dev.package.pqbench.opt-level=3' "$@"
}
run -p pqscan --lib --test kernels
# The kernels for NEON on short lists.
run -p pqbench --test variants -- neon --skip cases_before_a_guard_page
run -p pqbench --test variants -- fuzzed::seed_1
