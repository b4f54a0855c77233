// What a model reads besides its tokens: values that the caller gives an engine by name.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/aligned_bytes.h"
#include "core/axis.h"
#include "runtime/files/language_model.h"
#include "runtime/generate/kv_cache.h"
#include "runtime/plan/plan.h"

namespace weft {

// Whether the record is of this axis. Records that are made by hand have axes without a type: there the name decides.
bool is_axis(const AxisRecord& record, const AxisInfo& axis);
// "pos x embed"
std::string axes_text(const GraphRecord& graph, std::span<const AxisId> axes);
std::string axes_text(std::span<const AxisInfo* const> axes);

// Values that are given: contiguous, in the order of the axes.
struct GivenValues {
  Element element = Element::f32;
  std::span<const AxisInfo* const> axes;
  std::span<const int64_t> extents;
  const void* data = nullptr;
};

// The inputs of a model's graph that its engine does not fill by itself, with memory for their largest extents. By the
// first axis of an input, its values are
//   pos, rows       rows for the tokens, or the rows of logits, of the step that is being built, in their order; given
//   at
//                   once or in parts, and forgotten after the run
//   sequence axis   rows of one sequence, kept until others are given for it or it is closed
//   any other       those of all runs that follow, until others are given
// Allocates nothing after construction. For one thread at a time.
class EngineInputs {
 public:
  // `plan`: of the model's graph, with limits for all axes; those of sequence axes are for `sequences` of them.
  // `filled`: the inputs that the engine fills. Throws Error, naming the input, for two of one name, one with the
  // tokens' axis in another place than the first, and a sequence axis that no input leads with.
  EngineInputs(const LanguageModel& model, const Plan& plan, std::span<const ValueId> filled, int32_t sequences);

  // Copies values for input `name`, of a sequence where it belongs to sequences. Throws Error, changing nothing, for a
  // name that there is not, for another element or other axes than the input has, extents that disagree with the graph
  // or with values of the same step or of other sequences, and extents above a limit.
  static constexpr int32_t kNoSequence = -1;
  void give(std::string_view name, const GivenValues& values, int32_t sequence, const PagedKvCache& cache);

  // Throws Error, naming the input, where something that a step of these tokens reads was not given. `tokens_of`: by
  // sequence, how many of the step's tokens are its own.
  void check(std::span<const int32_t> tokens_of, int32_t tokens, int32_t rows, const PagedKvCache& cache);
  void bind(Bindings& bindings) const;
  // Forgets what belonged to the step.
  void end_step();

 private:
  enum class Per : uint8_t { run, token, row, sequence };
  struct Input {
    ValueId value = kNoValue;
    Per per = Per::run;
    size_t element_bytes = 0;
    bool given = false;                       // of Per::run
    std::array<int64_t, kMaxRank> extents{};  // of what is there; the first one counts rows
    std::vector<int64_t> rows_of = {};        // Per::sequence: by sequence, which lie in that order
    std::vector<uint64_t> openings = {};      // and PagedKvCache::opening of the one that they were given for; 0: none
    AlignedBytes bytes = {};                  // for the limits
    size_t row_bytes(size_t rank) const;
  };
  // Who owns the rows of a sequence axis.
  struct Owners {
    SequenceAxis axis;
    std::vector<int32_t> sequence_of = {};  // [limit]
    size_t input = 0;                       // one of those that lead with the axis: its rows count
  };

  const ValueRecord& record(const Input& input) const { return graph_->values[input.value]; }
  std::string described(const Input& input) const;
  Input& find(std::string_view name);
  void check_axes(const Input& input, const GivenValues& values) const;
  void check_extents(const Input& input, const GivenValues& values, int64_t rows_before, int64_t rows_after) const;
  void set_rows_of_sequence(Input& input, int32_t sequence, const std::byte* data, int64_t rows);
  void drop_closed(Input& input, const PagedKvCache& cache);
  void check_sequences(std::span<const int32_t> tokens_of, const PagedKvCache& cache);

  const GraphRecord* graph_;  // the plan's
  const ExtentTable *known_, *limits_;
  std::vector<Input> inputs_;
  std::vector<Owners> owners_;
};

}  // namespace weft
