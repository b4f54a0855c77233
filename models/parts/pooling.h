// One vector for a sequence of tokens (Reimers & Gurevych 2019, arXiv:1908.10084, section 3). For models that read all
// tokens of a sequence in one step: LanguageModel::bidirectional. Rows are those of batch.last. A is what x
// has besides Pos; `name` is that of the step.
#pragma once

#include <string>

#include "models/axes.h"
#include "ops/ops.h"

namespace weft {

// Where the sequences of the rows begin: coordinates on Pos.
inline Positions<Seq> first_tokens(const Batch& batch) {
  const auto first = materialize(batch.last - at<Pos>(batch.pos, batch.last), "first_tokens");
  return {first.recorder(), first.id()};
}

// The mean over the tokens of a row's sequence, up to the row's own. Tokens of other sequences take no part, whatever
// they hold.
template <class... A>
Value<f32, Seq, A...> mean_pooled(const Value<f32, Pos, A...>& x, const Batch& batch, const std::string& name = {}) {
  const Positions<Seq> first = first_tokens(batch), last(batch.last.recorder(), batch.last.id());
  const auto own = index<Pos>() >= first && index<Pos>() <= last;
  const auto count = cast<f32>(last - first + 1);
  return materialize<Seq, A...>(sum<Pos>(where(own, x, 0.0f)) / count, name);
}

// The first token's vector ("CLS").
template <class... A>
Value<f32, Seq, A...> first_pooled(const Value<f32, Pos, A...>& x, const Batch& batch, const std::string& name = {}) {
  return materialize(at<Pos>(x, first_tokens(batch)), name);
}

// The vector of the row's token: of the last one.
template <class... A>
Value<f32, Seq, A...> last_pooled(const Value<f32, Pos, A...>& x, const Batch& batch, const std::string& name = {}) {
  return materialize(at<Pos>(x, batch.last), name);
}

}  // namespace weft
