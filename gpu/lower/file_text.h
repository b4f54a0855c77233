// Users' files in programs.
#pragma once

#include <string>

#include "ops/plugin/opencl_file.h"

namespace weft {

// What a program begins with that calls functions of the file: its text, with the numbers of its lines.
std::string file_text(const OpenClFile& file);

}  // namespace weft
