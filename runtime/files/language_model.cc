#include "runtime/files/language_model.h"

#include "core/error.h"

namespace weft {

void check_model(const LanguageModel& model) {
  if (model.graph == nullptr) throw Error("the language model has no value: it was default-constructed");
  const GraphRecord& graph = *model.graph;
  const auto misses = [](const char* what) {
    throw Error(std::string("the language model does not say which ") + what + " of its graph");
  };
  for (const ValueId input : {model.tokens, model.position, model.sequence, model.slots, model.last}) {
    if (input != kNoValue && input >= graph.values.size()) misses("values are inputs");
  }
  if (model.logits >= graph.values.size()) misses("value is the logits");
  if (model.pos_axis >= graph.axes.size() || model.rows_axis >= graph.axes.size())
    misses("axes are the tokens and rows");
}

}  // namespace weft
