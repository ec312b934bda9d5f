#!/bin/bash
# SPDX-License-Identifier: MIT
#
# tests/policy/clang.sh ROOT: everything compiles with clang without a warning, too (in build/clang).
set -euo pipefail
cd "$1"
cmake -S . -B build/clang -G Ninja -DCMAKE_C_COMPILER=clang -DCMAKE_CXX_COMPILER=clang++ -DCMAKE_BUILD_TYPE=Debug \
  -DKILN_WERROR=ON >build/clang.log || { cat build/clang.log && exit 1; }
cmake --build build/clang -- -k 0
