#include "ops/attention/mask_analysis.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>

namespace weft {
namespace {

constexpr int64_t kLowest = std::numeric_limits<int32_t>::min();
constexpr int64_t kHighest = std::numeric_limits<int32_t>::max();

// What is known of a value over the block: for i32 and bool8 the ends of an interval, for f32 whether it is one
// number.
struct Known {
  int64_t low = kLowest, high = kHighest;
  bool is_number = false;
  float number = 0;

  bool single() const { return low == high; }
};

constexpr Known kUnknown{};
constexpr Known kUndecided{0, 1};

Known boolean(bool value) { return {value, value}; }
Known number(float value) { return {0, 0, true, value}; }

// Results outside of i32 wrap, so nothing is known of them.
Known interval(int64_t low, int64_t high) { return low < kLowest || high > kHighest ? kUnknown : Known{low, high}; }

Known multiplied(const Known& a, const Known& b) {
  const auto [low, high] = std::minmax({a.low * b.low, a.low * b.high, a.high * b.low, a.high * b.high});
  return interval(low, high);
}

Known divided(const Known& a, const Known& b) {
  if (!b.single() || b.low <= 0) return kUnknown;
  return {a.low / b.low, a.high / b.low};  // truncation is monotonic
}

Known remainder(const Known& a, const Known& b) {
  if (!b.single() || b.low <= 0) return kUnknown;
  const int64_t m = b.low;
  if (a.low >= 0 && a.low / m == a.high / m) return {a.low % m, a.high % m};
  return {a.low < 0 ? std::max(a.low, 1 - m) : 0, a.high > 0 ? std::min(a.high, m - 1) : 0};
}

Known compared(ScalarOp op, const Known& a, const Known& b) {
  switch (op) {
    case ScalarOp::eq:
      if (a.single() && b.single() && a.low == b.low) return boolean(true);
      return a.high < b.low || b.high < a.low ? boolean(false) : kUndecided;
    case ScalarOp::ne: {
      const Known same = compared(ScalarOp::eq, a, b);
      return same.single() ? boolean(same.low == 0) : kUndecided;
    }
    case ScalarOp::lt: return a.high < b.low ? boolean(true) : a.low >= b.high ? boolean(false) : kUndecided;
    case ScalarOp::le: return a.high <= b.low ? boolean(true) : a.low > b.high ? boolean(false) : kUndecided;
    case ScalarOp::gt: return compared(ScalarOp::lt, b, a);
    default: return compared(ScalarOp::le, b, a);
  }
}

Known int_result(ScalarOp op, const Known& a, const Known& b) {
  switch (op) {
    case ScalarOp::neg: return interval(-a.high, -a.low);
    case ScalarOp::abs: {
      if (a.low == kLowest) return kUnknown;
      const int64_t low = a.low > 0 ? a.low : a.high < 0 ? -a.high : 0;
      return {low, std::max(-a.low, a.high)};
    }
    case ScalarOp::add: return interval(a.low + b.low, a.high + b.high);
    case ScalarOp::sub: return interval(a.low - b.high, a.high - b.low);
    case ScalarOp::mul: return multiplied(a, b);
    case ScalarOp::div: return divided(a, b);
    case ScalarOp::mod: return remainder(a, b);
    case ScalarOp::min: return {std::min(a.low, b.low), std::min(a.high, b.high)};
    case ScalarOp::max: return {std::max(a.low, b.low), std::max(a.high, b.high)};
    default: return kUnknown;
  }
}

Known float_result(ScalarOp op, const Known& a, const Known& b) {
  constexpr float kMasked = -std::numeric_limits<float>::infinity();
  if (op == ScalarOp::min && b.is_number && b.number == kMasked) return b;  // a < b ? a : b
  if (!a.is_number || (argument_count(op) > 1 && !b.is_number)) return kUnknown;
  switch (op) {
    case ScalarOp::neg: return number(-a.number);
    case ScalarOp::abs: return number(std::fabs(a.number));
    case ScalarOp::add: return number(a.number + b.number);
    case ScalarOp::sub: return number(a.number - b.number);
    case ScalarOp::mul: return number(a.number * b.number);
    case ScalarOp::min: return a.number < b.number ? a : b;
    case ScalarOp::max: return a.number > b.number ? a : b;
    default: return kUnknown;
  }
}

Known selected(Element type, const Known& condition, const Known& yes, const Known& no) {
  if (condition.single()) return condition.low != 0 ? yes : no;
  if (type != Element::f32) return {std::min(yes.low, no.low), std::max(yes.high, no.high)};
  return yes.is_number && no.is_number && yes.number == no.number ? yes : kUnknown;
}

Known converted(const Known& a, Element from, Element to) {
  if (from == to) return a;
  if (from == Element::f32) return to == Element::bool8 ? kUndecided : kUnknown;
  if (to == Element::i32) return a;
  if (to == Element::f32) return a.single() ? number(static_cast<float>(a.low)) : kUnknown;
  return a.low > 0 || a.high < 0 ? boolean(true) : a.single() ? boolean(false) : kUndecided;
}

bool compares(ScalarOp op) { return op >= ScalarOp::eq && op <= ScalarOp::ge; }

bool is_never(const ScalarInstr& instr) {
  return instr.op == ScalarOp::constant && instr.type == Element::f32 && std::isinf(instr.imm_f) && instr.imm_f < 0;
}

// What is known of each instruction. `source_of`: by instruction, which of the ranges it is, or -1.
void follow(std::span<const ScalarInstr> code, std::span<const int> source_of, std::span<const IntRange> ranges,
            Known* known) {
  for (size_t i = 0; i < code.size(); ++i) {
    const ScalarInstr& instr = code[i];
    const Known &a = known[instr.a], &b = known[instr.b];
    const Element argument = code[instr.a].type;
    if (instr.op == ScalarOp::constant) {
      known[i] = instr.type == Element::f32 ? number(instr.imm_f) : Known{instr.imm, instr.imm};
    } else if (source_of[i] >= 0) {
      const IntRange& range = ranges[static_cast<size_t>(source_of[i])];
      known[i] = {range.low, range.high};
    } else if (argument_count(instr.op) == 0 || instr.op == ScalarOp::lookup) {
      known[i] = instr.type == Element::bool8 ? kUndecided : kUnknown;
    } else if (instr.op == ScalarOp::cast) {
      known[i] = converted(a, argument, instr.type);
    } else if (instr.op == ScalarOp::select) {
      known[i] = selected(instr.type, a, b, known[instr.c]);
    } else if (instr.op == ScalarOp::logical_not) {
      known[i] = {1 - a.high, 1 - a.low};
    } else if (instr.op == ScalarOp::logical_and) {
      known[i] = {std::min(a.low, b.low), std::min(a.high, b.high)};
    } else if (instr.op == ScalarOp::logical_or) {
      known[i] = {std::max(a.low, b.low), std::max(a.high, b.high)};
    } else if (compares(instr.op)) {
      known[i] = argument == Element::f32 ? kUndecided : compared(instr.op, a, b);
    } else {
      known[i] = argument == Element::f32 ? float_result(instr.op, a, b) : int_result(instr.op, a, b);
    }
  }
}

}  // namespace

MaskAnalysis::MaskAnalysis(const ScalarProgram& program) {
  if (program.empty() || program.code.size() > kMaxInstructions) return;
  code_ = program.code;
  source_of_.assign(code_.size(), -1);
  std::vector<bool> needed(code_.size(), false);
  needed.back() = true;
  for (size_t i = code_.size(); i-- > 0;) {
    const ScalarInstr& instr = code_[i];
    if (!needed[i]) continue;
    const uint16_t arguments[] = {instr.a, instr.b, instr.c};
    for (int j = 0; j < argument_count(instr.op); ++j) needed[arguments[j]] = true;
    can_mask_ = can_mask_ || (instr.type == Element::f32 && instr.op == ScalarOp::constant && std::isinf(instr.imm_f));
  }
  for (size_t i = 0; i < code_.size(); ++i) {
    if (!needed[i] || code_[i].op == ScalarOp::constant || argument_count(code_[i].op) > 0) continue;
    if (code_[i].type != Element::i32) continue;
    source_of_[i] = static_cast<int>(sources_.size());
    sources_.push_back(code_[i]);
  }
}

bool MaskAnalysis::always_masked(std::span<const IntRange> ranges) const {
  if (!can_mask_) return false;
  std::array<Known, kMaxInstructions> known;
  follow(code_, source_of_, ranges, known.data());
  const Known& score = known[code_.size() - 1];
  return score.is_number && std::isinf(score.number) && score.number < 0;
}

std::optional<uint16_t> MaskAnalysis::unmasked() const {
  if (code_.empty() || code_.back().op != ScalarOp::select || code_.back().type != Element::f32) return std::nullopt;
  const ScalarInstr& choice = code_.back();
  if (is_never(code_[choice.c])) return choice.b;
  return is_never(code_[choice.b]) ? std::optional(choice.c) : std::nullopt;
}

bool MaskAnalysis::never_masked(std::span<const IntRange> ranges) const {
  if (!unmasked()) return false;
  std::array<Known, kMaxInstructions> known;
  follow(code_, source_of_, ranges, known.data());
  const ScalarInstr& choice = code_.back();
  const Known& condition = known[choice.a];
  return condition.single() && (condition.low != 0 ? choice.b : choice.c) == *unmasked();
}

}  // namespace weft
