// The fixed extents of the parts do not add up.
// expect: concat | fixed_extent_of<Half, 32> | fixed_extent_of<Third, 48> | fixed_extent_of<Whole, 64> | extents_disagree
#include "common.h"

struct Sum : axis<"sum", 80> {};

auto wrong_or_right(Value<f32, Pos, Half> x, Value<f32, Pos, Third> y) {
#ifdef WRONG
  return materialize(concat<Half, Third, Whole>(x, y));
#else
  return materialize(concat<Half, Third, Sum>(x, y));
#endif
}
