// Arbitrary bytes as a file of kernels in OpenCL C: kernels whose fields are within their limits, or an Error that
// names the file.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

#include "core/error.h"
#include "ops/plugin/opencl_file.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace weft;
  try {
    const auto [kernels, products] = parse_opencl_file("mine.cl", {reinterpret_cast<const char*>(data), size});
    if (kernels.empty() && products.empty()) std::abort();
    for (const OpenClRowsKernel& kernel : kernels) {
      const bool is_right = !kernel.name.empty() && kernel.formula != nullptr && kernel.work_items >= 1 &&
                            kernel.work_items <= 1024 && kernel.shared >= 1 && kernel.columns >= 0;
      if (!is_right) std::abort();
    }
    for (const OpenClProductKernel& kernel : products) {
      if (kernel.name.empty() || kernel.formats.size() != 1 || kernel.last_rows < kernel.first_rows) std::abort();
    }
  } catch (const Error& error) {
    if (!std::string_view(error.what()).starts_with("kernel file 'mine.cl'")) std::abort();
  }
  return 0;
}
