// A language model of a graph that a test records by hand.
#pragma once

#include <utility>
#include <vector>

#include "core/expr/batch.h"
#include "runtime/files/language_model.h"

namespace weft::test {

// Without logits; ids of tokens are below `vocab`.
inline LanguageModel hand_model(Graph& graph, const Batch& batch, int64_t vocab, int64_t context) {
  LanguageModel model;
  model.architecture = "by hand";
  model.graph = graph.record();
  model.tokens = batch.tokens.id(), model.position = batch.pos.id(), model.sequence = batch.seq.id();
  model.slots = batch.slots.id(), model.last = batch.last.id();
  model.pos_axis = graph.axis<Pos>(), model.rows_axis = graph.axis<Seq>();
  model.vocab = vocab, model.context_length = context;
  return model;
}

// `rows`: what stands for the logits, `width` numbers a row.
template <Axis... A>
LanguageModel hand_model(Graph& graph, const Batch& batch, const Value<f32, Seq, A...>& rows, int64_t width,
                         int64_t context, std::vector<int32_t> windows = {}) {
  graph.result(rows);
  LanguageModel model = hand_model(graph, batch, width, context);
  model.logits = rows.id();
  model.windows = std::move(windows);
  return model;
}

}  // namespace weft::test
