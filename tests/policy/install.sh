#!/bin/bash
# SPDX-License-Identifier: MIT
#
# tests/policy/install.sh ROOT BUILD_DIR: what `cmake --install` gives works away from the tree: programs, man pages,
# and for each library a program built through pkg-config and one through find_package, shared and static.
set -euo pipefail
root=$1
build=$2
temp=$(mktemp -d)
trap 'rm -rf "$temp"' EXIT
prefix=$temp/prefix
cmake --install "$build" --prefix "$prefix" >"$temp/install.log"
cd "$temp"

fail() {
  echo "install: $*" >&2
  exit 1
}
# expect TEXT COMMAND...: the command succeeds and prints that
expect() {
  local wanted=$1 got
  shift
  got=$("$@") || fail "$*: exit status $?"
  [ "$got" = "$wanted" ] || fail "$*: printed '$got' instead of '$wanted'"
}
declare -A output=([v8]=42 [cache]=baked [kiln]=42)
engine=$prefix/libexec/kiln/kiln-engine

for file in bin/kiln bin/kilnd libexec/kiln/kiln-engine include/kiln/{kv8,kv8_value,kv8_module,kcc,kiln}.h share/man/man1/kiln.1 share/man/man8/kilnd.8 lib/systemd/system/kilnd.{service,socket} share/kiln/kilnd.conf; do
  [ -s "$prefix/$file" ] || fail "$file is missing"
done
"$prefix/bin/kiln" --version
"$prefix/bin/kilnd" --version
grep -q "^ExecStart=$prefix/bin/kilnd " "$prefix/lib/systemd/system/kilnd.service" || fail "kilnd.service starts another kilnd"
expect ok "$prefix/bin/kilnd" --config "$prefix/share/kiln/kilnd.conf" --no-store --check-config
echo 'exports.x = 1;' >bundle.js
"$prefix/bin/kiln" precompile --store "$temp/cli-store" bundle.js
echo 'console.log(6 * 7);' >answer.js
expect 42 "$prefix/bin/kiln" run --store "$temp/cli-store" answer.js
echo 'const s = require("http").createServer().listen(0, () => s.close(() => console.log("closed")));' >server.js
expect closed "$prefix/bin/kiln" run --store "$temp/cli-store" server.js

# The sources for engines in node binaries are all there.
node=$root/build/npm/node_modules/node-22
if ! { cmake -S "$prefix/share/kiln/src/toolkit/hosted" -B hosted -DNODE_INCLUDE="$node/include/node" &&
  cmake --build hosted --parallel 2; } >hosted.log 2>&1; then
  tail -n 30 hosted.log
  fail "share/kiln/src does not build"
fi
expect "$("$engine" --version)" env KILN_HOSTED="$PWD/hosted/kiln-engine-v8.so" LD_PRELOAD="$PWD/hosted/kiln-engine.so" \
  "$node/bin/node" --version

PKG_CONFIG_PATH=$(dirname "$(find "$prefix" -name kiln-v8.pc)")
export PKG_CONFIG_PATH
libdir=$(pkg-config --variable=libdir kiln-v8)
for library in v8 cache kiln; do
  module=${library/#/kiln-}
  module=${module/kiln-kiln/kiln}
  source=$root/tests/policy/consumer/use_$library.c
  mapfile -t -d ' ' flags < <(pkg-config --cflags --libs "$module" | tr -d '\n')
  cc -o "shared_$library" "$source" "${flags[@]}" -Wl,-rpath,"$libdir" -pthread
  expect "${output[$library]}" "./shared_$library" "$temp/store-$library" "$engine"
  # Kiln's own libraries static, all else as the machine has it.
  mapfile -t -d ' ' flags < <(pkg-config --static --cflags --libs "$module" | tr -d '\n' |
    sed 's/-l\(kiln[a-z0-9-]*\)/-l:lib\1.a/g')
  cc -o "static_$library" "$source" "${flags[@]}" -pthread
  expect "${output[$library]}" "./static_$library" "$temp/store-$library" "$engine"
done

# The README's programs, word for word but for the place of the store, print what it says below them.
# block LANGUAGE N: the README's Nth block in that language, of its chapter about C.
block() {
  awk -v "fence=\`\`\`$1" -v n="$2" '/^## /{chapter = $0} chapter != "## From C"{next}
    /^```$/{inside = 0} inside && count == n{print} $0 == fence{inside = 1; count++}' "$root/README.md"
}
mapfile -t -d ' ' flags < <(pkg-config --cflags --libs kiln-v8 kiln-cache | tr -d '\n')
number=0
for program in script modules memory; do
  number=$((number + 1))
  block c $number | sed "s|/tmp/kiln-example|$temp/store-readme|" >$program.c
  cc -o $program $program.c "${flags[@]}" -Wl,-rpath,"$libdir"
  [ $program = script ] && printed=$(./script && ./script) || printed=$(./$program)
  [ "$printed" = "$(block text $number)" ] || fail "README's $program.c printed '$printed'"
  [ "$(block sh $number | grep -c "^cc $program.c ")" = 1 ] || fail "the README does not say how to compile $program.c"
done

cmake -S "$root/tests/policy/consumer" -B consumer -G Ninja -DCMAKE_PREFIX_PATH="$prefix" >cmake.log || {
  cat cmake.log
  exit 1
}
cmake --build consumer
for library in v8 cache kiln; do
  expect "${output[$library]}" "consumer/use_$library" "$temp/store-$library" "$engine"
  expect "${output[$library]}" "consumer/use_${library}_static" "$temp/store-$library" "$engine"
done
