#include "runtime/plan/explain.h"

#include <algorithm>
#include <cstdio>
#include <map>
#include <nlohmann/json.hpp>
#include <set>

#include "core/comma_list.h"
#include "core/record/axis_list.h"
#include "core/record/visit.h"
#include "runtime/plan/explain_schedule.h"
#include "runtime/plan/fold_steps.h"
#include "runtime/plan/plan_state.h"
#include "runtime/plan/text_table.h"

namespace weft {

namespace {

using Extents = std::vector<int64_t>;

double count(const std::vector<AxisId>& axes, const Extents& extents) {
  double product = 1;
  for (const AxisId axis : axes) product *= static_cast<double>(extents[axis]);
  return product;
}

double operations(const ScalarProgram& program) {
  return static_cast<double>(std::count_if(program.code.begin(), program.code.end(), [](const ScalarInstr& instr) {
    return argument_count(instr.op) > 0 && instr.op != ScalarOp::cast;
  }));
}

double source_flops(const Source& source, const Extents& extents) {
  double flops = operations(source.program) * count(source.axes, extents);
  std::vector<AxisId> axes = source.axes;
  if (source.reduced != kNoAxis) add_axis(axes, source.reduced);
  for (const Reduction& reduction : source.reductions) {
    flops += (operations(reduction.program) + 1) * count(axes, extents);
  }
  return flops;
}

double product_flops(const Region& region, const Extents& extents) {
  double flops = 0;
  for (const Contraction& contraction : region.contractions) {
    flops += 2 * count(contraction_axes(region, contraction), extents) * count(contraction.over, extents);
  }
  if (region.attention) {
    std::vector<AxisId> axes = region.body.axes;
    add_axes(axes, loop_axes(region, region.operands[static_cast<size_t>(region.attention->value)]));
    flops += 2 * count(axes, extents);
  }
  if (region.scan) {
    // Of each element of the state: k v^T, q^T S, what is erased twice, and the decay.
    const ScanRoles& roles = region.scan->roles;
    const double each =
        region.scan->kind == Scan::Kind::convolution ? 2 : 4 + (roles.erase >= 0 ? 4 : 0) + (roles.decay >= 0 ? 1 : 0);
    const AxisId rows = region.lhs[static_cast<size_t>(roles.key)].axes.back();
    flops += each * count(region.axes, extents) * static_cast<double>(extents[rows]);
  }
  return flops;
}

double region_flops(const Region& region, const Extents& extents) {
  if (region.custom) return 0;  // nobody knows
  double flops = product_flops(region, extents);
  for_each_source(region, [&](const Source& source) { flops += source_flops(source, extents); });
  // Softmax: subtract, exp, sum, and its share of the maximum.
  // Statistics: a logarithm, and its weighted sum.
  if (const auto& attention = region.attention) {
    flops += (attention->statistics ? 7 : 4) * count(region.body.axes, extents);
    if (!attention->sink.empty()) flops += (operations(attention->sink) + 3) * count(query_axes(region), extents);
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
    } else if (axis.is_looked_up()) {
      touched *= static_cast<double>(extents[axis.stored]);
    } else {
      touched *= static_cast<double>(extents[axis.axis]);
    }
  }
  return graph.values[operand.value].is_cached() ? touched : std::min(touched, stored);
}

// Of each value that a step reads.
std::map<ValueId, double> bytes_read(const GraphRecord& graph, const Step& step, const Extents& extents) {
  std::map<ValueId, double> read;
  for (const Region& region : step.regions) {
    for_each_operand(region, [&](const Operand& operand) {
      double& most = read[operand.value];
      most = std::max(most, operand_elements(graph, region, operand, extents));
    });
  }
  for (auto& [value, amount] : read) amount *= element_bytes(graph.values[value].format);
  return read;
}

double step_bytes(const GraphRecord& graph, const Step& step, const Extents& extents) {
  double bytes = 0;
  for (const Region& region : step.regions) {  // the state of one sequence is read and written
    if (!region.scan) continue;
    const StateRecord& state = graph.states[static_cast<size_t>(region.scan->state)];
    bytes += 2 * count(graph.values[state.value].axes, extents) * element_bytes(Format::f32);
  }
  for (const auto& [value, amount] : bytes_read(graph, step, extents)) bytes += amount;
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
  return std::any_of(at.extents.begin(), at.extents.end(), [axis](const auto& item) { return item.first == axis; });
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

// What stays the same from run to run, in short form: "[pos,2,4,32]", where only run-time axes have names; with
// the format where it is not f32.
std::string short_shape(const PlanState& state, const ValueRecord& value) {
  std::string text = value.format == Format::f32 ? "[" : std::string(name(value.format)) + "[";
  for (size_t i = 0; i < value.axes.size(); ++i) {
    const AxisId axis = value.axes[i];
    if (i != 0) text += ",";
    text += state.known.known(axis) ? std::to_string(state.known[axis]) : state.graph->axes[axis].name;
  }
  return text + "]";
}

// Shapes of a step's results; consecutive equal ones once, with their number.
std::string writes(const PlanState& state, const Step& step, std::span<const ExplainRun> runs) {
  std::vector<std::pair<std::string, int>> shapes;
  for (const ValueId output : step.outputs) {
    const ValueRecord& value = state.graph->values[output];
    std::string text = runs.size() == 1 ? shape(state, value, chosen_extents(state, runs[0].at), runs[0].at)
                                        : short_shape(state, value);
    if (shapes.empty() || shapes.back().first != text) shapes.emplace_back(std::move(text), 0);
    ++shapes.back().second;
  }
  std::string text;
  for (const auto& [one, times] : shapes) {
    text += (text.empty() ? "" : " ") + (times > 1 ? std::to_string(times) + " " : std::string()) + one;
  }
  return text;
}

size_t attention_steps(const GraphRecord& graph) {
  return static_cast<size_t>(std::count_if(graph.steps.begin(), graph.steps.end(),
                                           [](const Step& step) { return step.kind == StepKind::attention; }));
}

// "67.4M": with_prefix in the width of a column.
std::string figure(double number) {
  std::string text = with_prefix(number);
  std::erase(text, ' ');
  return text;
}

std::string microseconds(double seconds) {
  char text[32];
  std::snprintf(text, sizeof text, seconds < 999.95e-6 ? "%.1f" : "%.0f", seconds * 1e6);
  return text;
}

nlohmann::ordered_json times_json(const RunTimes& times) {
  return {{"runs", times.runs()},
          {"seconds_per_run", times.mean()},
          {"seconds_min", times.least()},
          {"seconds_median", times.median()}};
}

std::vector<std::string> kernel_names(const PlanState& state) {
  std::vector<std::string> names;
  for (const StepInfo& step : state.steps) names.push_back(step.kernel);
  return names;
}

// What has run of equal steps: one text where all runs agree, else that of each, in their order.
std::string what_ran(std::span<const ExplainRun> runs, const std::vector<size_t>& steps) {
  std::string text, last;
  bool agree = true;
  for (const ExplainRun& run : runs) {
    if (run.ran.empty()) continue;
    std::set<std::string> names;  // steps that announce the same may still differ in what they ran
    for (const size_t step : steps) names.insert(run.ran[step]);
    const std::string all = comma_list(names);
    text += (text.empty() ? "" : " | ") + all;
    agree = agree && (last.empty() || all == last);
    last = all;
  }
  return agree ? last : text;
}

// "F16", "F16 and Q8_0": of the fields that scores read, or of the others.
std::string formats_of_fields(const GraphRecord& graph, const std::vector<bool>& scored, bool wanted) {
  std::set<std::string> names;
  for (const CacheRecord& cache : graph.caches) {
    for (const ValueId field : cache.fields) {
      if (scored[field] == wanted) names.emplace(name(graph.values[field].format));
    }
  }
  std::string text;
  for (const std::string& each : names) text += (text.empty() ? "" : " and ") + each;
  return text;
}

// How the caches are stored, and which fields are not as asked for.
std::string cache_text(const PlanState& state) {
  const GraphRecord& graph = *state.graph;
  if (graph.caches.empty()) return {};
  const std::vector<bool> scored = scored_fields(graph);
  const std::string keys = formats_of_fields(graph, scored, true), values = formats_of_fields(graph, scored, false);
  size_t bytes = 0;
  for (const CacheRecord& cache : graph.caches) {
    for (const ValueId value : cache_values(cache)) bytes += slot_bytes(graph, value, state.known.data());
  }
  std::string text = "caches     ";
  if (!keys.empty()) text += "keys in " + keys;
  if (!values.empty()) text += (keys.empty() ? "values in " : ", values in ") + values;
  text += ", " + byte_text(bytes) + " a token\n";
  std::vector<std::pair<std::string, std::vector<ValueId>>> fallbacks;  // by what is said of them
  for (const CacheFallback& fallback : state.cache_fallbacks) {
    const std::string why = std::string(name(graph.values[fallback.field].format)) + ", not " +
                            std::string(name(fallback.wanted)) + ": " + fallback.reason;
    const auto same = [&](const auto& item) { return item.first == why; };
    const auto at = std::find_if(fallbacks.begin(), fallbacks.end(), same);
    if (at != fallbacks.end()) at->second.push_back(fallback.field);
    else fallbacks.push_back({why, {fallback.field}});
  }
  for (const auto& [why, fields] : fallbacks) {
    text += "           '" + graph.values[fields.front()].name + "'";
    if (fields.size() > 1) text += " and " + std::to_string(fields.size() - 1) + " more";
    text += " in " + why + "\n";
  }
  return text;
}

// A summary of the whole plan and what it needs. `lines`: equal steps, by their names.
std::string summary(const PlanState& state, std::span<const EqualSteps> lines, std::span<const ExplainRun> runs,
                    bool folded) {
  const GraphRecord& graph = *state.graph;
  std::string text = "device     " + state.device.name() + ", precision " + std::string(name(state.options.precision)) +
                     "\n" + "steps      " + std::to_string(graph.steps.size());
  if (const size_t per_layer = steps_per_layer(graph); per_layer > 0) {
    text += ": " + std::to_string(attention_steps(graph)) + " layers of " + std::to_string(per_layer) + " steps";
  }
  if (folded) text += "; equal ones share a line, which shows their sums";
  const PlanMemory& memory = state.memory;
  text += "\n" + schedule_text(state, lines, runs);
  text += "weights    " + byte_text(memory.weights - memory.replaced_weights) + " as stored, " +
          byte_text(memory.packed_weights) + " packed for kernels";
  if (memory.mapped_weights > 0)
    text += ", of these " + byte_text(memory.mapped_weights) + " mapped from the pack cache";
  text += "\narena      " + byte_text(memory.arena) + " for " + byte_text(memory.intermediates) + " of values and " +
          byte_text(memory.scratch) + " of scratch\n" + cache_text(state);
  return text;
}

}  // namespace

StepCost step_cost(const GraphRecord& graph, const Step& step, const std::vector<int64_t>& extents,
                   const std::vector<bool>& run_time) {
  StepCost cost;
  for (const Region& region : step.regions) {
    cost.flops += region_flops(region, extents);
    cost.product_flops += product_flops(region, extents);
  }
  cost.bytes = step_bytes(graph, step, extents);
  // Without any row of results, nothing is read.
  const auto computes = [&](const Region& region) { return count(region.axes, extents) > 0; };
  if (std::none_of(step.regions.begin(), step.regions.end(), computes)) return cost;
  for (const auto& [value, bytes] : bytes_read(graph, step, extents)) {
    if (graph.values[value].kind == ValueKind::cache_field) cost.key_bytes += bytes;
  }
  std::vector<int64_t> of_one = extents;  // which weights tokens gather is not known: all may gather the same
  for (size_t axis = 0; axis < run_time.size(); ++axis) {
    if (run_time[axis]) of_one[axis] = std::min<int64_t>(of_one[axis], 1);
  }
  for (const auto& [value, bytes] : bytes_read(graph, step, of_one)) {
    if (graph.values[value].kind == ValueKind::weight) cost.weight_bytes += bytes;
  }
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

std::string time_text(double seconds) {
  for (const auto& [unit, name] : {std::pair(1e-6, " µs"), std::pair(1e-3, " ms")}) {
    if (seconds < 999.5 * unit) return with_prefix(seconds / unit) + name;
  }
  return with_prefix(seconds) + " s";
}

std::vector<StepCost> Plan::costs(const Limits& at) const {
  const PlanState& state = this->state();
  const Extents extents = chosen_extents(state, at);
  std::vector<bool> run_time(extents.size());
  for (size_t i = 0; i < run_time.size(); ++i) run_time[i] = !state.known.known(static_cast<AxisId>(i));
  std::vector<StepCost> costs;
  for (const Step& step : state.graph->steps) costs.push_back(step_cost(*state.graph, step, extents, run_time));
  return costs;
}

std::string Plan::explain(const Limits& at, bool every_step) const {
  const std::span<const int64_t> met = barriers();
  const ExplainRun run{"", at, seconds_per_run(), kernels_that_ran(), {met.begin(), met.end()}};
  return explain_runs({&run, 1}, every_step);
}

std::string Plan::explain_runs(std::span<const ExplainRun> runs, bool every_step) const {
  const PlanState& state = this->state();
  const GraphRecord& graph = *state.graph;
  const std::vector<EqualSteps> equal = fold_steps(graph, kernel_names(state), state.limits.data());
  std::vector<EqualSteps> lines = equal;
  if (every_step) {
    lines.clear();
    for (size_t i = 0; i < graph.steps.size(); ++i) lines.push_back({graph.steps[i].name, {i}});
  }
  const bool folded = lines.size() < graph.steps.size();

  TextTable table;
  // After profiled runs the kernels that ran are shown, else those that will.
  const bool told = std::ranges::any_of(runs, [](const ExplainRun& run) { return !run.ran.empty(); });
  table.head = {{every_step ? "#" : "", true}, {"step"}, {told ? "kernels that ran" : "kernel"}, {"writes"}};
  if (every_step) table.head.insert(table.head.begin() + 1, {"group", true});
  for (const EqualSteps& line : lines) {
    const size_t first = line.steps.front();
    const std::string number = std::to_string(every_step ? first : line.steps.size());
    table.rows.push_back({(every_step ? "" : "\u00d7") + number, line.name,
                          told ? what_ran(runs, line.steps) : state.steps[first].kernel,
                          writes(state, graph.steps[first], runs)});
    if (!every_step) continue;
    table.rows.back().insert(table.rows.back().begin() + 1, std::to_string(state.schedule.group_of[first]));
  }
  table.rows.push_back({"", "total", "", ""});
  if (every_step) table.rows.back().insert(table.rows.back().begin(), "");

  for (const ExplainRun& run : runs) {
    const Extents extents = chosen_extents(state, run.at);
    const bool timed = !run.seconds.empty();
    if (!run.title.empty()) table.groups.emplace_back(table.head.size(), run.title);
    table.head.insert(table.head.end(), {{"FLOPs", true}, {"bytes", true, 1}});
    if (timed) table.head.push_back({"us/run", true, 1});
    if (timed && folded) table.head.push_back({"each", true, 1});
    StepCost total;
    double total_seconds = 0;
    const auto add = [&](std::vector<std::string>& row, const StepCost& cost, double seconds, size_t steps) {
      row.insert(row.end(), {figure(cost.flops), figure(cost.bytes)});
      if (timed) row.push_back(microseconds(seconds));
      if (timed && folded) row.push_back(steps > 1 ? microseconds(seconds / static_cast<double>(steps)) : "");
    };
    for (size_t l = 0; l < lines.size(); ++l) {
      StepCost cost;
      double seconds = 0;
      for (const size_t step : lines[l].steps) {
        const StepCost one = step_cost(graph, graph.steps[step], extents);
        cost.flops += one.flops, cost.bytes += one.bytes;
        if (timed) seconds += run.seconds[step];
      }
      add(table.rows[l], cost, seconds, lines[l].steps.size());
      total.flops += cost.flops, total.bytes += cost.bytes, total_seconds += seconds;
    }
    add(table.rows.back(), total, total_seconds, 1);
  }
  return summary(state, equal, runs, folded) + table.text();
}

std::string Plan::explain_json(const Limits& at) const {
  const PlanState& state = this->state();
  const GraphRecord& graph = *state.graph;
  const Extents extents = chosen_extents(state, at);
  nlohmann::ordered_json json;
  json["device"] = state.device.name();
  json["precision"] = name(state.options.precision);
  json["memory"] = {{"weights", state.memory.weights},
                    {"packed_weights", state.memory.packed_weights},
                    {"mapped_weights", state.memory.mapped_weights},
                    {"replaced_weights", state.memory.replaced_weights},
                    {"arena", state.memory.arena},
                    {"intermediates", state.memory.intermediates},
                    {"scratch", state.memory.scratch}};
  json["caches"] = nlohmann::ordered_json::array();
  for (const CacheRecord& cache : graph.caches) {
    nlohmann::ordered_json fields = nlohmann::ordered_json::array();
    for (const ValueId field : cache.fields) {
      fields.push_back({{"name", graph.values[field].name}, {"format", name(graph.values[field].format)}});
      for (const CacheFallback& fallback : state.cache_fallbacks) {
        if (fallback.field != field) continue;
        fields.back()["wanted"] = name(fallback.wanted);
        fields.back()["reason"] = fallback.reason;
      }
    }
    json["caches"].push_back({{"name", cache.name}, {"fields", std::move(fields)}});
  }
  json["layers"] = attention_steps(graph);
  json["steps_per_layer"] = steps_per_layer(graph);
  add_schedule(json, state, barriers());
  json["steps"] = nlohmann::ordered_json::array();
  for (size_t i = 0; i < graph.steps.size(); ++i) {
    const Step& step = graph.steps[i];
    const StepCost cost = step_cost(graph, step, extents);
    nlohmann::ordered_json item = {{"name", step.name},
                                   {"kind", name(step.kind)},
                                   {"kernel", state.steps[i].kernel},
                                   {"flops", cost.flops},
                                   {"bytes", cost.bytes},
                                   {"scratch", state.steps[i].scratch_bytes},
                                   {"group", state.schedule.group_of[i]},
                                   {"device", state.schedule.devices[i]}};
    for (const ValueId output : step.outputs) {
      nlohmann::ordered_json axes = nlohmann::ordered_json::array();
      for (const AxisId axis : graph.values[output].axes) {
        axes.push_back(
            {{"axis", graph.axes[axis].name}, {"extent", extents[axis]}, {"run_time", !state.known.known(axis)}});
      }
      item["writes"].push_back(
          {{"name", graph.values[output].name}, {"format", name(graph.values[output].format)}, {"axes", axes}});
    }
    for (const KernelRange& kernel : state.steps[i].kernels) {
      nlohmann::ordered_json range = {{"name", kernel.name}, {"first_rows", kernel.first_rows}};
      if (kernel.last_rows != kAnyRows) range["last_rows"] = kernel.last_rows;
      item["kernels"].push_back(std::move(range));
    }
    if (const RunTimes& times = state.steps[i].times; times.runs() > 0) {
      item["ran"] = state.steps[i].ran;
      item.update(times_json(times));
    }
    json["steps"].push_back(std::move(item));
  }
  if (state.run_times.runs() > 0) json["whole_runs"] = times_json(state.run_times);
  return json.dump(2) + "\n";
}

}  // namespace weft
