// The shipped model and a trained one against logits that others computed; several sequences in one step.
#include <gtest/gtest.h>

#include <algorithm>
#include <fstream>
#include <nlohmann/json.hpp>

#include "models/registry.h"
#include "runtime/generate/engine.h"
#include "runtime/text/tokenizer/tokenizer.h"
#include "tests/gpu_device.h"
#include "tests/logits_error.h"
#include "tests/test_data.h"

namespace weft {
namespace {

using test::read_floats;
using test::relative_error;
using test::shared_data;
using test::shipped_model;
using test::source_dir;
using Ids = std::vector<int32_t>;

// Logits of every position, feeding `chunk` tokens at a time (0: all at once).
std::vector<float> run(const std::filesystem::path& path, const Ids& tokens, const Device& device, Precision precision,
                       size_t chunk = 0) {
  const auto file = Checkpoint::open(path);
  const auto count = static_cast<int32_t>(tokens.size());
  Engine engine(load_model(file), device,
                {.precision = precision, .context = count, .batch = count, .logit_rows = count});
  const int32_t sequence = engine.cache().open();
  std::vector<float> logits;
  for (size_t at = 0; at < tokens.size(); at += chunk == 0 ? tokens.size() : chunk) {
    const size_t n = std::min(chunk == 0 ? tokens.size() : chunk, tokens.size() - at);
    engine.add(sequence, std::span(tokens).subspan(at, n), WantLogits::all);
    engine.run();
    for (int32_t row = 0; row < engine.rows(); ++row) {
      logits.insert(logits.end(), engine.logits(row).begin(), engine.logits(row).end());
    }
  }
  return logits;
}

TEST(ShippedModel, GivesTheLogitsThatItsTrainingScriptComputed) {
  const auto folder = source_dir() / "models/shipped";
  const auto expected = nlohmann::json::parse(std::ifstream(folder / "expected_logits.json"));
  const auto tokens = expected["ids"].get<Ids>();
  const auto want = read_floats(folder / "expected_logits.f32");
  EXPECT_LE(relative_error(run(shipped_model(), tokens, Device::cpu(2), Precision::exact), want), 1e-4);
  EXPECT_LE(relative_error(run(shipped_model(), tokens, Device::cpu(2), Precision::fast), want), 4e-2);
  if (const auto device = test::opencl_device()) {
    EXPECT_LE(relative_error(run(shipped_model(), tokens, *device, Precision::exact), want), 1e-4);
  }
}

TEST(ShippedModel, TokenizesAsTheLibraryThatTrainedItsTokenizer) {
  const auto samples = nlohmann::json::parse(std::ifstream(source_dir() / "models/shipped/tokenizer_samples.json"));
  const auto tokenizer = load_tokenizer(GgufFile::open(shipped_model()));
  EXPECT_GE(samples.size(), 30u);
  for (const auto& sample : samples) {
    const auto text = sample["text"].get<std::string>();
    const auto ids = sample["ids"].get<Ids>();
    EXPECT_EQ(tokenizer->encode(text, false), ids) << text;
    // The symbol that stands for a space cannot come back as itself.
    if (text.find("\u2581") == std::string::npos) {
      EXPECT_EQ(tokenizer->decode(ids), text);
    }
  }
}

// Three sequences of lengths 1, 7 and 64 in one run, two of them sharing the pages of a common prefix, then a prefill
// of one beside decodes of the others: what single runs give.
void ragged_steps_equal_single_runs(const Device& device) {
  const auto file = Checkpoint::open(shipped_model());
  const auto ids = [](int32_t first, size_t count) {
    Ids result(count);
    for (size_t i = 0; i < count; ++i) result[i] = 3 + (first + static_cast<int32_t>(i * i) * 37) % 1000;
    return result;
  };
  const Ids prefix = ids(11, 40);
  const Ids a = ids(5, 1), b = ids(21, 7), c = ids(31, 64);
  const Ids next_a = ids(41, 9), next_b = ids(51, 1), next_c = ids(61, 1);

  const auto single = [&](std::initializer_list<Ids> parts) {
    Ids tokens;
    for (const Ids& part : parts) tokens.insert(tokens.end(), part.begin(), part.end());
    return run(shipped_model(), tokens, device, Precision::exact);
  };
  const auto tail = [](const std::vector<float>& logits, size_t vocab, size_t rows) {
    return std::vector<float>(logits.end() - static_cast<std::ptrdiff_t>(vocab * rows), logits.end());
  };

  Engine engine(load_model(file), device,
                {.precision = Precision::exact,
                 .context = 160,
                 .sequences = 3,
                 .batch = 128,
                 .logit_rows = 128,
                 .page_size = 16});
  const auto vocab = static_cast<size_t>(engine.model().vocab);
  const auto collect = [&](size_t first, size_t rows) {
    std::vector<float> logits;
    for (size_t row = first; row < first + rows; ++row) {
      const auto one = engine.logits(static_cast<int32_t>(row));
      logits.insert(logits.end(), one.begin(), one.end());
    }
    return logits;
  };

  const int32_t sb = engine.cache().open();
  engine.add(sb, prefix, WantLogits::last);
  engine.run();
  const int32_t sc = engine.cache().fork(sb, static_cast<int32_t>(prefix.size()));
  const int32_t sa = engine.cache().open();

  engine.add(sa, a, WantLogits::all);
  engine.add(sb, b, WantLogits::all);
  engine.add(sc, c, WantLogits::all);
  engine.run();
  ASSERT_EQ(engine.rows(), 1 + 7 + 64);
  EXPECT_LE(relative_error(collect(0, 1), single({a})), 1e-5);
  EXPECT_LE(relative_error(collect(1, 7), tail(single({prefix, b}), vocab, 7)), 1e-5);
  EXPECT_LE(relative_error(collect(8, 64), tail(single({prefix, c}), vocab, 64)), 1e-5);

  engine.add(sb, next_b, WantLogits::all);
  engine.add(sa, next_a, WantLogits::all);
  engine.add(sc, next_c, WantLogits::last);
  engine.run();
  EXPECT_LE(relative_error(collect(0, 1), tail(single({prefix, b, next_b}), vocab, 1)), 1e-5);
  EXPECT_LE(relative_error(collect(1, 9), tail(single({a, next_a}), vocab, 9)), 1e-5);
  EXPECT_LE(relative_error(collect(10, 1), tail(single({prefix, c, next_c}), vocab, 1)), 1e-5);
}

TEST(RaggedBatch, StepsEqualSingleRunsOnTheCpu) {
  ragged_steps_equal_single_runs(Device::cpu(1));
  ragged_steps_equal_single_runs(Device::cpu(2));
}

TEST(RaggedBatch, StepsEqualSingleRunsOnOpenCl) {
  const auto device = test::opencl_device();
  if (!device) GTEST_SKIP() << "no OpenCL device";
  ragged_steps_equal_single_runs(*device);
}

// The real trained model: greedy text and the logits of its first 40 steps.
class Stories : public testing::Test {
 protected:
  void SetUp() override {
    const auto path = shared_data("data/models/stories260K");
    if (!path) GTEST_SKIP() << "no shared data: models/stories260K";
    folder_ = *path;
  }

  void logits_agree(const Device& device, Precision precision, double tolerance) {
    const Ids ids = nlohmann::json::parse(std::ifstream(folder_ / "expected_greedy_ids40.json")).get<Ids>();
    Ids tokens{1};
    tokens.insert(tokens.end(), ids.begin(), ids.end() - 1);
    const auto want = read_floats(folder_ / "expected_logits40.f32");
    EXPECT_LE(relative_error(run(folder_ / "stories260K.gguf", tokens, device, precision), want), tolerance);
    EXPECT_LE(relative_error(run(folder_ / "stories260K.gguf", tokens, device, precision, 1), want), tolerance);
  }

  std::filesystem::path folder_;
};

TEST_F(Stories, LogitsOnTheCpu) {
  logits_agree(Device::cpu(2), Precision::exact, 1e-4);
  logits_agree(Device::cpu(2), Precision::fast, 1e-2);
}

TEST_F(Stories, LogitsOnOpenCl) {
  const auto device = test::opencl_device();
  if (!device) GTEST_SKIP() << "no OpenCL device";
  logits_agree(*device, Precision::exact, 1e-4);
}

}  // namespace
}  // namespace weft
