// Another order must name the value's own axes.
// expect: materialize | order_has_other_axes_than_the_value | it_has<Hidden, Pos> | Pos, Embed
#include "common.h"

auto wrong_or_right(Value<f32, Pos, Embed> x) {
#ifdef WRONG
  return materialize<Hidden, Pos>(x + 1.0f);
#else
  return materialize<Embed, Pos>(x + 1.0f);
#endif
}
