#include "core/expr/state.h"

#include "core/error.h"

namespace weft {

int StateHandle::index() const {
  if (recorder_ == nullptr) {
    throw Error(
        "a state handle has no state: it was default-constructed or moved from. "
        "State(graph, batch, name) makes a state");
  }
  return index_;
}

const std::shared_ptr<Recorder>& StateHandle::recorder() const {
  index();
  return recorder_;
}

StateHandle::StateHandle(Graph& graph, const Batch& batch, const std::string& name, const AxisList& axes)
    : recorder_(graph.recorder()) {
  if (batch.pos.recorder() == nullptr) throw Error("state '" + name + "': the batch's positions have no value");
  if (batch.pos.recorder() != recorder_) throw Error("state '" + name + "': the batch belongs to another graph");
  GraphRecord& records = *recorder_->record();
  StateRecord state;
  state.name = name;
  state.pos = records.values[batch.pos.id()].axes[0];
  if (records.states.empty()) {
    state.from = graph.input<i32, Pos>("state.from").id();
    state.to = graph.input<i32, Pos>("state.to").id();
  } else {  // all states of a graph move together
    state.from = records.states.front().from;
    state.to = records.states.front().to;
  }
  ValueRecord value;
  value.name = name;
  value.kind = ValueKind::state;
  value.axes = recorder_->axes(axes);
  state.value = recorder_->add_value(std::move(value));
  index_ = static_cast<int>(records.states.size());
  records.states.push_back(std::move(state));
}

}  // namespace weft
