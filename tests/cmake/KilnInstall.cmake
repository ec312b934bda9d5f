# What `cmake --install` takes beside the libraries (KilnLibrary.cmake) and kilnd: the other programs, the CMake package.
include(CMakePackageConfigHelpers)

# V8 stays where it was found; what links it must find it again where that is no directory of the system's.
get_filename_component(v8_directory "${V8_LIBRARY}" DIRECTORY)
if(NOT v8_directory IN_LIST CMAKE_C_IMPLICIT_LINK_DIRECTORIES)
  foreach(target kiln-v8_shared kiln-engine kiln-run)
    set_property(TARGET ${target} APPEND PROPERTY INSTALL_RPATH "${v8_directory}")
  endforeach()
endif()

install(TARGETS kiln-cli RUNTIME DESTINATION "${CMAKE_INSTALL_BINDIR}")
install(TARGETS kiln-engine RUNTIME DESTINATION "${CMAKE_INSTALL_LIBEXECDIR}/kiln")
install(FILES toolkit/kiln.1 DESTINATION "${CMAKE_INSTALL_MANDIR}/man1" OPTIONAL)

set(package_dir "${CMAKE_INSTALL_LIBDIR}/cmake/kiln")
string(REGEX REPLACE "/include(/.*)?$" "" KILN_V8_ROOT "${V8_INCLUDE_DIR}")
configure_package_config_file(tests/cmake/kilnConfig.cmake.in "${CMAKE_BINARY_DIR}/kilnConfig.cmake"
  INSTALL_DESTINATION "${package_dir}")
write_basic_package_version_file("${CMAKE_BINARY_DIR}/kilnConfigVersion.cmake" COMPATIBILITY SameMinorVersion)
install(FILES "${CMAKE_BINARY_DIR}/kilnConfig.cmake" "${CMAKE_BINARY_DIR}/kilnConfigVersion.cmake"
  shim/FindV8.cmake DESTINATION "${package_dir}")
install(EXPORT kiln NAMESPACE kiln:: FILE kilnTargets.cmake DESTINATION "${package_dir}")
