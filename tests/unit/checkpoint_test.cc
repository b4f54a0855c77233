// A model on disk: GGUF files and directories, sharded or not; what of them is refused, and how the error says so.
#include <gtest/gtest.h>

#include <fstream>
#include <nlohmann/json.hpp>

#include "models/registry.h"
#include "runtime/checkpoint.h"
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
  return {{"model.embed_tokens.weight", {5, 8}},
          {"model.norm.weight", {8}},
          {layer + "input_layernorm.weight", {8}},
          {layer + "post_attention_layernorm.weight", {8}},
          {layer + "self_attn.q_proj.weight", {8, 8}},
          {layer + "self_attn.k_proj.weight", {4, 8}},
          {layer + "self_attn.v_proj.weight", {4, 8}},
          {layer + "self_attn.o_proj.weight", {8, 8}},
          {layer + "mlp.gate_proj.weight", {6, 8}},
          {layer + "mlp.up_proj.weight", {6, 8}},
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
           {"[]", "config.json: is no object"},
           {"{}", "key 'model_type' is missing"},
           {R"({"model_type":7})", "key 'model_type' is missing, or no text"},
           {R"({"model_type":"llama","model_type":"llama"})", "'model_type' appears twice"},
           {R"({"model_type":"llama","a":{"b":1},"a.b":2})", "'a.b' appears both"},
           {R"({"model_type":"llama","a":[[1]]})", "key 'a': is no value"},
           {R"({"model_type":"llama","a":[1,"b"]})", "key 'a': is no value"},
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
  EXPECT_CONTAINS(with("hidden_size", "8"), "key 'hidden_size': is no integer");
  EXPECT_CONTAINS(with("hidden_size", 8.5), "key 'hidden_size': is no integer");
  EXPECT_CONTAINS(with("hidden_size", 0), "key 'hidden_size': 0 is not between");
  EXPECT_CONTAINS(with("hidden_size", -8), "key 'hidden_size': -8 is not between");
  EXPECT_CONTAINS(with("hidden_size", int64_t{1} << 40), "is not between");
  EXPECT_CONTAINS(with("hidden_size", json::parse("1e30")), "is no integer");
  EXPECT_CONTAINS(with("hidden_size", json::parse("100000000000000000000000")), "is no integer");
  EXPECT_CONTAINS(with("num_hidden_layers", 1000000), "is more than the file has tensors");
  EXPECT_CONTAINS(with("num_attention_heads", 3),
                  "q_proj.weight' is [8, 8], expected kv_head 1 x group 3 x head_dim 2");
  EXPECT_CONTAINS(with("num_key_value_heads", 3), "'num_attention_heads': must be a multiple");
  EXPECT_CONTAINS(with("rms_norm_eps", 0), "'rms_norm_eps': is not a finite number above 0");
  EXPECT_CONTAINS(with("rms_norm_eps", 1e300), "'rms_norm_eps': is not a finite number above 0");
  EXPECT_CONTAINS(with("hidden_act", "gelu"), "'hidden_act': is not silu");
  EXPECT_CONTAINS(with("tie_word_embeddings", 1), "'tie_word_embeddings': is neither true nor false");
  EXPECT_CONTAINS(with("rope_scaling", {{"rope_type", "spiral"}, {"factor", 2.0}}), "'spiral'");
  EXPECT_CONTAINS(with("rope_scaling", {{"rope_type", "linear"}}), "rope_scaling.factor");
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
  tensors[1].second = {9};                      // model.norm.weight
  tensors[4].first = "model.layers.0.extra";    // q_proj is missing
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
           {R"({"weight_map":[]})", "'weight_map' is missing, or no object"},
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
  for (const char* name :
       {"../a.safetensors", "/etc/passwd", "sub/a.safetensors", "..", ".", "", "./a.safetensors"}) {
    json map = map_;
    map["model.norm.weight"] = name;
    EXPECT_CONTAINS(error_with(map), "is no name of a file in this directory") << name;
  }
  json map = map_;
  map["model.norm.weight"] = std::string("a.safetensors\0.txt", 18);
  EXPECT_CONTAINS(error_with(map), "is no name of a file in this directory");
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

TEST(CheckpointFile, GgufNamesItsFamily) {
  const auto architecture = [](const std::string& key, uint32_t value) {
    test::GgufWriter writer;
    writer.string("general.architecture", "llama").string("general.name", "small").u32(key, value);
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
}

TEST(CheckpointFile, GgufErrorsNameTheByte) {
  test::GgufWriter writer;
  writer.string("general.architecture", "llama").string("llama.embedding_length", "wide");
  writer.tensor("token_embd.weight", {4, 2}, 0, std::string(32, '\0'));
  const TempFile file(writer.bytes());
  const auto checkpoint = Checkpoint::open(file.path());
  EXPECT_EQ(std::get<std::string>(checkpoint->config().at("embedding_length")), "wide");
  const std::string error = error_of([&] { checkpoint->fail("embedding_length", "is no number"); });
  EXPECT_EQ(error.rfind(file.path().string() + ": byte ", 0), 0u) << error;
  EXPECT_CONTAINS(error, "key 'llama.embedding_length': is no number");
  EXPECT_CONTAINS(error_of([&] { checkpoint->fail("absent", "is missing"); }), ": key 'llama.absent': is missing");
  EXPECT_CONTAINS(error_of([] { Checkpoint::open("/nonexistent/model.gguf"); }),
                  "/nonexistent/model.gguf: cannot open");
  EXPECT_CONTAINS(error_of([] { Checkpoint::open("/nonexistent/model.safetensors"); }),
                  "/nonexistent/config.json: cannot open");
}

}  // namespace
}  // namespace weft
