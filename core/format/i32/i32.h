// I32: two's complement.
#pragma once

#include "core/format/format_traits.h"

namespace weft {

template <>
struct FormatTraits<Format::i32> {
  static constexpr std::string_view kName = "I32";
  static constexpr uint32_t kElements = 1, kBytes = 4;
  static constexpr bool kIsFloat = false;
};

}  // namespace weft
