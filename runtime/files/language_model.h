// What the generation engine needs to know about a model: its graph, and which values are which. A model file
// (models/*.h) builds one from weights.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "core/record/graph.h"

namespace weft {

struct ModelDeclaration;

// A decoder-only model. All tokens of a step, of all its sequences, are packed on axis `pos`; a sequence's tokens
// are consecutive and in order. The caches say which values hold positions, slots and sequences of the tokens.
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

  ValueId logits = kNoValue;  // result, f32 [rows, vocab]

  // By group of the caches: how many tokens a query sees, including itself; 0 or absent: all. What a mask in the
  // graph lets a query see must lie within; the cache forgets the rest.
  std::vector<int32_t> windows;

  AxisId pos_axis = kNoAxis;   // tokens of a step
  AxisId rows_axis = kNoAxis;  // rows of logits
  int64_t vocab = 0;
  int64_t context_length = 0;  // tokens per sequence that the model was trained for
  // Rotary frequencies for a context, where they depend on its length ("dynamic" and "longrope" scaling); empty if they
  // do not. None are returned where those of the graph are right. An engine uses those for its context, so that cached
  // keys never have to be rotated again.
  std::function<std::vector<float>(int64_t context)> frequencies;

  std::shared_ptr<const ModelDeclaration> declaration;  // null for a model that cannot be converted
};

// Throws Error for a model without a graph, or one that refers to something that its graph lacks.
void check_model(const LanguageModel& model);

}  // namespace weft
