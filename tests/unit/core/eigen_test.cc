#include "core/expr/eigen.h"

#include <gtest/gtest.h>

#include "models/axes.h"

namespace weft {
namespace {

struct Pos2 : axis<"pos2"> {};

TEST(Eigen, MatrixViewsShareStorageRowMajor) {
  Tensor<f32, Pos, Embed> x({2, 3}, {1, 2, 3, 4, 5, 6});
  EXPECT_EQ(as_matrix(x)(1, 0), 4);
  as_matrix(x)(1, 0) = 40;
  EXPECT_EQ(x.values()[3], 40);
  const Tensor<f32, Pos, Embed>& view = x;
  EXPECT_EQ(as_matrix(view)(0, 2), 3);
}

TEST(Eigen, ColumnMajorMatricesAreCopiedByCoordinate) {
  Eigen::MatrixXf m(2, 3);
  m << 1, 2, 3, 4, 5, 6;
  const auto x = matrix_from<Pos, Embed>(m);
  EXPECT_EQ(std::vector<float>(x.values().begin(), x.values().end()), (std::vector<float>{1, 2, 3, 4, 5, 6}));
  const auto product = matrix_from<Pos, Pos2>(m * m.transpose());
  EXPECT_EQ(product.values()[1], 32);
}

TEST(Eigen, VectorsBothWays) {
  Eigen::VectorXf v(3);
  v << 1, 2, 3;
  auto x = vector_from<Embed>(v);
  EXPECT_EQ(x.extent<Embed>(), 3);
  as_vector(x)[2] = 7;
  EXPECT_EQ(x.values()[2], 7);
}

TEST(Eigen, TensorsOfAnyRankAndLayout) {
  Tensor<i32, KvHead, Group, HeadDim> x({2, 3, 4});
  for (int i = 0; i < 24; ++i) x.values()[static_cast<size_t>(i)] = i;
  const auto view = as_eigen_tensor(x);
  EXPECT_EQ(view(1, 2, 3), 23);
  EXPECT_EQ(view(1, 0, 2), 14);

  Eigen::Tensor<i32, 3> columns(2, 3, 4);  // column-major
  for (int a = 0; a < 2; ++a)
    for (int b = 0; b < 3; ++b)
      for (int c = 0; c < 4; ++c) columns(a, b, c) = 100 * a + 10 * b + c;
  const auto copied = tensor_from<KvHead, Group, HeadDim>(columns);
  EXPECT_EQ(as_eigen_tensor(copied)(1, 2, 3), 123);
  EXPECT_EQ(copied.values()[6], 12);
  EXPECT_EQ(copied.extent<Group>(), 3);
}

TEST(Eigen, EmptyTensors) {
  Tensor<f32, Pos, Embed> x({0, 3});
  EXPECT_EQ(as_matrix(x).rows(), 0);
  EXPECT_EQ((matrix_from<Pos, Embed>(Eigen::MatrixXf(0, 5)).extent<Embed>()), 5);
}

}  // namespace
}  // namespace weft
