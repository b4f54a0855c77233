// An operand of a custom op lacks the axis of its rows.
// expect: custom | axes_are_not_the_last_ones | Embed | it_has<Pos>
#include "common.h"

auto wrong_or_right(Value<f32, Pos, Embed> x, Value<f32, Embed> w, Value<f32, Pos> gain) {
#ifdef WRONG
  return materialize(custom<Embed>("clip", x, gain, 0.5f));
#else
  (void)gain;
  return materialize(custom<Embed>("clip", x, w, 0.5f));
#endif
}
