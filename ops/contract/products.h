// The built-in rows that compute products. A kernel is a file beside this one, and a line in products.cc.
#pragma once

#include "ops/cpu/kernel_table.h"

namespace weft {

void add_product_kernels(KernelTable& table);

// Each adds its row, or nothing where the compiler or the architecture does not have what it is made of. Right-hand
// rows as stored; a few left-hand rows, by dot products:
void add_f32_dot(KernelTable& table);        // dot.cc
void add_int8_dot(KernelTable& table);       // int8_dot.cc, by Highway's operations
void add_int8_dot_vnni(KernelTable& table);  // int8_dot_vnni.cc
// and many: panels of right-hand rows are decoded once for all left-hand rows.
void add_f32_panels(KernelTable& table);  // gemm.cc
// Right-hand rows interleaved by 16.
void add_f32_x16(KernelTable& table);         // f32_x16.cc
void add_f32_x16_panels(KernelTable& table);  // gemm.cc
void add_int8_x16(KernelTable& table);        // int8_x16.cc, by Highway's operations
void add_int8_x16_vnni(KernelTable& table);   // int8_x16_vnni.cc

// The kernels that a plan of `precision` runs for right-hand rows of `format` in `layout`: ranges of rows without gaps,
// from 1 on. `forced`: this one where it can serve. Throws Error where nothing serves.
struct ProductPick {
  int64_t last_rows;
  const ProductKernel* kernel;
};
std::vector<ProductPick> pick_products(const KernelTable& table, Format format, const Layout& layout,
                                       Precision precision, const ProductKernel* forced = nullptr);

// The layout that the preferred kernels for this format read, whatever the precision: a weight is held in one.
Layout preferred_layout(const KernelTable& table, Format format, const ProductKernel* forced = nullptr);

}  // namespace weft
