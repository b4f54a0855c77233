// What the generation engine needs to know about a model: its graph, and which values are which. A model file
// (models/*.h) builds one from weights.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "core/axis.h"
#include "core/record/graph.h"

namespace weft {

struct ModelDeclaration;

// A result that an engine hands out by its name. Names with a meaning:
//   hidden     [rows, ...] or [pos, ...]  what the logits are computed from, or an encoder's vector of each token
//   embedding  [rows, ...]                one vector for the text up to the row's token, pooled by the model itself
struct NamedResult {
  std::string name;
  ValueId value = kNoValue;
};

// An axis on which the values of all sequences that an engine holds lie one after the other, as their tokens do on
// `pos`: encoded frames, say. Inputs that lead with it are given once per sequence.
struct SequenceAxis {
  AxisId axis = kNoAxis;
  ValueId owner = kNoValue;  // input, i32 [axis]: the sequence that each row belongs to, as `sequence` says of tokens
};

// A model that reads sequences of tokens, or of vectors in their place. All tokens of a step, of all its sequences, are
// packed on axis `pos`; a sequence's tokens are consecutive and in order. The caches say which values hold positions,
// slots and sequences of the tokens.
// All other inputs of the graph are the caller's, who gives them to an engine by their names in the graph. Those over
// [pos, ...] and [rows, ...] have a row for each token or row of a step; those over a sequence axis belong to a
// sequence; the rest are given once, for all runs that follow.
// Threads may share one that none of them changes, to make their engines from it.
struct LanguageModel {
  std::string architecture;  // as its file calls it
  std::string name;          // as the file states it; may be empty
  std::shared_ptr<const GraphRecord> graph;

  // Inputs, i32.
  ValueId tokens = kNoValue;    // [pos]
  ValueId position = kNoValue;  // [pos] position of each token in its sequence
  ValueId sequence = kNoValue;  // [pos] row of the page tables
  ValueId slots = kNoValue;     // [pos] of the caches (of group 0, where groups differ: see CacheRecord::slots)
  ValueId last = kNoValue;      // [rows] tokens of the step whose logits are requested: coordinates on `pos`

  ValueId logits = kNoValue;         // result, f32 [rows, vocab]; kNoValue: the model has none
  std::vector<NamedResult> results;  // others

  // By group of the caches: how many tokens a query sees, including itself; 0 or absent: all. What a mask in the
  // graph lets a query see must lie within; the cache forgets the rest.
  std::vector<int32_t> windows;

  // A query sees later tokens too, so all tokens of a sequence are read in one step.
  bool bidirectional = false;

  std::vector<SequenceAxis> sequence_axes;
  // The largest extents of run-time axes besides tokens, rows and keys; of a sequence axis, for one sequence.
  std::vector<std::pair<AxisId, int64_t>> limits;

  AxisId pos_axis = kNoAxis;   // tokens of a step
  AxisId rows_axis = kNoAxis;  // rows of logits
  int64_t vocab = 0;           // ids of tokens are below this
  int64_t context_length = 0;  // tokens per sequence that the model was trained for
  // Rotary frequencies for a context, where they depend on its length ("dynamic" and "longrope" scaling); empty if they
  // do not. None are returned where those of the graph are right. An engine uses those for its context, so that cached
  // keys never have to be rotated again.
  std::function<std::vector<float>(int64_t context)> frequencies;

  std::shared_ptr<const ModelDeclaration> declaration;  // null for a model that cannot be converted

  // Keeps a value of the recorded graph (a handle of core/expr/value.h) readable after a run, by this name. Throws
  // Error for a value of another graph, a handle without a value, and a name that another result has.
  template <class Handle>
  void result(const std::string& result_name, const Handle& value) {
    const auto& recorder = value.recorder();
    add_result(result_name, recorder == nullptr ? nullptr : recorder->record(), value.id());
  }
  // States the largest extent of a run-time axis: see `limits`. Throws Error for an axis that the graph lacks.
  template <Axis A>
  void limit(int64_t extent) {
    limits.emplace_back(axis_id(axis_info<A>), extent);
  }
  // Makes the axis of `owner`, an input i32 [A], a sequence axis.
  template <class Handle>
  void by_sequence(const Handle& owner) {
    add_sequence_axis(owner.recorder() == nullptr ? nullptr : owner.recorder()->record(), owner.id());
  }

 private:
  void add_result(const std::string& result_name, const std::shared_ptr<GraphRecord>& of, ValueId value);
  void add_sequence_axis(const std::shared_ptr<GraphRecord>& of, ValueId owner);
  AxisId axis_id(const AxisInfo& axis) const;
};

// Throws Error for a model without a graph, or one that refers to something that its graph lacks, for results of one
// name, and for a limit that is not between 1 and 2^31 - 1.
void check_model(const LanguageModel& model);

}  // namespace weft
