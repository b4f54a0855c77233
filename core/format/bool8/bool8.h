// BOOL: a byte, false where it is 0.
#pragma once

#include "core/format/format_traits.h"

namespace weft {

template <>
struct FormatTraits<Format::bool8> {
  static constexpr std::string_view kName = "BOOL";
  static constexpr uint32_t kElements = 1, kBytes = 1;
  static constexpr bool kIsFloat = false;
};

}  // namespace weft
