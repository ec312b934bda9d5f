# cmake -DOUT=FILE -DNAMES=a;b -DPATHS=a.js;b.js -P embed.cmake: writes the C file that has the texts of all built-ins.
set(assembly "")
set(list "")
set(declarations "")
set(digests "")
list(LENGTH NAMES count)
math(EXPR last "${count} - 1")
foreach(i RANGE ${last})
  list(GET NAMES ${i} name)
  list(GET PATHS ${i} path)
  file(SHA256 "${path}" digest)
  string(APPEND digests "${name} ${digest}\n")
  string(APPEND assembly "    \"kiln__js_${i}: .incbin \\\"${path}\\\"\\n\"\n    \"kiln__js_${i}_end: .byte 0\\n\"\n")
  string(APPEND declarations "extern const char kiln__js_${i}[], kiln__js_${i}_end[];\n")
  string(APPEND list "    {\"${name}\", kiln__js_${i}, kiln__js_${i}_end},\n")
endforeach()
string(SHA256 digest "${digests}")
string(SUBSTRING "${digest}" 0 8 digest)
file(WRITE "${OUT}" "/* Made by toolkit/run/embed.cmake. */
#include \"toolkit/run/builtins.h\"

__asm__(
    \".section .rodata\\n\"
${assembly}    \".previous\\n\");
${declarations}
const kiln__run_builtin kiln__run_builtin_list[] = {
${list}};
const size_t kiln__run_builtin_count = ${count};
const uint32_t kiln__run_builtin_digest = 0x${digest};
")
