// Turns expressions into graph records. Not used directly: Graph (core/expr/value.h) and materialize are its
// interface. One thread at a time records into a graph; graphs are independent of each other.
#pragma once

#include <memory>
#include <span>
#include <string>
#include <unordered_map>
#include <vector>

#include "core/expr/node.h"
#include "core/record/graph.h"

namespace weft {

class Recorder : public std::enable_shared_from_this<Recorder> {
 public:
  // An instance of an axis type: see core/expr/axis_scope.h. Instance 0 is the type's first.
  AxisId axis(const AxisInfo* info, uint16_t instance = 0);
  std::vector<AxisId> axes(const AxisList& list);
  // The instance that a weight of this extent has: the first that has this extent, or none yet.
  AxisId axis_of_extent(const AxisInfo* info, int64_t extent);
  std::string describe(AxisId axis) const;  // "256", or "instance 2" where no weight has said its extent
  ValueId add_value(ValueRecord value);
  // The graph value for a tensor or weight, added on first use.
  ValueId value_of(const std::shared_ptr<const Storage>& storage, const AxisList& stored_axes);
  void add_rule(ExtentRule rule);

  const std::shared_ptr<GraphRecord>& record() const { return record_; }

 private:
  std::shared_ptr<GraphRecord> record_ = std::make_shared<GraphRecord>();
  struct Instance {
    AxisId axis = kNoAxis;
    int64_t extent = -1;  // that weights have; -1: none has it yet
  };
  std::unordered_map<const AxisInfo*, std::vector<Instance>> instances_;
  std::unordered_multimap<const Storage*, ValueId> storage_ids_;
};

// One region of a step: an expression and the order of its axes in memory.
struct RegionRequest {
  NodePtr expression;
  AxisList axes;
};

// What materialize asks for.
struct StepRequest {
  std::vector<RegionRequest> regions = {};
  std::string name = {};             // of the step and its first value; empty: generated
  const AxisInfo* select = nullptr;  // axis of a row-wise selection
  const AxisInfo* choice = nullptr;  // its result axis; null for argmax
  int64_t choices = 0;               // k
  bool statistics = false;           // of attention
  int cache = -1;                    // append
  // custom: the op's name, its rows' axis, operands and constants; the expression is the sum of the operands
  std::string op = {};
  const AxisInfo* along = nullptr;
  std::vector<NodePtr> operands = {};
  std::vector<float> constants = {};
};

// Lowers to exactly one step and returns its outputs. The graph is that of the expression's values. Throws Error
// if the values belong to two graphs or to none, and for an expression without a value.
std::vector<ValueId> record_step(const StepRequest& request, std::shared_ptr<Recorder> recorder = nullptr);

// The graph that an expression's values belong to; null if it has none.
std::shared_ptr<Recorder> find_recorder(const NodePtr& node);

}  // namespace weft
