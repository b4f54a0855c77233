// Element types of the typed surface. Arithmetic is f32, i32 or bool; bf16 and f16 are ways to store an f32.
#pragma once

#include <concepts>
#include <cstdint>

#include "core/format/format.h"
#include "core/record/scalar.h"

namespace weft {

using f32 = float;
using i32 = int32_t;

struct bf16 {
  uint16_t bits = 0;
  bf16() = default;
  explicit bf16(float value) : bits(f32_to_bf16(value)) {}
  explicit operator float() const { return bf16_to_f32(bits); }
};

struct f16 {
  uint16_t bits = 0;
  f16() = default;
  explicit f16(float value) : bits(f32_to_f16(value)) {}
  explicit operator float() const { return f16_to_f32(bits); }
};

template <class T>
concept ComputeElement = std::same_as<T, f32> || std::same_as<T, i32> || std::same_as<T, bool>;
template <class T>
concept StoredElement = ComputeElement<T> || std::same_as<T, bf16> || std::same_as<T, f16>;

// What sequences and cache slots are counted in: an i32 that is neither a position nor an id. cast<i32> makes it a
// number.
struct sequence_number;
struct slot_number;
template <class T>
concept SurfaceElement = ComputeElement<T> || std::same_as<T, sequence_number> || std::same_as<T, slot_number>;

namespace element_detail {
template <class T>
struct traits;
template <>
struct traits<f32> {
  using read = f32;
  static constexpr Format format = Format::f32;
};
template <>
struct traits<i32> {
  using read = i32;
  static constexpr Format format = Format::i32;
};
template <>
struct traits<bool> {
  using read = bool;
  static constexpr Format format = Format::bool8;
};
template <>
struct traits<bf16> {
  using read = f32;
  static constexpr Format format = Format::bf16;
};
template <>
struct traits<f16> {
  using read = f32;
  static constexpr Format format = Format::f16;
};
}  // namespace element_detail

// What reading a T gives: f32 for every float storage.
template <StoredElement T>
using read_element = typename element_detail::traits<T>::read;
template <StoredElement T>
inline constexpr Format format_of = element_detail::traits<T>::format;
template <SurfaceElement T>
inline constexpr Element element_of = std::same_as<T, f32>    ? Element::f32
                                      : std::same_as<T, bool> ? Element::bool8
                                                              : Element::i32;

}  // namespace weft
