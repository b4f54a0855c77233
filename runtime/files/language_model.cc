#include "runtime/files/language_model.h"

#include <algorithm>

#include "core/error.h"

namespace weft {

namespace {

std::string quoted(const std::string& text) { return "'" + text + "'"; }

// Throws Error unless `value` is one of `graph`, which `of` must be.
void check_value(const std::shared_ptr<const GraphRecord>& graph, const std::shared_ptr<const GraphRecord>& of,
                 ValueId value, const std::string& what) {
  if (of == nullptr || value == kNoValue) throw Error(what + ": the handle has no value");
  if (of != graph) throw Error(what + ": value " + quoted(of->values[value].name) + " belongs to another graph");
}

}  // namespace

void LanguageModel::add_result(const std::string& result_name, const std::shared_ptr<GraphRecord>& of, ValueId value) {
  const std::string what = "result " + quoted(result_name);
  check_value(graph, of, value, what);
  const auto same_name = [&](const NamedResult& other) { return other.name == result_name; };
  if (result_name == "logits" || std::any_of(results.begin(), results.end(), same_name)) {
    throw Error(what + ": the model has a result of this name");
  }
  if (std::find(of->results.begin(), of->results.end(), value) == of->results.end()) of->results.push_back(value);
  results.push_back({result_name, value});
}

void LanguageModel::add_sequence_axis(const std::shared_ptr<GraphRecord>& of, ValueId owner) {
  check_value(graph, of, owner, "by_sequence");
  sequence_axes.push_back({graph->values[owner].axes.at(0), owner});
}

AxisId LanguageModel::axis_id(const AxisInfo& axis) const {
  if (graph != nullptr) {
    for (size_t i = 0; i < graph->axes.size(); ++i) {
      if (graph->axes[i].identity == &axis) return static_cast<AxisId>(i);
    }
  }
  throw Error("a limit of axis " + quoted(std::string(axis.name)) + ", which the model's graph does not have");
}

void check_model(const LanguageModel& model) {
  if (model.graph == nullptr) throw Error("the language model has no value: it was default-constructed");
  const GraphRecord& graph = *model.graph;
  const auto misses = [](const char* what) {
    throw Error(std::string("the language model does not say which ") + what + " of its graph");
  };
  for (const ValueId input : {model.tokens, model.position, model.sequence, model.slots, model.last}) {
    if (input != kNoValue && input >= graph.values.size()) misses("values are inputs");
  }
  if (model.logits == kNoValue ? model.results.empty() : model.logits >= graph.values.size()) {
    misses("value is the logits");
  }
  for (size_t i = 0; i < model.results.size(); ++i) {
    const NamedResult& result = model.results[i];
    if (result.value >= graph.values.size()) misses("values are results");
    for (size_t j = 0; j < i; ++j) {
      if (model.results[j].name == result.name) throw Error("the model has two results " + quoted(result.name));
    }
  }
  if (model.pos_axis >= graph.axes.size() || model.rows_axis >= graph.axes.size())
    misses("axes are the tokens and rows");
  for (const auto& [axis, extent] : model.limits) {
    if (axis >= graph.axes.size()) misses("axes have limits");
    if (extent < 1 || extent > INT32_MAX) {
      throw Error("axis " + quoted(graph.axes[axis].name) + " has a limit of " + std::to_string(extent) +
                  ", not between 1 and 2^31 - 1");
    }
  }
  for (const SequenceAxis& sequence : model.sequence_axes) {
    const bool exists = sequence.axis < graph.axes.size() && sequence.owner < graph.values.size();
    if (!exists) misses("axes belong to sequences");
    const ValueRecord& owner = graph.values[sequence.owner];
    if (owner.kind != ValueKind::input || owner.format != Format::i32 ||
        owner.axes != std::vector<AxisId>{sequence.axis}) {
      throw Error(quoted(owner.name) + " says whose the rows of axis " + quoted(graph.axes[sequence.axis].name) +
                  " are, so it must be an i32 input over that axis alone");
    }
  }
}

}  // namespace weft
