// What happens to text before it is cut into words, as Hugging Face tokenizers define it ("normalizer").
#pragma once

#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "runtime/text/tokenizer/regex.h"

namespace weft {

// From UTF-8 to UTF-8.
using Normalizer = std::function<std::string(std::string_view)>;

// `content` for every match of the pattern or occurrence of the text (an empty one occurs nowhere).
Normalizer replace(Regex pattern, std::string content);
Normalizer replace(std::string text, std::string content);

// `content` before text that is not empty.
Normalizer prepend(std::string content);

// All of them in order. Throws Error where text grows beyond what any sensible normalizer produces.
std::string apply_all(const std::vector<Normalizer>& normalizers, std::string_view text);

// The text with `to` for each `from`, which is not empty.
std::string replace_all(std::string_view text, std::string_view from, std::string_view to);

}  // namespace weft
