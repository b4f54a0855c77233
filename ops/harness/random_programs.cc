#include "ops/harness/random_programs.h"

#include <algorithm>
#include <cmath>
#include <limits>

namespace weft {
namespace {

constexpr double kRounding = 0x1p-24;
constexpr double kMaxBound = 100;
constexpr double kMaxError = 5e-4;

// 4 ulp, or 1e-6 where that is more, of a value of at most `bound`.
double function_error(double bound) { return std::max(4 * 2 * kRounding * bound, 1e-6); }

Number rounded(Scalar scalar, double bound, double error) {
  return {std::move(scalar), bound, error + kRounding * bound};
}

// An exact leaf: an operand, a constant, a coordinate.
Number leaf(Random& random, ScalarBuilder& s, const Leaves& leaves) {
  switch (random.below(8)) {
    case 0: {
      const auto value = static_cast<float>(random.below(17) - 8) / 4.0f;
      return {s.constant(value), std::fabs(static_cast<double>(value)), 0};
    }
    case 1:
      if (!leaves.axes.empty()) {
        const Scalar coordinate = s.index(random.pick(leaves.axes));
        return {cast(coordinate % static_cast<int>(2 + random.below(7)), Element::f32), 8, 0};
      }
      break;
    case 2: {
      const Scalar integer = random_integer(random, s, leaves, 1);
      return {cast(integer % static_cast<int>(3 + random.below(5)), Element::f32), 7, 0};
    }
    case 3:
      if (random.chance(0.3)) return {cast(random_condition(random, s, leaves, 1), Element::f32), 1, 0};
      break;
    default: break;
  }
  return leaves.f32(s);
}

// A step function of an exact leaf.
Number stepped(Random& random, ScalarBuilder& s, const Leaves& leaves) {
  const Number x = leaf(random, s, leaves);
  switch (random.below(3)) {
    case 0: return {floor(x.scalar), x.bound + 1, 0};
    case 1: {  // an infinity saturates, and 2^31 - 1 is not an f32
      const Scalar truncated = cast(x.scalar, Element::i32) % 1000;
      return {cast(truncated, Element::f32), x.bound, 0};
    }
    default: {
      const double divisor = random.chance(0.5) ? 0.5 : -2.0;  // powers of two: the remainder is exact
      return {x.scalar % divisor, 2, 0};
    }
  }
}

Number unary(Random& random, const Number& x) {
  switch (random.below(15)) {
    case 0: return {-x.scalar, x.bound, x.error};
    case 1: return {abs(x.scalar), x.bound, x.error};
    case 2: return exp(x.bound <= 4 ? x : smooth(ScalarOp::tanh, x, 1, 1));
    case 3:
      return smooth(ScalarOp::log, shifted({abs(x.scalar), x.bound, x.error}, 0.5f), 2, std::log(x.bound + 2) + 1);
    case 4:
      return smooth(ScalarOp::sqrt, shifted({abs(x.scalar), x.bound, x.error}, 0.25f), 1, std::sqrt(x.bound + 0.25));
    case 5: return smooth(ScalarOp::rsqrt, shifted({abs(x.scalar), x.bound, x.error}, 0.25f), 4, 2);
    case 6: return smooth(ScalarOp::tanh, x, 1, 1);
    case 7: return smooth(ScalarOp::sigmoid, x, 0.25, 1);
    case 8: return smooth(ScalarOp::sin, x, 1, 1);
    case 9: return smooth(ScalarOp::cos, x, 1, 1);
    case 10: return smooth(ScalarOp::erf, x, 1.13, 1);
    case 11: return smooth(ScalarOp::softplus, x, 1, x.bound + 1);
    case 12:
      return smooth(ScalarOp::log1p, shifted({abs(x.scalar), x.bound, x.error}, -0.5f), 2, std::log(x.bound + 2) + 1);
    case 13: return scaled(x, static_cast<float>(random.uniform(-2, 2)));
    default: return shifted(x, static_cast<float>(random.uniform(-2, 2)));
  }
}

Number binary(Random& random, ScalarBuilder& s, const Leaves& leaves, const Number& a, const Number& b) {
  switch (random.below(9)) {
    case 0: return add(a, b);
    case 1: return sub(a, b);
    case 2:
    case 3: return mul(a, b);
    case 4: {  // a / (|b| + 1)
      const Scalar divisor = abs(b.scalar) + 1.0f;
      const double error = a.error + a.bound * (b.error + kRounding * (b.bound + 1));
      return rounded(a.scalar / divisor, a.bound, error);
    }
    case 5: return {minimum(a.scalar, b.scalar), std::max(a.bound, b.bound), std::max(a.error, b.error)};
    case 6: return {maximum(a.scalar, b.scalar), std::max(a.bound, b.bound), std::max(a.error, b.error)};
    case 7: {  // (|tanh a| + 0.5) ^ tanh(b): base in [0.5, 1.5], exponent in [-1, 1]
      const Number base = smooth(ScalarOp::tanh, a, 1, 1), exponent = smooth(ScalarOp::tanh, b, 1, 1);
      const Scalar power = pow(abs(base.scalar) + 0.5f, exponent.scalar);
      return {power, 2, 4 * (base.error + kRounding * 2) + 2 * exponent.error + function_error(2)};
    }
    default: {
      const Scalar chosen = where(random_condition(random, s, leaves, 1), a.scalar, b.scalar);
      return {chosen, std::max(a.bound, b.bound), std::max(a.error, b.error)};
    }
  }
}

}  // namespace

uint64_t Random::next() {  // splitmix64 (Steele et al. 2014)
  uint64_t z = (state_ += 0x9e3779b97f4a7c15u);
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
  z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
  return z ^ (z >> 31);
}

Number add(const Number& a, const Number& b) {
  return rounded(a.scalar + b.scalar, a.bound + b.bound, a.error + b.error);
}

Number sub(const Number& a, const Number& b) {
  return rounded(a.scalar - b.scalar, a.bound + b.bound, a.error + b.error);
}

Number mul(const Number& a, const Number& b) {
  return rounded(a.scalar * b.scalar, a.bound * b.bound, a.bound * b.error + b.bound * a.error);
}

Number scaled(const Number& a, float factor) {
  const double f = std::fabs(static_cast<double>(factor));
  return rounded(a.scalar * factor, a.bound * f, a.error * f);
}

Number shifted(const Number& a, float offset) {
  return rounded(a.scalar + offset, a.bound + std::fabs(static_cast<double>(offset)), a.error);
}

Number exp(const Number& a) {
  const double bound = std::exp(a.bound);
  return {exp(a.scalar), bound, bound * a.error + function_error(bound)};
}

Number smooth(ScalarOp op, const Number& a, double slope, double bound) {
  return {apply(op, a.scalar), bound, slope * a.error + function_error(bound)};
}

Number random_number(Random& random, ScalarBuilder& s, const Leaves& leaves, int depth) {
  if (depth == 0 || random.chance(0.1)) {
    if (!leaves.given.empty() && random.chance(0.7)) return random.pick(leaves.given);
    return random.chance(0.1) ? stepped(random, s, leaves) : leaf(random, s, leaves);
  }
  const Number a = random_number(random, s, leaves, depth - 1);
  Number result;
  if (random.chance(0.45)) {
    result = unary(random, a);
  } else {
    const Number b = random_number(random, s, leaves, depth - 1);
    result = binary(random, s, leaves, a, b);
  }
  if (result.bound <= kMaxBound && result.error <= kMaxError) return result;
  return smooth(ScalarOp::tanh, a, 1, 1);
}

Scalar random_integer(Random& random, ScalarBuilder& s, const Leaves& leaves, int depth) {
  if (depth == 0 || random.chance(0.15)) {
    switch (random.below(4)) {
      case 0:
        if (!leaves.axes.empty()) {
          const AxisId axis = random.pick(leaves.axes);
          return random.chance(0.2) ? s.extent(axis) : s.index(axis);
        }
        break;
      case 1: {
        constexpr int32_t kConstants[] = {
            0, 1, -1, 7, 65537, std::numeric_limits<int32_t>::max(), std::numeric_limits<int32_t>::min()};
        return s.constant(kConstants[random.below(7)]);
      }
      case 2:
        if (random.chance(0.3)) return cast(random_condition(random, s, leaves, 0), Element::i32);
        break;
      default: break;
    }
    return leaves.i32(s);
  }
  const Scalar a = random_integer(random, s, leaves, depth - 1);
  if (random.chance(0.2)) return random.chance(0.5) ? -a : abs(a);
  const Scalar b = random_integer(random, s, leaves, depth - 1);
  constexpr ScalarOp kOps[] = {ScalarOp::add, ScalarOp::sub, ScalarOp::mul, ScalarOp::div,
                               ScalarOp::mod, ScalarOp::min, ScalarOp::max};
  const int64_t which = random.below(8);
  if (which == 7) return where(random_condition(random, s, leaves, 0), a, b);
  return apply(kOps[which], a, b);
}

Scalar random_condition(Random& random, ScalarBuilder& s, const Leaves& leaves, int depth) {
  if (depth > 0 && random.chance(0.5)) {
    const Scalar a = random_condition(random, s, leaves, depth - 1);
    if (random.chance(0.25)) return !a;
    const Scalar b = random_condition(random, s, leaves, depth - 1);
    if (random.chance(0.2)) return random.chance(0.5) ? a == b : a != b;
    return random.chance(0.5) ? a && b : a || b;
  }
  if (random.chance(0.2)) return leaves.bool8(s);
  constexpr ScalarOp kOps[] = {ScalarOp::eq, ScalarOp::ne, ScalarOp::lt, ScalarOp::le, ScalarOp::gt, ScalarOp::ge};
  const ScalarOp op = kOps[random.below(6)];
  if (random.chance(0.5)) {
    const Scalar a = random_integer(random, s, leaves, depth);
    return apply(op, a, random_integer(random, s, leaves, 0));
  }
  const Scalar a = leaves.f32(s).scalar;
  if (random.chance(0.5)) return apply(op, a, s.constant(static_cast<float>(random.uniform(-1, 1))));
  return apply(op, a, leaves.f32(s).scalar);
}

}  // namespace weft
