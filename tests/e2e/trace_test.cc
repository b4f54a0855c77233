// `weft trace`: an error that is planted in a model is found where it is, on either device, in recordings of any
// origin.
#include <gtest/gtest.h>

#include <algorithm>
#include <fstream>
#include <nlohmann/json.hpp>
#include <sstream>

#include "runtime/trace/recording.h"
#include "runtime/trace/trace_map.h"
#include "tests/command.h"
#include "tests/errors.h"
#include "tests/gpu_device.h"
#include "tests/hf_model.h"
#include "tests/logits_error.h"
#include "tests/safetensors_bytes.h"

namespace weft {
namespace {

using test::HfModel;
using test::run_weft;
using test::TempDirectory;
using Arguments = std::vector<std::string>;
using Result = test::CommandResult;
constexpr const char* kTokens = "5,17,3,39,0,21,5";
constexpr size_t kCount = 7;

class Trace : public testing::Test {
 protected:
  std::string path(const std::string& name) const { return (folder_ / name).string(); }
  // Exact unless the arguments say otherwise.
  static Result trace(Arguments arguments) {
    const bool says = std::find(arguments.begin(), arguments.end(), "--precision") != arguments.end();
    arguments.insert(arguments.begin(), "trace");
    if (!says) arguments.insert(arguments.end(), {"--precision", "exact"});
    return run_weft(arguments);
  }
  void record(const std::filesystem::path& model, const std::string& name, Arguments more = {}) const {
    more.insert(more.end(), {"-m", model.string(), "--tokens", kTokens, "-o", path(name)});
    const Result result = trace(more);
    ASSERT_EQ(result.code, 0) << result.err;
  }
  Result against(const std::filesystem::path& model, const std::string& name, Arguments more = {}) const {
    more.insert(more.end(), {"-m", model.string(), "--against", path(name)});
    return trace(more);
  }

  test::TemporaryFolder folder_;
};

std::vector<float> floats_of(const Recording& recording, const std::string& name) {
  const SafetensorsTensor* tensor = recording.file().find_tensor(name);
  if (tensor == nullptr) throw Error("no tensor " + name);
  std::vector<float> values(tensor->bytes / sizeof(float));
  for (size_t i = 0; i < values.size(); ++i) {
    values[i] = static_cast<float>(read_number(*tensor, static_cast<int64_t>(i)));
  }
  return values;
}

// What `first difference: NAME (...)` names.
std::string first_difference(const Result& result) {
  const std::string label = "first difference: ";
  const size_t at = result.out.find(label);
  if (at == std::string::npos) return "(none)";
  const size_t begin = at + label.size();
  return result.out.substr(begin, result.out.find(' ', begin) - begin);
}

TEST_F(Trace, RecordsEveryValueAndTheLogits) {
  const TempDirectory model;
  model.write(HfModel::random("llama"));
  record(model.path(), "all.safetensors");
  const Recording recording = Recording::open(path("all.safetensors"));
  std::vector<std::string> names = {"embedding", "output_norm", "logits", "tokens"};
  for (const char* layer : {"blk.0.", "blk.1."}) {
    for (const char* name : {"attn_norm", "q", "k", "v", "attn", "attn_out", "ffn_norm", "ffn_hidden", "ffn_out"}) {
      names.push_back(std::string(layer) + name);
    }
  }
  for (const std::string& name : names) EXPECT_NE(recording.file().find_tensor(name), nullptr) << name;
  EXPECT_EQ(recording.file().tensors().size(), names.size());
  EXPECT_EQ(recording.tokens(), (std::vector<int32_t>{5, 17, 3, 39, 0, 21, 5}));
  EXPECT_EQ(recording.axes("blk.0.q"), (std::vector<std::string>{"pos", "kv_head", "group", "head_dim"}));
  EXPECT_EQ(recording.file().find_tensor("logits")->extents, (std::vector<int64_t>{kCount, HfModel::kVocab}));

  const Result logits = run_weft(
      {"logits", "-m", model.path().string(), "--tokens", kTokens, "-o", path("logits.f32"), "--precision", "exact"});
  ASSERT_EQ(logits.code, 0) << logits.err;
  EXPECT_EQ(floats_of(recording, "logits"), test::read_floats(path("logits.f32")));
}

TEST_F(Trace, AgreesWithItself) {
  for (const char* type : {"llama", "mixtral", "qwen2", "mistral"}) {
    HfModel model = HfModel::random(type);
    if (type == std::string("mistral")) model.config["sliding_window"] = 3;
    const TempDirectory directory;
    directory.write(model);
    record(directory.path(), "itself.safetensors");
    for (const Arguments& more : {Arguments{}, {"--chunk", "3"}, {"--chunk", "1", "-t", "1"}, {"--expand"}}) {
      const Result result = against(directory.path(), "itself.safetensors", more);
      EXPECT_EQ(result.code, 0) << type << "\n" << result.out << result.err;
      EXPECT_CONTAINS(result.out, "values agree within 0.0001 of their largest element");
      EXPECT_EQ(first_difference(result), "(none)");
    }
  }
}

// Fields of caches are recorded as f32, whatever they are stored in; so are those that the reference computes.
TEST_F(Trace, CachesInOtherFormatsAgree) {
  const TempDirectory model;
  model.write(HfModel::random("llama"));
  record(model.path(), "f32.safetensors");
  for (const char* type : {"f16", "bf16", "q8_0"}) {
    const Result result = against(model.path(), "f32.safetensors", {"-ctk", type, "-ctv", type, "--expand"});
    EXPECT_EQ(result.code, 0) << type << "\n" << result.out << result.err;
    EXPECT_CONTAINS(result.out, "within 0.05 of");
    EXPECT_CONTAINS(result.out, "results of expanded steps agree with the reference");
  }
}

TEST_F(Trace, DevicesAgree) {
  if (!test::opencl_device()) GTEST_SKIP() << "no OpenCL device";
  for (const char* type : {"llama", "mixtral"}) {
    const TempDirectory model;
    model.write(HfModel::random(type));
    record(model.path(), "cpu.safetensors");
    for (const Arguments& more : {Arguments{"--device", "opencl"}, {"--device", "opencl", "--expand"}}) {
      const Result result = against(model.path(), "cpu.safetensors", more);
      EXPECT_EQ(result.code, 0) << type << "\n" << result.out << result.err;
    }
    const Result fast = against(model.path(), "cpu.safetensors", {"--device", "opencl", "--precision", "fast"});
    EXPECT_EQ(fast.code, 0) << fast.out << fast.err;
    EXPECT_CONTAINS(fast.out, "within 0.05 of");
  }
}

struct Planted {
  const char *type, *tensor, *value, *part;
};

// One weight of the second layer is changed: the value that reads it is the first to differ, and of the parts of
// its step the one that reads it.
TEST_F(Trace, APlantedErrorIsFoundWhereItIs) {
  const std::string layer = "model.layers.1.";
  for (const Planted& planted :
       {Planted{"llama", "input_layernorm.weight", "blk.1.attn_norm", "blk.1.attn_norm/reference"},
        {"llama", "self_attn.q_proj.weight", "blk.1.q", "blk.1.q/contraction.0"},
        {"qwen2", "self_attn.q_proj.bias", "blk.1.q", "blk.1.q/body"},
        {"llama", "self_attn.k_proj.weight", "blk.1.k", "blk.1.k/contraction.0"},
        {"llama", "self_attn.v_proj.weight", "blk.1.v", "blk.1.v/contraction.0"},
        {"llama", "self_attn.o_proj.weight", "blk.1.attn_out", "blk.1.attn_out/contraction.0"},
        {"llama", "mlp.gate_proj.weight", "blk.1.ffn_hidden", "blk.1.ffn_hidden/contraction.0"},
        {"llama", "mlp.up_proj.weight", "blk.1.ffn_hidden", "blk.1.ffn_hidden/contraction.1"},
        {"mixtral", "block_sparse_moe.gate.weight", "blk.1.router", "blk.1.router/contraction.0"},
        {"llama", "mlp.down_proj.weight", "blk.1.ffn_out", "blk.1.ffn_out/contraction.0"}}) {
    HfModel model = HfModel::random(planted.type);
    const TempDirectory right, wrong;
    right.write(model);
    model.tensors.at(layer + planted.tensor).values.at(3) += 2;
    wrong.write(model);
    record(right.path(), "right.safetensors", {"--expand", "blk.1.*"});
    Result result = against(wrong.path(), "right.safetensors");
    EXPECT_EQ(result.code, 1) << planted.tensor << "\n" << result.out << result.err;
    EXPECT_EQ(first_difference(result), planted.value) << planted.tensor;
    EXPECT_EQ(result.err.find("error"), std::string::npos) << result.err;
    result = against(wrong.path(), "right.safetensors", {"--expand", "blk.1.*"});
    EXPECT_EQ(result.code, 1);
    EXPECT_EQ(first_difference(result), planted.part) << planted.tensor;
    EXPECT_CONTAINS(result.out, "results of expanded steps agree with the reference");
  }
}

TEST_F(Trace, ADifferenceSaysWhereAndHowMuch) {
  HfModel model = HfModel::random("llama");
  const TempDirectory right, wrong;
  right.write(model);
  record(right.path(), "right.safetensors");
  model.tensors.at("model.embed_tokens.weight").values.at(3 * HfModel::kEmbed + 7) += 0.5f;  // the third token's
  wrong.write(model);
  const Result result = against(wrong.path(), "right.safetensors");
  EXPECT_EQ(result.code, 1);
  EXPECT_CONTAINS(result.out,
                  "first difference: embedding (pos x embed)\n  1 of 224 elements differ by more than 0.0001");
  EXPECT_CONTAINS(result.out, "first at pos 2, embed 7: ");
  EXPECT_CONTAINS(result.out, "difference 0.5, ");
  EXPECT_EQ(against(wrong.path(), "right.safetensors", {"--tolerance", "100"}).code, 0);
}

// The same model in both conventions: rotary pairs lie in different orders, which recordings say.
TEST_F(Trace, RecordingsOfOtherFilesOfTheModel) {
  const HfModel model = HfModel::random("llama");
  const TempDirectory directory, gguf;
  directory.write(model);
  gguf.write("model.gguf", model.gguf());
  record(gguf.path() / "model.gguf", "gguf.safetensors");
  const Result result = against(directory.path(), "gguf.safetensors");
  EXPECT_EQ(result.code, 0) << result.out << result.err;
}

// A recording as transformers would make it, from one of ours: other names, heads before positions, halves.
TEST_F(Trace, AMappedRecordingOfAnotherProgram) {
  const HfModel model = HfModel::random("llama");
  const TempDirectory directory, gguf;
  directory.write(model);
  gguf.write("model.gguf", model.gguf());
  record(gguf.path() / "model.gguf", "ours.safetensors");
  const Recording ours = Recording::open(path("ours.safetensors"));
  constexpr size_t kHeads = HfModel::kHeads, kDim = HfModel::kHeadDim;
  const std::vector<float> q = floats_of(ours, "blk.1.q"), logits = floats_of(ours, "logits");
  std::vector<float> query(q.size());
  for (size_t pos = 0; pos < kCount; ++pos) {
    for (size_t head = 0; head < kHeads; ++head) {
      for (size_t pair = 0; pair < kDim / 2; ++pair) {
        for (const size_t second : {0u, 1u}) {
          query[(head * kCount + pos) * kDim + second * kDim / 2 + pair] =
              q[(pos * kHeads + head) * kDim + 2 * pair + second];
        }
      }
    }
  }
  const std::string header =
      R"({"model.layers.1.self_attn.query":{"dtype":"F32","shape":[4,7,8],"data_offsets":[0,896]},)"
      R"("lm_head":{"dtype":"F32","shape":[1,7,40],"data_offsets":[896,2016]}})";
  std::ofstream(path("theirs.safetensors"))
      << test::safetensors_bytes(header, test::float_bytes(query) + test::float_bytes(logits));
  const std::string map = (test::source_dir() / "tools/trace/hugging_face.json").string();
  for (const auto& file : {directory.path(), gguf.path() / "model.gguf"}) {
    const Arguments arguments = {"-m", file.string(), "--against", path("theirs.safetensors"), "--tokens", kTokens};
    Arguments mapped = arguments;
    mapped.insert(mapped.end(), {"--map", map});
    const Result result = trace(mapped);
    EXPECT_EQ(result.code, 0) << result.out << result.err;
    EXPECT_CONTAINS(result.out, "2 values agree");
    const Result unmapped = trace(arguments);
    EXPECT_EQ(unmapped.code, 1);
    EXPECT_CONTAINS(unmapped.err, "theirs.safetensors: has none of the values of this model");
  }
  query[1] += 1;
  std::ofstream(path("theirs.safetensors"))
      << test::safetensors_bytes(header, test::float_bytes(query) + test::float_bytes(logits));
  const Result result = against(gguf.path() / "model.gguf", "theirs.safetensors", {"--tokens", kTokens, "--map", map});
  EXPECT_EQ(result.code, 1);
  EXPECT_EQ(first_difference(result), "blk.1.q");
  // Element 1 of the halves is the first of pair 1.
  EXPECT_CONTAINS(result.out, "first at pos 0, kv_head 0, group 0, head_dim 2: ");
}

TEST_F(Trace, HostileFilesAreErrors) {
  const TempDirectory model;
  model.write(HfModel::random("llama"));
  const auto fails = [&](const std::string& bytes, const std::string& part, const Arguments& more) {
    std::ofstream(path("bad"), std::ios::binary) << bytes;
    const Result result = against(model.path(), "bad", more);
    EXPECT_EQ(result.code, 1) << result.out;
    EXPECT_EQ(result.err.rfind("weft: error: ", 0), 0u) << result.err;
    EXPECT_EQ(std::count(result.err.begin(), result.err.end(), '\n'), 1) << result.err;
    EXPECT_CONTAINS(result.err, "bad: ");
    EXPECT_CONTAINS(result.err, part);
  };
  const uint64_t huge = uint64_t{1} << 60;
  fails("", "", {});
  fails(test::safetensors_bytes("{}", "", &huge), "byte 0", {});
  fails(test::safetensors_bytes("{}", ""), "contains no tokens", {});
  fails(test::safetensors_bytes("{}", ""), "has none of the values", {"--tokens", kTokens});
  fails(test::safetensors_bytes(R"({"tokens":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}})", "abcd"),
        "wanted I32 or I64", {});
  fails(test::safetensors_bytes(R"({"tokens":{"dtype":"I32","shape":[1],"data_offsets":[0,4]}})", "\xff\xff\xff\xff"),
        "entry 0", {});
  fails(test::safetensors_bytes(R"({"tokens":{"dtype":"I32","shape":[1],"data_offsets":[0,4]}})",
                                std::string("\1\0\0\0", 4)),
        "made with other tokens", {"--tokens", "2"});
  // A value that does not fit is a difference, not an error.
  std::ofstream(path("odd")) << test::safetensors_bytes(R"({"logits":{"dtype":"U8","shape":[3],"data_offsets":[0,3]}})",
                                                        "abc");
  const Result odd = against(model.path(), "odd", {"--tokens", kTokens});
  EXPECT_EQ(odd.code, 1);
  EXPECT_CONTAINS(odd.out, "first difference: logits (pos x vocab): its elements are U8");

  record(model.path(), "good.safetensors");
  for (const char* map : {"", "[]", R"({"values":{"q":5}})", R"({"values":{"q":{"from":"a","pairs":1}}})",
                          "{\"values\":{\"\xff\":\"a\"}}"}) {
    std::ofstream(path("map.json")) << map;
    const Result result = against(model.path(), "good.safetensors", {"--map", path("map.json")});
    EXPECT_EQ(result.code, 1);
    EXPECT_EQ(result.err.rfind("weft: error: " + path("map.json") + ": ", 0), 0u) << result.err;
  }
}

TEST_F(Trace, WrongUsage) {
  const TempDirectory model;
  model.write(HfModel::random("llama"));
  const std::string m = model.path().string();
  for (const auto& [arguments, part] : std::vector<std::pair<Arguments, std::string>>{
           {{"trace", "-m", m, "--tokens", "1"}, "--output and --against"},
           {{"trace", "-m", m, "-o", path("x")}, "--prompt, --file, --tokens and --against"},
           {{"trace", "-m", m, "--tokens", "1", "-o", path("x"), "--map", "m"}, "--against"},
           {{"trace", "-m", m, "--tokens", "1", "-o", path("x"), "--tolerance", "-1"}, "--tolerance"},
           {{"trace", "-m", m, "--tokens", "one", "-o", path("x")}, "--tokens"},
           {{"trace", "-m", m, "--tokens", "1", "-o", path("x"), "--chunk", "0"}, "--chunk"}}) {
    const Result result = run_weft(arguments);
    EXPECT_EQ(result.code, 2) << part << "\n" << result.err;
    EXPECT_CONTAINS(result.err, part);
  }
  for (const char* ids : {"40", "1,2,-1"}) EXPECT_NE(trace({"-m", m, "--tokens", ids, "-o", path("x")}).code, 0);
  EXPECT_FALSE(std::filesystem::exists(path("x")));
}

// What was there stays until the new recording is complete; what could not be written leaves nothing.
TEST_F(Trace, RecordingsAreWholeOrAbsent) {
  const TempDirectory model;
  model.write(HfModel::random("llama"));
  record(model.path(), "kept");
  const std::string before = test::read_file(path("kept"));
  const Result failed = trace({"-m", model.path().string(), "--tokens", "1,2,40", "-o", path("kept")});
  EXPECT_EQ(failed.code, 1) << failed.out;
  EXPECT_EQ(test::read_file(path("kept")), before);
  // A recording may be compared with and replaced in one call.
  EXPECT_EQ(against(model.path(), "kept", {"-o", path("kept")}).code, 0);
  EXPECT_EQ(test::read_file(path("kept")), before);
  EXPECT_EQ(trace({"-m", model.path().string(), "--tokens", "1", "-o", path("no/such/folder")}).code, 1);
  size_t files = 0;
  for ([[maybe_unused]] const auto& entry : std::filesystem::directory_iterator(folder_ / "")) ++files;
  EXPECT_EQ(files, 1u);
}

TEST_F(Trace, GoldenModelsHaveTheirLogits) {
  for (const std::string name : {"llama3-gqa", "mixtral"}) {
    WEFT_SHARED_OR_SKIP(folder, "data/golden/" + name);
    if (!std::filesystem::exists(folder / "hf")) GTEST_SKIP() << name << " as safetensors is only in the shared data";
    const auto expected = nlohmann::json::parse(std::ifstream(folder / "expected.json"))["hf"];
    std::string ids;
    for (const auto& id : expected["tokens"]) ids += (ids.empty() ? "" : ",") + std::to_string(id.get<int>());
    ASSERT_EQ(trace({"-m", (folder / "hf").string(), "--tokens", ids, "-o", path("golden")}).code, 0);
    const std::vector<float> logits = floats_of(Recording::open(path("golden")), "logits");
    EXPECT_LE(test::relative_error(logits, test::read_floats(folder / expected["logits"])), 1e-4);
    Arguments devices = {"cpu"};
    if (test::opencl_device()) devices.push_back("opencl");
    for (const std::string& device : devices) {
      EXPECT_EQ(against(folder / "hf", "golden", {"--device", device}).code, 0) << device;
    }
  }
}

// tools/verify, where there is a Python with torch and transformers: build/verify-venv, or $WEFT_VERIFY_PYTHON.
TEST_F(Trace, TransformersAgree) {
  const char* given = std::getenv("WEFT_VERIFY_PYTHON");
  const std::string python = given != nullptr ? given : (test::source_dir() / "build/verify-venv/bin/python").string();
  if (!std::filesystem::exists(python)) GTEST_SKIP() << "no Python with torch and transformers (see tools/verify)";
  WEFT_SHARED_OR_SKIP(folder, "data/golden/qwen2/hf");
  const std::string command = (test::source_dir() / "tools/verify").string() + " " + folder.string() + " --python " +
                              python + " --weft " + test::weft_binary().string() + " > " + path("out") + " 2>&1";
  EXPECT_EQ(std::system(command.c_str()), 0) << test::read_file(path("out"));
}

// The block of docs/trace.md runs: each line "$ weft ..." in turn, which prints the lines under it that are not "...".
TEST_F(Trace, TheExampleOfTheGuide) {
  const std::string text = test::read_file(test::source_dir() / "docs/trace.md");
  const size_t begin = text.find("```console\n$ weft trace");
  ASSERT_NE(begin, std::string::npos);
  std::istringstream block(text.substr(begin, text.find("\n```\n", begin) - begin));
  std::string line, out;
  std::getline(block, line);
  int commands = 0;
  while (std::getline(block, line)) {
    if (line.rfind("$ weft ", 0) != 0) {
      if (line == "...") continue;
      EXPECT_CONTAINS(out, line + "\n");
      continue;
    }
    Arguments arguments;
    std::istringstream words(line.substr(7));
    for (std::string word; words >> word;) {
      if (word.front() == '"') {
        std::string rest;
        while (word.back() != '"' && words >> rest) word += " " + rest;
        word = word.substr(1, word.size() - 2);
      }
      arguments.push_back(word.ends_with(".safetensors") ? path(word) : word);
    }
    const Result result = run_weft(arguments);
    EXPECT_EQ(result.code, 0) << line << "\n" << result.out << result.err;
    out = result.out;
    ++commands;
  }
  EXPECT_GE(commands, 2);
}

}  // namespace
}  // namespace weft
