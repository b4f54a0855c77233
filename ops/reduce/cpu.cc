// Norms and reductions: a chain of reductions along one axis, a map over their results, then rotation and
// selection.
//
// Two orders of loops. By rows: the reduced axis is innermost, and each row is reduced as a whole. By columns:
// other axes follow the reduced one in memory, and a tile of them is reduced side by side.
#include <algorithm>
#include <array>
#include <cstring>
#include <limits>

#include "core/align.h"
#include "core/record/axis_list.h"
#include "ops/cpu/epilogue.h"
#include "ops/cpu/kernel.h"
#include "ops/cpu/source_eval.h"
#include "ops/cpu/tile_kernels.h"

namespace weft {
namespace {

// Elements of the result that are finished, while they are in cache, before the next rows are computed.
constexpr int64_t kBlockElements = 4096;
constexpr int64_t kMapGrain = 1024;
constexpr int kMaxReductions = 16;

// Coordinates of consecutive rows.
class RowCounter {
 public:
  RowCounter(std::span<const AxisId> axes, const int64_t* extents, int64_t first) : rank_(axes.size()) {
    for (size_t i = rank_; i-- > 0;) {
      extent_[i] = extents[axes[i]];
      at_[i] = first % extent_[i];
      first /= extent_[i];
    }
  }
  void next() {
    for (size_t i = rank_; i-- > 0;) {
      if (++at_[i] < extent_[i]) return;
      at_[i] = 0;
    }
  }
  int64_t* at() { return at_.data(); }
  const int64_t* at() const { return at_.data(); }

 private:
  size_t rank_;
  std::array<int64_t, kMaxLoops + 1> extent_{}, at_{};
};

class ReduceKernel : public CpuKernel {
 public:
  explicit ReduceKernel(const KernelContext& context)
      : axes_(context.step.regions[0].axes),
        output_(context.step.outputs[0]),
        epilogue_(context, context.step.regions[0], context.step.outputs) {
    const Region& region = context.step.regions[0];
    const Source& source = region.body;
    reduced_ = source.reduced;
    for (const AxisId axis : axes_) {
      if (axis != reduced_) row_axes_.push_back(axis);
    }
    keeps_axis_ = row_axes_.size() != axes_.size();
    choose_order(region);

    // Loops: the axes before the reduced one, that one, and those after it (none, by rows).
    std::vector<AxisId> loops = row_axes_;
    if (reduced_ != kNoAxis) loops.insert(loops.begin() + static_cast<ptrdiff_t>(split_), reduced_);
    const auto behind = static_cast<int>(row_axes_.size() - split_);
    const int inner = by_rows_ ? 1 : behind;
    std::vector<ProvidedSource> provided;
    for (size_t i = 0; i < source.reductions.size(); ++i) {
      const Reduction& reduction = source.reductions[i];
      reductions_.push_back({reduction.op, reduction.program.type(),
                             SourceEvaluator(context.graph, region, reduction.program, loops, inner, provided)});
      provided.push_back({.op = ScalarOp::reduction, .imm = static_cast<int32_t>(i), .uniform = by_rows_});
    }
    if (reduced_ == kNoAxis || (by_rows_ && !keeps_axis_)) {
      for (ProvidedSource& p : provided) p.uniform = false;
      body_ = SourceEvaluator(context.graph, region, source.program, row_axes_, static_cast<int>(row_axes_.size()),
                              provided);
    } else {
      body_ = SourceEvaluator(context.graph, region, source.program, keeps_axis_ ? loops : row_axes_, inner, provided);
    }

    const auto reserve = [this](size_t& where, size_t bytes) {
      where = thread_bytes_;
      thread_bytes_ += align_up(bytes);
    };
    for (Step& step : reductions_) reserve(step.workspace_at, step.evaluator.workspace_bytes());
    reserve(body_at_, body_.workspace_bytes());
    reserve(results_at_, reductions_.size() * kTile * 4);
    reserve(columns_at_, by_rows_ ? 0 : kTile * (4 + 8 + 4 + 4));
    threads_at_ = align_up(epilogue_.scratch_bytes());
    scratch_bytes_ = threads_at_ + static_cast<size_t>(context.threads) * thread_bytes_;
  }

  std::vector<KernelRange> kernels() const override {
    return {{.name = reduced_ == kNoAxis ? kMapName : by_rows_ ? kRowsName : kColumnsName}};
  }
  size_t scratch_bytes() const override { return scratch_bytes_; }

  void run(const StepArgs& args, const Team& team) const override {
    std::byte* thread = args.scratch + threads_at_ + static_cast<size_t>(team.thread) * thread_bytes_;
    auto* out = static_cast<std::byte*>(epilogue_.needed() ? static_cast<void*>(epilogue_.body(args, args.scratch))
                                                           : args.data[output_]);
    if (reduced_ == kNoAxis) {
      run_map(args, team, thread, out);
    } else if (by_rows_) {
      run_rows(args, team, thread, out);
    } else {
      run_columns(args, team, thread, out);
    }
    if (epilogue_.needed() && !finishes_rows()) {
      team.barrier();
      epilogue_.run(args, team, args.scratch);
    }
  }

 private:
  static constexpr const char* kMapName = "reduce/map";
  static constexpr const char* kRowsName = "reduce/rows";
  static constexpr const char* kColumnsName = "reduce/columns";

  struct Step {
    ReduceOp op;
    Element element;
    SourceEvaluator evaluator;
    size_t workspace_at = 0;
  };
  using Runs = std::array<SourceRun*, kMaxReductions>;

  void choose_order(const Region& region) {
    split_ = row_axes_.size();
    if (reduced_ == kNoAxis) return;
    if (keeps_axis_) {
      split_ = find_axis(axes_, reduced_);
    } else {
      // What the reduction reads decides: the axis that follows the reduced one in memory.
      const TileProgram program(region.body.reductions[0].program);
      for (const ScalarInstr& instr : program.sources()) {
        if (instr.op != ScalarOp::load) continue;
        const std::vector<ViewAxis>& view = region.operands[static_cast<size_t>(instr.imm)].view;
        for (size_t i = 0; i + 1 < view.size(); ++i) {
          if (view[i].gather >= 0 || view[i].axis != reduced_) continue;
          split_ = std::min(split_, find_axis(row_axes_, view[i + 1].axis));
        }
      }
    }
    by_rows_ = split_ == row_axes_.size();
  }

  // Whether rows of this kernel are those of the epilogue, so that each thread can finish its own.
  bool finishes_rows() const {
    return epilogue_.by_rows() &&
           (reduced_ == kNoAxis || (by_rows_ && keeps_axis_ && epilogue_.row_axis() + 1 == axes_.size()));
  }

  Runs bind(const StepArgs& args, std::byte* thread) const {
    Runs runs{};
    for (size_t i = 0; i < reductions_.size(); ++i) {
      runs[i] = reductions_[i].evaluator.bind(args, thread + reductions_[i].workspace_at);
    }
    return runs;
  }

  int64_t out_width() const { return body_.type() == Element::bool8 ? 1 : 4; }

  // Without reductions: a map that is rotated.
  void run_map(const StepArgs& args, const Team& team, std::byte* thread, std::byte* out) const {
    args.ran(team.thread, kMapName);
    const size_t row_axis = finishes_rows() ? epilogue_.row_axis() : axes_.size();
    const std::span<const AxisId> all = axes_;
    const int64_t row = element_count(all.subspan(row_axis), args.extents);
    const int64_t rows = element_count(all.first(row_axis), args.extents);
    const int64_t grain = finishes_rows() ? 1 : kMapGrain;
    const Range mine = share(rows, grain, team);
    if (mine.first >= mine.last) return;
    SourceRun* body = body_.bind(args, thread + body_at_);
    const int64_t block = std::max<int64_t>(1, kBlockElements / std::max<int64_t>(row, 1));
    for (int64_t first = mine.first; first < mine.last; first += block) {
      const int64_t last = std::min(mine.last, first + block);
      body->evaluate(first * row, (last - first) * row, nullptr, out + first * row * out_width());
      if (finishes_rows()) epilogue_.finish_rows(args, team, args.scratch, first, last);
    }
  }

  void run_rows(const StepArgs& args, const Team& team, std::byte* thread, std::byte* out) const {
    args.ran(team.thread, kRowsName);
    const int64_t extent = args.extents[reduced_];
    const Range mine = share(element_count(row_axes_, args.extents), 1, team);
    if (mine.first >= mine.last) return;
    const Runs runs = bind(args, thread);
    SourceRun* body = body_.bind(args, thread + body_at_);
    auto* results = reinterpret_cast<uint32_t*>(thread + results_at_);
    std::array<const void*, kMaxReductions> provided{};
    RowCounter row(row_axes_, args.extents, mine.first);
    const int64_t row_bytes = extent * out_width();
    // Rows whose results are kept until they are mapped or finished together.
    const int64_t block = keeps_axis_ ? std::max<int64_t>(1, kBlockElements / std::max<int64_t>(extent, 1)) : kTile;
    for (int64_t first = mine.first; first < mine.last; first += block) {
      const int64_t last = std::min(mine.last, first + block);
      for (int64_t r = first; r < last; ++r, row.next()) {
        const int64_t slot = keeps_axis_ ? 0 : r - first;
        for (size_t i = 0; i < reductions_.size(); ++i) {
          uint32_t* result = results + i * kTile + slot;
          TileReduction reduction;
          reduction.reset(reductions_[i].op, reductions_[i].element);
          runs[i]->set_row(row.at());
          runs[i]->reduce(0, extent, provided.data(), reduction);
          *result = reduction.result();
          provided[i] = result;
        }
        if (!keeps_axis_) continue;
        body->set_row(row.at());
        body->evaluate(0, extent, provided.data(), out + r * row_bytes);
      }
      if (!keeps_axis_) {
        for (size_t i = 0; i < reductions_.size(); ++i) provided[i] = results + i * kTile;
        body->evaluate(first, last - first, provided.data(), out + first * out_width());
      } else if (finishes_rows()) {
        epilogue_.finish_rows(args, team, args.scratch, first, last);
      }
    }
  }

  // Values of one reduction for the tile [first, first + n) of the columns, over all of the reduced axis.
  void reduce_columns(const Step& step, SourceRun* run, RowCounter& row, int64_t extent, int64_t first, int64_t n,
                      const void* const* provided, std::byte* columns, uint32_t* results) const {
    auto* sums = reinterpret_cast<double*>(columns);
    auto* values = reinterpret_cast<float*>(sums + kTile);
    auto* best = values + kTile;
    auto* index = reinterpret_cast<int32_t*>(best + kTile);
    const bool floats = step.element == Element::f32;
    const bool adds = step.op == ReduceOp::sum || step.op == ReduceOp::mean;
    auto* int_values = reinterpret_cast<int32_t*>(values);
    auto* int_best = reinterpret_cast<int32_t*>(best);
    std::fill_n(sums, n, 0.0);
    std::fill_n(index, n, -1);
    if (floats) std::fill_n(best, n, -std::numeric_limits<float>::infinity());
    else std::fill_n(int_best, n, adds ? 0 : std::numeric_limits<int32_t>::min());
    for (int64_t r = 0; r < extent; ++r) {
      row.at()[split_] = r;
      run->set_row(row.at());
      run->evaluate(first, n, provided, values);
      if (floats && adds) {
        accumulate_sums(values, n, sums);
      } else if (floats) {
        accumulate_largest(values, n, static_cast<int32_t>(r), best, index);
      } else {
        for (int64_t i = 0; i < n; ++i) {
          if (adds) {
            int_best[i] =
                static_cast<int32_t>(static_cast<uint32_t>(int_best[i]) + static_cast<uint32_t>(int_values[i]));
          } else if (index[i] < 0 || int_values[i] > int_best[i]) {
            int_best[i] = int_values[i];
            index[i] = static_cast<int32_t>(r);
          }
        }
      }
    }
    for (int64_t i = 0; i < n; ++i) {
      if (step.op == ReduceOp::argmax) {
        results[i] = static_cast<uint32_t>(std::max(index[i], 0));
      } else if (floats && adds) {
        const double sum = step.op == ReduceOp::mean ? sums[i] / static_cast<double>(extent) : sums[i];
        results[i] = std::bit_cast<uint32_t>(static_cast<float>(sum));
      } else {
        std::memcpy(&results[i], &best[i], 4);
      }
    }
  }

  void run_columns(const StepArgs& args, const Team& team, std::byte* thread, std::byte* out) const {
    args.ran(team.thread, kColumnsName);
    const std::span<const AxisId> all = row_axes_;
    const int64_t extent = args.extents[reduced_];
    const int64_t columns = element_count(all.subspan(split_), args.extents);
    const int64_t tiles = (columns + kTile - 1) / kTile;
    const Range mine = share(element_count(all.first(split_), args.extents) * tiles, 1, team);
    if (mine.first >= mine.last) return;
    const Runs runs = bind(args, thread);
    SourceRun* body = body_.bind(args, thread + body_at_);
    auto* results = reinterpret_cast<uint32_t*>(thread + results_at_);
    std::array<const void*, kMaxReductions> provided{};
    for (int64_t item = mine.first; item < mine.last; ++item) {
      const int64_t outer = item / tiles;
      const int64_t first = item % tiles * kTile;
      const int64_t n = std::min(kTile, columns - first);
      RowCounter row(all.first(split_), args.extents, outer);
      for (size_t i = 0; i < reductions_.size(); ++i) {
        uint32_t* result = results + i * kTile;
        reduce_columns(reductions_[i], runs[i], row, extent, first, n, provided.data(), thread + columns_at_, result);
        provided[i] = result;
      }
      const int64_t width = out_width();
      if (!keeps_axis_) {
        body->set_row(row.at());
        body->evaluate(first, n, provided.data(), out + (outer * columns + first) * width);
        continue;
      }
      for (int64_t r = 0; r < extent; ++r) {
        row.at()[split_] = r;
        body->set_row(row.at());
        body->evaluate(first, n, provided.data(), out + ((outer * extent + r) * columns + first) * width);
      }
    }
  }

  std::vector<AxisId> axes_;
  std::vector<AxisId> row_axes_;  // without the reduced one
  ValueId output_;
  AxisId reduced_ = kNoAxis;
  bool keeps_axis_ = false;  // the result has the reduced axis
  bool by_rows_ = true;
  size_t split_ = 0;  // row axes before the reduced one
  std::vector<Step> reductions_;
  SourceEvaluator body_;
  Epilogue epilogue_;
  size_t body_at_ = 0, results_at_ = 0, columns_at_ = 0;  // in a thread's part
  size_t thread_bytes_ = 0, threads_at_ = 0, scratch_bytes_ = 0;
};

}  // namespace

std::unique_ptr<CpuKernel> make_reduce_kernel(const KernelContext& context) {
  if (context.step.kind != StepKind::reduce) return nullptr;
  if (context.step.regions[0].body.reductions.size() > kMaxReductions) return nullptr;
  return std::make_unique<ReduceKernel>(context);
}

}  // namespace weft
