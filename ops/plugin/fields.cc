#include "ops/plugin/fields.h"

#include <algorithm>
#include <charconv>
#include <iterator>
#include <sstream>

#include "core/error.h"

namespace weft {

std::vector<std::string> words_of(const char* text) {
  std::vector<std::string> words;
  std::istringstream in(text == nullptr ? "" : text);
  for (std::string word; in >> word;) words.push_back(word);
  return words;
}

std::vector<int64_t> widths_of(const char* text) {
  constexpr int64_t kMostWidth = 1 << 20;
  std::vector<int64_t> widths;
  for (const std::string& word : words_of(text)) {
    int64_t width = 0;
    const auto [end, error] = std::from_chars(word.data(), word.data() + word.size(), width);
    if (error != std::errc() || end != word.data() + word.size() || width < 1 || width > kMostWidth) {
      throw Error("'widths': '" + word + "' is no number from 1 to " + std::to_string(kMostWidth));
    }
    widths.push_back(width);
  }
  return widths;
}

std::vector<Format> formats_of(const char* text) {
  std::vector<Format> formats;
  for (const std::string& word : words_of(text)) {
    const auto* const found = std::ranges::find_if(kFloatFormats, [&](Format format) { return name(format) == word; });
    if (found == std::end(kFloatFormats)) throw Error("'formats': there is no format '" + word + "'");
    formats.push_back(*found);
  }
  return formats;
}

}  // namespace weft
