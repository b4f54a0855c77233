// Weights that a file has in another order or form than plans read: what is read is what a plain loop in double gives,
// packing takes it from the file, and what does not fit is refused by name.
#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <nlohmann/json.hpp>
#include <random>

#include "models/axes.h"
#include "ops/cpu/packed_weights.h"
#include "ops/ops.h"
#include "runtime/files/weight_loader.h"
#include "runtime/plan/plan.h"
#include "tests/errors.h"
#include "tests/gpu_device.h"
#include "tests/hf_model.h"
#include "tests/safetensors_bytes.h"

namespace weft {
namespace {

using nlohmann::json;
using test::error_of;

struct Expert : axis<"expert"> {};

std::string encoded(Format format, const std::vector<float>& values) {
  std::string bytes(row_bytes(format, values.size()), '\0');
  encode_row(format, values.data(), values.size(), bytes.data());
  return bytes;
}

std::vector<float> decoded(const Storage& storage) {
  std::vector<float> values(storage.bytes() / info(storage.format).block_bytes * info(storage.format).block_elements);
  decode_row(storage.format, storage.stored(), values.size(), values.data());
  return values;
}

// A directory of safetensors, in which no tensor begins at an even address.
class ArrangedWeight : public testing::Test {
 protected:
  ArrangedWeight() { add("odd", "U8", {3}, "xyz"); }

  void add(const std::string& name, const std::string& type, const std::vector<int64_t>& shape,
           const std::string& bytes) {
    header_[name] = {{"dtype", type}, {"shape", shape}, {"data_offsets", {data_.size(), data_.size() + bytes.size()}}};
    data_ += bytes;
  }
  std::vector<float> add_floats(const std::string& name, Format format, const std::vector<int64_t>& shape) {
    size_t count = 1;
    for (const int64_t extent : shape) count *= static_cast<size_t>(extent);
    std::vector<float> values(count);
    for (float& value : values)
      value = static_cast<float>(static_cast<int>(random_() % 255) - 127) / 8;  // exact in all
    add(name, format == Format::f32 ? "F32" : format == Format::f16 ? "F16" : "BF16", shape, encoded(format, values));
    return values;
  }
  std::string add_bytes(const std::string& name, const std::string& type, const std::vector<int64_t>& shape) {
    size_t count = 1;
    for (const int64_t extent : shape) count *= static_cast<size_t>(extent);
    std::string bytes(count, '\0');
    for (char& byte : bytes) byte = static_cast<char>(random_());
    add(name, type, shape, bytes);
    return bytes;
  }
  WeightLoader& loader(const json& quantization = {}) {
    json config = {{"model_type", "any"}};
    if (!quantization.is_null()) config["quantization_config"] = quantization;
    directory_.write("config.json", config.dump());
    directory_.write("model.safetensors", test::safetensors_bytes(header_.dump(), data_));
    const auto file = Checkpoint::open(directory_.path());
    EXPECT_EQ(file->unsupported(), "");
    loader_.emplace(file);
    loader_->ignore("odd");
    return *loader_;
  }
  // Every part of it, packed, and in one place, which is not needed for packing.
  static void check(const Storage& storage, const std::vector<float>& want, int64_t columns) {
    ASSERT_NE(storage.pieces, nullptr);
    const std::vector<float> got = [&] {
      std::vector<float> values(want.size());
      std::vector<std::byte> bytes(storage.bytes());
      for (size_t at = 0, step = 1; at < bytes.size(); at += step, step = step * 3 + 1) {
        step = std::min(step, bytes.size() - at);
        storage.pieces->copy(at, step, bytes.data() + at);
      }
      decode_row(storage.format, bytes.data(), values.size(), values.data());
      return values;
    }();
    for (size_t i = 0; i < want.size(); ++i) {
      ASSERT_EQ(std::isnan(got[i]), std::isnan(want[i])) << i;
      if (!std::isnan(want[i])) {
        ASSERT_EQ(got[i], want[i]) << i;
      }
    }
    const auto shared = std::shared_ptr<const Storage>(std::shared_ptr<void>(), &storage);
    PackedWeights device;
    const MatrixShape shape{1, static_cast<int64_t>(want.size()) / columns, columns};
    const WantedWeight wanted{shared, {kRows16, shape}};
    const auto packed = device.interleaved({&wanted, 1}, 2).front();
    EXPECT_FALSE(storage.pieces->is_joined());
    const Interleaved to(storage.format, kRows16, shape);
    std::vector<std::byte> row(row_bytes(storage.format, static_cast<size_t>(columns)));
    for (int64_t r = 0; r < shape.rows; ++r) {
      to.unpack_row(packed->bytes.data(), r, row.data());
      ASSERT_EQ(std::memcmp(row.data(), storage.stored() + static_cast<size_t>(r) * row.size(), row.size()), 0) << r;
    }
  }

  json header_ = json::object();
  std::string data_;
  std::mt19937_64 random_{5};
  test::TempDirectory directory_;
  std::optional<WeightLoader> loader_;
};

// want[o][i] = file[i][o]
std::vector<float> exchanged(const std::vector<float>& file, int64_t in, int64_t out) {
  std::vector<float> want(file.size());
  for (int64_t i = 0; i < in; ++i) {
    for (int64_t o = 0; o < out; ++o) want[static_cast<size_t>(o * in + i)] = file[static_cast<size_t>(i * out + o)];
  }
  return want;
}

TEST_F(ArrangedWeight, TransposedMatricesOfAllSizes) {
  int64_t number = 0;
  for (const Format format : {Format::f32, Format::f16, Format::bf16}) {
    for (const auto& [in, out] : std::vector<std::pair<int64_t, int64_t>>{
             {1, 1}, {1, 33}, {33, 1}, {31, 32}, {32, 31}, {33, 65}, {70, 17}, {64, 96}}) {
      const std::string name = "w" + std::to_string(number++);
      const auto values = add_floats(name, format, {in, out});
      WeightLoader& loader = this->loader();
      loader.extents<Hidden, Embed>(out, in);
      Weight<Hidden, Embed> weight;
      loader.load(weight, name, {.transposed = true});
      ASSERT_TRUE(weight.is_loaded()) << name;
      EXPECT_EQ(weight.storage()->format, format);
      check(*weight.storage(), exchanged(values, in, out), in);
    }
  }
}

TEST_F(ArrangedWeight, InputsAndOutputsOfSeveralAxes) {
  const auto values = add_floats("o", Format::f32, {2 * 3 * 4, 5});
  WeightLoader& loader = this->loader();
  loader.extents<Embed, KvHead, Group, HeadDim>(5, 2, 3, 4);
  Weight<Embed, KvHead, Group, HeadDim> weight;
  loader.load(weight, "o", {.transposed = true});
  loader.finish();
  check(*weight.storage(), exchanged(values, 24, 5), 24);
}

TEST_F(ArrangedWeight, PartsOfATransposedMatrixAreColumns) {
  const auto values = add_floats("qkv.weight", Format::f16, {7, 12 + 4 + 4});
  add_floats("qkv.bias", Format::f32, {20});
  const auto all = exchanged(values, 7, 20);
  WeightLoader& loader = this->loader();
  loader.extents<KvHead, Group, HeadDim, Embed>(2, 3, 2, 7);
  Weight<KvHead, Group, HeadDim, Embed> q;
  Weight<KvHead, HeadDim, Embed> k, v;
  Weight<KvHead, Group, HeadDim> bq;
  Weight<KvHead, HeadDim> bk, bv;
  const WeightOptions turned{.transposed = true};
  loader.load_parts(
      "qkv.weight",
      {loader.part(q, "q.weight", turned), loader.part(k, "k.weight", turned), loader.part(v, "v.weight", turned)},
      true);
  loader.load_parts("qkv.bias", {loader.part(bq, "q.bias"), loader.part(bk, "k.bias"), loader.part(bv, "v.bias")},
                    true);
  loader.finish();
  check(*q.storage(), {all.begin(), all.begin() + 12 * 7}, 7);
  check(*k.storage(), {all.begin() + 12 * 7, all.begin() + 16 * 7}, 7);
  check(*v.storage(), {all.begin() + 16 * 7, all.end()}, 7);
  // A converter writes them together.
  ASSERT_EQ(loader.declared().size(), 2u);
  EXPECT_EQ(loader.declared()[0].name, "qkv.weight");
  EXPECT_EQ(loader.declared()[0].extents, (std::vector<int64_t>{20, 7}));
  std::string bytes(all.size() * 2, '\0');
  loader.declared()[0].arranged->copy(0, bytes.size(), reinterpret_cast<std::byte*>(bytes.data()));
  EXPECT_EQ(bytes, encoded(Format::f16, all));
  EXPECT_EQ(loader.declared()[1].extents, (std::vector<int64_t>{20}));
}

// Experts whose gate and up rows take turns, transposed.
TEST_F(ArrangedWeight, ExpertsInTurns) {
  constexpr int64_t kExperts = 3, kIn = 5, kOut = 4;
  const auto values = add_floats("gate_up", Format::bf16, {kExperts, kIn, 2 * kOut});
  const auto biases = add_floats("gate_up_bias", Format::f32, {kExperts, 2 * kOut});
  WeightLoader& loader = this->loader();
  loader.extents<Expert, Hidden, Embed>(kExperts, kOut, kIn);
  Weight<Expert, Hidden, Embed> both[2];
  Weight<Expert, Hidden> bias[2];
  for (int share = 0; share < 2; ++share) {
    const std::string name = share == 0 ? "gate" : "up";
    loader.load_stack(both[share], {.whole = name,
                                    .fused = "gate_up",
                                    .share = share,
                                    .shares = 2,
                                    .alternate = true,
                                    .options = {.transposed = true}});
    loader.load_stack(
        bias[share],
        {.whole = name + "_bias", .fused = "gate_up_bias", .share = share, .shares = 2, .alternate = true});
  }
  loader.finish();
  for (int share = 0; share < 2; ++share) {
    std::vector<float> want, want_bias;
    for (int64_t e = 0; e < kExperts; ++e) {
      for (int64_t o = 0; o < kOut; ++o) {
        const int64_t column = 2 * o + share;
        want_bias.push_back(biases[static_cast<size_t>(e * 2 * kOut + column)]);
        for (int64_t i = 0; i < kIn; ++i)
          want.push_back(values[static_cast<size_t>((e * kIn + i) * 2 * kOut + column)]);
      }
    }
    check(*both[share].storage(), want, kIn);
    EXPECT_EQ(decoded(*bias[share].storage()), want_bias);
  }
}

// Four bits of exponent, biased by 7, three of mantissa; the last mantissa of the last exponent is no number.
double e4m3(uint8_t bits) {
  const int exponent = bits >> 3 & 15, mantissa = bits & 7;
  if (exponent == 15 && mantissa == 7) return std::nan("");
  const double size =
      exponent == 0 ? mantissa / 8.0 * std::pow(2.0, -6) : (1 + mantissa / 8.0) * std::pow(2, exponent - 7);
  return bits & 0x80 ? -size : size;
}

TEST_F(ArrangedWeight, EightBitFloatsWithScalesOfBlocks) {
  for (const auto& [rows, columns, block_rows, block_columns] : std::vector<std::array<int64_t, 4>>{
           {1, 1, 128, 128}, {128, 256, 128, 128}, {130, 300, 128, 128}, {7, 33, 2, 3}}) {
    for (const bool powers : {false, true}) {
      const std::string name = "w" + std::to_string(rows) + (powers ? "p" : "");
      const std::string bytes = add_bytes(name, "F8_E4M3", {rows, columns});
      const int64_t across = (columns + block_columns - 1) / block_columns, down = (rows + block_rows - 1) / block_rows;
      std::vector<float> scales;
      for (int64_t i = 0; i < down * across; ++i) {
        scales.push_back(powers ? std::exp2(static_cast<float>(i % 9 - 4)) : 0.001f * static_cast<float>(1 + i));
      }
      add(name + "_scale_inv", "F32", {down, across}, test::float_bytes(scales));
      WeightLoader& loader =
          this->loader({{"quant_method", "fp8"}, {"weight_block_size", {block_rows, block_columns}}});
      loader.extents<Hidden, Embed>(rows, columns);
      Weight<Hidden, Embed> weight;
      loader.load(weight, name);
      ASSERT_TRUE(weight.is_loaded()) << error_of([&] { loader.finish(); });
      EXPECT_EQ(weight.storage()->format, powers ? Format::bf16 : Format::f32);
      std::vector<float> want;
      for (int64_t r = 0; r < rows; ++r) {
        for (int64_t c = 0; c < columns; ++c) {
          const double scale = scales[static_cast<size_t>(r / block_rows * across + c / block_columns)];
          want.push_back(
              static_cast<float>(e4m3(static_cast<uint8_t>(bytes[static_cast<size_t>(r * columns + c)])) * scale));
        }
      }
      check(*weight.storage(), want, columns);
    }
  }
}

// An expert per tensor: one format for all, that of the one that needs most.
TEST_F(ArrangedWeight, ExpertsOfEightBitFloats) {
  std::vector<float> want;
  for (int e = 0; e < 2; ++e) {
    const std::string name = "e" + std::to_string(e);
    const std::string bytes = add_bytes(name, "F8_E4M3", {3, 5});
    const float scale = e == 0 ? 0.5f : 0.3f;
    add(name + "_scale_inv", "F32", {1, 1}, test::float_bytes({scale}));
    for (const char byte : bytes) want.push_back(static_cast<float>(e4m3(static_cast<uint8_t>(byte)) * double{scale}));
  }
  WeightLoader& loader = this->loader({{"quant_method", "fp8"}, {"weight_block_size", {128, 128}}});
  loader.extents<Expert, Hidden, Embed>(2, 3, 5);
  Weight<Expert, Hidden, Embed> weight;
  loader.load_stack(weight, {"all", [](int64_t e) { return TensorName("e" + std::to_string(e)); }});
  loader.finish();
  EXPECT_EQ(weight.storage()->format, Format::f32);
  check(*weight.storage(), want, 5);
  EXPECT_EQ(loader.declared().front().converted, Format::bf16);
}

TEST_F(ArrangedWeight, Mxfp4InTwoTensors) {
  constexpr int64_t kExperts = 2, kOut = 3, kIn = 96;
  static constexpr double kValues[8] = {0, 0.5, 1, 1.5, 2, 3, 4, 6};
  const std::string blocks = add_bytes("gate_up_blocks", "U8", {kExperts, 2 * kOut, kIn / 32, 16});
  std::string scales(static_cast<size_t>(kExperts * 2 * kOut * kIn / 32), '\0');
  for (char& scale : scales) scale = static_cast<char>(120 + random_() % 16);
  add("gate_up_scales", "U8", {kExperts, 2 * kOut, kIn / 32}, scales);
  WeightLoader& loader = this->loader({{"quant_method", "mxfp4"}, {"modules_to_not_convert", {"lm_head"}}});
  loader.extents<Expert, Hidden, Embed>(kExperts, kOut, kIn);
  for (int share = 0; share < 2; ++share) {
    Weight<Expert, Hidden, Embed> weight;
    loader.load_stack(weight, {.whole = share == 0 ? "gate" : "up",
                               .fused = "gate_up",
                               .share = share,
                               .shares = 2,
                               .alternate = true,
                               .options = {.transposed = true}});  // which blocks never are
    ASSERT_TRUE(weight.is_loaded()) << error_of([&] { loader.finish(); });
    EXPECT_EQ(weight.storage()->format, Format::mxfp4);
    std::vector<float> want;
    for (int64_t e = 0; e < kExperts; ++e) {
      for (int64_t o = 0; o < kOut; ++o) {
        for (int64_t i = 0; i < kIn; ++i) {
          const int64_t block = (e * 2 * kOut + 2 * o + share) * (kIn / 32) + i / 32;
          const auto byte = static_cast<uint8_t>(blocks[static_cast<size_t>(block * 16 + i % 32 / 2)]);
          const int bits = byte >> i % 2 * 4 & 15;
          const double size =
              std::ldexp(kValues[bits & 7], static_cast<uint8_t>(scales[static_cast<size_t>(block)]) - 127);
          want.push_back(static_cast<float>(bits & 8 ? -size : size));
        }
      }
    }
    check(*weight.storage(), want, kIn);
  }
  loader.finish();
}

TEST_F(ArrangedWeight, WhatDoesNotFitIsNamed) {
  add_floats("shape", Format::f32, {4, 6});
  add_bytes("bare", "F8_E4M3", {6, 4});
  add_bytes("scaled", "F8_E4M3", {6, 4});
  add("scaled_scale_inv", "F32", {2, 1}, test::float_bytes({1, 1}));
  add_bytes("turned", "F8_E4M3", {4, 6});
  add_bytes("lonely_blocks", "U8", {6, 1, 16});
  WeightLoader& loader = this->loader({{"quant_method", "fp8"}, {"weight_block_size", {128, 128}}});
  loader.extents<Hidden, Embed, Vocab>(6, 4, 32);
  Weight<Hidden, Embed> weight;
  Weight<Hidden, Vocab> blocks;
  loader.load(weight, "shape");
  loader.load(weight, "bare");
  loader.load(weight, "scaled");
  loader.load(weight, "turned", {.transposed = true});
  loader.load(blocks, "lonely");
  const std::string error = error_of([&] { loader.finish(); });
  EXPECT_CONTAINS(error, "tensor 'shape' is [4, 6], expected hidden 6 x embed 4");
  EXPECT_CONTAINS(error, "tensor 'bare' holds F8_E4M3, but there are no scales 'bare_scale_inv'");
  EXPECT_CONTAINS(
      error, "tensor 'scaled_scale_inv' is [2, 1] of F32, expected [1, 1] floats: one for each block of 128 x 128");
  EXPECT_CONTAINS(error, "tensor 'turned' holds F8_E4M3: a transposed matrix is read in F32, F16 and BF16 alone");
  EXPECT_CONTAINS(error, "tensor 'lonely_blocks' is [6, 1, 16] of U8, and 'lonely_scales' is missing");
  WeightLoader& again = this->loader({{"quant_method", "mxfp4"}});
  again.extents<Hidden, Embed>(4, 6);
  again.load(weight, "shape", {.transposed = true});
  EXPECT_CONTAINS(error_of([&] { again.finish(); }),
                  "tensor 'shape' is [4, 6], expected hidden 4 x embed 6, transposed");
}

TEST_F(ArrangedWeight, BlocksWithoutAnExtentAreRefused) {
  add_bytes("w", "F8_E4M3", {6, 4});
  add("w_scale_inv", "F32", {1, 1}, test::float_bytes({1}));
  for (const json& size : {json("x"), json({0, 1}), json({1}), json({1e300, 1}), json({-1, 4}), json({"a", "b"})}) {
    WeightLoader& loader = this->loader({{"quant_method", "mxfp4"}, {"weight_block_size", size}});
    loader.extents<Hidden, Embed>(6, 4);
    Weight<Hidden, Embed> weight;
    loader.load(weight, "w");
    EXPECT_CONTAINS(
        error_of([&] { loader.finish(); }),
        "tensor 'w_scale_inv' has scales of blocks, but quantization_config.weight_block_size does not say");
  }
}

// Both devices read it like any other weight. The CPU's kernels for plain formats read it as stored, so it is put
// together for them, in its own format.
TEST_F(ArrangedWeight, IsContractedOnBothDevices) {
  constexpr int64_t kIn = 48, kOut = 37, kRows = 3;
  const auto values = add_floats("w", Format::bf16, {kIn, kOut});
  std::vector<float> x(kRows * kIn);
  for (float& value : x) value = static_cast<float>(static_cast<int>(random_() % 17) - 8) / 4;
  std::vector<Device> devices = {Device::cpu(2)};
  if (const auto device = test::opencl_device()) devices.push_back(*device);
  for (const Device& device : devices) {
    WeightLoader& loader = this->loader();
    loader.extents<Hidden, Embed>(kOut, kIn);
    Weight<Hidden, Embed> weight;
    loader.load(weight, "w", {.transposed = true});
    Graph graph;
    const auto in = graph.input<f32, Pos, Embed>("x");
    const auto y = materialize(contract<Embed>(in, weight));
    graph.result(y);
    Plan plan =
        compile(device, graph.record(), Limits().set(graph.axis<Pos>(), kRows), {.precision = Precision::exact});
    if (!device.is_cpu()) {
      EXPECT_FALSE(weight.storage()->pieces->is_joined());
    }
    Bindings bindings = plan.bindings();
    bindings.input(in.id(), x.data(), {kRows, kIn});
    plan.run(bindings);
    const auto got = plan.output(y.id()).floats();
    for (int64_t r = 0; r < kRows; ++r) {
      for (int64_t o = 0; o < kOut; ++o) {
        double sum = 0;
        for (int64_t i = 0; i < kIn; ++i) {
          sum += double{x[static_cast<size_t>(r * kIn + i)]} * double{values[static_cast<size_t>(i * kOut + o)]};
        }
        EXPECT_NEAR(got[static_cast<size_t>(r * kOut + o)], sum, 1e-3) << r << ", " << o;
      }
    }
  }
}

}  // namespace
}  // namespace weft
