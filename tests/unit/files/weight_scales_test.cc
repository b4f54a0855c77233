// Scales that a GGUF file has beside a weight's tensors.
#include <gtest/gtest.h>

#include <cstring>

#include "models/axes.h"
#include "runtime/files/weight_loader.h"
#include "tests/errors.h"
#include "tests/gguf_writer.h"
#include "tests/safetensors_bytes.h"

namespace weft {
namespace {

using test::error_of;
using test::float_bytes;
using test::GgufWriter;
using test::TempFile;

struct Expert : axis<"expert"> {};

class WeightScales : public testing::Test {
 protected:
  WeightScales() { writer_.string("general.architecture", "any"); }
  // GGUF's order: the fastest first.
  void add(const std::string& name, const std::vector<uint64_t>& shape, const std::vector<float>& values) {
    writer_.tensor(name, shape, 0, float_bytes(values));
  }
  WeightLoader& loader() {
    file_.emplace(writer_.bytes());
    loader_.emplace(Checkpoint::open(file_->path()));
    loader_->extents<Hidden, Embed, Expert>(2, 4, 3);
    return *loader_;
  }
  template <Axis... A>
  static std::vector<float> scales(const Weight<A...>& weight) {
    const auto scale = weight.storage()->scale;
    if (scale == nullptr) return {};
    EXPECT_EQ(scale->format, Format::f32);
    std::vector<float> values(scale->bytes() / sizeof(float));
    std::memcpy(values.data(), scale->data, scale->bytes());
    EXPECT_EQ(scale->extents.size(), values.size() == 1 ? 0u : 1u);
    return values;
  }

  GgufWriter writer_;
  std::optional<TempFile> file_;
  std::optional<WeightLoader> loader_;
  const std::vector<float> matrix_ = std::vector<float>(8, 0.5f), matrices_ = std::vector<float>(24, 0.5f);
  const WeightLoader::Stack stack_ = {"experts.weight",
                                      [](int64_t e) { return TensorName("expert." + std::to_string(e) + ".weight"); }};
};

TEST_F(WeightScales, OneOfATensor) {
  add("up.weight", {4, 2}, matrix_);
  add("up.scale", {1}, {0.25f});
  add("up.input_scale", {1}, {7});
  add("down.weight", {4, 2}, matrix_);
  Weight<Hidden, Embed> up, down;
  WeightLoader& loader = this->loader();
  loader.load(up, "up.weight");
  loader.load(down, "down.weight");
  loader.finish();  // nothing is left over
  EXPECT_EQ(scales(up), std::vector<float>{0.25f});
  EXPECT_EQ(scales(down), std::vector<float>{});
}

TEST_F(WeightScales, PartsOfATensorShareIts) {
  add("both.weight", {4, 4}, std::vector<float>(16, 0.5f));
  add("both.scale", {1}, {0.25f});
  Weight<Hidden, Embed> gate, up;
  WeightLoader& loader = this->loader();
  loader.load_parts("both.weight", {WeightLoader::part(gate, "gate.weight"), WeightLoader::part(up, "up.weight")});
  loader.finish();
  EXPECT_EQ(scales(gate), std::vector<float>{0.25f});
  EXPECT_EQ(scales(up), std::vector<float>{0.25f});
}

TEST_F(WeightScales, OneOfEachExpert) {
  add("experts.weight", {4, 2, 3}, matrices_);
  add("experts.scale", {3}, {1, 2, 4});
  Weight<Expert, Hidden, Embed> experts;
  WeightLoader& loader = this->loader();
  loader.load_stack(experts, stack_);
  loader.finish();
  EXPECT_EQ(scales(experts), (std::vector<float>{1, 2, 4}));
}

TEST_F(WeightScales, ExpertsInTensorsOfTheirOwn) {
  for (const char* name : {"expert.0.weight", "expert.1.weight", "expert.2.weight"}) add(name, {4, 2}, matrix_);
  add("expert.0.scale", {1}, {3});
  add("expert.2.scale", {1}, {5});
  Weight<Expert, Hidden, Embed> experts;
  WeightLoader& loader = this->loader();
  loader.load_stack(experts, stack_);
  loader.finish();
  EXPECT_EQ(scales(experts), (std::vector<float>{3, 1, 5}));
}

TEST_F(WeightScales, OthersAreRefused) {
  add("up.weight", {4, 2}, matrix_);
  add("up.scale", {4}, {1, 2, 3, 4});
  add("experts.weight", {4, 2, 3}, matrices_);
  add("experts.scale", {2}, {1, 2});
  Weight<Hidden, Embed> up;
  Weight<Expert, Hidden, Embed> experts;
  WeightLoader& loader = this->loader();
  loader.load(up, "up.weight");
  loader.load_stack(experts, stack_);
  const std::string error = error_of([&] { loader.finish(); });
  EXPECT_CONTAINS(error, "tensor 'up.scale' is [4] of F32, expected F32, one number");
  EXPECT_CONTAINS(error, "tensor 'experts.scale' is [2] of F32, expected F32, one number or 3");
}

}  // namespace
}  // namespace weft
