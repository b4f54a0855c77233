// Tensors as Eigen matrices, without a copy; and Eigen expressions as tensors.
#include <cstdio>

#include "core/expr/eigen.h"
#include "models/axes.h"
#include "ops/ops.h"
#include "runtime/plan/eval.h"

using namespace weft;

int main() {
  Tensor<f32, Pos, Embed> x({3, 4});
  as_matrix(x).setRandom();
  const auto w = matrix_from<Hidden, Embed>(Eigen::MatrixXf::Identity(4, 4) * 2.0f);
  const auto y = eval(Device::cpu(), contract<Embed>(x, w));
  const float difference = (as_matrix(y) - 2 * as_matrix(x)).cwiseAbs().maxCoeff();
  std::printf("largest difference: %g\n", static_cast<double>(difference));
  return difference == 0 ? 0 : 1;
}
