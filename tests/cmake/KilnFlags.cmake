# One interface target carries warnings, hardening and sanitizers; every target links it PRIVATE.
# Nothing here touches global flags. Assertions stay on in every build type: NDEBUG is never defined.
foreach(config RELWITHDEBINFO RELEASE MINSIZEREL)
  foreach(lang C CXX)
    string(REPLACE "-DNDEBUG" "" CMAKE_${lang}_FLAGS_${config} "${CMAKE_${lang}_FLAGS_${config}}")
  endforeach()
endforeach()

add_library(kiln_flags INTERFACE)
target_include_directories(kiln_flags INTERFACE "${CMAKE_SOURCE_DIR}")
target_compile_definitions(kiln_flags INTERFACE _GNU_SOURCE)
target_compile_options(kiln_flags INTERFACE
  -Wall -Wextra -Wshadow -Wpointer-arith -Wvla -Wundef -Wformat=2 -Wcast-qual
  $<$<COMPILE_LANGUAGE:C>:-Wstrict-prototypes -Wmissing-prototypes -Wold-style-definition>
  -fvisibility=hidden -fno-omit-frame-pointer)
if(KILN_WERROR)
  target_compile_options(kiln_flags INTERFACE -Werror)
endif()
if(KILN_SANITIZE)
  target_compile_options(kiln_flags INTERFACE -fsanitize=${KILN_SANITIZE} -fno-sanitize-recover=all)
  target_link_options(kiln_flags INTERFACE -fsanitize=${KILN_SANITIZE})
  string(FIND "${KILN_SANITIZE}" "address" kiln_has_address)
  if(NOT kiln_has_address EQUAL -1)
    target_compile_definitions(kiln_flags INTERFACE KILN_ADDRESS_SANITIZER=1)
  endif()
else()
  target_compile_options(kiln_flags INTERFACE
    $<$<NOT:$<CONFIG:Debug>>:-U_FORTIFY_SOURCE> $<$<NOT:$<CONFIG:Debug>>:-D_FORTIFY_SOURCE=2>
    -fstack-protector-strong)
  target_link_options(kiln_flags INTERFACE -Wl,-z,relro,-z,now)
endif()
