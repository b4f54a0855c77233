#include "ops/contract/pass.h"

#include <algorithm>
#include <array>
#include <utility>

#include "core/error.h"

namespace weft {
namespace {

// From so many rows on, decoding a panel once for all of them pays off.
constexpr int64_t kGemmRows = 24;
// Up to so many rows, rounding them is faster than decoding the right-hand side exactly.
constexpr int64_t kRoundedRows = 2;
// Threads compute so many elements of left-hand rows each for itself rather than wait for each other.
constexpr int64_t kOwnElements = 16384;
// Rows of a tile at most, a multiple of each target's row tile; and the memory that a thread's tiles may take.
constexpr int64_t kRowChunk = 252;
constexpr size_t kTileBytes = size_t{2} << 20;
constexpr int64_t kDotColumns = 16;  // right-hand rows that stay in cache while all left-hand rows meet them

bool contains(std::span<const AxisId> axes, AxisId axis) {
  return std::find(axes.begin(), axes.end(), axis) != axes.end();
}

struct RowOrder {
  int64_t choice;
  int32_t row;
};

}  // namespace

ContractionAxes axes_of(const Region& region, const Contraction& contraction) {
  ContractionAxes axes;
  const std::vector<AxisId>& lhs = region.lhs[static_cast<size_t>(contraction.lhs)].axes;
  const Operand& rhs = region.operands[static_cast<size_t>(contraction.rhs)];
  for (const AxisId axis : lhs) {
    if (!contains(contraction.over, axis)) axes.rows.push_back(axis);
  }
  for (const AxisId axis : loop_axes(region, rhs)) {
    if (!contains(contraction.over, axis) && !contains(lhs, axis)) axes.columns.push_back(axis);
  }
  std::vector<AxisId> chosen;
  for (const ViewAxis& axis : rhs.view) {
    if (axis.gather < 0) continue;
    const std::vector<AxisId> along = loop_axes(region, region.operands[static_cast<size_t>(axis.gather)]);
    chosen.insert(chosen.end(), along.begin(), along.end());
  }
  for (const AxisId axis : contraction.over) (contains(chosen, axis) ? axes.summed : axes.k).push_back(axis);
  if (axes.k.empty()) std::swap(axes.k, axes.summed);  // rows of one element are worse than a copy
  return axes;
}

struct ContractPass::Job {
  const StepArgs& args;
  const Team& team;
  std::byte* shared;
  std::byte* own;
  int64_t rows = 0, columns = 0;
  bool alone = false;  // this thread prepares all that it needs itself
  std::array<LhsRun, kMaxContractions> lhs{};
  std::array<const float*, kMaxContractions> matrix{};      // by lhs; null: in place
  std::array<const std::byte*, kMaxContractions> rounded{}; // by lhs
  std::array<RhsRun, kMaxContractions> rhs{};               // by entry
  std::array<const RowOrder*, kMaxContractions> order{};    // by entry; null: one group in order
  std::array<int64_t, kMaxContractions> entry_rows{};

  const float* left(size_t index, int64_t row) const {
    return matrix[index] != nullptr ? matrix[index] + row * lhs[index].k() : lhs[index].row(row);
  }
};

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
    std::vector<AxisId> row_axes = axes.rows;
    row_axes.insert(row_axes.end(), axes.summed.begin(), axes.summed.end());
    RhsRows rhs(context, region, contraction.rhs, row_axes, axes.columns, axes.k);
    const bool rounded = context.precision == Precision::fast && info(rhs.format()).block_elements > 1;

    size_t lhs = 0;
    while (lhs < lhs_.size() && (lhs_[lhs].source != contraction.lhs || lhs_[lhs].summed != axes.summed ||
                                 lhs_[lhs].k != axes.k)) {
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
                      .workspace_at = 0, .matrix_at = 0, .own_matrix_at = 0, .rounded_at = 0, .own_rounded_at = 0,
                      .rounded = false});
    }
    lhs_[lhs].rounded |= rounded;
    int order = static_cast<int>(entries_.size());
    for (size_t i = 0; i < entries_.size() && order == static_cast<int>(entries_.size()); ++i) {
      if (entries_[i].summed == axes.summed && entries_[i].rhs.same_choice(rhs)) order = static_cast<int>(i);
    }
    entries_.push_back({.lhs = static_cast<int>(lhs),
                        .summed = axes.summed,
                        .rhs = std::move(rhs),
                        .rounded = rounded,
                        .order = order,
                        .max_rows = lhs_[lhs].max_rows,
                        .copy_at = 0, .packed_at = 0, .order_at = 0, .own_order_at = 0, .workspace_at = 0,
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
    if (lhs.rounded) {
      lhs.rounded_at = shared(static_cast<size_t>(lhs.max_rows) * rounded_bytes(lhs.max_k));
      // Less than 3 bytes an element, and a rounding up to 64 bytes for each row.
      lhs.own_rounded_at = own(own_elements * 3 + static_cast<size_t>(std::min(lhs.max_rows, kGemmRows)) * 64);
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
  const int64_t width = (std::max(max_column_unit, kPanelColumns) + kPanelColumns - 1) / kPanelColumns * kPanelColumns;
  for (Entry& entry : entries_) {
    const int64_t rows = chunk * std::max<int64_t>(element_count(entry.summed, context.max_extents), 1);
    const int64_t floats = std::max(rows * width, std::min(rows, kGemmRows) * kMaxColumns);
    entry.sums_at = own(static_cast<size_t>(floats) * sizeof(float));
  }
  own_pointers_at_ = own(kMaxColumns * sizeof(std::byte*));
  own_out_at_ = own(static_cast<size_t>(longest) * sizeof(float*));
  own_panel_at_ = own(max_rows * widest >= kGemmRows ? kPanelBytes : 0);
}

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

// What the products read: rounded rows, and rows packed for large groups.
void ContractPass::pack(Job& job) const {
  bool waits = false;
  for (size_t i = 0; i < lhs_.size(); ++i) {
    if (!lhs_[i].rounded) continue;
    const int64_t rows = job.lhs[i].rows(), k = job.lhs[i].k();
    std::byte* rounded = job.alone ? job.own + lhs_[i].own_rounded_at : job.shared + lhs_[i].rounded_at;
    job.rounded[i] = rounded;
    const bool grouped = std::any_of(entries_.begin(), entries_.end(), [&](const Entry& entry) {
      return entry.lhs == static_cast<int>(i) && entry.rhs.varies();
    });
    if (!grouped && rows > kRoundedRows) continue;
    const Range range = job.alone ? Range{0, rows} : share(rows, 1, job.team);
    const size_t bytes = rounded_bytes(k);
    for (int64_t r = range.first; r < range.last; ++r) {
      round_row(job.left(i, r), k, rounded + static_cast<size_t>(r) * bytes);
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
  const size_t rounded_row = entry.rounded ? rounded_bytes(k) : 0;
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
        if (entry.rounded && last - first <= kRoundedRows) {
          const std::byte* left[kDotRows];
          for (int m = 0; m < rows; ++m) {
            left[m] = job.rounded[lhs] + static_cast<size_t>(row_at(i + m)) * rounded_row;
          }
          dot_rounded_rows(format, pointers + j, count, left, rows, k, to);
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
  const int64_t widest = std::max(column_unit, (most_rows < kGemmRows ? kMaxColumns : kPanelColumns) / column_unit *
                                                   column_unit);
  const int64_t parts = (job.columns + widest * team.threads - 1) / (widest * team.threads) * team.threads;
  const int64_t even = (job.columns + parts - 1) / parts;
  const int64_t width = std::min(widest, (even + column_unit - 1) / column_unit * column_unit);
  const int64_t stride = (width + kPanelColumns - 1) / kPanelColumns * kPanelColumns;
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

std::string ContractPass::describe() const {
  std::string text;
  for (const Entry& entry : entries_) {
    const std::string part = std::string(name(entry.rhs.format())) + (entry.rounded ? " int8" : " f32");
    if (text.find(part) == std::string::npos) text += (text.empty() ? "" : ", ") + part;
  }
  return text;
}

}  // namespace weft
