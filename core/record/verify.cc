#include "core/record/verify.h"

#include <algorithm>
#include <iterator>
#include <string>
#include <vector>

#include "core/error.h"
#include "core/record/verify_region.h"
#include "core/record/visit.h"

namespace weft {
namespace {

void check_value(const GraphRecord& graph, const ValueRecord& value) {
  const std::string what = "value '" + value.name + "': ";
  if (value.axes.size() > kMaxRank) throw Error(what + "more than " + std::to_string(kMaxRank) + " axes");
  for (size_t i = 0; i < value.axes.size(); ++i) {
    if (value.axes[i] >= graph.axes.size()) throw Error(what + "unknown axis #" + std::to_string(value.axes[i]));
    for (size_t j = 0; j < i; ++j) {
      if (value.axes[i] == value.axes[j]) {
        throw Error(what + "axis '" + graph.axes[value.axes[i]].name + "' occurs twice");
      }
    }
  }
  if (value.kind == ValueKind::weight) {
    if (!value.storage) throw Error(what + "a weight without storage");
    if (value.storage->format != value.format) {
      throw Error(what + "is " + std::string(name(value.format)) + ", its storage " +
                  std::string(name(value.storage->format)));
    }
  } else if (value.kind == ValueKind::state) {
    const auto id = static_cast<ValueId>(&value - graph.values.data());
    if (std::ranges::find(graph.states, id, &StateRecord::value) == graph.states.end()) {
      throw Error(what + "is of none of the graph's states");
    }
    if (value.format != Format::f32) throw Error(what + "a state is stored in F32");
  } else if (value.kind == ValueKind::cache_field) {
    if (!is_cache_format(value.format)) {
      throw Error(what + "a cache cannot be stored in " + std::string(name(value.format)));
    }
  } else if (value.kind != ValueKind::input && value.format != plain_format(value.element())) {
    throw Error(what + std::string(name(value.format)) + " is a format of weights and inputs only");
  }
  if (value.is_cached()) {
    if (value.cache < 0 || static_cast<size_t>(value.cache) >= graph.caches.size()) {
      throw Error(what + "unknown cache " + std::to_string(value.cache));
    }
    const CacheRecord& cache = graph.caches[static_cast<size_t>(value.cache)];
    if (value.axes.empty() || value.axes.front() != cache.key) {
      throw Error(what + "does not lead with the key of cache '" + cache.name + "'");
    }
    const auto id = static_cast<ValueId>(&value - graph.values.data());
    if (std::ranges::find(cache.fields, id) == cache.fields.end() && cache.positions != id) {
      throw Error(what + "cache '" + cache.name + "' has no such field");
    }
  }
}

void check_cache(const GraphRecord& graph, size_t index) {
  const CacheRecord& cache = graph.caches[index];
  const std::string what = "cache '" + cache.name + "': ";
  if (cache.key >= graph.axes.size() || cache.pos >= graph.axes.size()) throw Error(what + "unknown key or pos axis");
  const auto owned = [&](ValueId id, ValueKind kind) {
    return id < graph.values.size() && graph.values[id].kind == kind &&
           graph.values[id].cache == static_cast<int>(index);
  };
  for (const ValueId field : cache.fields) {
    if (!owned(field, ValueKind::cache_field))
      throw Error(what + "value #" + std::to_string(field) + " is not one of its fields");
  }
  if (!owned(cache.positions, ValueKind::cache_position)) throw Error(what + "its positions are not one of its values");
  for (const ValueId id : {cache.pos_values, cache.slots, cache.seq}) {
    if (id >= graph.values.size() || graph.values[id].format != Format::i32 ||
        graph.values[id].axes != std::vector<AxisId>{cache.pos}) {
      throw Error(what + "positions, slots and sequences of rows are i32 values over '" + graph.axes[cache.pos].name +
                  "'");
    }
  }
}

void check_state(const GraphRecord& graph, const StateRecord& state) {
  const std::string what = "state '" + state.name + "': ";
  if (state.pos >= graph.axes.size()) throw Error(what + "unknown pos axis");
  if (state.value >= graph.values.size() || graph.values[state.value].kind != ValueKind::state) {
    throw Error(what + "value #" + std::to_string(state.value) + " is no state");
  }
  for (const ValueId id : {state.from, state.to}) {
    if (id >= graph.values.size() || graph.values[id].format != Format::i32 ||
        graph.values[id].kind != ValueKind::input || graph.values[id].axes != std::vector<AxisId>{state.pos}) {
      throw Error(what + "the slots of rows are i32 inputs over '" + graph.axes[state.pos].name + "'");
    }
  }
}

}  // namespace

void verify(const GraphRecord& graph, const Step& step) {
  const std::string where = "step '" + step.name + "': ";
  const bool append = step.kind == StepKind::append;
  size_t regions = 1;
  if (append) {
    if (step.cache < 0 || static_cast<size_t>(step.cache) >= graph.caches.size()) {
      throw Error(where + "unknown cache " + std::to_string(step.cache));
    }
    regions = graph.caches[static_cast<size_t>(step.cache)].fields.size();
  }
  if (step.regions.size() != regions) {
    throw Error(where + std::to_string(step.regions.size()) + " regions, expected " + std::to_string(regions));
  }
  size_t outputs = regions;
  if (!append) {
    const Region& region = step.regions[0];
    if (region.selection && region.selection->values) outputs += 1;
    if (region.attention && region.attention->statistics) outputs += std::size(kStatistics);
  }
  if (step.outputs.size() != outputs) {
    throw Error(where + std::to_string(step.outputs.size()) + " outputs, expected " + std::to_string(outputs));
  }
  for (size_t i = 0; i < regions; ++i) verify_region(graph, step, i);
}

void verify(const GraphRecord& graph) {
  for (size_t i = 0; i < graph.caches.size(); ++i) check_cache(graph, i);
  for (const StateRecord& state : graph.states) check_state(graph, state);
  for (const ValueRecord& value : graph.values) check_value(graph, value);
  for (const ExtentRule& rule : graph.rules) {
    for (const AxisId axis : {rule.whole, rule.outer, rule.inner}) {
      if (axis != kNoAxis && axis >= graph.axes.size()) throw Error("extent rule '" + rule.what + "': unknown axis");
    }
  }
  std::vector<bool> written(graph.values.size(), false), scanned(graph.states.size(), false);
  const auto readable = [&](ValueId id) { return graph.values[id].kind != ValueKind::intermediate || written[id]; };
  for (const Step& step : graph.steps) {
    verify(graph, step);
    const std::string where = "step '" + step.name + "': ";
    for_each_operand(step, [&](const Operand& operand) {
      if (!readable(operand.value)) {
        throw Error(where + "reads '" + graph.values[operand.value].name + "' before it is written");
      }
    });
    if (step.kind == StepKind::scan) {
      const auto state = static_cast<size_t>(step.regions[0].scan->state);
      if (scanned[state]) throw Error(where + "state '" + graph.states[state].name + "' has a scan already");
      scanned[state] = true;
    }
    for (const ValueId output : step.outputs) {
      if (output >= graph.values.size()) throw Error(where + "unknown output value #" + std::to_string(output));
      if (written[output]) throw Error(where + "writes '" + graph.values[output].name + "' a second time");
      written[output] = true;
    }
  }
  for (const ValueId result : graph.results) {
    if (result >= graph.values.size()) throw Error("unknown result value #" + std::to_string(result));
    if (!readable(result)) throw Error("result '" + graph.values[result].name + "' is never written");
  }
}

}  // namespace weft
