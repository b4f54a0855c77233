# weft_embed_opencl(<target>): compiles gpu/*.cl, every ops/*/opencl.cl and the formats' core/format/*/*.cl into the target
# as text, which gpu/lower/opencl_text.h hands out. The texts are embedded anew when one changes.
#
# The same file is the script that writes the source: cmake -DOUTPUT=<file> "-DINPUTS=<a;b>" -P EmbedOpenCl.cmake
if(CMAKE_SCRIPT_MODE_FILE STREQUAL CMAKE_CURRENT_LIST_FILE)
  set(text "// Generated from the OpenCL texts of core/format, gpu and ops.\n#include \"gpu/lower/opencl_text.h\"\n\n")
  string(APPEND text "namespace weft {\n\nstd::span<const OpenClText> opencl_texts() {\n")
  string(APPEND text "  static constexpr OpenClText kTexts[] = {\n")
  # The formats are one text, which begins with what they share.
  set(names formats)
  set(content_formats "")
  foreach(input IN LISTS INPUTS)
    file(READ "${input}" content)
    get_filename_component(folder "${input}" DIRECTORY)
    get_filename_component(name "${folder}" NAME)
    if(name STREQUAL "format")
      string(PREPEND content_formats "${content}\n")
    elseif(folder MATCHES "/core/format/")
      string(APPEND content_formats "${content}\n")
    else()
      if(name STREQUAL "gpu")
        get_filename_component(name "${input}" NAME_WE)
      endif()
      list(APPEND names ${name})
      set(content_${name} "${content}")
    endif()
  endforeach()
  foreach(name IN LISTS names)
    # Compilers limit the length of one literal; adjacent ones are joined.
    string(LENGTH "${content_${name}}" length)
    set(literals "")
    set(begin 0)
    while(begin LESS length)
      string(SUBSTRING "${content_${name}}" ${begin} 8000 piece)
      string(APPEND literals "R\"opencl(${piece})opencl\"\n")
      math(EXPR begin "${begin} + 8000")
    endwhile()
    string(APPEND text "      {\"${name}\", ${literals}},\n")
  endforeach()
  string(APPEND text "  };\n  return kTexts;\n}\n\n}  // namespace weft\n")
  file(WRITE "${OUTPUT}" "${text}")
  return()
endif()

set(WEFT_EMBED_SCRIPT "${CMAKE_CURRENT_LIST_FILE}")

function(weft_embed_opencl target)
  file(GLOB inputs CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/core/format/*.cl ${CMAKE_SOURCE_DIR}/core/format/*/*.cl
       ${CMAKE_SOURCE_DIR}/gpu/*.cl ${CMAKE_SOURCE_DIR}/ops/*/opencl.cl)
  set(output ${CMAKE_BINARY_DIR}/generated/opencl_text.cc)
  add_custom_command(
    OUTPUT ${output}
    COMMAND ${CMAKE_COMMAND} -DOUTPUT=${output} "-DINPUTS=${inputs}" -P ${WEFT_EMBED_SCRIPT}
    DEPENDS ${inputs} ${WEFT_EMBED_SCRIPT}
    COMMENT "Embedding OpenCL texts"
    VERBATIM)
  target_sources(${target} PRIVATE ${output})
endfunction()
