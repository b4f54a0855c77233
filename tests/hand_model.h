// A language model of a graph that a test records by hand.
#pragma once

#include <utility>
#include <vector>

#include "core/expr/batch.h"
#include "runtime/files/language_model.h"

namespace weft::test {

// `rows`: what stands for the logits, `width` numbers a row.
template <Axis... A>
LanguageModel hand_model(Graph& graph, const Batch& batch, const Value<f32, Seq, A...>& rows, int64_t width,
                         int64_t context, std::vector<int32_t> windows = {}) {
  graph.result(rows);
  LanguageModel model;
  model.architecture = "by hand";
  model.graph = graph.record();
  model.tokens = batch.tokens.id(), model.position = batch.pos.id(), model.sequence = batch.seq.id();
  model.slots = batch.slots.id(), model.last = batch.last.id(), model.logits = rows.id();
  model.pos_axis = graph.axis<Pos>(), model.rows_axis = graph.axis<Seq>();
  model.vocab = width, model.context_length = context;
  model.windows = std::move(windows);
  return model;
}

}  // namespace weft::test
