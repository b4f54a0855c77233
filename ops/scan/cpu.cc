// Scans: each head of each run of tokens is a piece of work, in chunks of rows or, where there are few, row by row. And
// convolutions, whose pieces are some channels of a run.
#include <algorithm>
#include <array>
#include <cstring>
#include <memory>
#include <optional>
#include <span>
#include <utility>
#include <vector>

#include "core/align.h"
#include "core/record/axis_list.h"
#include "ops/contract/lhs_rows.h"
#include "ops/cpu/claims.h"
#include "ops/cpu/kernel.h"
#include "ops/scan/recurrence.h"

namespace weft {
namespace {

constexpr const char* kStepsName = "scan/steps";
constexpr const char* kChunksName = "scan/chunks";
constexpr const char* kConvolutionName = "convolution";
// What takes less time row by row: few rows, and states of few rows, over which a chunk's own products outweigh its
// gain.
constexpr int64_t kFewRows = 3, kSmallState = 16;

void copy(const float* from, int64_t count, float* to) {
  if (count > 0) std::memcpy(to, from, static_cast<size_t>(count) * sizeof(float));
}

// Parts of a memory area, taken one after the other.
struct Area {
  size_t bytes = 0;
  size_t take(size_t wanted) { return std::exchange(bytes, bytes + align_up(wanted)); }
  size_t floats(int64_t count) { return take(static_cast<size_t>(count) * sizeof(float)); }
};

// Rows [first, last) of a step that are one sequence's.
struct Run {
  int64_t first, last;
};

// What both kinds share: the runs of a step, the states' slots, and what follows elementwise.
class ScanBase : public CpuKernel {
 public:
  explicit ScanBase(const KernelContext& context)
      : region_(context.step.regions.front()),
        scan_(*region_.scan),
        state_(context.graph.states[static_cast<size_t>(scan_.state)]),
        state_axes_(context.graph.values[state_.value].axes),
        output_(context.step.outputs.front()),
        max_rows_(context.max_extents[state_.pos]),
        threads_(context.threads) {
    runs_at_ = thread_.take(static_cast<size_t>(max_rows_) * sizeof(Run));
    const ScalarProgram& body = region_.body.program;
    if (body.code.size() == 1 && body.code.front().op == ScalarOp::contraction) return;
    const ProvidedSource provided[] = {{.op = ScalarOp::contraction, .imm = 0}};
    body_.emplace(context.graph, region_, body, region_.axes, 1, provided);
    body_at_ = thread_.take(body_->workspace_bytes());
  }

  size_t scratch_bytes() const override { return shared_.bytes + thread_.bytes * static_cast<size_t>(threads_); }

 protected:
  // One thread's run of the step.
  struct Turn {
    const StepArgs& args;
    const Team& team;
    std::byte* memory;  // the thread's own
    std::span<const Run> runs;
    const int32_t *from, *to;
    float *pool, *out;
    SourceRun* body;
    template <class T>
    T* at(size_t offset) const {
      return reinterpret_cast<T*>(memory + offset);
    }
  };

  Turn begin(const StepArgs& args, const Team& team) const {
    std::byte* memory = args.scratch + shared_.bytes + static_cast<size_t>(team.thread) * thread_.bytes;
    auto* runs = reinterpret_cast<Run*>(memory + runs_at_);
    const auto* from = static_cast<const int32_t*>(args.data[state_.from]);
    size_t count = 0;
    for (int64_t t = 0; t < args.extents[state_.pos]; ++t) {
      if (t == 0 || from[t] != kSameRun) runs[count++] = {t, t + 1};
      else ++runs[count - 1].last;
    }
    return {args,
            team,
            memory,
            {runs, count},
            from,
            static_cast<const int32_t*>(args.data[state_.to]),
            static_cast<float*>(args.data[state_.value]),
            static_cast<float*>(args.data[output_]),
            body_ ? body_->bind(args, memory + body_at_) : nullptr};
  }

  // The body over elements [first, first + count) of the last axis, of the row at these coordinates, in place.
  static void finish(const Turn& turn, const int64_t* coordinates, int64_t first, int64_t count, float* row) {
    if (turn.body == nullptr || count == 0) return;
    turn.body->set_row(coordinates);
    const void* const provided[] = {row};
    turn.body->evaluate(first, count, provided, row);
  }

  // The row after which the state is next to be kept: the last of the run, or one before.
  static int64_t next_kept(const Turn& turn, const Run& run, int64_t t) {
    while (t + 1 < run.last && turn.to[t] < 0) ++t;
    return t;
  }

  const Region& region_;
  const Scan& scan_;
  const StateRecord& state_;
  const std::vector<AxisId>& state_axes_;
  ValueId output_;
  int64_t max_rows_;
  int threads_;
  Area shared_, thread_;

 private:
  std::optional<SourceEvaluator> body_;
  size_t runs_at_ = 0, body_at_ = 0;
};

// A source of a recurrence, which fills tiles of rows.
class RoleRows {
 public:
  RoleRows(const KernelContext& context, const Region& region, const Source& source, std::span<const AxisId> heads,
           AxisId pos, AxisId own, Area& thread)
      : pos_index_(heads.size()), has_own_(contains(source.axes, own)), has_pos_(contains(source.axes, pos)) {
    std::vector<AxisId> axes;
    for (size_t i = 0; i < heads.size(); ++i) {
      if (!contains(source.axes, heads[i])) continue;
      axes.push_back(heads[i]);
      where_.push_back(i);
    }
    if (has_pos_) {
      axes.push_back(pos);
      where_.push_back(pos_index_);
    }
    rows_.emplace(context, region, source, std::move(axes),
                  has_own_ ? std::vector<AxisId>{own} : std::vector<AxisId>{});
    workspace_at_ = thread.take(rows_->workspace_bytes());
    const int64_t width = has_own_ ? context.max_extents[own] : 1;
    tile_at_ = thread.floats(kScanChunk * step_of(width));
    staged_at_ = thread.floats(step_of(width) != width && !rows_->in_place() ? kScanChunk * width : 0);
  }

  bool has_own() const { return has_own_; }

  struct Bound {
    LhsRun rows;
    float *tile, *staged;
  };
  Bound bind(const StepArgs& args, std::byte* memory) const {
    Bound bound{rows_->bind(args, memory + workspace_at_), reinterpret_cast<float*>(memory + tile_at_),
                reinterpret_cast<float*>(memory + staged_at_)};
    const int64_t width = bound.rows.k(), step = step_of(width);
    if (step != width) std::fill_n(bound.tile, kScanChunk * step, 0.0f);  // what pads rows stays 0
    return bound;
  }

  // Rows [first, first + count) of a head, whose coordinates are followed by one on pos.
  void fill(Bound& bound, int64_t* coordinates, int64_t first, int64_t count) const {
    coordinates[pos_index_] = first;
    const int64_t width = bound.rows.k(), step = step_of(width);
    const int64_t row = bound.rows.flat(coordinates, where_), rows = has_pos_ ? count : 1;
    if (rows_->in_place()) {
      for (int64_t i = 0; i < rows; ++i) copy(bound.rows.row(row + i), width, bound.tile + i * step);
    } else if (step == width) {
      bound.rows.evaluate(row, row + rows, bound.tile);
    } else {
      bound.rows.evaluate(row, row + rows, bound.staged);
      for (int64_t i = 0; i < rows; ++i) copy(bound.staged + i * width, width, bound.tile + i * step);
    }
    for (int64_t i = rows; i < count; ++i) copy(bound.tile, width, bound.tile + i * step);
  }

 private:
  int64_t step_of(int64_t width) const { return has_own_ ? scan_padded(width) : 1; }

  std::optional<LhsRows> rows_;
  std::vector<size_t> where_;
  size_t pos_index_;
  bool has_own_, has_pos_;
  size_t workspace_at_ = 0, tile_at_ = 0, staged_at_ = 0;
};

class RecurrenceKernel final : public ScanBase {
 public:
  explicit RecurrenceKernel(const KernelContext& context) : ScanBase(context), heads_(head_axes(context.graph, scan_)) {
    const AxisId rows = state_axes_[state_axes_.size() - 2], columns = state_axes_.back();
    for (const auto& [name, lhs] : roles_of(scan_)) {
      roles_.emplace_back(context, region_, region_.lhs[static_cast<size_t>(lhs)], heads_, state_.pos,
                          lhs == scan_.roles.value ? columns : rows, thread_);
      lhs_of_.push_back(lhs);
    }
    max_k_ = context.max_extents[rows];
    const int64_t k = max_k_, v = context.max_extents[columns];
    scratch_at_ = thread_.floats(static_cast<int64_t>(recurrence_scratch(k, v)));
    unkept_at_ = thread_.floats(k * v);
  }

  std::vector<KernelRange> kernels() const override {
    if (max_k_ <= kSmallState) return {{.name = kStepsName}};
    return {{.name = kStepsName, .first_rows = 1, .last_rows = kFewRows},
            {.name = kChunksName, .first_rows = kFewRows + 1}};
  }

  void run(const StepArgs& args, const Team& team) const override {
    const Turn turn = begin(args, team);
    std::array<std::optional<RoleRows::Bound>, kMostRoles> bound;
    for (size_t i = 0; i < roles_.size(); ++i) bound[i] = roles_[i].bind(args, turn.memory);
    RecurrenceTile tile;
    tile.k = args.extents[state_axes_[state_axes_.size() - 2]];
    tile.v = args.extents[state_axes_.back()];
    tile.scratch = turn.at<float>(scratch_at_);
    const auto tile_of = [&](int lhs) -> const float* {
      const auto at = std::ranges::find(lhs_of_, lhs);
      return lhs < 0 ? nullptr : bound[static_cast<size_t>(at - lhs_of_.begin())]->tile;
    };
    const ScanRoles& roles = scan_.roles;
    tile.query = tile_of(roles.query);
    tile.key = tile_of(roles.key);
    tile.value = tile_of(roles.value);
    tile.decay = tile_of(roles.decay);
    tile.erase = tile_of(roles.erase);
    tile.read = tile_of(roles.read);
    tile.bonus = tile_of(roles.bonus);
    for (size_t i = 0; i < roles_.size(); ++i) {
      if (lhs_of_[i] == roles.decay) tile.decay_per_channel = roles_[i].has_own();
    }
    const AxisSpace heads(heads_, args.extents);
    const int64_t count = heads.count();
    for_claimed(static_cast<int64_t>(turn.runs.size()) * count, team, [&](int64_t item) {
      run_head(turn, turn.runs[static_cast<size_t>(item / count)], heads, item % count, bound, tile);
    });
  }

 private:
  static constexpr size_t kMostRoles = 7;

  void run_head(const Turn& turn, const Run& run, const AxisSpace& heads, int64_t head,
                std::array<std::optional<RoleRows::Bound>, kMostRoles>& bound, RecurrenceTile& tile) const {
    std::array<int64_t, AxisSpace::kMax> coordinates{};  // of the heads, then of pos
    heads.split(head, coordinates.data());
    std::array<int64_t, AxisSpace::kMax> output{};  // of pos, then of the heads
    std::copy_n(coordinates.begin(), heads.rank, output.begin() + 1);
    const int64_t count = heads.count(), size = tile.k * tile.v;
    const auto slot = [&](int32_t index) { return turn.pool + (index * count + head) * size; };
    // The state is worked on in the slot that it ends in.
    const int32_t from = turn.from[run.first], to = turn.to[run.last - 1];
    tile.state = to >= 0 ? slot(to) : turn.at<float>(unkept_at_);
    if (from < 0) std::fill_n(tile.state, size, 0.0f);
    else if (from != to) copy(slot(from), size, tile.state);
    tile.out_step = count * tile.v;
    for (int64_t t = run.first; t < run.last; t += tile.rows) {
      const int64_t kept = next_kept(turn, run, t);
      tile.rows = std::min(kScanChunk, kept + 1 - t);
      for (size_t i = 0; i < roles_.size(); ++i) roles_[i].fill(*bound[i], coordinates.data(), t, tile.rows);
      tile.out = turn.out + (t * count + head) * tile.v;
      const bool few = tile.rows <= kFewRows || max_k_ <= kSmallState;
      turn.args.ran(turn.team.thread, few ? kStepsName : kChunksName);
      if (few) run_recurrence_steps(tile);
      else run_recurrence_chunk(tile);
      for (int64_t r = 0; turn.body != nullptr && r < tile.rows; ++r) {
        output[0] = t + r;
        finish(turn, output.data(), 0, tile.v, tile.out + r * tile.out_step);
      }
      if (t + tile.rows == kept + 1 && kept + 1 < run.last) copy(tile.state, size, slot(turn.to[kept]));
    }
  }

  std::vector<AxisId> heads_;
  std::vector<RoleRows> roles_;
  std::vector<int> lhs_of_;  // by role
  int64_t max_k_ = 0;
  size_t scratch_at_ = 0, unkept_at_ = 0;
};

class ConvolutionKernel final : public ScanBase {
 public:
  explicit ConvolutionKernel(const KernelContext& context)
      : ScanBase(context),
        taps_(context.max_extents[state_axes_[0]]),
        input_(context, region_, region_.lhs[static_cast<size_t>(scan_.roles.value)], {state_.pos}, {state_axes_[1]}),
        weights_(context, region_, region_.lhs[static_cast<size_t>(scan_.roles.key)], {state_axes_[1]},
                 {state_axes_[0]}) {
    if (!input_.in_place()) input_at_ = shared_.floats(max_rows_ * context.max_extents[state_axes_[1]]);
    workspace_at_ = thread_.take(std::max(input_.workspace_bytes(), weights_.workspace_bytes()));
    past_at_ = thread_.floats(taps_ * kChannels);
    rows_at_ = thread_.floats(taps_ * kChannels);
    columns_at_ = thread_.floats(taps_ * kChannels);
    inputs_at_ = thread_.take(static_cast<size_t>(max_rows_ + taps_) * sizeof(float*));
  }

  std::vector<KernelRange> kernels() const override { return {{.name = kConvolutionName}}; }

  void run(const StepArgs& args, const Team& team) const override {
    const Turn turn = begin(args, team);
    LhsRun input = input_.bind(args, turn.memory + workspace_at_);
    auto* computed = reinterpret_cast<float*>(args.scratch + input_at_);
    if (!input_.in_place()) {
      input.evaluate_share(team, computed);
      team.barrier();
    }
    const int64_t channels = args.extents[state_axes_[1]];
    LhsRun weights = weights_.bind(args, turn.memory + workspace_at_);
    const int64_t blocks = (channels + kChannels - 1) / kChannels;
    if (turn.runs.empty() || blocks == 0) return;
    for_claimed(static_cast<int64_t>(turn.runs.size()) * blocks, team, [&](int64_t item) {
      const int64_t first = item % blocks * kChannels;
      const auto row = [&](int64_t t) { return input_.in_place() ? input.row(t) : computed + t * channels; };
      run_channels(turn, turn.runs[static_cast<size_t>(item / blocks)], first, std::min(kChannels, channels - first),
                   weights, row);
    });
    args.ran(team.thread, kConvolutionName);
  }

 private:
  static constexpr int64_t kChannels = 256;  // of a piece of work

  template <class Row>
  void run_channels(const Turn& turn, const Run& run, int64_t first, int64_t count, LhsRun& weights,
                    const Row& row) const {
    const int64_t taps = turn.args.extents[state_axes_[0]], channels = turn.args.extents[state_axes_[1]];
    ConvolutionTile tile{.rows = run.last - run.first,
                         .taps = taps,
                         .channels = count,
                         .weights = turn.at<float>(columns_at_),
                         .weights_step = kChannels,
                         .inputs = turn.at<const float*>(inputs_at_),
                         .out = turn.out + run.first * channels + first,
                         .out_step = channels};
    transpose_weights(turn, weights, first, count, taps);
    // What the first taps read lies in the state, of which a copy is made: it may be written below.
    auto** inputs = turn.at<const float*>(inputs_at_);
    const auto slot = [&](int32_t index) { return turn.pool + index * taps * channels + first; };
    for (int64_t j = 0; j + 1 < taps; ++j) {
      float* const past = turn.at<float>(past_at_) + j * kChannels;
      if (turn.from[run.first] < 0) std::fill_n(past, count, 0.0f);
      else copy(slot(turn.from[run.first]) + (j + 1) * channels, count, past);
      inputs[j] = past;
    }
    const int64_t before = std::max<int64_t>(taps - 1, 0);
    for (int64_t t = run.first; t < run.last; ++t) inputs[before + t - run.first] = row(t) + first;
    run_convolution(tile);
    for (int64_t t = run.first; t < run.last; ++t) {
      if (turn.body != nullptr) finish(turn, &t, first, count, turn.out + t * channels + first);
      if (turn.to[t] < 0) continue;
      for (int64_t j = 0; j < taps; ++j) {
        copy(inputs[t - run.first + j], count, slot(turn.to[t]) + j * channels);
      }
    }
  }

  // The weights of channels [first, first + count), tap by tap.
  void transpose_weights(const Turn& turn, LhsRun& weights, int64_t first, int64_t count, int64_t taps) const {
    auto* columns = turn.at<float>(columns_at_);
    auto* rows = turn.at<float>(rows_at_);
    if (!weights_.in_place()) weights.evaluate(first, first + count, rows);
    for (int64_t c = 0; c < count; ++c) {
      const float* const of_channel = weights_.in_place() ? weights.row(first + c) : rows + c * taps;
      for (int64_t j = 0; j < taps; ++j) columns[j * kChannels + c] = of_channel[j];
    }
  }

  int64_t taps_;
  LhsRows input_, weights_;
  size_t input_at_ = 0, workspace_at_ = 0, past_at_ = 0, rows_at_ = 0, columns_at_ = 0, inputs_at_ = 0;
};

}  // namespace

std::unique_ptr<CpuKernel> make_scan_kernel(const KernelContext& context) {
  if (context.step.regions.front().scan->kind == Scan::Kind::convolution) {
    return std::make_unique<ConvolutionKernel>(context);
  }
  return std::make_unique<RecurrenceKernel>(context);
}

}  // namespace weft
