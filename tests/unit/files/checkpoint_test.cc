// A model on disk: GGUF files and directories, sharded or not; what of them is refused, and how the error says so.
#include "runtime/files/checkpoint.h"

#include <gtest/gtest.h>

#include <array>
#include <concepts>
#include <fstream>
#include <nlohmann/json.hpp>

#include "models/registry.h"
#include "runtime/files/ggml_type.h"
#include "tests/command.h"
#include "tests/errors.h"
#include "tests/gguf_writer.h"
#include "tests/safetensors_bytes.h"

namespace weft {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;
using test::error_of;
using test::float_bytes;
using test::safetensors_bytes;
using test::TempFile;
using test::TemporaryFolder;

// A file with f32 tensors of these shapes, filled with 0.5.
std::string shard_of(const std::vector<std::pair<std::string, std::vector<int64_t>>>& tensors) {
  json header = json::object();
  size_t end = 0;
  for (const auto& [name, shape] : tensors) {
    size_t bytes = 4;
    for (const int64_t extent : shape) bytes *= static_cast<size_t>(extent);
    header[name] = {{"dtype", "F32"}, {"shape", shape}, {"data_offsets", {end, end + bytes}}};
    end += bytes;
  }
  return safetensors_bytes(header.dump(), float_bytes(std::vector<float>(end / 4, 0.5f)));
}

json llama_config() {
  return json::parse(R"({"model_type":"llama","hidden_size":8,"num_hidden_layers":1,"num_attention_heads":2,
    "num_key_value_heads":1,"intermediate_size":6,"vocab_size":5,"rms_norm_eps":1e-5,"max_position_embeddings":64,
    "rope_theta":10000.0,"rope_scaling":null,"torch_dtype":"float32","hidden_act":"silu",
    "tie_word_embeddings":true})");
}

using Shapes = std::vector<std::pair<std::string, std::vector<int64_t>>>;
Shapes llama_tensors() {
  const std::string layer = "model.layers.0.";
  return {{"model.embed_tokens.weight", {5, 8}},       {"model.norm.weight", {8}},
          {layer + "input_layernorm.weight", {8}},     {layer + "post_attention_layernorm.weight", {8}},
          {layer + "self_attn.q_proj.weight", {8, 8}}, {layer + "self_attn.k_proj.weight", {4, 8}},
          {layer + "self_attn.v_proj.weight", {4, 8}}, {layer + "self_attn.o_proj.weight", {8, 8}},
          {layer + "mlp.gate_proj.weight", {6, 8}},    {layer + "mlp.up_proj.weight", {6, 8}},
          {layer + "mlp.down_proj.weight", {8, 6}}};
}

class Directory : public testing::Test {
 protected:
  void write(const std::string& name, const std::string& bytes) {
    std::ofstream(folder_ / name, std::ios::binary) << bytes;
  }
  void write_json(const std::string& name, const json& content) { write(name, content.dump()); }
  fs::path path() const { return folder_ / ""; }
  std::string error() const {
    return error_of([&] { Checkpoint::open(path()); });
  }
  std::string load_error() const {
    return error_of([&] { load_model(Checkpoint::open(path())); });
  }

  TemporaryFolder folder_;
};

TEST_F(Directory, WithoutAModel) {
  EXPECT_CONTAINS(error(), "config.json: cannot open: No such file or directory; there is no GGUF file either");
  write_json("config.json", llama_config());
  EXPECT_CONTAINS(error(), "model.safetensors");
  for (const char* name : {"consolidated.00.pth", "pytorch_model.bin"}) {
    write(name, "PK\3\4");
    EXPECT_CONTAINS(error(), name);
    EXPECT_CONTAINS(error(), "save the model as safetensors");
  }
  write("model.safetensors", shard_of(llama_tensors()));
  EXPECT_EQ(load_error(), "(no error)");
}

// Nothing asks for the first; the second is needed.
TEST_F(Directory, TensorsWithoutElements) {
  write_json("config.json", llama_config());
  Shapes tensors = llama_tensors();
  tensors.push_back({"feature.flag", {0, 64}});
  write("model.safetensors", shard_of(tensors));
  const auto checkpoint = Checkpoint::open(path());
  const CheckpointTensor* empty = checkpoint->find("feature.flag");
  ASSERT_NE(empty, nullptr);
  EXPECT_EQ(empty->bytes, 0u);
  EXPECT_EQ(empty->extents, (std::vector<int64_t>{0, 64}));
  EXPECT_EQ(load_error(), "(no error)");
  tensors[1].second = {0};
  write("model.safetensors", shard_of(tensors));
  EXPECT_CONTAINS(load_error(), "tensor 'model.norm.weight' is [0], expected embed 8");
  tensors[1].second = {8}, tensors[0].second = {0, 8};
  write("model.safetensors", shard_of(tensors));
  EXPECT_CONTAINS(load_error(), "tensor 'model.embed_tokens.weight' has no elements");
}

TEST_F(Directory, OpensByItsNameOrByItsFile) {
  write_json("config.json", llama_config());
  write("model.safetensors", shard_of(llama_tensors()));
  for (const fs::path& path : {this->path(), folder_ / "model.safetensors"}) {
    const auto file = Checkpoint::open(path);
    EXPECT_EQ(file->convention(), Convention::hugging_face);
    EXPECT_EQ(file->architecture(), "llama");
    EXPECT_EQ(file->gguf(), nullptr);
    EXPECT_EQ(file->tensors().size(), 11u);
    EXPECT_EQ(file->find("model.norm.weight")->extents, (std::vector<int64_t>{8}));
    EXPECT_EQ(file->find("model.norm.weight")->format, Format::f32);
    EXPECT_EQ(file->find("absent"), nullptr);
    EXPECT_EQ(std::get<int64_t>(file->config().at("hidden_size")), 8);
    EXPECT_EQ(std::get<double>(file->config().at("rope_theta")), 10000.0);
    EXPECT_EQ(std::get<bool>(file->config().at("tie_word_embeddings")), true);
    EXPECT_FALSE(file->config().contains("rope_scaling"));  // null is absent
    EXPECT_EQ(file->bytes(), fs::file_size(folder_ / "model.safetensors"));
    const LanguageModel model = load_model(file);
    EXPECT_EQ(model.vocab, 5);
    EXPECT_EQ(model.context_length, 64);
  }
}

TEST_F(Directory, ConfigurationsNestOrAreFlat) {
  json config = llama_config();
  config.erase("rope_theta"), config.erase("rope_scaling"), config.erase("torch_dtype");
  config["rope_parameters"] = {{"rope_theta", 5e5}, {"rope_type", "default"}};
  config["dtype"] = "float32";
  config["eos_token_id"] = {1, 2};
  config["_name_or_path"] = "org/name";
  write_json("config.json", config);
  write("model.safetensors", shard_of(llama_tensors()));
  const auto file = Checkpoint::open(path());
  EXPECT_EQ(std::get<double>(file->config().at("rope_parameters.rope_theta")), 5e5);
  EXPECT_EQ(std::get<std::vector<double>>(file->config().at("eos_token_id")), (std::vector<double>{1, 2}));
  EXPECT_EQ(file->name(), "org/name");
  EXPECT_EQ(load_model(file).name, "org/name");
}

TEST_F(Directory, ConfigurationsThatAreNone) {
  write("model.safetensors", shard_of(llama_tensors()));
  EXPECT_CONTAINS(error(), "config.json: cannot open: No such file");
  for (const auto& [text, part] : std::vector<std::pair<std::string, std::string>>{
           {"", "config.json: is empty: download it again"},
           {"[]", "config.json: is not an object"},
           {"{}", "key 'model_type' is missing"},
           {R"({"model_type":7})", "key 'model_type' is missing or not a string"},
           {R"({"model_type":"llama","model_type":"llama"})", "'model_type' appears twice"},
           {R"({"model_type":"llama","a":{"b":1},"a.b":2})", "'a.b' appears both"},
           {R"({"model_type":"llama","a":[[1]]})", "key 'a': is not a valid value"},
           {R"({"model_type":"llama","a":[1,"b"]})", "key 'a': is not a valid value"},
           {R"({"model_type":"llama","a":)" + std::string(200, '{') + "}", "config.json: "},
           {std::string(200, '['), "nested deeper"},
           {"{\"model_type\":\"\xc3\"}", "is not JSON"}}) {
    write("config.json", text);
    EXPECT_CONTAINS(error(), part) << text;
  }
  write("config.json", R"({"model_type":"gpt9"})");
  EXPECT_CONTAINS(load_error(), "architecture 'gpt9' is not among those of this build");
}

TEST_F(Directory, HyperparametersThatCannotBe) {
  write("model.safetensors", shard_of(llama_tensors()));
  const auto with = [&](const std::string& key, const json& value) {
    json config = llama_config();
    config[key] = value;
    write_json("config.json", config);
    return load_error();
  };
  EXPECT_CONTAINS(with("hidden_size", nullptr), "key 'hidden_size': is missing");
  EXPECT_CONTAINS(with("hidden_size", "8"), "key 'hidden_size': is the string '8', not an integer");
  EXPECT_CONTAINS(with("hidden_size", 8.5), "key 'hidden_size': is 8.5, not an integer");
  EXPECT_CONTAINS(with("hidden_size", 0), "key 'hidden_size': 0 is not between");
  EXPECT_CONTAINS(with("hidden_size", -8), "key 'hidden_size': -8 is not between");
  EXPECT_CONTAINS(with("hidden_size", int64_t{1} << 40), "is not between");
  EXPECT_CONTAINS(with("hidden_size", json::parse("1e30")), "1e+30 is not between");
  EXPECT_CONTAINS(with("hidden_size", json::parse("100000000000000000000000")), "1e+23 is not between");
  EXPECT_CONTAINS(with("num_hidden_layers", 1000000), "is more than the file has tensors");
  EXPECT_CONTAINS(with("num_attention_heads", 3),
                  "q_proj.weight' is [8, 8], expected kv_head 1 x group 3 x head_dim 2");
  EXPECT_CONTAINS(with("num_key_value_heads", 3), "'num_attention_heads': must be a multiple");
  EXPECT_CONTAINS(with("rms_norm_eps", 0), "'rms_norm_eps': is 0, not a finite number above 0");
  EXPECT_CONTAINS(with("rms_norm_eps", 1e300), "'rms_norm_eps': is 1e+300, not a finite number above 0");
  EXPECT_CONTAINS(with("rms_norm_eps", "1e-5"), "'rms_norm_eps': is the string '1e-5', not a number");
  EXPECT_CONTAINS(with("hidden_act", 7), "'hidden_act': is 7, not a string");
  EXPECT_CONTAINS(with("hidden_act", "gelu"), "'hidden_act': is not silu");
  EXPECT_CONTAINS(with("tie_word_embeddings", 1), "'tie_word_embeddings': is neither true nor false");
  EXPECT_CONTAINS(with("rope_scaling", {{"rope_type", "spiral"}, {"factor", 2.0}}), "'spiral'");
  EXPECT_CONTAINS(with("rope_scaling", {{"rope_type", "linear"}}), "rope_scaling.factor");
}

TEST_F(Directory, IntegersMayBeWrittenAsFloats) {
  write("model.safetensors", shard_of(llama_tensors()));
  json config = llama_config();
  for (auto& [key, value] : config.items()) {
    if (value.is_number_integer()) value = value.get<double>();
  }
  config["rope_theta"] = 10000;  // and a float as an integer
  config["rope_scaling"] = {{"rope_type", "yarn"}, {"factor", 2}, {"original_max_position_embeddings", 32.0}};
  write_json("config.json", config);
  ASSERT_TRUE(std::holds_alternative<double>(Checkpoint::open(path())->config().at("num_hidden_layers")));
  EXPECT_EQ(load_error(), "(no error)");
  EXPECT_EQ(load_model(Checkpoint::open(path())).context_length, 64);
  for (const auto& [text, reason] :
       std::vector<std::pair<std::string, std::string>>{{"32.5", "is 32.5, not an integer"},
                                                        {"1e30", "1e+30 is not between 1 and 2147483647"},
                                                        {"2147483648.0", "2147483648 is not between"},
                                                        {"-32.0", "-32 is not between"},
                                                        {"-0.0", "-0 is not between"},
                                                        {"\"32\"", "is the string '32', not an integer"},
                                                        {"true", "is true, not an integer"}}) {
    config["rope_scaling"]["original_max_position_embeddings"] = json::parse(text);
    write_json("config.json", config);
    EXPECT_CONTAINS(load_error(), "config.json: key 'rope_scaling.original_max_position_embeddings': " + reason)
        << text;
  }
  config["rope_scaling"]["original_max_position_embeddings"] = json::parse("3.2e1");
  write_json("config.json", config);
  EXPECT_EQ(load_error(), "(no error)");
  // Python writes NaN, which is not JSON.
  write("config.json", R"({"model_type": "llama", "hidden_size": NaN})");
  EXPECT_CONTAINS(error(), "config.json: byte 40: is not JSON");
}

TEST_F(Directory, OptionsThatNobodyKnowsAreNamed) {
  write("model.safetensors", shard_of(llama_tensors()));
  json config = llama_config();
  config["attention_sinks"] = 4;
  config["vision_config"] = {{"depth", 3}, {"off", false}};
  config["new_flag"] = false;  // switched off
  config["architectures"] = {"LlamaForCausalLM"};
  write_json("config.json", config);
  const std::string error = load_error();
  EXPECT_CONTAINS(error, "config.json: key 'attention_sinks'");
  EXPECT_CONTAINS(error, "attention_sinks, vision_config.depth");
  EXPECT_EQ(error.find("new_flag"), error.npos);
  EXPECT_EQ(error.find("architectures,"), error.npos);
}

TEST_F(Directory, TensorsThatDoNotFitAreAllListed) {
  Shapes tensors = llama_tensors();
  tensors[1].second = {9};                    // model.norm.weight
  tensors[4].first = "model.layers.0.extra";  // q_proj is missing
  write_json("config.json", llama_config());
  write("model.safetensors", shard_of(tensors));
  const std::string error = load_error();
  for (const char* part : {"model.norm.weight", "model.layers.0.extra", "self_attn.q_proj.weight"}) {
    EXPECT_CONTAINS(error, part);
  }
}

TEST_F(Directory, TensorsOfTypesWithoutArithmeticAreNamed) {
  Shapes tensors = llama_tensors();
  std::string bytes = shard_of(tensors);
  const size_t at = bytes.find("F32");
  bytes.replace(at, 3, "I64");
  write_json("config.json", llama_config());
  write("model.safetensors", bytes);
  EXPECT_CONTAINS(error(), "the shape has");  // 8 bytes each
  bytes.replace(at, 3, "U32");
  write("model.safetensors", bytes);
  EXPECT_CONTAINS(load_error(), "U32");
}

TEST_F(Directory, WeightsMayLieAtOddAddresses) {
  std::string header = R"({"odd":{"dtype":"U8","shape":[1],"data_offsets":[0,1]})", data = "x";
  for (const auto& [name, shape] : llama_tensors()) {
    size_t elements = 1;
    for (const int64_t extent : shape) elements *= static_cast<size_t>(extent);
    header += ",\"" + name + R"(":{"dtype":"F32","shape":)" + json(shape).dump() + R"(,"data_offsets":)" +
              json({data.size(), data.size() + elements * 4}).dump() + "}";
    data += float_bytes(std::vector<float>(elements, 0.25f));
  }
  write_json("config.json", llama_config());
  write("model.safetensors", safetensors_bytes(header + "}", data));
  EXPECT_CONTAINS(load_error(), "odd");  // which is left over; every other one fits
  EXPECT_EQ(load_error().find("proj"), std::string::npos) << load_error();
}

class Shards : public Directory {
 protected:
  void SetUp() override {
    write_json("config.json", llama_config());
    Shapes all = llama_tensors();
    write("a.safetensors", shard_of(Shapes(all.begin(), all.begin() + 4)));
    write("b.safetensors", shard_of(Shapes(all.begin() + 4, all.end())));
    for (size_t i = 0; i < all.size(); ++i) map_[all[i].first] = i < 4 ? "a.safetensors" : "b.safetensors";
  }
  std::string error_with(const json& map) {
    write_json("model.safetensors.index.json", json{{"metadata", {{"total_size", 0}}}, {"weight_map", map}});
    return error();
  }
  json map_ = json::object();
};

TEST_F(Shards, AreReadByTheirIndex) {
  EXPECT_EQ(error_with(map_), "(no error)");
  const auto file = Checkpoint::open(path());
  EXPECT_EQ(file->tensors().size(), 11u);
  EXPECT_NE(file->find("model.norm.weight")->file, file->find("model.layers.0.mlp.up_proj.weight")->file);
  EXPECT_EQ(load_model(file).vocab, 5);
  // A single file holds over an index.
  write("model.safetensors", shard_of(llama_tensors()));
  EXPECT_EQ(Checkpoint::open(path())->find("model.norm.weight")->file->path(),
            (folder_ / "model.safetensors").string());
}

TEST_F(Shards, IndexesThatAreNone) {
  EXPECT_CONTAINS(error(), "model.safetensors: cannot open");
  for (const auto& [text, part] : std::vector<std::pair<std::string, std::string>>{
           {"{}", "'weight_map' is missing"},
           {"[]", "'weight_map' is missing"},
           {R"({"weight_map":[]})", "'weight_map' is missing or not an object"},
           {R"({"weight_map":{}})", "names no file"},
           {R"({"weight_map":{"x":1}})", "tensor 'x': is not mapped to a file name"},
           {R"({"weight_map":{"x":"a","x":"b"}})", "'x' appears twice"},
           {"{", "is not JSON"}}) {
    write("model.safetensors.index.json", text);
    EXPECT_CONTAINS(error(), "model.safetensors.index.json: ") << text;
    EXPECT_CONTAINS(error(), part) << text;
  }
}

TEST_F(Shards, NamesDoNotLeaveTheDirectory) {
  for (const char* name : {"../a.safetensors", "/etc/passwd", "sub/a.safetensors", "..", ".", "", "./a.safetensors"}) {
    json map = map_;
    map["model.norm.weight"] = name;
    EXPECT_CONTAINS(error_with(map), "is not the name of a file in this directory") << name;
  }
  json map = map_;
  map["model.norm.weight"] = std::string("a.safetensors\0.txt", 18);
  EXPECT_CONTAINS(error_with(map), "is not the name of a file in this directory");
}

TEST_F(Shards, IndexAndFilesMustAgree) {
  json map = map_;
  map["ghost"] = "c.safetensors";
  EXPECT_CONTAINS(error_with(map), "c.safetensors: cannot open: No such file");
  map = map_;
  map["model.norm.weight"] = "b.safetensors";
  EXPECT_CONTAINS(error_with(map), "a.safetensors: tensor 'model.norm.weight' is listed for another file");
  map.erase("model.norm.weight");
  EXPECT_CONTAINS(error_with(map), "a.safetensors: tensor 'model.norm.weight' is not listed");
  map = map_;
  map["ghost"] = "a.safetensors";
  EXPECT_CONTAINS(error_with(map), "tensor 'ghost' is not in 'a.safetensors'");
  // The same tensor in two files: the second is listed for the other one.
  write("b.safetensors", shard_of(llama_tensors()));
  EXPECT_CONTAINS(error_with(map_), "b.safetensors: tensor ");
}

// A tensor of any type, without content.
struct AnyTensor {
  std::string name, type;
  std::vector<int64_t> shape;
};

// Directories of other frameworks: each with what its configuration says, or without, and a tensor that gives it
// away.
class Quantized : public Directory {
 protected:
  void SetUp() override { write_json("config.json", llama_config()); }
  void write_tensors(const std::vector<AnyTensor>& tensors) {
    json header = json::object();
    size_t end = 0;
    for (const auto& [name, type, shape] : tensors) {
      size_t bytes = type == "F32" || type == "I32" || type == "U32" ? 4 : type == "F16" || type == "I16" ? 2 : 1;
      for (const int64_t extent : shape) bytes *= static_cast<size_t>(extent);
      header[name] = {{"dtype", type}, {"shape", shape}, {"data_offsets", {end, end + bytes}}};
      end += bytes;
    }
    write("model.safetensors", safetensors_bytes(header.dump(), std::string(end, '\0')));
  }
  void write_config(const std::string& key, const std::string& value) {
    json config = llama_config();
    config[key] = json::parse(value);
    write_json("config.json", config);
  }
};

TEST_F(Quantized, ConfigurationsSayHow) {
  write_tensors({{"model.layers.0.mlp.up_proj.weight", "U32", {6, 1}}});
  for (const auto& [key, value, how] : std::vector<std::array<std::string, 3>>{
           {"quantization", R"({"group_size": 64, "bits": 4})", "MLX (4 bits, groups of 64)"},
           {"quantization",
            R"({"group_size": 32, "bits": 8, "mode": "affine", "lm_head": {"bits": 6, "group_size": 64}})",
            "MLX (affine, 8 bits, groups of 32)"},
           {"quantization_config", R"({"quant_method": "gptq", "bits": 4, "group_size": 128, "desc_act": false})",
            "gptq (4 bits, groups of 128)"},
           {"quantization_config", R"({"quant_method": "awq", "bits": 4, "group_size": -1, "version": "gemm"})",
            "awq (4 bits, one group per row)"},
           {"quantization_config", R"({"quant_method": "bitsandbytes", "_load_in_4bit": true, "load_in_4bit": true,
              "load_in_8bit": false, "bnb_4bit_quant_type": "nf4", "bnb_4bit_compute_dtype": "bfloat16"})",
            "bitsandbytes (nf4, 4 bits)"},
           {"quantization_config",
            R"({"quant_method": "bitsandbytes", "load_in_8bit": true, "bnb_4bit_quant_type": "fp4"})",
            "bitsandbytes (8 bits)"},
           {"quantization_config", R"({"quant_method": "fp8", "fmt": "e5m2", "activation_scheme": "dynamic",
              "weight_block_size": [128, 128]})",
            "fp8 (e5m2, 8 bits, blocks of 128 x 128)"},
           {"quantization_config", R"({"quant_method": "fp8", "weight_block_size": [128, 0]})",
            "fp8 (8 bits, blocks of 128 x 0)"},
           {"quantization_config", R"({"quant_method": "fp8"})", "fp8 (8 bits)"},
           {"quantization_config", R"({"quant_method": "fbgemm_fp8", "modules_to_not_convert": []})",
            "fbgemm_fp8 (8 bits)"},
           {"quantization_config",
            R"({"quant_method": "compressed-tensors", "format": "pack-quantized", "config_groups":
              {"group_0": {"input_activations": {"num_bits": 8}, "weights": {"num_bits": 4, "group_size": 128},
              "targets": ["Linear"]}}, "ignore": ["lm_head"]})",
            "compressed-tensors (pack-quantized, 4 bits, groups of 128)"},
           {"compression_config", R"({"quant_method": "compressed-tensors", "format": "float-quantized"})",
            "compressed-tensors (float-quantized)"},
           {"quantization_config",
            R"({"quant_method": "quark", "algo_config": [{"name": "awq"}], "global_quant_config":
              {"input_tensors": {"dtype": "int8"}, "weight": {"dtype": "uint4", "group_size": 128}}})",
            "quark (uint4, 4 bits, groups of 128)"},
           {"quantization_config", R"({"quant_method": "hqq", "quant_config": {"scale_quant_params": {"nbits": 8,
              "group_size": 256}, "weight_quant_params": {"nbits": 4, "group_size": 64}}})",
            "hqq (4 bits, groups of 64)"},
           {"quantization_config", R"({"quant_method": "aqlm", "in_group_size": 8, "nbits_per_codebook": 16})",
            "aqlm (groups of 8, codebooks of 16 bits)"},
           {"quantization_config", R"({"quant_method": "eetq", "weights": "int8"})", "eetq (int8, 8 bits)"},
           {"quantization_config", R"({"quant_method": "torchao", "quant_type": {"default": {"_type":
              "Int4WeightOnlyConfig", "_data": {"group_size": 128}}}})",
            "torchao (Int4WeightOnlyConfig, 4 bits, groups of 128)"},
           {"quantization_config", R"({"quant_method": "torchao", "quant_type": "int8_weight_only"})",
            "torchao (int8_weight_only, 8 bits)"},
           {"quantization_config", R"({"quant_method": "exl2", "bits": 4.65, "lists": [[1, 2], ["a"]]})",
            "exl2 (4.65 bits)"},
           {"quantization_config", R"({"quant_method": "new method; try it", "bits": 3})",
            "'new method; try it' (3 bits)"},
           {"quantization_config", R"({"bits": 2})", "another framework (2 bits)"}}) {
    write_config(key, value);
    EXPECT_EQ(load_error(),
              (folder_ / "config.json").string() + ": key '" + key + "': the weights are quantized by " + how +
                  ", which this build does not support; take the model in F32, F16 or BF16, or a GGUF file "
                  "of it");
    const auto file = Checkpoint::open(path());  // so that it can be inspected
    EXPECT_EQ(file->unsupported(), load_error());
    EXPECT_EQ(file->tensors().size(), 1u);
  }
}

TEST_F(Quantized, TensorsGiveThemAway) {
  const std::string up = "model.layers.0.mlp.up_proj.";
  const auto how = [&](const std::vector<AnyTensor>& tensors) {
    write_tensors(tensors);
    const std::string error = load_error();
    EXPECT_EQ(error.find('\n'), error.npos) << error;
    const std::string from = "the weights are quantized by ", to = ", which this build does not support";
    const size_t begin = error.find(from), end = error.find(to);
    return end == error.npos ? error : error.substr(begin + from.size(), end - begin - from.size());
  };
  EXPECT_EQ(how({{up + "weight", "U32", {6, 1}}, {up + "scales", "F16", {6, 1}}, {up + "biases", "F16", {6, 1}}}),
            "MLX");
  const AnyTensor scales = {up + "scales", "F16", {2, 96}}, zeros = {up + "qzeros", "I32", {2, 12}};
  EXPECT_EQ(how({{up + "qweight", "I32", {32, 96}}, scales, zeros, {up + "g_idx", "I32", {256}}}),
            "GPTQ (4 bits, groups of 128)");
  EXPECT_EQ(how({{up + "qweight", "I32", {256, 12}}, scales, zeros}), "AWQ (4 bits, groups of 128)");
  EXPECT_EQ(how({{up + "qweight", "I32", {256, 12}}}), "GPTQ or AWQ");
  EXPECT_EQ(how({{up + "qweight", "I32", {0, 0}}, {up + "scales", "F16", {0, 0}}, {up + "qzeros", "I32", {0, 0}}}),
            "GPTQ or AWQ");
  EXPECT_EQ(how({{up + "weight", "U8", {24, 1}}, {up + "weight.quant_state.bitsandbytes__nf4", "U8", {80}}}),
            "bitsandbytes (nf4, 4 bits)");
  EXPECT_EQ(how({{up + "weight", "U8", {24, 1}}, {up + "weight.absmax", "F32", {1}}}), "bitsandbytes (4 bits)");
  EXPECT_EQ(how({{up + "weight", "I8", {6, 8}}, {up + "SCB", "F32", {6}}}), "bitsandbytes (8 bits)");
  EXPECT_EQ(how({{up + "weight", "F8_E4M3", {6, 8}}, {up + "weight_scale_inv", "F32", {1, 1}}}), "FP8 (8 bits)");
  EXPECT_EQ(how({{up + "weight_packed", "I32", {6, 1}}, {up + "weight_scale", "F16", {6, 1}}}), "compressed-tensors");
  EXPECT_EQ(how({{up + "W_q", "U8", {3, 8}}}), "HQQ");
  EXPECT_EQ(how({{up + "codes", "I16", {6, 1, 1}}}), "AQLM");
  EXPECT_EQ(how({{"model.layers.0.mlp.experts.gate_up_proj_blocks", "U8", {2, 6, 1, 16}}}), "MXFP4 (4 bits)");
  EXPECT_EQ(how({{up + "weight", "I32", {6, 1}}}), "another framework");
  // A list of positions is not a weight, nor is a counter.
  EXPECT_CONTAINS(how({{"model.position_ids", "I8", {1, 8}}}), "tensor 'model.embed_tokens.weight' is missing");
}

TEST_F(Quantized, ToolsLeaveFilesBesideTheConfiguration) {
  write_tensors({{"model.layers.0.mlp.up_proj.qweight", "I32", {1, 6}}});
  for (const auto& [name, text, how] : std::vector<std::array<std::string, 3>>{
           {"quantize_config.json", R"({"bits": 4, "group_size": 128, "desc_act": true})",
            "GPTQ (4 bits, groups of 128)"},
           {"quant_config.json", R"({"w_bit": 4, "q_group_size": 64, "zero_point": true})",
            "AWQ (4 bits, groups of 64)"},
           {"hf_quant_config.json", R"({"producer": {"name": "modelopt"}, "quantization": {"quant_algo": "FP8",
              "kv_cache_quant_algo": null}})",
            "ModelOpt (FP8, 8 bits)"}}) {
    write(name, text);
    EXPECT_CONTAINS(load_error(), name + ": the weights are quantized by " + how + ", which");
    fs::remove(folder_ / name);
  }
  // Their weights go by other names.
  write("quantize_config.json", R"({"bits": 4, "group_size": 128})");
  fs::rename(folder_ / "model.safetensors", folder_ / "gptq_model-4bit-128g.safetensors");
  EXPECT_CONTAINS(error(), "quantize_config.json: the weights are quantized by GPTQ (4 bits, groups of 128), which");
  // What is left of them beside floats says nothing.
  write("model.safetensors", shard_of(llama_tensors()));
  EXPECT_EQ(load_error(), "(no error)");
  write("quantize_config.json", "{");
  EXPECT_EQ(load_error(), "(no error)");
}

TEST_F(Quantized, FloatsAreNot) {
  write("model.safetensors", shard_of(llama_tensors()));
  for (const auto& [key, value] : std::vector<std::pair<std::string, std::string>>{
           {"quantization_config", "null"},
           {"quantization", "null"},
           {"quantization_config", "{}"},
           {"quantization_config",
            R"({"quant_method": "bitsandbytes", "_load_in_4bit": false, "load_in_8bit": false,
              "bnb_4bit_compute_dtype": "float32"})"}}) {
    write_config(key, value);
    EXPECT_EQ(load_error(), "(no error)") << value;
  }
  // Whoever dequantized it forgot to say so, or it is to be quantized as it is loaded.
  write_config("quantization_config", R"({"quant_method": "gptq", "bits": 4})");
  EXPECT_CONTAINS(load_error(),
                  "config.json: key 'quantization_config': says that the weights are quantized by gptq (4 "
                  "bits), but the tensors are plain floats; if they were dequantized, remove the key");
}

TEST_F(Quantized, SharedDirectory) {
  WEFT_SHARED_OR_SKIP(mlx, "data/field/mlx4");
  const std::string error = error_of([&] { load_model(Checkpoint::open(mlx)); });
  EXPECT_CONTAINS(error,
                  "config.json: key 'quantization': the weights are quantized by MLX (4 bits, groups of 64), which");
  EXPECT_EQ(error.find('\n'), error.npos);
}

// In one line, however many tensors.
TEST(CheckpointFile, GgufTypesThatAreNotRead) {
  const auto error = [](uint32_t id, size_t bytes) {
    test::GgufWriter writer;
    writer.string("general.architecture", "llama");
    for (const char* name : {"token_embd.weight", "output.weight"})
      writer.tensor(name, {256}, id, std::string(bytes, '\0'));
    const TempFile file(writer.bytes());
    EXPECT_EQ(Checkpoint::open(file.path())->tensors().size(), 2u);
    return error_of([&] { load_model(Checkpoint::open(file.path())); });
  };
  for (const auto& [id, name, bytes] : std::vector<std::tuple<uint32_t, std::string, size_t>>{
           {16, "IQ2_XXS", 66}, {34, "TQ1_0", 54}, {41, "Q1_0", 36}}) {
    EXPECT_CONTAINS(error(id, bytes),
                    ".gguf: tensor 'token_embd.weight': the weights are quantized as " + name +
                        ", which this build does not read; `weft quantize --help` lists what it does");
    EXPECT_EQ(error(id, bytes).find('\n'), std::string::npos);
  }
  EXPECT_CONTAINS(error(14, 210), "'llama.attention.head_count': is missing");  // Q6_K is read
}

TEST(CheckpointFile, FormatsAreTheTypesThatTheySay) {
  for (const Format format : kFloatFormats) {
    const GgmlType* type = find_ggml_type(ggml_type_id(format));
    ASSERT_NE(type, nullptr) << name(format);
    EXPECT_EQ(type->format, format) << name(format);
    EXPECT_EQ(type->name, name(format));
    EXPECT_EQ(type->block_elements, info(format).block_elements) << name(format);
    EXPECT_EQ(type->block_bytes, info(format).block_bytes) << name(format);
  }
}

TEST_F(Directory, GitLfsPointersAreNamed) {
  const std::string pointer = "version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 500\n";
  write("config.json", pointer);
  EXPECT_CONTAINS(error(),
                  "config.json: is a Git LFS pointer to a file of 500 bytes, not the file itself: get it with `git");
  write_json("config.json", llama_config());
  write("model.safetensors", pointer);
  EXPECT_CONTAINS(error(), "model.safetensors: is a Git LFS pointer to a file of 500 bytes");
  fs::remove(folder_ / "model.safetensors");
  write("model.safetensors.index.json", pointer);
  EXPECT_CONTAINS(error(), "model.safetensors.index.json: is a Git LFS pointer");
  write_json("model.safetensors.index.json", {{"weight_map", {{"x", "a.safetensors"}}}});
  write("a.safetensors", pointer);
  EXPECT_CONTAINS(error(), "a.safetensors: is a Git LFS pointer");
  // Broken JSON stays broken JSON.
  write("config.json", R"({"model_type": "llama",)");
  EXPECT_CONTAINS(error(), "config.json: byte 24: is not JSON");
}

TEST(CheckpointFile, GgufNamesItsFamily) {
  const auto architecture = [](const std::string& key, const auto& value) {
    test::GgufWriter writer;
    writer.string("general.architecture", "llama").string("general.name", "small");
    if constexpr (std::integral<std::decay_t<decltype(value)>>) writer.u32(key, static_cast<uint32_t>(value));
    else if constexpr (std::same_as<std::decay_t<decltype(value)>, float>) writer.f32(key, value);
    else writer.add(key, GgufType::array, test::array(GgufType::uint32, value));
    writer.tensor("token_embd.weight", {4, 2}, 0, std::string(32, '\0'));
    const TempFile file(writer.bytes());
    const auto checkpoint = Checkpoint::open(file.path());
    EXPECT_EQ(checkpoint->convention(), Convention::gguf);
    EXPECT_NE(checkpoint->gguf(), nullptr);
    EXPECT_EQ(checkpoint->name(), "small");
    EXPECT_EQ(checkpoint->find("token_embd.weight")->extents, (std::vector<int64_t>{2, 4}));  // from slow to fast
    return checkpoint->architecture();
  };
  EXPECT_EQ(architecture("llama.block_count", 1), "llama");
  EXPECT_EQ(architecture("llama.attention.sliding_window", 16), "mistral");
  EXPECT_EQ(architecture("llama.attention.sliding_window", 0), "llama");
  EXPECT_EQ(architecture("llama.expert_count", 8), "mixtral");
  EXPECT_EQ(architecture("llama.expert_count", 0), "llama");
  // An integer that was written as a float, and one per layer.
  EXPECT_EQ(architecture("llama.expert_count", 8.0f), "mixtral");
  EXPECT_EQ(architecture("llama.attention.sliding_window", std::vector<uint32_t>{0, 16}), "mistral");
  EXPECT_EQ(architecture("llama.attention.sliding_window", std::vector<uint32_t>{0, 0}), "llama");
}

TEST(CheckpointFile, GgufErrorsNameTheByte) {
  test::GgufWriter writer;
  writer.string("general.architecture", "llama").string("llama.embedding_length", "wide");
  writer.tensor("token_embd.weight", {4, 2}, 0, std::string(32, '\0'));
  const TempFile file(writer.bytes());
  const auto checkpoint = Checkpoint::open(file.path());
  EXPECT_EQ(std::get<std::string>(checkpoint->config().at("embedding_length")), "wide");
  const std::string error = error_of([&] { checkpoint->fail("embedding_length", "is not a number"); });
  EXPECT_EQ(error.rfind(file.path().string() + ": byte ", 0), 0u) << error;
  EXPECT_CONTAINS(error, "key 'llama.embedding_length': is not a number");
  EXPECT_CONTAINS(error_of([&] { checkpoint->fail("absent", "is missing"); }), ": key 'llama.absent': is missing");
  EXPECT_CONTAINS(error_of([] { Checkpoint::open("/nonexistent/model.gguf"); }),
                  "/nonexistent/model.gguf: cannot open");
  EXPECT_CONTAINS(error_of([] { Checkpoint::open("/nonexistent/model.safetensors"); }),
                  "/nonexistent/config.json: cannot open");
}

}  // namespace
}  // namespace weft
