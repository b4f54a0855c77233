// A pattern in the first line, then a text: matches that lie in the text in order and at characters, or an Error.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "core/error.h"
#include "core/utf8.h"
#include "runtime/text/tokenizer/regex.h"
#include "tests/fuzz/tokenizer_checks.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace weft;
  const std::string_view input(reinterpret_cast<const char*>(data), size);
  const std::string_view pattern = input.substr(0, input.find('\n'));
  const std::string text = make_utf8(input.substr(std::min(pattern.size() + 1, size)));
  const auto at_character = [&](size_t i) {
    return i == text.size() || (static_cast<uint8_t>(text[i]) & 0xC0) != 0x80;
  };
  try {
    size_t done = 0;
    for (const Regex::Match& match : Regex(pattern).find_all(text)) {
      fuzz::require(match.begin >= done && match.begin <= match.end && match.end <= text.size());
      fuzz::require(at_character(match.begin) && at_character(match.end));
      done = match.end;
    }
  } catch (const Error&) {
  }
  return 0;
}
