// Running another program for what it prints.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

namespace weft::tools {

// What the program writes to standard output; its errors go where ours go. Throws Error where it cannot be started, or
// unless it ends with 0.
std::string output_of(const std::filesystem::path& program, const std::vector<std::string>& arguments);

}  // namespace weft::tools
