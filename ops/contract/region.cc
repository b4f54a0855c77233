#include "ops/contract/region.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <utility>

#include "core/align.h"
#include "core/error.h"
#include "core/record/axis_list.h"
#include "ops/cpu/encode_tile.h"

namespace weft {
namespace {

constexpr int64_t kColumnUnit = 16;       // a cache line of results
constexpr int64_t kBlockElements = 4096;  // of results that are finished at a time
constexpr const char* kNormOfTiles = "norm/tiles";
constexpr const char* kNormOfStored = "norm/stored";

size_t element_bytes(Element element) { return element == Element::bool8 ? 1 : 4; }

}  // namespace

ContractRegion::ContractRegion(const KernelContext& context, const Region& region, std::span<const ValueId> outputs)
    : region_(&region),
      outputs_(outputs.begin(), outputs.end()),
      threads_(context.threads),
      epilogue_(context, region, outputs) {
  if (context.step.kind == StepKind::append) row_format_ = context.graph.values[outputs.front()].format;
  if (!region.body.reductions.empty()) norm_.emplace(context, region);
  // Contractions by the axes of their results.
  std::vector<ContractionAxes> axes;
  std::vector<std::vector<int>> groups;
  for (size_t i = 0; i < region.contractions.size(); ++i) {
    axes.push_back(axes_of(region, region.contractions[i]));
    const auto same = [&](const std::vector<int>& group) {
      const ContractionAxes& other = axes[static_cast<size_t>(group.front())];
      return other.rows == axes[i].rows && other.columns == axes[i].columns;
    };
    const auto at = std::find_if(groups.begin(), groups.end(), same);
    if (at == groups.end()) groups.push_back({static_cast<int>(i)});
    else at->push_back(static_cast<int>(i));
  }
  const auto result_axes = [&](const std::vector<int>& group) {
    const ContractionAxes& first = axes[static_cast<size_t>(group.front())];
    return joined(first.rows, first.columns);
  };
  fused_ = groups.size() == 1 && result_axes(groups.front()) == region.axes;
  column_axes_ = axes[static_cast<size_t>(groups.front().front())].columns.size();
  if (norm_) {  // a tile holds whole lines only if these run along its rows, and are short
    fused_ = fused_ && column_axes_ > 0 && region.axes.back() == region.body.reduced &&
             context.max_extents[region.body.reduced] <= ContractPass::kMaxColumns;
  }

  const auto block = static_cast<int64_t>(info(row_format_).block_elements);
  column_unit_ = std::max(kColumnUnit, block);
  tiles_hold_blocks_ = block == 1 || (column_axes_ > 0 && context.max_extents[region.axes.back()] % block == 0);
  int64_t unit = column_unit_;
  if (fused_ && norm_) unit_axes_ = 1;
  const size_t line_axes = region.axes.size() - epilogue_.row_axis();
  if (fused_ && epilogue_.by_rows() && line_axes <= column_axes_) {
    const int64_t whole = element_count(std::span(region.axes).last(line_axes), context.max_extents);
    finish_tiles_ = whole <= ContractPass::kMaxColumns;
    if (finish_tiles_) unit_axes_ = line_axes;  // a norm's lines are parts of it
  }
  if (unit_axes_ > 0) {
    unit = std::max(unit, element_count(std::span(region.axes).last(unit_axes_), context.max_extents));
  }
  const auto take = [this](size_t bytes) { return std::exchange(scratch_bytes_, scratch_bytes_ + align_up(bytes)); };
  finish_at_ = take(epilogue_.scratch_bytes());
  size_t shared = 0;
  for (const std::vector<int>& group : groups) {
    stages_.push_back({ContractPass(context, region, group, unit),
                       group,
                       result_axes(group),
                       axes[static_cast<size_t>(group.front())].columns.size(),
                       {}});
    shared = std::max(shared, stages_.back().pass.shared_bytes());
    thread_bytes_ = std::max(thread_bytes_, align_up(stages_.back().pass.thread_bytes()));
    if (fused_) continue;
    const auto bytes = static_cast<size_t>(element_count(stages_.back().axes, context.max_extents)) * sizeof(float);
    for (size_t i = 0; i < group.size(); ++i) stages_.back().stored_at.push_back(take(bytes));
  }
  shared_at_ = take(shared);

  std::vector<ProvidedSource> provided;
  for (size_t i = 0; i < region.contractions.size(); ++i) {
    const bool uniform = !fused_ && !region.axes.empty() && !contains(axes[i].rows, region.axes.back()) &&
                         !contains(axes[i].columns, region.axes.back());
    provided.push_back({ScalarOp::contraction, static_cast<int32_t>(i), uniform});
  }
  const size_t inner = fused_ ? column_axes_ : std::min<size_t>(region.axes.size(), 1);
  const std::vector<ScalarInstr>& code = region.body.program.code;
  body_is_sum_ = fused_ && code.size() == 1 && code.front().op == ScalarOp::contraction;
  if (!norm_) {
    body_ = SourceEvaluator(context.graph, region, region.body.program, region.axes, static_cast<int>(inner), provided);
  }
  body_at_ = thread_bytes_;
  thread_bytes_ += align_up(norm_ ? norm_->workspace_bytes() : body_.workspace_bytes());
  threads_at_ = take(thread_bytes_ * static_cast<size_t>(threads_));
}

// Evaluates the body on each tile, stores it, and finishes the rows that it holds whole.
class ContractRegion::Sink final : public TileSink {
 public:
  Sink(const ContractRegion& owner, const StepArgs& args, const Team& team, std::byte* scratch, std::byte* own,
       const int32_t* slots, std::byte* rows_out)
      : owner_(owner), args_(args), slots_(slots) {
    const std::span<const AxisId> axes = owner.region_->axes;
    rows_ = AxisSpace(axes.first(axes.size() - owner.column_axes_), args.extents);
    columns_ = element_count(axes.last(owner.column_axes_), args.extents);
    unit_ = element_count(axes.last(owner.unit_axes_), args.extents);
    out_ = static_cast<std::byte*>(owner.epilogue_.needed() ? owner.epilogue_.body(args, scratch + owner.finish_at_)
                                                            : args.data[owner.outputs_.front()]);
    bytes_ = element_bytes(owner.region_->body.program.type());
    if (slots != nullptr) {
      rows_out_ = rows_out;
      rows_per_slot_ = 1;
      for (int i = 1; i < rows_.rank; ++i) rows_per_slot_ *= rows_.extent[static_cast<size_t>(i)];
    }
    if (owner.norm_) {
      norm_ = owner.norm_->bind(args, own + owner.body_at_);
      lines_ = AxisSpace(axes.first(axes.size() - 1), args.extents);
      line_ = args.extents[axes.back()];
      thread_ = team.thread;
    } else if (!owner.body_is_sum_) {
      run_ = owner.body_.bind(args, own + owner.body_at_);
    }
    if (owner.finish_tiles_) finish_ = owner.epilogue_.bind(args, team, scratch + owner.finish_at_);
  }

  int64_t unit() const { return unit_; }

  void tile(int64_t row_first, int64_t row_last, int64_t column_first, int64_t column_last, const float* const* sums,
            const int64_t* stride) override {
    const int64_t count = column_last - column_first;
    // What is read again is still in the first cache then.
    const bool again = owner_.finish_tiles_ || (slots_ != nullptr && owner_.stages_rows());
    const int64_t block = again ? std::max<int64_t>(1, kBlockElements / count) : row_last - row_first;
    const float* from[ContractPass::kMaxContractions];
    for (int64_t first = row_first; first < row_last; first += block) {
      const int64_t last = std::min(first + block, row_last);
      for (size_t i = 0; i < owner_.region_->contractions.size(); ++i) {
        from[i] = sums[i] + (first - row_first) * stride[i];
      }
      rows(first, last, column_first, count, from, stride);
    }
  }

 private:
  // Rows [first, last) of a tile.
  void rows(int64_t first, int64_t last, int64_t column, int64_t count, const float* const* sums,
            const int64_t* stride) {
    if (slots_ != nullptr && !owner_.stages_rows()) {
      store(first, last, column, count, sums, stride);
      return;
    }
    evaluate(first, last, column, count, sums, stride, out_ + static_cast<size_t>(first * columns_ + column) * bytes_);
    if (owner_.finish_tiles_) {
      const int64_t per_row = columns_ / unit_, begin = first * per_row;
      finish_.finish(begin + column / unit_, begin + (column + count) / unit_, last - first, per_row);
    }
    if (slots_ == nullptr) return;
    const auto* finished = static_cast<const float*>(args_.data[owner_.outputs_.front()]);
    for (int64_t r = first; r < last; ++r) {
      const int64_t stored = stored_row(r);
      if (stored < 0) continue;
      encode_elements(owner_.row_format_, finished + r * columns_ + column, rows_out_, stored * columns_ + column,
                      count);
    }
  }

  // The body straight to rows of a cache: those that follow each other there, too, at a time.
  void store(int64_t first, int64_t last, int64_t column, int64_t count, const float* const* sums,
             const int64_t* stride) {
    const float* from[ContractPass::kMaxContractions];
    for (int64_t r = first, end = first; r < last; r = end) {
      const int64_t stored = stored_row(r);
      for (++end; end < last && stored_row(end) == (stored < 0 ? stored : stored + end - r);) ++end;
      if (stored < 0) continue;
      for (size_t i = 0; i < owner_.region_->contractions.size(); ++i) from[i] = sums[i] + (r - first) * stride[i];
      evaluate(r, end, column, count, from, stride,
               rows_out_ + static_cast<size_t>(stored * columns_ + column) * bytes_);
    }
  }

  // Where row r goes among the rows of a cache; negative: nowhere.
  int64_t stored_row(int64_t r) const {
    const int32_t slot = slots_[r / rows_per_slot_];
    return slot < 0 ? -1 : slot * rows_per_slot_ + r % rows_per_slot_;
  }

  // The body of rows [first, last), to `out` and where the next rows follow.
  void evaluate(int64_t first, int64_t last, int64_t column, int64_t count, const float* const* sums,
                const int64_t* stride, std::byte* out) {
    const int64_t step = columns_ * static_cast<int64_t>(bytes_);
    if (owner_.norm_) {
      normalize(first, last, column, count, sums, stride, out);
      return;
    }
    if (run_ == nullptr) {
      const float* from = sums[0];
      for (int64_t r = first; r < last; ++r, from += stride[0], out += step) {
        std::memcpy(out, from, static_cast<size_t>(count) * bytes_);
      }
      return;
    }
    const void* provided[ContractPass::kMaxContractions];
    int64_t provided_step[ContractPass::kMaxContractions];
    for (size_t i = 0; i < owner_.region_->contractions.size(); ++i) {
      provided[i] = sums[i];
      provided_step[i] = stride[i] * static_cast<int64_t>(sizeof(float));
    }
    std::array<int64_t, AxisSpace::kMax> at{};
    rows_.split(first, at.data());
    run_->evaluate_box(at.data(), last - first, column, count, provided, provided_step, out, step);
  }

  // The same of a body with reductions: the tile's lines, one after the other.
  void normalize(int64_t first, int64_t last, int64_t column, int64_t count, const float* const* sums,
                 const int64_t* stride, std::byte* out) {
    if (!std::exchange(said_, true)) args_.ran(thread_, kNormOfTiles);
    LineNormRun::Sums from[ContractPass::kMaxContractions];
    std::array<int64_t, AxisSpace::kMax> at{};
    for (int64_t r = first; r < last; ++r, out += columns_ * static_cast<int64_t>(bytes_)) {
      lines_.split((r * columns_ + column) / line_, at.data());
      for (int64_t c = 0; c < count; c += line_, lines_.advance(at.data())) {
        for (size_t i = 0; i < owner_.region_->contractions.size(); ++i) {
          from[i] = {sums[i] + (r - first) * stride[i] + c, 1};
        }
        norm_.line(at.data(), from, out + static_cast<size_t>(c) * bytes_, 1);
      }
    }
  }

  const ContractRegion& owner_;
  const StepArgs& args_;
  const int32_t* slots_;
  AxisSpace rows_;
  AxisSpace lines_;   // of a norm
  int64_t line_ = 1;  // elements of one
  LineNormRun norm_;
  int thread_ = 0;
  bool said_ = false;  // that it runs
  int64_t columns_ = 1, unit_ = 1, rows_per_slot_ = 1;
  std::byte* out_ = nullptr;
  std::byte* rows_out_ = nullptr;
  size_t bytes_ = 4;
  SourceRun* run_ = nullptr;
  EpilogueRun finish_;
};

namespace {

// Keeps the sums as they are: f32, contiguous over rows and columns.
class StoreSink final : public TileSink {
 public:
  StoreSink(float* const* out, size_t count, int64_t columns) : out_(out), count_(count), columns_(columns) {}
  void tile(int64_t row_first, int64_t row_last, int64_t column_first, int64_t column_last, const float* const* sums,
            const int64_t* stride) override {
    const auto bytes = static_cast<size_t>(column_last - column_first) * sizeof(float);
    for (size_t i = 0; i < count_; ++i) {
      for (int64_t r = row_first; r < row_last; ++r) {
        std::memcpy(out_[i] + r * columns_ + column_first, sums[i] + (r - row_first) * stride[i], bytes);
      }
    }
  }

 private:
  float* const* out_;
  size_t count_;
  int64_t columns_;
};

}  // namespace

void ContractRegion::run(const StepArgs& args, const Team& team, std::byte* scratch, const int32_t* slots,
                         std::byte* rows_out) const {
  std::byte* own = scratch + threads_at_ + static_cast<size_t>(team.thread) * thread_bytes_;
  const bool finished = fused_ && (!epilogue_.needed() || finish_tiles_);
  if (fused_) {
    const bool stores_tiles = finished && tiles_hold_blocks_;
    Sink sink(*this, args, team, scratch, own, stores_tiles ? slots : nullptr, rows_out);
    const int64_t unit = unit_axes_ > 0 ? sink.unit() : column_unit_;
    stages_.front().pass.run(args, team, scratch + shared_at_, own, unit, sink);
    if (finished && (stores_tiles || slots == nullptr)) return;
  } else {
    run_stages(args, team, scratch);
  }
  if (epilogue_.needed() && !finished) {
    team.barrier();
    epilogue_.run(args, team, scratch + finish_at_);
  }
  if (slots != nullptr) {
    team.barrier();
    store_rows(args, team, slots, rows_out);
  }
}

// All contractions are stored first; then the body is evaluated as a map that reads them.
void ContractRegion::run_stages(const StepArgs& args, const Team& team, std::byte* scratch) const {
  std::byte* own = scratch + threads_at_ + static_cast<size_t>(team.thread) * thread_bytes_;
  StoredSums sums;
  auto& [stored, stride] = sums;
  for (const Stage& stage : stages_) {
    std::array<float*, ContractPass::kMaxContractions> out{};
    for (size_t i = 0; i < stage.contractions.size(); ++i) {
      const auto contraction = static_cast<size_t>(stage.contractions[i]);
      out[i] = reinterpret_cast<float*>(scratch + stage.stored_at[i]);
      stored[contraction] = out[i];
      int64_t elements = 1;
      for (size_t a = stage.axes.size(); a-- > 0;) {
        for (size_t l = 0; l < region_->axes.size(); ++l) {
          if (region_->axes[l] == stage.axes[a]) stride[contraction][l] = elements;
        }
        elements *= args.extents[stage.axes[a]];
      }
    }
    const int64_t columns = element_count(std::span(stage.axes).last(stage.column_axes), args.extents);
    StoreSink sink(out.data(), stage.contractions.size(), columns);
    stage.pass.run(args, team, scratch + shared_at_, own, kColumnUnit, sink);
    team.barrier();  // the stages share scratch
  }
  auto* body = static_cast<std::byte*>(epilogue_.needed() ? epilogue_.body(args, scratch + finish_at_)
                                                          : args.data[outputs_.front()]);
  if (norm_) {
    normalize_stored(args, team, own + body_at_, sums, body);
    return;
  }
  const size_t bytes = element_bytes(body_.type());
  const size_t outer_rank = region_->axes.empty() ? 0 : region_->axes.size() - 1;
  const AxisSpace outer({region_->axes.data(), outer_rank}, args.extents);
  const int64_t inner = region_->axes.empty() ? 1 : args.extents[region_->axes.back()];
  const Range range = share(outer.count(), 1, team);
  if (range.first >= range.last || inner == 0) return;
  SourceRun* run = body_.bind(args, own + body_at_);
  const size_t contractions = region_->contractions.size();
  std::array<int64_t, AxisSpace::kMax> at{};
  outer.split(range.first, at.data());
  alignas(64) float pieces[ContractPass::kMaxContractions][kTile];
  for (int64_t r = range.first; r < range.last; ++r, outer.advance(at.data())) {
    if (outer.rank > 0) run->set_row(at.data());
    std::array<const float*, ContractPass::kMaxContractions> row{};
    for (size_t c = 0; c < contractions; ++c) {
      row[c] = stored[c];
      for (size_t l = 0; l < outer_rank; ++l) row[c] += at[l] * stride[c][l];
    }
    for (int64_t first = 0; first < inner; first += kTile) {
      const int64_t count = std::min(kTile, inner - first);
      const void* provided[ContractPass::kMaxContractions];
      for (size_t c = 0; c < contractions; ++c) {
        const int64_t step = region_->axes.empty() ? 0 : stride[c][outer_rank];
        provided[c] = row[c] + first * step;
        if (step <= 1) continue;
        for (int64_t i = 0; i < count; ++i) pieces[c][i] = row[c][(first + i) * step];
        provided[c] = pieces[c];
      }
      run->evaluate(first, count, provided, body + static_cast<size_t>(r * inner + first) * bytes);
    }
  }
}

// The second phase of a norm whose lines no tile holds: each thread takes whole lines.
void ContractRegion::normalize_stored(const StepArgs& args, const Team& team, std::byte* own, const StoredSums& sums,
                                      std::byte* body) const {
  const std::vector<AxisId>& axes = region_->axes;
  const size_t along = find_axis(axes, region_->body.reduced);
  const AxisSpace lines(without(axes, region_->body.reduced), args.extents);
  const Range range = share(lines.count(), 1, team);
  if (range.first >= range.last || args.extents[region_->body.reduced] == 0) return;
  args.ran(team.thread, kNormOfStored);
  const size_t bytes = element_bytes(region_->body.program.type());
  std::array<int64_t, AxisSpace::kMax> out_stride{}, at{};
  int64_t elements = 1;
  for (size_t i = axes.size(); i-- > 0; elements *= args.extents[axes[i]]) out_stride[i] = elements;
  LineNormRun run = norm_->bind(args, own);
  lines.split(range.first, at.data());
  for (int64_t line = range.first; line < range.last; ++line, lines.advance(at.data())) {
    const auto offset = [&](const std::array<int64_t, AxisSpace::kMax>& stride) {
      int64_t sum = 0;
      for (size_t i = 0, l = 0; i < axes.size(); ++i) {
        if (i != along) sum += at[l++] * stride[i];
      }
      return sum;
    };
    LineNormRun::Sums from[ContractPass::kMaxContractions];
    for (size_t c = 0; c < region_->contractions.size(); ++c) {
      from[c] = {sums.at[c] + offset(sums.stride[c]), sums.stride[c][along]};
    }
    run.line(at.data(), from, body + static_cast<size_t>(offset(out_stride)) * bytes, out_stride[along]);
  }
}

void ContractRegion::store_rows(const StepArgs& args, const Team& team, const int32_t* slots,
                                std::byte* rows_out) const {
  const int64_t rows = args.extents[region_->axes.front()];
  const int64_t width = element_count({region_->axes.data() + 1, region_->axes.size() - 1}, args.extents);
  const auto* from = static_cast<const float*>(args.data[outputs_.front()]);
  const Range range = share(rows, 1, team);
  for (int64_t r = range.first; r < range.last; ++r) {
    if (slots[r] >= 0) encode_elements(row_format_, from + r * width, rows_out, slots[r] * width, width);
  }
}

void ContractRegion::add_kernels(std::vector<KernelRange>& all) const {
  for (const Stage& stage : stages_) stage.pass.add_kernels(all);
  if (norm_) add_kernel(all, {.name = fused_ ? kNormOfTiles : kNormOfStored});
}

}  // namespace weft
