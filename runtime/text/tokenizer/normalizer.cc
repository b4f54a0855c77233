#include "runtime/text/tokenizer/normalizer.h"

#include <utility>

#include "core/error.h"

namespace weft {
namespace {

// Compatibility forms turn 3 bytes into 33, and a mark may precede a single letter.
constexpr size_t kMaxGrowth = 64, kMaxAddition = 4096;

}  // namespace

std::string replace_all(std::string_view text, std::string_view from, std::string_view to) {
  std::string out;
  out.reserve(text.size());
  for (;;) {
    const size_t at = text.find(from);
    out += text.substr(0, at);
    if (at == std::string_view::npos) return out;
    out += to;
    text.remove_prefix(at + from.size());
  }
}

Normalizer replace(Regex pattern, std::string content) {
  return [pattern = std::move(pattern), content = std::move(content)](std::string_view text) {
    std::string out;
    size_t done = 0;
    for (const Regex::Match& match : pattern.find_all(text)) {
      out += text.substr(done, match.begin - done);
      out += content;
      done = match.end;
      if (out.size() > kMaxGrowth * text.size() + kMaxAddition) break;  // `apply_all` reports it
    }
    return out += text.substr(done);
  };
}

Normalizer replace(std::string from, std::string content) {
  return [from = std::move(from), content = std::move(content)](std::string_view text) {
    return from.empty() ? std::string(text) : replace_all(text, from, content);
  };
}

Normalizer prepend(std::string content) {
  return [content = std::move(content)](std::string_view text) {
    return text.empty() ? std::string() : content + std::string(text);
  };
}

std::string apply_all(const std::vector<Normalizer>& normalizers, std::string_view text) {
  std::string out(text);
  for (const Normalizer& normalizer : normalizers) {
    out = normalizer(out);
    if (out.size() > kMaxGrowth * text.size() + kMaxAddition) {
      throw Error("the tokenizer's normalizer makes " + std::to_string(out.size()) + " bytes or more of " +
                  std::to_string(text.size()));
    }
  }
  return out;
}

}  // namespace weft
