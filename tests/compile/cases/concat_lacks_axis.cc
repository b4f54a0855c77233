// What is put together has the same axes but for the parts.
// expect: concat | right_operand_lacks<KvHead>
#include "common.h"

struct Nope : axis<"nope"> {};
struct Rope : axis<"rope"> {};

auto wrong_or_right(Value<f32, Pos, KvHead, Nope> x, Value<f32, Pos, Rope> shared, Value<f32, Pos, KvHead, Rope> y) {
#ifdef WRONG
  return materialize(concat<Nope, Rope, HeadDim>(x, shared));
#else
  return materialize(concat<Nope, Rope, HeadDim>(x, y));
#endif
}
