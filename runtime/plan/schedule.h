// The schedule pass: the order in which the steps of a graph run, which of them run together, and on which device.
//
// A group is a set of steps none of which depends on another and that share activations (q, k and v of one hidden
// state). The steps of a group follow each other on the same threads without waiting; a barrier ends the group. So what
// any of them writes, and the scratch of each, must lie apart from what the others use.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <vector>

#include "core/record/graph.h"

namespace weft {

using DeviceIndex = uint32_t;  // into the devices of a plan, of which there is one today

struct StepGroup {
  DeviceIndex device = 0;
  std::vector<size_t> steps;  // indices in the graph, ascending; they run in this order
  // Inputs and intermediate values that several of the steps read.
  std::vector<ValueId> shared;
  // Contractions with equal left-hand rows: the same source of the same operands, contracted over the same axes in the
  // same order. Each list has at least two, which may belong to one step. On the CPU, what one of them needs done to
  // the rows (evaluated, quantized, brought into tiles) is done once for all (ops/cpu/group_rows.h).
  std::vector<std::vector<ContractionRef>> shared_rows;
};

struct Schedule {
  std::vector<StepGroup> groups;     // in the order in which they run
  std::vector<size_t> group_of;      // by step
  std::vector<DeviceIndex> devices;  // by step
};

// Values that a step reads, each once, ascending: those of its operands, and what tells it where cached tokens lie.
std::vector<ValueId> values_read(const GraphRecord& graph, const Step& step);

// By step: the earlier steps that must have ended before it begins, ascending. These are the steps that write what it
// reads; for a step that reads a cache, the last append to it before; for an append, what read the cache or appended to
// it before.
std::vector<std::vector<size_t>> step_dependencies(const GraphRecord& graph);

// For a verified graph. Groups come in the order in which the first step of each was recorded. Later steps join it
// if they do not depend on a step that has yet to end, are on its device, and read an input or intermediate value that
// it reads too; unless the values that are alive at once would then take more memory than at any time in the order as
// recorded. `extents`: by AxisId, to count memory with. `devices`: by step; empty: all on device 0.
Schedule schedule_steps(const GraphRecord& graph, const int64_t* extents, std::span<const DeviceIndex> devices = {});

// Divides groups of steps whose scratch, which must not overlap, takes too much memory. A group may need half more than
// the step that needs most in the order as recorded, or 4 MiB more: values that are alive and scratch together. What
// steps share comes on top.
// `scratch_bytes`: by step, known when kernels are. Returns whether a group was divided.
bool limit_memory(Schedule& schedule, const GraphRecord& graph, const int64_t* extents,
                  std::span<const size_t> scratch_bytes);

// What the steps of a group share, for people: "norm of x", "pos". `name_of`: of a value.
std::vector<std::string> shared_inputs(const GraphRecord& graph, const StepGroup& group,
                                       const std::function<std::string(ValueId)>& name_of);
// A line for each group, as passes and `explain --records` print it.
std::string to_string(const GraphRecord& graph, const Schedule& schedule);

}  // namespace weft
