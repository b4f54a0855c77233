// `weft compare`: what it finds between a model and others, its settings and itself; what it refuses.
#include <gtest/gtest.h>

#include <cmath>
#include <nlohmann/json.hpp>

#include "tests/command.h"
#include "tests/errors.h"
#include "tests/gpu_device.h"
#include "tests/test_data.h"

namespace weft::test {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

class CompareCommand : public testing::Test {
 protected:
  void SetUp() override {
    std::ofstream(text_) << read_file(source_dir() / "models/shipped/heldout.txt").substr(0, 4096);
  }

  // `more`: what to compare.
  CommandResult run(std::vector<std::string> more) const {
    more.insert(more.begin(), {"compare", "-f", text_, "-c", "128"});
    return run_weft(more);
  }
  json json_of(std::vector<std::string> more) const {
    more.emplace_back("--json");
    const CommandResult result = run(more);
    EXPECT_EQ(result.code, 0) << result.err;
    return json::parse(result.out, nullptr, false);
  }
  void expect_usage_error(const std::vector<std::string>& more, const std::string& part) const {
    const CommandResult result = run(more);
    EXPECT_EQ(result.code, 2) << result.err;
    EXPECT_CONTAINS(result.err, part);
  }
  void expect_failure(const std::vector<std::string>& more, const std::string& part) const {
    const CommandResult result = run(more);
    EXPECT_EQ(result.code, 1) << result.err;
    EXPECT_EQ(result.out, "");
    EXPECT_CONTAINS(result.err, part);
    EXPECT_EQ(std::count(result.err.begin(), result.err.end(), '\n'), 1) << result.err;
  }

  TemporaryFolder folder_;
  std::string text_ = (folder_ / "text").string(), shipped_ = shipped_model().string();
};

TEST_F(CompareCommand, AModelAgainstItself) {
  const json result = json_of({"-m", shipped_, "-m", shipped_});
  EXPECT_EQ(result["kl_divergence"]["value"], 0);
  EXPECT_EQ(result["kl_divergence"]["largest"], 0);
  EXPECT_EQ(result["same_top"]["value"], 1);
  EXPECT_EQ(result["logit_difference"]["largest"], 0);
  EXPECT_EQ(result["log_likelihood_difference"]["value"], 0);
  EXPECT_EQ(result["log_likelihood_difference"]["standard_error"], 0);
  EXPECT_EQ(result["perplexity"]["reference"], result["perplexity"]["compared"]);
  const std::string table = run({"-m", shipped_, "-m", shipped_}).out;
  EXPECT_CONTAINS(table, "reference  " + shipped_ + " (cpu, ");
  EXPECT_CONTAINS(table, "precision fast)\n");
  EXPECT_CONTAINS(table, "same most likely token                100.000 %  0 %\n");
}

TEST_F(CompareCommand, FastIsNearExact) {
  const json result = json_of({"--precision", "exact,fast"});
  EXPECT_EQ(result["reference"]["precision"], "exact");
  EXPECT_EQ(result["compared"]["precision"], "fast");
  EXPECT_EQ(result["window_tokens"], 128);
  EXPECT_EQ(result["tokens_scored"], result["windows"].get<int>() * 63);
  const json& kl = result["kl_divergence"];
  EXPECT_GT(kl["value"], 0);
  EXPECT_LT(kl["value"], 1e-3);
  EXPECT_GT(kl["standard_error"], 0);
  EXPECT_LE(kl["median"], kl["p99"]);
  EXPECT_LE(kl["p99"], kl["largest"]);
  EXPECT_GT(result["same_top"]["value"], 0.97);
  EXPECT_GT(result["logit_difference"]["largest"], result["logit_difference"]["mean"]);
  const double a = result["perplexity"]["reference"]["value"], b = result["perplexity"]["compared"]["value"];
  EXPECT_NEAR(result["log_likelihood_difference"]["value"], std::log(a / b), 1e-9);
  // Of pairs, so that what both find hard does not count.
  EXPECT_LT(result["log_likelihood_difference"]["standard_error"].get<double>(),
            result["perplexity"]["reference"]["standard_error"].get<double>() / a / 10);
}

// Both find what `weft perplexity` does, with its error.
TEST_F(CompareCommand, PerplexitiesAreThoseOfPerplexity) {
  const json result = json_of({"--precision", "exact,fast"});
  const std::vector<std::pair<const char*, const char*>> sides = {{"reference", "exact"}, {"compared", "fast"}};
  for (const auto& [side, precision] : sides) {
    const CommandResult alone = run_weft({"perplexity", "-f", text_, "-c", "128", "--precision", precision});
    double value = 0, error = 0;
    ASSERT_EQ(std::sscanf(alone.out.c_str(), "perplexity %lf +/- %lf", &value, &error), 2) << alone.out;
    EXPECT_NEAR(result["perplexity"][side]["value"], value, 1e-4);
    EXPECT_NEAR(result["perplexity"][side]["standard_error"], error, 1e-4);
  }
}

// The place of the largest difference, from the logits that `weft logits` writes.
TEST_F(CompareCommand, TheLargestDifferenceIsWhereItSays) {
  const json difference = json_of({"--precision", "exact,fast"})["logit_difference"];
  const json& at = difference["largest_at"];
  const auto position = at["position"].get<size_t>();
  std::istringstream words(run_weft({"tokenize", "-f", text_}).out);
  std::vector<int> tokens;
  for (int id = 0; words >> id;) tokens.push_back(id);
  ASSERT_LT(position, tokens.size());
  EXPECT_EQ(at["token"]["id"], tokens[position]);
  std::string ids = "1";  // BOS in place of the first
  for (size_t i = position / 128 * 128 + 1; i < position; ++i) ids += "," + std::to_string(tokens[i]);
  std::vector<std::vector<float>> logits;
  for (const char* precision : {"exact", "fast"}) {
    const std::string out = (folder_ / precision).string();
    ASSERT_EQ(run_weft({"logits", "--tokens", ids, "-o", out, "--precision", precision}).code, 0);
    logits.push_back(read_floats(out));
  }
  constexpr size_t kVocab = 2048;
  ASSERT_EQ(logits[0].size() % kVocab, 0u);
  const size_t index = logits[0].size() - kVocab + at["logit_of"]["id"].get<size_t>();
  EXPECT_NEAR(std::abs(logits[1][index] - logits[0][index]), difference["largest"].get<double>(), 0.02);
}

// What docs/numerics.md says of all of the text, on the beginning of it, where it does not depend on the machine.
TEST_F(CompareCommand, DivergencesAreThoseOfTheGuide) {
  const std::string guide = read_file(source_dir() / "docs/numerics.md");
  const auto expect_row = [&](const std::string& name, const std::vector<std::string>& what) {
    const std::string begin = "| exact | exact, " + name + " | ";
    const size_t at = guide.find(begin);
    ASSERT_NE(at, guide.npos) << name;
    const json result = json_of(what);
    EXPECT_NEAR(std::log2(result["kl_divergence"]["value"].get<double>() / std::stod(guide.substr(at + begin.size()))),
                0, 0.6)
        << name;
    EXPECT_LT(result["same_top"]["value"], 1);
  };
  for (const char* type : {"Q6_K", "Q3_K"}) {
    const std::string copy = (folder_ / type).string() + ".gguf";
    ASSERT_EQ(run_weft({"quantize", shipped_, copy, "--type", type, "--allow-requantize"}).code, 0);
    expect_row(type, {"-m", shipped_, "-m", copy, "--precision", "exact"});
  }
  expect_row("cache in Q8_0", {"-ctk", "f32,q8_0", "-ctv", "f32,q8_0", "--precision", "exact"});
}

TEST_F(CompareCommand, EverySettingMayDiffer) {
  const json caches = json_of({"-ctk", "f32,q8_0", "-ctv", "f32,f16", "--precision", "exact"});
  EXPECT_EQ(caches["compared"]["cache_type_k"], "q8_0");
  EXPECT_EQ(caches["compared"]["cache_type_v"], "f16");
  EXPECT_GT(caches["kl_divergence"]["value"], 0);
  EXPECT_LT(caches["kl_divergence"]["value"], 1e-3);
  const json kernels = json_of({"--kernel", "f32-x16,f32-dot", "--precision", "exact"});
  EXPECT_EQ(kernels["reference"]["kernel"], "f32-x16");
  EXPECT_EQ(kernels["compared"]["kernel"], "f32-dot");
  EXPECT_LT(kernels["kl_divergence"]["value"], 1e-9);
  EXPECT_GT(kernels["logit_difference"]["largest"], 0);
  if (!opencl_device()) GTEST_SKIP() << "no OpenCL device";
  const json devices = json_of({"--device", "cpu,opencl", "--precision", "exact"});
  EXPECT_EQ(devices["compared"]["device"].get<std::string>().rfind("opencl", 0), 0u) << devices;
  EXPECT_LT(devices["kl_divergence"]["value"], 1e-9);
  EXPECT_EQ(devices["same_top"]["value"], 1);
}

TEST_F(CompareCommand, MaxKlDecidesTheExitCode) {
  const std::vector<std::string> precisions = {"--precision", "exact,fast", "--max-kl"};
  const auto limited = [&](const char* limit) {
    std::vector<std::string> arguments = precisions;
    arguments.emplace_back(limit);
    return run(arguments);
  };
  EXPECT_EQ(limited("0.01").code, 0);
  EXPECT_EQ(limited("0.01").err, "");
  const CommandResult above = limited("1e-9");
  EXPECT_EQ(above.code, 1);
  EXPECT_CONTAINS(above.out, "KL divergence, mean");
  EXPECT_CONTAINS(above.err, ", is above --max-kl 1e-09\n");
  EXPECT_EQ(limited("-1").code, 2);
}

TEST_F(CompareCommand, TheTextMayBeAnyFile) {
  const std::string odd = (folder_ / "odd\xff").string(), text = read_file(text_);
  std::ofstream(odd) << text;
  const std::vector<std::string> arguments = {"compare", "-c", "128", "--precision", "exact,fast", "--json", "-f"};
  const auto of_file = [&](const std::string& file) {
    std::vector<std::string> all = arguments;
    all.push_back(file);
    return json::parse(run_weft(all, text).out, nullptr, false);
  };
  const json named = of_file(odd), piped = of_file("-");
  EXPECT_TRUE(named["text"].get<std::string>().ends_with("odd\xEF\xBF\xBD")) << named["text"];
  EXPECT_EQ(piped["text"], "standard input");
  EXPECT_EQ(piped["kl_divergence"], named["kl_divergence"]);
}

TEST_F(CompareCommand, WrongUsage) {
  for (const std::vector<std::string>& nothing :
       {std::vector<std::string>{}, {"-m", shipped_}, {"--precision", "exact"}, {"--precision", "exact,"}}) {
    expect_usage_error(nothing, "something to compare: -m twice, or two values of another flag");
  }
  expect_usage_error({"--precision", "exact,fast,exact"}, "--precision");
  expect_usage_error({"--precision", "exact,sloppy"}, "sloppy");
  expect_usage_error({"--cache-type-k", "f32,q4_0"}, "no type of caches 'q4_0'");
  expect_usage_error({"-m", shipped_, "-m", shipped_, "-m", shipped_}, "--model");
  EXPECT_EQ(run_weft({"compare", "--precision", "exact,fast"}).code, 2);  // no text
}

TEST_F(CompareCommand, VocabulariesMustBeTheSame) {
  // A copy whose token "enough" ends in another letter.
  std::string bytes = read_file(shipped_);
  const std::string word = "enough";
  const size_t at = bytes.find(word);
  ASSERT_NE(at, bytes.npos);
  bytes[at + word.size() - 1] = 'q';
  const std::string copy = (folder_ / "copy.gguf").string();
  std::ofstream(copy, std::ios::binary) << bytes;
  expect_failure({"-m", shipped_, "-m", copy}, shipped_ + " and " + copy + " have different vocabularies: token ");
  expect_failure({"-m", shipped_, "-m", copy}, "enough' and '");
  WEFT_SHARED_OR_SKIP(stories, "data/models/stories260K/stories260K.gguf");
  expect_failure({"-m", shipped_, "-m", stories.string()}, " have different vocabularies: 2048 and 512 tokens");
}

TEST_F(CompareCommand, WhatCannotBeCompared) {
  expect_failure({"-m", shipped_, "-m", (folder_ / "none.gguf").string()}, "none.gguf: cannot open: No such file");
  expect_failure({"--kernel", "f32-dot,none"}, "no kernel of contractions is called 'none'");
  std::ofstream(text_) << "Too short.";
  expect_failure({"--precision", "exact,fast"}, "fewer than one window of 128 (-c)");
  expect_failure({"-f", (folder_ / "no-text").string(), "--precision", "exact,fast"}, "no-text: No such file");
}

}  // namespace
}  // namespace weft::test
