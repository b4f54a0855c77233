// A real model, Gemma 3 270M in Q4_K_M, where $WEFT_REAL_MODELS names the folder that tools/real_models filled: its
// ids, greedy texts and perplexity are llama.cpp's (tools/real_model_expectations.py).
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <fstream>
#include <nlohmann/json.hpp>
#include <optional>

#include "core/utf8.h"
#include "models/registry.h"
#include "runtime/generate/engine.h"
#include "runtime/text/tokenizer/tokenizer.h"
#include "tests/command.h"
#include "tests/errors.h"

namespace weft::test {
namespace {

using Ids = std::vector<int32_t>;
using nlohmann::json;

class RealModel : public testing::Test {
 protected:
  void SetUp() override {
    const char* folder = std::getenv("WEFT_REAL_MODELS");
    if (folder == nullptr || *folder == '\0') GTEST_SKIP() << "WEFT_REAL_MODELS is not set (see tools/real_models)";
    expected_ = json::parse(std::ifstream(source_dir() / "tests/data/real/gemma-3-270m.json"));
    path_ = std::filesystem::path(folder) / expected_["model"].get<std::string>();
    ASSERT_TRUE(std::filesystem::exists(path_)) << path_ << " is absent: run tools/real_models " << folder;
  }

  json expected_;
  std::filesystem::path path_;
};

TEST_F(RealModel, CanAdd) {
  const CommandResult run = run_weft({"run", "-m", path_.string(), "-p", "2 + 2 =", "--temp", "0", "-n", "2"});
  EXPECT_EQ(run.code, 0) << run.err;
  EXPECT_CONTAINS(run.out, "2 + 2 = 4");
}

TEST_F(RealModel, SplitsTextAsLlamaCppDoes) {
  const auto tokenizer = load_tokenizer(GgufFile::open(path_));
  for (const json& sample : expected_["tokens"]) {
    const std::string text = sample["text"];
    EXPECT_EQ(tokenizer->encode(text, true), sample["ids"].get<Ids>()) << in_quotes(text);
    EXPECT_EQ(tokenizer->encode(text, true, true), sample["special_ids"].get<Ids>()) << in_quotes(text);
  }
}

// Up to where two tokens are so close that rounding decides, in llama.cpp itself too.
TEST_F(RealModel, ContinuesGreedilyAsLlamaCppDoes) {
  const auto tokenizer = load_tokenizer(GgufFile::open(path_));
  const LanguageModel model = load_model(Checkpoint::open(path_));
  for (const Precision precision : {Precision::exact, Precision::fast}) {
    Engine engine(model, Device::cpu(), {.precision = precision, .context = 128, .batch = 128});
    size_t compared = 0;
    for (const json& sample : expected_["greedy"]) {
      const std::string prompt = sample["prompt"];
      const Ids ids = sample["ids"];
      const std::vector<double> leads = sample["leads"];
      const int32_t sequence = engine.cache().open();
      auto logits = engine.prefill(sequence, tokenizer->encode(prompt, true));
      for (size_t i = 0; i < ids.size() && leads[i] >= 0.05; ++i, ++compared) {
        const auto best = std::max_element(logits.begin(), logits.end()) - logits.begin();
        ASSERT_EQ(best, ids[i]) << in_quotes(prompt) << ", token " << i << ", " << name(precision);
        logits = engine.decode(sequence, ids[i]);
      }
      engine.cache().close(sequence);
    }
    EXPECT_GE(compared, 60u);
  }
}

TEST_F(RealModel, PerplexityIsLlamaCpps) {
  const json& page = expected_["perplexity"];
  const TemporaryFolder folder;
  std::ofstream(folder / "page.txt", std::ios::binary)
      << read_file(source_dir() / "models/shipped/heldout.txt").substr(0, page["bytes"]);
  const CommandResult run = run_weft({"perplexity", "-m", path_.string(), "-f", (folder / "page.txt").string(), "-c",
                                      std::to_string(page["window"].get<int>())});
  ASSERT_EQ(run.code, 0) << run.err;
  double got = 0;
  ASSERT_EQ(std::sscanf(run.out.c_str(), "perplexity %lf", &got), 1) << run.out;
  EXPECT_NEAR(got, page["value"], 0.005 * page["value"].get<double>());
  EXPECT_CONTAINS(run.err, std::to_string(page["scored"].get<int>()) + " tokens scored");
}

// The file has no template. In turns of Gemma's format <end_of_turn> ends a reply, though the file does not say so.
TEST_F(RealModel, ChatsInTurns) {
  const TemporaryFolder folder;
  std::ofstream(folder / "turns.jinja") << R"({{ bos_token }}{% for message in messages -%}
{{ '<start_of_turn>' + ('model' if message.role == 'assistant' else message.role) + '\n' + message.content | trim }}
{{- '<end_of_turn>\n' }}{% endfor %}{% if add_generation_prompt %}{{ '<start_of_turn>model\n' }}{% endif %})";
  const CommandResult run = run_weft(
      {"chat", "-m", path_.string(), "--template", (folder / "turns.jinja").string(), "--temp", "0", "-n", "48"},
      "Say hello.\nSay it again.\n");
  EXPECT_EQ(run.code, 0) << run.err;
  EXPECT_FALSE(run.out.empty());
  EXPECT_EQ(run.out.find("_of_turn>"), std::string::npos) << run.out;
  const auto tokenizer = load_tokenizer(GgufFile::open(path_));
  const Ids end = tokenizer->encode("<end_of_turn>", false, true);
  ASSERT_EQ(end.size(), 1u);
  EXPECT_TRUE(tokenizer->ends_generation(end.front()));
}

}  // namespace
}  // namespace weft::test
