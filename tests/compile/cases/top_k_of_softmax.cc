// A router's softmax over a contraction needs a step of its own: the advice names the contraction, and what is taken
// apart afterwards adds no second error.
// expect: top_k | operand_is_a_softmax_of_a_contraction | put_materialize_around_what_softmax_takes | Pos, Expert
#include "common.h"

struct Expert : axis<"expert"> {};
struct Choice : axis<"choice"> {};

auto wrong_or_right(Value<f32, Pos, Embed> x, Weight<Expert, Embed> router) {
#ifdef WRONG
  auto [p, ids] = materialize(top_k<Expert, Choice>(softmax<Expert>(contract<Embed>(x, router)), 2));
#else
  auto [p, ids] = materialize(top_k<Expert, Choice>(softmax<Expert>(materialize(contract<Embed>(x, router))), 2));
#endif
  return materialize(p * 2.0f);
}
