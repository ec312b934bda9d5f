# Compiles every source of the shim, syntax only, against one Node's V8 headers.
#
# cmake -DCOMPILER= -DINCLUDE=<node's include/node> -DMAJOR=<18..26> -DROOT= -DSCRATCH=<directory> "-DSOURCES=a b"
#   -P headers.cmake
if(NOT EXISTS "${INCLUDE}/v8.h")
  message(FATAL_ERROR "no V8 headers of Node ${MAJOR} in ${INCLUDE}: set-up has not installed them (./run build)")
endif()

# V8_ENABLE_SANDBOX, V8_COMPRESS_POINTERS and the like are off in every official Node build (config.gypi), so
# none is defined. The headers are read as system headers: they do not pass our warnings.
set(flags -std=gnu++20 -fno-rtti -D_GNU_SOURCE -Wall -Wextra -Werror -isystem "${INCLUDE}" "-I${ROOT}")

# V8's headers take longer to read than all of the shim: once per version will do. (internal.hh includes them.)
file(MAKE_DIRECTORY "${SCRATCH}")
file(WRITE "${SCRATCH}/all.hh" "#include \"shim/internal.hh\"\n")
execute_process(
  COMMAND "${COMPILER}" ${flags} -x c++-header "${SCRATCH}/all.hh" -o "${SCRATCH}/all.hh.gch"
  RESULT_VARIABLE status ERROR_VARIABLE text)
if(NOT status EQUAL 0)
  message(FATAL_ERROR "internal.hh does not compile against Node ${MAJOR}:\n${text}")
endif()

separate_arguments(SOURCES)
set(failed "")
foreach(source ${SOURCES})
  execute_process(
    COMMAND "${COMPILER}" ${flags} -fsyntax-only -include "${SCRATCH}/all.hh" "${source}"
    RESULT_VARIABLE status ERROR_VARIABLE text)
  if(NOT status EQUAL 0)
    message("${text}")
    list(APPEND failed "${source}")
  endif()
endforeach()
file(REMOVE_RECURSE "${SCRATCH}")
if(failed)
  message(FATAL_ERROR "does not compile against Node ${MAJOR}: ${failed}")
endif()
