// A convolution whose taps are of other channels than its input.
// expect: causal_conv | taps_operand | extra_axes<Hidden>
#include "common.h"

struct Tap : axis<"tap"> {};

auto wrong_or_right(State<Tap, Embed> past, Value<f32, Pos, Embed> x, Weight<Hidden, Tap> other, Weight<Embed, Tap> w) {
#ifdef WRONG
  return materialize(causal_conv(past, x, other));
#else
  return materialize(causal_conv(past, x, w));
#endif
}
