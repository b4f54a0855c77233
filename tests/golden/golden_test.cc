// Every golden model of the shared data and of tests/data, GGUF and safetensors, against float64 logits of an
// independent implementation: on CPU and OpenCL, at once and in chunks of 1 and 7.
#include <gtest/gtest.h>

#include <algorithm>
#include <cctype>
#include <fstream>
#include <nlohmann/json.hpp>
#include <optional>
#include <set>

#include "models/registry.h"
#include "runtime/generate/engine.h"
#include "runtime/plan/fold_steps.h"
#include "tests/gpu_device.h"
#include "tests/logits_error.h"
#include "tests/test_data.h"

namespace weft {
namespace {

using test::relative_error;
using Ids = std::vector<int32_t>;

struct Golden {
  std::string folder, file;  // "llama3-gqa", "hf"
};

void PrintTo(const Golden& golden, std::ostream* out) { *out << golden.folder << "/" << golden.file; }

// Of the shared data, and those that only tests/data has.
std::vector<Golden> all_golden() {
  std::vector<Golden> found;
  std::set<std::string> seen;
  for (const auto& root : {test::shared_data("data/golden"), std::optional(test::source_dir() / "tests/data/golden")}) {
    std::set<std::string> here;
    for (const auto& folder : std::filesystem::directory_iterator(root.value())) {
      const std::string name = folder.path().filename().string();
      if (!folder.is_directory() || seen.contains(name)) continue;
      here.insert(name);
      const auto expected = nlohmann::json::parse(std::ifstream(folder.path() / "expected.json"));
      for (const auto& [file, entry] : expected.items()) {
        if (std::filesystem::exists(folder.path() / file)) found.push_back({name, file});
      }
    }
    seen.merge(here);
  }
  std::sort(found.begin(), found.end(),
            [](const Golden& a, const Golden& b) { return std::tie(a.folder, a.file) < std::tie(b.folder, b.file); });
  return found;
}

class Architectures : public testing::TestWithParam<Golden> {
 protected:
  void SetUp() override {
    const auto root = test::shared_data("data/golden/" + GetParam().folder);
    ASSERT_TRUE(root);
    path_ = *root / GetParam().file;
    expected_ = nlohmann::json::parse(std::ifstream(*root / "expected.json"))[GetParam().file];
    tokens_ = expected_["tokens"].get<Ids>();
    logits_ = test::read_floats(*root / expected_["logits"]);
    const bool plain = path_.extension() != ".gguf" || path_.string().find("F16") != std::string::npos ||
                       path_.string().find("F32") != std::string::npos;
    // Machines with AMX round the activations that meet elements of 16 bits to bf16.
    fast_ = plain ? 2e-2 : GetParam().folder == "mixtral" ? 0.15 : 4e-2;
  }

  Engine engine(const Device& device, Precision precision, std::optional<Format> cache_k = {},
                std::optional<Format> cache_v = {}) const {
    return Engine(load_model(Checkpoint::open(path_)), device,
                  {.precision = precision,
                   .context = 64,
                   .batch = 64,
                   .logit_rows = 64,
                   .page_size = 16,
                   .cache_k = cache_k,
                   .cache_v = cache_v});
  }

  // Logits of every position, feeding `chunk` tokens at a time.
  std::vector<float> run(const Device& device, Precision precision, size_t chunk, std::optional<Format> cache_k = {},
                         std::optional<Format> cache_v = {}) const {
    Engine engine = this->engine(device, precision, cache_k, cache_v);
    const int32_t sequence = engine.cache().open();
    std::vector<float> logits;
    for (size_t at = 0; at < tokens_.size(); at += chunk) {
      engine.add(sequence, std::span(tokens_).subspan(at, std::min(chunk, tokens_.size() - at)), WantLogits::all);
      engine.run();
      for (int32_t row = 0; row < engine.rows(); ++row) {
        logits.insert(logits.end(), engine.logits(row).begin(), engine.logits(row).end());
      }
    }
    return logits;
  }

  void agrees(const Device& device) const {
    for (const size_t chunk : {tokens_.size(), size_t{1}, size_t{7}}) {
      EXPECT_LE(relative_error(run(device, Precision::exact, chunk), logits_), 1e-4) << "exact, chunks of " << chunk;
      EXPECT_LE(relative_error(run(device, Precision::fast, chunk), logits_), fast_) << "fast, chunks of " << chunk;
    }
  }

  // The same with keys and values rounded, which adds to the error: most where a router then chooses another expert.
  void agrees_with_caches_in(Format k, Format v, const Device& device, size_t chunk) const {
    const bool fine = k == Format::f16 && v == Format::f16;
    const double allowed = fine ? 2e-3 : GetParam().folder == "mixtral" ? 0.15 : 3e-2;
    EXPECT_LE(relative_error(run(device, Precision::exact, chunk, k, v), logits_), allowed)
        << name(k) << " and " << name(v) << ", chunks of " << chunk;
  }

  std::filesystem::path path_;
  nlohmann::json expected_;
  Ids tokens_;
  std::vector<float> logits_;
  double fast_ = 0;
};

// The clone alone has a model of every family, and the formats that matter.
TEST(Golden, ModelsAreThere) { EXPECT_GE(all_golden().size(), 17u); }

// Norms of each head's queries and keys, and of what a part adds to the residual stream, are epilogues.
TEST(Golden, LayersWithMoreNormsHaveNoMoreSteps) {
  const std::vector<Golden> all = all_golden();
  const auto steps = [&all](const std::string& folder) {
    const auto first = std::ranges::find(all, folder, &Golden::folder);
    if (first == all.end()) return size_t{0};
    const auto path = test::shared_data("data/golden/" + folder).value() / first->file;
    return steps_per_layer(*load_model(Checkpoint::open(path)).graph);
  };
  const size_t least = steps("qwen2");
  EXPECT_EQ(least, 8u);
  for (const char* folder : {"qwen3", "gemma2", "gemma3"}) EXPECT_EQ(steps(folder), least) << folder;
}

TEST_P(Architectures, AgreeOnTheCpu) { agrees(Device::cpu(2)); }

TEST_P(Architectures, AgreeOnOpenCl) {
  const auto device = test::opencl_device();
  if (!device) GTEST_SKIP() << "no OpenCL device";
  agrees(*device);
}

TEST_P(Architectures, AgreeWithCachesOfEveryType) {
  for (const Format format : kCacheFormats) {
    for (const size_t chunk : {tokens_.size(), size_t{7}}) agrees_with_caches_in(format, format, Device::cpu(2), chunk);
  }
}

// One file of each architecture: what weights are stored in makes no difference to caches, and kernels take long to
// compile.
class StoredCaches : public Architectures {};

TEST_P(StoredCaches, AgreeOnOpenCl) {
  const auto device = test::opencl_device();
  if (!device) GTEST_SKIP() << "no OpenCL device";
  agrees_with_caches_in(Format::q8_0, Format::f16, *device, 7);
}

TEST_P(Architectures, ContinueGreedilyAsExpected) {
  Engine engine = this->engine(Device::cpu(1), Precision::exact);
  const int32_t sequence = engine.cache().open();
  Ids greedy;
  auto logits = engine.prefill(sequence, tokens_);
  const auto count = expected_["greedy"].size();
  if (expected_["greedy_min_gap"].get<double>() < 1e-4) GTEST_SKIP() << "two tokens are too close to each other";
  while (greedy.size() < count) {
    greedy.push_back(static_cast<int32_t>(std::max_element(logits.begin(), logits.end()) - logits.begin()));
    if (tokens_.size() + greedy.size() < 64) logits = engine.decode(sequence, greedy.back());
    else break;
  }
  const auto want = expected_["greedy"].get<Ids>();
  EXPECT_GE(greedy.size(), std::min<size_t>(15, count));
  EXPECT_TRUE(std::equal(greedy.begin(), greedy.end(), want.begin())) << testing::PrintToString(greedy);
}

std::vector<Golden> one_of_each_folder() {
  std::vector<Golden> chosen;
  for (const Golden& golden : all_golden()) {
    if (chosen.empty() || chosen.back().folder != golden.folder) chosen.push_back(golden);
  }
  return chosen;
}

std::string name_of(const testing::TestParamInfo<Golden>& test) {
  std::string name = test.param.folder + "_" + test.param.file;
  std::replace_if(name.begin(), name.end(), [](char c) { return !std::isalnum(static_cast<unsigned char>(c)); }, '_');
  return name;
}

INSTANTIATE_TEST_SUITE_P(Golden, Architectures, testing::ValuesIn(all_golden()), name_of);
INSTANTIATE_TEST_SUITE_P(Golden, StoredCaches, testing::ValuesIn(one_of_each_folder()), name_of);

}  // namespace
}  // namespace weft
