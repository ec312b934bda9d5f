#!/bin/bash
# SPDX-License-Identifier: MIT
#
# tests/policy/format.sh ROOT: clang-format has nothing to change, shellcheck has nothing to say.
set -euo pipefail
cd "$1"
failed=0
mapfile -t sources < <(find shim cache toolkit server bench tests -name '*.[ch]' -o -name '*.cc' -o -name '*.hh')
clang-format --dry-run -Werror "${sources[@]}" || failed=1
mapfile -t scripts < <(find tests bench -name '*.sh')
shellcheck run test .ci/run "${scripts[@]}" || failed=1
exit $failed
