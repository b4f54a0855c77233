// Axes: named structs whose type is their identity, and compile-time lists of them.
//
//   struct Pos     : weft::axis<"pos"> {};           // extent known at run time
//   struct HeadDim : weft::axis<"head_dim", 64> {};  // extent fixed: 64 everywhere
//
// Two axes are the same if they are the same type; sizes are never compared to find that out.
#pragma once

#include <algorithm>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <string_view>
#include <type_traits>

namespace weft {

inline constexpr int64_t kRunTimeExtent = -1;

// What is left of an axis at run time. Its address is the axis' identity.
struct AxisInfo {
  std::string_view name;
  int64_t fixed_extent;  // kRunTimeExtent if not fixed
};

template <size_t N>
struct AxisName {
  char text[N]{};
  consteval AxisName(const char (&literal)[N]) { std::copy_n(literal, N, text); }
};

// Base of every axis: a name for messages and plans, and optionally a fixed extent.
template <AxisName Name, int64_t Extent = kRunTimeExtent>
struct axis {
  static constexpr std::string_view axis_name{Name.text, sizeof(Name.text) - 1};
  static constexpr int64_t fixed_extent = Extent;
};

template <class A>
concept Axis = requires {
  { A::axis_name } -> std::convertible_to<std::string_view>;
  { A::fixed_extent } -> std::convertible_to<int64_t>;
};

template <Axis A>
inline constexpr AxisInfo axis_info{A::axis_name, A::fixed_extent};

// An ordered list of distinct axes: the type-level shape of a value.
template <class... A>
struct Axes {
  static constexpr size_t rank = sizeof...(A);
};

template <class A, class... B>
inline constexpr bool is_one_of = (std::is_same_v<A, B> || ...);

namespace axes_detail {

template <class List, class... More>
struct concat {
  using type = List;
};
template <class... A, class... B, class... More>
struct concat<Axes<A...>, Axes<B...>, More...> : concat<Axes<A..., B...>, More...> {};

template <class A, class List>
inline constexpr bool contains = false;
template <class A, class... B>
inline constexpr bool contains<A, Axes<B...>> = is_one_of<A, B...>;

template <class List, class Of>
inline constexpr bool subset = false;
template <class... A, class Of>
inline constexpr bool subset<Axes<A...>, Of> = (contains<A, Of> && ...);

template <class List, class Without>
struct remove;
template <class... A, class Without>
struct remove<Axes<A...>, Without> : concat<Axes<>, std::conditional_t<contains<A, Without>, Axes<>, Axes<A>>...> {};

template <class List, class Kept>
struct keep;
template <class... A, class Kept>
struct keep<Axes<A...>, Kept> : concat<Axes<>, std::conditional_t<contains<A, Kept>, Axes<A>, Axes<>>...> {};

template <class List, class From, class To>
struct replace;
template <class... A, class From, class To>
struct replace<Axes<A...>, From, To> : concat<Axes<>, std::conditional_t<std::is_same_v<A, From>, To, Axes<A>>...> {};

template <class List>
inline constexpr bool distinct = true;
template <class First, class... Rest>
inline constexpr bool distinct<Axes<First, Rest...>> = !is_one_of<First, Rest...> && distinct<Axes<Rest...>>;

template <class A, class B, class List>
inline constexpr bool adjacent = false;
template <class A, class B, class First, class Second, class... Rest>
inline constexpr bool adjacent<A, B, Axes<First, Second, Rest...>> =
    (std::is_same_v<A, First> && std::is_same_v<B, Second>) || adjacent<A, B, Axes<Second, Rest...>>;

}  // namespace axes_detail

template <class A, class List>
inline constexpr bool contains_axis = axes_detail::contains<A, List>;
template <class List, class Of>
inline constexpr bool is_subset = axes_detail::subset<List, Of>;
template <class A, class B>
inline constexpr bool is_same_set = is_subset<A, B> && is_subset<B, A>;
template <class... Lists>
using concat_axes = typename axes_detail::concat<Axes<>, Lists...>::type;
template <class List, class... A>
using remove_axes = typename axes_detail::remove<List, Axes<A...>>::type;
template <class List, class Without>
using subtract_axes = typename axes_detail::remove<List, Without>::type;
template <class List, class With>
using intersect_axes = typename axes_detail::keep<List, With>::type;
template <class List, class From, class... To>
using replace_axis = typename axes_detail::replace<List, From, Axes<To...>>::type;
template <class List>
inline constexpr bool are_distinct = axes_detail::distinct<List>;
template <class A, class B, class List>
inline constexpr bool are_adjacent = axes_detail::adjacent<A, B, List>;

}  // namespace weft
