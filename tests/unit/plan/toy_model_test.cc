// The second architecture of the documentation (examples/toy.h), from a file through the engine, against a separate,
// plain implementation in double: layer norms, ALiBi, a sliding window, grouped heads.
#include <gtest/gtest.h>

#include <cmath>
#include <map>
#include <random>

#include "core/error.h"
#include "examples/toy.h"
#include "models/registry.h"
#include "runtime/generate/engine.h"
#include "tests/gguf_writer.h"
#include "tests/gpu_device.h"

namespace weft {
namespace {

constexpr int kVocab = 11, kEmbed = 12, kHeads = 6, kKvHeads = 2, kDim = 2, kHidden = 10, kLayers = 2, kWindow = 4;
constexpr double kEps = 1e-5;

using Row = std::vector<double>;

class Toy {
 public:
  Toy() {
    add("token_embd.weight", kVocab, kEmbed);
    for (int i = 0; i < kLayers; ++i) {
      const std::string at = "blk." + std::to_string(i) + ".";
      for (const char* norm : {"attn_norm", "ffn_norm"}) {
        add(at + norm + ".weight", 0, kEmbed), add(at + norm + ".bias", 0, kEmbed);
      }
      add(at + "attn_q.weight", kHeads * kDim, kEmbed), add(at + "attn_k.weight", kKvHeads * kDim, kEmbed);
      add(at + "attn_v.weight", kKvHeads * kDim, kEmbed), add(at + "attn_output.weight", kEmbed, kHeads * kDim);
      add(at + "ffn_up.weight", kHidden, kEmbed), add(at + "ffn_down.weight", kEmbed, kHidden);
    }
  }

  std::string file(bool with_window = true) const {
    test::GgufWriter writer;
    writer.string("general.architecture", "toy").u32("toy.block_count", kLayers).u32("toy.context_length", 64);
    writer.u32("toy.embedding_length", kEmbed).u32("toy.feed_forward_length", kHidden);
    writer.u32("toy.attention.head_count", kHeads).u32("toy.attention.head_count_kv", kKvHeads);
    writer.f32("toy.attention.layer_norm_epsilon", static_cast<float>(kEps));
    if (with_window) writer.u32("toy.attention.sliding_window", kWindow);
    for (const auto& [name, tensor] : tensors_) {
      std::vector<uint64_t> shape = {tensor.columns};
      if (tensor.rows != 0) shape.push_back(tensor.rows);
      std::string bytes;
      for (const float x : tensor.values) bytes += test::pod(x);
      writer.tensor(name, shape, 0, bytes);
    }
    return writer.bytes();
  }

  // Logits of the last token, from the formulas.
  Row reference(const std::vector<int32_t>& tokens) const {
    std::vector<Row> x;
    for (const int32_t token : tokens) x.push_back(row("token_embd.weight", static_cast<size_t>(token)));
    for (int layer = 0; layer < kLayers; ++layer) {
      const std::string at = "blk." + std::to_string(layer) + ".";
      std::vector<Row> q, k, v;
      for (const Row& r : x) {
        const Row h = normed(r, at + "attn_norm");
        q.push_back(product(at + "attn_q.weight", h));
        k.push_back(product(at + "attn_k.weight", h));
        v.push_back(product(at + "attn_v.weight", h));
      }
      for (size_t p = 0; p < x.size(); ++p) {
        Row a(kHeads * kDim);
        for (size_t head = 0; head < kHeads; ++head) {
          const size_t kv = head / (kHeads / kKvHeads);
          const double slope = std::exp2(-8.0 * static_cast<double>(head + 1) / kHeads);
          double sum = 0;
          for (size_t j = p + 1 >= kWindow ? p + 1 - kWindow : 0; j <= p; ++j) {
            double score = 0;
            for (size_t d = 0; d < kDim; ++d) score += q[p][head * kDim + d] * k[j][kv * kDim + d];
            const double weight = std::exp(score / std::sqrt(double{kDim}) - slope * static_cast<double>(p - j));
            sum += weight;
            for (size_t d = 0; d < kDim; ++d) a[head * kDim + d] += weight * v[j][kv * kDim + d];
          }
          for (size_t d = 0; d < kDim; ++d) a[head * kDim + d] /= sum;
        }
        const Row out = product(at + "attn_output.weight", a);
        for (size_t i = 0; i < kEmbed; ++i) x[p][i] += out[i];
        Row up = product(at + "ffn_up.weight", normed(x[p], at + "ffn_norm"));
        for (double& u : up) u = 0.5 * u * (1 + std::tanh(0.7978845608028654 * (u + 0.044715 * u * u * u)));
        const Row down = product(at + "ffn_down.weight", up);
        for (size_t i = 0; i < kEmbed; ++i) x[p][i] += down[i];
      }
    }
    return product("token_embd.weight", x.back());
  }

 private:
  struct Matrix {
    size_t rows, columns;
    std::vector<float> values;
  };

  void add(const std::string& name, size_t rows, size_t columns) {
    Matrix& matrix = tensors_[name];
    matrix = {rows, columns, std::vector<float>(std::max<size_t>(rows, 1) * columns)};
    for (float& x : matrix.values) x = static_cast<float>(random_()) / 2147483648.0f - 1.0f;
  }
  Row row(const std::string& name, size_t r) const {
    const Matrix& m = tensors_.at(name);
    const float* at = m.values.data() + r * m.columns;
    return Row(at, at + m.columns);
  }
  Row product(const std::string& name, const Row& x) const {
    const Matrix& m = tensors_.at(name);
    Row y(m.rows);
    for (size_t r = 0; r < m.rows; ++r) {
      for (size_t c = 0; c < m.columns; ++c) y[r] += double{m.values[r * m.columns + c]} * x[c];
    }
    return y;
  }
  Row normed(const Row& x, const std::string& name) const {
    double mean = 0, variance = 0;
    for (const double v : x) mean += v / kEmbed;
    for (const double v : x) variance += (v - mean) * (v - mean) / kEmbed;
    const Row scale = row(name + ".weight", 0), bias = row(name + ".bias", 0);
    Row y(x.size());
    for (size_t i = 0; i < y.size(); ++i) y[i] = (x[i] - mean) / std::sqrt(variance + kEps) * scale[i] + bias[i];
    return y;
  }

  std::mt19937 random_{3};
  std::map<std::string, Matrix> tensors_;
};

const bool registered = register_architecture("toy", &toy::load);

void check(const Device& device, int32_t batch) {
  const Toy toy;
  const test::TempFile path(toy.file());
  const auto file = Checkpoint::open(path.path());
  Engine engine(load_model(file), device,
                {.precision = Precision::exact, .context = 32, .batch = batch, .page_size = 4});
  const int32_t sequence = engine.cache().open();
  std::vector<int32_t> tokens;
  for (int i = 0; i < 13; ++i) tokens.push_back(i * i % kVocab);
  const auto compare = [&](std::span<const float> got) {
    const Row want = toy.reference(tokens);
    for (size_t i = 0; i < want.size(); ++i)
      EXPECT_NEAR(got[i], want[i], 2e-5) << tokens.size() << " tokens, logit " << i;
  };
  compare(engine.prefill(sequence, tokens));
  for (const int32_t token : {4, 9, 1}) {
    tokens.push_back(token);
    compare(engine.decode(sequence, token));
  }
}

TEST(ToyModel, OnTheCpu) {
  check(Device::cpu(1), 32);
  check(Device::cpu(2), 5);
}

TEST(ToyModel, OnOpenCl) {
  const auto& device = test::opencl_device();
  if (!device) GTEST_SKIP() << "no OpenCL device";
  check(*device, 32);
}

TEST(ToyModel, AMissingKeyIsNamed) {
  const test::TempFile path(Toy().file(/*with_window=*/false));
  const auto file = Checkpoint::open(path.path());
  try {
    load_model(file);
    FAIL() << "no error";
  } catch (const Error& error) {
    EXPECT_NE(std::string(error.what()).find("toy.attention.sliding_window"), std::string::npos) << error.what();
    EXPECT_NE(std::string(error.what()).find(path.path().filename()), std::string::npos) << error.what();
  }
}

}  // namespace
}  // namespace weft
