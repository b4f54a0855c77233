// Recomputes a step with the reference, from values that a device computed: its parts and its results.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "ops/harness/reference.h"
#include "runtime/files/language_model.h"
#include "runtime/plan/extents.h"

namespace weft {

// For a prompt of one sequence that was processed in one run, from an empty cache.
class StepReference {
 public:
  // `graph`: the model's, as in the plan. `extents`: of that run. `tokens` must outlive this.
  StepReference(const LanguageModel& model, const GraphRecord& graph, std::span<const int32_t> tokens,
                const int64_t* extents);

  // Sets the address of a value that the device computed: contiguous; for a field of a cache, one row per token.
  void set(ValueId value, const void* data) { data_[value] = const_cast<void*>(data); }

  // Every value that the step reads must have been set. Results: of Step::outputs, each until the next run.
  void run(const Step& step, const VisitPart& visit);
  std::span<const std::byte> result(size_t output) const { return results_[output]; }

 private:
  void decode_weights(const Step& step);

  GraphRecord graph_;                     // with the weights of the current step as f32
  std::vector<int64_t> extents_;          // by AxisId
  std::vector<void*> data_;               // by ValueId
  std::vector<int32_t> numbers_, zeros_;  // 0, 1, 2 ... : positions and slots; sequences
  int32_t length_ = 0;
  std::vector<PageTable> pages_;  // pages of one slot: slot j holds token j
  struct Decoded {
    ValueId value;
    std::vector<float> elements;
  };
  std::vector<Decoded> decoded_;
  std::vector<std::vector<std::byte>> results_;
  std::vector<int32_t> positions_;  // what an append writes besides the fields
};

}  // namespace weft
