// Scalar programs written as expressions, for case tables, tests and generated cases:
//   ScalarBuilder s;
//   const Scalar x = s.load(0);
//   ScalarProgram silu = s.finish(x * sigmoid(x));
#pragma once

#include <concepts>
#include <cstdint>
#include <memory>

#include "core/record/graph.h"
#include "core/record/scalar.h"

namespace weft {

// One instruction of the program under construction. Scalars of two builders must not meet.
struct Scalar {
  std::shared_ptr<ScalarProgram> program;
  uint16_t at = 0;

  Element type() const { return program->code[at].type; }
};

class ScalarBuilder {
 public:
  Scalar load(int operand, Element type = Element::f32) { return source(ScalarOp::load, type, operand); }
  Scalar index(AxisId axis) { return source(ScalarOp::index, Element::i32, axis); }
  Scalar extent(AxisId axis) { return source(ScalarOp::extent, Element::i32, axis); }
  Scalar lookup(int operand, const Scalar& at, Element type = Element::f32);
  Scalar reduction(int reduction, Element type = Element::f32) { return source(ScalarOp::reduction, type, reduction); }
  Scalar contraction(int contraction = 0) { return source(ScalarOp::contraction, Element::f32, contraction); }
  Scalar rotated() { return source(ScalarOp::rotated, Element::f32, 0); }
  Scalar constant(float value);
  Scalar constant(int32_t value);
  Scalar constant(bool value);

  // The program whose last instruction is `result`, without what it does not need. May be called more than once.
  ScalarProgram finish(const Scalar& result) const;

 private:
  Scalar source(ScalarOp op, Element type, int32_t imm);

  std::shared_ptr<ScalarProgram> program_ = std::make_shared<ScalarProgram>();
};

// One instruction over earlier ones; the result's type follows from the op (bool8 for comparisons and logic).
Scalar apply(ScalarOp op, const Scalar& a);
Scalar apply(ScalarOp op, const Scalar& a, const Scalar& b);
Scalar where(const Scalar& condition, const Scalar& yes, const Scalar& no);
Scalar cast(const Scalar& a, Element type);
// A constant of the type of `like` in its program.
Scalar constant_like(const Scalar& like, double value);

inline Scalar operator-(const Scalar& a) { return apply(ScalarOp::neg, a); }
inline Scalar operator!(const Scalar& a) { return apply(ScalarOp::logical_not, a); }
inline Scalar abs(const Scalar& a) { return apply(ScalarOp::abs, a); }
inline Scalar exp(const Scalar& a) { return apply(ScalarOp::exp, a); }
inline Scalar log(const Scalar& a) { return apply(ScalarOp::log, a); }
inline Scalar log1p(const Scalar& a) { return apply(ScalarOp::log1p, a); }
inline Scalar sqrt(const Scalar& a) { return apply(ScalarOp::sqrt, a); }
inline Scalar rsqrt(const Scalar& a) { return apply(ScalarOp::rsqrt, a); }
inline Scalar tanh(const Scalar& a) { return apply(ScalarOp::tanh, a); }
inline Scalar sigmoid(const Scalar& a) { return apply(ScalarOp::sigmoid, a); }
inline Scalar softplus(const Scalar& a) { return apply(ScalarOp::softplus, a); }
inline Scalar erf(const Scalar& a) { return apply(ScalarOp::erf, a); }
inline Scalar sin(const Scalar& a) { return apply(ScalarOp::sin, a); }
inline Scalar cos(const Scalar& a) { return apply(ScalarOp::cos, a); }
inline Scalar floor(const Scalar& a) { return apply(ScalarOp::floor, a); }

// Binary forms, with a number on either side.
#define WEFT_SCALAR_BINARY(function, op)                                                         \
  inline Scalar function(const Scalar& a, const Scalar& b) { return apply(ScalarOp::op, a, b); } \
  template <class Number>                                                                        \
    requires std::is_arithmetic_v<Number>                                                        \
  Scalar function(const Scalar& a, Number b) {                                                   \
    return apply(ScalarOp::op, a, constant_like(a, static_cast<double>(b)));                     \
  }                                                                                              \
  template <class Number>                                                                        \
    requires std::is_arithmetic_v<Number>                                                        \
  Scalar function(Number a, const Scalar& b) {                                                   \
    return apply(ScalarOp::op, constant_like(b, static_cast<double>(a)), b);                     \
  }
WEFT_SCALAR_BINARY(operator+, add)
WEFT_SCALAR_BINARY(operator-, sub)
WEFT_SCALAR_BINARY(operator*, mul)
WEFT_SCALAR_BINARY(operator/, div)
WEFT_SCALAR_BINARY(operator%, mod)
WEFT_SCALAR_BINARY(operator==, eq)
WEFT_SCALAR_BINARY(operator!=, ne)
WEFT_SCALAR_BINARY(operator<, lt)
WEFT_SCALAR_BINARY(operator<=, le)
WEFT_SCALAR_BINARY(operator>, gt)
WEFT_SCALAR_BINARY(operator>=, ge)
WEFT_SCALAR_BINARY(minimum, min)
WEFT_SCALAR_BINARY(maximum, max)
WEFT_SCALAR_BINARY(pow, pow)
#undef WEFT_SCALAR_BINARY

inline Scalar operator&&(const Scalar& a, const Scalar& b) { return apply(ScalarOp::logical_and, a, b); }
inline Scalar operator||(const Scalar& a, const Scalar& b) { return apply(ScalarOp::logical_or, a, b); }

}  // namespace weft
