// Three lines to try something: tensors with named axes, an expression, eval.
#include <cstdio>

#include "ops/ops.h"
#include "runtime/plan/eval.h"

using namespace weft;

struct Row : axis<"row"> {};
struct Column : axis<"column"> {};

int main() {
  const Tensor<f32, Row, Column> x({2, 3}, {1, 2, 3, 4, 5, 6});
  const Tensor<f32, Column> scale({3}, {1, 10, 100});
  const Tensor<f32, Row, Column> y = eval(Device::cpu(), softmax<Column>(x) * scale);
  for (const float value : y.values()) std::printf("%g ", static_cast<double>(value));
  std::printf("\n");

  // Any storage format; argmax and top_k; your own function, called once with symbolic scalars.
  const Tensor<bf16, Column> w({3}, {bf16(0.5f), bf16(-1), bf16(2)});
  const auto z = eval(Device::cpu(), map([](auto a, auto b) { return where(a > 2.0f, a * b, exp(-a)); }, x, w));
  const auto best = eval(Device::cpu(), argmax<Column>(x * w));
  std::printf("%g %d %d\n", static_cast<double>(z.values()[5]), best.values()[0], best.values()[1]);
  return best.values()[0] == 2 ? 0 : 1;
}
