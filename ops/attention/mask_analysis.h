// Decides whether a score program masks a whole block of query x key coordinates, so that attention can skip it, or
// nothing of it, so that it need not ask.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "core/record/scalar.h"

namespace weft {

// Values of an i32 source over a block, both ends included.
struct IntRange {
  int32_t low = 0, high = 0;
};

// Interval arithmetic over the i32 and bool8 instructions of a program; of the f32 instructions only those are
// followed whose result is one known number, whatever the sources hold.
class MaskAnalysis {
 public:
  MaskAnalysis() = default;
  explicit MaskAnalysis(const ScalarProgram& program);

  // The i32 source instructions that the score depends on, in the order of `ranges`.
  std::span<const ScalarInstr> sources() const { return sources_; }
  // False where always_masked() is never true: the program has no -inf to give.
  bool can_mask() const { return can_mask_; }

  // True only if the score is -inf for every combination of values within the ranges and any values of the other
  // sources (NaN and infinities included). Allocates nothing.
  bool always_masked(std::span<const IntRange> ranges) const;

  // Of a program that chooses between -inf and an instruction: the latter. None: it is not of that form.
  std::optional<uint16_t> unmasked() const;
  // True only if the score is what unmasked() computes, for every combination of values as above. Allocates nothing.
  bool never_masked(std::span<const IntRange> ranges) const;

 private:
  static constexpr size_t kMaxInstructions = 128;  // a longer program is never skipped

  std::vector<ScalarInstr> code_;
  std::vector<int> source_of_;  // by instruction: position in sources_, or -1
  std::vector<ScalarInstr> sources_;
  bool can_mask_ = false;
};

}  // namespace weft
