// rename between fixed extents that disagree.
// expect: rename | fixed_extent_of<Half, 32> | fixed_extent_of<Whole, 64> | extents_disagree
#include "common.h"

auto wrong_or_right(Value<f32, Pos, Half> x) {
#ifdef WRONG
  return materialize(rename<Half, Whole>(x) + 1.0f);
#else
  return materialize(rename<Half, Embed>(x) + 1.0f);
#endif
}
