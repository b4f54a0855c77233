#include "ops/contract/pass.h"

#include <algorithm>
#include <utility>

#include "core/align.h"
#include "core/error.h"
#include "core/record/axis_list.h"
#include "ops/contract/activations.h"
#include "ops/contract/pass_job.h"
#include "ops/contract/products.h"

namespace weft {

using namespace contract_pass;

ContractPass::ContractPass(const KernelContext& context, const Region& region, std::vector<int> contractions,
                           int64_t max_column_unit)
    : region_(&region), group_(context.group), contractions_(contractions) {
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

    size_t lhs = 0;
    while (lhs < lhs_.size() &&
           (lhs_[lhs].source != contraction.lhs || lhs_[lhs].summed != axes.summed || lhs_[lhs].k != axes.k)) {
      ++lhs;
    }
    if (lhs == lhs_.size()) {
      const Source& source = region.lhs[static_cast<size_t>(contraction.lhs)];
      lhs_.push_back({.source = contraction.lhs,
                      .summed = axes.summed,
                      .row_axes = row_axes,
                      .k = axes.k,
                      .rows = LhsRows(context, region, source, row_axes, axes.k),
                      .max_rows = element_count(row_axes, context.max_extents),
                      .max_k = element_count(axes.k, context.max_extents),
                      .workspace_at = 0,
                      .matrix = {}});
    }
    int order = static_cast<int>(entries_.size());
    for (size_t i = 0; i < entries_.size() && order == static_cast<int>(entries_.size()); ++i) {
      if (entries_[i].summed == axes.summed && entries_[i].rhs.same_choice(rhs)) order = static_cast<int>(i);
    }
    entries_.push_back({.lhs = static_cast<int>(lhs),
                        .summed = axes.summed,
                        .rhs = std::move(rhs),
                        .picks = {},
                        .order = order,
                        .max_rows = lhs_[lhs].max_rows,
                        .copy_at = 0,
                        .order_at = 0,
                        .own_order_at = 0,
                        .workspace_at = 0,
                        .sums_at = 0});
    Entry& entry = entries_.back();
    for (const ProductPick& pick :
         pick_products(kernel_table(), entry.rhs.format(), entry.rhs.layout(), context.precision, context.forced)) {
      const int in_order = entry.rhs.varies() ? order : -1;
      entry.picks.push_back(
          {pick.last_rows, pick.kernel, prepared_for(static_cast<int>(lhs), in_order, pick.kernel->activations)});
    }
  }
  lay_out(context, max_column_unit);
}

// The index of such rows, new or of an earlier contraction.
int ContractPass::prepared_for(int lhs, int order, const ActivationForm& form) {
  if (form == ActivationForm{}) return -1;
  if (form.tile == 1) order = -1;
  for (size_t i = 0; i < prepared_.size(); ++i) {
    const Prepared& known = prepared_[i];
    if (known.lhs == lhs && known.order == order && known.form == form) return static_cast<int>(i);
  }
  prepared_.push_back({.lhs = lhs, .order = order, .form = form, .place = {}});
  return static_cast<int>(prepared_.size()) - 1;
}

// The list of equal rows of the group to which all contractions belong. None if they prepare their rows differently
// from others: by groups of rows, or with all threads where others let each thread do it.
std::optional<size_t> ContractPass::shared_list(const KernelContext& context) const {
  if (context.group == nullptr || lhs_.size() != 1) return std::nullopt;
  for (const Entry& entry : entries_) {
    if (entry.rhs.varies() || entry.rhs.copied()) return std::nullopt;
  }
  const std::vector<Step>& steps = context.graph.steps;
  const std::vector<Region>& regions = context.step.regions;
  const auto is_step = [&](const Step& s) { return &s == &context.step; };
  const auto is_region = [&](const Region& r) { return &r == region_; };
  const auto step = static_cast<size_t>(std::find_if(steps.begin(), steps.end(), is_step) - steps.begin());
  const auto region = static_cast<size_t>(std::find_if(regions.begin(), regions.end(), is_region) - regions.begin());
  return context.group->list_of({step, region, static_cast<size_t>(contractions_.front())});
}

RowsUse ContractPass::use_of(const Prepared& prepared, size_t list) const {
  const Lhs& lhs = lhs_[static_cast<size_t>(prepared.lhs)];
  RowsUse use{.list = list, .row_axes = lhs.row_axes, .k_axes = lhs.k, .form = prepared.form, .wanted = {}};
  if (row_chunk_ % prepared.form.tile != 0) use.chunk = row_chunk_;
  for (const Entry& entry : entries_) {
    int64_t first = 1;
    for (const Pick& pick : entry.picks) {
      if (pick.prepared >= 0 && &prepared_[static_cast<size_t>(pick.prepared)] == &prepared) {
        use.wanted.emplace_back(first, pick.last_rows);
      }
      if (pick.last_rows != kAnyRows) first = pick.last_rows + 1;
    }
  }
  std::sort(use.wanted.begin(), use.wanted.end());
  use.wanted.erase(std::unique(use.wanted.begin(), use.wanted.end()), use.wanted.end());
  return use;
}

bool ContractPass::prepares_for_others() const {
  const auto does = [](const RowsPlace& place) { return place.in_group && place.is_first; };
  return std::any_of(lhs_.begin(), lhs_.end(), [&](const Lhs& lhs) { return does(lhs.matrix); }) ||
         std::any_of(prepared_.begin(), prepared_.end(), [&](const Prepared& p) { return does(p.place); });
}

void ContractPass::lay_out(const KernelContext& context, int64_t max_column_unit) {
  const auto shared = [this](size_t bytes) { return std::exchange(shared_bytes_, shared_bytes_ + align_up(bytes)); };
  const auto own = [this](size_t bytes) { return std::exchange(thread_bytes_, thread_bytes_ + align_up(bytes)); };
  const int64_t max_rows = element_count(rows_, context.max_extents);
  int64_t widest = 1;  // expanded rows per row, all entries together
  size_t zero_bytes = 0;
  for (const Entry& entry : entries_) {
    widest += element_count(entry.summed, context.max_extents);
    zero_bytes = std::max({zero_bytes, static_cast<size_t>(lhs_[static_cast<size_t>(entry.lhs)].max_k) * sizeof(float),
                           entry.rhs.group_bytes()});
  }
  zero_ = AlignedBytes(zero_bytes);
  for (const Entry& entry : entries_) {
    for (const Pick& pick : entry.picks) wide_columns_ = std::max(wide_columns_, pick.kernel->wide_columns);
  }
  const auto affordable = static_cast<int64_t>(kTileBytes / sizeof(float)) / wide_columns_ / widest / 12 * 12;
  row_chunk_ = std::clamp<int64_t>(affordable, 12, kRowChunk);
  const int64_t chunk = std::min(row_chunk_, std::max<int64_t>(max_rows, 1));

  const std::optional<size_t> list = shared_list(context);
  const auto place = [&](const RowsUse& use, size_t bytes, size_t own_bytes) {
    if (list) return context.group->place(use, bytes, own_bytes);
    return RowsPlace{.at = shared(bytes), .own_at = own(own_bytes)};
  };
  for (Lhs& lhs : lhs_) {
    lhs.workspace_at = own(lhs.rows.workspace_bytes());
    if (lhs.rows.in_place()) continue;
    const auto elements = static_cast<size_t>(lhs.max_rows * lhs.max_k);
    const RowsUse use{.list = list.value_or(0), .row_axes = lhs.row_axes, .k_axes = lhs.k, .form = {}, .wanted = {}};
    lhs.matrix = place(use, elements * sizeof(float), std::min<size_t>(elements, kOwnElements) * sizeof(float));
  }
  const bool in_groups = std::any_of(entries_.begin(), entries_.end(), [](const auto& e) { return e.rhs.varies(); });
  for (Prepared& p : prepared_) {
    const Lhs& lhs = lhs_[static_cast<size_t>(p.lhs)];
    // Rows of any length that have so many elements together; forms are linear in both, but that the last block of a
    // row may not be full.
    const int64_t unfilled =
        p.form.element == ActivationElement::floats ? 0 : std::min(lhs.max_rows, kFewRows) * kActivationBlock;
    const int64_t own_elements = std::min(lhs.max_rows * lhs.max_k, kOwnElements) + unfilled;
    const RowsUse use = use_of(p, list.value_or(0));
    // One group has all rows, and is in this form only if it has so many.
    int64_t most = in_groups ? lhs.max_rows : 0;
    for (const auto& [first, last] : use.wanted) most = std::max(most, last);
    const int64_t rows = std::min(lhs.max_rows, most);
    p.place = place(use, static_cast<size_t>(rows) * activation_row_bytes(p.form.element, lhs.max_k),
                    activation_row_bytes(p.form.element, align_up(own_elements, kActivationBlock)));
  }
  int64_t longest = 1, widest_group = 1;
  size_t kernel_bytes = 0;
  for (Entry& entry : entries_) {
    const int64_t e = std::max<int64_t>(element_count(entry.summed, context.max_extents), 1);
    longest = std::max(longest, chunk * e);
    widest_group = std::max<int64_t>(widest_group, entry.rhs.layout().rows);
    entry.copy_at = shared(entry.rhs.copy_bytes());
    entry.workspace_at = own(entry.rhs.workspace_bytes());
    for (const Pick& pick : entry.picks) kernel_bytes = std::max(kernel_bytes, pick.kernel->scratch_bytes);
    if (entry.rhs.varies()) {
      entry.order_at = shared(static_cast<size_t>(entry.max_rows) * sizeof(RowOrder));
      entry.own_order_at = own(static_cast<size_t>(std::min(entry.max_rows, kFewRows)) * sizeof(RowOrder));
    }
  }
  // Tiles are wide where rows are few; see run(). Groups may begin before them and end after them.
  const int64_t width = align_up(std::max(max_column_unit, wide_columns_) + 2 * (widest_group - 1), kTileColumns);
  const int64_t most = align_up(kMaxColumns + 2 * (widest_group - 1), kTileColumns);
  for (Entry& entry : entries_) {
    const int64_t rows = chunk * std::max<int64_t>(element_count(entry.summed, context.max_extents), 1);
    const int64_t floats = std::max(rows * width, std::min(rows, kFewRows) * most);
    entry.sums_at = own(static_cast<size_t>(floats) * sizeof(float));
  }
  own_pointers_at_ = own(static_cast<size_t>(most) * sizeof(std::byte*));
  own_left_at_ = own(static_cast<size_t>(longest) * sizeof(std::byte*));
  own_out_at_ = own(static_cast<size_t>(longest) * sizeof(float*));
  own_kernel_at_ = own(kernel_bytes);
}

void ContractPass::add_kernels(std::vector<KernelRange>& all) const {
  for (const Entry& entry : entries_) {
    int64_t first = 1;
    for (const Pick& pick : entry.picks) {
      add_kernel(all, {.name = pick.kernel->name,
                       .first_rows = first,
                       .last_rows = pick.last_rows,
                       .right = entry.rhs.value(),
                       .format = entry.rhs.format(),
                       .layout = entry.rhs.layout(),
                       .activations = pick.kernel->activations.element});
      first = pick.last_rows == kAnyRows ? kAnyRows : pick.last_rows + 1;
    }
  }
}

}  // namespace weft
