#include "ops/contract/products.h"

#include <iterator>

#include "ops/contract/kernels.h"
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
  add_bf16_amx(table);
  add_bf16_x16_amx(table);
}

ProductKernel x16_row(ActivationElement element) {
  ProductKernel row;
  row.formats.assign(std::begin(kBlockFormats), std::end(kBlockFormats));
  row.layout = kRows16;
  row.activations = {element, kRowTile};
  return row;
}

}  // namespace weft
