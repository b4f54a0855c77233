// The hooks of the decoder trunk and of attention, one by one, against a plain forward pass in double.
#include <gtest/gtest.h>

#include <cmath>
#include <functional>
#include <map>

#include "models/parts/decoder.h"
#include "runtime/generate/engine.h"
#include "tests/errors.h"
#include "tests/gpu_device.h"
#include "tests/hf_model.h"
#include "tests/logits_error.h"

namespace weft {
namespace {

using test::HfModel;
using test::relative_error;
using Row = std::vector<double>;
using Rows = std::vector<Row>;

constexpr size_t kHeads = HfModel::kHeads, kKvHeads = HfModel::kKvHeads, kHeadDim = HfModel::kHeadDim;

struct LayerReference {
  double base = 10000;  // of rotary frequencies; 0: none
  double scale = 1 / std::sqrt(8.0), cap = 0;
  double alibi = 0;  // slope of the first head; of head h, this to the power of h + 1
  int cache_of = -1;
};

struct Reference {
  bool layer_norms = false, is_parallel = false, shares_norm = false, is_causal = true;
  double embedding_scale = 1, residual_scale = 1, logit_scale = 1, logit_cap = 0;
  std::vector<LayerReference> layers = {{}, {}};
  std::function<double(double)> activation = [](double x) { return x / (1 + std::exp(-x)); };

  const HfModel* model = nullptr;

  bool has(const std::string& name) const { return model->tensors.contains(name); }
  double at(const std::string& name, size_t i) const { return static_cast<double>(model->tensors.at(name).values[i]); }
  // x W + b, where there is a b. `name` lacks ".weight".
  Row product(const std::string& name, const Row& x) const {
    Row y(model->tensors.at(name + ".weight").values.size() / x.size());
    for (size_t o = 0; o < y.size(); ++o) {
      if (has(name + ".bias")) y[o] = at(name + ".bias", o);
      for (size_t i = 0; i < x.size(); ++i) y[o] += x[i] * at(name + ".weight", o * x.size() + i);
    }
    return y;
  }
  Row norm(const std::string& name, Row x, bool layer) const {
    double mean = 0, square = 0;
    for (const double v : x) mean += v / static_cast<double>(x.size());
    for (double& v : x) v -= layer ? mean : 0, square += v * v / static_cast<double>(x.size());
    for (size_t i = 0; i < x.size(); ++i) {
      x[i] = x[i] / std::sqrt(square + 1e-5) * at(name + ".weight", i);
      if (has(name + ".bias")) x[i] += at(name + ".bias", i);
    }
    return x;
  }
  // Heads of 8: a norm where there is one, and rotation.
  Row heads(Row x, const std::string& norm_name, double base, size_t position) const {
    for (size_t begin = 0; begin < x.size(); begin += kHeadDim) {
      Row head(x.begin() + static_cast<std::ptrdiff_t>(begin),
               x.begin() + static_cast<std::ptrdiff_t>(begin + kHeadDim));
      if (has(norm_name + ".weight")) head = norm(norm_name, head, false);
      for (size_t i = 0; i < kHeadDim / 2; ++i) {
        const double angle =
            base == 0 ? 0 : static_cast<double>(position) * std::pow(base, -2.0 * static_cast<double>(i) / kHeadDim);
        const double a = head[i], b = head[i + kHeadDim / 2];
        x[begin + i] = a * std::cos(angle) - b * std::sin(angle);
        x[begin + i + kHeadDim / 2] = a * std::sin(angle) + b * std::cos(angle);
      }
    }
    return x;
  }
  Row attended(const LayerReference& o, const Row& q, const Rows& k, const Rows& v, size_t position) const {
    Row out(q.size());
    for (size_t h = 0; h < kHeads; ++h) {
      const size_t kv = h / (kHeads / kKvHeads) * kHeadDim, seen = is_causal ? position + 1 : k.size();
      Row weights(seen);
      double sum = 0;
      for (size_t t = 0; t < seen; ++t) {
        double score = 0;
        for (size_t d = 0; d < kHeadDim; ++d) score += q[h * kHeadDim + d] * k[t][kv + d];
        score *= o.scale;
        if (o.cap > 0) score = o.cap * std::tanh(score / o.cap);
        score -=
            std::pow(o.alibi, static_cast<double>(h + 1)) * (static_cast<double>(position) - static_cast<double>(t));
        sum += weights[t] = std::exp(score);
      }
      for (size_t t = 0; t < seen; ++t) {
        for (size_t d = 0; d < kHeadDim; ++d) out[h * kHeadDim + d] += weights[t] / sum * v[t][kv + d];
      }
    }
    return out;
  }
  std::vector<float> logits(const HfModel& of, const std::vector<int32_t>& tokens) {
    model = &of;
    Rows x;
    for (const int32_t token : tokens) {
      Row row(HfModel::kEmbed);
      for (size_t i = 0; i < row.size(); ++i) {
        row[i] = embedding_scale * at("model.embed_tokens.weight", static_cast<size_t>(token) * row.size() + i);
      }
      x.push_back(std::move(row));
    }
    std::map<int, std::pair<Rows, Rows>> caches;
    for (int layer = 0; layer < HfModel::kLayers; ++layer) {
      const std::string in = "model.layers." + std::to_string(layer) + ".", attn = in + "self_attn.";
      const LayerReference& o = layers[static_cast<size_t>(layer)];
      Rows h;
      for (const Row& row : x) h.push_back(norm(in + "input_layernorm", row, layer_norms));
      const int from = o.cache_of < 0 ? layer : o.cache_of;
      for (size_t t = 0; from == layer && t < x.size(); ++t) {
        caches[layer].first.push_back(heads(product(attn + "k_proj", h[t]), attn + "k_norm", o.base, t));
        caches[layer].second.push_back(product(attn + "v_proj", h[t]));
      }
      for (size_t t = 0; t < x.size(); ++t) {
        const Row q = heads(product(attn + "q_proj", h[t]), attn + "q_norm", o.base, t);
        const Row a = product(attn + "o_proj", attended(o, q, caches[from].first, caches[from].second, t));
        Row y = x[t];
        for (size_t i = 0; i < y.size(); ++i) y[i] += residual_scale * a[i];
        const Row f = shares_norm ? h[t] : norm(in + "post_attention_layernorm", is_parallel ? x[t] : y, layer_norms);
        Row hidden = product(in + "mlp.up_proj", f);
        const bool is_gated = has(in + "mlp.gate_proj.weight");
        const Row gate = is_gated ? product(in + "mlp.gate_proj", f) : hidden;
        for (size_t i = 0; i < hidden.size(); ++i) hidden[i] = activation(gate[i]) * (is_gated ? hidden[i] : 1);
        const Row d = product(in + "mlp.down_proj", hidden);
        for (size_t i = 0; i < y.size(); ++i) y[i] += residual_scale * d[i];
        x[t] = std::move(y);
      }
    }
    std::vector<float> all;
    for (const Row& row : x) {
      for (double logit : product("lm_head", norm("model.norm", row, layer_norms))) {
        logit *= logit_scale;
        all.push_back(static_cast<float>(logit_cap > 0 ? logit_cap * std::tanh(logit / logit_cap) : logit));
      }
    }
    return all;
  }
};

class DecoderOptionsTest : public testing::Test {
 protected:
  DecoderOptionsTest() {
    for (int i = 0; i < 32; ++i) tokens_.push_back((i * i * 7 + 3) % HfModel::kVocab);
  }
  std::string layer(int i) const { return "model.layers." + std::to_string(i) + "."; }
  void add(const std::string& name, int64_t size, float around) {
    test::HfTensor tensor{{size}, {}};
    for (int64_t i = 0; i < size; ++i) {
      tensor.values.push_back(around + 0.3f * std::sin(static_cast<float>(i + 7 * static_cast<int64_t>(name.size()))));
    }
    model_.tensors[name] = std::move(tensor);
  }
  LanguageModel load(const DecoderTraits& traits) const {
    const test::TempDirectory directory;
    directory.write(model_);
    return load_decoder(ModelConfig(Checkpoint::open(directory.path())), traits);
  }
  std::vector<float> run(const DecoderTraits& traits, const Device& device, size_t chunk) const {
    Engine engine(load(traits), device,
                  {.precision = Precision::exact, .context = 32, .batch = 32, .logit_rows = 32, .page_size = 4});
    const int32_t sequence = engine.cache().open();
    std::vector<float> logits;
    for (size_t at = 0; at < tokens_.size(); at += chunk) {
      engine.add(sequence, std::span(tokens_).subspan(at, std::min(chunk, tokens_.size() - at)), WantLogits::all);
      engine.run();
      for (int32_t row = 0; row < engine.rows(); ++row) {
        logits.insert(logits.end(), engine.logits(row).begin(), engine.logits(row).end());
      }
    }
    return logits;
  }
  // The option counts, and what comes out is right.
  void check(const DecoderTraits& traits, Reference reference) {
    const auto want = reference.logits(model_, tokens_);
    for (const size_t chunk : {size_t{32}, size_t{7}}) {
      if (!reference.is_causal && chunk != 32) continue;  // a token sees those of its own step
      EXPECT_LE(relative_error(run(traits, Device::cpu(2), chunk), want), 2e-5) << "chunks of " << chunk;
    }
    if (const auto device = test::opencl_device()) {
      EXPECT_LE(relative_error(run(traits, *device, 32), want), 2e-5);
    }
    EXPECT_GT(relative_error(want, Reference{}.logits(plain_, tokens_)), 1e-3);
  }
  static DecoderTraits adapted(std::function<void(DecoderOptions&)> change) {
    return {.adapt = [change](const ModelConfig&, DecoderOptions& options) { change(options); }};
  }

  const HfModel plain_ = HfModel::random("llama");
  HfModel model_ = plain_;
  std::vector<int32_t> tokens_;
};

TEST_F(DecoderOptionsTest, TheReferenceIsThatOfAPlainModel) {
  EXPECT_LE(relative_error(run({}, Device::cpu(1), 32), Reference{}.logits(model_, tokens_)), 1e-5);
}

TEST_F(DecoderOptionsTest, Multipliers) {
  check(adapted([](DecoderOptions& options) {
          options.embedding_scale = 3, options.residual_scale = 0.25f, options.logit_scale = 0.5f,
          options.logit_cap = 2;
          options.layers[1].scale = 0.7f;
          options.layers[0].cap = 1.5f;
        }),
        {.embedding_scale = 3,
         .residual_scale = 0.25,
         .logit_scale = 0.5,
         .logit_cap = 2,
         .layers = {{.cap = 1.5}, {.scale = static_cast<double>(0.7f)}}});
}

TEST_F(DecoderOptionsTest, RotationDiffersByLayer) {
  check(adapted([](DecoderOptions& options) { options.layers[1].rope.reset(); }), {.layers = {{}, {.base = 0}}});
  check(adapted([](DecoderOptions& options) {
          options.layers[0].rope->base = 100;
          options.layers[0].rope->frequencies = rope_frequencies(100, kHeadDim);
        }),
        {.layers = {{.base = 100}, {}}});
}

TEST_F(DecoderOptionsTest, ScoresAreChangedByDistance) {
  Tensor<f32, KvHead, Group> slopes({kKvHeads, kHeads / kKvHeads});
  for (size_t h = 0; h < kHeads; ++h) slopes.values()[h] = std::pow(0.5f, static_cast<float>(h + 1));
  check(adapted([slopes](DecoderOptions& options) {
          options.layers[0].change_score = [slopes](const Score& score, const CachedKeys& keys, const Batch& batch) {
            return score - slopes * cast<f32>(batch.pos - keys.pos());
          };
        }),
        {.layers = {{.alibi = 0.5}, {}}});
}

TEST_F(DecoderOptionsTest, ALayerReadsTheKeysOfAnother) {
  for (const char* name : {"k_proj", "v_proj"}) model_.tensors.erase(layer(1) + "self_attn." + name + ".weight");
  check(adapted([](DecoderOptions& options) { options.layers[1].cache_of = 0; }), {.layers = {{}, {.cache_of = 0}}});
}

TEST_F(DecoderOptionsTest, QueriesSeeWhatFollows) {
  check(adapted([](DecoderOptions& options) {
          for (AttentionOptions& attention : options.layers) attention.is_causal = false;
        }),
        {.is_causal = false});
}

TEST_F(DecoderOptionsTest, BothHalvesReadOneNorm) {
  for (int i = 0; i < 2; ++i) model_.tensors.erase(layer(i) + "post_attention_layernorm.weight");
  check({.names = {.ffn_norm = {}}, .is_parallel = true}, {.is_parallel = true, .shares_norm = true});
}

TEST_F(DecoderOptionsTest, BothHalvesReadTheStream) { check({.is_parallel = true}, {.is_parallel = true}); }

TEST_F(DecoderOptionsTest, LayerNormsWithAndWithoutBiases) {
  model_.config["layer_norm_eps"] = 1e-5;
  model_.config.erase("rms_norm_eps");
  check({.norms = NormKind::layer}, {.layer_norms = true});
  add("model.norm.bias", HfModel::kEmbed, 0);
  for (int i = 0; i < 2; ++i) {
    add(layer(i) + "input_layernorm.bias", HfModel::kEmbed, 0);
    add(layer(i) + "post_attention_layernorm.bias", HfModel::kEmbed, 0);
  }
  check({.norms = NormKind::layer}, {.layer_norms = true});
}

TEST_F(DecoderOptionsTest, NormsOfHeadsComeBeforeRotation) {
  for (int i = 0; i < 2; ++i) {
    for (const char* name : {"q", "k"}) add(layer(i) + "self_attn." + name + "_norm.weight", kHeadDim, 1);
  }
  check({.head_norms = true}, {});
}

TEST_F(DecoderOptionsTest, BiasesAreTakenWhereTheyAre) {
  for (int i = 0; i < 2; ++i) {
    add(layer(i) + "self_attn.q_proj.bias", HfModel::kEmbed, 0);
    add(layer(i) + "self_attn.k_proj.bias", kKvHeads * kHeadDim, 0);
    add(layer(i) + "self_attn.v_proj.bias", kKvHeads * kHeadDim, 0);
    add(layer(i) + "self_attn.o_proj.bias", HfModel::kEmbed, 0);
    add(layer(i) + "mlp.gate_proj.bias", HfModel::kHidden, 0);
    add(layer(i) + "mlp.up_proj.bias", HfModel::kHidden, 0);
    add(layer(i) + "mlp.down_proj.bias", HfModel::kEmbed, 0);
  }
  check({}, {});
}

TEST_F(DecoderOptionsTest, TwoMatricesWithoutAGate) {
  for (int i = 0; i < 2; ++i) model_.tensors.erase(layer(i) + "mlp.gate_proj.weight");
  model_.config["hidden_act"] = "relu2";
  Reference reference;
  reference.activation = [](double x) { return x > 0 ? x * x : 0; };
  check({.is_gated = false, .activation = Activation::relu_squared}, reference);
  model_.config["hidden_act"] = "relu";
  reference.activation = [](double x) { return std::max(x, 0.0); };
  check({.is_gated = false, .activation = Activation::relu}, reference);
}

}  // namespace
}  // namespace weft
