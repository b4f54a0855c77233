# weft_commit(<target>): lets the target include "tools/commit.h", which says the commit that is built, anew with each build.
#
# The same file is the script that writes it: cmake -DGIT=<program> -DSOURCE=<folder> -DOUTPUT=<file> -P commit.cmake
if(CMAKE_SCRIPT_MODE_FILE STREQUAL CMAKE_CURRENT_LIST_FILE)
  set(commit "")
  # Of this source alone, not of a repository that it was unpacked in.
  if(GIT AND EXISTS "${SOURCE}/.git")
    execute_process(COMMAND ${GIT} -C ${SOURCE} describe --always --dirty --abbrev=12 --exclude=* OUTPUT_VARIABLE commit
                    OUTPUT_STRIP_TRAILING_WHITESPACE ERROR_QUIET)
  endif()
  # Written only where it differs, so that nothing is compiled again otherwise.
  file(CONFIGURE OUTPUT "${OUTPUT}" CONTENT "#define WEFT_COMMIT \"${commit}\"\n" @ONLY)
  return()
endif()

function(weft_commit target)
  find_package(Git QUIET)
  set(output ${CMAKE_BINARY_DIR}/generated/tools/commit.h)
  add_custom_target(${target}_commit BYPRODUCTS ${output}
                    COMMAND ${CMAKE_COMMAND} -DGIT=${GIT_EXECUTABLE} -DSOURCE=${CMAKE_SOURCE_DIR} -DOUTPUT=${output}
                            -P ${CMAKE_CURRENT_FUNCTION_LIST_FILE}
                    COMMENT "" VERBATIM)
  add_dependencies(${target} ${target}_commit)
endfunction()
