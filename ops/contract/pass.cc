#include "ops/contract/pass.h"

#include <algorithm>
#include <utility>

#include "core/align.h"
#include "core/error.h"
#include "core/record/axis_list.h"
#include "ops/contract/pass_job.h"

namespace weft {

using namespace contract_pass;

ContractionAxes axes_of(const Region& region, const Contraction& contraction) {
  ContractionAxes axes;
  const std::vector<AxisId>& lhs = region.lhs[static_cast<size_t>(contraction.lhs)].axes;
  const Operand& rhs = region.operands[static_cast<size_t>(contraction.rhs)];
  axes.rows = without(lhs, contraction.over);
  axes.columns = without(without(loop_axes(region, rhs), contraction.over), lhs);
  std::vector<AxisId> chosen;
  for (const ViewAxis& axis : rhs.view) {
    if (axis.gather >= 0) add_axes(chosen, loop_axes(region, region.operands[static_cast<size_t>(axis.gather)]));
  }
  for (const AxisId axis : contraction.over) (contains(chosen, axis) ? axes.summed : axes.k).push_back(axis);
  if (axes.k.empty()) std::swap(axes.k, axes.summed);  // rows of one element are worse than a copy
  return axes;
}

ContractPass::ContractPass(const KernelContext& context, const Region& region, std::vector<int> contractions,
                           int64_t max_column_unit)
    : region_(&region) {
  if (contractions.size() > kMaxContractions) {
    throw Error("step '" + context.step.name + "': more than 8 contractions");
  }
  for (const int index : contractions) {
    const Contraction& contraction = region.contractions[static_cast<size_t>(index)];
    ContractionAxes axes = axes_of(region, contraction);
    rows_ = axes.rows;
    columns_ = axes.columns;
    const std::vector<AxisId> row_axes = joined(axes.rows, axes.summed);
    RhsRows rhs(context, region, contraction.rhs, row_axes, axes.columns, axes.k);
    const bool quantized = context.precision == Precision::fast && has_int8_kernel(rhs.format());

    size_t lhs = 0;
    while (lhs < lhs_.size() &&
           (lhs_[lhs].source != contraction.lhs || lhs_[lhs].summed != axes.summed || lhs_[lhs].k != axes.k)) {
      ++lhs;
    }
    if (lhs == lhs_.size()) {
      const Source& source = region.lhs[static_cast<size_t>(contraction.lhs)];
      lhs_.push_back({.source = contraction.lhs,
                      .summed = axes.summed,
                      .k = axes.k,
                      .rows = LhsRows(context, region, source, row_axes, axes.k),
                      .max_rows = element_count(row_axes, context.max_extents),
                      .max_k = element_count(axes.k, context.max_extents),
                      .workspace_at = 0,
                      .matrix_at = 0,
                      .own_matrix_at = 0,
                      .quantized_at = 0,
                      .own_quantized_at = 0,
                      .quantized = false});
    }
    lhs_[lhs].quantized |= quantized;
    int order = static_cast<int>(entries_.size());
    for (size_t i = 0; i < entries_.size() && order == static_cast<int>(entries_.size()); ++i) {
      if (entries_[i].summed == axes.summed && entries_[i].rhs.same_choice(rhs)) order = static_cast<int>(i);
    }
    entries_.push_back({.lhs = static_cast<int>(lhs),
                        .summed = axes.summed,
                        .rhs = std::move(rhs),
                        .quantized = quantized,
                        .order = order,
                        .max_rows = lhs_[lhs].max_rows,
                        .copy_at = 0,
                        .packed_at = 0,
                        .order_at = 0,
                        .own_order_at = 0,
                        .workspace_at = 0,
                        .sums_at = 0});
  }
  lay_out(context, max_column_unit);
}

void ContractPass::lay_out(const KernelContext& context, int64_t max_column_unit) {
  const auto shared = [this](size_t bytes) { return std::exchange(shared_bytes_, shared_bytes_ + align_up(bytes)); };
  const auto own = [this](size_t bytes) { return std::exchange(thread_bytes_, thread_bytes_ + align_up(bytes)); };
  const int64_t max_rows = element_count(rows_, context.max_extents);
  int64_t widest = 1;  // expanded rows per row, all entries together
  size_t zero_bytes = 0;
  for (const Entry& entry : entries_) {
    widest += element_count(entry.summed, context.max_extents);
    zero_bytes = std::max(zero_bytes, static_cast<size_t>(lhs_[static_cast<size_t>(entry.lhs)].max_k) * sizeof(float));
  }
  zero_.resize(zero_bytes);
  const auto affordable = static_cast<int64_t>(kTileBytes / sizeof(float) / kPanelColumns) / widest / 12 * 12;
  row_chunk_ = std::clamp<int64_t>(affordable, 12, kRowChunk);
  const int64_t chunk = std::min(row_chunk_, std::max<int64_t>(max_rows, 1));

  for (Lhs& lhs : lhs_) {
    const auto elements = static_cast<size_t>(lhs.max_rows * lhs.max_k);
    const auto own_elements = std::min<size_t>(elements, kOwnElements);
    lhs.workspace_at = own(lhs.rows.workspace_bytes());
    if (!lhs.rows.in_place()) {
      lhs.matrix_at = shared(elements * sizeof(float));
      lhs.own_matrix_at = own(own_elements * sizeof(float));
    }
    if (lhs.quantized) {
      lhs.quantized_at = shared(static_cast<size_t>(lhs.max_rows) * quantized_row_bytes(lhs.max_k));
      // Less than 3 bytes an element, and a rounding up to 64 bytes for each row.
      lhs.own_quantized_at = own(own_elements * 3 + static_cast<size_t>(std::min(lhs.max_rows, kGemmRows)) * 64);
    }
  }
  int64_t longest = 1;
  for (Entry& entry : entries_) {
    const Lhs& lhs = lhs_[static_cast<size_t>(entry.lhs)];
    const int64_t e = std::max<int64_t>(element_count(entry.summed, context.max_extents), 1);
    longest = std::max(longest, chunk * e);
    entry.copy_at = shared(entry.rhs.copy_bytes());
    entry.workspace_at = own(entry.rhs.workspace_bytes());
    if (entry.max_rows >= kGemmRows) {
      entry.packed_at = shared(static_cast<size_t>(entry.max_rows * lhs.max_k) * sizeof(float));
    }
    if (entry.rhs.varies()) {
      entry.order_at = shared(static_cast<size_t>(entry.max_rows) * sizeof(RowOrder));
      entry.own_order_at = own(static_cast<size_t>(std::min(entry.max_rows, kGemmRows)) * sizeof(RowOrder));
    }
  }
  // Tiles are wide where rows are few; see run().
  const int64_t width = align_up(std::max(max_column_unit, kPanelColumns), kPanelColumns);
  for (Entry& entry : entries_) {
    const int64_t rows = chunk * std::max<int64_t>(element_count(entry.summed, context.max_extents), 1);
    const int64_t floats = std::max(rows * width, std::min(rows, kGemmRows) * kMaxColumns);
    entry.sums_at = own(static_cast<size_t>(floats) * sizeof(float));
  }
  own_pointers_at_ = own(kMaxColumns * sizeof(std::byte*));
  own_out_at_ = own(static_cast<size_t>(longest) * sizeof(float*));
  own_panel_at_ = own(max_rows * widest >= kGemmRows ? kPanelBytes : 0);
}

std::string ContractPass::describe() const {
  std::string text;
  for (const Entry& entry : entries_) {
    const std::string part = std::string(name(entry.rhs.format())) + (entry.quantized ? " int8" : " f32");
    if (text.find(part) == std::string::npos) text += (text.empty() ? "" : ", ") + part;
  }
  return text;
}

}  // namespace weft
