#!/bin/bash
# SPDX-License-Identifier: MIT
#
# tests/fuzz/run.sh [MINUTES] [TARGET...]: builds the fuzz targets (build/fuzz, clang) and runs each for so long, ten
# minutes by default, one after the other, from the seeds and what earlier runs have found (build/fuzz/corpus). A finding
# ends it, and stands in build/fuzz/findings.
set -euo pipefail
cd "$(dirname "$0")/../.."
minutes=${1:-10}
shift || true
[ $# != 0 ] || set -- wire key request http config manifest
cmake --preset fuzz >/dev/null
cmake --build --preset fuzz | tail -1
mkdir -p build/fuzz/findings
build/fuzz/tests/fuzz/fuzz_seeds build/fuzz/seeds
export UBSAN_OPTIONS=print_stacktrace=1:halt_on_error=1
for target in "$@"; do
  corpus=build/fuzz/corpus/$target
  mkdir -p "$corpus"
  folders=("$corpus")
  for seeds in tests/fuzz/seeds/$target build/fuzz/seeds/$target; do [ ! -d "$seeds" ] || folders+=("$seeds"); done
  log=build/fuzz/$target.log
  if ! build/fuzz/tests/fuzz/fuzz_"$target" -max_total_time=$((minutes * 60)) -timeout=10 -rss_limit_mb=2048 -max_len=8192 \
    -artifact_prefix=build/fuzz/findings/"$target"- -print_final_stats=1 "${folders[@]}" >"$log" 2>&1; then
    tail -40 "$log"
    echo "$target: a finding, in build/fuzz/findings"
    exit 1
  fi
  echo "$target: $(sed -n 's/^stat::number_of_executed_units: *//p' "$log") executions in $minutes min, no finding, $(find "$corpus" -type f | wc -l) inputs kept"
done
