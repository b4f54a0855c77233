// Running the attention kernel: tiles of query rows, blocks of keys, parts and their merging.
#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <utility>

#include "ops/attention/few_rows.h"
#include "ops/attention/tiles.h"
#include "ops/contract/kernels.h"

namespace weft {
namespace {

constexpr int64_t kPartKeys = 256;        // keys of a part at least
static_assert(kBlockKeys == kTileChunk);  // a row of scores is what evaluate_rows() takes as one

template <class T>
T* at(std::byte* base, size_t offset) {
  return reinterpret_cast<T*>(base + offset);
}

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
  thread.out_rows = at<float*>(thread.base, pointers_at_) + 2 * kBlockKeys;
  thread.index = at<int64_t>(thread.base, index_at_);
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
int64_t AttentionKernel::batch_step(const Tile& tile, const KeyRows& rows, const KeyRowsRun& run,
                                    const Thread& thread) const {
  if (!tile.few || !rows.contiguous() || !reads_head_rows(rows.format(), run.width())) {
    return Thread::kApart;
  }
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
    thread.key_step[i] = batch_step(tile, score.keys, thread.keys[i], thread);
    if (!tile.transposes()) continue;
    auto* packed = at<float>(thread.base, score.packed_at);
    for (int64_t r = 0; r < tile.rows(); r += kRowTile) {
      gemm_pack(left + r, std::min(kRowTile, tile.rows() - r), lhs.k(), packed + r * lhs.k());
    }
  }
  if (thread.rows_at_once) {
    for (int64_t r = 0; r < tile.rows(); ++r) {
      thread.body->set_row(thread.row(r));
      thread.body->keep_row(thread.base + kept_at_ + static_cast<size_t>(r) * body_.row_bytes());
      if (thread.open_body == nullptr) continue;
      thread.open_body->set_row(thread.row(r));
      thread.open_body->keep_row(thread.base + open_kept_at_ + static_cast<size_t>(r) * open_body_.row_bytes());
    }
  }
  thread.value_step = batch_step(tile, value_.front(), thread.value, thread);
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

// Fetches what the block's keys hold for the score; true where the mask rules all of them out.
bool AttentionKernel::masked(const Tile& tile, int64_t first, int64_t count, Thread& thread) const {
  if (thread.pages != nullptr) {
    const PageTable& table = *thread.pages;
    const int32_t* pages = table.pages + tile.sequence * table.max_pages;
    int64_t page = first / table.page_size, offset = first % table.page_size;
    for (int64_t j = 0; j < count; ++j) {
      thread.index[j] = int64_t{pages[page]} * table.page_size + offset;
      if (++offset == table.page_size) {
        offset = 0;
        ++page;
      }
    }
  } else {
    for (int64_t j = 0; j < count; ++j) thread.index[j] = first + j;
  }
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

// The first row, of whole tiles of the blocked product, that the mask lets see a key of the block.
int64_t AttentionKernel::first_row(const Tile& tile, const Thread& thread) const {
  const int64_t rows = tile.rows();
  if (!tile.transposes() || !mask_.can_mask() || mask_sources_.size() > kMaxMaskSources) return 0;
  auto range = thread.range;
  int64_t row = 0;
  for (; row + kRowTile < rows; row += kRowTile) {
    for (size_t i = 0; i < mask_sources_.size(); ++i) {
      const IntSource& source = mask_sources_[i];
      using Kind = IntSource::Kind;
      if (source.kind != Kind::query_index && source.kind != Kind::by_query) continue;
      const auto* values = at<int32_t>(thread.base, source.values_at) + row;
      const auto [low, high] = std::minmax_element(values, values + kRowTile);
      range[i] = {*low, *high};
    }
    if (!mask_.always_masked({range.data(), mask_sources_.size()})) break;
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
    dot_heads(heads, left, tile.batch_rows(), thread.out_rows);
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

// Scores of the tile's rows, from `begin` on, and a block of keys, as weights.
void AttentionKernel::score_block(const Tile& tile, int64_t begin, int64_t first, int64_t count, Thread& thread) const {
  const int64_t rows = tile.rows();
  for (size_t i = 0; i < scores_.size(); ++i) multiply(tile, i, begin, count, thread);
  auto* scores = at<float>(thread.base, scores_at_);
  if (causal_) {
    const int32_t* key = nullptr;
    const int32_t* query = nullptr;
    if (causal_->masked && thread.range[causal_->key].high > thread.range[causal_->query].low) {
      const IntSource& source = mask_sources_[causal_->key];
      const bool cached = source.kind == IntSource::Kind::cached;
      key = at<int32_t>(thread.base, cached ? cached_[source.cached].values_at : source.values_at);
      query = at<int32_t>(thread.base, mask_sources_[causal_->query].values_at);
    }
    softmax_causal_block(scores, begin, rows, count, causal_->scale, query, key, *thread.state);
    return;
  }
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
  if (thread.rows_at_once) {
    provide(begin);
    const bool open = thread.open_body != nullptr && mask_sources_.size() <= kMaxMaskSources &&
                      mask_.never_masked({thread.range.data(), mask_sources_.size()});
    const size_t row_bytes = (open ? open_body_ : body_).row_bytes();
    const std::byte* kept = thread.base + (open ? open_kept_at_ : kept_at_) + static_cast<size_t>(begin) * row_bytes;
    (open ? thread.open_body : thread.body)
        ->evaluate_rows(kept, rows - begin, first, count, provided, scores + begin * kBlockKeys);
  } else {
    for (int64_t r = begin; r < rows; ++r) {
      provide(r);
      thread.body->set_row(thread.row(r));
      thread.body->evaluate(first, count, provided, scores + r * kBlockKeys);
    }
  }
  softmax_block(scores, begin, rows, count, *thread.state);
}

// Adds the block's values to the sums of the tile's rows from `begin` on.
void AttentionKernel::add_values(const Tile& tile, int64_t begin, int64_t count, bool careful, Thread& thread) const {
  const KeyRowsRun& value = thread.value;
  const auto* weights = at<float>(thread.base, scores_at_);
  if (thread.value_step != Thread::kApart && !careful) {
    value.addresses(thread.index, count, value.query_offset(thread.row(0)), thread.addresses);
    const HeadRows heads{value_.front().format(), thread.addresses,  count,
                         tile.batch_count,        thread.value_step, value.width()};
    add_weighted_heads(heads, weights, tile.batch_rows(), *thread.state, thread.sums, stride_);
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
  const int64_t rows = tile.rows();
  reset(*thread.state, rows);
  std::fill(thread.sums, thread.sums + rows * stride_, 0.0f);
  for (int64_t key = first; key < last; key += kBlockKeys) {
    const int64_t count = std::min(kBlockKeys, last - key);
    if (masked(tile, key, count, thread)) continue;
    const int64_t begin = first_row(tile, thread);
    score_block(tile, begin, key, count, thread);
    add_values(tile, begin, count, careful, thread);
  }
  // A masked key must not contribute even where its value is not finite: such sums are computed again, key by key.
  if (!careful && !all_finite(thread.sums, rows * stride_)) process(tile, first, last, true, thread);
}

void AttentionKernel::store_row(const int64_t* coordinates, const float* sums, float total, const Thread& thread,
                                float* out) const {
  for (size_t q = 0; q < query_.size(); ++q) out += coordinates[q] * thread.out_stride[q];
  const float factor = total == 0 ? 0.0f : 1.0f / total;
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

void AttentionKernel::run(const StepArgs& args, const Team& team) const {
  args.ran(team.thread, name_.c_str());
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

  float* out =
      epilogue_.needed() ? epilogue_.body(args, args.scratch + finish_at_) : static_cast<float*>(args.data[output_]);
  const Tiles tiles(*this, args);
  // Few tiles with many keys are split into parts, at most three per thread. The threads of the plan count, not those
  // of this run's team: parts are added in another order than keys, and results must not depend on the team.
  int64_t parts = 1;
  if (threads_ > 1 && tiles.count() > 0 && tiles.count() < 2 * threads_) {
    parts = std::clamp<int64_t>(tiles.longest() / kPartKeys, 1, 3 * threads_ / tiles.count());
  }
  tiles.for_each([&](int64_t index, const Tile& tile) {
    bool entered = false;
    for (int64_t part = 0; part < parts; ++part) {
      if ((index * parts + part) % team.threads != team.thread) continue;
      if (!std::exchange(entered, true)) enter(tile, thread);
      const int64_t blocks = (tile.keys - tile.first + kBlockKeys - 1) / kBlockKeys;
      const int64_t first = tile.first + blocks * part / parts * kBlockKeys;
      const int64_t last = std::min(tile.first + blocks * (part + 1) / parts * kBlockKeys, tile.keys);
      process(tile, first, last, false, thread);
      if (parts == 1) {
        for (int64_t r = 0; r < tile.rows(); ++r) {
          store_row(thread.row(r), thread.sums + r * stride_, thread.state->total[r], thread, out);
        }
        continue;
      }
      auto* kept = at<float>(args.scratch, parts_at_) + static_cast<size_t>(index * parts + part) * part_floats_;
      std::copy(thread.sums, thread.sums + tile.rows() * stride_, kept);
      kept += kTileRows * stride_;
      std::copy(thread.state->largest, thread.state->largest + tile.rows(), kept);
      std::copy(thread.state->total, thread.state->total + tile.rows(), kept + kTileRows);
    }
  });
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
void AttentionKernel::merge(const Tiles& tiles, const StepArgs& args, const Team& team, int64_t parts, Thread& thread,
                            float* out) const {
  const auto* kept = at<float>(args.scratch, parts_at_);
  int64_t row = 0;
  tiles.for_each([&](int64_t index, const Tile& tile) {
    bool placed = false;
    for (int64_t r = 0; r < tile.rows(); ++r, ++row) {
      if (row % team.threads != team.thread) continue;
      if (!std::exchange(placed, true)) place(tile, thread);
      const auto part_at = [&](int64_t part) {
        return kept + static_cast<size_t>(index * parts + part) * part_floats_;
      };
      const auto largest_at = [&](int64_t part) { return part_at(part)[kTileRows * stride_ + r]; };
      const auto total_at = [&](int64_t part) { return part_at(part)[kTileRows * (stride_ + 1) + r]; };
      float largest = -std::numeric_limits<float>::infinity(), total = 0;
      for (int64_t part = 0; part < parts; ++part) largest = std::max(largest, largest_at(part));
      std::fill(thread.sums, thread.sums + stride_, 0.0f);
      for (int64_t part = 0; part < parts; ++part) {
        if (total_at(part) == 0) continue;
        const float factor = std::isinf(largest) && largest < 0 ? 1.0f : std::exp(largest_at(part) - largest);
        total += total_at(part) * factor;
        const float* sums = part_at(part) + r * stride_;
        for (int64_t i = 0; i < stride_; ++i) thread.sums[i] += sums[i] * factor;
      }
      store_row(thread.row(r), thread.sums, total, thread, out);
    }
  });
}

std::unique_ptr<CpuKernel> make_attention_kernel(const KernelContext& context) {
  if (context.step.kind != StepKind::attention) return nullptr;
  return std::make_unique<AttentionKernel>(context);
}

}  // namespace weft
