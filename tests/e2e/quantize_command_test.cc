// `weft quantize`: every type and mix, what it says, and what is left when it fails or is interrupted.
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/wait.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <csignal>
#include <fstream>
#include <map>
#include <nlohmann/json.hpp>
#include <sstream>
#include <thread>

#include "runtime/convert/quantize_mix.h"
#include "runtime/files/gguf_writer.h"
#include "tests/command.h"
#include "tests/errors.h"
#include "tests/gguf_writer.h"
#include "tests/gpu_device.h"
#include "tests/hf_model.h"
#include "tests/model_logits.h"

namespace weft::test {
namespace {

namespace fs = std::filesystem;
using Ids = std::vector<int32_t>;

CommandResult quantize(const fs::path& from, const fs::path& to, const std::string& type,
                       const std::vector<std::string>& more = {}) {
  std::vector<std::string> arguments = {"quantize", from.string(), to.string(), "--type", type};
  arguments.insert(arguments.end(), more.begin(), more.end());
  return run_weft(arguments);
}

std::map<std::string, std::string> types_of(const fs::path& path) {
  std::map<std::string, std::string> types;
  const GgufFile file = GgufFile::open(path);
  for (const GgufTensor& tensor : file.tensors()) types[std::string(tensor.name)] = tensor.type_name;
  return types;
}

// Root of the mean squared difference over that of the values.
double rms_error(const std::vector<float>& got, const std::vector<float>& want) {
  double difference = 0, whole = 0;
  for (size_t i = 0; i < want.size(); ++i) {
    const auto w = static_cast<double>(want[i]), d = static_cast<double>(got.at(i)) - w;
    difference += d * d, whole += w * w;
  }
  return std::sqrt(difference / whole);
}

// Quantized and run; where there is llama.cpp's file of that type, each tensor is of the type that it has there,
// and logits are as far from those of the original as they are with that file.
TEST(QuantizeCommand, EveryTypeRuns) {
  WEFT_SHARED_OR_SKIP(golden, "data/golden/llama3-gqa");
  const auto expected = nlohmann::json::parse(read_file(golden / "expected.json"));
  const Ids tokens = expected["hf"]["tokens"];
  const std::vector<float> exact = read_floats(golden / expected["hf"]["logits"]);
  const TemporaryFolder folder;
  const fs::path original = folder / "original.gguf";
  ASSERT_EQ(run_weft({"convert", (golden / "hf").string(), original.string()}).code, 0);
  int references = 0;
  for (const QuantizeTarget& target : quantize_targets()) {
    SCOPED_TRACE(target.name);
    const std::string type(target.name), file = (folder / "out.gguf").string();
    const CommandResult run = quantize(original, file, type);
    ASSERT_EQ(run.code, 0) << run.err;
    EXPECT_EQ(run.out, "");
    EXPECT_CONTAINS(run.err, type);
    EXPECT_CONTAINS(run.err, "bits per weight");
    const double error = rms_error(exact_logits(file, tokens), exact);
    if (target.mix == Mix::none) {
      for (const auto& [tensor, kind] : types_of(file)) {
        const bool plain =
            tensor.find("norm") != std::string::npos || tensor == "rope_freqs.weight" || tensor.ends_with(".scale");
        EXPECT_EQ(kind, plain ? "F32" : type);
      }
    }
    const fs::path theirs = golden / ("llama3-gqa-" + type + ".gguf");
    if (!fs::exists(theirs)) {
      EXPECT_LE(error, 0.7);  // two bits of weights that are noise
      continue;
    }
    ++references;
    EXPECT_EQ(types_of(file), types_of(theirs));
    const double allowed = rms_error(read_floats(golden / ("logits-" + type + ".f32")), exact);
    EXPECT_LE(error, 1.1 * allowed + 1e-5);
    std::printf("%s: %.2e, with llama.cpp's %.2e\n", type.c_str(), error, allowed);
  }
  EXPECT_GE(references, 7);
}

// What a model of trained weights loses by each type of four bits, and that OpenCL computes what the CPU does. NVFP4's
// scales of tensors, which reach weights that its own scales do not, are written and read.
TEST(QuantizeCommand, TypesOfFourBitsRunOnBothBackends) {
  const fs::path shipped = shipped_model();
  const TemporaryFolder folder;
  const fs::path out = folder / "out.gguf";
  const Ids tokens = {1, 20, 300, 41, 500, 6, 70, 8, 19, 210};
  const std::vector<float> exact = exact_logits(shipped, tokens);
  for (const std::string type : {"Q4_0", "MXFP4", "NVFP4"}) {
    SCOPED_TRACE(type);
    const CommandResult run = quantize(shipped, out, type, {"--allow-requantize"});
    ASSERT_EQ(run.code, 0) << run.err;
    int scales = 0;
    for (const auto& [tensor, kind] : types_of(out)) {
      if (tensor.ends_with(".scale")) {
        ++scales;
      } else if (tensor.find("norm") == std::string::npos) {
        EXPECT_EQ(kind, type) << tensor;
      }
    }
    EXPECT_EQ(scales > 10, type == "NVFP4");
    const std::vector<float> logits = exact_logits(out, tokens);
    const double error = rms_error(logits, exact);
    std::printf("%s: %.3f\n", type.c_str(), error);
    EXPECT_LT(error, type == "MXFP4" ? 0.2 : 0.15);
    if (const auto& gpu = opencl_device()) {
      EXPECT_LT(rms_error(exact_logits(out, tokens, *gpu), logits), 1e-4);
    }
  }
}

// The mixes count layers and experts, and tied embeddings serve as output.
TEST(QuantizeCommand, MixesAreThoseOfLlamaCpp) {
  const TemporaryFolder folder;
  for (const std::string model : {"qwen2", "mixtral"}) {
    WEFT_SHARED_OR_SKIP(directory, "data/golden/" + model + "/hf");
    const fs::path golden = directory.parent_path();
    const fs::path original = folder / (model + ".gguf"), out = folder / "out.gguf";
    const CommandResult converted = run_weft({"convert", (golden / "hf").string(), original.string()});
    ASSERT_EQ(converted.code, 0) << converted.err;
    for (const std::string type : {"Q4_K_M", "Q8_0"}) {
      ASSERT_EQ(quantize(original, out, type).code, 0);
      EXPECT_EQ(types_of(out), types_of(golden / (model + "-" + type + ".gguf"))) << model << " " << type;
    }
  }
}

TEST(QuantizeCommand, ListsRowsThatDoNotDivide) {
  WEFT_SHARED_OR_SKIP(original, "data/golden/qwen2/qwen2-BF16.gguf");
  const TemporaryFolder folder;
  const std::vector<std::pair<std::string, std::string>> fallbacks = {
      {"Q2_K", "IQ4_NL"}, {"Q3_K", "IQ4_NL"}, {"Q4_K", "Q5_0"},    {"Q5_K", "Q5_1"},
      {"Q6_K", "Q8_0"},   {"Q8_K", "Q8_0"},   {"IQ4_XS", "IQ4_NL"}};
  for (const auto& [type, fallback] : fallbacks) {
    const CommandResult run = quantize(original, folder / "out.gguf", type);
    ASSERT_EQ(run.code, 0) << run.err;
    EXPECT_CONTAINS(run.err, "other formats where rows do not divide:\n");
    const std::string reason = ": rows of 448 do not divide into blocks of " + type + ": " + fallback + "\n";
    EXPECT_CONTAINS(run.err, "  blk.1.ffn_up.weight" + reason);
    for (const auto& [tensor, kind] : types_of(folder / "out.gguf")) {
      const bool matrix = kind != "F32";
      EXPECT_EQ(run.err.find("  " + tensor + ": ") != std::string::npos, matrix) << tensor;
      EXPECT_EQ(kind, matrix ? fallback : "F32") << tensor;
    }
  }
  // Not even into blocks of 32.
  GgufWriter odd;
  odd.string("general.architecture", "llama");
  odd.tensor("blk.0.ffn_up.weight", {40, 2}, 0, std::string(40 * 2 * 4, '\0'));
  std::ofstream(folder / "odd.gguf", std::ios::binary) << odd.bytes();
  EXPECT_CONTAINS(quantize(folder / "odd.gguf", folder / "out.gguf", "Q4_0").err, "blocks of Q4_0: F16");
}

TEST(QuantizeCommand, WhatItRefuses) {
  const fs::path shipped = shipped_model();
  const TemporaryFolder folder;
  const fs::path out = folder / "out.gguf";
  std::ofstream(out) << "an older file";
  const auto refused = [&](const CommandResult& run, int code, const std::string& part) {
    EXPECT_EQ(run.code, code);
    EXPECT_CONTAINS(run.err, part);
    EXPECT_EQ(read_file(out), "an older file");
  };
  refused(quantize(shipped, out, "Q4_0"), 1, "is quantized already, as Q8_0");
  refused(quantize(shipped, out, "Q9_9"), 2, "no type 'Q9_9': there are F32, F16, BF16, Q4_0");
  fs::create_directories(folder / "directory");
  refused(quantize(folder / "directory", out, "Q4_0"), 1, "weft convert");
  refused(quantize(folder / "absent.gguf", out, "Q4_0"), 1, "No such file");
  refused(quantize(out, out, "Q4_0"), 1, "is the input");

  const CommandResult again = quantize(shipped, out, "q4_k_m", {"--allow-requantize", "-t", "1"});
  EXPECT_EQ(again.code, 0) << again.err;
  const CommandResult text = run_weft({"run", "-m", out.string(), "-p", "It was a", "-n", "4", "--temp", "0"});
  EXPECT_EQ(text.code, 0) << text.err;
  EXPECT_CONTAINS(text.out, "It was a");
}

// A file of matrices of 4096 rows, which takes a while; `last`: its last value.
void write_large(const fs::path& path, float last, int matrices = 1) {
  constexpr size_t kRow = 2048, kRows = 4096;
  std::vector<float> values(kRow * kRows);
  uint32_t state = 1;
  for (float& value : values) {
    state = state * 1664525u + 1013904223u;
    value = static_cast<float>(static_cast<int32_t>(state));
  }
  GgufWriter writer;
  writer.string("general.architecture", "llama");
  for (int i = 0; i < matrices; ++i) {
    if (i + 1 == matrices) values.back() = last;
    writer.tensor("blk." + std::to_string(i) + ".ffn_up.weight", {kRow, kRows}, 0,
                  {reinterpret_cast<const char*>(values.data()), values.size() * sizeof(float)});
  }
  std::ofstream(path, std::ios::binary) << writer.bytes();
}

size_t files_in(const fs::path& folder) {
  return static_cast<size_t>(std::distance(fs::directory_iterator(folder), fs::directory_iterator()));
}

TEST(QuantizeCommand, FailingLateLeavesWhatWasThere) {
  const TemporaryFolder folder;
  write_large(folder / "in.gguf", NAN);
  std::ofstream(folder / "out.gguf") << "an older file";
  const CommandResult run = quantize(folder / "in.gguf", folder / "out.gguf", "Q4_0");
  EXPECT_EQ(run.code, 1);
  EXPECT_CONTAINS(run.err, "tensor 'blk.0.ffn_up.weight'");
  EXPECT_CONTAINS(run.err, "8388607");
  EXPECT_EQ(read_file(folder / "out.gguf"), "an older file");
  EXPECT_EQ(files_in(folder / "."), 2u);
}

TEST(QuantizeCommand, InterruptedLeavesWhatWasThere) {
  const TemporaryFolder folder;
  const std::string in = (folder / "in.gguf").string(), out = (folder / "out.gguf").string();
  write_large(in, 0);
  std::ofstream(out) << "an older file";
  for (const int signal : {SIGINT, SIGTERM, SIGHUP}) {
    const std::string program = weft_binary().string();
    const pid_t child = fork();
    if (child == 0) {
      execl(program.c_str(), program.c_str(), "quantize", in.c_str(), out.c_str(), "--type", "Q2_K", "-t", "1",
            nullptr);
      _exit(127);
    }
    // Once the file under its other name is there, the work has begun.
    bool begun = false;
    for (int i = 0; i < 10000 && !begun; ++i) {
      begun = files_in(folder / ".") == 3;
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
    EXPECT_TRUE(begun);
    // A moment later, signals are handled and bytes written.
    std::this_thread::sleep_for(std::chrono::milliseconds(50));
    kill(child, signal);
    int status = 0;
    waitpid(child, &status, 0);
    EXPECT_TRUE(WIFSIGNALED(status) && WTERMSIG(status) == signal) << status;
    EXPECT_EQ(files_in(folder / "."), 2u);
    EXPECT_EQ(read_file(out), "an older file");
  }
}

// The parts of a model hold what the whole file does, and are input like it.
TEST(QuantizeCommand, Splits) {
  const TemporaryFolder folder;
  const Ids tokens = {1, 5, 9, 2, 33, 7};
  const fs::path whole = folder / "whole.gguf", out = folder / "out.gguf";
  std::ofstream(whole, std::ios::binary) << HfModel::random("llama").gguf();
  ASSERT_EQ(quantize(whole, out, "Q8_0").code, 0);
  const std::vector<float> want = exact_logits(out, tokens);
  const CommandResult run = quantize(whole, out, "Q8_0", {"--split-max-size", "8k"});
  ASSERT_EQ(run.code, 0) << run.err;
  EXPECT_EQ(run.out, "");
  size_t count = 0;
  for (const auto& entry : fs::directory_iterator(folder / ".")) {
    if (!entry.path().filename().string().starts_with("out-0")) continue;
    ++count;
    EXPECT_LE(entry.file_size(), 8000u);
  }
  ASSERT_GE(count, 3u);
  const auto part = [&](size_t no) {
    return folder / ("out-0000" + std::to_string(no) + "-of-0000" + std::to_string(count) + ".gguf");
  };
  EXPECT_CONTAINS(run.err,
                  "out-00001-of-0000" + std::to_string(count) + ".gguf (" + std::to_string(count) + " parts): Q8_0");
  for (const size_t no : {size_t{1}, size_t{2}, count}) EXPECT_EQ(exact_logits(part(no), tokens), want);

  const CommandResult inspect = run_weft({"inspect", part(2).string()});
  EXPECT_EQ(inspect.code, 0) << inspect.err;
  EXPECT_CONTAINS(inspect.out, part(1).string() + ": " + std::to_string(fs::file_size(part(1))) + " bytes, ");
  EXPECT_CONTAINS(inspect.out, " of " + part(count).filename().string() + "\n");
  EXPECT_CONTAINS(inspect.out, "split.count");
  for (const auto& [tensor, type] : types_of(out)) EXPECT_CONTAINS(inspect.out, "\n" + tensor + " ");

  // In one file again, it is the one that was never split.
  const std::string before = read_file(out);
  ASSERT_EQ(quantize(part(2), out, "Q8_0").code, 0);
  EXPECT_TRUE(read_file(out) == before);
  EXPECT_CONTAINS(quantize(part(2), part(1), "Q8_0").err, part(1).string() + ": is part of the input");
  EXPECT_CONTAINS(quantize(part(2), out, "Q8_0", {"--split-max-size", "8000"}).err,
                  part(1).string() + ": is part of the input");
  fs::rename(part(2), folder / "away");
  EXPECT_CONTAINS(quantize(part(1), folder / "new.gguf", "Q8_0").err, part(2).string() + ": is missing");
  EXPECT_CONTAINS(run_weft({"inspect", part(1).string()}).err, part(2).string() + ": is missing");
  EXPECT_FALSE(fs::exists(folder / "new.gguf"));

  for (const char* size : {"0", "", "M", "-1", "1.5G", "5X", "5MB", "99999999999999999999", "99999999999999G"}) {
    const CommandResult refused = quantize(whole, out, "Q8_0", {"--split-max-size", size});
    EXPECT_EQ(refused.code, 2) << size;
    EXPECT_CONTAINS(refused.err, "--split-max-size");
  }
}

TEST(QuantizeCommand, SplittingFailsOrIsInterruptedAsAWhole) {
  const TemporaryFolder folder;
  const std::string in = (folder / "in.gguf").string(), out = (folder / "out").string();
  const auto part = [&](int no) { return folder / ("out-0000" + std::to_string(no) + "-of-00003.gguf"); };
  const auto expect_older = [&] {
    EXPECT_EQ(files_in(folder / "."), 3u);
    for (const int no : {1, 3}) EXPECT_EQ(read_file(part(no)), "an older file");
  };
  for (const int no : {1, 3}) std::ofstream(part(no)) << "an older file";
  write_large(in, NAN, 3);
  const CommandResult run = quantize(in, out, "Q4_0", {"--split-max-size", "5M"});
  EXPECT_EQ(run.code, 1);
  EXPECT_CONTAINS(run.err, "tensor 'blk.2.ffn_up.weight'");
  expect_older();

  write_large(in, 0, 3);
  const std::string program = weft_binary().string();
  const pid_t child = fork();
  if (child == 0) {
    execl(program.c_str(), program.c_str(), "quantize", in.c_str(), out.c_str(), "--type", "Q2_K", "-t", "1",
          "--split-max-size", "5M", nullptr);
    _exit(127);
  }
  // Once the second part is being written under its other name, the first is complete.
  bool begun = false;
  for (int i = 0; i < 60000 && !begun; ++i) {
    begun = files_in(folder / ".") == 5;
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  EXPECT_TRUE(begun);
  kill(child, SIGTERM);
  int status = 0;
  waitpid(child, &status, 0);
  EXPECT_TRUE(WIFSIGNALED(status) && WTERMSIG(status) == SIGTERM) << status;
  expect_older();
}

// Tensors without elements go through as they are.
TEST(QuantizeCommand, CopiesTensorsWithoutElements) {
  const TemporaryFolder folder;
  GgufWriter writer;
  writer.alignment = 64;
  writer.string("general.architecture", "llama").add("general.alignment", GgufType::uint64, pod<uint64_t>(64));
  writer.tensor("blk.0.none.weight", {64, 0}, 0, "").tensor("blk.0.ffn_up.weight", {64, 2}, 0, std::string(512, '\0'));
  writer.tensor("feature.flag", {0}, 0, "").tensor("scale.weight", {}, 0, "1234");
  std::ofstream(folder / "in.gguf", std::ios::binary) << writer.bytes();
  const CommandResult run = quantize(folder / "in.gguf", folder / "out.gguf", "Q4_0");
  ASSERT_EQ(run.code, 0) << run.err;
  const std::map<std::string, std::string> want = {
      {"blk.0.none.weight", "F32"}, {"blk.0.ffn_up.weight", "Q4_0"}, {"feature.flag", "F32"}, {"scale.weight", "F32"}};
  EXPECT_EQ(types_of(folder / "out.gguf"), want);
  const GgufFile file = GgufFile::open(folder / "out.gguf");
  EXPECT_EQ(file.tensor("blk.0.none.weight").shape()[1], 0u);
  EXPECT_EQ(file.tensor("feature.flag").bytes, 0u);
  EXPECT_EQ(file.alignment(), 64u);
  EXPECT_EQ(file.find("general.alignment")->type_name(), "u32");
  const CommandResult inspect = run_weft({"inspect", (folder / "out.gguf").string()});
  EXPECT_CONTAINS(inspect.out, "feature.flag");
  EXPECT_CONTAINS(inspect.out, "\n129 parameters\n");
}

TEST(QuantizeCommand, MemoryDoesNotGrowWithTheFile) {
  const TemporaryFolder folder;
  const std::string in = (folder / "in.gguf").string(), out = (folder / "out.gguf").string();
  constexpr size_t kTensors = 16, kTensorBytes = 16 << 20;
  {
    GgufMetadata metadata;
    metadata.set("general.architecture", "llama");
    std::vector<GgufTensorPlan> plans;
    for (size_t i = 0; i < kTensors; ++i) {
      plans.push_back({"blk." + std::to_string(i) + ".ffn_up.weight", {1024, 4096}, 0});
    }
    weft::GgufWriter writer(in, metadata, plans);
    const std::vector<uint8_t> zeros(1 << 20);
    for (size_t i = 0; i < kTensors * kTensorBytes / zeros.size(); ++i) writer.write(zeros);
    writer.finish();
  }
  const std::string program = weft_binary().string();
  const pid_t child = fork();
  if (child == 0) {
    execl(program.c_str(), program.c_str(), "quantize", in.c_str(), out.c_str(), "--type", "Q8_0", nullptr);
    _exit(127);
  }
  int status = 0;
  rusage used{};
  wait4(child, &status, 0, &used);
  EXPECT_EQ(status, 0);
  EXPECT_LE(used.ru_maxrss, 128 << 10) << "KiB, for a file of 256 MiB";
}

// The words of a shell command, without its comment.
std::vector<std::string> words_of(const std::string& line) {
  std::vector<std::string> words;
  bool in_word = false, quoted = false;
  for (const char c : line) {
    if (c == '#' && !quoted) break;
    if (c == '"') {
      quoted = !quoted;
    } else if (c == ' ' && !quoted) {
      in_word = false;
    } else {
      if (!in_word) words.emplace_back();
      in_word = true;
      words.back() += c;
    }
  }
  return words;
}

// The commands of docs/files.md, with a small model for the one they name.
TEST(QuantizeCommand, ExampleOfTheGuide) {
  WEFT_SHARED_OR_SKIP(directory, "data/golden/qwen2/hf");
  const TemporaryFolder folder;
  const std::string text = read_file(source_dir() / "docs/files.md"), begin = "```\nweft convert";
  const size_t at = text.find(begin);
  ASSERT_NE(at, std::string::npos);
  std::istringstream block(text.substr(at + 4, text.find("```", at + 4) - at - 4));
  int commands = 0;
  for (std::string line; std::getline(block, line); ++commands) {
    std::vector<std::string> words = words_of(line);
    ASSERT_GE(words.size(), 3u) << line;
    EXPECT_EQ(words[0], "weft");
    words.erase(words.begin());
    for (std::string& word : words) {
      if (word == "Qwen2.5-0.5B") word = directory.string();
      if (word.ends_with(".gguf")) word = (folder / word).string();
    }
    const CommandResult run = run_weft(words);
    EXPECT_EQ(run.code, 0) << line << "\n" << run.err;
  }
  EXPECT_EQ(commands, 3);
}

double perplexity_of(const fs::path& model, const fs::path& text, const std::string& precision) {
  const CommandResult run =
      run_weft({"perplexity", "-m", model.string(), "-f", text.string(), "--precision", precision});
  double perplexity = 0;
  EXPECT_EQ(std::sscanf(run.out.c_str(), "perplexity %lf", &perplexity), 1) << run.out << run.err;
  return perplexity;
}

// What docs/files.md says of all of the text, on the beginning of it: `fast` stays within 0.3 % of `exact` in every
// type, and both near what its table has.
TEST(QuantizeCommand, FastPredictsAsExactDoes) {
  const fs::path shipped = source_dir() / "models/shipped/austen-5m-q8_0.gguf";
  const TemporaryFolder folder;
  std::ofstream(folder / "text") << read_file(source_dir() / "models/shipped/heldout.txt").substr(0, 8192);
  const std::string guide = read_file(source_dir() / "docs/files.md");
  std::map<std::string, double> all;  // by type: the table's
  std::istringstream lines(guide.substr(guide.find("| type | file | `exact` | `fast` |")));
  for (std::string line; std::getline(lines, line) && line.starts_with("|");) {
    char type[16];
    double size = 0, exact = 0;
    if (std::sscanf(line.c_str(), "| %15s | %lf MB | %lf", type, &size, &exact) == 3) all[type] = exact;
  }
  std::map<std::string, double> exact;
  for (const Format format : kFloatFormats) {
    const std::string type(name(format));
    ASSERT_TRUE(all.contains(type)) << type;
    const fs::path model = folder / (type + ".gguf");
    ASSERT_EQ(quantize(shipped, model, type, {"--allow-requantize"}).code, 0) << type;
    exact[type] = perplexity_of(model, folder / "text", "exact");
    EXPECT_NEAR(perplexity_of(model, folder / "text", "fast") / exact[type], 1, 0.003) << type;
    fs::remove(model);
  }
  for (const auto& [type, perplexity] : exact) {
    EXPECT_NEAR(perplexity / exact["F32"], all[type] / all["F32"], 0.02) << type;
  }
}

// The commands below that table.
TEST(QuantizeCommand, GuideSaysHowPerplexitiesAreMeasured) {
  const TemporaryFolder folder;
  const std::string text = read_file(source_dir() / "docs/files.md"), begin = "```\nweft quantize models/shipped";
  const size_t at = text.find(begin);
  ASSERT_NE(at, std::string::npos);
  std::istringstream block(text.substr(at + 4, text.find("```", at + 4) - at - 4));
  std::string out;
  for (std::string line; std::getline(block, line);) {
    std::vector<std::string> words = words_of(line);
    ASSERT_GE(words.size(), 3u) << line;
    EXPECT_EQ(words[0], "weft");
    words.erase(words.begin());
    for (std::string& word : words) {
      if (word.starts_with("models/")) word = (source_dir() / word).string();
      else if (word.ends_with(".gguf")) word = (folder / word).string();
    }
    const CommandResult run = run_weft(words);
    EXPECT_EQ(run.code, 0) << line << "\n" << run.err;
    out = run.out;
  }
  EXPECT_CONTAINS(out, "perplexity 26.68");
}

}  // namespace
}  // namespace weft::test
