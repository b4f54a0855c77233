// Models with states, as they are written: linear attention, gated delta with convolutions, a state-space block. Each
// against plain loops in double, in chunks of all, 7 and 1, beside others in a step, forked and cut.
#include <gtest/gtest.h>

#include <cmath>
#include <functional>
#include <random>
#include <string>
#include <vector>

#include "models/axes.h"
#include "ops/ops.h"
#include "runtime/generate/engine.h"
#include "tests/allocation_counter.h"
#include "tests/gpu_device.h"
#include "tests/hand_model.h"

namespace weft {
namespace {

struct Head : axis<"head"> {};
struct StateDim : axis<"state_dim"> {};
struct Channel : axis<"channel"> {};
struct Tap : axis<"tap"> {};
struct Queries : axis<"queries"> {};  // channels: heads and rows
struct Keys : axis<"keys"> {};        // the same
struct Values : axis<"values"> {};    // heads and columns

constexpr int64_t kVocab = 40, kEmbed = 24, kHeads = 3, kRows = 8, kColumns = 10, kTaps = 4;

std::vector<float> random_floats(int64_t count, float low, float high, uint32_t seed) {
  std::mt19937 random(seed);
  std::vector<float> all(static_cast<size_t>(count));
  for (float& x : all) x = low + (high - low) * static_cast<float>(random() % 10007) / 10006.0f;
  return all;
}

template <Axis... A>
Tensor<f32, A...> random_tensor(const std::array<int64_t, sizeof...(A)>& extents, uint32_t seed, float low = -0.4f,
                                float high = 0.4f) {
  int64_t count = 1;
  for (const int64_t extent : extents) count *= extent;
  return {extents, random_floats(count, low, high, seed)};
}

using Row = std::vector<double>;

// out[j] = sum over i of x[i] w[j][i].
Row multiply(const Row& x, const float* w, int64_t outputs) {
  Row out(static_cast<size_t>(outputs));
  for (size_t j = 0; j < out.size(); ++j) {
    for (size_t i = 0; i < x.size(); ++i) out[j] += x[i] * static_cast<double>(w[j * x.size() + i]);
  }
  return out;
}

// The embedding of a token.
Row row_of(const Tensor<f32, Vocab, Embed>& embed, int32_t token) {
  const float* const row = embed.data() + static_cast<size_t>(token) * kEmbed;
  return {row, row + kEmbed};
}

// The logits of the residual stream x + wo y, with the output tied to the embeddings.
Row logits_of(const Row& x, const Row& y, const Tensor<f32, Embed, Head, HeadDim>& wo,
              const Tensor<f32, Vocab, Embed>& embed) {
  Row out = multiply(y, wo.data(), kEmbed);
  for (size_t i = 0; i < out.size(); ++i) out[i] += x[i];
  return multiply(out, embed.data(), kVocab);
}

// A model, and what its logits are: by token, all rows.
struct RecurrentModel {
  LanguageModel model;
  std::function<std::vector<Row>(const std::vector<int32_t>&)> logits;
};

// S = exp(d) S + k v^T with a decay per head that is part of the model (Sun et al. 2023, arXiv:2307.08621).
RecurrentModel linear_attention() {
  const auto embed = random_tensor<Vocab, Embed>({kVocab, kEmbed}, 1);
  const auto wq = random_tensor<Head, StateDim, Embed>({kHeads, kRows, kEmbed}, 2);
  const auto wk = random_tensor<Head, StateDim, Embed>({kHeads, kRows, kEmbed}, 3);
  const auto wv = random_tensor<Head, HeadDim, Embed>({kHeads, kColumns, kEmbed}, 4);
  const auto wo = random_tensor<Embed, Head, HeadDim>({kEmbed, kHeads, kColumns}, 5);
  const Tensor<f32, Head> decay({kHeads}, {-0.03f, -0.3f, -3.0f});

  Graph graph;
  const Batch batch(graph);
  const State<Head, StateDim, HeadDim> state(graph, batch, "state");
  const auto x = materialize(at<Vocab>(embed, batch.tokens), "x");
  const auto q = materialize(contract<Embed>(x, wq), "q"), k = materialize(contract<Embed>(x, wk), "k");
  const auto v = materialize(contract<Embed>(x, wv), "v");
  const auto y = materialize(scan(state, q, k, v, decay), "y");
  const auto h = materialize(x + contract<Head, HeadDim>(y, wo), "h");
  const auto last = materialize(at<Pos>(h, batch.last), "last");
  const auto logits = materialize(contract<Embed>(last, embed), "logits");

  const auto want = [=](const std::vector<int32_t>& tokens) {
    std::vector<Row> all;
    Row s(static_cast<size_t>(kHeads * kRows * kColumns));
    for (const int32_t token : tokens) {
      const Row input = row_of(embed, token);
      const Row qs = multiply(input, wq.data(), kHeads * kRows), ks = multiply(input, wk.data(), kHeads * kRows);
      const Row vs = multiply(input, wv.data(), kHeads * kColumns);
      Row ys(vs.size());
      for (size_t n = 0; n < kHeads; ++n) {
        for (size_t i = 0; i < kRows; ++i) {
          for (size_t j = 0; j < kColumns; ++j) {
            double& element = s[(n * kRows + i) * kColumns + j];
            element =
                std::exp(static_cast<double>(decay.values()[n])) * element + ks[n * kRows + i] * vs[n * kColumns + j];
            ys[n * kColumns + j] += element * qs[n * kRows + i];
          }
        }
      }
      all.push_back(logits_of(input, ys, wo, embed));
    }
    return all;
  };
  return {test::hand_model(graph, batch, logits, kVocab, 4096), want};
}

// A causal convolution over the channels of q, k and v, then the delta rule with gates (Yang et al. 2024,
// arXiv:2412.06464): k of unit length, S = alpha (S - beta k k^T S) + beta k v^T.
RecurrentModel gated_delta() {
  const int64_t channels = kHeads * (2 * kRows + kColumns);
  const auto embed = random_tensor<Vocab, Embed>({kVocab, kEmbed}, 11);
  const auto in = random_tensor<Channel, Embed>({channels, kEmbed}, 12);
  const auto taps = random_tensor<Channel, Tap>({channels, kTaps}, 13);
  const auto wa = random_tensor<Head, Embed>({kHeads, kEmbed}, 14),
             wb = random_tensor<Head, Embed>({kHeads, kEmbed}, 15);
  const auto wo = random_tensor<Embed, Head, HeadDim>({kEmbed, kHeads, kColumns}, 16);

  Graph graph;
  const Batch batch(graph);
  const State<Head, StateDim, HeadDim> state(graph, batch, "state");
  const auto x = materialize(at<Vocab>(embed, batch.tokens), "x");
  const auto mixed = materialize(contract<Embed>(x, in), "mixed");
  // The channels of q, of k and of v, each with a state of its own.
  const auto part = [&]<class Part>(const std::string& name, int64_t first, int64_t count, std::type_identity<Part>) {
    const State<Tap, Part> past(graph, batch, name + ".past");
    return materialize(
        silu(causal_conv(past, slice<Channel, Part>(mixed, first, count), slice<Channel, Part>(taps, first, count))),
        name);
  };
  constexpr int64_t kKeys = kHeads * kRows;
  const auto q = split<Queries, Head, StateDim>(part("q", 0, kKeys, std::type_identity<Queries>{}));
  const auto k0 = split<Keys, Head, StateDim>(part("k0", kKeys, kKeys, std::type_identity<Keys>{}));
  const auto v = split<Values, Head, HeadDim>(part("v", 2 * kKeys, kHeads * kColumns, std::type_identity<Values>{}));
  const auto k = materialize(k0 * rsqrt(sum<StateDim>(k0 * k0) + 1e-6f), "k");
  const auto log_alpha = materialize(log(sigmoid(contract<Embed>(x, wa))), "log_alpha");
  const auto beta = materialize(sigmoid(contract<Embed>(x, wb)), "beta");
  const auto y = materialize(scan(state, q, k, beta * v, log_alpha, erase(exp(log_alpha) * beta * k, k)), "y");
  const auto h = materialize(x + contract<Head, HeadDim>(y, wo), "h");
  const auto last = materialize(at<Pos>(h, batch.last), "last");
  const auto logits = materialize(contract<Embed>(last, embed), "logits");

  const auto want = [=](const std::vector<int32_t>& tokens) {
    std::vector<Row> all, inputs;
    Row s(static_cast<size_t>(kHeads * kRows * kColumns));
    for (const int32_t token : tokens) {
      const Row input = row_of(embed, token);
      inputs.push_back(multiply(input, in.data(), channels));
      Row conv(static_cast<size_t>(channels));
      for (size_t channel = 0; channel < conv.size(); ++channel) {
        for (size_t j = 0; j < kTaps; ++j) {
          if (inputs.size() + j < kTaps) continue;
          conv[channel] +=
              static_cast<double>(taps.values()[channel * kTaps + j]) * inputs[inputs.size() + j - kTaps][channel];
        }
        conv[channel] /= 1 + std::exp(-conv[channel]);
      }
      const Row a = multiply(input, wa.data(), kHeads), b = multiply(input, wb.data(), kHeads);
      Row ys(static_cast<size_t>(kHeads * kColumns));
      for (size_t n = 0; n < kHeads; ++n) {
        const double* const qs = &conv[n * kRows];
        const double* const vs = &conv[2 * kHeads * kRows + n * kColumns];
        Row ks(&conv[(kHeads + n) * kRows], &conv[(kHeads + n) * kRows] + kRows);
        double square = 1e-6;
        for (const double e : ks) square += e * e;
        for (double& e : ks) e /= std::sqrt(square);
        const double alpha = 1 / (1 + std::exp(-a[n])), beta_n = 1 / (1 + std::exp(-b[n]));
        for (size_t j = 0; j < kColumns; ++j) {
          double read = 0;
          for (size_t i = 0; i < kRows; ++i) read += ks[i] * s[(n * kRows + i) * kColumns + j];
          for (size_t i = 0; i < kRows; ++i) {
            double& element = s[(n * kRows + i) * kColumns + j];
            element = alpha * (element - beta_n * ks[i] * read) + beta_n * ks[i] * vs[j];
            ys[n * kColumns + j] += element * qs[i];
          }
        }
      }
      all.push_back(logits_of(input, ys, wo, embed));
    }
    return all;
  };
  return {test::hand_model(graph, batch, logits, kVocab, 4096), want};
}

// Mamba-2 (Dao and Gu 2024, arXiv:2405.21060): B and C shared by all heads, S = exp(dt A) S + B (dt x)^T,
// y = C^T S + D x, with dt = softplus.
RecurrentModel state_space() {
  const auto embed = random_tensor<Vocab, Embed>({kVocab, kEmbed}, 21);
  const auto wx = random_tensor<Head, HeadDim, Embed>({kHeads, kColumns, kEmbed}, 22);
  const auto wb = random_tensor<StateDim, Embed>({kRows, kEmbed}, 23),
             wc = random_tensor<StateDim, Embed>({kRows, kEmbed}, 24);
  const auto wdt = random_tensor<Head, Embed>({kHeads, kEmbed}, 25);
  const auto bias = random_tensor<Head>({kHeads}, 26, -1, 1), a_log = random_tensor<Head>({kHeads}, 27, 0, 3);
  const auto skip = random_tensor<Head>({kHeads}, 28);
  const auto wo = random_tensor<Embed, Head, HeadDim>({kEmbed, kHeads, kColumns}, 29);

  Graph graph;
  const Batch batch(graph);
  const State<Head, StateDim, HeadDim> state(graph, batch, "state");
  const auto input = materialize(at<Vocab>(embed, batch.tokens), "input");
  const auto x = materialize(contract<Embed>(input, wx), "x");
  const auto b = materialize(contract<Embed>(input, wb), "b"), c = materialize(contract<Embed>(input, wc), "c");
  const auto dt = materialize(log(1.0f + exp(contract<Embed>(input, wdt) + bias)), "dt");
  const auto y = materialize(scan(state, c, b, dt * x, -exp(a_log) * dt) + skip * x, "y");
  const auto h = materialize(input + contract<Head, HeadDim>(y, wo), "h");
  const auto last = materialize(at<Pos>(h, batch.last), "last");
  const auto logits = materialize(contract<Embed>(last, embed), "logits");

  const auto want = [=](const std::vector<int32_t>& tokens) {
    std::vector<Row> all;
    Row s(static_cast<size_t>(kHeads * kRows * kColumns));
    for (const int32_t token : tokens) {
      const Row in = row_of(embed, token);
      const Row xs = multiply(in, wx.data(), kHeads * kColumns), bs = multiply(in, wb.data(), kRows),
                cs = multiply(in, wc.data(), kRows);
      const Row dts = multiply(in, wdt.data(), kHeads);
      Row ys(xs.size());
      for (size_t n = 0; n < kHeads; ++n) {
        const double step = std::log(1 + std::exp(dts[n] + static_cast<double>(bias.values()[n])));
        const double decay = std::exp(-std::exp(static_cast<double>(a_log.values()[n])) * step);
        for (size_t j = 0; j < kColumns; ++j) {
          ys[n * kColumns + j] = static_cast<double>(skip.values()[n]) * xs[n * kColumns + j];
          for (size_t i = 0; i < kRows; ++i) {
            double& element = s[(n * kRows + i) * kColumns + j];
            element = decay * element + bs[i] * step * xs[n * kColumns + j];
            ys[n * kColumns + j] += element * cs[i];
          }
        }
      }
      all.push_back(logits_of(in, ys, wo, embed));
    }
    return all;
  };
  return {test::hand_model(graph, batch, logits, kVocab, 4096), want};
}

std::vector<int32_t> random_tokens(size_t count, uint32_t seed) {
  std::mt19937 random(seed);
  std::vector<int32_t> tokens(count);
  for (int32_t& token : tokens) token = static_cast<int32_t>(random() % kVocab);
  return tokens;
}

void expect_near(std::span<const float> got, const Row& want, const std::string& what) {
  ASSERT_EQ(got.size(), want.size());
  double worst = 0;
  for (size_t i = 0; i < want.size(); ++i) worst = std::max(worst, std::fabs(static_cast<double>(got[i]) - want[i]));
  EXPECT_LT(worst, 5e-5) << what;
}

std::vector<Device> devices() {
  std::vector<Device> all = {Device::cpu(1), Device::cpu(2)};
  if (test::opencl_device()) all.push_back(*test::opencl_device());
  return all;
}

class RecurrentModels : public testing::TestWithParam<RecurrentModel (*)()> {
 protected:
  RecurrentModel model_ = GetParam()();
};

TEST_P(RecurrentModels, AgreeWithPlainLoopsInAnyChunks) {
  const std::vector<int32_t> tokens = random_tokens(90, 5);
  const std::vector<Row> want = model_.logits(tokens);
  for (const Device& device : devices()) {
    Engine engine(model_.model, device,
                  {.precision = Precision::exact, .context = 128, .batch = 128, .logit_rows = 128});
    for (const size_t chunk : {tokens.size(), size_t{7}, size_t{1}}) {
      const int32_t sequence = engine.cache().open();
      for (size_t begin = 0; begin < tokens.size(); begin += chunk) {
        const size_t count = std::min(chunk, tokens.size() - begin);
        engine.add(sequence, std::span(tokens).subspan(begin, count), WantLogits::all);
        engine.run();
        for (size_t i = 0; i < count; ++i) {
          expect_near(engine.logits(static_cast<int32_t>(i)), want[begin + i],
                      device.name() + ", token " + std::to_string(begin + i) + ", chunks of " + std::to_string(chunk));
        }
      }
      engine.cache().close(sequence);
    }
  }
}

TEST_P(RecurrentModels, SequencesInOneStepDoNotMeet) {
  const std::vector<std::vector<int32_t>> texts = {random_tokens(40, 6), random_tokens(40, 7), random_tokens(40, 8)};
  std::vector<std::vector<Row>> want;
  for (const std::vector<int32_t>& tokens : texts) want.push_back(model_.logits(tokens));
  for (const Device& device : devices()) {
    Engine engine(model_.model, device, {.precision = Precision::exact, .context = 64, .sequences = 3, .batch = 64});
    std::mt19937 random(9);
    for (int i = 0; i < 3; ++i) engine.cache().open();
    for (;;) {
      std::vector<size_t> ends;
      for (int32_t s = 0; s < 3; ++s) {
        const auto done = static_cast<size_t>(engine.cache().length(s));
        const std::vector<int32_t>& tokens = texts[static_cast<size_t>(s)];
        const size_t count = std::min(tokens.size() - done, random() % 2 == 0 ? size_t{1} : size_t{random() % 9});
        if (count == 0) continue;
        engine.add(s, std::span(tokens).subspan(done, count), WantLogits::last);
        ends.push_back(static_cast<size_t>(s) * 100 + done + count - 1);
      }
      engine.run();
      for (size_t row = 0; row < ends.size(); ++row) {
        expect_near(engine.logits(static_cast<int32_t>(row)), want[ends[row] / 100][ends[row] % 100], device.name());
      }
      if (engine.cache().length(0) + engine.cache().length(1) + engine.cache().length(2) == 120) break;
    }
  }
}

// A conversation that is cut and forked goes on from the last state that is kept, and gives what one straight run
// gives.
TEST_P(RecurrentModels, ConversationsAreCutAndForked) {
  for (const size_t memory : {size_t{0}, size_t{20000}, size_t{1} << 24}) {
    Engine engine(model_.model, Device::cpu(2),
                  {.precision = Precision::exact, .context = 512, .sequences = 2, .batch = 32, .state_memory = memory});
    std::vector<int32_t> text = random_tokens(60, 10);
    int32_t sequence = engine.cache().open();
    std::mt19937 random(11);
    int64_t again = 0;
    const auto evaluate = [&] {  // what is missing
      const auto done = static_cast<size_t>(engine.cache().length(sequence));
      const std::span<const float> got = engine.prefill(sequence, std::span(text).subspan(done));
      expect_near(got, model_.logits(text).back(), "after " + std::to_string(text.size()) + " tokens");
    };
    evaluate();
    for (int turn = 0; turn < 12; ++turn) {
      for (uint32_t i = 0; i < random() % 20; ++i) {
        text.push_back(static_cast<int32_t>(random() % kVocab));
        engine.decode(sequence, text.back());
      }
      const auto keep = static_cast<int32_t>(text.size() - random() % 20);
      if (turn % 3 == 0) {
        const int32_t fork = engine.cache().fork(sequence, keep);
        engine.cache().close(sequence);
        sequence = fork;
      } else {
        const int32_t kept = engine.cache().trim(sequence, keep);
        EXPECT_EQ(kept, engine.cache().length(sequence));
      }
      again += keep - engine.cache().length(sequence);
      text.resize(static_cast<size_t>(keep));
      for (uint32_t i = 0; i < 1 + random() % 10; ++i) text.push_back(static_cast<int32_t>(random() % kVocab));
      evaluate();
    }
    EXPECT_LE(again, memory == size_t{1} << 24 ? 12 * 20 : 12 * 512) << "no state is kept";
  }
}

TEST_P(RecurrentModels, DecodingAllocatesNothing) {
  Engine engine(model_.model, Device::cpu(2), {.context = 128, .batch = 32});
  const int32_t sequence = engine.cache().open();
  engine.prefill(sequence, random_tokens(40, 12));
  engine.decode(sequence, 1);
  const long before = test::allocations;
  for (int32_t token = 0; token < 30; ++token) engine.decode(sequence, token);
  EXPECT_EQ(test::allocations - before, 0);
}

std::string name_of(const testing::TestParamInfo<RecurrentModel (*)()>& info) {
  constexpr const char* kNames[] = {"LinearAttention", "GatedDelta", "StateSpace"};
  return kNames[info.index];
}
INSTANTIATE_TEST_SUITE_P(All, RecurrentModels, testing::Values(linear_attention, gated_delta, state_space), name_of);

}  // namespace
}  // namespace weft
