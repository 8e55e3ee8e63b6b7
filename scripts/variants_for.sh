#!/usr/bin/env bash
# Prints, comma-separated, the names of the variants that must run on a CPU: for PQBENCH_REQUIRE.
#
#   scripts/variants_for.sh ARCH [FEATURE...]      ARCH as in cfg(target_arch), FEATURE as in `requires: [...]`
#
# It reads the registrations in variants/*.rs, not what the program says of itself.
set -euo pipefail
cd "$(dirname "$0")/.."

awk -v arch="$1" -v has=" ${*:2} " '
  FNR == 1 { inside = 0 }
  /^register! \{/ { inside = 1; runs = 1 }
  inside && /^ *name:/ { split($0, quoted, "\""); name = quoted[2] }
  inside && /^ *arch:/ { split($0, quoted, "\""); if (quoted[2] != arch) runs = 0 }
  inside && /^ *requires:/ {
    gsub(/.*\[|\].*/, ""); count = split($0, features, /[ ,]+/)
    for (i = 1; i <= count; i++) if (features[i] != "" && !index(has, " " features[i] " ")) runs = 0
  }
  inside && /^\}/ { if (runs) names = names (names ? "," : "") name; inside = 0 }
  END { print names }
' variants/*.rs
