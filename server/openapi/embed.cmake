# cmake -DOUT=FILE -DPARTS=a.json;b.json -P embed.cmake: writes the C file that has the parts of the description.
set(assembly "")
set(declarations "")
set(list "")
set(i 0)
foreach(part ${PARTS})
  string(APPEND assembly "    \"srv_openapi_${i}: .incbin \\\"${part}\\\"\\n\"\n    \"srv_openapi_${i}_end: .byte 0\\n\"\n")
  string(APPEND declarations "extern const char srv_openapi_${i}[], srv_openapi_${i}_end[];\n")
  string(APPEND list "    {srv_openapi_${i}, srv_openapi_${i}_end},\n")
  math(EXPR i "${i} + 1")
endforeach()
file(WRITE "${OUT}" "/* Made by server/openapi/embed.cmake. */
#include \"server/openapi.h\"

__asm__(
    \".section .rodata\\n\"
${assembly}    \".previous\\n\");
${declarations}
const srv_openapi_part srv_openapi_parts[] = {
${list}};
const size_t srv_openapi_parts_count = ${i};
")
