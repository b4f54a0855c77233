// Running the attention kernel: tiles of query rows, blocks of keys, parts and their merging.
#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <utility>

#include "ops/attention/few_rows.h"
#include "ops/attention/tiles.h"
#include "ops/contract/kernels.h"
#include "ops/cpu/claims.h"

namespace weft {
namespace {

constexpr int64_t kPartKeys = 256;        // keys of a part at least
static_assert(kBlockKeys == kTileChunk);  // a row of scores is what evaluate_rows() takes as one

}  // namespace

AttentionKernel::Thread AttentionKernel::bind(const StepArgs& args, const Team& team) const {
  Thread thread{};
  thread.base = args.scratch + threads_at_ + static_cast<size_t>(team.thread) * thread_bytes_;
  for (size_t i = 0; i < scores_.size(); ++i) {
    thread.lhs[i] = scores_[i].lhs.bind(args, thread.base + scores_[i].workspace_at);
    thread.keys[i] = scores_[i].keys.bind(args);
  }
  for (size_t i = 0; i < cached_.size(); ++i) thread.cached[i] = cached_[i].rows.bind(args);
  thread.value = value_.front().bind(args);
  if (!causal_) {
    thread.body = body_.bind(args, thread.base + body_at_);
    thread.rows_at_once =
        std::all_of(cached_.begin(), cached_.end(), [](const Cached& cached) { return cached.by_key; }) &&
        thread.body->can_run_rows();
    if (thread.rows_at_once && !open_body_.program().empty()) {
      thread.open_body = open_body_.bind(args, thread.base + open_body_at_);
      if (!thread.open_body->can_run_rows()) thread.open_body = nullptr;
    }
  }
  if (!sink_.program().empty()) thread.sink = sink_.bind(args, thread.base + sink_at_);
  for (size_t i = 0; i < std::min(mask_sources_.size(), kMaxMaskSources); ++i) {
    const IntSource& source = mask_sources_[i];
    if (!source.load.program().empty()) thread.mask[i] = source.load.bind(args, thread.base + source.workspace_at);
  }
  thread.batch_space = AxisSpace(batch_axes_, args.extents);
  thread.rest_space = AxisSpace(rest_axes_, args.extents);
  thread.pages = cache_ >= 0 ? &args.pages[cache_] : nullptr;
  thread.coordinates = at<int64_t>(thread.base, coordinates_at_);
  thread.state = at<SoftmaxState>(thread.base, state_at_);
  thread.sums = at<float>(thread.base, sums_at_);
  thread.addresses = at<const std::byte*>(thread.base, pointers_at_);
  thread.value_rows = reinterpret_cast<const float**>(thread.addresses + kBlockKeys);
  thread.next_addresses = thread.addresses + 2 * kBlockKeys;
  thread.out_rows = at<float*>(thread.base, pointers_at_) + (2 + Ahead::kMostOperands) * kBlockKeys;
  thread.index = at<int64_t>(thread.base, index_at_);
  thread.next_index = thread.index + kBlockKeys;
  // Strides of the result, which is stored over region.axes.
  int64_t stride = 1;
  thread.value_space = AxisSpace(value_axes_, args.extents);
  for (size_t i = region_->axes.size(); i-- > 0;) {
    const AxisId axis = region_->axes[i];
    for (size_t q = 0; q < query_.size(); ++q) {
      if (query_[q] == axis) thread.out_stride[q] = stride;
    }
    for (size_t v = 0; v < value_axes_.size(); ++v) {
      if (value_axes_[v] == axis) thread.value_stride[v] = stride;
    }
    stride *= args.extents[axis];
  }
  thread.out_contiguous = true;
  stride = 1;
  for (size_t v = value_axes_.size(); v-- > 0;) {
    thread.out_contiguous = thread.out_contiguous && thread.value_stride[v] == stride;
    stride *= args.extents[value_axes_[v]];
  }
  return thread;
}

// Coordinates of the tile's rows.
void AttentionKernel::place(const Tile& tile, Thread& thread) const {
  int64_t batch[AxisSpace::kMax], rest[AxisSpace::kMax];
  for (int64_t r = 0; r < tile.rows(); ++r) {
    int64_t* row = thread.coordinates + r * kMaxLoops;
    thread.batch_space.split(tile.batch + r / tile.batch_rows(), batch);
    thread.rest_space.split(tile.rest + r % tile.rest_count, rest);
    for (size_t i = 0; i < batch_.size(); ++i) row[batch_[i]] = batch[i];
    for (size_t i = 0; i < rest_.size(); ++i) row[rest_[i]] = rest[i];
    if (pos_ >= 0) row[pos_] = tile.pos + r % tile.batch_rows() / tile.rest_count;
  }
}

// Bytes from a batch's rows to the next one's, where the kernels for few rows can read them.
int64_t AttentionKernel::batch_step(const Tile& tile, const KeyRows& rows, const KeyRowsRun& run, bool in_bf16,
                                    const Thread& thread) const {
  const bool reads = in_bf16 ? Bf16Products::reads(rows.format()) : reads_head_rows(rows.format(), run.width());
  if (!tile.few || !rows.contiguous() || !reads) return Thread::kApart;
  const auto offset = [&](int64_t batch) { return run.query_offset(thread.row(batch * tile.batch_rows())); };
  const int64_t first = offset(0), step = tile.batch_count > 1 ? offset(1) - first : 0;
  for (int64_t batch = 2; batch < tile.batch_count; ++batch) {
    if (offset(batch) != first + batch * step) return Thread::kApart;
  }
  return step < 0 ? Thread::kApart : rows.bytes_of(step);
}

// The tile's query rows, and what a mask knows of them.
void AttentionKernel::enter(const Tile& tile, Thread& thread) const {
  place(tile, thread);
  for (size_t i = 0; i < scores_.size(); ++i) {
    const Score& score = scores_[i];
    const LhsRun& lhs = thread.lhs[i];
    const auto** left = at<const float*>(thread.base, score.left_at);
    for (int64_t r = 0; r < tile.rows(); ++r) {
      const int64_t flat = lhs.flat(thread.row(r), score.row_query);
      left[r] = thread.matrix[i] != nullptr ? thread.matrix[i] + flat * lhs.k() : lhs.row(flat);
    }
  }
  thread.in_bf16 = enter_in_bf16(tile, thread);
  if (!thread.in_bf16) enter_in_f32(tile, thread);
  if (thread.rows_at_once) {
    for (int64_t r = 0; r < tile.rows(); ++r) {
      thread.body->set_row(thread.row(r));
      thread.body->keep_row(thread.base + kept_at_ + static_cast<size_t>(r) * body_.row_bytes());
      if (thread.open_body == nullptr) continue;
      thread.open_body->set_row(thread.row(r));
      thread.open_body->keep_row(thread.base + open_kept_at_ + static_cast<size_t>(r) * open_body_.row_bytes());
    }
  }
  for (size_t i = 0; i < std::min(mask_sources_.size(), kMaxMaskSources); ++i) {
    using Kind = IntSource::Kind;
    const IntSource& source = mask_sources_[i];
    auto* values = at<int32_t>(thread.base, source.values_at);
    if (source.kind != Kind::query_index && source.kind != Kind::by_query) continue;
    for (int64_t r = 0; r < tile.rows(); ++r) {
      if (source.kind == Kind::query_index) {
        values[r] = static_cast<int32_t>(thread.row(r)[source.query]);
      } else {
        thread.mask[i]->set_row(thread.row(r));
        thread.mask[i]->evaluate(0, 1, nullptr, values + r);
      }
    }
    const auto [low, high] = std::minmax_element(values, values + tile.rows());
    thread.range[i] = {*low, *high};
  }
}

// Queries in the form of the f32 kernels.
void AttentionKernel::enter_in_f32(const Tile& tile, Thread& thread) const {
  thread.ahead = {};
  thread.value_step = batch_step(tile, value_.front(), thread.value, false, thread);
  for (size_t i = 0; i < scores_.size(); ++i) {
    const Score& score = scores_[i];
    const int64_t k = thread.lhs[i].k();
    const auto** left = at<const float*>(thread.base, score.left_at);
    thread.key_step[i] = batch_step(tile, score.keys, thread.keys[i], false, thread);
    if (!tile.transposes()) continue;
    auto* packed = at<float>(thread.base, score.packed_at);
    for (int64_t r = 0; r < tile.rows(); r += kRowTile) {
      gemm_pack(left + r, std::min(kRowTile, tile.rows() - r), k, packed + r * k);
    }
  }
}

// Where keys [first, first + count) lie.
void AttentionKernel::find_slots(const Tile& tile, int64_t first, int64_t count, int64_t* index,
                                 const Thread& thread) const {
  if (thread.pages == nullptr) {
    for (int64_t j = 0; j < count; ++j) index[j] = first + j;
    return;
  }
  const PageTable& table = *thread.pages;
  const int32_t* pages = table.pages + tile.sequence * table.max_pages;
  int64_t page = first / table.page_size, offset = first % table.page_size;
  for (int64_t j = 0; j < count; ++page, offset = 0) {
    const int64_t slot = int64_t{pages[page]} * table.page_size + offset;
    const int64_t end = std::min(count, j + table.page_size - offset);
    for (int64_t i = j; i < end; ++i) index[i] = slot + i - j;
    j = end;
  }
}

// Fetches what the block's keys hold for the score; true where the mask rules all of them out.
bool AttentionKernel::masked(const Tile& tile, int64_t first, int64_t count, Thread& thread) const {
  find_slots(tile, first, count, thread.index, thread);
  for (size_t i = 0; i < cached_.size(); ++i) {
    if (!cached_[i].by_key) continue;
    const KeyRowsRun& cached = thread.cached[i];
    cached.elements(thread.index, count, cached.query_offset(thread.row(0)), thread.base + cached_[i].values_at);
  }
  if (!mask_.can_mask() || mask_sources_.size() > kMaxMaskSources) return false;
  for (size_t i = 0; i < mask_sources_.size(); ++i) {
    const IntSource& source = mask_sources_[i];
    using Kind = IntSource::Kind;
    const int32_t* values = at<int32_t>(thread.base, source.values_at);
    switch (source.kind) {
      case Kind::query_index:
      case Kind::by_query: continue;
      case Kind::unknown:
        thread.range[i] = {std::numeric_limits<int32_t>::min(), std::numeric_limits<int32_t>::max()};
        continue;
      case Kind::key_index:
        for (int64_t j = 0; j < count; ++j)
          at<int32_t>(thread.base, source.values_at)[j] = static_cast<int32_t>(first + j);
        break;
      case Kind::cached: values = at<int32_t>(thread.base, cached_[source.cached].values_at); break;
      case Kind::by_key:
        thread.mask[i]->set_row(thread.row(0));
        thread.mask[i]->evaluate(first, count, nullptr, thread.base + source.values_at);
        break;
    }
    const auto [low, high] = std::minmax_element(values, values + count);
    thread.range[i] = {*low, *high};
  }
  return mask_.always_masked({thread.range.data(), mask_sources_.size()});
}

// What a mask's sources hold of the block's keys and the rows [begin, end).
AttentionKernel::Ranges AttentionKernel::ranges_of_rows(int64_t begin, int64_t end, const Thread& thread) const {
  Ranges range = thread.range;
  for (size_t i = 0; i < mask_sources_.size(); ++i) {
    const IntSource& source = mask_sources_[i];
    using Kind = IntSource::Kind;
    if (source.kind != Kind::query_index && source.kind != Kind::by_query) continue;
    const auto* values = at<int32_t>(thread.base, source.values_at);
    const auto [low, high] = std::minmax_element(values + begin, values + end);
    range[i] = {*low, *high};
  }
  return range;
}

// The first row, of every `grain` ones, that the mask lets see a key of the block, with those that follow it.
int64_t AttentionKernel::first_row(const Tile& tile, int64_t grain, const Thread& thread) const {
  const int64_t rows = tile.rows();
  if (!mask_.can_mask() || mask_sources_.size() > kMaxMaskSources) return 0;
  int64_t row = 0;
  while (row + grain < rows &&
         mask_.always_masked({ranges_of_rows(row, row + grain, thread).data(), mask_sources_.size()})) {
    row += grain;
  }
  return row;
}

// Products of the tile's rows, from `begin` on, and a block of keys.
void AttentionKernel::multiply(const Tile& tile, size_t index, int64_t begin, int64_t count, Thread& thread) const {
  const Score& score = scores_[index];
  const KeyRowsRun& keys = thread.keys[index];
  const int64_t rows = tile.rows(), k = thread.lhs[index].k();
  auto* scores = at<float>(thread.base, score.scores_at);
  const auto** left = at<const float*>(thread.base, score.left_at);
  for (int64_t r = 0; r < rows; ++r) thread.out_rows[r] = scores + r * kBlockKeys;
  if (thread.key_step[index] != Thread::kApart) {
    keys.addresses(thread.index, count, keys.query_offset(thread.row(0)), thread.addresses);
    const HeadRows heads{score.keys.format(), thread.addresses, count, tile.batch_count, thread.key_step[index], k};
    dot_heads(heads, left, tile.batch_rows(), thread.out_rows, thread.ahead);
    return;
  }
  for (int64_t batch = 0; batch < rows; batch += tile.batch_rows()) {
    const int64_t offset = keys.query_offset(thread.row(batch)), end = batch + tile.batch_rows();
    Format format = score.keys.format();
    RowPointers key_rows = thread.addresses;
    if (score.keys.contiguous()) {
      keys.addresses(thread.index, count, offset, thread.addresses);
    } else {
      keys.floats(thread.index, count, offset, false, thread.addresses, at<float>(thread.base, keys_at_),
                  thread.value_rows);
      key_rows = reinterpret_cast<RowPointers>(thread.value_rows);
      format = Format::f32;
    }
    if (tile.transposes()) {
      const auto* packed = at<float>(thread.base, score.packed_at);
      const float* tiles[(kTileRows + kRowTile - 1) / kRowTile];
      for (int64_t r = 0; r < rows; r += kRowTile) tiles[r / kRowTile] = packed + r * k;
      gemm_panel(format, key_rows, count, tiles + begin / kRowTile, rows - begin, k, at<float>(thread.base, panel_at_),
                 thread.out_rows + begin);
    } else {
      for (int64_t r = batch; r < end; r += kDotRows) {
        const auto part = static_cast<int>(std::min<int64_t>(kDotRows, end - r));
        dot_rows(format, key_rows, count, left + r, part, k, thread.out_rows + r);
      }
    }
  }
}

// What decides whether the rows [begin, end) see the block's keys, if any may not.
SeenPositions AttentionKernel::causal_positions(int64_t begin, int64_t end, const Thread& thread) const {
  if (!causal_->masked) return {};
  const auto* query = at<int32_t>(thread.base, mask_sources_[causal_->query].values_at);
  if (thread.range[causal_->key].high <= *std::min_element(query + begin, query + end)) return {};
  const IntSource& source = mask_sources_[causal_->key];
  const bool cached = source.kind == IntSource::Kind::cached;
  return {query, at<int32_t>(thread.base, cached ? cached_[source.cached].values_at : source.values_at)};
}

// Scores of the tile's rows [begin, end) and a block of keys, by the score program.
void AttentionKernel::run_body(int64_t begin, int64_t end, int64_t first, int64_t count, Thread& thread) const {
  auto* scores = at<float>(thread.base, scores_at_);
  const void* provided[kMaxScores + kMaxCached];
  const auto provide = [&](int64_t r) {
    for (size_t i = 0; i < scores_.size(); ++i)
      provided[i] = at<float>(thread.base, scores_[i].scores_at) + r * kBlockKeys;
    for (size_t i = 0; i < cached_.size(); ++i) {
      std::byte* values = thread.base + cached_[i].values_at;
      const KeyRowsRun& cached = thread.cached[i];
      if (!cached_[i].by_key) cached.elements(thread.index, count, cached.query_offset(thread.row(r)), values);
      provided[scores_.size() + i] = values;
    }
  };
  if (!thread.rows_at_once) {
    for (int64_t r = begin; r < end; ++r) {
      provide(r);
      thread.body->set_row(thread.row(r));
      thread.body->evaluate(first, count, provided, scores + r * kBlockKeys);
    }
    return;
  }
  provide(begin);
  const bool open = thread.open_body != nullptr && (thread.all_see_all || sees_all(begin, end, thread));
  const size_t row_bytes = (open ? open_body_ : body_).row_bytes();
  const std::byte* kept = thread.base + (open ? open_kept_at_ : kept_at_) + static_cast<size_t>(begin) * row_bytes;
  (open ? thread.open_body : thread.body)
      ->evaluate_rows(kept, end - begin, first, count, provided, scores + begin * kBlockKeys);
}

// Whether the mask lets the rows [begin, end) see all of the block.
bool AttentionKernel::sees_all(int64_t begin, int64_t end, const Thread& thread) const {
  if (mask_sources_.size() > kMaxMaskSources) return false;
  return mask_.never_masked({ranges_of_rows(begin, end, thread).data(), mask_sources_.size()});
}

// Scores of the tile's rows, from `begin` on, and a block of keys, as weights.
void AttentionKernel::score_block(const Tile& tile, int64_t begin, int64_t first, int64_t count, Thread& thread) const {
  const int64_t rows = tile.rows();
  for (size_t i = 0; i < scores_.size(); ++i) multiply(tile, i, begin, count, thread);
  auto* scores = at<float>(thread.base, scores_at_);
  if (causal_) {
    const SeenPositions seen = causal_positions(begin, rows, thread);
    softmax_causal_block(scores, begin, rows, count, causal_->scale, seen.row, seen.key, *thread.state);
    return;
  }
  run_body(begin, rows, first, count, thread);
  softmax_block(scores, begin, rows, count, *thread.state);
}

// The same, with what the entropy is made of.
void AttentionKernel::score_block_with_logs(const Tile& tile, int64_t begin, int64_t first, int64_t count,
                                            Thread& thread) const {
  const int64_t rows = tile.rows();
  auto* totals = at<float>(thread.base, totals_before_at_);
  std::copy(thread.state->total, thread.state->total + rows, totals);
  score_block(tile, begin, first, count, thread);
  add_weighted_logs(at<float>(thread.base, scores_at_), begin, rows, count, totals, *thread.state,
                    at<float>(thread.base, logs_at_));
}

// Adds the block's values to the sums of the tile's rows from `begin` on.
void AttentionKernel::add_values(const Tile& tile, int64_t begin, int64_t count, bool careful, Thread& thread) const {
  const KeyRowsRun& value = thread.value;
  const auto* weights = at<float>(thread.base, scores_at_);
  if (thread.value_step != Thread::kApart && !careful) {
    value.addresses(thread.index, count, value.query_offset(thread.row(0)), thread.addresses);
    const HeadRows heads{value_.front().format(), thread.addresses,  count,
                         tile.batch_count,        thread.value_step, value.width()};
    add_weighted_heads(heads, weights, tile.batch_rows(), *thread.state, thread.sums, stride_, thread.ahead);
    return;
  }
  // Many rows read values once more for a few of them each: these lie together then, not a power of two apart, where
  // they would drive each other out of the first cache.
  const bool copied = tile.batch_rows() - begin >= kTransposeRows;
  for (int64_t batch = 0; batch < tile.rows(); batch += tile.batch_rows()) {
    value.floats(thread.index, count, value.query_offset(thread.row(batch)), copied, thread.addresses,
                 at<float>(thread.base, values_at_), thread.value_rows);
    (careful ? add_weighted_carefully : add_weighted)(thread.value_rows, count, value.width(), weights, batch + begin,
                                                      batch + tile.batch_rows(), *thread.state, thread.sums, stride_);
  }
}

// Keys [first, last) of a tile, with nothing seen before: leaves sums and state.
void AttentionKernel::process(const Tile& tile, int64_t first, int64_t last, bool careful, Thread& thread) const {
  if (thread.in_bf16) {
    if (process_in_bf16(tile, first, last, thread)) return;
    // Sums that are not finite may have been so in f32, or not: a bf16 has as many bits for its exponent, but rounds.
    thread.in_bf16 = false;
    enter_in_f32(tile, thread);
    careful = true;
  }
  const int64_t rows = tile.rows();
  reset(*thread.state, rows);
  std::fill(thread.sums, thread.sums + rows * stride_, 0.0f);
  if (statistics()) std::fill_n(at<float>(thread.base, logs_at_), rows, 0.0f);
  bool by_heads = thread.value_step != Thread::kApart;
  for (size_t i = 0; i < scores_.size(); ++i) by_heads = by_heads && thread.key_step[i] != Thread::kApart;
  for (int64_t key = first; key < last; key += kBlockKeys) {
    const int64_t count = std::min(kBlockKeys, last - key);
    if (masked(tile, key, count, thread)) continue;
    if (by_heads)
      find_next(tile, key + kBlockKeys, std::clamp<int64_t>(last - key - kBlockKeys, 0, kBlockKeys), thread);
    const int64_t begin = tile.transposes() ? first_row(tile, kRowTile, thread) : 0;
    if (statistics()) score_block_with_logs(tile, begin, key, count, thread);
    else score_block(tile, begin, key, count, thread);
    add_values(tile, begin, count, careful, thread);
  }
  // A masked key must not contribute even where its value is not finite: such sums are computed again, key by key.
  if (!careful && !all_finite(thread.sums, rows * stride_)) process(tile, first, last, true, thread);
}

// A row that has met all of its keys, however these were split: so this is where its sink comes in.
void AttentionKernel::finish_row(const int64_t* coordinates, const float* sums, RowSoftmax row, const Thread& thread,
                                 const StepArgs& args, float* out) const {
  float total = row.total;
  if (thread.sink != nullptr && total != 0) {
    float sink;
    thread.sink->set_row(coordinates);
    thread.sink->evaluate(0, 1, nullptr, &sink);
    total += std::exp(sink - row.largest);  // inf where keys weigh nothing beside it
    if (statistics()) row = with_sink(row, sink);
  }
  store_row(coordinates, sums, total == 0 ? 0.0f : 1.0f / total, thread, out);
  if (statistics()) store_statistics(coordinates, row, args);
}

void AttentionKernel::store_row(const int64_t* coordinates, const float* sums, float factor, const Thread& thread,
                                float* out) const {
  for (size_t q = 0; q < query_.size(); ++q) out += coordinates[q] * thread.out_stride[q];
  const int64_t width = thread.value.width();
  if (thread.out_contiguous) {
    scale_row(sums, width, factor, out);
    return;
  }
  std::array<int64_t, AxisSpace::kMax> at_value{};
  for (int64_t i = 0; i < width; ++i, thread.value_space.advance(at_value.data())) {
    int64_t offset = 0;
    for (size_t v = 0; v < value_axes_.size(); ++v) offset += at_value[v] * thread.value_stride[v];
    out[offset] = sums[i] * factor;
  }
}

// With weights w that sum up to `total`, the entropy of p = w / total is -sum p log p = log(total) - sum w log w /
// total, of which no part is a difference of large scores.
void AttentionKernel::store_statistics(const int64_t* coordinates, const RowSoftmax& row, const StepArgs& args) const {
  int64_t at = 0;
  for (size_t q = 0; q < query_.size(); ++q) at = at * args.extents[query_[q]] + coordinates[q];
  const float log_total = std::log(row.total);
  const auto store = [&](size_t output, float value) { static_cast<float*>(args.data[outputs_[output]])[at] = value; };
  store(1, row.largest + log_total);
  store(2, row.largest);
  store(3, row.total == 0 ? 0.0f : log_total - row.logs / row.total);
}

void AttentionKernel::run(const StepArgs& args, const Team& team) const {
  Thread thread = bind(args, team);
  bool waits = false;
  for (size_t i = 0; i < scores_.size(); ++i) {
    if (scores_[i].lhs.in_place()) continue;
    auto* matrix = at<float>(args.scratch, scores_[i].matrix_at);
    thread.lhs[i].evaluate_share(team, matrix);
    thread.matrix[i] = matrix;
    waits = true;
  }
  if (waits) team.barrier();

  float* out = epilogue_.needed() ? epilogue_.body(args, args.scratch + finish_at_)
                                  : static_cast<float*>(args.data[outputs_.front()]);
  Tiles tiles(*this, args);
  // Few tiles with many keys are split into parts, at most three per thread. The threads of the plan count, not those
  // of this run's team: parts are added in another order than keys, and results must not depend on the team.
  int64_t parts = 1;
  if (threads_ > 1 && tiles.count() > 0 && tiles.count() < 2 * threads_) {
    parts = std::clamp<int64_t>(tiles.longest() / kPartKeys, 1, 3 * threads_ / tiles.count());
  }
  int64_t entered = -1;
  for_claimed(tiles.count() * parts, team, [&](int64_t item) {
    const int64_t index = item / parts, part = item % parts;
    const Tile& tile = tiles.at(index);
    if (std::exchange(entered, index) != index) {
      enter(tile, thread);
      args.ran(team.thread, (thread.in_bf16 ? bf16_name_ : name_).c_str());
    }
    const int64_t blocks = (tile.keys - tile.first + kBlockKeys - 1) / kBlockKeys;
    const int64_t first = tile.first + blocks * part / parts * kBlockKeys;
    const int64_t last = std::min(tile.first + blocks * (part + 1) / parts * kBlockKeys, tile.keys);
    process(tile, first, last, false, thread);
    if (parts == 1) {
      for (int64_t r = 0; r < tile.rows(); ++r) {
        const float logs = statistics() ? at<float>(thread.base, logs_at_)[r] : 0.0f;
        finish_row(thread.row(r), thread.sums + r * stride_, {thread.state->largest[r], thread.state->total[r], logs},
                   thread, args, out);
      }
      return;
    }
    auto* kept = at<float>(args.scratch, parts_at_) + static_cast<size_t>(item) * part_floats_;
    std::copy(thread.sums, thread.sums + tile.rows() * stride_, kept);
    kept += tile_rows_ * stride_;
    std::copy(thread.state->largest, thread.state->largest + tile.rows(), kept);
    std::copy(thread.state->total, thread.state->total + tile.rows(), kept + tile_rows_);
    if (statistics()) std::copy_n(at<float>(thread.base, logs_at_), tile.rows(), kept + 2 * tile_rows_);
  });
  if (bf16_ != nullptr) bf16_->end();
  if (parts > 1) {
    team.barrier();
    merge(tiles, args, team, parts, thread, out);
  }
  if (epilogue_.needed()) {
    team.barrier();
    epilogue_.run(args, team, args.scratch + finish_at_);
  }
}

// Rows of all tiles from their parts, each with the weights that the largest score of all parts asks for.
void AttentionKernel::merge(Tiles& tiles, const StepArgs& args, const Team& team, int64_t parts, Thread& thread,
                            float* out) const {
  const auto* kept = at<float>(args.scratch, parts_at_);
  int64_t row = 0;
  for (int64_t index = 0; index < tiles.count(); ++index) {
    const Tile& tile = tiles.at(index);
    bool placed = false;
    for (int64_t r = 0; r < tile.rows(); ++r, ++row) {
      if (row % team.threads != team.thread) continue;
      if (!std::exchange(placed, true)) place(tile, thread);
      const auto part_at = [&](int64_t part) {
        return kept + static_cast<size_t>(index * parts + part) * part_floats_;
      };
      const auto largest_at = [&](int64_t part) { return part_at(part)[tile_rows_ * stride_ + r]; };
      const auto total_at = [&](int64_t part) { return part_at(part)[tile_rows_ * (stride_ + 1) + r]; };
      const auto logs_at = [&](int64_t part) { return part_at(part)[tile_rows_ * (stride_ + 2) + r]; };
      float largest = -std::numeric_limits<float>::infinity(), total = 0, logs = 0;
      for (int64_t part = 0; part < parts; ++part) largest = std::max(largest, largest_at(part));
      std::fill(thread.sums, thread.sums + stride_, 0.0f);
      for (int64_t part = 0; part < parts; ++part) {
        if (total_at(part) == 0) continue;
        const float factor = std::isinf(largest) && largest < 0 ? 1.0f : std::exp(largest_at(part) - largest);
        total += total_at(part) * factor;
        if (statistics() && factor != 0) logs += factor * (logs_at(part) + std::log(factor) * total_at(part));
        const float* sums = part_at(part) + r * stride_;
        for (int64_t i = 0; i < stride_; ++i) thread.sums[i] += sums[i] * factor;
      }
      finish_row(thread.row(r), thread.sums, {largest, total, logs}, thread, args, out);
    }
  }
}

std::unique_ptr<CpuKernel> make_attention_kernel(const KernelContext& context) {
  if (context.step.kind != StepKind::attention) return nullptr;
  return std::make_unique<AttentionKernel>(context, nullptr);
}

std::unique_ptr<CpuKernel> make_bf16_attention_kernel(const KernelContext& context) {
  const Bf16Products* bf16 = bf16_products();
  if (context.step.kind != StepKind::attention || context.precision != Precision::fast || bf16 == nullptr) {
    return nullptr;
  }
  // Of scores that read no keys, there is only half of the work. Statistics are those of unrounded weights.
  const Region& region = context.step.regions.front();
  if (region.contractions.empty() || region.attention->statistics) return nullptr;
  return std::make_unique<AttentionKernel>(context, bf16);
}

}  // namespace weft
