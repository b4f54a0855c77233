// Merging axes that are not adjacent, or stand in the other order.
// expect: merge | axes_are_not_adjacent<KvHead, HeadDim> | Pos, KvHead, Group, HeadDim
#include "common.h"

auto wrong_or_right(Value<f32, Pos, KvHead, Group, HeadDim> x) {
#ifdef WRONG
  return materialize(merge<KvHead, HeadDim, Embed>(x) * 2.0f);
#else
  return materialize(merge<KvHead, Group, Embed>(x) * 2.0f);
#endif
}
