#include "ops/contract/products.h"

#include <algorithm>

#include "core/error.h"

namespace weft {

void add_product_kernels(KernelTable& table) {
  add_f32_dot(table);
  add_f32_panels(table);
  add_int8_dot(table);
  add_int8_dot_vnni(table);
  add_f32_x16(table);
  add_f32_x16_panels(table);
  add_int8_x16(table);
  add_int8_x16_vnni(table);
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

}  // namespace

std::vector<ProductPick> pick_products(const KernelTable& table, Format format, const Layout& layout,
                                       Precision precision, const ProductKernel* forced) {
  std::vector<const ProductKernel*> rows = serving(table, format, forced);
  std::erase_if(rows, [&](const ProductKernel* row) { return row->layout != layout || !row->serves(precision); });
  std::vector<ProductPick> picks;
  for (int64_t first = 1;;) {
    const auto best = std::find_if(rows.begin(), rows.end(), [&](const ProductKernel* row) {
      return row->first_rows <= first && first <= row->last_rows;
    });
    if (best == rows.end()) {
      throw Error("no kernel computes products of " + std::to_string(first) + " rows with " +
                  std::string(name(format)) + " in layout " + name(layout) + ", precision " +
                  std::string(name(precision)));
    }
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

Layout preferred_layout(const KernelTable& table, Format format, const ProductKernel* forced) {
  const std::vector<const ProductKernel*> rows = serving(table, format, forced);
  return rows.empty() ? kStored : rows.front()->layout;
}

}  // namespace weft
