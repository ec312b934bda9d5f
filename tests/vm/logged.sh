#!/bin/bash
# SPDX-License-Identifier: MIT
#
# tests/vm/logged.sh LOG COMMAND [ARGS...]: runs the command and keeps what it prints, for conformance.js.
set -uo pipefail
log=$1
shift
mkdir -p "${log%/*}"
"$@" 2>&1 | tee "$log"
