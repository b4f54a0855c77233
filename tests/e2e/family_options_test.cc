// Options of the golden models that tests/data has for certain: every shape of a configuration says the same, every
// option counts, and converting keeps it.
#include <gtest/gtest.h>

#include <cmath>
#include <fstream>
#include <functional>
#include <nlohmann/json.hpp>

#include "runtime/files/safetensors.h"
#include "tests/command.h"
#include "tests/errors.h"
#include "tests/hf_model.h"
#include "tests/logits_error.h"
#include "tests/model_logits.h"

namespace weft::test {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

fs::path golden(const std::string& family) { return source_dir() / "tests/data/golden" / family; }

std::vector<int32_t> tokens_of(const std::string& family) {
  return json::parse(std::ifstream(golden(family) / "expected.json"))["hf"]["tokens"];
}

// The golden directory with another configuration.
class Changed {
 public:
  Changed(const std::string& family, const std::function<void(json&)>& change) : family_(family) {
    for (const auto& entry : fs::directory_iterator(golden(family) / "hf")) {
      fs::create_symlink(entry.path(), directory_.path() / entry.path().filename());
    }
    json config = json::parse(std::ifstream(golden(family) / "hf/config.json"));
    change(config);
    fs::remove(directory_.path() / "config.json");
    directory_.write("config.json", config.dump());
  }
  const fs::path& path() const { return directory_.path(); }
  std::vector<float> logits() const { return exact_logits(path(), tokens_of(family_)); }
  // Of the file that `weft convert` makes.
  std::vector<float> converted_logits() const {
    const TemporaryFolder folder;
    const CommandResult run = run_weft({"convert", path().string(), (folder / "model.gguf").string()});
    EXPECT_EQ(run.code, 0) << run.err;
    return exact_logits(folder / "model.gguf", tokens_of(family_));
  }

 private:
  std::string family_;
  TempDirectory directory_;
};

std::vector<float> golden_logits(const std::string& family) {
  return exact_logits(golden(family) / "hf", tokens_of(family));
}

TEST(FamilyOptions, BothShapesOfGemma3sConfiguration) {
  const Changed older("gemma3", [](json& config) {
    config.erase("rope_parameters"), config.erase("layer_types"), config.erase("_sliding_window_pattern");
    config["rope_theta"] = 1e6, config["rope_local_base_freq"] = 10000.0, config["sliding_window_pattern"] = 6;
    config["rope_scaling"] = {{"rope_type", "linear"}, {"factor", 8.0}};
    config["cache_implementation"] = "hybrid";
  });
  EXPECT_EQ(older.logits(), golden_logits("gemma3"));
}

TEST(FamilyOptions, WhatTransformersTakesForAbsentKeys) {
  const auto without = [](std::initializer_list<const char*> keys) {
    return [=](json& config) {
      for (const char* key : keys) config.erase(key);
    };
  };
  EXPECT_EQ(Changed("gemma3", without({"layer_types", "tie_word_embeddings", "rms_norm_eps", "hidden_activation",
                                       "final_logit_softcapping"}))
                .logits(),
            golden_logits("gemma3"));
  EXPECT_EQ(Changed("gemma2", without({"layer_types", "tie_word_embeddings", "rms_norm_eps"})).logits(),
            golden_logits("gemma2"));
  EXPECT_EQ(Changed("qwen3", without({"layer_types", "use_sliding_window", "max_window_layers", "sliding_window",
                                      "tie_word_embeddings"}))
                .logits(),
            golden_logits("qwen3"));
}

TEST(FamilyOptions, EachCountsAndIsConverted) {
  const struct {
    const char* family;
    json change;
  } cases[] = {
      {"gemma2", {{"query_pre_attn_scalar", 40}}},
      {"gemma2", {{"attn_logit_softcapping", 2.0}}},
      {"gemma2", {{"final_logit_softcapping", 3.0}}},
      {"gemma2", {{"sliding_window", 5}}},
      {"gemma3", {{"query_pre_attn_scalar", 40}}},
      {"gemma3", {{"final_logit_softcapping", 3.0}}},
      {"gemma3", {{"sliding_window", 20}}},
      {"gemma3",
       {{"layer_types",
         {"sliding_attention", "full_attention", "full_attention", "sliding_attention", "full_attention",
          "sliding_attention", "sliding_attention"}}}},
      {"gemma3",
       {{"rope_parameters",
         {{"full_attention", {{"rope_type", "default"}, {"rope_theta", 1e6}}},
          {"sliding_attention", {{"rope_type", "default"}, {"rope_theta", 500.0}}}}}}},
      {"qwen3", {{"rms_norm_eps", 0.5}}},
      {"qwen3",
       {{"rope_parameters",
         {{"rope_type", "yarn"}, {"rope_theta", 1e4}, {"factor", 4.0}, {"original_max_position_embeddings", 16}}}}},
  };
  for (const auto& [family, change] : cases) {
    SCOPED_TRACE(std::string(family) + " " + change.dump());
    const Changed changed(family, [&with = change](json& config) { config.update(with); });
    const std::vector<float> logits = changed.logits();
    EXPECT_GT(relative_error(logits, golden_logits(family)), 1e-3);
    EXPECT_LE(relative_error(changed.converted_logits(), logits), 1e-5);
  }
}

// Files of the first weeks lack the caps, which are then the usual ones.
TEST(FamilyOptions, CapsThatAGgufFileDoesNotHave) {
  std::string bytes = read_file(golden("gemma2") / "gemma2-BF16.gguf");
  const std::string cap = "attn_logit_softcapping", other = "rope.scaling.finetuned";  // which says nothing
  ASSERT_EQ(cap.size(), other.size());
  bytes.replace(bytes.find(cap), cap.size(), other);
  const TempDirectory directory;
  directory.write("model.gguf", bytes);
  const Changed usual("gemma2", [](json& config) { config["attn_logit_softcapping"] = 50.0; });
  EXPECT_LE(relative_error(exact_logits(directory.path() / "model.gguf", tokens_of("gemma2")), usual.logits()), 1e-6);
}

TEST(FamilyOptions, WhatIsNotSupportedIsNamed) {
  const auto error = [](const std::string& family, const json& change) {
    const Changed changed(family, [&](json& config) { config.update(change); });
    return error_of([&] { changed.logits(); });
  };
  EXPECT_CONTAINS(error("gemma3", {{"model_type", "gemma3"}}),
                  "config.json: key 'model_type': 'gemma3' is not read; of this family 'gemma3_text' is");
  EXPECT_CONTAINS(error("gemma3", {{"hidden_activation", "gelu"}}),
                  "key 'hidden_activation': is not gelu_pytorch_tanh");
  EXPECT_CONTAINS(error("gemma3", {{"attn_logit_softcapping", 50.0}}), "'attn_logit_softcapping'");
  EXPECT_CONTAINS(error("gemma3", {{"use_bidirectional_attention", true}}), "'use_bidirectional_attention'");
  EXPECT_CONTAINS(error("gemma2", {{"layer_types", {"sliding_attention"}}}), "'layer_types'");
  EXPECT_CONTAINS(error("qwen3", {{"hidden_act", "gelu"}}), "key 'hidden_act': is not silu");
}

// The golden tensors, in f32.
HfTensors tensors_of(const std::string& family) {
  HfTensors tensors;
  const auto file = SafetensorsFile::open(golden(family) / "hf/model.safetensors");
  for (const SafetensorsTensor& tensor : file.tensors()) {
    HfTensor& copy = tensors[tensor.name] = {tensor.extents, {}};
    copy.values.resize(tensor.bytes / row_bytes(*tensor.format, 1));
    decode_row(*tensor.format, tensor.data, copy.values.size(), copy.values.data());
  }
  return tensors;
}

std::vector<float> logits_of(const std::string& family, const HfTensors& tensors) {
  const TempDirectory directory;
  directory.write("config.json", json::parse(std::ifstream(golden(family) / "hf/config.json")).dump());
  directory.write("model.safetensors", safetensors_bytes(tensors));
  return exact_logits(directory.path(), tokens_of(family));
}

// Of GPT-2: as if the queries were smaller or larger.
TEST(FamilyOptions, ScoresScaledByLayerOrNotAtAll) {
  for (const bool by_layer : {true, false}) {
    const std::string key = by_layer ? "scale_attn_by_inverse_layer_idx" : "scale_attn_weights";
    const Changed changed("gpt2", [&](json& config) { config[key] = by_layer; });
    HfTensors tensors = tensors_of("gpt2");
    for (int layer = 0; layer < 3; ++layer) {
      const std::string at = "transformer.h." + std::to_string(layer) + ".attn.c_attn.";
      const float factor = by_layer ? 1 / static_cast<float>(layer + 1) : std::sqrt(8.0f);
      for (const char* name : {"weight", "bias"}) {
        HfTensor& tensor = tensors.at(at + name);  // the columns of Q come first
        for (size_t i = 0; i < tensor.values.size(); ++i) {
          if (i % 120 < 40) tensor.values[i] *= factor;
        }
      }
    }
    EXPECT_LE(relative_error(changed.logits(), logits_of("gpt2", tensors)), 1e-5) << key;
    EXPECT_GT(relative_error(changed.logits(), golden_logits("gpt2")), 1e-3) << key;
    const TemporaryFolder folder;
    const CommandResult run = run_weft({"convert", changed.path().string(), (folder / "model.gguf").string()});
    EXPECT_CONTAINS(run.err, "key '" + key + "': " + (by_layer ? "true" : "false") + ": GGUF cannot express it");
  }
}

// Files of a bare model have no prefix; old ones have masks.
TEST(FamilyOptions, TensorsWithoutTheirPrefix) {
  HfTensors bare;
  for (auto& [name, tensor] : tensors_of("gpt2")) bare[name.substr(std::string("transformer.").size())] = tensor;
  bare["h.0.attn.bias"] = {{1, 1, 72, 72}, std::vector<float>(72 * 72, 1)};
  bare["h.0.attn.masked_bias"] = {{1}, {-1e4f}};
  EXPECT_LE(relative_error(logits_of("gpt2", bare), golden_logits("gpt2")), 1e-6);
  bare["h.0.attn.mask"] = {{1}, {1}};
  EXPECT_CONTAINS(error_of([&] { logits_of("gpt2", bare); }),
                  "tensor 'h.0.attn.mask' is not part of this architecture");
}

TEST(FamilyOptions, WidthsOfGpt2sNetwork) {
  EXPECT_EQ(Changed("gpt2", [](json& config) { config["n_inner"] = 160; }).logits(), golden_logits("gpt2"));
  EXPECT_CONTAINS(error_of([] { Changed("gpt2", [](json& config) { config["n_inner"] = 100; }).logits(); }),
                  "tensor 'transformer.h.0.mlp.c_fc.weight' is [40, 160], expected hidden 100 x embed 40, transposed");
  EXPECT_CONTAINS(
      error_of([] { Changed("gpt2", [](json& config) { config["activation_function"] = "gelu"; }).logits(); }),
      "key 'activation_function': is not gelu_pytorch_tanh");
  EXPECT_CONTAINS(
      error_of([] { Changed("gpt2", [](json& config) { config["add_cross_attention"] = true; }).logits(); }),
      "add_cross_attention");
}

// Longer contexts than that of training take the longer factors; the engine's has 64 tokens.
TEST(FamilyOptions, LongropeHasFactorsForTwoLengths) {
  const auto of = [](const std::function<void(json&, json&)>& change) {
    return Changed("phi3", [&](json& config) { change(config, config["rope_parameters"]); });
  };
  const auto want = golden_logits("phi3");
  EXPECT_EQ(of([](json&, json& rope) { rope["rope_type"] = "su"; }).logits(), want);
  EXPECT_EQ(of([](json&, json& rope) { rope["factor"] = 8; }).logits(), want);
  const auto trained_to = [](int tokens) {
    return [tokens](json& config, json& rope) {
      config["original_max_position_embeddings"] = rope["original_max_position_embeddings"] = tokens;
      rope["attention_factor"] = 1.2;
    };
  };
  const auto shorter = of(trained_to(64));
  const auto with_equal_factors = of([&](json& config, json& rope) {
    trained_to(63)(config, rope);
    rope["long_factor"] = rope["short_factor"];
  });
  EXPECT_EQ(shorter.logits(), with_equal_factors.logits());
  EXPECT_GT(relative_error(shorter.logits(), of(trained_to(63)).logits()), 1e-3);
  for (const Changed* model : {&shorter, &with_equal_factors}) {
    EXPECT_LE(relative_error(model->converted_logits(), model->logits()), 1e-5);
  }
  EXPECT_CONTAINS(error_of([&] { of([](json&, json& rope) { rope["long_factor"] = {1, 2, 3}; }).logits(); }),
                  "key 'rope_parameters.long_factor': has 3 values, expected 6");
  EXPECT_CONTAINS(error_of([&] { of([](json&, json& rope) { rope["short_factor"][2] = 0; }).logits(); }),
                  "has a factor at index 2 that is not above 0");
}

}  // namespace
}  // namespace weft::test
