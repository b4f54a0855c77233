#include "runtime/plan/eval.h"

#include <algorithm>

#include "core/error.h"

namespace weft {

std::vector<EvalResult> evaluate(const Device& device, std::shared_ptr<const GraphRecord> graph,
                                 std::span<const EvalInput> inputs, const PlanOptions& options, const Limits& extents) {
  if (graph == nullptr) throw Error("evaluate: no graph was given: the pointer is null");
  if (!graph->caches.empty()) throw Error("evaluate: a graph with caches needs a plan");
  // The limits are this run's extents. Where extents disagree, the check of the bindings gives the better message.
  const ExtentTable known = ExtentTable::of_graph(*graph);
  Limits limits;
  std::vector<int64_t> largest(graph->axes.size(), kUnknownExtent);
  for (const EvalInput& input : inputs) {
    if (input.value == kNoValue) throw Error("evaluate: the handle of an input has no value");
    if (input.value >= graph->values.size()) throw Error("evaluate: no value " + std::to_string(input.value));
    const std::vector<AxisId>& axes = graph->values[input.value].axes;
    for (size_t i = 0; i < std::min(axes.size(), input.extents.size()); ++i) {
      largest[axes[i]] = std::max(largest[axes[i]], input.extents[i]);
    }
  }
  for (const auto& [axis, extent] : extents.extents) {
    if (axis < largest.size()) largest[axis] = std::max(largest[axis], extent);
  }
  for (size_t i = 0; i < largest.size(); ++i) {
    const auto axis = static_cast<AxisId>(i);
    if (largest[i] != kUnknownExtent && !known.known(axis)) limits.set(axis, largest[i]);
  }

  Plan plan = compile(device, graph, limits, options);
  Bindings bindings = plan.bindings();
  for (const EvalInput& input : inputs) bindings.input(input.value, input.data, input.extents);
  for (const auto& [axis, extent] : extents.extents) bindings.extent(axis, extent);
  plan.run(bindings);

  std::vector<EvalResult> results;
  for (const ValueId id : graph->results) {
    const Output output = plan.output(id);
    EvalResult result;
    result.format = output.format;
    result.extents.assign(output.extents, output.extents + output.rank);
    const size_t row = output.rank == 0 ? 1 : static_cast<size_t>(output.extents[output.rank - 1]);
    const size_t rows = row == 0 ? 0 : static_cast<size_t>(output.elements()) / row;
    const auto* data = static_cast<const std::byte*>(output.data);
    result.bytes.assign(data, data + rows * row_bytes(output.format, row));
    results.push_back(std::move(result));
  }
  return results;
}

namespace eval_detail {

std::vector<std::shared_ptr<Storage>> run(const Device& device, const StepRequest& request,
                                          const PlanOptions& options) {
  const auto recorder = std::make_shared<Recorder>();
  for (const ValueId id : record_step(request, recorder)) recorder->record()->results.push_back(id);
  std::vector<std::shared_ptr<Storage>> storages;
  for (EvalResult& result : evaluate(device, recorder->record(), {}, options)) {
    const auto bytes = std::make_shared<std::vector<std::byte>>(std::move(result.bytes));
    auto storage = std::make_shared<Storage>();
    storage->format = result.format;
    storage->extents = std::move(result.extents);
    storage->data = bytes->data();
    storage->owner = bytes;
    storages.push_back(std::move(storage));
  }
  return storages;
}

}  // namespace eval_detail

}  // namespace weft
