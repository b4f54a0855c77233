# What programs outside of Weft are built with: the source tree and the installed package (cmake/weft-config.cmake.in) share
# it. WEFT_TEMPLATES: the folder of model.cc.in. WEFT_KERNEL_INCLUDE: that of weft_kernel.h.

# weft_register_model(<list> <file.h>): appends a generated source, which registers weft::FILE::load, to the list.
function(weft_register_model list header)
  get_filename_component(MODEL_HEADER ${header} ABSOLUTE)
  get_filename_component(MODEL_NAME ${header} NAME_WE)
  set(source ${CMAKE_CURRENT_BINARY_DIR}/weft_models/${MODEL_NAME}.cc)
  configure_file(${WEFT_TEMPLATES}/model.cc.in ${source} @ONLY)
  set(${list} ${${list}} ${source} PARENT_SCOPE)
endfunction()

# weft_add_model(<name> <file.h>...): the weft command as a program of this name, which knows these architectures too.
function(weft_add_model name)
  if(NOT ARGN)
    message(FATAL_ERROR "weft_add_model(${name}): no header is named")
  endif()
  set(sources)
  foreach(header ${ARGN})
    weft_register_model(sources ${header})
  endforeach()
  add_executable(${name} ${sources})
  target_link_libraries(${name} PRIVATE weft::tools weft::models weft::weft)
endfunction()

# weft_add_kernel(<file.cc>): a file of kernels as a shared object FILE.so for this machine, which --kernel-file takes.
function(weft_add_kernel file)
  get_filename_component(name ${file} NAME_WE)
  add_library(${name} MODULE ${file})
  set_target_properties(${name} PROPERTIES PREFIX "")
  target_compile_features(${name} PRIVATE cxx_std_20)
  target_compile_options(${name} PRIVATE -O3 -march=native)
  target_include_directories(${name} PRIVATE ${WEFT_KERNEL_INCLUDE})
endfunction()
