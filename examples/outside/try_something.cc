// An expression, and a model's next tokens.
//   try_something [MODEL.gguf]
#include <cstdio>
#include <exception>

#include "models/registry.h"
#include "ops/ops.h"
#include "runtime/files/checkpoint.h"
#include "runtime/plan/eval.h"

struct Row : weft::axis<"row"> {};
struct Column : weft::axis<"column"> {};

int main(int argc, char** argv) try {
  const weft::Tensor<float, Row, Column> x({2, 3}, {1, 2, 3, 4, 5, 6});
  const auto y = eval(weft::Device::cpu(), weft::softmax<Column>(x * 2.0f));
  for (const float v : y.values()) std::printf("%.4f ", static_cast<double>(v));
  std::printf("\n");
  if (argc > 1) {
    const auto file = weft::Checkpoint::open(argv[1]);
    (void)weft::load_model(file);  // one of weft::architectures()
    std::printf("%s\n", file->architecture().c_str());
  }
  return 0;
} catch (const std::exception& error) {
  std::fprintf(stderr, "%s\n", error.what());
  return 1;
}
