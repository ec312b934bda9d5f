#!/bin/bash
# SPDX-License-Identifier: MIT
#
# tests/shim/hosted.sh build NODE TREE [CMAKE ARGS]   builds the hosted engine and the shim's tests for that Node
# tests/shim/hosted.sh run NODE TREE POOL_TEST [SANDBOX_TEST]   runs them, POOL_TEST on the engine, SANDBOX_TEST on one
#   that misbehaves; each test's summary is printed
#
# NODE is the folder with bin/node and include/node. TREE stays from run to run: only what has changed is built again,
# and all of it when the binary is another one (its build id stands in TREE/build-id).
set -euo pipefail
root=$(cd "$(dirname "$0")/../.." && pwd)
what=$1
node=$2
tree=$3
shift 3

build_id=$(readelf --notes "$node/bin/node" 2>/dev/null | sed -n 's/^ *Build ID: //p')

if [ "$what" = build ]; then
  mkdir -p "$tree"
  exec 9>"$tree.lock"
  flock 9
  [ "$(cat "$tree/build-id" 2>/dev/null)" = "$build_id" ] || rm -rf "$tree"
  mkdir -p "$tree"
  {
    cmake -S "$root/tests/shim/hosted" -B "$tree" -G Ninja -DCMAKE_BUILD_TYPE=Release \
      -DNODE_INCLUDE="$node/include/node" -DCMAKE_COMPILE_WARNING_AS_ERROR=ON "$@" && cmake --build "$tree"
  } >"$tree/build.log" 2>&1 || {
    grep -v '^\[[0-9/]*\] ' "$tree/build.log" | head -n 60 >&2
    exit 1
  }
  echo "$build_id" >"$tree/build-id"
  exit 0
fi

if [ "$what" = one ]; then
  object=$1
  log=${object%.so}.log
  if (cd "$tree" && KILN_HOSTED=$object LD_PRELOAD=$tree/kiln-engine.so "$node/bin/node") >"$log" 2>&1; then
    grep '^100%' "$log" && exit 0
  fi
  echo "$(basename "$object" .so) with $(basename "$node"):"
  tail -n 40 "$log"
  exit 1
fi

failed=0
printf '%s\0' "$tree"/*_test*.so | xargs -0 -n 1 -P 2 "$0" one "$node" "$tree" || failed=1
"$1" "$node/bin/node" "$tree/kiln-engine.so" "$root/tests/shim/hosted_node.js" || failed=1
[ $# -lt 2 ] || "$2" "$node/bin/node" "$tree/rogue/kiln-engine.so" || failed=1
exit $failed
