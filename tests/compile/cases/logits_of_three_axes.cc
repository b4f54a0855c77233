// A model's logits are rows of a vocabulary.
// expect: model | wanted_rows_and_vocabulary | found<Value<float, Seq, Head, Vocab>>
#include "common.h"
#include "runtime/files/model_config.h"

struct Head : axis<"head"> {};

LanguageModel wrong_or_right(const ModelConfig& config, Graph& graph, const Batch& batch,
                             Value<f32, Seq, Head, Vocab> heads, Value<f32, Seq, Vocab> logits) {
#ifdef WRONG
  return config.model(graph, batch, heads);
#else
  return config.model(graph, batch, logits);
#endif
}
