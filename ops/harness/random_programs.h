// Random scalar programs with a bound of the error that a correct f32 evaluation may make: what generated steps
// are made of. A program stays where f32 and double agree: what jumps (floor, comparisons, casts to i32) sees only
// values that are exact in both.
#pragma once

#include <cstdint>
#include <functional>
#include <vector>

#include "ops/harness/scalar_builder.h"

namespace weft {

class Random {
 public:
  explicit Random(uint64_t seed) : state_(seed) {}
  uint64_t next();
  int64_t below(int64_t bound) { return static_cast<int64_t>(next() % static_cast<uint64_t>(bound)); }
  bool chance(double probability) { return uniform() < probability; }
  double uniform() { return static_cast<double>(next() >> 11) * 0x1p-53; }
  double uniform(double low, double high) { return low + (high - low) * uniform(); }
  template <class T>
  const T& pick(const std::vector<T>& items) {
    return items[static_cast<size_t>(below(static_cast<int64_t>(items.size())))];
  }
  template <class T>
  void shuffle(std::vector<T>& items) {
    for (size_t i = items.size(); i > 1; --i)
      std::swap(items[i - 1], items[static_cast<size_t>(below(static_cast<int64_t>(i)))]);
  }

 private:
  uint64_t state_;
};

// An f32 scalar of magnitude at most `bound`; f32 and double evaluations differ by at most `error`.
struct Number {
  Scalar scalar;
  double bound = 1;
  double error = 0;
  bool exact() const { return error == 0; }
};

// First-order error bounds: each op rounds once (2^-24 relative; exp, sin ... 4 ulp or 1e-6).
Number add(const Number& a, const Number& b);
Number sub(const Number& a, const Number& b);
Number mul(const Number& a, const Number& b);
Number scaled(const Number& a, float factor);
Number shifted(const Number& a, float offset);
Number exp(const Number& a);
// The value passed through a continuous function with slope at most `slope` and values at most `bound`.
Number smooth(ScalarOp op, const Number& a, double slope, double bound);

// Where a program's leaves come from: an exact f32, i32 or bool8 operand over some of the program's axes.
struct Leaves {
  std::function<Number(ScalarBuilder&)> f32;
  std::function<Scalar(ScalarBuilder&)> i32;
  std::function<Scalar(ScalarBuilder&)> bool8;
  std::vector<AxisId> axes;   // of the program: for coordinates
  std::vector<Number> given;  // results that the program may use: contractions, reductions
};

// Random trees of at most `depth` levels. Errors and bounds stay small: a node that would exceed them is replaced.
Number random_number(Random& random, ScalarBuilder& builder, const Leaves& leaves, int depth);
Scalar random_integer(Random& random, ScalarBuilder& builder, const Leaves& leaves, int depth);
Scalar random_condition(Random& random, ScalarBuilder& builder, const Leaves& leaves, int depth);

}  // namespace weft
