#include "runtime/plan/extents.h"

#include <algorithm>

#include "core/error.h"
#include "core/record/visit.h"

namespace weft {

namespace {

std::string quoted(const std::string& text) { return "'" + text + "'"; }

std::string_view kind_word(ValueKind kind) {
  switch (kind) {
    case ValueKind::input: return "input";
    case ValueKind::weight: return "weight";
    case ValueKind::intermediate: return "value";
    case ValueKind::cache_field:
    case ValueKind::cache_position: return "cache field";
    case ValueKind::state: return "state";
  }
  return "value";
}

}  // namespace

ExtentTable::ExtentTable(const GraphRecord& graph)
    : graph_(&graph), extents_(graph.axes.size(), kUnknownExtent), origins_(graph.axes.size()) {}

std::string ExtentTable::describe(Origin origin) const {
  switch (origin.from) {
    case From::nothing: return "nowhere";
    case From::axis_type: return "its type";
    case From::value: {
      const ValueRecord& value = graph_->values[origin.index];
      return std::string(kind_word(value.kind)) + " " + quoted(value.name);
    }
    case From::rule: return graph_->rules[origin.index].what;
    case From::limit: return "the limits";
    case From::caller: return "the bindings";
  }
  return {};
}

void ExtentTable::set(AxisId axis, int64_t extent, Origin origin) {
  if (extent < 0) {
    throw Error("axis " + quoted(graph_->axes[axis].name) + " has extent " + std::to_string(extent) + " in " +
                describe(origin));
  }
  if (extents_[axis] == kUnknownExtent) {
    extents_[axis] = extent;
    origins_[axis] = origin;
  } else if (extents_[axis] != extent) {
    throw Error("axis " + quoted(graph_->axes[axis].name) + " is " + std::to_string(extents_[axis]) + " in " +
                describe(origins_[axis]) + " but " + std::to_string(extent) + " in " + describe(origin));
  }
}

// Returns whether the rule set an extent.
bool ExtentTable::apply(const ExtentRule& rule, uint32_t index) {
  const Origin origin{From::rule, index};
  const auto derive = [&](AxisId axis, int64_t extent) {
    const bool fresh = !known(axis);
    set(axis, extent, origin);
    return fresh;
  };
  switch (rule.kind) {
    case ExtentRule::Kind::equal:
      if (known(rule.outer)) return derive(rule.whole, extents_[rule.outer]);
      if (known(rule.whole)) return derive(rule.outer, extents_[rule.whole]);
      return false;
    case ExtentRule::Kind::slice: {
      const bool fresh = derive(rule.whole, rule.count);
      if (rule.outer != kNoAxis && known(rule.outer) &&
          (rule.begin < 0 || rule.count > extents_[rule.outer] || rule.begin > extents_[rule.outer] - rule.count)) {
        throw Error(rule.what + ": " + std::to_string(rule.begin) + " + " + std::to_string(rule.count) +
                    " is beyond axis " + quoted(graph_->axes[rule.outer].name) + ", which is " +
                    std::to_string(extents_[rule.outer]) + " in " + describe(origins_[rule.outer]));
      }
      return fresh;
    }
    case ExtentRule::Kind::sum: {
      if (known(rule.outer) && known(rule.inner)) {
        return derive(rule.whole, extents_[rule.outer] + extents_[rule.inner]);
      }
      if (!known(rule.whole) || !(known(rule.outer) || known(rule.inner))) return false;
      const AxisId part = known(rule.outer) ? rule.outer : rule.inner;
      if (extents_[part] > extents_[rule.whole]) {
        throw Error(rule.what + ": axis " + quoted(graph_->axes[rule.whole].name) + " is " +
                    std::to_string(extents_[rule.whole]) + " in " + describe(origins_[rule.whole]) +
                    ", less than its part " + quoted(graph_->axes[part].name) + ", which is " +
                    std::to_string(extents_[part]) + " in " + describe(origins_[part]));
      }
      return derive(part == rule.outer ? rule.inner : rule.outer, extents_[rule.whole] - extents_[part]);
    }
    case ExtentRule::Kind::product: break;
  }
  if (known(rule.outer) && known(rule.inner)) {
    int64_t whole = 0;
    if (__builtin_mul_overflow(extents_[rule.outer], extents_[rule.inner], &whole)) {
      throw Error(rule.what + ": the extent of " + quoted(graph_->axes[rule.whole].name) + " overflows");
    }
    return derive(rule.whole, whole);
  }
  const AxisId factor = known(rule.outer) ? rule.outer : rule.inner;
  const AxisId other = known(rule.outer) ? rule.inner : rule.outer;
  if (!known(rule.whole) || !known(factor)) return false;
  if (extents_[factor] == 0) return false;  // any extent of the other fits: another rule must set it
  if (extents_[rule.whole] % extents_[factor] != 0) {
    throw Error(rule.what + ": axis " + quoted(graph_->axes[rule.whole].name) + " is " +
                std::to_string(extents_[rule.whole]) + " in " + describe(origins_[rule.whole]) +
                ", not a multiple of axis " + quoted(graph_->axes[factor].name) + ", which is " +
                std::to_string(extents_[factor]) + " in " + describe(origins_[factor]));
  }
  return derive(other, extents_[rule.whole] / extents_[factor]);
}

void ExtentTable::apply_rules() {
  for (bool changed = true; changed;) {
    changed = false;
    for (size_t i = 0; i < graph_->rules.size(); ++i) {
      changed |= apply(graph_->rules[i], static_cast<uint32_t>(i));
    }
  }
}

ExtentTable ExtentTable::of_graph(const GraphRecord& graph) {
  ExtentTable table(graph);
  for (size_t i = 0; i < graph.axes.size(); ++i) {
    const auto axis = static_cast<AxisId>(i);
    if (graph.axes[i].fixed_extent != kUnknownExtent && !is_key_axis(graph, axis)) {
      table.set(axis, graph.axes[i].fixed_extent, {From::axis_type, 0});
    }
  }
  for (size_t i = 0; i < graph.values.size(); ++i) {
    const ValueRecord& value = graph.values[i];
    if (value.kind != ValueKind::weight) continue;
    if (value.storage == nullptr) throw Error("weight " + quoted(value.name) + " has no storage");
    if (value.storage->extents.size() != value.axes.size()) {
      throw Error("weight " + quoted(value.name) + " has " + std::to_string(value.axes.size()) + " axes, but " +
                  std::to_string(value.storage->extents.size()) + " extents");
    }
    for (size_t a = 0; a < value.axes.size(); ++a) {
      table.set_by_value(value.axes[a], value.storage->extents[a], static_cast<ValueId>(i));
    }
  }
  table.apply_rules();
  return table;
}

ExtentTable ExtentTable::of_limits(const ExtentTable& known, const Limits& limits) {
  ExtentTable table = known;
  const GraphRecord& graph = *table.graph_;
  for (const auto& [axis, extent] : limits.extents) {
    if (axis >= graph.axes.size())
      throw Error("a limit names axis " + std::to_string(axis) + ", which is not in the graph");
    if (!table.known(axis) || table.origins_[axis].from == From::limit) {
      table.set(axis, extent, {From::limit, 0});
    } else if (extent < table[axis]) {
      throw Error("axis " + quoted(graph.axes[axis].name) + " is " + std::to_string(table[axis]) + " in " +
                  table.describe(table.origins_[axis]) + ", above its limit of " + std::to_string(extent));
    }
  }
  table.apply_rules();
  const std::vector<bool> used = used_axes(graph);
  for (size_t i = 0; i < graph.axes.size(); ++i) {
    const auto axis = static_cast<AxisId>(i);
    if ((used[i] || is_key_axis(graph, axis)) && !table.known(axis)) {
      throw Error("axis " + quoted(graph.axes[i].name) + " is known at run time only and has no limit; " +
                  "Limits().set(graph.axis<...>(), most) gives it one");
    }
  }
  return table;
}

void ExtentTable::assign(const ExtentTable& other) {
  std::copy(other.extents_.begin(), other.extents_.end(), extents_.begin());
  std::copy(other.origins_.begin(), other.origins_.end(), origins_.begin());
}

void ExtentTable::check_against(const ExtentTable& limits) const {
  for (size_t i = 0; i < extents_.size(); ++i) {
    if (extents_[i] == kUnknownExtent || limits.extents_[i] == kUnknownExtent) continue;
    if (extents_[i] > limits.extents_[i]) {
      throw Error("axis " + quoted(graph_->axes[i].name) + " is " + std::to_string(extents_[i]) + " in " +
                  describe(origins_[i]) + ", above the plan's limit of " + std::to_string(limits.extents_[i]));
    }
  }
}

bool is_key_axis(const GraphRecord& graph, AxisId axis) {
  return std::any_of(graph.caches.begin(), graph.caches.end(),
                     [axis](const CacheRecord& cache) { return cache.key == axis; });
}

std::vector<bool> used_axes(const GraphRecord& graph) {
  std::vector<bool> used(graph.axes.size());
  const auto mark = [&used](AxisId axis) {
    if (axis != kNoAxis) used[axis] = true;
  };
  for (const ValueRecord& value : graph.values) std::for_each(value.axes.begin(), value.axes.end(), mark);
  for (const Step& step : graph.steps) {
    for (const Region& region : step.regions) {
      std::for_each(region.axes.begin(), region.axes.end(), mark);
      for_each_source(region, [&](const Source& source) {
        std::for_each(source.axes.begin(), source.axes.end(), mark);
        mark(source.reduced);
      });
      for (const Contraction& contraction : region.contractions) {
        std::for_each(contraction.over.begin(), contraction.over.end(), mark);
      }
      for_each_operand(region, [&](const Operand& operand) {
        for (const ViewAxis& axis : operand.view) {
          mark(axis.axis);
          mark(axis.stored);
        }
      });
      for_each_program(region, [&](const ScalarProgram& program) {
        for (const ScalarInstr& instr : program.code) {
          if (instr.op == ScalarOp::extent) mark(static_cast<AxisId>(instr.imm));
        }
      });
    }
  }
  for (const CacheRecord& cache : graph.caches) used[cache.key] = false;
  return used;
}

size_t value_bytes(const GraphRecord& graph, ValueId id, const int64_t* extents) {
  const ValueRecord& value = graph.values[id];
  const FormatInfo& format = info(value.format);
  const auto too_large = [&value] { return Error("value " + quoted(value.name) + " is too large"); };
  uint64_t elements = 1;
  for (const AxisId axis : value.axes) {
    if (__builtin_mul_overflow(elements, static_cast<uint64_t>(extents[axis]), &elements)) throw too_large();
  }
  if (elements % format.block_elements != 0) {
    throw Error("value " + quoted(value.name) + ": its " + std::to_string(elements) + " elements cut a block of " +
                std::string(format.name));
  }
  uint64_t bytes = 0;
  if (__builtin_mul_overflow(elements / format.block_elements, uint64_t{format.block_bytes}, &bytes)) throw too_large();
  if (bytes > (uint64_t{1} << 46)) throw too_large();
  return static_cast<size_t>(bytes);
}

}  // namespace weft
