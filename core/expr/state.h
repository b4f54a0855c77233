// What a recurrence carries from token to token, as the typed surface sees it: a value of these axes for each sequence.
//
//   State<Head, StateDim, HeadDim> state(graph, batch, "blk.0.ssm");
//   auto y = materialize(scan(state, q, k, v, decay));
//
// It is zero where a sequence begins, and belongs to a sequence as its cached tokens do: a fork begins with a copy. It
// is stored in f32. One scan or convolution of the graph reads and writes it. Like values, states are handles to a
// graph: see Graph for threads.
#pragma once

#include <memory>
#include <string>

#include "core/expr/batch.h"

namespace weft {

// What states share, whatever their axes. Using a handle without a state throws Error.
class StateHandle {
 public:
  StateHandle() = default;

  int index() const;  // into GraphRecord::states
  const std::shared_ptr<Recorder>& recorder() const;

 protected:
  // Throws Error where the batch belongs to another graph, or its positions have no value.
  StateHandle(Graph& graph, const Batch& batch, const std::string& name, const AxisList& axes);

 private:
  std::shared_ptr<Recorder> recorder_;
  int index_ = -1;
};

template <Axis... A>
  requires(are_distinct<Axes<A...>> && sizeof...(A) >= 2 && sizeof...(A) < kMaxRank && !contains_axis<Pos, Axes<A...>>)
class State : public StateHandle {
 public:
  using axes = Axes<A...>;

  State() = default;
  State(Graph& graph, const Batch& batch, const std::string& name)
      : StateHandle(graph, batch, name, axis_list<axes>::get()) {}
};

}  // namespace weft
