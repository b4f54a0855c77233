// Tiles of the attention kernel with products in bf16.
#include <algorithm>

#include "core/align.h"
#include "ops/attention/tiles.h"

namespace weft {

// Queries in the form of the bf16 kernels; false where these cannot compute the tile, or f32 ones are faster.
bool AttentionKernel::enter_in_bf16(const Tile& tile, Thread& thread) const {
  if (bf16_ == nullptr || tile.batch_rows() < kBf16FirstRows) return false;
  if (tile.few) {
    thread.value_step = batch_step(tile, value_.front(), thread.value, true, thread);
    if (thread.value_step == Thread::kApart) return false;
    for (size_t i = 0; i < scores_.size(); ++i) {
      thread.key_step[i] = batch_step(tile, scores_[i].keys, thread.keys[i], true, thread);
      if (thread.key_step[i] == Thread::kApart) return false;
    }
  }
  for (size_t i = 0; i < scores_.size(); ++i) {
    const Score& score = scores_[i];
    const int64_t k = thread.lhs[i].k(), head_rows = tile.batch_rows();
    const auto* const* left = at<const float*>(thread.base, score.left_at);
    std::byte* packed = thread.base + score.bf16_queries_at;
    if (!tile.few) {
      bf16_->pack_queries(left, tile.rows(), k, packed);
      continue;
    }
    bf16_->pack_few_queries(left, tile.batch_count, head_rows, k, packed);
  }
  thread.ahead = {};
  bf16_->begin(tile.few ? tile.batch_rows() : 0);
  return true;
}

// As process(); false where a sum is not finite.
bool AttentionKernel::process_in_bf16(const Tile& tile, int64_t first, int64_t last, Thread& thread) const {
  const int64_t rows = tile.rows(), padded = std::min(align_up(rows, kBf16Rows), tile_rows_);
  auto* totals = at<float>(thread.base, totals_at_);
  reset(*thread.state, rows);
  std::fill(thread.sums, thread.sums + padded * stride_, 0.0f);
  std::fill(totals, totals + rows * kPartialTotals, 0.0f);
  for (int64_t key = first; key < last; key += kBlockKeys) {
    const int64_t count = std::min(kBlockKeys, last - key);
    if (masked(tile, key, count, thread)) continue;
    if (!tile.few) {
      block_in_bf16(tile, key, count, thread);
      continue;
    }
    find_next(tile, key + kBlockKeys, std::clamp<int64_t>(last - key - kBlockKeys, 0, kBlockKeys), thread);
    few_block_in_bf16(tile, key, count, thread);
  }
  bf16_->finish_totals(totals, rows, *thread.state);
  return all_finite(thread.sums, rows * stride_);
}

// The scores of rows [begin, end), as weights.
void AttentionKernel::soften_in_bf16(int64_t begin, int64_t end, int64_t first, int64_t count, Thread& thread) const {
  auto* scores = at<float>(thread.base, scores_at_);
  auto* totals = at<float>(thread.base, totals_at_);
  auto* weights = at<uint16_t>(thread.base, weights_at_);
  float scale = 1;
  SeenPositions seen;
  if (causal_) {
    scale = causal_->scale;
    seen = causal_positions(begin, end, thread);
  } else {
    run_body(begin, end, first, count, thread);
  }
  bf16_->soften(scores, begin, end, count, scale, seen, *thread.state, totals, weights, thread.ahead);
}

// A block of keys that one head has. A few rows at a time, so that their scores stay in the first cache.
void AttentionKernel::block_in_bf16(const Tile& tile, int64_t first, int64_t count, Thread& thread) const {
  const int64_t rows = tile.rows();
  // Rows of other formats, or that do not lie together, are f32 first.
  const auto stored = [&](const KeyRows& owner, const KeyRowsRun& run, size_t floats_at) -> StoredRows {
    const int64_t offset = run.query_offset(thread.row(0));
    if (owner.contiguous() && Bf16Products::reads(owner.format())) {
      run.addresses(thread.index, count, offset, thread.addresses);
      return {owner.format(), thread.addresses, count, 0, run.width()};
    }
    run.floats(thread.index, count, offset, false, thread.addresses, at<float>(thread.base, floats_at),
               thread.value_rows);
    return {Format::f32, reinterpret_cast<RowPointers>(thread.value_rows), count, 0, run.width()};
  };
  for (size_t i = 0; i < scores_.size(); ++i) {
    bf16_->pack_keys(stored(scores_[i].keys, thread.keys[i], keys_at_), thread.base + scores_[i].bf16_keys_at);
  }
  std::byte* values = thread.base + bf16_values_at_;
  bf16_->pack_values(stored(value_.front(), thread.value, values_at_), values, thread.ahead);
  const auto* weights = at<uint16_t>(thread.base, weights_at_);
  // Most blocks are seen as a whole, which is found once then.
  thread.all_see_all = thread.open_body != nullptr && sees_all(0, rows, thread);
  for (int64_t begin = thread.all_see_all ? 0 : first_row(tile, kBf16Rows, thread); begin < rows; begin += kBf16Rows) {
    const int64_t end = std::min(begin + kBf16Rows, rows);
    for (size_t i = 0; i < scores_.size(); ++i) {
      const Score& score = scores_[i];
      bf16_->scores(thread.base + score.bf16_queries_at, thread.base + score.bf16_keys_at, count, thread.lhs[i].k(),
                    begin, end, at<float>(thread.base, score.scores_at));
    }
    soften_in_bf16(begin, end, first, count, thread);
    bf16_->add_values(values, count, thread.value.width(), weights, begin, end, false, *thread.state, thread.sums,
                      stride_, thread.ahead);
  }
  thread.all_see_all = false;
}

// What the block from key `first` on reads, to be asked for.
void AttentionKernel::find_next(const Tile& tile, int64_t first, int64_t count, Thread& thread) const {
  find_slots(tile, first, count, thread.next_index, thread);
  thread.ahead.begin_block();
  const std::byte** rows = thread.next_addresses;
  const auto add = [&](const KeyRows& owner, const KeyRowsRun& run, int64_t step) {
    run.addresses(thread.next_index, count, run.query_offset(thread.row(0)), rows);
    thread.ahead.add(rows, count, (tile.batch_count - 1) * step + owner.bytes_of(run.width()));
    rows += kBlockKeys;
  };
  for (size_t i = 0; i < scores_.size(); ++i) add(scores_[i].keys, thread.keys[i], thread.key_step[i]);
  add(value_.front(), thread.value, thread.value_step);
}

// A block of keys that lie head by head, with few rows for each.
void AttentionKernel::few_block_in_bf16(const Tile& tile, int64_t first, int64_t count, Thread& thread) const {
  const int64_t head_rows = tile.batch_rows();
  const auto find = [&](const KeyRowsRun& run) {
    run.addresses(thread.index, count, run.query_offset(thread.row(0)), thread.addresses);
  };
  for (size_t i = 0; i < scores_.size(); ++i) {
    const Score& score = scores_[i];
    const int64_t k = thread.lhs[i].k();
    find(thread.keys[i]);
    const StoredRows keys{score.keys.format(), thread.addresses, count, 0, k};
    bf16_->few_scores(thread.base + score.bf16_queries_at, keys, tile.batch_count, thread.key_step[i], head_rows,
                      thread.base + score.bf16_keys_at, at<float>(thread.base, score.scores_at), thread.ahead);
  }
  soften_in_bf16(0, tile.rows(), first, count, thread);
  find(thread.value);
  // The values of a head are packed while the sums of the head before are computed.
  const int64_t width = thread.value.width();
  const auto packed = [&](int64_t head) {
    return thread.base + bf16_values_at_ + static_cast<size_t>(head % 2) * Bf16Products::values_bytes(width);
  };
  for (int64_t head = 0; head <= tile.batch_count; ++head) {
    if (head < tile.batch_count) {
      bf16_->pack_values({value_.front().format(), thread.addresses, count, head * thread.value_step, width},
                         packed(head), thread.ahead);
    }
    if (head == 0) continue;
    bf16_->add_values(packed(head - 1), count, width, at<uint16_t>(thread.base, weights_at_), (head - 1) * head_rows,
                      head * head_rows, true, *thread.state, thread.sums, stride_, thread.ahead);
  }
}

}  // namespace weft
