# Finds V8 as Debian's libnode-dev ships it: target V8::V8, variables V8_VERSION, V8_INCLUDE_DIR, V8_LIBRARY,
# V8_CACHED_DATA_TAG.
#
# Looked for in V8_ROOT, then where set-up unpacks libnode-dev when the machine's own nodejs makes it uninstallable
# (build/deps/libnode), then in the system.
#
# A V8 whose headers and library do not belong together dies at start-up, or worse. So a probe starts it now: it
# prints the version and the tag its cached data carries under the shim's default flags.
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
  get_filename_component(v8_directory "${V8_LIBRARY}" DIRECTORY)
  add_library(V8::V8 SHARED IMPORTED)
  set_target_properties(V8::V8 PROPERTIES
    IMPORTED_LOCATION "${V8_LIBRARY}"
    INTERFACE_INCLUDE_DIRECTORIES "${V8_INCLUDE_DIR}")
  # libv8.so is a link to libnode.so.N beside it. CMake gives what it builds an rpath to that directory; other
  # libraries on the way there (libkiln-v8.so) need this to be linked against.
  target_link_options(V8::V8 INTERFACE "LINKER:-rpath-link,${v8_directory}")
endif()

if(V8_FOUND AND NOT DEFINED CACHE{V8_PROBED} AND NOT CMAKE_CROSSCOMPILING)
  set(v8_probe "${CMAKE_BINARY_DIR}/CMakeFiles/v8_probe")
  file(WRITE "${v8_probe}/probe.cc" [=[
#include <cstdio>
#include <libplatform/libplatform.h>
#include <v8.h>
int main() {
  auto platform = v8::platform::NewDefaultPlatform(1);
  v8::V8::SetFlagsFromString("--harmony-import-attributes --harmony-import-assertions");
  v8::V8::InitializePlatform(platform.get());
  v8::V8::Initialize();
  std::printf("%s %u\n", v8::V8::GetVersion(), v8::ScriptCompiler::CachedDataVersionTag());
  std::fflush(stdout);
  v8::V8::Dispose();
  v8::V8::DisposePlatform();
}
]=])
  set(v8_rpath "-Wl,-rpath,${v8_directory}")
  try_run(v8_probe_status v8_probe_compiled "${v8_probe}" "${v8_probe}/probe.cc"
    CMAKE_FLAGS "-DINCLUDE_DIRECTORIES=${V8_INCLUDE_DIR}" -DCMAKE_CXX_STANDARD=20
    LINK_OPTIONS "${v8_rpath}"
    LINK_LIBRARIES "${V8_LIBRARY}" pthread
    COMPILE_OUTPUT_VARIABLE v8_probe_log RUN_OUTPUT_VARIABLE v8_probe_text)
  if(NOT v8_probe_compiled)
    message(FATAL_ERROR "V8 in ${V8_LIBRARY} cannot be linked with the headers in ${V8_INCLUDE_DIR}:\n${v8_probe_log}")
  elseif(NOT v8_probe_status EQUAL 0 OR NOT v8_probe_text MATCHES "^([0-9.]+)[^ ]* ([0-9]+)")
    message(FATAL_ERROR "V8 in ${V8_LIBRARY} does not start (${v8_probe_status}); headers in ${V8_INCLUDE_DIR}:\n"
      "${v8_probe_text}")
  endif()
  set(v8_probe_version "${CMAKE_MATCH_1}")
  set(V8_CACHED_DATA_TAG "${CMAKE_MATCH_2}" CACHE INTERNAL "The tag of V8's cached data, with the shim's flags")
  if(NOT v8_probe_version STREQUAL V8_VERSION)
    message(FATAL_ERROR "V8's headers are ${V8_VERSION} (${V8_INCLUDE_DIR}), its library ${v8_probe_version} (${V8_LIBRARY})")
  endif()
  message(STATUS "V8 ${V8_VERSION} starts; its cached data carries tag ${V8_CACHED_DATA_TAG}")
  set(V8_PROBED TRUE CACHE INTERNAL "V8 has been started by the probe of this build tree")
endif()
