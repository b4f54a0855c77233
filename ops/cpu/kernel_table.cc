#include "ops/cpu/kernel_table.h"

#include <algorithm>
#include <utility>

#include "core/error.h"
#include "ops/cpu/kernel.h"

namespace weft {
namespace {

template <class Row>
std::vector<const Row*> by_preference(std::vector<const Row*> rows) {
  std::stable_sort(rows.begin(), rows.end(), [](const Row* a, const Row* b) { return a->preference > b->preference; });
  return rows;
}

}  // namespace

bool ProductKernel::takes(Format format) const {
  return std::find(formats.begin(), formats.end(), format) != formats.end();
}

void KernelTable::check_name(const std::string& name) const {
  if (name.empty()) throw Error("a kernel without a name cannot be added to the table");
  const auto is_it = [&](const auto& row) { return row.name == name; };
  if (std::any_of(products_.begin(), products_.end(), is_it) || std::any_of(steps_.begin(), steps_.end(), is_it)) {
    throw Error("kernel '" + name + "': the table has one of that name");
  }
}

void KernelTable::add(ProductKernel row) {
  const std::lock_guard lock(mutex_);
  check_name(row.name);
  const auto refuse = [&](const std::string& why) { throw Error("kernel '" + row.name + "': " + why); };
  if (row.run == nullptr) refuse("it has no function");
  if (row.formats.empty()) refuse("it names no format");
  for (const Format format : row.formats) {
    if (!info(format).is_float) refuse("it names " + std::string(weft::name(format)) + ", which holds no floats");
    if (row.activations.element != ActivationElement::floats && info(format).block_elements % 32 != 0) {
      refuse("blocks of 32 activations do not divide rows of " + std::string(weft::name(format)));
    }
    if (!row.layout.is_stored() && !Interleaved::exists(format, row.layout)) {
      refuse("format " + std::string(weft::name(format)) + " has no layout " + weft::name(row.layout));
    }
  }
  if (row.first_rows < 1 || row.last_rows < row.first_rows) refuse("it is for no number of rows");
  if (row.activations.tile < 1 || row.activations.tile > kMostTileRows) {
    refuse("its tiles have " + std::to_string(row.activations.tile) + " rows: there may be 1 to " +
           std::to_string(kMostTileRows));
  }
  products_.push_back(std::move(row));
}

void KernelTable::add(StepKernel row) {
  const std::lock_guard lock(mutex_);
  check_name(row.name);
  if (row.make == nullptr) throw Error("kernel '" + row.name + "': it has no function");
  steps_.push_back(std::move(row));
}

std::vector<const ProductKernel*> KernelTable::products() const {
  const std::lock_guard lock(mutex_);
  std::vector<const ProductKernel*> rows;
  for (const ProductKernel& row : products_) rows.push_back(&row);
  return by_preference(std::move(rows));
}

std::vector<const StepKernel*> KernelTable::steps(StepKind kind) const {
  const std::lock_guard lock(mutex_);
  std::vector<const StepKernel*> rows;
  for (const StepKernel& row : steps_) {
    if (row.kind == kind) rows.push_back(&row);
  }
  return by_preference(std::move(rows));
}

const ProductKernel* KernelTable::find_product(std::string_view name) const {
  const std::lock_guard lock(mutex_);
  const auto at = std::find_if(products_.begin(), products_.end(), [&](const auto& row) { return row.name == name; });
  return at == products_.end() ? nullptr : &*at;
}

bool KernelTable::has(std::string_view name) const {
  const std::lock_guard lock(mutex_);
  const auto is_it = [&](const auto& row) { return row.name == name; };
  return std::any_of(products_.begin(), products_.end(), is_it) || std::any_of(steps_.begin(), steps_.end(), is_it);
}

namespace {

// The available rows that can serve, the preferred one first.
std::vector<const ProductKernel*> serving(const KernelTable& table, Format format, const ProductKernel* forced) {
  std::vector<const ProductKernel*> rows;
  const auto serves = [&](const ProductKernel* row) { return row->takes(format) && row->is_available(); };
  if (forced != nullptr && serves(forced)) rows.push_back(forced);
  for (const ProductKernel* row : table.products()) {
    if (row != forced && serves(row)) rows.push_back(row);
  }
  return rows;
}

// The picks for 1, 2, ... rows, up to the first number of rows that nothing serves.
std::vector<ProductPick> picks_from_one(const KernelTable& table, Format format, const Layout& layout,
                                        Precision precision, const ProductKernel* forced) {
  std::vector<const ProductKernel*> rows = serving(table, format, forced);
  std::erase_if(rows, [&](const ProductKernel* row) { return row->layout != layout || !row->serves(precision); });
  std::vector<ProductPick> picks;
  for (int64_t first = 1;;) {
    const auto best = std::find_if(rows.begin(), rows.end(), [&](const ProductKernel* row) {
      return row->first_rows <= first && first <= row->last_rows;
    });
    if (best == rows.end()) return picks;
    // Up to where a preferred one begins.
    int64_t last = (*best)->last_rows;
    for (auto preferred = rows.begin(); preferred != best; ++preferred) {
      if ((*preferred)->first_rows > first) last = std::min(last, (*preferred)->first_rows - 1);
    }
    if (!picks.empty() && picks.back().kernel == *best) picks.back().last_rows = last;
    else picks.push_back({last, *best});
    if (last == kAnyRows) return picks;
    first = last + 1;
  }
}

int64_t last_rows(const std::vector<ProductPick>& picks) { return picks.empty() ? 0 : picks.back().last_rows; }

}  // namespace

std::vector<ProductPick> pick_products(const KernelTable& table, Format format, const Layout& layout,
                                       Precision precision, const ProductKernel* forced) {
  std::vector<ProductPick> picks = picks_from_one(table, format, layout, precision, forced);
  if (last_rows(picks) < kAnyRows) {
    throw Error("no kernel computes products of " + std::to_string(last_rows(picks) + 1) + " rows with " +
                std::string(name(format)) + " in layout " + name(layout) + ", precision " +
                std::string(name(precision)));
  }
  return picks;
}

Layout preferred_layout(const KernelTable& table, Format format, const ProductKernel* forced) {
  for (const ProductKernel* row : serving(table, format, forced)) {
    const auto exact = picks_from_one(table, format, row->layout, Precision::exact, nullptr);
    if (last_rows(exact) == kAnyRows) return row->layout;
  }
  return kStored;
}

void add_kernel(std::vector<KernelRange>& all, const KernelRange& kernel) {
  if (std::find(all.begin(), all.end(), kernel) == all.end()) all.push_back(kernel);
}

KernelTable& kernel_table() {
  static KernelTable* const table = [] {
    auto* built_in = new KernelTable;  // lives as long as the program: kernels may run while it ends
    add_product_kernels(*built_in);
    add_step_kernels(*built_in);
    return built_in;
  }();
  return *table;
}

}  // namespace weft
