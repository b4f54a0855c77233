// Hashing of texts from untrusted files.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <unordered_map>

namespace weft {

// Differs from process to process, so no file can hold texts that are known to collide.
struct TextHash {
  using is_transparent = void;
  size_t operator()(std::string_view text) const;
};

// Texts to numbers; looked up by std::string_view without a copy.
using TextIndex = std::unordered_map<std::string, int32_t, TextHash, std::equal_to<>>;

}  // namespace weft
