// A shared object with two kernels: one that is right, and one that is not. It links nothing of Weft; the table that it
// is handed has all that it calls.
#include "ops/cpu/kernel_table.h"

namespace {

float dot(const float* a, const float* b, int64_t k) {
  double sum = 0;
  for (int64_t i = 0; i < k; ++i) sum += static_cast<double>(a[i]) * static_cast<double>(b[i]);
  return static_cast<float>(sum);
}

void products(const weft::ProductArgs& args, int64_t k) {
  for (int64_t m = 0; m < args.rows; ++m) {
    for (int64_t j = 0; j < args.columns; ++j) {
      args.out[m][j] =
          dot(reinterpret_cast<const float*>(args.left[m]), reinterpret_cast<const float*>(args.right[j]), k);
    }
  }
}

const char* run_right(const weft::ProductArgs& args) {
  products(args, args.k);
  return "plugin-dot";
}

// Forgets the last element of rows of more than 32.
const char* run_wrong(const weft::ProductArgs& args) {
  products(args, args.k > 32 ? args.k - 1 : args.k);
  return "plugin-wrong";
}

}  // namespace

extern "C" void weft_add_kernels(weft::KernelTable* table) {
  weft::ProductKernel row;
  row.formats = {weft::Format::f32};
  row.preference = -1;
  row.name = "plugin-dot";
  row.run = run_right;
  table->add(row);
  row.name = "plugin-wrong";
  row.run = run_wrong;
  table->add(row);
}
