// The one walk over what a step is made of, for code that looks at all of it. (Code that needs a part by its index,
// or that computes the parts in the order of their dependencies, goes to the region itself.)
//
//   operand   a leaf: Region::operands, in their order. The ids that gather another operand, the positions of a
//             rotation and the values of an attention are among them.
//   source    what is evaluated from operands: each prologue (Region::lhs) in its order, then the body, which is the
//             score of an attention.
//   program   what is computed for one element. Of each source: those of its reductions, in their order, then its
//             own; after all sources an attention's sink and `post`, unless they are empty.
//
// Each takes a region, or a step, whose regions are visited one after the other; where that is not const, the parts
// may be changed.
#pragma once

#include <concepts>
#include <type_traits>

#include "core/record/graph.h"

namespace weft {

namespace visit_detail {
template <class T, class Record>
concept Is = std::same_as<std::remove_const_t<T>, Record>;
}  // namespace visit_detail

template <visit_detail::Is<Region> R, class Visit>
void for_each_operand(R& region, const Visit& visit) {
  for (auto& operand : region.operands) visit(operand);
}

template <visit_detail::Is<Region> R, class Visit>
void for_each_source(R& region, const Visit& visit) {
  for (auto& source : region.lhs) visit(source);
  visit(region.body);
}

template <visit_detail::Is<Source> S, class Visit>
void for_each_program(S& source, const Visit& visit) {
  for (auto& reduction : source.reductions) visit(reduction.program);
  visit(source.program);
}

template <visit_detail::Is<Region> R, class Visit>
void for_each_program(R& region, const Visit& visit) {
  for_each_source(region, [&](auto& source) { for_each_program(source, visit); });
  if (region.attention && !region.attention->sink.empty()) visit(region.attention->sink);
  if (!region.post.empty()) visit(region.post);
}

template <visit_detail::Is<Step> S, class Visit>
void for_each_operand(S& step, const Visit& visit) {
  for (auto& region : step.regions) for_each_operand(region, visit);
}

template <visit_detail::Is<Step> S, class Visit>
void for_each_source(S& step, const Visit& visit) {
  for (auto& region : step.regions) for_each_source(region, visit);
}

template <visit_detail::Is<Step> S, class Visit>
void for_each_program(S& step, const Visit& visit) {
  for (auto& region : step.regions) for_each_program(region, visit);
}

}  // namespace weft
