// Options of the golden models that tests/data has for certain: every shape of a configuration says the same, every
// option counts, and converting keeps it.
#include <gtest/gtest.h>

#include <fstream>
#include <functional>
#include <nlohmann/json.hpp>

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

}  // namespace
}  // namespace weft::test
