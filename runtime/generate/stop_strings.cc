#include "runtime/generate/stop_strings.h"

#include <utility>

#include "core/error.h"
#include "core/utf8.h"

namespace weft {

StopStrings::StopStrings(std::vector<std::string> strings) : strings_(std::move(strings)) {
  for (const std::string& string : strings_) {
    if (string.empty()) throw Error("a stop string is empty");
    if (!is_utf8(string)) throw Error("the stop string " + in_quotes(string) + " is not UTF-8");
  }
}

std::string StopStrings::push(std::string_view text) {
  if (found_) return {};
  held_ += text;
  return take(false);
}

std::string StopStrings::flush() { return found_ ? std::string() : take(true); }

// The first place where a string begins, or may begin, decides: a string that begins later may be complete
// earlier, but the text may still turn out to end before it.
std::string StopStrings::take(bool at_end) {
  for (size_t at = 0; at < held_.size(); ++at) {
    const std::string_view rest = std::string_view(held_).substr(at);
    bool may_begin = false;
    for (const std::string_view string : strings_) {
      found_ = found_ || rest.starts_with(string);
      may_begin = may_begin || string.starts_with(rest);
    }
    if (!found_ && (at_end || !may_begin)) continue;
    std::string shown = held_.substr(0, at);
    if (found_) held_.clear();
    held_.erase(0, shown.size());
    return shown;
  }
  return std::exchange(held_, {});
}

}  // namespace weft
