// What must be equal between models that say the same thing in other words, on random small models.
#include <gtest/gtest.h>

#include <cmath>
#include <concepts>
#include <functional>
#include <set>

#include "core/comma_list.h"
#include "models/registry.h"
#include "runtime/generate/engine.h"
#include "tests/errors.h"
#include "tests/gguf_writer.h"
#include "tests/gpu_device.h"
#include "tests/hf_model.h"
#include "tests/logits_error.h"
#include "tests/model_logits.h"
#include "tests/test_data.h"

namespace weft {
namespace {

using test::HfModel;
using test::relative_error;
using test::TempDirectory;

std::vector<float> logits_of(const std::filesystem::path& path, const Device& device = Device::cpu(1),
                             size_t chunk = 32) {
  std::vector<int32_t> tokens;
  for (int i = 0; i < 32; ++i) tokens.push_back((i * i * 7 + 3) % HfModel::kVocab);
  Engine engine(load_model(Checkpoint::open(path)), device,
                {.precision = Precision::exact, .context = 32, .batch = 32, .logit_rows = 32, .page_size = 4});
  const int32_t sequence = engine.cache().open();
  std::vector<float> logits;
  for (size_t at = 0; at < tokens.size(); at += chunk) {
    engine.add(sequence, std::span(tokens).subspan(at, std::min(chunk, tokens.size() - at)), WantLogits::all);
    engine.run();
    for (int32_t row = 0; row < engine.rows(); ++row) {
      logits.insert(logits.end(), engine.logits(row).begin(), engine.logits(row).end());
    }
  }
  return logits;
}

std::vector<float> logits_of(const HfModel& model, const Device& device = Device::cpu(1), size_t chunk = 32) {
  const TempDirectory directory;
  directory.write(model);
  return logits_of(directory.path(), device, chunk);
}

std::string error_of(const HfModel& model) {
  return test::error_of([&] { logits_of(model); });
}

TEST(Architectures, FusedTensorsGiveWhatSeparateOnesGive) {
  for (const char* type : {"llama", "qwen2"}) {
    const HfModel model = HfModel::random(type);
    HfModel fused = model;
    fused.fuse();
    EXPECT_LT(fused.tensors.size(), model.tensors.size());
    EXPECT_EQ(logits_of(model), logits_of(fused)) << type;
  }
}

TEST(Architectures, MixtralOfEqualExpertsIsMistral) {
  const HfModel mistral = HfModel::random("mistral");
  HfModel mixtral = HfModel::random("mixtral", 2);
  for (auto& [name, tensor] : mixtral.tensors) {
    const auto layer = name.substr(0, name.find("block_sparse_moe"));
    if (mistral.tensors.contains(name)) tensor = mistral.tensors.at(name);
    else if (name.ends_with("w1.weight")) tensor = mistral.tensors.at(layer + "mlp.gate_proj.weight");
    else if (name.ends_with("w3.weight")) tensor = mistral.tensors.at(layer + "mlp.up_proj.weight");
    else if (name.ends_with("w2.weight")) tensor = mistral.tensors.at(layer + "mlp.down_proj.weight");
  }
  const auto want = logits_of(mistral);
  EXPECT_LE(relative_error(logits_of(mixtral), want), 1e-5);
  EXPECT_LE(relative_error(logits_of(mixtral, Device::cpu(2), 1), want), 1e-5);
  if (const auto device = test::opencl_device()) {
    EXPECT_LE(relative_error(logits_of(mixtral, *device), want), 1e-5);
  }
}

TEST(Architectures, ExpertsMayLieInOneTensorOrInMany) {
  const HfModel each = HfModel::random("mixtral");
  HfModel stacked = each;
  stacked.stack_experts();
  const auto want = logits_of(each);
  EXPECT_EQ(logits_of(stacked), want);
  const test::TempFile gguf(each.gguf());
  EXPECT_LE(relative_error(logits_of(gguf.path()), want), 1e-5);
}

TEST(Architectures, AWindowAsLongAsTheTextIsNone) {
  for (const char* type : {"mistral", "mixtral"}) {
    HfModel model = HfModel::random(type);
    const auto want = logits_of(model);
    model.config["sliding_window"] = nullptr;
    EXPECT_EQ(logits_of(model), want);
    for (const int window : {32, 33, 1000}) {
      model.config["sliding_window"] = window;
      EXPECT_LE(relative_error(logits_of(model), want), 1e-6) << window;
    }
    model.config["sliding_window"] = 31;  // the last query misses the first token
    EXPECT_GT(relative_error(logits_of(model), want), 1e-4);
  }
}

TEST(Architectures, WindowsAgreeAcrossChunksDevicesAndFiles) {
  HfModel model = HfModel::random("mistral");
  for (const int window : {1, 3, 8}) {
    model.config["sliding_window"] = window;
    const auto want = logits_of(model);
    for (const size_t chunk : {1, 7}) EXPECT_LE(relative_error(logits_of(model, Device::cpu(2), chunk), want), 1e-5);
    if (const auto device = test::opencl_device()) {
      EXPECT_LE(relative_error(logits_of(model, *device, 7), want), 1e-5);
    }
    const test::TempFile gguf(model.gguf());
    EXPECT_LE(relative_error(logits_of(gguf.path()), want), 1e-5);
  }
}

// Qwen2: `use_sliding_window`, from layer `max_window_layers` on, or layer by layer.
TEST(Architectures, QwenSwitchesItsWindows) {
  HfModel model = HfModel::random("qwen2");
  const auto without = logits_of(model);
  model.config["sliding_window"] = 5, model.config["max_window_layers"] = 1;
  model.config["use_sliding_window"] = false;
  EXPECT_EQ(logits_of(model), without);
  model.config["use_sliding_window"] = true;
  const auto second = logits_of(model);
  EXPECT_GT(relative_error(second, without), 1e-4);
  model.config["layer_types"] = {"full_attention", "sliding_attention"};
  EXPECT_EQ(logits_of(model), second);
  for (const size_t chunk : {1, 7}) EXPECT_LE(relative_error(logits_of(model, Device::cpu(1), chunk), second), 1e-5);
  model.config["layer_types"] = {"sliding_attention", "full_attention"};
  EXPECT_GT(relative_error(logits_of(model), second), 1e-4);
  model.config["layer_types"] = {"full_attention", "chunked_attention"};
  EXPECT_CONTAINS(error_of(model), "chunked_attention");
}

using Keys = std::function<void(test::GgufWriter&)>;  // that a GGUF file has besides

std::vector<float> logits_of_gguf(const HfModel& model, const Keys& more, const std::set<std::string>& without = {}) {
  const test::TempFile gguf(model.gguf(more, without));
  return logits_of(gguf.path());
}

std::string gguf_error(const HfModel& model, const Keys& more, const std::set<std::string>& without = {}) {
  return test::error_of([&] { logits_of_gguf(model, more, without); });
}

// A key with a number per layer.
template <class T>
Keys per_layer(const std::string& key, const std::vector<T>& values) {
  constexpr GgufType kType = std::same_as<T, float>  ? GgufType::float32
                             : std::same_as<T, bool> ? GgufType::bool8
                                                     : GgufType::uint32;
  return [=](test::GgufWriter& w) {
    std::string bytes;
    for (const T value : values) bytes += test::pod(value);
    w.add("llama." + key, GgufType::array, test::array(kType, values.size(), bytes));
  };
}

TEST(Architectures, ANumberPerLayerMayBeTheSameInAll) {
  const HfModel model = HfModel::random("llama");
  const auto want = logits_of_gguf(model, {});
  const std::vector<std::pair<std::string, uint32_t>> counts = {{"feed_forward_length", HfModel::kHidden},
                                                                {"attention.head_count", HfModel::kHeads},
                                                                {"attention.head_count_kv", HfModel::kKvHeads},
                                                                {"rope.dimension_count", HfModel::kHeadDim}};
  for (const auto& [key, value] : counts) {
    const std::vector<uint32_t> all(2, value);
    EXPECT_EQ(logits_of_gguf(model, per_layer(key, all), {key}), want) << key;
    EXPECT_EQ(logits_of_gguf(model, per_layer(key, std::vector<float>(2, static_cast<float>(value))), {key}), want)
        << key;
    EXPECT_CONTAINS(gguf_error(model, per_layer<uint32_t>(key, {value, value, value}), {key}),
                    "key 'llama." + key + "': has 3 values for 2 layers");
    EXPECT_CONTAINS(gguf_error(model, per_layer<uint32_t>(key, {}), {key}), "': has 0 values for 2 layers");
    EXPECT_CONTAINS(gguf_error(model, per_layer<uint32_t>(key, {value, 2 * value}), {key}),
                    "key 'llama." + key + "': is " + std::to_string(value) + " for layer 0, but " +
                        std::to_string(2 * value) + " for layer 1; this architecture takes one value for all layers");
  }
  for (const std::string key : {"attention.key_length", "attention.value_length"}) {
    EXPECT_EQ(logits_of_gguf(model, per_layer<uint32_t>(key, {HfModel::kHeadDim, HfModel::kHeadDim})), want) << key;
  }
  for (const auto& [key, value] :
       {std::pair{"rope.freq_base", 10000.0f}, {"attention.layer_norm_rms_epsilon", 1e-5f}}) {
    EXPECT_EQ(logits_of_gguf(model, per_layer<float>(key, {value, value}), {key}), want) << key;
    EXPECT_CONTAINS(gguf_error(model, per_layer<float>(key, {value, 0.5f}), {key}), "but 0.5 for layer 1;") << key;
  }
  EXPECT_CONTAINS(gguf_error(model, per_layer<float>("feed_forward_length", {24.5f, 24.5f}), {"feed_forward_length"}),
                  "is 24.5, not an integer");
  EXPECT_CONTAINS(gguf_error(model, per_layer<uint32_t>("block_count", {2, 2}), {"block_count"}),
                  "is a list, not a number");
  // Switched off in all layers.
  EXPECT_EQ(logits_of_gguf(model, per_layer<bool>("attention.new_kind", {false, false})), want);
  EXPECT_CONTAINS(gguf_error(model, per_layer<bool>("attention.new_kind", {false, true})),
                  "'llama.attention.new_kind': is an option");

  HfModel lists = model;
  const auto plain = logits_of(model);
  for (const char* key :
       {"intermediate_size", "num_key_value_heads", "num_attention_heads", "rms_norm_eps", "attention_bias"}) {
    const auto value = key == std::string("attention_bias") ? nlohmann::json(false) : model.config[key];
    lists.config[key] = {value, value};
  }
  EXPECT_EQ(logits_of(lists), plain);
  lists.config["attention_bias"] = {false, true};
  EXPECT_CONTAINS(error_of(lists), "config.json: key 'attention_bias': is 0 for layer 0, but 1 for layer 1");
  lists.config["attention_bias"] = false, lists.config["num_key_value_heads"] = {2, 4};
  EXPECT_CONTAINS(error_of(lists), "config.json: key 'num_key_value_heads': is 2 for layer 0, but 4 for layer 1");
  lists.config["num_key_value_heads"] = {"2", "2"};
  EXPECT_CONTAINS(error_of(lists), "config.json: key 'num_key_value_heads': is a list, not an integer");
}

TEST(Architectures, WindowsMayDifferByLayer) {
  HfModel model = HfModel::random("mistral");
  model.config["sliding_window"] = 5;
  const auto both = logits_of_gguf(model, {});
  model.config["layer_types"] = {"full_attention", "sliding_attention"};
  const auto second = logits_of(model);
  model.config["layer_types"] = {"sliding_attention", "full_attention"};
  const auto first = logits_of(model);
  EXPECT_GT(relative_error(first, second), 1e-4);

  const std::string window = "attention.sliding_window", pattern = "attention.sliding_window_pattern";
  const auto near = [&](const Keys& keys, const std::vector<float>& want, const std::set<std::string>& without = {}) {
    return relative_error(logits_of_gguf(model, keys, without), want) <= 1e-5;
  };
  EXPECT_TRUE(near(per_layer<uint32_t>(window, {5, 5}), both, {window}));
  EXPECT_TRUE(near(per_layer<uint32_t>(window, {0, 5}), second, {window}));
  EXPECT_TRUE(near(per_layer<float>(window, {5, 0}), first, {window}));
  EXPECT_TRUE(near(per_layer<bool>(pattern, {true, true}), both));
  EXPECT_TRUE(near(per_layer<bool>(pattern, {false, true}), second));
  EXPECT_TRUE(near(per_layer<uint32_t>(pattern, {1, 0}), first));
  // Every Nth layer sees everything; 0: none does.
  const auto every = [&](uint32_t n) { return [=](test::GgufWriter& w) { w.u32("llama." + pattern, n); }; };
  EXPECT_TRUE(near(every(0), both));
  EXPECT_TRUE(near(every(2), first));
  EXPECT_TRUE(near(every(3), both));
  HfModel without_windows = model;
  without_windows.config.erase("sliding_window"), without_windows.config.erase("layer_types");
  EXPECT_TRUE(near(every(1), logits_of_gguf(without_windows, {})));
  const auto third = [&](uint32_t a, uint32_t b) { return per_layer<uint32_t>(window, {a, b}); };
  const test::TempFile differing(model.gguf(third(3, 8), {window}));
  EXPECT_EQ(load_model(Checkpoint::open(differing.path())).windows, (std::vector<int32_t>{3, 8}));
  EXPECT_LE(relative_error(logits_of(differing.path(), Device::cpu(2), 1), logits_of(differing.path())), 1e-5);
  if (const auto device = test::opencl_device()) {
    EXPECT_LE(relative_error(logits_of(differing.path(), *device, 7), logits_of(differing.path())), 1e-5);
  }

  EXPECT_CONTAINS(gguf_error(model, per_layer<uint32_t>(window, {5, 5, 5}), {window}),
                  window + "': has 3 values for 2 layers");
  EXPECT_CONTAINS(gguf_error(model, per_layer<float>(window, {5, 2.5f}), {window}),
                  window + "': is 2.5, not an integer");
  EXPECT_CONTAINS(gguf_error(model, per_layer<bool>(pattern, {true})), pattern + "': has 1 values for 2 layers");
  EXPECT_CONTAINS(gguf_error(model, per_layer<uint32_t>(pattern, {1, 7})), "is 7 for layer 1, neither true nor false");
  const Keys contradiction = [&](test::GgufWriter& w) {
    per_layer<uint32_t>(window, {5, 0})(w), per_layer<bool>(pattern, {true, true})(w);
  };
  EXPECT_CONTAINS(gguf_error(model, contradiction, {window}),
                  pattern + "': has sliding layers, but there is no window");
}

// In GGUF files a factor without a type is linear, and older files have it under another key.
TEST(Architectures, RotaryFactorsWithoutAType) {
  const HfModel model = HfModel::random("llama");
  const auto with = [](const std::string& type, const std::map<std::string, float>& factors) {
    return [=](test::GgufWriter& w) {
      if (!type.empty()) w.string("llama.rope.scaling.type", type);
      for (const auto& [key, value] : factors) w.f32("llama.rope." + key, value);
    };
  };
  const auto plain = logits_of_gguf(model, {});
  const auto linear = logits_of_gguf(model, with("linear", {{"scaling.factor", 4}}));
  HfModel directory = model;
  directory.config["rope_scaling"] = {{"type", "linear"}, {"factor", 4}};
  EXPECT_LE(relative_error(linear, logits_of(directory)), 1e-5);
  EXPECT_GT(relative_error(linear, plain), 1e-4);
  EXPECT_EQ(logits_of_gguf(model, with("", {{"scaling.factor", 4}})), linear);
  EXPECT_EQ(logits_of_gguf(model, with("", {{"scale_linear", 4}})), linear);
  EXPECT_EQ(logits_of_gguf(model, with("linear", {{"scale_linear", 4}})), linear);
  EXPECT_EQ(logits_of_gguf(model, with("", {{"scale_linear", 4}, {"scaling.factor", 4}})), linear);
  EXPECT_EQ(logits_of_gguf(model, [](test::GgufWriter& w) { w.u32("llama.rope.scaling.factor", 4); }), linear);
  EXPECT_EQ(logits_of_gguf(model, with("", {{"scaling.factor", 4}, {"scaling.original_context_length", 32}})), linear);
  for (const float off : {0.0f, 1.0f}) {
    for (const char* key : {"scaling.factor", "scale_linear"})
      EXPECT_EQ(logits_of_gguf(model, with("", {{key, off}})), plain);
    EXPECT_EQ(logits_of_gguf(model, with("linear", {{"scaling.factor", off}})), plain);
  }
  EXPECT_EQ(logits_of_gguf(model, with("none", {{"scaling.factor", 4}})), plain);
  EXPECT_EQ(logits_of_gguf(model, with("none", {{"scale_linear", 4}})), plain);

  EXPECT_CONTAINS(gguf_error(model, with("", {{"scale_linear", 4}, {"scaling.factor", 2}})),
                  "key 'llama.rope.scale_linear': contradicts rope.scaling.factor");
  EXPECT_CONTAINS(gguf_error(model, with("", {{"scale_linear", -4}})),
                  "key 'llama.rope.scale_linear': is -4, not a finite");
  EXPECT_CONTAINS(gguf_error(model, with("", {{"scaling.factor", NAN}})),
                  "key 'llama.rope.scaling.factor': is nan, not a finite");
  EXPECT_CONTAINS(gguf_error(model, with("linear", {})), "key 'llama.rope.scaling.factor': is missing");
  EXPECT_CONTAINS(gguf_error(model, with("spiral", {{"scaling.factor", 4}})),
                  "'spiral' is a scaling that this build does not support");

  // Transformers takes no notice of such a factor; whoever wrote it hardly meant that.
  const auto unscaled = logits_of(directory = model);
  for (const char* key : {"rope_scaling", "rope_parameters"}) {
    directory = model;
    directory.config[key] = {{"factor", 2.0}};
    EXPECT_CONTAINS(error_of(directory),
                    std::string("config.json: key '") + key + ".factor': is given without \"rope_type\"");
    directory.config[key] = {{"factor", 1}};
    EXPECT_EQ(logits_of(directory), unscaled);
    directory.config[key] = {{"rope_type", "default"}, {"factor", 2.0}};
    EXPECT_EQ(logits_of(directory), unscaled);
  }
  directory = model;
  directory.config["rope_scaling"] = {{"type", "linear"}, {"factor", "4.0"}};
  EXPECT_CONTAINS(error_of(directory), "key 'rope_scaling.factor': is the string '4.0', not a number");
  directory.config["rope_scaling"] = {{"type", "spiral"}, {"factor", 4.0}};
  EXPECT_CONTAINS(error_of(directory),
                  "key 'rope_scaling.type': 'spiral' is a scaling that this build does not support");
  // The same number twice, once as an integer.
  directory.config["rope_scaling"] = {{"type", "linear"}, {"factor", 4.0}};
  directory.config["rope_parameters"] = {{"type", "linear"}, {"factor", 4}, {"rope_theta", 10000}};
  EXPECT_LE(relative_error(logits_of(directory), linear), 1e-5);
}

TEST(Architectures, SharedFilesWithAFactorOrAnArray) {
  WEFT_SHARED_OR_SKIP(folder, "data/field");
  const std::vector<int32_t> tokens = {1, 403, 407, 261, 378, 432, 383, 286, 261, 376, 298, 315, 421, 395, 317, 426};
  EXPECT_LE(relative_error(test::exact_logits(folder / "factor_only.gguf", tokens),
                           test::read_floats(folder / "stories_linear4.f32")),
            1e-4);
  EXPECT_EQ(test::exact_logits(folder / "kv_array.gguf", tokens).size(), tokens.size() * 512);
}

// Integers as floats, in GGUF files as in config.json.
TEST(Architectures, WholeFloatsAreIntegers) {
  const HfModel model = HfModel::random("llama");
  const auto want = logits_of_gguf(model, {});
  const std::map<std::string, float> counts = {{"block_count", 2},          {"context_length", 128},
                                               {"embedding_length", 32},    {"feed_forward_length", 24},
                                               {"attention.head_count", 4}, {"attention.head_count_kv", 2},
                                               {"rope.dimension_count", 8}};
  for (const auto& count : counts) {
    const std::string key = count.first;
    const float value = count.second;
    const auto as = [&](float number) {
      return [&key, number](test::GgufWriter& w) { w.f32("llama." + key, number); };
    };
    EXPECT_EQ(logits_of_gguf(model, as(value), {key}), want) << key;
    EXPECT_CONTAINS(gguf_error(model, as(value + 0.5f), {key}), "key 'llama." + key + "': is ") << key;
    EXPECT_CONTAINS(gguf_error(model, as(value + 0.5f), {key}), ", not an integer") << key;
    EXPECT_CONTAINS(gguf_error(model, as(NAN), {key}), "nan, not an integer") << key;
    for (const float far : {INFINITY, -INFINITY, 1e30f, -0.0f}) {
      EXPECT_CONTAINS(gguf_error(model, as(far), {key}), " is not between 1 and 2147483647") << key;
    }
  }
  HfModel qwen2 = HfModel::random("qwen2");
  qwen2.config["sliding_window"] = 5, qwen2.config["max_window_layers"] = 1, qwen2.config["use_sliding_window"] = true;
  const auto windows = logits_of(qwen2);
  qwen2.config["sliding_window"] = 5.0, qwen2.config["max_window_layers"] = 1.0;
  EXPECT_EQ(logits_of(qwen2), windows);
  qwen2.config["max_window_layers"] = 0.5;
  EXPECT_CONTAINS(error_of(qwen2), "key 'max_window_layers': is 0.5, not an integer");
}

TEST(Architectures, GgufRowsOfQAndKAreReadInTheirOrder) {
  const HfModel model = HfModel::random("llama");
  const test::TempFile gguf(model.gguf());
  EXPECT_LE(relative_error(logits_of(gguf.path()), logits_of(model)), 1e-5);
}

TEST(Architectures, TiedOutput) {
  HfModel model = HfModel::random("llama");
  model.tensors["lm_head.weight"] = model.tensors["model.embed_tokens.weight"];
  const auto want = logits_of(model);
  model.config["tie_word_embeddings"] = true;
  EXPECT_EQ(logits_of(model), want);
  model.tensors.erase("lm_head.weight");
  EXPECT_EQ(logits_of(model), want);
  model.config["tie_word_embeddings"] = false;
  EXPECT_CONTAINS(error_of(model), "'lm_head.weight' is missing");
}

// A separate output counts, whatever the configuration says.
TEST(Architectures, AnOutputThatIsNotTheEmbeddingIsNotTied) {
  HfModel model = HfModel::random("qwen2");
  const auto want = logits_of(model);
  model.config["tie_word_embeddings"] = true;
  EXPECT_EQ(logits_of(model), want);
}

TEST(Architectures, HeadsMayBeWiderAndMoreThanTheEmbedding) {
  HfModel model = HfModel::random("llama");
  for (auto& [name, tensor] : model.tensors) {
    if (name == "lm_head.weight" || name.find("layernorm") != name.npos || name.find("norm.") != name.npos) continue;
    // The same rows in an embedding of 4 elements: 4 heads of 8.
    if (tensor.shape.back() == HfModel::kEmbed && name.find("o_proj") == name.npos) tensor.shape.back() = 4;
    if (tensor.shape.front() == HfModel::kEmbed && name.find("q_proj") == name.npos) tensor.shape.front() = 4;
    size_t count = 1;
    for (const int64_t extent : tensor.shape) count *= static_cast<size_t>(extent);
    tensor.values.resize(count);
  }
  for (const char* name : {"lm_head.weight", "model.norm.weight", "model.layers.0.input_layernorm.weight",
                           "model.layers.1.input_layernorm.weight", "model.layers.0.post_attention_layernorm.weight",
                           "model.layers.1.post_attention_layernorm.weight"}) {
    auto& tensor = model.tensors[name];
    tensor.values.resize(tensor.values.size() / HfModel::kEmbed * 4);
    tensor.shape.back() = 4;
  }
  model.config["hidden_size"] = 4, model.config["head_dim"] = HfModel::kHeadDim;
  const auto want = logits_of(model);
  EXPECT_EQ(want.size(), size_t{32 * HfModel::kVocab});
  EXPECT_LE(relative_error(logits_of(model, Device::cpu(1), 7), want), 1e-5);
  for (const auto& [key, value] : {std::pair{"head_dim", 1 << 16}, {"num_attention_heads", 1 << 16}}) {
    HfModel huge = model;
    huge.config[key] = value;
    EXPECT_CONTAINS(error_of(huge), "key '" + std::string(key) + "'");
  }
}

// What a configuration leaves out is what Hugging Face transformers takes then.
TEST(Architectures, KeysThatAreLeftOut) {
  HfModel mixtral = HfModel::random("mixtral");
  mixtral.config["rope_theta"] = 1e6;
  const auto want = logits_of(mixtral);
  mixtral.config.erase("rope_theta");
  EXPECT_EQ(logits_of(mixtral), want);
  HfModel qwen2 = HfModel::random("qwen2");
  const auto without = logits_of(qwen2);
  qwen2.config["sliding_window"] = 5;  // but no use_sliding_window
  EXPECT_EQ(logits_of(qwen2), without);
  qwen2.config["use_sliding_window"] = true;  // from layer 28 on
  EXPECT_EQ(logits_of(qwen2), without);
  HfModel mistral = HfModel::random("mistral");
  mistral.config.erase("num_key_value_heads");  // 8
  EXPECT_CONTAINS(error_of(mistral), "key 'num_attention_heads': must be a multiple of the KV heads");
  const auto windows_of = [](const HfModel& model) {
    const TempDirectory directory;
    directory.write(model);
    return load_model(Checkpoint::open(directory.path())).windows;
  };
  mistral = HfModel::random("mistral");
  EXPECT_EQ(windows_of(mistral), std::vector<int32_t>{4096});
  mistral.config["sliding_window"] = nullptr;  // which is not left out
  EXPECT_EQ(windows_of(mistral), std::vector<int32_t>{0});
}

// Switches of Qwen2 that others' configurations may hold: transformers does not look at them.
TEST(Architectures, SwitchesOfWindowsAreQwensAlone) {
  for (const char* type : {"mistral", "mixtral"}) {
    HfModel model = HfModel::random(type);
    model.config["sliding_window"] = 5;
    const auto want = logits_of(model);
    model.config["use_sliding_window"] = false, model.config["max_window_layers"] = 1;
    EXPECT_EQ(logits_of(model), want) << type;
  }
}

TEST(Architectures, ExpertsAreNotMoreThanTensors) {
  HfModel model = HfModel::random("mixtral");
  model.config["num_local_experts"] = 2000000000;
  const std::string error = error_of(model);
  EXPECT_CONTAINS(error, "gate.weight' is [4, 32], expected expert 2000000000");
  EXPECT_CONTAINS(error, "experts.0.w1.weight' is not one of 2000000000");
}

TEST(Architectures, RotaryFrequenciesAreFinite) {
  HfModel model = HfModel::random("llama");
  model.config["rope_theta"] = 1.0, model.config["max_position_embeddings"] = 256;  // YaRN divides by log(rope_theta)
  EXPECT_NO_THROW(logits_of(model));
  model.config["rope_scaling"] = {{"rope_type", "yarn"}, {"factor", 4.0}};
  EXPECT_CONTAINS(error_of(model), "key 'rope_theta': and the scaling of the context give rotary frequencies");
  model.config["rope_theta"] = 10000.0;
  EXPECT_NO_THROW(logits_of(model));
  model.config["rope_scaling"] = {{"rope_type", "yarn"}, {"factor", 1e38}, {"mscale", 3e38}, {"mscale_all_dim", 1e-30}};
  EXPECT_CONTAINS(error_of(model), "not finite");
  model = HfModel::random("llama");
  model.config["head_dim"] = 7;
  EXPECT_CONTAINS(error_of(model), "key 'head_dim': makes 7 rotated elements of a head of 7; they must be even");
}

TEST(Architectures, ShardsAndTypes) {
  const HfModel model = HfModel::random("llama");
  const auto want = logits_of(model);
  const TempDirectory shards, half, brain;
  shards.write(model, "F32", 3);
  EXPECT_EQ(logits_of(shards.path()), want);
  half.write(model, "F16"), brain.write(model, "BF16", 2);
  EXPECT_LE(relative_error(logits_of(half.path()), want), 1e-2);
  EXPECT_LE(relative_error(logits_of(brain.path()), want), 1e-1);
}

// Fused tensors begin at any row, and files put tensors at odd addresses.
TEST(Architectures, DataAtOddAddressesAreRead) {
  const HfModel model = HfModel::random("llama");
  const TempDirectory directory;
  directory.write(model);
  std::string bytes = test::safetensors_bytes(model.tensors);
  uint64_t length = 0;
  std::memcpy(&length, bytes.data(), sizeof length);
  bytes.insert(sizeof length + length, 5 - length % 4, ' ');
  const uint64_t longer = length + 5 - length % 4;
  std::memcpy(bytes.data(), &longer, sizeof longer);
  ASSERT_NE((sizeof longer + longer) % 4, 0u);
  directory.write("model.safetensors", bytes);
  EXPECT_EQ(logits_of(directory.path()), logits_of(model));
}

TEST(Architectures, BiasesThatAreDeclaredMustBeThere) {
  HfModel model = HfModel::random("llama");
  model.config["attention_bias"] = true, model.config["mlp_bias"] = true;
  const std::string error = error_of(model);
  for (const char* name :
       {"layers.0.self_attn.q_proj.bias", "layers.1.self_attn.v_proj.bias", "layers.1.self_attn.o_proj.bias",
        "layers.0.mlp.gate_proj.bias", "layers.1.mlp.down_proj.bias"}) {
    EXPECT_CONTAINS(error, name);
  }
}

TEST(Architectures, EverythingThatDoesNotFitIsListedAtOnce) {
  HfModel model = HfModel::random("llama");
  model.tensors["model.layers.0.extra.weight"] = {{2}, {1, 2}};
  model.tensors.erase("model.layers.1.mlp.up_proj.weight");
  model.tensors["model.norm.weight"] = {{4}, {1, 2, 3, 4}};
  const std::string error = error_of(model);
  EXPECT_CONTAINS(error, "tensor 'model.layers.0.extra.weight' is not part of this architecture");
  EXPECT_CONTAINS(error, "tensor 'model.layers.1.mlp.up_proj.weight' is missing");
  EXPECT_CONTAINS(error, "tensor 'model.norm.weight' is [4], expected embed 32");
}

TEST(Architectures, OptionsThatNobodyKnowsAreNamed) {
  for (const auto& [key, value] :
       std::map<std::string, nlohmann::json>{{"sliding_window", 8},  // no option of Llama
                                             {"attn_logit_softcapping", 30.0},
                                             {"quantization_config", {{"bits", 4}}},
                                             {"hidden_act", "gelu"},
                                             {"rope_scaling", {{"rope_type", "longrope"}, {"factor", 2.0}}},
                                             {"rope_scaling", {{"rope_type", "linear"}}},    // without its factor
                                             {"rope_parameters", {{"rope_theta", 5000.0}}},  // contradicts rope_theta
                                             {"num_attention_heads", 3},
                                             {"num_hidden_layers", 1000000000}}) {
    HfModel model = HfModel::random("llama");
    model.config[key] = value;
    const std::string error = error_of(model);
    EXPECT_CONTAINS(error, "config.json: key '" + key) << error;
  }
  HfModel model = HfModel::random("llama");
  model.config["model_type"] = "gpt_neox";
  EXPECT_CONTAINS(error_of(model), "'gpt_neox' is not among those of this build: " + comma_list(architectures()));
  // What is switched off, or says nothing about the computation, is accepted.
  model = HfModel::random("llama");
  const auto want = logits_of(model);
  for (const auto& [key, value] : std::map<std::string, nlohmann::json>{{"attn_logit_softcapping", nullptr},
                                                                        {"some_switch", false},
                                                                        {"_name_or_path", "x"},
                                                                        {"eos_token_id", {1, 2}},
                                                                        {"partial_rotary_factor", 1.0},
                                                                        {"rope_scaling", nullptr},
                                                                        {"initializer_range", 0.02}}) {
    model.config[key] = value;
  }
  EXPECT_EQ(logits_of(model), want);
}

TEST(Architectures, PartialRotationTurnsTheFirstElementsOnly) {
  HfModel model = HfModel::random("llama");
  const auto whole = logits_of(model);
  model.config["partial_rotary_factor"] = 0.5;
  const auto half = logits_of(model);
  EXPECT_GT(relative_error(half, whole), 1e-4);
  EXPECT_LE(relative_error(logits_of(model, Device::cpu(2), 7), half), 1e-5);
  model.config["partial_rotary_factor"] = 0.3;  // 2.4 elements
  EXPECT_NO_THROW(logits_of(model));
  model.config["partial_rotary_factor"] = 0.4;  // 3 elements
  EXPECT_CONTAINS(error_of(model), "must be even");
}

TEST(Architectures, ScaledContextsInBothShapesOfTheConfiguration) {
  HfModel model = HfModel::random("llama");
  const auto plain = logits_of(model);
  const std::vector<nlohmann::json> scalings = {
      {{"rope_type", "linear"}, {"factor", 4.0}},
      {{"rope_type", "ntk"}, {"factor", 4.0}},
      {{"rope_type", "yarn"}, {"factor", 4.0}, {"original_max_position_embeddings", 16}},
      {{"rope_type", "yarn"}, {"factor", 4.0}, {"attention_factor", 1.5}, {"beta_fast", 16}, {"truncate", false}},
      {{"rope_type", "llama3"},
       {"factor", 8.0},
       {"low_freq_factor", 1.0},
       {"high_freq_factor", 4.0},
       {"original_max_position_embeddings", 16}}};
  std::vector<std::vector<float>> seen = {plain};
  for (const auto& scaling : scalings) {
    HfModel older = model, newer = model;
    older.config["rope_scaling"] = scaling;
    newer.config.erase("rope_theta");
    newer.config["rope_parameters"] = scaling;
    newer.config["rope_parameters"]["rope_theta"] = 10000.0;
    const auto want = logits_of(older);
    EXPECT_EQ(logits_of(newer), want) << scaling;
    for (const auto& other : seen) EXPECT_GT(relative_error(want, other), 1e-5) << scaling;
    seen.push_back(want);
  }
  model.config["rope_scaling"] = {{"type", "dynamic"}, {"factor", 4.0}};
  EXPECT_EQ(logits_of(model), plain);
  // A context of 32 tokens is twice what it was trained for: factor * 2 - (factor - 1) = 5.
  HfModel stretched = model;
  model.config["max_position_embeddings"] = 16;
  stretched.config["rope_scaling"] = {{"type", "ntk"}, {"factor", 5.0}};
  const auto want = logits_of(stretched);
  EXPECT_GT(relative_error(want, plain), 1e-4);
  EXPECT_EQ(logits_of(model), want);
  EXPECT_LE(relative_error(logits_of(model, Device::cpu(1), 7), want), 1e-5);
}

}  // namespace
}  // namespace weft
