// Compares a trace with a recording, value by value, while the trace is made.
//
// The size of a difference is |a - b| over the largest finite |element| of the recorded value (over 1 where that
// is 0). NaN equals NaN and an infinity equals itself; any other difference from something that is not finite is
// infinite, and so is any difference between integers or booleans (ids of experts, say): these agree or they do
// not. Each comparison is for one thread at a time.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "runtime/trace/recording.h"
#include "runtime/trace/trace.h"
#include "runtime/trace/trace_map.h"

namespace weft {

struct Difference {
  int64_t at = -1;  // element, in the order of the value's axes; -1 for none
  double here = 0, recorded = 0;
  double absolute = 0, relative = 0;
};

struct ComparedValue {
  TracedValue value;
  enum class State : uint8_t { compared, absent, left_out, misfit } state = State::compared;
  std::string recorded_as;    // name in the recording; empty if it is absent or left out
  std::string reason;         // misfit: why the two cannot be compared
  double scale = 0;           // largest |element| of the recording
  Difference largest, first;  // of all elements; the first beyond the tolerance, in the order of elements
  int64_t beyond = 0;         // elements beyond the tolerance
  bool differs() const { return state == State::misfit || beyond > 0; }
};

class TraceComparison final : public TraceSink {
 public:
  // `map`: null where the recording uses the names of traces. The recording must outlive this.
  TraceComparison(const Recording& recording, const TraceMap* map, double tolerance)
      : recording_(recording), map_(map), tolerance_(tolerance) {}

  // Throws Error where the recording was made with other tokens, or has none of the values.
  void begin(const std::vector<TracedValue>& values, std::span<const int32_t> tokens) override;
  void take(size_t value, int64_t first, int64_t count, std::span<const std::byte> data) override;

  const std::vector<ComparedValue>& values() const { return values_; }
  // Tensors of the recording that were not compared with anything.
  std::vector<std::string> unused() const;

 private:
  struct Alignment {
    const SafetensorsTensor* tensor = nullptr;
    std::vector<std::vector<int64_t>> offsets;  // by axis and coordinate: the element there is at their sum
  };

  std::optional<Alignment> align(ComparedValue& compared) const;

  const Recording& recording_;
  const TraceMap* map_;
  double tolerance_;
  std::vector<ComparedValue> values_;
  std::vector<Alignment> alignments_;  // by value
};

// Compares the results of expanded steps with what the reference computes from the same inputs ("NAME" with
// "NAME/reference"): a difference that originates in this very step.
class ReferenceComparison final : public TraceSink {
 public:
  explicit ReferenceComparison(double tolerance) : tolerance_(tolerance) {}

  void begin(const std::vector<TracedValue>& values, std::span<const int32_t> tokens) override;
  void take(size_t value, int64_t first, int64_t count, std::span<const std::byte> data) override;

  // Of expanded steps; "recorded" is the reference.
  const std::vector<ComparedValue>& values() const { return values_; }

 private:
  double tolerance_;
  std::vector<TracedValue> traced_;
  std::vector<int> reference_of_;  // by value: index of its reference, or -1
  std::vector<std::vector<std::byte>> kept_;
  std::vector<ComparedValue> values_;
};

// "pos 3, head_dim 17" for an element of a value.
std::string coordinates_text(const TracedValue& value, int64_t element);

}  // namespace weft
