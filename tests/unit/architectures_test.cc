// What must be equal between models that say the same thing in other words, on random small models.
#include <gtest/gtest.h>

#include <functional>

#include "models/registry.h"
#include "runtime/engine.h"
#include "tests/errors.h"
#include "tests/gguf_writer.h"
#include "tests/gpu_device.h"
#include "tests/hf_model.h"
#include "tests/logits_error.h"

namespace weft {
namespace {

using test::HfModel;
using test::relative_error;
using test::TempDirectory;

std::vector<float> logits_of(const std::filesystem::path& path, const Device& device = Device::cpu(1), size_t chunk = 32) {
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

// An output of its own counts, whatever the configuration says.
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
  for (const char* name : {"layers.0.self_attn.q_proj.bias", "layers.1.self_attn.v_proj.bias", "layers.1.self_attn.o_proj.bias",
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
  for (const auto& [key, value] : std::map<std::string, nlohmann::json>{
           {"sliding_window", 8},                                    // no option of Llama
           {"attn_logit_softcapping", 30.0},
           {"quantization_config", {{"bits", 4}}},
           {"hidden_act", "gelu"},
           {"rope_scaling", {{"rope_type", "longrope"}, {"factor", 2.0}}},
           {"rope_scaling", {{"rope_type", "linear"}}},              // without its factor
           {"rope_parameters", {{"rope_theta", 5000.0}}},            // contradicts rope_theta
           {"num_attention_heads", 3},
           {"num_hidden_layers", 1000000000}}) {
    HfModel model = HfModel::random("llama");
    model.config[key] = value;
    const std::string error = error_of(model);
    EXPECT_CONTAINS(error, "config.json: key '" + key) << error;
  }
  HfModel model = HfModel::random("llama");
  model.config["model_type"] = "gpt_neox";
  EXPECT_CONTAINS(error_of(model), "'gpt_neox' is not among those of this build: llama, mistral, mixtral, qwen2");
  // What is switched off, or says nothing about the computation, is no obstacle.
  model = HfModel::random("llama");
  const auto want = logits_of(model);
  for (const auto& [key, value] : std::map<std::string, nlohmann::json>{
           {"attn_logit_softcapping", nullptr}, {"some_switch", false}, {"_name_or_path", "x"}, {"eos_token_id", {1, 2}},
           {"partial_rotary_factor", 1.0}, {"rope_scaling", nullptr}, {"initializer_range", 0.02}}) {
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
      {{"rope_type", "llama3"}, {"factor", 8.0}, {"low_freq_factor", 1.0}, {"high_freq_factor", 4.0},
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
