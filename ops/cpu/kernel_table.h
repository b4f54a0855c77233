// The table of CPU kernels, from which a plan picks. A row computes a whole step, or the products of one contraction;
// grouping of rows by expert, epilogues and appending are common to all rows of the second kind (ops/contract/pass.h).
// Rows can be added at run time.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

#include "core/format/format.h"
#include "core/record/graph.h"
#include "core/record/layout.h"
#include "ops/kernel_row.h"
#include "ops/step.h"

namespace weft {

class CpuKernel;
struct KernelContext;

// --- Rows that compute the products of one contraction.

// out[m][j] = sum over i < k of left[m][i] * right[j][i], for the rows of one group, which all meet the same right-hand
// rows.
struct ProductArgs {
  Format format = Format::f32;              // of the right-hand rows
  int64_t k = 0;                            // a multiple of the format's block
  const std::byte* const* right = nullptr;  // as stored: each right-hand row; else each group of Layout::rows of them
  int64_t columns = 0;                      // right-hand rows: at least 1; whole groups where they are in groups
  const std::byte* const* left = nullptr;   // each tile of left-hand rows, in the kernel's form
  int64_t rows = 0;              // left-hand rows: at least 1; may be a part of a group, so fewer than first_rows
  float* const* out = nullptr;   // by left-hand row, for [0, columns)
  std::byte* scratch = nullptr;  // the thread's own, of ProductKernel::scratch_bytes, 64-byte aligned
  // Kernels that go through left-hand rows by parts of k may begin with the last one: set for every other call, so that
  // what the last call read at its end, and the caches still have, is what this one reads first.
  bool backwards = false;
};

struct ProductKernel : ProductRow {
  std::string features;           // of the CPU that it needs, as lscpu calls them: for people
  bool (*available)() = nullptr;  // whether this machine has them; null: any has
  size_t scratch_bytes = 0;       // of each thread
  // Right-hand rows of a call where left-hand ones are many: these do not stay in the caches, and each time that they
  // come they meet so many.
  int64_t wide_columns = 128;
  // Computes, and returns the name of the kernel that did it: what a profile shows.
  std::function<const char*(const ProductArgs&)> run;

  bool is_available() const { return available == nullptr || available(); }
};

// --- Rows that compute a whole step.

struct StepKernel {
  std::string name;  // unique in the table
  StepKind kind = StepKind::map;
  int preference = 0;
  // The kernel of the step; null where it is not one of those that this row computes.
  std::function<std::unique_ptr<CpuKernel>(const KernelContext& context)> make;
};

// --- The table.

// Rows stay where they are and are never removed; threads may read and add at once.
class KernelTable {
 public:
  virtual ~KernelTable() = default;
  // Throws Error where the name is taken, or the row could never be picked. Virtual, so that a
  // shared object that is handed the table needs none of Weft's symbols.
  virtual void add(ProductKernel row);
  virtual void add(StepKernel row);

  // By falling preference, then as they were added.
  std::vector<const ProductKernel*> products() const;
  std::vector<const StepKernel*> steps(StepKind kind) const;
  // Null where there is none of that name.
  const ProductKernel* find_product(std::string_view name) const;
  const StepKernel* find_step(std::string_view name) const;
  bool has(std::string_view name) const;

 private:
  std::mutex adding_;  // names are unique among rows of both kinds
  KernelRows<ProductKernel> products_;
  KernelRows<StepKernel> steps_;
};

// The one that plans use, with the built-in rows.
KernelTable& kernel_table();

// The kernels that a plan of `precision` runs for right-hand rows of `format` in `layout`: ranges of rows without gaps,
// from 1 on. `forced`: this one where it can serve. Throws Error where nothing serves.
using ProductPick = RowPick<ProductKernel>;
std::vector<ProductPick> pick_products(const KernelTable& table, Format format, const Layout& layout,
                                       Precision precision, const ProductKernel* forced = nullptr);

// The layout that the preferred kernels for this format read, of those in which exact ones serve any number of rows: a
// weight is held in one layout, whatever the precision.
Layout preferred_layout(const KernelTable& table, Format format, const ProductKernel* forced = nullptr);

}  // namespace weft
