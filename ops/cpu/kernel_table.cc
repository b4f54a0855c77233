#include "ops/cpu/kernel_table.h"

#include <utility>

#include "core/error.h"
#include "ops/cpu/kernel.h"

namespace weft {
void KernelTable::add(ProductKernel row) {
  const std::lock_guard lock(adding_);
  check_row(row);
  if (row.run == nullptr) throw Error("kernel '" + row.name + "': it has no function");
  if (steps_.find(row.name) != nullptr) throw Error("kernel '" + row.name + "': the table has one of that name");
  products_.add(std::move(row));
}

void KernelTable::add(StepKernel row) {
  const std::lock_guard lock(adding_);
  if (row.make == nullptr) throw Error("kernel '" + row.name + "': it has no function");
  if (products_.find(row.name) != nullptr) throw Error("kernel '" + row.name + "': the table has one of that name");
  steps_.add(std::move(row));
}

std::vector<const ProductKernel*> KernelTable::products() const { return products_.all(); }

std::vector<const StepKernel*> KernelTable::steps(StepKind kind) const {
  std::vector<const StepKernel*> rows = steps_.all();
  std::erase_if(rows, [&](const StepKernel* row) { return row->kind != kind; });
  return rows;
}

const ProductKernel* KernelTable::find_product(std::string_view name) const { return products_.find(name); }
const StepKernel* KernelTable::find_step(std::string_view name) const { return steps_.find(name); }

bool KernelTable::has(std::string_view name) const {
  return products_.find(name) != nullptr || steps_.find(name) != nullptr;
}

namespace {

std::vector<const ProductKernel*> serving(const KernelTable& table, Format format, const ProductKernel* forced) {
  return serving_rows(table.products(), forced,
                      [&](const ProductKernel& row) { return row.takes(format) && row.is_available(); });
}

}  // namespace

std::vector<ProductPick> pick_products(const KernelTable& table, Format format, const Layout& layout,
                                       Precision precision, const ProductKernel* forced) {
  return pick_rows(serving(table, format, forced), format, layout, precision);
}

Layout preferred_layout(const KernelTable& table, Format format, const ProductKernel* forced) {
  return layout_of_preferred(serving(table, format, forced));
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
