// A projection inside a recurrence: that is a step of its own.
// expect: scan | value_operand | operand_is_an_expression | put_materialize_around_the_operand | Pos, KvHead, HeadDim
#include "common.h"

struct StateDim : axis<"state_dim"> {};

auto wrong_or_right(State<KvHead, StateDim, HeadDim> state, Value<f32, Pos, KvHead, StateDim> q,
                    Value<f32, Pos, Embed> x, Weight<KvHead, HeadDim, Embed> wv) {
#ifdef WRONG
  return materialize(scan(state, q, q, contract<Embed>(x, wv)));
#else
  return materialize(scan(state, q, q, materialize(contract<Embed>(x, wv))));
#endif
}
