// Texts that end a generated text.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace weft {

// Looks for stop strings in text that arrives in pieces. What may be the beginning of one is held back, so that no
// part of a stop string is ever shown. All shown pieces together are the text up to the first place where one of
// the strings begins, or all of it, however the text was cut into pieces. For one thread at a time.
class StopStrings {
 public:
  StopStrings() = default;
  // Throws Error for a string that is empty or not UTF-8.
  explicit StopStrings(std::vector<std::string> strings);

  bool empty() const { return strings_.empty(); }

  // More of the text. Returns what can be shown now; nothing once a stop string has been found.
  std::string push(std::string_view text);
  // The end of the text: returns what was held back and can be shown after all.
  std::string flush();
  // Whether a stop string has been found: the text has ended.
  bool found() const { return found_; }

 private:
  std::string take(bool at_end);

  std::vector<std::string> strings_;
  std::string held_;  // between calls, shorter than the longest string
  bool found_ = false;
};

}  // namespace weft
