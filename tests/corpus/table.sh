#!/bin/bash
# SPDX-License-Identifier: MIT
#
# tests/corpus/table.sh BUILD_DIR: starts that build's kilnd on a free port with an empty store, has it bake the
# corpus over HTTP as Node's loader compiles modules, has official Node 18 load it, and prints the table of ./run.
set -euo pipefail
cd "$(dirname "$0")/../.."
build=$1
modules=$PWD/build/npm/node_modules
temp=$(mktemp -d)
kilnd=
stop() {
  [ -z "$kilnd" ] || { kill "$kilnd" && wait "$kilnd"; } || true
  rm -rf "$temp"
}
trap stop EXIT

# Its first line ends in its address.
mkfifo "$temp/says"
"$build/server/kilnd" --listen 127.0.0.1:0 --store "$temp/store" >"$temp/says" 2>"$temp/kilnd.log" &
kilnd=$!
exec 3<"$temp/says"
read -r -u 3 line || line=
url=${line##* }
if [ -z "$url" ]; then
  cat "$temp/kilnd.log" >&2
  echo "run: kilnd did not start" >&2
  exit 1
fi

params='params=exports&params=require&params=module&params=__filename&params=__dirname'
# bake MODE NAME FILE: prints the HTTP status, leaves the body in $temp/NAME.blob
bake() {
  curl --silent --show-error --output "$temp/$2.blob" --write-out '%{http_code}' \
    --header 'Content-Type: text/javascript' --data-binary "@$3" \
    "$url/v1/createCachedData?kind=function&$params&mode=$1&filename=$2.js&timeout=60000"
}

while read -r name file requires; do
  [ "$name" != '#' ] || continue
  file=$modules/$file
  # The top level of some bundles needs Node's require or globals, which a bare V8 has not: 422.
  for mode in warm lazy; do
    status=$(bake "$mode" "$name" "$file")
    [ "$status" != 422 ] && break
  done
  if [ "$status" != 200 ]; then
    echo "run: baking $name answered $status: $(head -c 500 "$temp/$name.blob")" >&2
    exit 1
  fi
  printf '%s\t' "$name" "$mode" "$file" "$temp/$name.blob" >>"$temp/list"
  echo "${requires// /$'\t'}" >>"$temp/list"
done <tests/corpus/corpus.txt
sed -i 's/\t$//' "$temp/list"

"$modules/node-18/bin/node" tests/corpus/report.js "$temp/list"
