// The phases of a pass: left-hand rows are computed and brought into the forms that the products read, then
// threads take tiles of the result.
#include <algorithm>

#include "core/align.h"
#include "ops/contract/pass_job.h"

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
    if (job.alone) {
      auto* matrix = reinterpret_cast<float*>(job.own + lhs_[i].own_matrix_at);
      job.lhs[i].evaluate(0, job.lhs[i].rows(), matrix);
      job.matrix[i] = matrix;
    } else {
      auto* matrix = reinterpret_cast<float*>(job.shared + lhs_[i].matrix_at);
      job.lhs[i].evaluate_share(job.team, matrix);
      job.matrix[i] = matrix;
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

// Calls group(first, last): rows [first, last) of the order meet the same right-hand rows.
template <class Group>
void for_groups(const RowOrder* order, int64_t first, int64_t last, const Group& group) {
  while (first < last) {
    int64_t end = first + 1;
    if (order == nullptr) {
      end = last;
    } else {
      while (end < last && order[end].choice == order[first].choice) ++end;
    }
    group(first, end);
    first = end;
  }
}

// What the products read: quantized rows, and rows packed for large groups.
void ContractPass::pack(Job& job) const {
  bool waits = false;
  for (size_t i = 0; i < lhs_.size(); ++i) {
    if (!lhs_[i].quantized) continue;
    const int64_t rows = job.lhs[i].rows(), k = job.lhs[i].k();
    std::byte* quantized = job.alone ? job.own + lhs_[i].own_quantized_at : job.shared + lhs_[i].quantized_at;
    job.quantized[i] = quantized;
    const bool grouped = std::any_of(entries_.begin(), entries_.end(), [&](const Entry& entry) {
      return entry.lhs == static_cast<int>(i) && entry.rhs.varies();
    });
    if (!grouped && rows > kInt8Rows) continue;
    const Range range = job.alone ? Range{0, rows} : share(rows, 1, job.team);
    const size_t bytes = quantized_row_bytes(k);
    for (int64_t r = range.first; r < range.last; ++r) {
      quantize_activations(job.left(i, r), k, quantized + static_cast<size_t>(r) * bytes);
    }
    if (!job.alone) waits = true;
  }
  if (!job.alone) {
    const int64_t tile_rows = gemm_row_tile();
    for (size_t i = 0; i < entries_.size(); ++i) {
      const Entry& entry = entries_[i];
      if (job.entry_rows[i] < kGemmRows) continue;
      // Where an earlier contraction has packed the same rows in the same order, its packed rows serve.
      if (packed_by(job, i) != i) continue;
      const auto lhs = static_cast<size_t>(entry.lhs);
      const int64_t k = job.lhs[lhs].k();
      auto* packed = reinterpret_cast<float*>(job.shared + entry.packed_at);
      const RowOrder* order = job.order[i];
      const int64_t chunk = row_chunk_ * (job.entry_rows[i] / job.rows);
      int64_t tile = 0;
      waits = true;
      for (int64_t c = 0; c < job.entry_rows[i]; c += chunk) {
        for_groups(order, c, std::min(c + chunk, job.entry_rows[i]), [&](int64_t first, int64_t last) {
          if (order != nullptr && last - first < kGemmRows) return;
          for (int64_t r = first; r < last; r += tile_rows, ++tile) {
            if (tile % job.team.threads != job.team.thread) continue;
            const float* left[kMaxRowTile];
            const int64_t count = std::min(tile_rows, last - r);
            for (int64_t m = 0; m < count; ++m) left[m] = job.left(lhs, order != nullptr ? order[r + m].row : r + m);
            gemm_pack(left, count, k, packed + r * k);
          }
        });
      }
    }
  }
  if (waits) job.team.barrier();
}

size_t ContractPass::packed_by(const Job& job, size_t entry) const {
  for (size_t i = 0; i < entry; ++i) {
    if (entries_[i].lhs == entries_[entry].lhs && job.order[i] == job.order[entry]) return i;
  }
  return entry;
}

void ContractPass::compute(Job& job, size_t index, int64_t row_first, int64_t row_last, int64_t column_first,
                           int64_t column_last, int64_t stride) const {
  const Entry& entry = entries_[index];
  const auto lhs = static_cast<size_t>(entry.lhs);
  const RhsRun& rhs = job.rhs[index];
  const Format format = entry.rhs.format();
  const int64_t k = job.lhs[lhs].k();
  const int64_t expansion = job.entry_rows[index] / job.rows;
  const int64_t origin = row_first * expansion;
  const RowOrder* order = job.order[index];
  auto* sums = reinterpret_cast<float*>(job.own + entry.sums_at);
  auto* pointers = reinterpret_cast<const std::byte**>(job.own + own_pointers_at_);
  auto** out = reinterpret_cast<float**>(job.own + own_out_at_);
  auto* panel = reinterpret_cast<float*>(job.own + own_panel_at_);
  const auto* packed = reinterpret_cast<const float*>(job.shared + entries_[packed_by(job, index)].packed_at);
  const bool panels = job.entry_rows[index] >= kGemmRows;
  const size_t quantized_row = entry.quantized ? quantized_row_bytes(k) : 0;
  const int64_t columns = column_last - column_first;

  for_groups(order, origin, row_last * expansion, [&](int64_t first, int64_t last) {
    const auto row_at = [&](int64_t i) { return order != nullptr ? int64_t{order[i].row} : i; };
    rhs.rows(order != nullptr ? order[first].choice : rhs.choice(first), column_first, columns, zero_.data(), pointers);
    if (panels && (order == nullptr || last - first >= kGemmRows)) {
      for (int64_t j = 0; j < columns; j += kPanelColumns) {
        for (int64_t i = first; i < last; ++i) out[i - first] = sums + (row_at(i) - origin) * stride + j;
        gemm_panel(format, pointers + j, std::min(kPanelColumns, columns - j), packed + first * k, last - first, k,
                   panel, out);
      }
      return;
    }
    const int64_t step = last - first <= kDotRows ? columns : kDotColumns;
    for (int64_t j = 0; j < columns; j += step) {
      const int64_t count = std::min(step, columns - j);
      for (int64_t i = first; i < last; i += kDotRows) {
        const auto rows = static_cast<int>(std::min<int64_t>(kDotRows, last - i));
        float* to[kDotRows];
        for (int m = 0; m < rows; ++m) to[m] = sums + (row_at(i + m) - origin) * stride + j;
        if (entry.quantized && last - first <= kInt8Rows) {
          const std::byte* left[kDotRows];
          for (int m = 0; m < rows; ++m) {
            left[m] = job.quantized[lhs] + static_cast<size_t>(row_at(i + m)) * quantized_row;
          }
          dot_int8_rows(format, pointers + j, count, left, rows, k, to);
        } else {
          const float* left[kDotRows];
          for (int m = 0; m < rows; ++m) left[m] = job.left(lhs, row_at(i + m));
          dot_rows(format, pointers + j, count, left, rows, k, to);
        }
      }
    }
  });
  if (expansion == 1) return;
  for (int64_t r = 0; r < row_last - row_first; ++r) {
    float* to = sums + r * std::max<int64_t>(expansion, 1) * stride;
    if (expansion == 0) std::fill(to, to + columns, 0.0f);
    for (int64_t e = 1; e < expansion; ++e) {
      const float* from = to + e * stride;
      for (int64_t j = 0; j < columns; ++j) to[j] += from[j];
    }
  }
}

void ContractPass::run(const StepArgs& args, const Team& team, std::byte* shared, std::byte* own, int64_t column_unit,
                       TileSink& sink) const {
  Job job{args, team, shared, own};
  job.rows = element_count(rows_, args.extents);
  job.columns = element_count(columns_, args.extents);
  if (job.rows == 0 || job.columns == 0) return;
  int64_t elements = 0;
  bool few = true;
  for (size_t i = 0; i < lhs_.size(); ++i) {
    job.lhs[i] = lhs_[i].rows.bind(args, own + lhs_[i].workspace_at);
    elements = std::max(elements, job.lhs[i].rows() * job.lhs[i].k());
    few = few && job.lhs[i].rows() < kGemmRows && lhs_[i].rows.by_rows();
  }
  for (size_t i = 0; i < entries_.size(); ++i) {
    job.entry_rows[i] = job.lhs[static_cast<size_t>(entries_[i].lhs)].rows();
    few = few && !entries_[i].rhs.copied();
  }
  job.alone = few && elements <= kOwnElements;
  prepare(job);
  pack(job);

  // Tiles: as many column ranges as give each thread equally much, by the unit.
  const int64_t chunks = (job.rows + row_chunk_ - 1) / row_chunk_;
  const int64_t most_rows = *std::max_element(job.entry_rows.begin(), job.entry_rows.end());
  const int64_t widest =
      std::max(column_unit, (most_rows < kGemmRows ? kMaxColumns : kPanelColumns) / column_unit * column_unit);
  const int64_t parts = (job.columns + widest * team.threads - 1) / (widest * team.threads) * team.threads;
  const int64_t even = (job.columns + parts - 1) / parts;
  const int64_t width = std::min(widest, (even + column_unit - 1) / column_unit * column_unit);
  const int64_t stride = align_up(width, kPanelColumns);
  const int64_t ranges = (job.columns + width - 1) / width;
  const Range items = share(ranges * chunks, 1, team);
  for (int64_t item = items.first; item < items.last; ++item) {
    const int64_t column = item / chunks * width, row = item % chunks * row_chunk_;
    const int64_t column_last = std::min(column + width, job.columns), row_last = std::min(row + row_chunk_, job.rows);
    const float* sums[kMaxContractions];
    int64_t strides[kMaxContractions];
    for (size_t i = 0; i < entries_.size(); ++i) {
      compute(job, i, row, row_last, column, column_last, stride);
      sums[i] = reinterpret_cast<const float*>(own + entries_[i].sums_at);
      strides[i] = stride * std::max<int64_t>(job.entry_rows[i] / job.rows, 1);
    }
    sink.tile(row, row_last, column, column_last, sums, strides);
  }
}

}  // namespace weft
