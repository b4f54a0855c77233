// A weight that a file has in several places: packed from there, and joined in memory only for who reads it as stored.
#include <gtest/gtest.h>

#include <cstring>
#include <random>

#include "core/scattered_bytes.h"
#include "models/axes.h"
#include "ops/cpu/packed_weights.h"
#include "ops/harness/random_blocks.h"
#include "ops/ops.h"
#include "runtime/files/mapped_file.h"
#include "runtime/files/weight_loader.h"
#include "runtime/plan/plan.h"
#include "tests/gguf_writer.h"

namespace weft {
namespace {

using test::GgufWriter;
using test::TempFile;

struct Expert : axis<"expert"> {};

TEST(ScatteredBytes, AreThoseOfThePiecesInTheirOrder) {
  std::string text(100000, ' ');
  for (size_t i = 0; i < text.size(); ++i) text[i] = static_cast<char>(i * 31 / 7);
  const TempFile file(text);
  const MappedFile map(file.path());
  const auto bytes = std::as_bytes(map.bytes());
  const std::vector<std::pair<size_t, size_t>> places = {{50001, 20000}, {0, 1},         {7, 0}, {8192, 4096},
                                                         {30001, 12345}, {70001, 29999}, {3, 5}};
  std::vector<std::span<const std::byte>> pieces;
  std::string want;
  for (const auto& [begin, count] : places) {
    pieces.push_back(bytes.subspan(begin, count));
    want += text.substr(begin, count);
  }
  const ScatteredBytes scattered(pieces);
  ASSERT_EQ(scattered.size(), want.size());
  for (const size_t count : {size_t{0}, size_t{1}, size_t{5000}, want.size()}) {
    for (size_t begin = 0; begin + count <= want.size(); begin += 4999) {
      std::string copy(count, '?');
      scattered.copy(begin, count, reinterpret_cast<std::byte*>(copy.data()));
      ASSERT_EQ(copy, want.substr(begin, count)) << begin << ", " << count;
    }
  }
  EXPECT_FALSE(scattered.is_joined());
  EXPECT_EQ(std::memcmp(scattered.joined(), want.data(), want.size()), 0);
  EXPECT_TRUE(scattered.is_joined());
  EXPECT_EQ(reinterpret_cast<uintptr_t>(scattered.joined()) % AlignedBytes::kAlignment, 0u);
  EXPECT_EQ(ScatteredBytes({}).size(), 0u);
}

// Three experts with a tensor each, and something else between them.
class ScatteredWeight : public testing::Test {
 protected:
  static constexpr int64_t kExperts = 3, kHidden = 72, kEmbed = 512;

  ScatteredWeight() {
    GgufWriter writer;
    writer.string("general.architecture", "any");
    std::mt19937_64 random(1);
    const size_t row = row_bytes(Format::q8_0, kEmbed);
    for (int64_t e = 0; e < kExperts; ++e) {
      std::string bytes(row * kHidden, '\0');
      for (int64_t r = 0; r < kHidden; ++r) {
        random_blocks(
            Format::q8_0, kEmbed, 1.0f, 0, [&] { return random(); },
            reinterpret_cast<std::byte*>(bytes.data() + row * static_cast<size_t>(r)));
      }
      writer.tensor("expert." + std::to_string(e) + ".weight", {kEmbed, kHidden}, 8, bytes);
      writer.tensor("between." + std::to_string(e), {1000}, 0, std::string(4000, 'x'));
      elements_ += bytes;
    }
    file_.emplace(writer.bytes());
    WeightLoader loader(Checkpoint::open(file_->path()));
    loader.extents<Hidden, Embed, Expert>(kHidden, kEmbed, kExperts);
    loader.load_stack(
        weight_, {"experts.weight", [](int64_t e) { return TensorName("expert." + std::to_string(e) + ".weight"); }});
  }
  const Storage& storage() const { return *weight_.storage(); }

  std::string elements_;
  std::optional<TempFile> file_;
  Weight<Expert, Hidden, Embed> weight_;
};

TEST_F(ScatteredWeight, IsPackedFromWhereItsPiecesAre) {
  ASSERT_NE(storage().pieces, nullptr);
  PackedWeights device;
  const MatrixShape shape{kExperts, kHidden, kEmbed};
  const WantedWeight wanted{weight_.storage(), {kRows16, shape}};
  const auto packed = device.interleaved({&wanted, 1}, 2).front();
  EXPECT_FALSE(storage().pieces->is_joined());
  const Interleaved to(Format::q8_0, kRows16, shape);
  std::vector<std::byte> want(to.bytes());
  to.pack_groups(reinterpret_cast<const std::byte*>(elements_.data()), 0, kExperts * to.groups(), want.data());
  ASSERT_EQ(packed->bytes.size(), want.size());
  EXPECT_EQ(std::memcmp(packed->bytes.data(), want.data(), want.size()), 0);
  EXPECT_EQ(std::memcmp(storage().stored(), elements_.data(), elements_.size()), 0);
  EXPECT_TRUE(storage().pieces->is_joined());
}

TEST_F(ScatteredWeight, IsNotJoinedForAPlanThatPacksIt) {
  Graph graph;
  const auto x = graph.input<f32, Pos, Embed>("x");
  const auto ids = graph.input<i32, Pos>("ids");
  const auto y = materialize(contract<Embed>(x, at<Expert>(weight_, ids)));
  graph.result(y);
  Plan plan =
      compile(Device::cpu(2), graph.record(), Limits().set(graph.axis<Pos>(), 3), {.precision = Precision::exact});
  EXPECT_FALSE(storage().pieces->is_joined());
  Bindings bindings = plan.bindings();
  const std::vector<float> ones(3 * kEmbed, 1.0f);
  const std::vector<int32_t> experts = {2, 0, 1};
  bindings.input(x.id(), ones.data(), {3, kEmbed});
  bindings.input(ids.id(), experts.data(), {3});
  plan.run(bindings);
  EXPECT_FALSE(storage().pieces->is_joined());
  const Output output = plan.output(y.id());
  const auto* sums = static_cast<const float*>(output.data);
  std::vector<float> row(kEmbed);
  for (size_t i = 0; i < experts.size(); ++i) {
    for (int64_t h = 0; h < kHidden; ++h) {
      const size_t at = row_bytes(Format::q8_0, static_cast<size_t>((experts[i] * kHidden + h) * kEmbed));
      decode_row(Format::q8_0, reinterpret_cast<const std::byte*>(elements_.data()) + at, kEmbed, row.data());
      double sum = 0, size = 0;
      for (const float w : row) sum += w, size += std::abs(w);
      ASSERT_NEAR(sums[i * kHidden + static_cast<size_t>(h)], sum, 1e-6 * size) << i << ", " << h;
    }
  }
}

}  // namespace
}  // namespace weft
