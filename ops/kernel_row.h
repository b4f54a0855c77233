// What the rows of a table of kernels say of the products that they compute, and how a plan picks among them: the same
// for the CPU (ops/cpu/kernel_table.h) and for OpenCL devices (gpu/lower/kernel_table.h).
#pragma once

#include <algorithm>
#include <cstdint>
#include <deque>
#include <limits>
#include <mutex>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "core/error.h"
#include "core/format/format.h"
#include "core/record/graph.h"
#include "core/record/layout.h"
#include "ops/step.h"

namespace weft {

inline constexpr int64_t kAnyRows = std::numeric_limits<int64_t>::max();

// How a kernel takes activations, the left-hand rows of k elements.
enum class ActivationElement : uint8_t {
  floats,  // as they are
  int8,    // quantized in blocks of 32 (ops/contract/activations.h)
  digits,  // as sums of four of these, which round less than an f32 sum does
  bf16     // rounded to it, like the decoded weights that they are multiplied by
};
// Whether they are multiplied as int8.
constexpr bool is_in_int8(ActivationElement element) {
  return element == ActivationElement::int8 || element == ActivationElement::digits;
}
inline constexpr int64_t kMostTileRows = 32;
// Rows come in tiles of at most kMostTileRows. On the CPU they lie so that a kernel reads them from front to back; on
// OpenCL devices they lie as they are, and a work-item sums those of a tile.
struct ActivationForm {
  ActivationElement element = ActivationElement::floats;
  int64_t tile = 1;  // rows of one tile; the last tile of a group may have fewer
  bool operator==(const ActivationForm&) const = default;
};

// A kernel that computes the products of one contraction: sums over k of left-hand rows with right-hand rows.
struct ProductRow {
  std::string name;             // unique in the table
  std::vector<Format> formats;  // of right-hand rows
  Layout layout;                // of right-hand rows
  ActivationForm activations;
  int64_t first_rows = 1;  // the number of rows of a group that it is for
  int64_t last_rows = kAnyRows;
  int preference = 0;  // of the rows that can serve, the plan picks the one that prefers most

  // Rounding activations is for Precision::fast alone.
  bool serves(Precision precision) const {
    return precision == Precision::fast || activations.element == ActivationElement::floats ||
           activations.element == ActivationElement::digits;
  }
  bool takes(Format format) const;
};

// Throws Error where it could never be picked.
void check_row(const ProductRow& row);
// Why a plan cannot use a row that was asked for by name.
std::string cannot_serve(const ProductRow& row, Precision precision);

// Rows stay where they are and are never removed; threads may read and add at once. `Row` has a name and a preference.
template <class Row>
class KernelRows {
 public:
  // Throws Error where the row has no name, or one that is taken.
  void add(Row row) {
    const std::lock_guard lock(mutex_);
    if (row.name.empty()) throw Error("a kernel without a name cannot be added to the table");
    if (find_locked(row.name) != nullptr) throw Error("kernel '" + row.name + "': the table has one of that name");
    rows_.push_back(std::move(row));
  }
  // By falling preference, then as they were added.
  std::vector<const Row*> all() const {
    const std::lock_guard lock(mutex_);
    std::vector<const Row*> rows;
    for (const Row& row : rows_) rows.push_back(&row);
    std::stable_sort(rows.begin(), rows.end(),
                     [](const Row* a, const Row* b) { return a->preference > b->preference; });
    return rows;
  }
  // Null where there is none of that name.
  const Row* find(std::string_view name) const {
    const std::lock_guard lock(mutex_);
    return find_locked(name);
  }

 private:
  const Row* find_locked(std::string_view name) const {
    const auto at = std::find_if(rows_.begin(), rows_.end(), [&](const Row& row) { return row.name == name; });
    return at == rows_.end() ? nullptr : &*at;
  }

  mutable std::mutex mutex_;
  std::deque<Row> rows_;
};

// The rows that `serves` says can serve, the preferred one first: of `rows`, which are by falling preference, and
// before them `forced` unless that is null.
template <class Row, class Serves>
std::vector<const Row*> serving_rows(const std::vector<const Row*>& rows, const Row* forced, const Serves& serves) {
  std::vector<const Row*> serving;
  if (forced != nullptr && serves(*forced)) serving.push_back(forced);
  for (const Row* row : rows) {
    if (row != forced && serves(*row)) serving.push_back(row);
  }
  return serving;
}

// Kernels by ranges of rows without gaps, from 1 on.
template <class Row>
struct RowPick {
  int64_t last_rows = 0;
  const Row* kernel = nullptr;
};

namespace kernel_rows {
// The same by index into `rows`, of which the first that is for a number of rows is picked; up to the first number that
// none is for.
struct Range {
  int64_t last_rows;
  size_t row;
};
std::vector<Range> ranges(std::span<const ProductRow* const> rows);
[[noreturn]] void refuse(int64_t rows, Format format, const Layout& layout, Precision precision);
}  // namespace kernel_rows

// Of `serving`, the preferred row first, those that a plan of `precision` runs for right-hand rows of `format` in
// `layout`. Throws Error where nothing serves.
template <class Row>
std::vector<RowPick<Row>> pick_rows(std::vector<const Row*> serving, Format format, const Layout& layout,
                                    Precision precision) {
  std::erase_if(serving, [&](const Row* row) { return row->layout != layout || !row->serves(precision); });
  std::vector<RowPick<Row>> picks;
  const std::vector<const ProductRow*> rows(serving.begin(), serving.end());
  for (const kernel_rows::Range& range : kernel_rows::ranges(rows))
    picks.push_back({range.last_rows, serving[range.row]});
  const int64_t last = picks.empty() ? 0 : picks.back().last_rows;
  if (last != kAnyRows) kernel_rows::refuse(last + 1, format, layout, precision);
  return picks;
}

// The layout that the first of `serving` reads, of those in which exact kernels serve any number of rows: a weight is
// held in one layout, whatever the precision.
template <class Row>
Layout layout_of_preferred(const std::vector<const Row*>& serving) {
  for (const Row* wanted : serving) {
    std::vector<const ProductRow*> rows;
    for (const Row* row : serving) {
      if (row->layout == wanted->layout && row->serves(Precision::exact)) rows.push_back(row);
    }
    const auto ranges = kernel_rows::ranges(rows);
    if (!ranges.empty() && ranges.back().last_rows == kAnyRows) return wanted->layout;
  }
  return kStored;
}

// What a step will run for how many rows of a group; what computes no products, for any number.
struct KernelRange {
  std::string name;
  int64_t first_rows = 1, last_rows = kAnyRows;
  ValueId right = kNoValue;     // whose rows these products are with; kNoValue: it computes no products
  Format format = Format::f32;  // of the right-hand rows
  Layout layout = kStored;      // of these
  ActivationElement activations = ActivationElement::floats;
  bool operator==(const KernelRange&) const = default;
};
void add_kernel(std::vector<KernelRange>& all, const KernelRange& kernel);  // unless `all` has it

// In one line: "Q8_0 x16: int8-x16-vnni", "Q4_K: int8-dot ≤2, ...".
std::string kernel_text(std::span<const KernelRange> kernels);

}  // namespace weft
