// Elements that somebody else owns, with their axes: what is handed to an engine, and what it hands back.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>

#include "core/axis.h"
#include "core/element.h"

namespace weft {

namespace view_detail {
// Throws Error for an extent that is negative or contradicts the type of its axis, and where `values` is not the
// product of all.
void check_extents(std::span<const AxisInfo* const> axes, std::span<const int64_t> extents, size_t values);
[[noreturn]] void refuse_row(const AxisInfo& axis, int64_t row, int64_t extent);
}  // namespace view_detail

// Contiguous, in the order of the axes; valid as long as what it was made of.
template <ComputeElement T, Axis... A>
  requires are_distinct<Axes<A...>>
class TensorView {
 public:
  using element = T;
  using axes = Axes<A...>;
  using Extents = std::array<int64_t, sizeof...(A)>;
  static constexpr std::array<const AxisInfo*, sizeof...(A)> kAxes{&axis_info<A>...};

  TensorView() = default;
  // Throws Error where the number of values is not that of the extents.
  TensorView(const Extents& extents, std::span<const T> values) : extents_(extents), values_(values) {
    view_detail::check_extents(kAxes, extents, values.size());
  }

  template <Axis B>
  int64_t extent() const {
    static_assert(contains_axis<B, axes>, "this view does not have the axis whose extent is asked for");
    constexpr std::array<bool, sizeof...(A)> same{std::is_same_v<B, A>...};
    size_t at = 0;
    while (!same[at]) ++at;
    return extents_[at];
  }
  const Extents& extents() const { return extents_; }
  std::span<const T> values() const { return values_; }

  // The elements at coordinate `i` of the first axis. Throws Error beyond its extent.
  std::span<const T> row(int64_t i) const
    requires(sizeof...(A) >= 1)
  {
    if (i < 0 || i >= extents_[0]) view_detail::refuse_row(*kAxes[0], i, extents_[0]);
    const size_t width = values_.size() / static_cast<size_t>(extents_[0]);
    return values_.subspan(static_cast<size_t>(i) * width, width);
  }

  // The same elements, whose axis From is now To.
  template <Axis From, Axis To>
  auto renamed() const {
    static_assert(contains_axis<From, axes>, "this view does not have the axis that is renamed");
    return as<replace_axis<axes, From, To>>();
  }

 private:
  template <class List>
  auto as() const {
    return [this]<class... B>(Axes<B...>) { return TensorView<T, B...>(extents_, values_); }(List{});
  }

  Extents extents_{};
  std::span<const T> values_;
};

namespace view_detail {
template <class T, class List>
struct of;
template <class T, class... A>
struct of<T, Axes<A...>> {
  template <class Owner>
  static TensorView<T, A...> all(const Owner& owner) {
    return {{owner.template extent<A>()...}, owner.values()};
  }
};
}  // namespace view_detail

// A Tensor (core/expr/value.h) or a view, of f32, i32 or bool.
template <class Owner>
inline constexpr bool is_viewable = requires(const Owner& owner) {
  typename Owner::axes;
  owner.values();
  requires ComputeElement<typename Owner::element>;
};

// Of all elements of a Tensor, which must outlive the view; of a view, the same.
template <class Owner>
  requires is_viewable<Owner>
auto as_view(const Owner& owner) {
  return view_detail::of<typename Owner::element, typename Owner::axes>::all(owner);
}

}  // namespace weft
