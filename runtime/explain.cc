#include "runtime/explain.h"

#include <algorithm>
#include <cstdio>
#include <map>
#include <nlohmann/json.hpp>

#include "runtime/plan_state.h"

namespace weft {

namespace {

using Extents = std::vector<int64_t>;

double count(const std::vector<AxisId>& axes, const Extents& extents) {
  double product = 1;
  for (const AxisId axis : axes) product *= static_cast<double>(extents[axis]);
  return product;
}

void join(std::vector<AxisId>& axes, const std::vector<AxisId>& more) {
  for (const AxisId axis : more) {
    if (std::find(axes.begin(), axes.end(), axis) == axes.end()) axes.push_back(axis);
  }
}

double operations(const ScalarProgram& program) {
  return static_cast<double>(std::count_if(program.code.begin(), program.code.end(), [](const ScalarInstr& instr) {
    return argument_count(instr.op) > 0 && instr.op != ScalarOp::cast;
  }));
}

double source_flops(const Source& source, const Extents& extents) {
  double flops = operations(source.program) * count(source.axes, extents);
  std::vector<AxisId> axes = source.axes;
  if (source.reduced != kNoAxis) join(axes, {source.reduced});
  for (const Reduction& reduction : source.reductions) {
    flops += (operations(reduction.program) + 1) * count(axes, extents);
  }
  return flops;
}

double region_flops(const Region& region, const Extents& extents) {
  double flops = source_flops(region.body, extents);
  for (const Source& source : region.lhs) flops += source_flops(source, extents);
  for (const Contraction& contraction : region.contractions) {
    std::vector<AxisId> axes = region.lhs[static_cast<size_t>(contraction.lhs)].axes;
    join(axes, loop_axes(region, region.operands[static_cast<size_t>(contraction.rhs)]));
    join(axes, contraction.over);
    flops += 2 * count(axes, extents);
  }
  if (region.weighting) {
    std::vector<AxisId> axes = region.body.axes;
    flops += 4 * count(axes, extents);  // softmax: subtract, exp, sum, and its share of the maximum
    join(axes, loop_axes(region, region.operands[static_cast<size_t>(region.weighting->value)]));
    flops += 2 * count(axes, extents);
  }
  if (region.rotation) flops += 3 * count(region.axes, extents);
  flops += operations(region.post) * count(region.axes, extents);
  if (region.selection) flops += count(region.axes, extents);
  return flops;
}

double element_bytes(Format format) {
  return static_cast<double>(info(format).block_bytes) / static_cast<double>(info(format).block_elements);
}

// Elements that a step can touch of an operand: gathered axes count once per id.
double operand_elements(const GraphRecord& graph, const Region& region, const Operand& operand,
                        const Extents& extents) {
  double touched = 1, stored = 1;
  for (const ViewAxis& axis : operand.view) {
    stored *= static_cast<double>(extents[axis.stored]);
    if (axis.gather >= 0) {
      touched *= count(loop_axes(region, region.operands[static_cast<size_t>(axis.gather)]), extents);
    } else {
      touched *= static_cast<double>(extents[axis.axis]);
    }
  }
  const ValueKind kind = graph.values[operand.value].kind;
  const bool cached = kind == ValueKind::cache_field || kind == ValueKind::cache_position;
  return cached ? touched : std::min(touched, stored);
}

double step_bytes(const GraphRecord& graph, const Step& step, const Extents& extents) {
  std::map<ValueId, double> read;
  double bytes = 0;
  for (const Region& region : step.regions) {
    for (const Operand& operand : region.operands) {
      double& most = read[operand.value];
      most = std::max(most, operand_elements(graph, region, operand, extents));
    }
  }
  for (const auto& [value, elements] : read) bytes += elements * element_bytes(graph.values[value].format);
  for (const ValueId output : step.outputs) {
    const ValueRecord& value = graph.values[output];
    std::vector<AxisId> axes = value.axes;
    if (value.kind == ValueKind::cache_field) axes[0] = graph.caches[static_cast<size_t>(value.cache)].pos;
    bytes += count(axes, extents) * element_bytes(value.format);
  }
  return bytes;
}

// The extents to count with, by AxisId.
Extents chosen_extents(const PlanState& state, const Limits& at) {
  Extents extents(state.graph->axes.size());
  for (size_t i = 0; i < extents.size(); ++i) {
    extents[i] = std::max<int64_t>(state.limits[static_cast<AxisId>(i)], 0);
  }
  ExtentTable table = state.known;
  for (const auto& [axis, extent] : at.extents) {
    if (!table.known(axis)) table.set_by_caller(axis, extent);
  }
  table.apply_rules();
  for (size_t i = 0; i < extents.size(); ++i) {
    if (table.known(static_cast<AxisId>(i))) extents[i] = table[static_cast<AxisId>(i)];
  }
  return extents;
}

bool is_said(const Limits& at, AxisId axis) {
  return std::any_of(at.extents.begin(), at.extents.end(),
                     [axis](const auto& item) { return item.first == axis; });
}

std::string shape(const PlanState& state, const ValueRecord& value, const Extents& extents, const Limits& at) {
  std::string text = std::string(name(value.format)) + "<";
  for (size_t i = 0; i < value.axes.size(); ++i) {
    const AxisId axis = value.axes[i];
    if (i != 0) text += ", ";
    text += state.graph->axes[axis].name;
    text += state.known.known(axis) || is_said(at, axis) ? " " : "\u2264";
    text += std::to_string(extents[axis]);
  }
  return text + ">";
}

size_t columns(const std::string& text) {  // code points of UTF-8
  return static_cast<size_t>(std::count_if(text.begin(), text.end(), [](char c) { return (c & 0xc0) != 0x80; }));
}

struct Table {
  std::vector<std::vector<std::string>> rows;
  std::vector<bool> right;

  std::string text() const {
    std::vector<size_t> widths(right.size());
    for (const auto& row : rows) {
      for (size_t c = 0; c < row.size(); ++c) widths[c] = std::max(widths[c], columns(row[c]));
    }
    std::string result;
    for (const auto& row : rows) {
      std::string line;
      for (size_t c = 0; c < row.size(); ++c) {
        const std::string pad(widths[c] - columns(row[c]), ' ');
        if (c != 0) line += "  ";
        line += right[c] ? pad + row[c] : row[c] + pad;
      }
      line.erase(line.find_last_not_of(' ') + 1);
      result += line + "\n";
    }
    return result;
  }
};

// Steps from one attention to the next, where these are equally far apart.
int steps_per_layer(const GraphRecord& graph) {
  int before = -1, distance = 0;
  for (size_t i = 0; i < graph.steps.size(); ++i) {
    if (graph.steps[i].kind != StepKind::attention) continue;
    const auto at = static_cast<int>(i);
    if (before >= 0) {
      if (distance != 0 && at - before != distance) return 0;
      distance = at - before;
    }
    before = at;
  }
  return distance;
}

int attention_steps(const GraphRecord& graph) {
  return static_cast<int>(std::count_if(graph.steps.begin(), graph.steps.end(),
                                        [](const Step& step) { return step.kind == StepKind::attention; }));
}

std::string microseconds(const StepInfo& step) {
  char text[32];
  std::snprintf(text, sizeof text, "%.1f", step.seconds / static_cast<double>(step.runs) * 1e6);
  return text;
}

}  // namespace

StepCost step_cost(const GraphRecord& graph, const Step& step, const std::vector<int64_t>& extents) {
  StepCost cost;
  for (const Region& region : step.regions) cost.flops += region_flops(region, extents);
  cost.bytes = step_bytes(graph, step, extents);
  return cost;
}

std::string with_prefix(double number) {
  constexpr const char* kPrefixes[] = {"", " k", " M", " G", " T", " P"};
  size_t prefix = 0;
  while (number >= 999.5 && prefix + 1 < std::size(kPrefixes)) {
    number /= 1000;
    ++prefix;
  }
  char text[32];
  const int decimals = prefix == 0 ? 0 : number < 9.995 ? 2 : number < 99.95 ? 1 : 0;
  std::snprintf(text, sizeof text, "%.*f%s", decimals, number, kPrefixes[prefix]);
  return text;
}

std::string byte_text(size_t bytes) {
  const std::string number = with_prefix(static_cast<double>(bytes));
  return number + (number.find(' ') == std::string::npos ? " B" : "B");
}

std::string Plan::explain(const Limits& at) const {
  const PlanState& state = *state_;
  const GraphRecord& graph = *state.graph;
  const Extents extents = chosen_extents(state, at);
  const bool timed =
      std::any_of(state.steps.begin(), state.steps.end(), [](const StepInfo& s) { return s.runs > 0; });

  Table table;
  table.right = {true, false, false, false, false, true, true};
  table.rows.push_back({"#", "step", "kind", "kernel", "writes", "FLOPs", "bytes"});
  if (timed) {
    table.right.push_back(true);
    table.rows.back().push_back("us/run");
  }
  StepCost total;
  double seconds = 0;
  for (size_t i = 0; i < graph.steps.size(); ++i) {
    const Step& step = graph.steps[i];
    const StepCost cost = step_cost(graph, step, extents);
    total.flops += cost.flops;
    total.bytes += cost.bytes;
    std::string writes;
    for (const ValueId output : step.outputs) {
      writes += (writes.empty() ? "" : " ") + shape(state, graph.values[output], extents, at);
    }
    table.rows.push_back({std::to_string(i), step.name, std::string(name(step.kind)), state.steps[i].kernel,
                          writes, with_prefix(cost.flops), with_prefix(cost.bytes)});
    if (state.steps[i].runs > 0) {
      table.rows.back().push_back(microseconds(state.steps[i]));
      seconds += state.steps[i].seconds / static_cast<double>(state.steps[i].runs);
    }
  }
  table.rows.push_back({"", "total", "", "", "", with_prefix(total.flops), with_prefix(total.bytes)});
  if (timed) {
    char text[32];
    std::snprintf(text, sizeof text, "%.1f", seconds * 1e6);
    table.rows.back().push_back(text);
  }

  std::string text = "device     " + state.device.name() + ", precision " +
                     std::string(name(state.options.precision)) + "\n" + "steps      " +
                     std::to_string(graph.steps.size());
  if (const int per_layer = steps_per_layer(graph); per_layer > 0) {
    text += ": " + std::to_string(attention_steps(graph)) + " layers of " + std::to_string(per_layer) + " steps";
  }
  text += "\nweights    " + byte_text(state.memory.weights) + " as stored, " +
          byte_text(state.memory.packed_weights) + " in another layout beside that";
  text += "\narena      " + byte_text(state.memory.arena) + " for " + byte_text(state.memory.intermediates) +
          " of values";
  text += "\nscratch    " + byte_text(state.memory.scratch) + "\n";
  return text + table.text();
}

std::string Plan::explain_json(const Limits& at) const {
  const PlanState& state = *state_;
  const GraphRecord& graph = *state.graph;
  const Extents extents = chosen_extents(state, at);
  nlohmann::ordered_json json;
  json["device"] = state.device.name();
  json["precision"] = name(state.options.precision);
  json["memory"] = {{"weights", state.memory.weights},
                    {"packed_weights", state.memory.packed_weights},
                    {"arena", state.memory.arena},
                    {"intermediates", state.memory.intermediates},
                    {"scratch", state.memory.scratch}};
  json["layers"] = attention_steps(graph);
  json["steps_per_layer"] = steps_per_layer(graph);
  json["steps"] = nlohmann::ordered_json::array();
  for (size_t i = 0; i < graph.steps.size(); ++i) {
    const Step& step = graph.steps[i];
    const StepCost cost = step_cost(graph, step, extents);
    nlohmann::ordered_json item = {
        {"name", step.name},   {"kind", name(step.kind)}, {"kernel", state.steps[i].kernel},
        {"flops", cost.flops}, {"bytes", cost.bytes},     {"scratch", state.steps[i].scratch_bytes}};
    for (const ValueId output : step.outputs) {
      nlohmann::ordered_json axes = nlohmann::ordered_json::array();
      for (const AxisId axis : graph.values[output].axes) {
        axes.push_back(
            {{"axis", graph.axes[axis].name}, {"extent", extents[axis]}, {"run_time", !state.known.known(axis)}});
      }
      item["writes"].push_back(
          {{"name", graph.values[output].name}, {"format", name(graph.values[output].format)}, {"axes", axes}});
    }
    if (state.steps[i].runs > 0) {
      item["seconds_per_run"] = state.steps[i].seconds / static_cast<double>(state.steps[i].runs);
    }
    json["steps"].push_back(std::move(item));
  }
  return json.dump(2) + "\n";
}

}  // namespace weft
