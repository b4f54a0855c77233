// Tables of text, for people.
#pragma once

#include <cstddef>
#include <string>
#include <utility>
#include <vector>

namespace weft {

struct TextColumn {
  std::string title;
  bool right = false;  // whether its cells end in line
  size_t gap = 2;      // spaces before it
};

// Columns are as wide as their widest cell; a character takes one place.
struct TextTable {
  std::vector<TextColumn> head;
  std::vector<std::pair<size_t, std::string>> groups = {};  // first column, and a title above it
  std::vector<std::vector<std::string>> rows = {};          // as many cells as columns

  // A line for the groups, where there are any, for the titles, and for each row; none ends in spaces.
  std::string text() const;
};

}  // namespace weft
