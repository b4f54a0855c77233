// One step normalizes along one axis.
// expect: norm | reduced_along<KvHead> | operand_is_a_norm | reduced_along<HeadDim> | put_materialize_around_the_operand
#include "common.h"

auto wrong_or_right(Value<f32, Pos, Embed> x, Weight<KvHead, HeadDim, Embed> w, Weight<HeadDim> scale) {
  const auto heads = rms_norm<HeadDim>(contract<Embed>(x, w), scale, 1e-5f);
#ifdef WRONG
  return materialize(rms_norm<KvHead>(heads, 1e-5f));
#else
  return materialize(rms_norm<KvHead>(materialize(heads), 1e-5f));
#endif
}
