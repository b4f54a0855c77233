// Lines of CSV (RFC 4180, but for line ends).
#pragma once

#include <string>
#include <vector>

namespace weft::tools {

// "a,b\n"; a cell is in quotes where it needs them.
std::string csv_line(const std::vector<std::string>& cells);

}  // namespace weft::tools
