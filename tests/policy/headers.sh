#!/bin/bash
# SPDX-License-Identifier: MIT
#
# tests/policy/headers.sh ROOT: each public header compiles alone, as C and as C++, without a warning.
set -euo pipefail
cd "$1"
failed=0
for header in shim/kv8.h shim/kv8_value.h shim/kv8_module.h shim/kv8_fork.h cache/kcc.h toolkit/kiln.h; do
  for compiler in gcc clang; do
    "$compiler" -x c -std=c17 -pedantic -Wall -Wextra -Werror -fsyntax-only "$header" || failed=1
    "$compiler" -x c++ -std=c++17 -pedantic -Wall -Wextra -Werror -fsyntax-only "$header" || failed=1
  done
done
exit $failed
