// Files of kernels that a command is given.
#pragma once

#include <CLI/CLI.hpp>
#include <string>
#include <vector>

#include "ops/plugin/plugin.h"

namespace weft::tools {

// The text of weft_kernel.h, which kernels are built with wherever Weft is installed.
const char* kernel_header();

// Adds the kernels of a shared object, of OpenCL C (.cl), which devices build when a plan uses them, or of C++ (.cc,
// .cpp, .cxx), which is built first: by $CXX (default: c++), for this machine, with $CXXFLAGS behind Weft's own flags.
// The compiler's messages go to stderr. Throws Error where it fails, and as load_kernel_file and load_opencl_file do.
std::vector<PluginKernel> open_kernel_file(const std::string& path, PluginPlace place);

// --kernel-file, which may be repeated: these kernels come before the built-in ones wherever they can serve. Of a file
// that has none for the device, as --device names it, a warning is printed on stderr.
void add_kernel_file_flag(CLI::App& app, std::vector<std::string>& files);
void use_kernel_files(const std::vector<std::string>& files, const std::string& device);

}  // namespace weft::tools
