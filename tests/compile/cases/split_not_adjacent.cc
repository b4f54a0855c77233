// Splitting an axis that only a merge of axes apart would give: Group and HeadDim stand the other way round.
// expect: merge | axes_are_not_adjacent<HeadDim, Group> | Pos, Group, HeadDim
#include "common.h"

auto wrong_or_right(Value<f32, Pos, Embed> x) {
#ifdef WRONG
  return materialize(merge<HeadDim, Group, Embed>(split<Embed, Group, HeadDim>(x)));
#else
  return materialize(merge<Group, HeadDim, Embed>(split<Embed, Group, HeadDim>(x)));
#endif
}
