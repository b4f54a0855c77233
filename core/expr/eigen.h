// Tensors as Eigen sees them, and back. A separate header, so that only those who want Eigen compile it.
//
//   Tensor<f32, Pos, Embed> x({4, 8});
//   as_matrix(x).setRandom();                                   // Eigen::Map, row-major: pos x embed
//   Eigen::MatrixXf y = as_matrix(x) * w;                        // any Eigen expression
//   auto z = matrix_from<Pos, Embed>(y);                         // copies; vector_from<A>, tensor_from<A...> too
//   Eigen::TensorMap<...> t = as_eigen_tensor(x);                // unsupported/Eigen/CXX11/Tensor, any rank
//
// Views share the tensor's storage and are valid as long as it lives.
#pragma once

#include <Eigen/Core>
#include <unsupported/Eigen/CXX11/Tensor>

#include "core/expr/value.h"

namespace weft {

template <class T>
using EigenMatrix = Eigen::Matrix<T, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;

template <StoredElement T, Axis A>
Eigen::Map<Eigen::Matrix<T, Eigen::Dynamic, 1>> as_vector(Tensor<T, A>& tensor) {
  return {tensor.data(), tensor.template extent<A>()};
}
template <StoredElement T, Axis A>
Eigen::Map<const Eigen::Matrix<T, Eigen::Dynamic, 1>> as_vector(const Tensor<T, A>& tensor) {
  return {tensor.data(), tensor.template extent<A>()};
}

// Rows x Columns, row-major.
template <StoredElement T, Axis Rows, Axis Columns>
Eigen::Map<EigenMatrix<T>> as_matrix(Tensor<T, Rows, Columns>& tensor) {
  return {tensor.data(), tensor.template extent<Rows>(), tensor.template extent<Columns>()};
}
template <StoredElement T, Axis Rows, Axis Columns>
Eigen::Map<const EigenMatrix<T>> as_matrix(const Tensor<T, Rows, Columns>& tensor) {
  return {tensor.data(), tensor.template extent<Rows>(), tensor.template extent<Columns>()};
}

// Dimensions in the order of the axes.
template <StoredElement T, Axis... A>
Eigen::TensorMap<Eigen::Tensor<T, sizeof...(A), Eigen::RowMajor>> as_eigen_tensor(Tensor<T, A...>& tensor) {
  return {tensor.data(), std::array<Eigen::Index, sizeof...(A)>{tensor.template extent<A>()...}};
}
template <StoredElement T, Axis... A>
Eigen::TensorMap<const Eigen::Tensor<T, sizeof...(A), Eigen::RowMajor>> as_eigen_tensor(const Tensor<T, A...>& tensor) {
  return {tensor.data(), std::array<Eigen::Index, sizeof...(A)>{tensor.template extent<A>()...}};
}

// Copies any Eigen matrix expression, whatever its storage order.
template <Axis Rows, Axis Columns, class Derived>
auto matrix_from(const Eigen::MatrixBase<Derived>& matrix) {
  Tensor<typename Derived::Scalar, Rows, Columns> tensor({matrix.rows(), matrix.cols()});
  as_matrix(tensor) = matrix;
  return tensor;
}
template <Axis A, class Derived>
auto vector_from(const Eigen::MatrixBase<Derived>& vector) {
  Tensor<typename Derived::Scalar, A> tensor({vector.size()});
  as_vector(tensor) = vector;
  return tensor;
}
// Copies an Eigen::Tensor of either layout; its dimensions become the axes in their order.
template <Axis... A, class T, int Layout>
auto tensor_from(const Eigen::Tensor<T, sizeof...(A), Layout>& source) {
  std::array<int64_t, sizeof...(A)> extents;
  for (size_t i = 0; i < extents.size(); ++i) extents[i] = source.dimension(static_cast<Eigen::Index>(i));
  Tensor<T, A...> tensor(extents);
  if constexpr (Layout == Eigen::RowMajor) {
    as_eigen_tensor(tensor) = source;
  } else {
    // Same coordinates, other layout: swap the layout and reverse the dimensions.
    std::array<int, sizeof...(A)> reversed;
    for (size_t i = 0; i < reversed.size(); ++i) reversed[i] = static_cast<int>(reversed.size() - 1 - i);
    as_eigen_tensor(tensor) = source.swap_layout().shuffle(reversed);
  }
  return tensor;
}

}  // namespace weft
