# kiln_library(NAME <n> HEADERS <public headers> SOURCES <...> LINK <...> PRIVATE_FLAGS <...>)
#
# Makes the static library target <n> and the shared one <n>_shared from the same objects, so that the two cannot
# diverge, with install and export rules and a pkg-config file. HEADERS go to include/kiln/, and the first one's
# base name is the prefix of all that the library exports: kcc.h means kcc_*. What LINK names of Kiln's own libraries, the
# shared library links shared. Installed, kiln-cache is kiln::cache (shared) and kiln::cache_static.

# What a static consumer has to ask pkg-config for, by the name of the imported target's last part.
set(kiln_module_SQLITE sqlite3)
set(kiln_module_CRYPTO libcrypto)
set(kiln_module_XXHASH libxxhash)
set(kiln_module_ZSTD libzstd)
set(kiln_module_JANSSON jansson)
set(kiln_module_SECCOMP libseccomp)

# Splits LINK into what pkg-config files call Requires.private and Libs.private.
function(kiln_library_requirements items ret_requires ret_libs)
  set(requires "")
  set(libs "")
  foreach(item ${items})
    if(item MATCHES "^PkgConfig::(.+)$")
      if(NOT kiln_module_${CMAKE_MATCH_1})
        message(FATAL_ERROR "${item} has no pkg-config name in KilnLibrary.cmake")
      endif()
      list(APPEND requires ${kiln_module_${CMAKE_MATCH_1}})
    elseif(item STREQUAL "V8::V8")
      get_filename_component(directory "${V8_LIBRARY}" DIRECTORY)
      get_filename_component(name "${V8_LIBRARY}" NAME_WE)
      string(REGEX REPLACE "^lib" "-l" name "${name}")
      list(APPEND libs "-L${directory} -Wl,-rpath,${directory} ${name} -lstdc++ -lm")
    elseif(item STREQUAL "Threads::Threads")
      list(APPEND libs "-pthread")
    elseif(TARGET ${item}_shared)
      list(APPEND requires ${item})
    else()
      list(APPEND libs "-l${item}")
    endif()
  endforeach()
  list(JOIN requires ", " requires)
  list(JOIN libs " " libs)
  set(${ret_requires} "${requires}" PARENT_SCOPE)
  set(${ret_libs} "${libs}" PARENT_SCOPE)
endfunction()

function(kiln_library)
  cmake_parse_arguments(arg "" "NAME" "HEADERS;SOURCES;LINK;PRIVATE_FLAGS" ${ARGN})
  list(GET arg_HEADERS 0 header)
  get_filename_component(prefix "${header}" NAME_WE)
  string(REGEX REPLACE "^kiln-" "" export "${arg_NAME}")

  add_library(${arg_NAME}_objects OBJECT ${arg_SOURCES})
  target_link_libraries(${arg_NAME}_objects PRIVATE kiln_flags ${arg_LINK})
  target_compile_options(${arg_NAME}_objects PRIVATE ${arg_PRIVATE_FLAGS})

  set(shared_link "")
  foreach(item ${arg_LINK})
    if(TARGET ${item}_shared)
      set(item ${item}_shared)
    endif()
    list(APPEND shared_link ${item})
  endforeach()
  add_library(${arg_NAME} STATIC $<TARGET_OBJECTS:${arg_NAME}_objects>)
  add_library(${arg_NAME}_shared SHARED $<TARGET_OBJECTS:${arg_NAME}_objects>)
  target_link_libraries(${arg_NAME} PRIVATE $<BUILD_INTERFACE:kiln_flags> ${arg_LINK})
  target_link_libraries(${arg_NAME}_shared PRIVATE $<BUILD_INTERFACE:kiln_flags> ${shared_link})
  foreach(target ${arg_NAME} ${arg_NAME}_shared)
    set_target_properties(${target} PROPERTIES OUTPUT_NAME ${arg_NAME})
    target_include_directories(${target} INTERFACE
      $<BUILD_INTERFACE:${CMAKE_SOURCE_DIR}> $<INSTALL_INTERFACE:${CMAKE_INSTALL_INCLUDEDIR}>)
  endforeach()
  # Hidden visibility is not enough: the standard library's templates are instantiated with the default one.
  set(exports "${CMAKE_CURRENT_BINARY_DIR}/${arg_NAME}.exports")
  file(CONFIGURE OUTPUT "${exports}" CONTENT "{ global: ${prefix}_*; local: *; };\n")
  target_link_options(${arg_NAME}_shared PRIVATE "LINKER:--version-script=${exports}")
  if(NOT KILN_SANITIZE) # the sanitizers' run time is in the program
    target_link_options(${arg_NAME}_shared PRIVATE "LINKER:-z,defs")
  endif()
  set_target_properties(${arg_NAME}_shared PROPERTIES VERSION ${PROJECT_VERSION}
    SOVERSION ${PROJECT_VERSION_MAJOR} LINK_DEPENDS "${exports}" EXPORT_NAME ${export})
  set_target_properties(${arg_NAME} PROPERTIES EXPORT_NAME ${export}_static)

  install(TARGETS ${arg_NAME} ${arg_NAME}_shared EXPORT kiln
    ARCHIVE DESTINATION "${CMAKE_INSTALL_LIBDIR}" LIBRARY DESTINATION "${CMAKE_INSTALL_LIBDIR}")
  install(FILES ${arg_HEADERS} DESTINATION "${CMAKE_INSTALL_INCLUDEDIR}/kiln")
  kiln_library_requirements("${arg_LINK}" requires_private libs_private)
  set(name ${arg_NAME})
  file(RELATIVE_PATH to_prefix "/x/${CMAKE_INSTALL_LIBDIR}/pkgconfig" "/x")
  string(REGEX REPLACE "/$" "" to_prefix "${to_prefix}")
  configure_file("${CMAKE_SOURCE_DIR}/tests/cmake/library.pc.in" "${CMAKE_CURRENT_BINARY_DIR}/${name}.pc" @ONLY)
  install(FILES "${CMAKE_CURRENT_BINARY_DIR}/${name}.pc" DESTINATION "${CMAKE_INSTALL_LIBDIR}/pkgconfig")
endfunction()
