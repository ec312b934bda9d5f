#!/bin/bash
# SPDX-License-Identifier: MIT
#
# add.sh KILN NODES REGISTRY VERSION...: makes the registry of engines that other tests read: one for each official
# Node in NODES/node-VERSION. What is built stays, and is used again until Node's build or Kiln's sources change.
set -euo pipefail
kiln=$1 nodes=$2 registry=$3
shift 3
checks=0
for version in "$@"; do
  node=$nodes/node-$version
  [ -x "$node/bin/node" ] || { echo "add.sh: set-up has not installed $node" && exit 1; }
  "$kiln" engines add "$node" --engines-dir "$registry"
  checks=$((checks + 1))
done
"$kiln" engines check --engines-dir "$registry"
echo "100%: Checks: $checks, Failures: 0, Errors: 0"
