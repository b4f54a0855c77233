// A kernel for --kernel-file: the norm of Llama's layers.
#include <weft_kernel.h>

#include <cmath>

static void norm(const weft::Rows& rows) {
  for (int64_t r = rows.first(); r < rows.last(); ++r) {
    const auto x = rows.input(0, r), w = rows.input(1, r);
    double sum = 0;
    for (const float v : x) sum += static_cast<double>(v) * static_cast<double>(v);
    const auto by =
        static_cast<float>(1 / std::sqrt(sum / static_cast<double>(x.size()) + static_cast<double>(rows.constant(0))));
    for (size_t i = 0; i < x.size(); ++i) rows.output(r)[i] = x[i] * by * w[i];
  }
}
WEFT_KERNEL(norm, .computes = "rms_norm(x, w, $eps)")
