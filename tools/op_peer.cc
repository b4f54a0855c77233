#include "tools/op_peer.h"

#include <dlfcn.h>

#include <algorithm>
#include <cmath>
#include <fstream>
#include <memory>
#include <random>
#include <ranges>
#include <sstream>

#include "core/comma_list.h"
#include "core/error.h"
#include "tools/built_file.h"
#include "tools/output.h"
#include "tools/temporary_path.h"

namespace weft::tools {

namespace {

// A shared object; it stays open, as its threads may.
class Library {
 public:
  // The first that is found. Throws Error where none is.
  explicit Library(const std::vector<std::string>& names) {
    for (const std::string& name : names) {
      handle_ = ::dlopen(name.c_str(), RTLD_NOW | RTLD_LOCAL);
      if (handle_ != nullptr) return;
    }
    throw Error("--vs: there is no " + comma_list(names));
  }
  template <class Function>
  Function* function(const char* name) const {
    void* const found = ::dlsym(handle_, name);
    if (found == nullptr) throw Error(std::string("--vs: the library has no ") + name);
    return reinterpret_cast<Function*>(found);
  }

 private:
  void* handle_ = nullptr;
};

using Product = std::function<void(const float* left, const float* right, float* out)>;

Product openblas(const MatrixShape& shape, int threads) {
  const Library library({"libopenblas.so.0", "libopenblas.so"});
  library.function<void(int)>("openblas_set_num_threads")(threads);
  using Sgemm = void(int order, int trans_a, int trans_b, int m, int n, int k, float alpha, const float* a, int lda,
                     const float* b, int ldb, float beta, float* c, int ldc);
  constexpr int kRowMajor = 101, kNoTrans = 111, kTrans = 112;  // cblas.h
  return [of = library.function<Sgemm>("cblas_sgemm"), m = static_cast<int>(shape.rows),
          n = static_cast<int>(shape.outputs),
          k = static_cast<int>(shape.k)](const float* left, const float* right, float* out) {
    of(kRowMajor, kNoTrans, kTrans, m, n, k, 1, left, k, right, k, 0, out, n);
  };
}

Product onednn(const MatrixShape& shape, int threads) {
  const Library library({"libdnnl.so.3", "libdnnl.so.2", "libdnnl.so"});
  // It has no call of its own for that: its OpenMP runtime, which it has loaded, does.
  library.function<void(int)>("omp_set_num_threads")(threads);
  using Sgemm = int(char trans_a, char trans_b, int64_t m, int64_t n, int64_t k, float alpha, const float* a,
                    int64_t lda, const float* b, int64_t ldb, float beta, float* c, int64_t ldc);
  return [of = library.function<Sgemm>("dnnl_sgemm"), shape](const float* left, const float* right, float* out) {
    const int status =
        of('N', 'T', shape.rows, shape.outputs, shape.k, 1, left, shape.k, right, shape.k, 0, out, shape.outputs);
    if (status != 0) throw Error("--vs: dnnl_sgemm returns " + std::to_string(status));
  };
}

// Eigen is headers alone: built for this machine, as a kernel file is.
constexpr const char* kEigenSource = R"(#include <Eigen/Core>
extern "C" void weft_peer_threads(int threads) { Eigen::setNbThreads(threads); }
extern "C" void weft_peer_sgemm(long m, long n, long k, const float* left, const float* right, float* out) {
  using Matrix = Eigen::Matrix<float, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;
  Eigen::Map<Matrix>(out, m, n).noalias() =
      Eigen::Map<const Matrix>(left, m, k) * Eigen::Map<const Matrix>(right, n, k).transpose();
}
)";

Product eigen(const MatrixShape& shape, int threads) {
  const TemporaryPath folder = TemporaryPath::folder("weft-peer-");
  std::ofstream(folder.path() / "eigen.cc") << kEigenSource;
  const std::string built = build_shared_object(folder.path(), folder.path() / "eigen.cc", "--vs eigen",
                                                {"-fopenmp", "-I/usr/include/eigen3", "-I/usr/local/include/eigen3"});
  const Library library({built});
  library.function<void(int)>("weft_peer_threads")(threads);
  using Sgemm = void(long m, long n, long k, const float* left, const float* right, float* out);
  return [of = library.function<Sgemm>("weft_peer_sgemm"), shape](const float* left, const float* right, float* out) {
    of(shape.rows, shape.outputs, shape.k, left, right, out);
  };
}

struct Peer {
  const char* name;
  Product (*open)(const MatrixShape& shape, int threads);
};
constexpr Peer kPeers[] = {{"openblas", openblas}, {"onednn", onednn}, {"eigen", eigen}};

const Peer& peer_named(const std::string& name) {
  const auto peer = std::ranges::find(kPeers, name, &Peer::name);
  if (peer == std::end(kPeers)) throw Error("no peer '" + name + "': there are " + op_peer_names());
  return *peer;
}

struct Matrices {
  std::vector<float> left, right, out;
};

std::vector<float> random_floats(int64_t count) {
  std::mt19937 random(1);
  std::vector<float> floats(static_cast<size_t>(count));
  for (float& x : floats) x = static_cast<float>(random() % 2001) / 1000 - 1;
  return floats;
}

// A few elements, so that this takes no time beside the product.
void check(const std::string& name, const MatrixShape& shape, const Matrices& matrices) {
  for (int64_t i = 0; i < std::min<int64_t>(shape.rows, 7); ++i) {
    const int64_t row = shape.rows - 1 - i, column = (i * 37) % shape.outputs;
    double want = 0, magnitude = 0;
    for (int64_t k = 0; k < shape.k; ++k) {
      const double product = double{matrices.left[static_cast<size_t>(row * shape.k + k)]} *
                             matrices.right[static_cast<size_t>(column * shape.k + k)];
      want += product, magnitude += std::abs(product);
    }
    const double got = matrices.out[static_cast<size_t>(row * shape.outputs + column)];
    if (!(std::abs(got - want) <= 1e-5 * magnitude)) {
      throw Error(format("--vs: %s gives %g for a product that is %g", name.c_str(), got, want));
    }
  }
}

}  // namespace

std::string op_peer_names() { return comma_list(std::views::transform(kPeers, &Peer::name)); }

std::vector<std::string> op_peers_in(const std::string& list) {
  std::vector<std::string> names;
  std::istringstream in(list);
  for (std::string name; std::getline(in, name, ',');) names.emplace_back(peer_named(name).name);
  return names;
}

TimedRuns op_peer(const std::string& name, const MatrixShape& shape, int threads) {
  const Product product = peer_named(name).open(shape, threads);
  const auto matrices =
      std::make_shared<Matrices>(Matrices{random_floats(shape.rows * shape.k), random_floats(shape.outputs * shape.k),
                                          std::vector<float>(static_cast<size_t>(shape.rows * shape.outputs))});
  product(matrices->left.data(), matrices->right.data(), matrices->out.data());
  check(name, shape, *matrices);
  return [product, matrices](int64_t times) {
    for (int64_t i = 0; i < times; ++i) {
      product(matrices->left.data(), matrices->right.data(), matrices->out.data());
    }
  };
}

}  // namespace weft::tools
