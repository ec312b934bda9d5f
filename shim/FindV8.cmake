# Finds V8 as Debian's libnode-dev ships it: target V8::V8, variables V8_VERSION, V8_INCLUDE_DIR, V8_LIBRARY.
#
# Looked for in V8_ROOT, then where set-up unpacks libnode-dev when the machine's own nodejs makes it uninstallable
# (build/deps/libnode), then in the system.
find_path(V8_INCLUDE_DIR v8.h
  HINTS "${V8_ROOT}" "${CMAKE_SOURCE_DIR}/build/deps/libnode/usr"
  PATH_SUFFIXES include/nodejs/deps/v8/include include/nodejs include/node include)
find_library(V8_LIBRARY NAMES v8 node
  HINTS "${V8_ROOT}" "${CMAKE_SOURCE_DIR}/build/deps/libnode/usr"
  PATH_SUFFIXES lib/${CMAKE_LIBRARY_ARCHITECTURE} lib)

if(V8_INCLUDE_DIR AND EXISTS "${V8_INCLUDE_DIR}/v8-version.h")
  file(READ "${V8_INCLUDE_DIR}/v8-version.h" v8_version_text)
  set(V8_VERSION "")
  foreach(part MAJOR_VERSION MINOR_VERSION BUILD_NUMBER PATCH_LEVEL)
    string(REGEX MATCH "#define V8_${part} ([0-9]+)" unused "${v8_version_text}")
    list(APPEND V8_VERSION "${CMAKE_MATCH_1}")
  endforeach()
  list(JOIN V8_VERSION "." V8_VERSION)
endif()

include(FindPackageHandleStandardArgs)
find_package_handle_standard_args(V8 REQUIRED_VARS V8_LIBRARY V8_INCLUDE_DIR VERSION_VAR V8_VERSION)

if(V8_FOUND AND NOT TARGET V8::V8)
  add_library(V8::V8 SHARED IMPORTED)
  set_target_properties(V8::V8 PROPERTIES
    IMPORTED_LOCATION "${V8_LIBRARY}"
    INTERFACE_INCLUDE_DIRECTORIES "${V8_INCLUDE_DIR}")
endif()
