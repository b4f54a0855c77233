#include "runtime/plan/text_table.h"

#include <algorithm>

namespace weft {
namespace {

size_t characters(const std::string& text) {  // code points of UTF-8
  return static_cast<size_t>(std::count_if(text.begin(), text.end(), [](char c) { return (c & 0xc0) != 0x80; }));
}

}  // namespace

std::string TextTable::text() const {
  std::vector<size_t> widths;
  for (size_t c = 0; c < head.size(); ++c) {
    widths.push_back(characters(head[c].title));
    for (const auto& row : rows) widths[c] = std::max(widths[c], characters(row[c]));
  }
  std::string result, line;
  const auto pad_to = [&](size_t width) { line.append(width - std::min(width, characters(line)), ' '); };
  const auto end_line = [&] {
    line.erase(line.find_last_not_of(' ') + 1);
    result += line + "\n";
    line.clear();
  };
  const auto begin_of = [&](size_t column) {
    size_t at = 0;
    for (size_t c = 0; c < column; ++c) at += widths[c] + head[c + 1].gap;
    return at;
  };
  for (const auto& [column, title] : groups) {
    pad_to(begin_of(column));
    line += title + " ";
  }
  if (!groups.empty()) end_line();
  const auto add = [&](const std::vector<std::string>& cells) {
    for (size_t c = 0; c < cells.size(); ++c) {
      pad_to(begin_of(c) + (head[c].right ? widths[c] - characters(cells[c]) : 0));
      line += cells[c];
    }
    end_line();
  };
  std::vector<std::string> titles;
  for (const TextColumn& column : head) titles.push_back(column.title);
  add(titles);
  for (const auto& row : rows) add(row);
  return result;
}

}  // namespace weft
