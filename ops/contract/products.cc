#include "ops/contract/products.h"

#include "ops/cpu/kernel.h"

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

}  // namespace weft
