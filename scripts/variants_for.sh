#!/usr/bin/env bash
# Prints, comma-separated, the names of the variants that must run on a CPU: for PQBENCH_REQUIRE.
#
#   scripts/variants_for.sh ARCH [FEATURE...]      ARCH as in cfg(target_arch), FEATURE as in src/simd/mod.rs
#
# It reads the levels that src/simd/mod.rs declares and the registrations in variants/*.rs, not what the program says of itself.
set -euo pipefail
cd "$(dirname "$0")/.."

awk -v arch="$1" -v has=" ${*:2} " '
  FNR == 1 { inside = 0; declares = 0 }
  # level! { Avx2, U8x32, "x86_64", x86_64: Avx2 "avx2", Bmi1 "bmi1" }, on several lines
  /^level! \{/ { declares = 1; text = "" }
  declares && !/^ *\/\/\// { text = text " " $0 }
  declares && /^\}/ {
    declares = 0
    gsub(/^ *level! \{ *|\}.*/, "", text)
    count = split(text, words, /[ ,:]+/)
    level = words[1] != "" ? words[1] : words[2]
    known[level] = 1
    there[level] = index(text, "\"" arch "\"") > 0
    sub(/.*: */, "", text)
    gsub(/"[^"]*"/, "", text)
    count = split(text, features, /[ ,]+/)
    for (i = 1; i <= count; i++) if (features[i] != "" && !index(has, " " features[i] " ")) there[level] = 0
  }
  /^register! \{/ { inside = 1; runs = 1 }
  inside && /^ *name:/ { split($0, quoted, "\""); name = quoted[2] }
  inside && /^ *level:/ {
    gsub(/.*level: *|,.*/, "")
    if (!($0 in known)) { print "variants_for: no level " $0 > "/dev/stderr"; exit 1 }
    if (!there[$0]) runs = 0
  }
  inside && /^\}/ { if (runs) names = names (names ? "," : "") name; inside = 0 }
  END { print names }
' src/simd/mod.rs variants/*.rs
