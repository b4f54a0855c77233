// A norm over what a recurrence gives: that takes a second step.
// expect: norm | operand_is_a_scan | put_materialize_around_the_operand
#include "common.h"

struct StateDim : axis<"state_dim"> {};

auto wrong_or_right(State<KvHead, StateDim, HeadDim> state, Value<f32, Pos, KvHead, StateDim> q,
                    Value<f32, Pos, KvHead, HeadDim> v, Weight<HeadDim> w) {
#ifdef WRONG
  return materialize(rms_norm<HeadDim>(scan(state, q, q, v), w, 1e-6f));
#else
  return materialize(rms_norm<HeadDim>(materialize(scan(state, q, q, v)), w, 1e-6f));
#endif
}
