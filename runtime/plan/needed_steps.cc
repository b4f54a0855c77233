#include "runtime/plan/needed_steps.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "core/error.h"
#include "runtime/plan/schedule.h"

namespace weft {

GraphRecord with_results(const GraphRecord& graph, std::span<const ValueId> results) {
  const std::vector<std::vector<size_t>> dependencies = step_dependencies(graph);
  std::vector<bool> needed(graph.steps.size());
  for (const ValueId result : results) {
    if (result < graph.values.size() && graph.values[result].kind != ValueKind::intermediate) continue;
    const auto writes = [result](const Step& step) {
      return std::find(step.outputs.begin(), step.outputs.end(), result) != step.outputs.end();
    };
    const auto step = std::find_if(graph.steps.begin(), graph.steps.end(), writes);
    if (step == graph.steps.end()) throw Error("result #" + std::to_string(result) + " is not a value of the graph");
    needed[static_cast<size_t>(step - graph.steps.begin())] = true;
  }
  // A step depends on earlier ones alone.
  for (size_t i = graph.steps.size(); i-- > 0;) {
    if (!needed[i]) continue;
    for (const size_t earlier : dependencies[i]) needed[earlier] = true;
  }
  GraphRecord kept = graph;
  kept.steps.clear();
  for (size_t i = 0; i < graph.steps.size(); ++i) {
    if (needed[i]) kept.steps.push_back(graph.steps[i]);
  }
  kept.results.assign(results.begin(), results.end());
  return kept;
}

}  // namespace weft
