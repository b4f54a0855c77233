// split between fixed extents that disagree.
// expect: split | fixed_extent_of<Whole, 64> | fixed_extent_of<Third, 48> | extents_disagree
#include "common.h"

auto wrong_or_right(Value<f32, Pos, Whole> x) {
#ifdef WRONG
  return materialize(split<Whole, Group, Third>(x) + 1.0f);
#else
  return materialize(split<Whole, Group, Half>(x) + 1.0f);
#endif
}
