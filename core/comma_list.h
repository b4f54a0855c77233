// Items as text, for errors and tables.
#pragma once

#include <string>

namespace weft {

// "a, b, c", of strings.
template <class Items>
std::string comma_list(const Items& items) {
  std::string text;
  for (const auto& item : items) {
    if (!text.empty()) text += ", ";
    text += item;
  }
  return text;
}

}  // namespace weft
