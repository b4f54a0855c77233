// Contractions and norms against Eigen in double precision: an oracle that shares nothing with the kernels or with
// their reference. On every Highway target, with one thread and two, and on OpenCL where there is a device.
#include <gtest/gtest.h>

#include <cmath>
#include <random>
#include <string>

#include "core/expr/eigen.h"
#include "models/axes.h"
#include "ops/ops.h"
#include "runtime/plan/eval.h"
#include "tests/gpu_device.h"
#include "tests/targets.h"

namespace weft {
namespace {

using Matrix = EigenMatrix<double>;

struct Out : axis<"out"> {};

template <class... A>
Tensor<f32, A...> random(std::array<int64_t, sizeof...(A)> extents, unsigned seed) {
  std::mt19937 source(seed);
  Tensor<f32, A...> tensor(extents);
  for (f32& x : tensor.values()) x = static_cast<f32>(source()) / 2147483648.0f - 1.0f;
  return tensor;
}

// The elements as rows of the last axis.
template <class... A>
Matrix rows_of(const Tensor<f32, A...>& x, int64_t columns) {
  const auto count = static_cast<int64_t>(x.values().size());
  return Eigen::Map<const EigenMatrix<f32>>(x.data(), columns == 0 ? 0 : count / columns, columns)
      .template cast<double>();
}

// A weight of blocks or floats, and what it holds.
template <class... A>
std::pair<Weight<A...>, Matrix> weight(Format format, std::array<int64_t, sizeof...(A)> extents, unsigned seed) {
  auto storage = allocate_storage("w", format, axis_list<Axes<A...>>::get(), extents);
  const int64_t columns = extents.back();
  std::mt19937 source(seed);
  std::vector<float> row(static_cast<size_t>(columns));
  const size_t bytes = row_bytes(format, row.size());
  const auto count = static_cast<int64_t>(storage->bytes() / bytes);
  Matrix decoded(count, columns);
  for (int64_t r = 0; r < count; ++r) {
    std::byte* at = storage->data + static_cast<size_t>(r) * bytes;
    for (float& x : row) x = static_cast<float>(source()) / 2147483648.0f - 1.0f;
    encode_row(format, row.data(), row.size(), at);
    decode_row(format, at, row.size(), row.data());
    for (int64_t c = 0; c < columns; ++c) decoded(r, c) = row[static_cast<size_t>(c)];
  }
  return {Weight<A...>(storage), decoded};
}

// `want` has the elements of x in the same order. `bound` is the magnitude of the terms that each element sums.
template <class X>
void check(const std::string& what, const X& x, const Matrix& want, double bound = 1) {
  const auto agree = [&](const Device& device, const std::string& where) {
    const auto got = eval(device, x);
    ASSERT_EQ(static_cast<int64_t>(got.values().size()), want.size()) << what << where;
    for (int64_t i = 0; i < want.size(); ++i) {
      const double allowed = 3e-6 * bound + 1e-5 * std::fabs(want.data()[i]);
      ASSERT_NEAR(got.values()[static_cast<size_t>(i)], want.data()[i], allowed)
          << what << where << ", element " << i;
    }
  };
  on_every_target([&] { agree(Device::cpu(1), ", 1 thread"); });
  agree(Device::cpu(2), ", 2 threads");
  if (const auto& gpu = test::opencl_device()) agree(*gpu, ", opencl");
}

constexpr int64_t kLengths[] = {1, 2, 3, 7, 31, 32, 33, 65, 257};

TEST(Oracle, Products) {
  for (const int64_t rows : {1, 2, 5, 26}) {
    for (const int64_t k : kLengths) {
      const int64_t outputs = k % 2 == 0 ? 18 : 1 + k % 35;
      const auto x = random<Pos, Embed>({rows, k}, 1);
      const auto w = random<Hidden, Embed>({outputs, k}, 2);
      check("product of " + std::to_string(rows) + "x" + std::to_string(k), contract<Embed>(x, w),
            rows_of(x, k) * rows_of(w, k).transpose(), static_cast<double>(k));
    }
  }
}

TEST(Oracle, ProductsWithWeightsOfEveryFormat) {
  for (const Format format : kFloatFormats) {
    for (const int64_t rows : {1, 26}) {
      const int64_t k = 512;
      const auto x = random<Pos, Embed>({rows, k}, 3);
      const auto [w, decoded] = weight<Hidden, Embed>(format, {19, k}, 4);
      check("product with " + std::string(name(format)) + ", rows " + std::to_string(rows), contract<Embed>(x, w),
            rows_of(x, k) * decoded.transpose(), static_cast<double>(k));
    }
  }
}

// The weight has its contracted axis first.
TEST(Oracle, ProductsWithTransposedWeights) {
  for (const int64_t k : {1, 7, 64}) {
    const auto x = random<Pos, Embed>({5, k}, 5);
    const auto [w, decoded] = weight<Embed, Hidden>(Format::f16, {k, 33}, 6);
    check("transposed " + std::to_string(k), contract<Embed>(x, w), rows_of(x, k) * decoded,
          static_cast<double>(k));
  }
}

// A matrix of each head's own: KvHead is a batch axis.
TEST(Oracle, ProductsOfEachHead) {
  for (const int64_t heads : {1, 3}) {
    for (const int64_t width : {1, 8, 33}) {
      const int64_t rows = 4, outputs = 7;
      const auto x = random<Pos, KvHead, HeadDim>({rows, heads, width}, 7);
      const auto w = random<KvHead, Out, HeadDim>({heads, outputs, width}, 8);
      const Matrix left = rows_of(x, width), right = rows_of(w, width);
      Matrix want(rows * heads, outputs);
      for (int64_t p = 0; p < rows; ++p) {
        for (int64_t h = 0; h < heads; ++h) {
          want.row(p * heads + h) = left.row(p * heads + h) * right.middleRows(h * outputs, outputs).transpose();
        }
      }
      check("heads " + std::to_string(heads) + "x" + std::to_string(width), contract<HeadDim>(x, w), want,
            static_cast<double>(width));
    }
  }
}

// Heads and their elements are summed up together, as an output projection does.
TEST(Oracle, ProductsOverTwoAxes) {
  for (const int64_t heads : {1, 2, 5}) {
    const int64_t width = 9, rows = 3, outputs = 11;
    const auto x = random<Pos, KvHead, HeadDim>({rows, heads, width}, 9);
    const auto w = random<Embed, KvHead, HeadDim>({outputs, heads, width}, 10);
    check("over heads " + std::to_string(heads), contract<KvHead, HeadDim>(x, w),
          rows_of(x, heads * width) * rows_of(w, heads * width).transpose(), static_cast<double>(heads * width));
  }
}

// Lines of every length, with one and with two axes around them.
template <class Check>
void on_every_line(const Check& check_lines) {
  for (const int64_t length : kLengths) {
    check_lines(random<Pos, KvHead, Embed>({3, 2, length}, 11), length);
    check_lines(random<Pos, KvHead, Embed>({1, 1, length}, 12), length);
  }
}

Matrix repeated(const Tensor<f32, Embed>& w, int64_t rows) {
  return rows_of(w, w.extent<Embed>()).replicate(rows, 1);
}

TEST(Oracle, RmsNorm) {
  on_every_line([](const Tensor<f32, Pos, KvHead, Embed>& x, int64_t length) {
    const auto w = random<Embed>({length}, 13);
    const Matrix lines = rows_of(x, length);
    const Eigen::VectorXd scale = (lines.array().square().rowwise().mean() + 1e-5).rsqrt();
    const Matrix normed = scale.asDiagonal() * lines;
    check("rms_norm of " + std::to_string(length), rms_norm<Embed>(x, 1e-5f), normed);
    check("weighted rms_norm of " + std::to_string(length), rms_norm<Embed>(x, w, 1e-5f),
          normed.cwiseProduct(repeated(w, lines.rows())));
  });
}

TEST(Oracle, LayerNorm) {
  on_every_line([](const Tensor<f32, Pos, KvHead, Embed>& x, int64_t length) {
    const auto w = random<Embed>({length}, 14), b = random<Embed>({length}, 15);
    const Matrix lines = rows_of(x, length);
    const Matrix centred = lines.colwise() - lines.rowwise().mean();
    const Eigen::VectorXd scale = (centred.array().square().rowwise().mean() + 1e-5).rsqrt();
    const Matrix normed = scale.asDiagonal() * centred;
    check("layer_norm of " + std::to_string(length), layer_norm<Embed>(x, w, b, 1e-5f),
          normed.cwiseProduct(repeated(w, lines.rows())) + repeated(b, lines.rows()), 4);
  });
}

TEST(Oracle, Softmax) {
  on_every_line([](const Tensor<f32, Pos, KvHead, Embed>& x, int64_t length) {
    const Matrix scores = 8.0 * rows_of(x, length);
    const Matrix powers = (scores.colwise() - scores.rowwise().maxCoeff()).array().exp();
    const Eigen::VectorXd scale = powers.rowwise().sum().cwiseInverse();
    check("softmax of " + std::to_string(length), softmax<Embed>(x * 8.0f), scale.asDiagonal() * powers);
  });
}

// Along the slowest axis, whose elements do not lie side by side.
TEST(Oracle, SoftmaxAcrossRows) {
  for (const int64_t rows : {1, 5, 33}) {
    const auto x = random<Pos, Embed>({rows, 7}, 16);
    const Matrix powers = rows_of(x, 7).array().exp();
    const Eigen::RowVectorXd scale = powers.colwise().sum().cwiseInverse();
    check("softmax across " + std::to_string(rows), softmax<Pos>(x), powers * scale.asDiagonal());
  }
}

}  // namespace
}  // namespace weft
