// `weft convert`: what comes out is the model that went in, and what llama.cpp's converter writes.
#include <gtest/gtest.h>

#include <algorithm>
#include <fstream>
#include <map>
#include <nlohmann/json.hpp>
#include <sstream>

#include "core/utf8.h"
#include "runtime/files/gguf_writer.h"
#include "runtime/text/tokenizer/tokenizer.h"
#include "tests/command.h"
#include "tests/errors.h"
#include "tests/hf_model.h"
#include "tests/logits_error.h"
#include "tests/model_logits.h"
#include "tests/safetensors_bytes.h"

namespace weft::test {
namespace {

namespace fs = std::filesystem;
using Ids = std::vector<int32_t>;
using nlohmann::json;

CommandResult convert(const fs::path& from, const fs::path& to, const std::string& type = "") {
  std::vector<std::string> arguments = {"convert", from.string(), to.string()};
  if (!type.empty()) arguments.insert(arguments.end(), {"--type", type});
  return run_weft(arguments);
}

std::string files_in(const fs::path& folder) {
  std::vector<std::string> names;
  for (const auto& entry : fs::directory_iterator(folder)) names.push_back(entry.path().filename().string());
  std::sort(names.begin(), names.end());
  std::string all;
  for (const std::string& name : names) all += name + " ";
  return all;
}

std::string bytes_of(const GgufTensor& tensor) { return {reinterpret_cast<const char*>(tensor.data), tensor.bytes}; }

class ConvertGolden : public testing::TestWithParam<const char*> {};

TEST_P(ConvertGolden, GivesTheSameLogitsAndIds) {
  WEFT_SHARED_OR_SKIP(directory, "data/golden/" + std::string(GetParam()));
  const TemporaryFolder folder;
  const fs::path file = folder / "model.gguf";
  const CommandResult run = convert(directory, file);
  ASSERT_EQ(run.code, 0) << run.err;
  EXPECT_EQ(run.out, "");
  const fs::path golden = directory.parent_path();
  const json expected = json::parse(read_file(golden / "expected.json"))[directory.filename().string()];
  const Ids tokens = expected["tokens"];
  const std::vector<float> got = exact_logits(file, tokens);
  EXPECT_LE(relative_error(got, read_floats(golden / expected["logits"])), 1e-4);
  EXPECT_LE(relative_error(got, exact_logits(directory, tokens)), 1e-5);

  const auto tokenizer = load_tokenizer(GgufFile::open(file));
  if (!fs::exists(golden / "tokenizer_samples.json")) return;
  const bool marks_spaces = GgufFile::open(file).get_string("tokenizer.ggml.model", "") == "llama";
  size_t checked = 0;
  for (const json& sample : json::parse(read_file(golden / "tokenizer_samples.json"))) {
    const std::string text = sample["text"];
    // Where spaces are marked, GGUF has no word for what these directories do: they put no space before text that
    // has one already, or that follows a special token.
    if (marks_spaces && (text.starts_with(' ') || text.find("<s>") != std::string::npos)) continue;
    EXPECT_EQ(tokenizer->encode(text, true), sample["ids"].get<Ids>()) << in_quotes(text);
    ++checked;
  }
  EXPECT_GE(checked, 14u);
}

INSTANTIATE_TEST_SUITE_P(Golden, ConvertGolden,
                         testing::Values("llama2-mha/hf", "llama3-gqa/hf", "llama-linear/hf", "llama-yarn/hf",
                                         "llama-fused/hf", "llama-fused/hf-fused", "mistral/hf", "mistral-window/hf",
                                         "mixtral/hf", "qwen2/hf", "qwen3/hf", "gemma2/hf", "gemma3/hf", "gpt2/hf",
                                         "phi3/hf"),
                         [](const auto& directory) {
                           std::string name = directory.param;
                           std::erase_if(name, [](char c) { return c == '-' || c == '/'; });
                           return name;
                         });

// Every tensor byte for byte (rows of Q and K in their new order, rope_freqs among them), every key that llama.cpp
// needs with the same value.
TEST(Convert, WritesWhatLlamaCppWrites) {
  for (const std::string name :
       {"llama2-mha/F16", "llama3-gqa/BF16", "llama3-gqa/F16", "llama-linear/BF16", "llama-yarn/BF16", "mistral/BF16",
        "qwen2/BF16", "qwen3/BF16", "gemma2/BF16", "gemma3/BF16", "gpt2/BF16", "phi3/BF16"}) {
    SCOPED_TRACE(name);
    const std::string model = name.substr(0, name.find('/')), type = name.substr(name.find('/') + 1);
    WEFT_SHARED_OR_SKIP(reference, "data/golden/" + model + "/" + model + "-" + type + ".gguf");
    const TemporaryFolder folder;
    const CommandResult run = convert(reference.parent_path() / "hf", folder / "model.gguf", type);
    ASSERT_EQ(run.code, 0) << run.err;
    const GgufFile ours = GgufFile::open(folder / "model.gguf"), theirs = GgufFile::open(reference);
    EXPECT_EQ(ours.tensors().size(), theirs.tensors().size());
    for (const GgufTensor& tensor : theirs.tensors()) {
      const GgufTensor* found = ours.find_tensor(tensor.name);
      ASSERT_NE(found, nullptr) << tensor.name;
      EXPECT_EQ(found->type, tensor.type) << tensor.name;
      EXPECT_TRUE(std::ranges::equal(found->shape(), tensor.shape())) << tensor.name;
      EXPECT_TRUE(bytes_of(*found) == bytes_of(tensor)) << tensor.name;
    }
    for (const GgufEntry& entry : theirs.metadata()) {
      if (entry.key == "general.name" || entry.key == "tokenizer.ggml.add_sep_token") continue;
      // The tokenizers of these are not theirs.
      const bool is_made = model == "qwen3" || model == "gpt2" || model == "phi3" || model.starts_with("gemma");
      if (entry.key.starts_with("tokenizer.") && is_made) continue;
      const GgufValue* found = ours.find(entry.key);
      ASSERT_NE(found, nullptr) << entry.key;
      weft::GgufMetadata a, b;
      a.set(entry.key, *found), b.set(entry.key, entry.value);
      EXPECT_EQ(a.entries()[0].second, b.entries()[0].second) << entry.key;
    }
  }
}

// A tokenizer for the small models.
json small_tokenizer() {
  json vocabulary;
  for (int i = 0; i < 26; ++i) vocabulary[std::string(1, static_cast<char>('a' + i))] = i;
  vocabulary["ab"] = 26;
  return {{"added_tokens", json::array()},
          {"normalizer", nullptr},
          {"pre_tokenizer", {{"type", "ByteLevel"}, {"add_prefix_space", false}}},
          {"post_processor", nullptr},
          {"decoder", {{"type", "ByteLevel"}}},
          {"model", {{"type", "BPE"}, {"vocab", vocabulary}, {"merges", {"a b"}}}}};
}

class ConvertSmall : public testing::Test {
 protected:
  // The bytes of the file that comes out; the error where none does.
  std::string converted(const HfModel& model, const std::string& stored = "F32", int shards = 1,
                        const std::string& type = "") {
    const TempDirectory directory;
    directory.write(model, stored, shards);
    if (!tokenizer_.is_null()) directory.write("tokenizer.json", tokenizer_.dump());
    for (const auto& [name, text] : more_) directory.write(name, text);
    const fs::path file = folder_ / "out.gguf";
    fs::remove(file);
    if (!before_.empty()) std::ofstream(file) << before_;
    const CommandResult run = convert(directory.path(), file, type);
    EXPECT_EQ(files_in(folder_ / "."), run.code == 0 || !before_.empty() ? "out.gguf " : "");
    EXPECT_LE(run.code, 1) << run.err;
    if (run.code != 0 && !before_.empty()) {
      EXPECT_EQ(read_file(file), before_);
    }
    std::string bytes = run.code == 0 ? read_file(file) : run.err;
    // Directories differ in their names, which become general.name.
    const std::string name = directory.path().filename().string();
    if (const size_t at = bytes.find(name); run.code == 0 && at != std::string::npos) bytes.erase(at, name.size());
    return bytes;
  }

  TemporaryFolder folder_;
  json tokenizer_ = small_tokenizer();
  std::map<std::string, std::string> more_;  // files of the directory
  std::string before_;                       // what is in the way of the output
};

TEST_F(ConvertSmall, PackagingMakesNoDifference) {
  for (const char* type : {"llama", "qwen2", "mixtral"}) {
    const HfModel plain = HfModel::random(type);
    const std::string file = converted(plain);
    ASSERT_EQ(file.substr(0, 4), "GGUF") << file;
    EXPECT_TRUE(converted(plain, "F32", 3) == file) << type << " in shards";
    HfModel packed = plain;
    if (plain.config.contains("num_local_experts")) packed.stack_experts();
    else packed.fuse();
    EXPECT_TRUE(converted(packed) == file) << type << ", packed";
  }
}

TEST_F(ConvertSmall, TypesOfMatricesAndVectors) {
  const HfModel model = HfModel::random("mixtral");
  for (const auto& [stored, asked, wanted] : {std::tuple{"F32", "", Format::f32},
                                              {"F16", "", Format::f16},
                                              {"BF16", "", Format::bf16},
                                              {"BF16", "F32", Format::f32},
                                              {"F32", "bf16", Format::bf16}}) {
    ASSERT_EQ(converted(model, stored, 1, asked).substr(0, 4), "GGUF");
    const GgufFile file = GgufFile::open(folder_ / "out.gguf");
    for (const GgufTensor& tensor : file.tensors()) {
      const bool plain = tensor.shape().size() == 1 || tensor.name.ends_with("ffn_gate_inp.weight");
      EXPECT_EQ(file.format(tensor), plain ? Format::f32 : wanted) << tensor.name;
    }
  }
}

// A directory of several formats loses nothing.
TEST_F(ConvertSmall, MatricesKeepTheFormatThatEachHas) {
  const HfModel model = HfModel::random("llama");
  const TempDirectory directory;
  HfTensors head = {{"lm_head.weight", model.tensors.at("lm_head.weight")}}, rest = model.tensors;
  rest.erase("lm_head.weight");
  json map;
  for (const auto& [name, tensor] : rest) map[name] = "rest.safetensors";
  map["lm_head.weight"] = "head.safetensors";
  directory.write("config.json", model.config.dump());
  directory.write("head.safetensors", safetensors_bytes(head, "F32"));
  directory.write("rest.safetensors", safetensors_bytes(rest, "BF16"));
  directory.write("model.safetensors.index.json", json{{"weight_map", map}}.dump());
  directory.write("tokenizer.json", tokenizer_.dump());
  const fs::path file = folder_ / "out.gguf";
  ASSERT_EQ(convert(directory.path(), file).code, 0);
  const GgufFile gguf = GgufFile::open(file);
  for (const GgufTensor& tensor : gguf.tensors()) {
    const bool plain = tensor.shape().size() == 1 || tensor.name == "output.weight";
    EXPECT_EQ(gguf.format(tensor), plain ? Format::f32 : Format::bf16) << tensor.name;
  }
}

TEST_F(ConvertSmall, Splits) {
  const TempDirectory directory;
  directory.write(HfModel::random("mixtral"));
  directory.write("tokenizer.json", tokenizer_.dump());
  const Ids tokens = {1, 5, 9, 2, 33, 7};
  ASSERT_EQ(convert(directory.path(), folder_ / "whole.gguf").code, 0);
  const CommandResult run =
      run_weft({"convert", directory.path().string(), (folder_ / "out.gguf").string(), "--split-max-size", "40K"});
  ASSERT_EQ(run.code, 0) << run.err;
  EXPECT_CONTAINS(run.err, "out-00001-of-0000");
  EXPECT_FALSE(fs::exists(folder_ / "out.gguf"));
  size_t parts = 0;
  for (const auto& entry : fs::directory_iterator(folder_ / ".")) {
    if (entry.path().filename() == "whole.gguf") continue;
    ++parts;
    EXPECT_LE(entry.file_size(), 40000u);
    EXPECT_EQ(exact_logits(entry.path(), tokens), exact_logits(folder_ / "whole.gguf", tokens));
  }
  EXPECT_GE(parts, 2u);
}

TEST_F(ConvertSmall, TensorsWithoutElements) {
  HfModel model = HfModel::random("llama");
  const std::string file = converted(model);
  model.tensors["feature.flag"] = {{0, 64}, {}};
  EXPECT_TRUE(converted(model) == file);
  model.tensors["model.embed_tokens.weight"] = {{0, HfModel::kEmbed}, {}};
  EXPECT_CONTAINS(converted(model), "tensor 'model.embed_tokens.weight' has no elements");
}

TEST_F(ConvertSmall, AnOutputThatIsNotTheEmbeddingIsNotTied) {
  HfModel model = HfModel::random("llama");
  const std::string file = converted(model);
  model.config["tie_word_embeddings"] = true;
  EXPECT_TRUE(converted(model) == file);
  model.tensors["lm_head.weight"] = model.tensors["model.embed_tokens.weight"];
  ASSERT_EQ(converted(model).substr(0, 4), "GGUF");
  EXPECT_EQ(GgufFile::open(folder_ / "out.gguf").find_tensor("output.weight"), nullptr);
}

// The length before stretching is that of the context, where a configuration does not state it.
TEST_F(ConvertSmall, ScaledContextsWithoutTheirOriginalLength) {
  HfModel model = HfModel::random("llama");
  model.config["rope_scaling"] = {
      {"rope_type", "llama3"}, {"factor", 8.0}, {"low_freq_factor", 1.0}, {"high_freq_factor", 4.0}};
  const std::string without = converted(model);
  model.config["rope_scaling"]["original_max_position_embeddings"] = model.config["max_position_embeddings"];
  ASSERT_EQ(without.substr(0, 4), "GGUF") << without;
  EXPECT_TRUE(converted(model) == without);
}

TEST_F(ConvertSmall, DynamicScalingIsNoted) {
  HfModel model = HfModel::random("llama");
  model.config["rope_scaling"] = {{"rope_type", "dynamic"}, {"factor", 4.0}};
  const TempDirectory directory;
  directory.write(model);
  directory.write("tokenizer.json", tokenizer_.dump());
  const CommandResult run = convert(directory.path(), folder_ / "out.gguf");
  EXPECT_EQ(run.code, 0);
  EXPECT_CONTAINS(run.err,
                  "note: GGUF cannot express dynamic scaling: the file matches the directory up to 128 tokens");
}

TEST_F(ConvertSmall, AllThatIsWrongWithTensorsInOneError) {
  HfModel model = HfModel::random("llama");
  model.tensors.erase("model.layers.1.self_attn.k_proj.weight");
  model.tensors["model.layers.0.mlp.down_proj.weight"].shape = {HfModel::kHidden, HfModel::kEmbed};
  model.tensors["model.layers.0.extra"] = {{1}, {0.0f}};
  before_ = "an older file";
  const std::string error = converted(model);
  EXPECT_CONTAINS(error, "cannot be converted");
  EXPECT_CONTAINS(error, "'model.layers.1.self_attn.k_proj.weight' is missing");
  EXPECT_CONTAINS(error, "'model.layers.0.mlp.down_proj.weight' is [24, 32], expected embed 32 x hidden 24");
  EXPECT_CONTAINS(error, "'model.layers.0.extra' is not part of this architecture");
}

TEST_F(ConvertSmall, ConfigsThatGgufHasNoWordFor) {
  const auto error_with = [&](const char* key, const json& value) {
    HfModel model = HfModel::random("llama");
    model.config[key] = value;
    return converted(model);
  };
  EXPECT_CONTAINS(error_with("model_type", "gemma"), "gemma");
  EXPECT_CONTAINS(error_with("hidden_act", "gelu"), "hidden_act");
  EXPECT_CONTAINS(error_with("brand_new_option", 3), "brand_new_option");
  EXPECT_CONTAINS(error_with("rope_scaling", {{"rope_type", "spiral"}, {"factor", 2.0}}), "spiral");
  EXPECT_CONTAINS(error_with("partial_rotary_factor", 0.5), "partial_rotary_factor");
  EXPECT_CONTAINS(error_with("num_hidden_layers", 3), "'model.layers.2.input_layernorm.weight' is missing");
  HfModel model = HfModel::random("mixtral");
  model.config["num_experts_per_tok"] = 5;
  EXPECT_CONTAINS(converted(model), "key 'num_experts_per_tok': is more than there are experts");
}

// Integers as floats, lists with the same for every layer, a factor that is an integer.
TEST_F(ConvertSmall, OtherSpellingsOfAConfiguration) {
  HfModel model = HfModel::random("mistral");
  model.config["sliding_window"] = 8, model.config["rope_scaling"] = {{"rope_type", "linear"}, {"factor", 4.0}};
  model.config["bos_token_id"] = 1, model.config["eos_token_id"] = {2, 3};
  const std::string file = converted(model);
  ASSERT_EQ(file.substr(0, 4), "GGUF") << file;
  EXPECT_EQ(GgufFile::open(folder_ / "out.gguf").get_u32("tokenizer.ggml.eos_token_id"), 2u);
  HfModel other = model;
  for (auto& [key, value] : other.config.items()) {
    if (value.is_number_integer()) value = value.get<double>();
  }
  other.config["eos_token_id"] = {2.0, 3.0};
  other.config["num_key_value_heads"] = {2, 2.0}, other.config["sliding_window"] = {8, 8};
  other.config["rope_theta"] = 10000, other.config["rope_scaling"]["factor"] = 4;
  EXPECT_TRUE(converted(other) == file);
  other.config["rope_scaling"].erase("rope_type");
  EXPECT_CONTAINS(converted(other), "key 'rope_scaling.factor': is given without");
  other = model, other.config["num_key_value_heads"] = {2, 1};
  EXPECT_CONTAINS(converted(other), "key 'num_key_value_heads': is 2 for layer 0, but 1 for layer 1");
  other = model, other.config["sliding_window"] = {8, 4};
  EXPECT_CONTAINS(converted(other), "key 'sliding_window': is not that of all layers");
  other = model, other.config["bos_token_id"] = 1.5;
  EXPECT_CONTAINS(converted(other), "bos_token_id: is 1.5, not a whole number");
}

// Every command that needs the weights says so, in one line; the others go on.
TEST_F(ConvertSmall, DirectoriesThatAnotherFrameworkQuantized) {
  HfModel model = HfModel::random("llama");
  model.config["quantization"] = {{"group_size", 64}, {"bits", 4}};
  const TempDirectory directory;
  directory.write("config.json", model.config.dump());
  directory.write("tokenizer.json", tokenizer_.dump());
  directory.write("model.safetensors",
                  safetensors_bytes(R"({"lm_head.weight":{"dtype":"U32","shape":[2,1],"data_offsets":[0,8]}})",
                                    std::string(8, '\1')));
  const std::string path = directory.path().string(), output = (folder_ / "out").string();
  const std::string reason =
      path +
      "/config.json: key 'quantization': the weights are quantized by MLX (4 bits, groups of "
      "64), which this build does not support; take the model in F32, F16 or BF16, or a GGUF file of it\n";
  for (const auto& arguments :
       std::vector<std::vector<std::string>>{{"run", "-m", path, "-p", "ab"},
                                             {"chat", "-m", path},
                                             {"logits", "-m", path, "-p", "ab", "-o", output},
                                             {"perplexity", "-m", path, "-f", path + "/config.json"},
                                             {"explain", "-m", path},
                                             {"trace", "-m", path, "-p", "ab", "-o", output},
                                             {"convert", path, output},
                                             {"quantize", path, output, "--type", "Q8_0"}}) {
    const CommandResult run = run_weft(arguments);
    EXPECT_EQ(run.code, 1) << arguments[0];
    EXPECT_EQ(run.err, "weft: error: " + reason) << arguments[0];
    EXPECT_FALSE(fs::exists(output)) << arguments[0];
  }
  const CommandResult inspect = run_weft({"inspect", path}), tokenize = run_weft({"tokenize", "-m", path, "-p", "ab"});
  EXPECT_EQ(inspect.code, 0);
  EXPECT_CONTAINS(inspect.out, "lm_head.weight  U32");
  EXPECT_CONTAINS(inspect.out, "\ncannot be run: " + reason);
  EXPECT_EQ(tokenize.code, 0);
}

TEST_F(ConvertSmall, TokenizersThatGgufHasNoWordFor) {
  const HfModel model = HfModel::random("llama");
  const auto error_with = [&](const char* key, const json& value) {
    tokenizer_ = small_tokenizer();
    tokenizer_[key] = value;
    return converted(model);
  };
  const json digits = {{"type", "Digits"}, {"individual_digits", true}};
  const json bytes = small_tokenizer()["pre_tokenizer"];
  EXPECT_CONTAINS(error_with("pre_tokenizer", {{"type", "Sequence"}, {"pretokenizers", {digits, bytes}}}),
                  "pre_tokenizer.pretokenizers[0]: is 'Digits'");
  EXPECT_CONTAINS(error_with("pre_tokenizer", digits), "which GGUF cannot express");
  EXPECT_CONTAINS(error_with("normalizer", {{"type", "Lowercase"}}), "normalizer: is 'Lowercase'");
  json many = small_tokenizer()["model"];
  for (int i = 27; i <= HfModel::kVocab; ++i) many["vocab"]["token" + std::to_string(i)] = i;
  EXPECT_CONTAINS(error_with("model", many), "has 41 tokens, but the model has rows for 40");
  tokenizer_ = nullptr;
  EXPECT_CONTAINS(converted(model), "neither tokenizer.model nor tokenizer.json");
}

// Rows of the embedding beyond the vocabulary get tokens that no text becomes.
TEST_F(ConvertSmall, FillsUpTheVocabulary) {
  ASSERT_EQ(converted(HfModel::random("qwen2")).substr(0, 4), "GGUF");
  const auto tokenizer = load_tokenizer(GgufFile::open(folder_ / "out.gguf"));
  EXPECT_EQ(tokenizer->vocab_size(), static_cast<size_t>(HfModel::kVocab));
  EXPECT_EQ(tokenizer->encode("abba", false), (Ids{26, 1, 0}));
}

// GGUF has places for two tokens that end generation beside the end of text; texts that are known need none.
TEST_F(ConvertSmall, WhatEndsGeneration) {
  tokenizer_["added_tokens"] = json::array({{{"id", 27}, {"content", "<|im_end|>"}, {"special", false}}});
  const auto ends = [&](const json& ids) {
    more_["generation_config.json"] = json{{"eos_token_id", ids}}.dump();
    EXPECT_EQ(converted(HfModel::random("qwen2")).substr(0, 4), "GGUF");
    const auto all = load_tokenizer(GgufFile::open(folder_ / "out.gguf"));
    return std::vector<int32_t>(all->end_of_generation().begin(), all->end_of_generation().end());
  };
  const auto number = [&](const char* key) {
    return GgufFile::open(folder_ / "out.gguf").get_u32(std::string("tokenizer.ggml.") + key, 99);
  };
  EXPECT_EQ(ends(3), (std::vector<int32_t>{3, 27}));
  EXPECT_EQ(number("eot_token_id"), 27u);
  EXPECT_EQ(GgufFile::open(folder_ / "out.gguf").get_i32_array("tokenizer.ggml.token_type")[27], 3);  // control
  EXPECT_EQ(ends({3, 1, 27}), (std::vector<int32_t>{1, 3, 27}));
  EXPECT_EQ(number("eot_token_id"), 1u);
  EXPECT_EQ(number("eom_token_id"), 99u);
  EXPECT_EQ(ends({3, 1, 2}), (std::vector<int32_t>{1, 2, 3, 27}));
  EXPECT_EQ(number("eom_token_id"), 2u);
  EXPECT_EQ(ends({3, 1, 2, 5, 4}), (std::vector<int32_t>{1, 2, 3, 4, 5, 27}));
}

// In a directory they are not text, and are accepted.
TEST_F(ConvertSmall, ADirectoryMayHaveMoreRowsThanItsTokenizerHasTokens) {
  const TempDirectory directory;
  directory.write(HfModel::random("qwen2"));
  directory.write("tokenizer.json", tokenizer_.dump());
  const auto run = [&](const char* flag, const char* prompt) {
    return run_weft({"run", "-m", directory.path().string(), flag, prompt, "-n", "30", "--temp", "5", "-s", "1"});
  };
  const CommandResult ids = run("--tokens", "26,1,0"), text = run("-p", "abba");
  std::istringstream chosen(ids.out);
  std::string want;
  bool beyond = false;
  for (int id = 0; chosen >> id;) {
    beyond = beyond || id > 26;
    if (id < 26) want += static_cast<char>('a' + id);
    if (id == 26) want += "ab";
  }
  EXPECT_TRUE(beyond) << ids.out;
  EXPECT_EQ(text.code, 0) << text.err;
  EXPECT_EQ(text.out, want + "\n");
}

TEST_F(ConvertSmall, ChatTemplates) {
  const HfModel model = HfModel::random("qwen2");
  const auto file = [&] {
    EXPECT_EQ(converted(model).substr(0, 4), "GGUF");
    return GgufFile::open(folder_ / "out.gguf");
  };
  EXPECT_EQ(file().find("tokenizer.chat_template"), nullptr);
  more_["tokenizer_config.json"] = json{{"chat_template", "one"}}.dump();
  EXPECT_EQ(file().get_string("tokenizer.chat_template"), "one");
  more_["tokenizer_config.json"] =
      json{{"chat_template",
            {{{"name", "default"}, {"template", "two"}}, {{"name", "tool_use"}, {"template", "three"}}}}}
          .dump();
  EXPECT_EQ(file().get_string("tokenizer.chat_template"), "two");
  EXPECT_EQ(file().get_string("tokenizer.chat_template.tool_use"), "three");
  EXPECT_EQ(file().get_string_array("tokenizer.chat_templates"), std::vector<std::string_view>{"tool_use"});
  more_["chat_template.jinja"] = "four";
  EXPECT_EQ(file().get_string("tokenizer.chat_template"), "four");
}

// Eight-bit floats with scales of blocks become BF16, rows of Q and K in their new order among them. Where scales are
// powers of two that is exact.
TEST_F(ConvertSmall, EightBitFloats) {
  HfModel model = HfModel::random("llama");
  model.config["quantization_config"] = {{"quant_method", "fp8"}, {"weight_block_size", {16, 8}}};
  json header = json::object();
  std::string data;
  const auto add = [&](const std::string& name, const char* type, const std::vector<int64_t>& shape,
                       const std::string& bytes) {
    header[name] = {{"dtype", type}, {"shape", shape}, {"data_offsets", {data.size(), data.size() + bytes.size()}}};
    data += bytes;
  };
  uint32_t seed = 1;
  for (const auto& [name, tensor] : model.tensors) {
    if (tensor.shape.size() == 1 || !name.starts_with("model.layers.")) {
      add(name, "F32", tensor.shape, float_bytes(tensor.values));
      continue;
    }
    std::string bytes(tensor.values.size(), '\0');
    for (char& byte : bytes) {  // of moderate size
      seed = seed * 1664525 + 1013904223;
      byte = static_cast<char>(40 + seed / 0x8000000 + (seed >> 20 & 1) * 128);
    }
    add(name, "F8_E4M3", tensor.shape, bytes);
    const int64_t down = (tensor.shape[0] + 15) / 16, across = (tensor.shape[1] + 7) / 8;
    std::vector<float> scales(static_cast<size_t>(down * across));
    for (size_t i = 0; i < scales.size(); ++i) scales[i] = i % 2 == 0 ? 0.25f : 0.125f;
    add(name + "_scale_inv", "F32", {down, across}, float_bytes(scales));
  }
  const TempDirectory directory;
  directory.write("config.json", model.config.dump());
  directory.write("model.safetensors", safetensors_bytes(header.dump(), data));
  directory.write("tokenizer.json", tokenizer_.dump());
  const CommandResult run = convert(directory.path(), folder_ / "out.gguf");
  ASSERT_EQ(run.code, 0) << run.err;
  const GgufFile file = GgufFile::open(folder_ / "out.gguf");
  EXPECT_EQ(file.find_tensor("blk.0.attn_q.weight")->type_name, "BF16");
  EXPECT_EQ(file.find_tensor("blk.1.ffn_down.weight")->type_name, "BF16");
  const Ids tokens = {1, 5, 9, 2, 30, 17, 4, 8};
  const auto want = exact_logits(directory.path(), tokens);
  EXPECT_GT(std::abs(want[0]), 1e-3f);
  EXPECT_LE(relative_error(exact_logits(folder_ / "out.gguf", tokens), want), 1e-5);
}

// The value that F16 does not reach is found when most of the file is written.
TEST_F(ConvertSmall, FailingLateLeavesWhatWasThere) {
  HfModel model = HfModel::random("llama");
  model.tensors["lm_head.weight"].values[5] = 1e6f;
  for (const char* before : {"", "an older file"}) {
    before_ = before;
    const std::string error = converted(model, "F32", 1, "F16");
    EXPECT_CONTAINS(error, "tensor 'lm_head.weight'");
    EXPECT_CONTAINS(error, "5");
  }
}

TEST_F(ConvertSmall, OutputsThatCannotBe) {
  const TempDirectory directory;
  directory.write(HfModel::random("llama"));
  directory.write("tokenizer.json", small_tokenizer().dump());
  const fs::path shard = directory.path() / "model.safetensors";
  const std::string before = read_file(shard);
  EXPECT_CONTAINS(convert(directory.path(), shard).err, "is part of the input");
  EXPECT_TRUE(read_file(shard) == before);
  EXPECT_CONTAINS(convert(directory.path(), folder_ / "absent" / "out.gguf").err, "No such file");
  EXPECT_CONTAINS(convert(directory.path(), directory.path()).err, "Is a directory");
  EXPECT_CONTAINS(convert(shipped_model(), folder_ / "out.gguf").err, "is a GGUF file already");
  EXPECT_EQ(convert(directory.path(), folder_ / "out.gguf", "Q4_0").code, 2);
  EXPECT_EQ(files_in(folder_ / "."), "");
}

}  // namespace
}  // namespace weft::test
