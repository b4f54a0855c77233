// The built-in rows that compute products. A kernel is a file beside this one, and a line in products.cc.
#pragma once

#include "ops/cpu/kernel_table.h"

namespace weft {

// Each adds its row, or nothing where the compiler or the architecture does not have what it is made of. Right-hand
// rows as stored; a few left-hand rows, by dot products:
void add_f32_dot(KernelTable& table);        // dot.cc
void add_int8_dot(KernelTable& table);       // int8_dot.cc, by Highway's operations
void add_int8_dot_vnni(KernelTable& table);  // int8_dot_vnni.cc
// and many: panels of right-hand rows are decoded once for all left-hand rows.
void add_f32_panels(KernelTable& table);  // gemm.cc
void add_bf16_amx(KernelTable& table);    // bf16_amx.cc
// Right-hand rows interleaved by 16.
void add_f32_x16(KernelTable& table);         // f32_x16.cc
void add_f32_x16_panels(KernelTable& table);  // gemm.cc
void add_int8_x16(KernelTable& table);        // int8_x16.cc, by Highway's operations
void add_int8_x16_vnni(KernelTable& table);   // int8_x16_vnni.cc
void add_bf16_x16_amx(KernelTable& table);    // bf16_amx.cc

// What the rows for interleaved weights have in common: formats, layout, and tiles of such activations.
ProductKernel x16_row(ActivationElement element);

}  // namespace weft
