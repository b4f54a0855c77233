// Sizes rounded up to where the next thing may begin.
#pragma once

#include <concepts>
#include <cstddef>
#include <type_traits>

namespace weft {

inline constexpr size_t kCacheLine = 64;  // bytes

// The least multiple of `unit` (> 0) that is not below `size` (>= 0). `size` + `unit` must not overflow.
template <std::integral Size>
constexpr Size align_up(Size size, std::type_identity_t<Size> unit) {
  return (size + unit - 1) / unit * unit;
}
// To whole cache lines.
constexpr size_t align_up(size_t bytes) { return align_up(bytes, kCacheLine); }

}  // namespace weft
