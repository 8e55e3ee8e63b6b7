#!/usr/bin/env bash
# Measures everything that the documents show, on this machine, and writes their tables and pictures anew; half an hour on a
# quiet machine. With a folder of a million codes (--fixture) as an argument, that too.
set -euo pipefail
cd "$(dirname "$0")/.."

cargo build --release --workspace
cargo bench --no-run -p pqbench --bench lists
pqbench() { "${CARGO_TARGET_DIR:-target}/release/pqbench" "$@"; }

# save NAME OPTION...: a run for docs/runs.
save() {
  echo "=== $1" >&2
  pqbench --quiet --save "docs/runs/$1.json" --output /dev/null "${@:2}"
}

save default
save sift --fixture embedded --max-time 30
save short-lists --fixture embedded --sizes 1k,4k,16k,64k --max-time 30
save batches --fixture embedded --batch 16 --max-time 30
save worst-case --fixture worst-case --max-time 30
[ $# -eq 0 ] || save million --fixture "$1" --max-time 120
cargo bench -p pqbench --bench lists >docs/runs/lists.md
pqbench selftest --quiet --format markdown --output docs/runs/selftest.md

pqbench report docs/runs/sift.json --output docs/sift.svg
pqbench splice README.md docs/*.md
