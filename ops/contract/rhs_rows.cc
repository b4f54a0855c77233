#include "ops/contract/rhs_rows.h"

#include <algorithm>

#include "core/align.h"
#include "core/error.h"
#include "core/record/axis_list.h"

namespace weft {
namespace {

// True where `axes` are the last ones of the view, in order, and without gaps between them.
bool ends_with(const Operand& operand, std::span<const AxisId> axes) {
  if (operand.view.size() < axes.size()) return false;
  const size_t first = operand.view.size() - axes.size();
  for (size_t i = 0; i < axes.size(); ++i) {
    const ViewAxis& axis = operand.view[first + i];
    if (axis.gather >= 0 || axis.axis != axes[i]) return false;
    if (i > 0 && axis.stored != axis.axis) return false;
  }
  return true;
}

// True where every row over `axes` begins with a block and holds whole ones. The axes of a row may each cut a block
// (heads of 48), as long as they follow each other in storage: that `ends_with` says.
bool has_rows_of_blocks(const Operand& operand, std::span<const AxisId> axes, int64_t block, const int64_t* extents) {
  int64_t stride = 1;
  int64_t row = 1;
  for (size_t i = operand.view.size(); i-- > 0;) {
    const ViewAxis& axis = operand.view[i];
    const bool in_row = axis.gather < 0 && contains(axes, axis.axis);
    if (axis.begin * stride % block != 0) return false;
    if (!in_row && extents[axis.stored] > 1 && stride % block != 0) return false;
    if (in_row) row *= extents[axis.axis];
    stride *= extents[axis.stored];
  }
  return row % block == 0;
}

// The view as PlanWeights::with_last leaves it: `axes` last.
Operand reordered(const Operand& operand, std::span<const AxisId> axes) {
  Operand result;
  result.value = operand.value;
  for (const ViewAxis& axis : operand.view) {
    if (axis.gather >= 0 || !contains(axes, axis.axis)) result.view.push_back(axis);
  }
  for (const AxisId wanted : axes) {
    for (const ViewAxis& axis : operand.view) {
      if (axis.gather < 0 && axis.axis == wanted) result.view.push_back(axis);
    }
  }
  return result;
}

}  // namespace

RhsRows::RhsRows(const KernelContext& context, const Region& region, int operand, std::vector<AxisId> row_axes,
                 std::vector<AxisId> n_axes, std::vector<AxisId> k_axes)
    : region_(&region),
      operand_(region.operands[static_cast<size_t>(operand)]),
      row_axes_(std::move(row_axes)),
      n_axes_(std::move(n_axes)),
      k_axes_(std::move(k_axes)) {
  const ValueRecord& value = context.graph.values[operand_.value];
  format_ = value.format;
  if (!info(format_).is_float) {
    throw Error("step '" + context.step.name + "': contracts '" + value.name + "', which holds no floats");
  }
  const std::vector<AxisId> loops = loop_axes(region, operand_);
  varies_ = std::any_of(loops.begin(), loops.end(), [&](AxisId axis) { return contains(row_axes_, axis); });
  const bool quantized = info(format_).block_elements > 1;
  const ChosenLayout* chosen = value.kind == ValueKind::weight ? context.weights->layout_of(operand_.value) : nullptr;
  if (chosen != nullptr) {
    interleaved_.emplace(format_, chosen->layout, chosen->shape);
    packed_ = context.weights->interleaved(operand_.value);
    return;
  }
  bool plain = !(quantized && k_axes_.empty()) && is_chosen_by_rows(region, operand_, row_axes_);
  if (plain && value.kind == ValueKind::weight) {
    const Operand moved = reordered(operand_, k_axes_);
    plain = ends_with(moved, k_axes_);
    if (plain) {
      packed_ = context.weights->with_last(operand_, k_axes_, format_);
      operand_ = moved;
    }
  } else {
    plain = plain && ends_with(operand_, k_axes_);
  }
  const auto block = static_cast<int64_t>(info(format_).block_elements);
  if (plain && block > 1 && !has_rows_of_blocks(operand_, k_axes_, block, context.max_extents)) {
    plain = false;
    operand_ = region.operands[static_cast<size_t>(operand)];
    packed_ = nullptr;
  }
  copied_ = !plain;
  if (!copied_) return;
  for (const AxisId axis : row_axes_) {
    if (contains(loops, axis)) copy_axes_.push_back(axis);
  }
  copy_rows_rank_ = copy_axes_.size();
  copy_axes_ = joined(joined(copy_axes_, n_axes_), k_axes_);
  ScalarProgram load;
  load.add({.op = ScalarOp::load, .type = Element::f32, .imm = operand});
  copier_ = SourceEvaluator(context.graph, region, load, copy_axes_, static_cast<int>(k_axes_.size()));
  workspace_bytes_ = align_up(copier_.workspace_bytes());
  copy_bytes_ = align_up(static_cast<size_t>(element_count(copy_axes_, context.max_extents)) * sizeof(float));
  format_ = Format::f32;
}

bool RhsRows::same_choice(const RhsRows& other) const {
  if (row_axes_ != other.row_axes_ || copied_ || other.copied_) return false;
  return operand_.view == other.operand_.view;
}

void RhsRows::copy(const StepArgs& args, const Team& team, std::byte* workspace, float* copy) const {
  const int64_t k = element_count(k_axes_, args.extents);
  const AxisSpace space({copy_axes_.data(), copy_axes_.size() - k_axes_.size()}, args.extents);
  const Range range = share(space.count(), 16, team);
  if (k == 0 || range.first >= range.last) return;
  SourceRun* run = copier_.bind(args, workspace);
  std::array<int64_t, AxisSpace::kMax> at{};
  space.split(range.first, at.data());
  for (int64_t r = range.first; r < range.last; ++r) {
    if (space.rank > 0) run->set_row(at.data());
    run->evaluate(0, k, nullptr, copy + r * k);
    space.advance(at.data());
  }
}

RhsRun RhsRows::bind(const StepArgs& args, const float* copy) const {
  RhsRun run;
  run.format_ = format_;
  run.row_space_ = AxisSpace(row_axes_, args.extents);
  run.n_space_ = AxisSpace(n_axes_, args.extents);
  if (copied_) {
    run.base_ = reinterpret_cast<const std::byte*>(copy);
    int64_t stride = element_count(k_axes_, args.extents);
    for (size_t i = n_axes_.size(); i-- > 0;) {
      run.n_stride_[i] = stride;
      stride *= args.extents[n_axes_[i]];
    }
    for (size_t i = copy_rows_rank_; i-- > 0;) {
      run.row_stride_[find_axis(row_axes_, copy_axes_[i])] = stride;
      stride *= args.extents[copy_axes_[i]];
    }
    return run;
  }
  const auto strides = [&](std::span<const AxisId> axes, std::array<int64_t, AxisSpace::kMax>& out) {
    const ResolvedView view = resolve(operand_, axes, args.extents);
    for (size_t i = 0; i < axes.size(); ++i) out[i] = view.stride[i];
    return view;
  };
  strides(n_axes_, run.n_stride_);
  const ResolvedView view = strides(row_axes_, run.row_stride_);
  const auto* data = packed_ != nullptr ? packed_ : static_cast<const std::byte*>(args.data[operand_.value]);
  if (!interleaved_) {
    run.base_ = data + row_bytes(format_, static_cast<size_t>(view.offset));
  } else {
    run.base_ = data;
    run.offset_ = view.offset;
    const MatrixShape& shape = interleaved_->shape();
    run.group_rows_ = interleaved_->layout().rows;
    run.matrix_elements_ = shape.rows * shape.k;
    run.first_row_ = view.offset % run.matrix_elements_ / shape.k;
    run.groups_ = interleaved_->groups();
    run.group_bytes_ = static_cast<int64_t>(interleaved_->group_bytes());
  }
  run.gathers_ = view.gather_count;
  for (int g = 0; g < view.gather_count; ++g) {
    const ResolvedView::Gather& gather = view.gathers[static_cast<size_t>(g)];
    RhsRun::Ids& ids = run.ids_[static_cast<size_t>(g)];
    const Operand& operand = region_->operands[static_cast<size_t>(gather.ids)];
    const ResolvedView id_view = resolve(operand, row_axes_, args.extents);
    ids.data = static_cast<const int32_t*>(args.data[operand.value]);
    ids.offset = id_view.offset;
    for (size_t i = 0; i < row_axes_.size(); ++i) ids.stride[i] = id_view.stride[i];
    ids.target_stride = gather.stride;
    ids.extent = gather.extent;
  }
  return run;
}

int64_t RhsRun::choice(int64_t r) const {
  std::array<int64_t, AxisSpace::kMax> at{};
  row_space_.split(r, at.data());
  int64_t offset = 0;
  for (size_t i = 0; i < static_cast<size_t>(row_space_.rank); ++i) offset += at[i] * row_stride_[i];
  for (int g = 0; g < gathers_; ++g) {
    const Ids& ids = ids_[static_cast<size_t>(g)];
    int64_t where = ids.offset;
    for (size_t i = 0; i < static_cast<size_t>(row_space_.rank); ++i) where += at[i] * ids.stride[i];
    const int32_t id = ids.data[where];
    if (id < 0 || id >= ids.extent) return kZero;
    offset += id * ids.target_stride;
  }
  return offset;
}

void RhsRun::groups(int64_t choice, int64_t first, int64_t count, const std::byte* zero, const std::byte** out) const {
  const int64_t begin = (first_row_ + first) / group_rows_, end = (first_row_ + first + count - 1) / group_rows_ + 1;
  if (choice == kZero) {
    std::fill(out, out + (end - begin), zero);
    return;
  }
  const std::byte* matrix = base_ + (choice + offset_) / matrix_elements_ * groups_ * group_bytes_;
  for (int64_t g = begin; g < end; ++g) *out++ = matrix + g * group_bytes_;
}

void RhsRun::rows(int64_t choice, int64_t first, int64_t count, const std::byte* zero, const std::byte** out) const {
  if (choice == kZero) {
    std::fill(out, out + count, zero);
    return;
  }
  const FormatInfo& format = info(format_);
  const auto bytes = [&](int64_t elements) {
    return elements / format.block_elements * static_cast<int64_t>(format.block_bytes);
  };
  std::array<int64_t, AxisSpace::kMax> at{};
  n_space_.split(first, at.data());
  const int last = n_space_.rank - 1;
  for (int64_t j = 0; j < count;) {
    int64_t offset = choice;
    for (size_t i = 0; i < static_cast<size_t>(n_space_.rank); ++i) offset += at[i] * n_stride_[i];
    const std::byte* row = base_ + bytes(offset);
    if (last < 0) {
      out[j++] = row;
      continue;
    }
    // A run along the innermost axis.
    const auto inner = static_cast<size_t>(last);
    const int64_t step = bytes(n_stride_[inner]);
    const int64_t run = std::min(n_space_.extent[inner] - at[inner], count - j);
    for (int64_t i = 0; i < run; ++i) out[j + i] = row + i * step;
    j += run;
    at[inner] += run - 1;
    n_space_.advance(at.data());
  }
}

}  // namespace weft
