# kiln_library(NAME <n> HEADER <public header> SOURCES <...> LINK <...> PRIVATE_FLAGS <...>)
#
# Makes the static library target <n> (alias kiln::<n>) and the shared one <n>_shared from the same objects, so
# that the two cannot diverge, with install and export rules. HEADER goes to include/kiln/.
function(kiln_library)
  cmake_parse_arguments(arg "" "NAME;HEADER" "SOURCES;LINK;PRIVATE_FLAGS" ${ARGN})
  add_library(${arg_NAME}_objects OBJECT ${arg_SOURCES})
  target_link_libraries(${arg_NAME}_objects PRIVATE kiln_flags ${arg_LINK})
  target_compile_options(${arg_NAME}_objects PRIVATE ${arg_PRIVATE_FLAGS})
  foreach(variant STATIC SHARED)
    set(target ${arg_NAME})
    if(variant STREQUAL "SHARED")
      set(target ${arg_NAME}_shared)
    endif()
    add_library(${target} ${variant} $<TARGET_OBJECTS:${arg_NAME}_objects>)
    target_link_libraries(${target} PRIVATE kiln_flags ${arg_LINK})
    set_target_properties(${target} PROPERTIES OUTPUT_NAME ${arg_NAME} VERSION ${PROJECT_VERSION}
      SOVERSION ${PROJECT_VERSION_MAJOR} LINKER_LANGUAGE CXX)
    target_include_directories(${target} INTERFACE
      $<BUILD_INTERFACE:${CMAKE_SOURCE_DIR}> $<INSTALL_INTERFACE:${CMAKE_INSTALL_INCLUDEDIR}>)
  endforeach()
endfunction()
