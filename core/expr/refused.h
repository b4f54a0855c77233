// How a wrong expression is reported: one error that reads as a sentence, with g++ and with clang.
//
//   error: incomplete type 'weft::refused<weft::op::contract, weft::right_operand_lacks<HeadDim>,
//          weft::left_has<Pos, Embed, HeadDim>, weft::right_has<Hidden, Embed> >' used in nested name specifier
//
// Every operation first asks a `why` function, which returns because_of<refused<Op, reasons...>>, or `allowed`. The
// error is raised in the operation that the user called, never deeper, which keeps it short; after it the operation
// returns `Refused`, which every other operation swallows, so that one mistake gives one error.
#pragma once

#include <cstddef>
#include <type_traits>

namespace weft {

// An error message. g++ names an incomplete type where it is used, but shows only the text of a failed
// static_assert; clang names the types of a failed static_assert, and adds a note for an incomplete type. Each
// gets the shorter form.
template <class Op, class... Why>
struct refused
#if defined(__clang__)
{
  static constexpr bool value = false;
}
#endif
;

struct Allowed {
  static constexpr bool value = true;
};

// Result of an operation that was refused. Converts to anything and is accepted by everything.
struct Refused {
  static constexpr bool value = true;  // its error has been reported
  template <class T>
  operator T() const;
};

// Where materialize gives N results: each of them was refused.
template <size_t N>
struct RefusedResults : Refused {};

// What `why` functions return.
template <class Why>
inline constexpr std::type_identity<Why> because_of{};
inline constexpr std::type_identity<Allowed> allowed{};
inline constexpr std::type_identity<Refused> refused_before{};  // an operand was refused

// The type in such a result: static_assert(Why::value, ...) in the operation raises the error.
template <class Answer>
using why_of = typename Answer::type;
template <class Why>
inline constexpr bool is_allowed = std::is_same_v<Why, Allowed>;

// The first of several results that is not `allowed`.
consteval auto first_refusal() { return allowed; }
template <class Why, class... Rest>
consteval auto first_refusal(std::type_identity<Why> why, Rest... rest) {
  if constexpr (is_allowed<Why>) return first_refusal(rest...);
  else return why;
}

// Operations, as messages name them.
namespace op {
struct elementwise;  // + - * / comparisons, where, map
struct contract;
struct softmax;
struct reduce;  // sum, mean, max, argmax
struct norm;    // rms_norm, layer_norm
struct rope;
struct at;
struct rename;
struct split;
struct merge;
struct slice;
struct cast;
struct top_k;
struct append;
struct scan;
struct causal_conv;
struct concat;
struct cache_field;
struct model;  // ModelConfig::model
struct custom;
struct materialize;
struct with_statistics;
}  // namespace op

// Reasons, to be read together with the axes or types that they carry.
template <class... A>
struct operand_lacks;
template <class... A>
struct left_operand_lacks;
template <class... A>
struct right_operand_lacks;
template <class... A>
struct third_operand_lacks;
template <class... A>
struct it_has;
template <class... A>
struct left_has;
template <class... A>
struct right_has;
template <class... A>
struct cache_field_has;
template <class... A>
struct value_has;
template <class... A>
struct extra_axes;
template <class... A>
struct axes_are_not_adjacent;
template <class... A>
struct axis_appears_twice;
template <class A, long Extent>
struct fixed_extent_of;
template <class... A>
struct reduced_along;
template <class... A>
struct contracted_over;
template <class... T>
struct element_types_differ;
struct use_cast;
template <class T>
struct wanted;
template <class... T>
struct found;
struct numbers_are_float_int_or_bool;           // not int64_t, size_t, ...
struct elements_are_f32_i32_or_bool;            // bf16 and f16 are ways to store an f32 ...
struct store_fields_says_what_it_is_stored_in;  // ... in a cache
struct wanted_axes;
struct wanted_rows_and_vocabulary;
struct cache_field_is_for_scores;
struct cache_field_is_for_values;
struct extents_disagree;
struct order_has_other_axes_than_the_value;
struct wrong_number_of_fields;

// The operands of scan and causal_conv, as messages name them.
struct query_operand;
struct key_operand;
struct value_operand;
struct decay_operand;
struct erase_operand;
struct read_operand;
struct bonus_operand;
struct taps_operand;
struct input_operand;
template <class... A>
struct state_has;
struct state_has_no_rows_and_columns;
struct state_is_not_of_taps_and_channels;

// Two steps in one expression: where the materialize goes.
struct put_materialize_around_the_operand;
struct put_materialize_around_the_left_operand;
struct put_materialize_around_the_right_operand;
struct put_materialize_around_one_of_the_operands;
struct put_materialize_around_the_result;
struct put_materialize_around_what_softmax_takes;
struct only_contract_over_a_softmax_reduces_cached_scores;
struct axes_are_not_the_last_ones;
struct operand_is_a_contraction;
struct operand_is_a_norm;
struct operand_is_a_rotation;
struct operand_is_a_scan;
struct operand_is_an_expression;  // where a stored value or a view of one is needed
struct operand_is_a_softmax_of_a_contraction;
struct operand_is_an_attention;
struct operand_is_not_an_attention;
struct softmax_of_a_contraction_goes_into_contract_over;
template <class A>
struct a_sink_does_not_vary_along;
struct cached_values_are_read_by_attention_only;
struct both_operands_are_norms;
struct both_operands_are_rotated;
struct a_scan_meets_a_norm_rotation_or_contraction;
struct a_norm_meets_a_contraction;
struct a_rotation_meets_a_norm_or_contraction;
struct operand_is_complete;  // attention, top_k, append: only materialize may follow

}  // namespace weft
