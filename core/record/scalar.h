// Scalar IR: what a map, an epilogue, a prologue or a score computes for one element.
//
// A program is a list of instructions in single-assignment form; an instruction's arguments are the indices of
// earlier ones. Backends run it over whole tiles (CPU) or render it as source (OpenCL); `evaluate` is the plain
// definition that both are checked against.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

namespace weft {

enum class Element : uint8_t { f32, i32, bool8 };
std::string_view name(Element element);

// Semantics that are easy to get wrong are pinned here, and hold on every backend:
//  - f32 arithmetic is IEEE; exp, log, tanh ... within 4 ulp or 1e-6 absolute, whichever is larger.
//  - log1p is log(1 + x), softplus log(1 + e^x) without overflow: x for large x, e^x for small ones.
//  - min(a, b) is a < b ? a : b, max(a, b) is a > b ? a : b (so the second argument wins against a NaN).
//  - i32 add, sub, mul, neg wrap. i32 div truncates, mod has the sign of the dividend; by zero both give 0.
//  - f32 -> i32 truncates and saturates, NaN gives 0. To bool: x != 0. bool -> f32 or i32: 0 or 1.
//  - comparisons of a NaN are false, except `ne`.
enum class ScalarOp : uint8_t {
  // Sources. `imm` is the index of what is read.
  constant,     // f32: imm_f; i32, bool8: imm
  load,         // element of operand `imm` at the current coordinates
  index,        // i32: the current coordinate on axis `imm` (an AxisId)
  extent,       // i32: the extent of axis `imm` in this run
  reduction,    // result of reduction `imm` of the same source
  contraction,  // result of contraction `imm` of the same region
  rotated,      // post programs only: the value after the rotation
  // One argument.
  neg,
  abs,
  exp,
  log,
  log1p,
  sqrt,
  rsqrt,
  tanh,
  sigmoid,
  softplus,
  erf,
  sin,
  cos,
  floor,
  logical_not,
  cast,
  // Two arguments (of one type; comparisons and logic give bool8).
  add,
  sub,
  mul,
  div,
  mod,
  min,
  max,
  pow,
  eq,
  ne,
  lt,
  le,
  gt,
  ge,
  logical_and,
  logical_or,
  // Three: a (bool8) ? b : c.
  select,
  // One, an i32: element of operand `imm`, whose view looks up one axis (ViewAxis): the one at coordinate a there, 0
  // where a is outside its extent.
  lookup,
};
inline constexpr int kScalarOpCount = static_cast<int>(ScalarOp::lookup) + 1;
std::string_view name(ScalarOp op);
int argument_count(ScalarOp op);

struct ScalarInstr {
  ScalarOp op;
  Element type;  // of the result
  uint16_t a = 0, b = 0, c = 0;
  int32_t imm = 0;
  float imm_f = 0;
  bool operator==(const ScalarInstr&) const = default;
};

// The result is the last instruction. An empty program means "nothing to do" where that is allowed.
struct ScalarProgram {
  std::vector<ScalarInstr> code;

  bool empty() const { return code.empty(); }
  uint16_t result() const { return static_cast<uint16_t>(code.size() - 1); }
  Element type() const { return code.back().type; }
  bool operator==(const ScalarProgram&) const = default;

  // Appends, reusing an equal earlier instruction; returns its index.
  uint16_t add(ScalarInstr instr);
};

// A scalar while a program is evaluated: f for f32 (as double, so that this can serve as a reference), i for i32,
// bool.
struct ScalarValue {
  double f = 0;
  int32_t i = 0;
};

// The plain definition of a program. `source` supplies the value of a source instruction (all except `constant`),
// `table` that of a lookup, given its argument.
ScalarValue evaluate(const ScalarProgram& program, const std::function<ScalarValue(const ScalarInstr&)>& source,
                     const std::function<ScalarValue(const ScalarInstr&, int32_t)>& table = nullptr);

// One line per instruction, as plans and failing tests print it: "%2 = add f32 %0 %1".
std::string to_string(const ScalarProgram& program);

}  // namespace weft
