// The phases of a pass: left-hand rows are computed and brought into the forms that the products read, then
// threads take tiles of the result.
#include <algorithm>

#include "core/align.h"
#include "ops/contract/activations.h"
#include "ops/contract/pass_job.h"
#include "ops/cpu/claims.h"

namespace weft {

using namespace contract_pass;

// Left-hand rows, copies of right-hand sides, groups.
void ContractPass::prepare(Job& job) const {
  bool waits = false;
  for (size_t i = 0; i < entries_.size(); ++i) {
    const Entry& entry = entries_[i];
    auto* copy = reinterpret_cast<float*>(job.shared + entry.copy_at);
    if (entry.rhs.copied()) {
      entry.rhs.copy(job.args, job.team, job.own + entry.workspace_at, copy);
      waits = true;
    }
    job.rhs[i] = entry.rhs.bind(job.args, copy);
  }
  for (size_t i = 0; i < lhs_.size(); ++i) {
    if (lhs_[i].rows.in_place()) continue;
    auto* matrix = reinterpret_cast<float*>(job.rows_at(lhs_[i].matrix, group_));
    job.matrix[i] = matrix;
    if (!lhs_[i].matrix.is_first) continue;
    if (job.alone) {
      job.lhs[i].evaluate(0, job.lhs[i].rows(), matrix);
    } else {
      job.lhs[i].evaluate_share(job.team, matrix);
      waits = true;
    }
  }
  // Rows by what they meet on the right, within each chunk of rows.
  for (size_t i = 0; i < entries_.size(); ++i) {
    const Entry& entry = entries_[i];
    if (!entry.rhs.varies() || job.entry_rows[i] == 0) continue;
    if (entry.order != static_cast<int>(i)) {
      job.order[i] = job.order[static_cast<size_t>(entry.order)];
      continue;
    }
    auto* order = reinterpret_cast<RowOrder*>(job.alone ? job.own + entry.own_order_at : job.shared + entry.order_at);
    job.order[i] = order;
    const int64_t chunk = row_chunk_ * (job.entry_rows[i] / job.rows);
    const int64_t chunks = (job.entry_rows[i] + chunk - 1) / chunk;
    if (!job.alone) waits = true;
    for (int64_t c = job.alone ? 0 : job.team.thread; c < chunks; c += job.alone ? 1 : job.team.threads) {
      const int64_t first = c * chunk, last = std::min(first + chunk, job.entry_rows[i]);
      for (int64_t r = first; r < last; ++r) order[r] = {job.rhs[i].choice(r), static_cast<int32_t>(r)};
      std::sort(order + first, order + last, [](const RowOrder& a, const RowOrder& b) {
        return a.choice != b.choice ? a.choice < b.choice : a.row < b.row;
      });
    }
  }
  if (waits) job.team.barrier();
}

// Left-hand rows in the forms that the kernels of this run's groups take.
void ContractPass::bring_into_form(Job& job) const {
  bool waits = false;
  for (const Prepared& p : prepared_) {
    if (!p.place.is_first) continue;
    const auto lhs = static_cast<size_t>(p.lhs);
    const int64_t k = job.lhs[lhs].k(), rows = job.lhs[lhs].rows();
    const size_t row_bytes = activation_row_bytes(p.form.element, k);
    std::byte* to = job.rows_at(p.place, group_);
    const RowOrder* order = p.order < 0 ? nullptr : job.order[static_cast<size_t>(p.order)];
    const auto is_it = [&](const Pick& pick) {
      return pick.prepared >= 0 && &prepared_[static_cast<size_t>(pick.prepared)] == &p;
    };
    // Whether a contraction wants a group of so many rows in this form. Tiles of one row, which follow no order, serve
    // groups of any.
    const auto wants = [&](const Entry& entry, int64_t group) {
      if (entry.lhs != p.lhs) return false;
      if (p.order < 0 && entry.rhs.varies()) return std::any_of(entry.picks.begin(), entry.picks.end(), is_it);
      return (p.order < 0 || entry.order == p.order) && is_it(entry.pick(group));
    };
    int64_t tile = 0;
    for (int64_t c = 0, chunk = row_chunk_ * (rows / job.rows); c < rows; c += chunk) {
      for_groups(order, c, std::min(c + chunk, rows), [&](int64_t first, int64_t last) {
        // One group without an order goes on beyond this chunk.
        const int64_t group = order != nullptr ? last - first : rows;
        if (std::none_of(entries_.begin(), entries_.end(), [&](const Entry& entry) { return wants(entry, group); }))
          return;
        waits = waits || !job.alone;
        for (int64_t r = first; r < last; r += p.form.tile, ++tile) {
          if (!job.alone && tile % job.team.threads != job.team.thread) continue;
          const int64_t count = std::min(p.form.tile, last - r);
          const float* left[kMostTileRows];
          for (int64_t m = 0; m < count; ++m) left[m] = job.left(lhs, order != nullptr ? order[r + m].row : r + m);
          prepare_activations(p.form.element, left, count, k, to + static_cast<size_t>(r) * row_bytes);
        }
      });
    }
  }
  if (waits) job.team.barrier();
}

int64_t ContractPass::compute(Job& job, size_t index, int64_t row_first, int64_t row_last, int64_t column_first,
                              int64_t column_last, int64_t stride, bool backwards) const {
  const Entry& entry = entries_[index];
  const auto lhs = static_cast<size_t>(entry.lhs);
  const RhsRun& rhs = job.rhs[index];
  const int64_t k = job.lhs[lhs].k();
  const int64_t expansion = job.entry_rows[index] / job.rows;
  const int64_t origin = row_first * expansion;
  const RowOrder* order = job.order[index];
  auto* sums = reinterpret_cast<float*>(job.own + entry.sums_at);
  auto* right = reinterpret_cast<const std::byte**>(job.own + own_pointers_at_);
  auto* left = reinterpret_cast<const std::byte**>(job.own + own_left_at_);
  auto** out = reinterpret_cast<float**>(job.own + own_out_at_);
  const bool is_interleaved = !entry.rhs.layout().is_stored();
  const int64_t before = is_interleaved ? rhs.rows_before(column_first) : 0;
  const int64_t columns = column_last - column_first;
  ProductArgs args{.format = entry.rhs.format(), .k = k, .right = right, .columns = columns, .left = left, .out = out};
  if (is_interleaved) args.columns = align_up(before + columns, entry.rhs.layout().rows);
  args.scratch = job.own + own_kernel_at_;
  args.backwards = backwards;

  for_groups(order, origin, row_last * expansion, [&](int64_t first, int64_t last) {
    const auto row_at = [&](int64_t i) { return order != nullptr ? int64_t{order[i].row} : i; };
    const int64_t choice = order != nullptr ? order[first].choice : rhs.choice(first);
    if (is_interleaved) rhs.groups(choice, column_first, columns, zero_.data(), right);
    else rhs.rows(choice, column_first, columns, zero_.data(), right);
    // One group without an order goes on beyond this chunk.
    const Pick& pick = entry.pick(order != nullptr ? last - first : job.entry_rows[index]);
    args.rows = last - first;
    for (int64_t i = first; i < last; ++i) out[i - first] = sums + (row_at(i) - origin) * stride;
    if (pick.prepared < 0) {
      for (int64_t i = first; i < last; ++i) {
        left[i - first] = reinterpret_cast<const std::byte*>(job.left(lhs, row_at(i)));
      }
    } else {
      const Prepared& p = prepared_[static_cast<size_t>(pick.prepared)];
      const std::byte* rows = job.rows_at(p.place, group_);
      const size_t row_bytes = activation_row_bytes(p.form.element, k);
      for (int64_t i = first, tile = 0; i < last; i += p.form.tile, ++tile) {
        left[tile] = rows + static_cast<size_t>(p.form.tile == 1 ? row_at(i) : i) * row_bytes;
      }
    }
    job.args.ran(job.team.thread, pick.kernel->run(args));
  });
  if (expansion == 1) return before;
  for (int64_t r = 0; r < row_last - row_first; ++r) {
    float* to = sums + r * std::max<int64_t>(expansion, 1) * stride;
    if (expansion == 0) std::fill(to, to + before + columns, 0.0f);
    for (int64_t e = 1; e < expansion; ++e) {
      const float* from = to + e * stride;
      for (int64_t j = before; j < before + columns; ++j) to[j] += from[j];
    }
  }
  return before;
}

void ContractPass::run(const StepArgs& args, const Team& team, std::byte* shared, std::byte* own, int64_t column_unit,
                       TileSink& sink) const {
  Job job{args, team, shared, own};
  job.rows = element_count(rows_, args.extents);
  job.columns = element_count(columns_, args.extents);
  if (job.rows == 0 || (job.columns == 0 && !prepares_for_others())) return;
  int64_t elements = 0;
  bool few = true;
  for (size_t i = 0; i < lhs_.size(); ++i) {
    job.lhs[i] = lhs_[i].rows.bind(args, own + lhs_[i].workspace_at);
    elements = std::max(elements, job.lhs[i].rows() * job.lhs[i].k());
    few = few && job.lhs[i].rows() < kFewRows && lhs_[i].rows.by_rows();
  }
  for (size_t i = 0; i < entries_.size(); ++i) {
    job.entry_rows[i] = job.lhs[static_cast<size_t>(entries_[i].lhs)].rows();
    few = few && !entries_[i].rhs.copied();
  }
  job.alone = few && elements <= kOwnElements;
  prepare(job);
  bring_into_form(job);
  if (job.columns == 0) return;

  // Tiles: as many column ranges as give each thread equally much, by the unit.
  const int64_t chunks = (job.rows + row_chunk_ - 1) / row_chunk_;
  // Rows of entries with nothing to sum are filled with zeros all the same.
  const int64_t most_rows = std::max(job.rows, *std::max_element(job.entry_rows.begin(), job.entry_rows.end()));
  const int64_t widest =
      std::max(column_unit, (most_rows < kFewRows ? kMaxColumns : wide_columns_) / column_unit * column_unit);
  const int64_t parts = (job.columns + widest * team.threads - 1) / (widest * team.threads) * team.threads;
  const int64_t even = (job.columns + parts - 1) / parts;
  const int64_t width = std::min(widest, (even + column_unit - 1) / column_unit * column_unit);
  int64_t widest_group = 1;
  for (const Entry& entry : entries_) widest_group = std::max<int64_t>(widest_group, entry.rhs.layout().rows);
  const int64_t stride = align_up(width + 2 * (widest_group - 1), kTileColumns);
  const int64_t ranges = (job.columns + width - 1) / width;
  for_claimed(ranges * chunks, team, [&](int64_t item) {
    const int64_t column = item / chunks * width, row = item % chunks * row_chunk_;
    const int64_t column_last = std::min(column + width, job.columns), row_last = std::min(row + row_chunk_, job.rows);
    const float* sums[kMaxContractions];
    int64_t strides[kMaxContractions];
    for (size_t i = 0; i < entries_.size(); ++i) {
      const bool backwards = (item * static_cast<int64_t>(entries_.size()) + static_cast<int64_t>(i)) % 2 != 0;
      const int64_t before = compute(job, i, row, row_last, column, column_last, stride, backwards);
      sums[i] = reinterpret_cast<const float*>(own + entries_[i].sums_at) + before;
      strides[i] = stride * std::max<int64_t>(job.entry_rows[i] / job.rows, 1);
    }
    sink.tile(row, row_last, column, column_last, sums, strides);
  });
}

}  // namespace weft
