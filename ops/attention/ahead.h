// Reading ahead while a block of keys is computed.
#pragma once

#include <cstddef>
#include <cstdint>

#include "ops/contract/kernels.h"
#include "ops/cpu/cpu_target.h"

namespace weft {

// Asks for what the next block of keys reads, line by line in the order of memory, and evenly while this block is
// computed. Lines that are asked for at once fill the first cache's few buffers of misses, which what is computed
// meanwhile needs, too; then nothing is on its way while no rows are read. In another order, the second cache does not
// see that they follow each other, and fetches nothing ahead itself.
class Ahead {
 public:
  static constexpr int kMostOperands = 5;

  // Before each block, followed by add() for its operands.
  void begin_block() {
    work_of_block_ = work_;
    work_ = asked_ = lines_ = operands_ = operand_ = row_ = rate_ = 0;
    at_ = end_ = nullptr;
  }
  // `count` rows of so many bytes.
  void add(RowPointers rows, int64_t count, int64_t bytes) {
    of_[operands_++] = {rows, count, bytes};
    lines_ += count * ((bytes + 63) / 64);
    if (work_of_block_ > 0) rate_ = (lines_ << kRateBits) / work_of_block_;
  }
  // To be called with estimates of the cycles that what follows takes: they count as shares of the last block's.
  void ask(int64_t work) {
    work_ += work;
    int64_t left = ((work_ * rate_) >> kRateBits) - asked_;
    if (left <= 0) return;
    asked_ += left;
    const std::byte *at = at_, *end = end_;
    while (left > 0) {
      if (at >= end) {
        if (!next_row()) return;
        at = at_;
        end = end_;
      }
      for (; left > 0 && at < end; --left, at += 64) fetch_line(at);
    }
    at_ = at;
  }

 private:
  static constexpr int kRateBits = 16;
  struct Rows {
    RowPointers rows;
    int64_t count, bytes;
  };
  bool next_row() {
    while (operand_ < operands_ && row_ >= of_[operand_].count) {
      ++operand_;
      row_ = 0;
    }
    if (operand_ == operands_) return false;
    const Rows& of = of_[operand_];
    at_ = of.rows[row_++];
    end_ = at_ + of.bytes;
    return true;
  }

  Rows of_[kMostOperands];
  int operands_ = 0, operand_ = 0;
  int64_t row_ = 0, lines_ = 0, asked_ = 0, work_ = 0, work_of_block_ = 0, rate_ = 0;
  const std::byte *at_ = nullptr, *end_ = nullptr;
};

}  // namespace weft
