#include "ops/contract/lhs_rows.h"

#include <algorithm>

#include "core/align.h"
#include "core/error.h"
#include "core/record/axis_list.h"

namespace weft {

LhsRows::LhsRows(const KernelContext& context, const Region& region, const Source& source, std::vector<AxisId> row_axes,
                 std::vector<AxisId> k_axes)
    : region_(&region), row_axes_(std::move(row_axes)), k_axes_(std::move(k_axes)), reduced_(source.reduced) {
  if (source.reductions.size() > kMaxReductions) {
    throw Error("step '" + context.step.name + "': a prologue with more than 8 reductions");
  }
  in_place_ = find_in_place(context, source);
  if (in_place()) return;
  std::vector<AxisId> loops = joined(row_axes_, k_axes_);
  if (source.reductions.empty()) {
    reduced_ = kNoAxis;
    program_ = SourceEvaluator(context.graph, region, source.program, loops, static_cast<int>(k_axes_.size()));
    workspace_bytes_ = align_up(program_.workspace_bytes());
    return;
  }
  reduced_in_axes_ = contains(loops, reduced_);
  by_rows_ = !contains(row_axes_, reduced_);
  box_axes_ = without(loops, reduced_);
  loops = box_axes_;
  loops.push_back(reduced_);
  std::vector<ProvidedSource> provided;
  for (size_t i = 0; i < source.reductions.size(); ++i) {
    reductions_.emplace_back(context.graph, region, source.reductions[i].program, loops, 1, provided);
    reduce_ops_.push_back(source.reductions[i].op);
    provided.push_back({ScalarOp::reduction, static_cast<int32_t>(i), true});
    workspace_bytes_ += align_up(reductions_.back().workspace_bytes());
  }
  if (!reduced_in_axes_) loops.pop_back();
  program_ = SourceEvaluator(context.graph, region, source.program, loops, reduced_in_axes_ ? 1 : 0, provided);
  workspace_bytes_ += align_up(program_.workspace_bytes());
}

// The operand, if the source is one of f32 whose k axes are contiguous.
int LhsRows::find_in_place(const KernelContext& context, const Source& source) const {
  if (!source.reductions.empty() || source.program.code.size() != 1) return -1;
  const ScalarInstr& only = source.program.code.front();
  if (only.op != ScalarOp::load || only.type != Element::f32) return -1;
  const Operand& operand = region_->operands[static_cast<size_t>(only.imm)];
  const ValueRecord& value = context.graph.values[operand.value];
  if (value.format != Format::f32 || operand.view.size() < k_axes_.size()) return -1;
  if (value.kind == ValueKind::cache_field) return -1;
  const size_t first = operand.view.size() - k_axes_.size();
  for (size_t i = 0; i < operand.view.size(); ++i) {
    const ViewAxis& axis = operand.view[i];
    if (axis.gather >= 0) return -1;
    if (i < first) continue;
    if (axis.axis != k_axes_[i - first]) return -1;
    if (i > first && axis.stored != axis.axis) return -1;
  }
  return only.imm;
}

LhsRun LhsRows::bind(const StepArgs& args, std::byte* workspace) const {
  LhsRun run;
  run.owner_ = this;
  run.row_space_ = AxisSpace(row_axes_, args.extents);
  run.rows_ = run.row_space_.count();
  run.k_ = element_count(k_axes_, args.extents);
  if (in_place()) {
    const Operand& operand = region_->operands[static_cast<size_t>(in_place_)];
    std::array<AxisId, AxisSpace::kMax> loops{};
    size_t count = 0;
    for (const AxisId axis : row_axes_) loops[count++] = axis;
    for (const AxisId axis : k_axes_) loops[count++] = axis;
    const ResolvedView view = resolve(operand, {loops.data(), count}, args.extents);
    run.base_ = static_cast<const float*>(args.data[operand.value]) + view.offset;
    for (size_t i = 0; i < row_axes_.size(); ++i) run.row_stride_[i] = view.stride[i];
    return run;
  }
  for (size_t i = 0; i < reductions_.size(); ++i) {
    run.reductions_[i] = reductions_[i].bind(args, workspace);
    workspace += align_up(reductions_[i].workspace_bytes());
  }
  run.program_ = program_.bind(args, workspace);
  if (reductions_.empty()) return run;
  run.box_space_ = AxisSpace(box_axes_, args.extents);
  run.reduced_extent_ = args.extents[reduced_];
  int64_t stride = 1;
  const auto assign = [&](AxisId axis) {
    if (axis == reduced_) {
      run.reduced_stride_ = stride;
    } else {
      run.box_stride_[find_axis(box_axes_, axis)] = stride;
    }
    stride *= args.extents[axis];
  };
  for (size_t i = k_axes_.size(); i-- > 0;) assign(k_axes_[i]);
  for (size_t i = row_axes_.size(); i-- > 0;) assign(row_axes_[i]);
  for (const AxisId axis : k_axes_) {
    if (axis != reduced_) run.boxes_per_row_ *= args.extents[axis];
  }
  return run;
}

const float* LhsRun::row(int64_t r) const {
  const float* at = base_;
  for (int i = row_space_.rank; i-- > 0;) {
    const auto axis = static_cast<size_t>(i);
    const int64_t e = row_space_.extent[axis];
    at += r % e * row_stride_[axis];
    r /= e;
  }
  return at;
}

void LhsRun::evaluate(int64_t first, int64_t last, float* out) {
  if (k_ == 0 || first >= last) return;
  if (!owner_->reductions_.empty()) {
    evaluate_boxes(first * boxes_per_row_, last * boxes_per_row_, first * k_, out);
    return;
  }
  std::array<int64_t, AxisSpace::kMax> at{};
  row_space_.split(first, at.data());
  program_->evaluate_box(at.data(), last - first, 0, k_, nullptr, nullptr, out,
                         k_ * static_cast<int64_t>(sizeof(float)));
}

void LhsRun::evaluate_share(const Team& team, float* out) {
  if (k_ == 0 || rows_ == 0) return;
  if (owner_->by_rows_) {
    const Range range = share(rows_, 1, team);
    evaluate(range.first, range.last, out + range.first * k_);
  } else {
    const Range range = share(box_space_.count(), 1, team);
    evaluate_boxes(range.first, range.last, 0, out);
  }
}

// Boxes are the coordinates on all axes but the reduced one; `origin` is the element of the result at `out`.
void LhsRun::evaluate_boxes(int64_t first, int64_t last, int64_t origin, float* out) {
  const size_t reductions = owner_->reductions_.size();
  std::array<uint32_t, LhsRows::kMaxReductions> results;  // f32 or i32 bits
  std::array<const void*, LhsRows::kMaxReductions> provided;
  for (size_t i = 0; i < reductions; ++i) provided[i] = &results[i];
  std::array<int64_t, AxisSpace::kMax> at{};
  box_space_.split(first, at.data());
  for (int64_t box = first; box < last; ++box) {
    for (size_t i = 0; i < reductions; ++i) {
      TileReduction reduction;
      reduction.reset(owner_->reduce_ops_[i], owner_->reductions_[i].type());
      if (box_space_.rank > 0) reductions_[i]->set_row(at.data());
      reductions_[i]->reduce(0, reduced_extent_, provided.data(), reduction);
      results[i] = reduction.result();
    }
    if (box_space_.rank > 0) program_->set_row(at.data());
    int64_t offset = -origin;
    for (int i = 0; i < box_space_.rank; ++i)
      offset += at[static_cast<size_t>(i)] * box_stride_[static_cast<size_t>(i)];
    if (!owner_->reduced_in_axes_) {
      program_->evaluate(0, 1, provided.data(), out + offset);
    } else if (reduced_stride_ == 1) {
      program_->evaluate(0, reduced_extent_, provided.data(), out + offset);
    } else {
      float piece[kTile];
      for (int64_t i = 0; i < reduced_extent_; i += kTile) {
        const int64_t count = std::min(kTile, reduced_extent_ - i);
        program_->evaluate(i, count, provided.data(), piece);
        for (int64_t j = 0; j < count; ++j) out[offset + (i + j) * reduced_stride_] = piece[j];
      }
    }
    box_space_.advance(at.data());
  }
}

}  // namespace weft
