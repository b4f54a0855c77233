// Keys of a recurrence that have the columns' axis, as values do.
// expect: scan | key_operand | operand_lacks<StateDim> | Pos, KvHead, HeadDim
#include "common.h"

struct StateDim : axis<"state_dim"> {};

auto wrong_or_right(State<KvHead, StateDim, HeadDim> state, Value<f32, Pos, KvHead, StateDim> q,
                    Value<f32, Pos, KvHead, StateDim> k, Value<f32, Pos, KvHead, HeadDim> v) {
#ifdef WRONG
  return materialize(scan(state, q, v, k));
#else
  return materialize(scan(state, q, k, v));
#endif
}
