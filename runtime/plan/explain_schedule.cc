#include "runtime/plan/explain_schedule.h"

#include <algorithm>
#include <cstdio>
#include <nlohmann/json.hpp>
#include <numeric>
#include <optional>
#include <set>

#include "core/comma_list.h"

namespace weft {

namespace {

// Sums of what is counted by group, from one layer to the next: from the end of the first attention's group to that of
// the last, divided by the layers between. Nothing where layers differ in their steps.
std::optional<double> per_layer(const PlanState& state, std::span<const int64_t> by_group) {
  if (steps_per_layer(*state.graph) == 0) return std::nullopt;
  std::vector<size_t> groups;
  for (size_t s = 0; s < state.graph->steps.size(); ++s) {
    if (state.graph->steps[s].kind == StepKind::attention) groups.push_back(state.schedule.group_of[s]);
  }
  const auto [first, last] = std::minmax_element(groups.begin(), groups.end());
  int64_t sum = 0;
  for (size_t g = *first + 1; g <= *last; ++g) sum += by_group[g];
  return static_cast<double>(sum) / static_cast<double>(groups.size() - 1);
}

int64_t total(std::span<const int64_t> by_group) {
  return std::accumulate(by_group.begin(), by_group.end(), int64_t{0});
}

// "7", "7.5"
std::string number(double value) {
  char text[32];
  std::snprintf(text, sizeof text, "%.1f", value);
  const std::string_view digits = text;
  return std::string(digits.ends_with(".0") ? digits.substr(0, digits.size() - 2) : digits);
}

}  // namespace

std::string schedule_text(const PlanState& state, std::span<const EqualSteps> lines, std::span<const ExplainRun> runs) {
  const GraphRecord& graph = *state.graph;
  const std::vector<StepGroup>& groups = state.schedule.groups;
  std::string text = "groups     " + std::to_string(groups.size());
  const std::vector<int64_t> ones(groups.size(), 1);
  const std::optional<double> in_layer = per_layer(state, ones);
  if (in_layer) text += ": " + number(*in_layer) + " per layer";
  if (state.device.is_cpu()) text += std::string(in_layer ? ";" : ":") + " a barrier ends every group";
  text += "\n";

  std::vector<size_t> line_of(graph.steps.size());
  std::vector<std::string> names;  // of values
  for (const ValueRecord& value : graph.values) names.push_back(value.name);
  for (size_t l = 0; l < lines.size(); ++l) {
    for (const size_t step : lines[l].steps) {
      line_of[step] = l;
      const std::vector<ValueId>& outputs = graph.steps[step].outputs;
      if (outputs.size() == 1) names[outputs[0]] = lines[l].name;
    }
  }
  std::set<std::vector<size_t>> said;
  for (const StepGroup& group : groups) {
    if (group.steps.size() < 2) continue;
    std::vector<size_t> members;
    for (const size_t step : group.steps) members.push_back(line_of[step]);
    if (!said.insert(members).second) continue;
    std::vector<std::string> steps;
    for (const size_t line : members) steps.push_back(lines[line].name);
    text += "           " + comma_list(steps) + " share " +
            comma_list(shared_inputs(graph, group, [&names](ValueId value) { return names[value]; })) + "\n";
  }

  std::string barriers;
  for (const ExplainRun& run : runs) {
    if (run.barriers.empty()) continue;
    barriers += (barriers.empty() ? "barriers   " : "; ") + std::to_string(total(run.barriers)) + " per " +
                (run.unit.empty() ? "run" : run.unit);
    if (const auto layer = per_layer(state, run.barriers)) barriers += ", " + number(*layer) + " per layer";
  }
  if (!barriers.empty()) text += barriers + "\n";
  return text;
}

void add_schedule(nlohmann::ordered_json& json, const PlanState& state, std::span<const int64_t> barriers) {
  const GraphRecord& graph = *state.graph;
  json["groups"] = nlohmann::ordered_json::array();
  for (size_t g = 0; g < state.schedule.groups.size(); ++g) {
    const StepGroup& group = state.schedule.groups[g];
    nlohmann::ordered_json item = {{"device", group.device}, {"steps", nlohmann::ordered_json::array()}};
    for (const size_t step : group.steps) item["steps"].push_back(graph.steps[step].name);
    item["shares"] = shared_inputs(graph, group, [&graph](ValueId value) { return graph.values[value].name; });
    if (!barriers.empty()) item["barriers"] = barriers[g];
    json["groups"].push_back(std::move(item));
  }
  if (barriers.empty()) return;
  json["barriers"] = total(barriers);
  if (const auto layer = per_layer(state, barriers)) json["barriers_per_layer"] = *layer;
}

}  // namespace weft
