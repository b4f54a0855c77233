// Weights of a device: each packed once, shared, and freed with the last plan; and which layouts a graph's weights get.
#include "ops/cpu/packed_weights.h"

#include <gtest/gtest.h>

#include <cstring>
#include <thread>

#include "ops/contract/cases.h"
#include "ops/cpu/kernel.h"
#include "ops/harness/run_cpu.h"

namespace weft {
namespace {

std::shared_ptr<const Storage> q8_storage(const std::vector<int64_t>& extents) {
  auto storage = std::make_shared<Storage>();
  storage->name = "weight";
  storage->format = Format::q8_0;
  storage->extents = extents;
  const auto bytes = std::make_shared<std::vector<std::byte>>(storage->bytes());
  for (size_t i = 0; i < bytes->size(); ++i) (*bytes)[i] = static_cast<std::byte>(i * 7);
  storage->data = bytes->data();
  storage->owner = bytes;
  return storage;
}

PackedWeightPtr interleaved(PackedWeights& device, const std::shared_ptr<const Storage>& storage, const Layout& layout,
                            const MatrixShape& shape, int threads) {
  const WantedWeight wanted{storage, {layout, shape}};
  return device.interleaved({&wanted, 1}, threads).front();
}

TEST(PackedWeights, AreMadeOnceAndFreedWithTheLastUser) {
  PackedWeights device;
  const auto storage = q8_storage({40, 64});
  const MatrixShape shape{1, 40, 64};
  auto first = interleaved(device, storage, kRows16, shape, 2);
  EXPECT_EQ(interleaved(device, storage, kRows16, shape, 1), first);
  EXPECT_NE(interleaved(device, storage, {8, 4}, shape, 1), first);
  EXPECT_NE(interleaved(device, q8_storage({40, 64}), kRows16, shape, 1), first);
  const std::weak_ptr<const PackedWeight> weak = first;
  auto second = interleaved(device, storage, kRows16, shape, 2);
  first.reset();
  EXPECT_FALSE(weak.expired());
  second.reset();
  EXPECT_TRUE(weak.expired());
}

TEST(PackedWeights, AreTheSameForThreadsThatAskAtOnce) {
  PackedWeights device;
  const auto storage = q8_storage({512, 512});
  std::vector<std::shared_ptr<const PackedWeight>> found(8);
  std::vector<std::thread> threads;
  for (auto& each : found) {
    threads.emplace_back([&] { each = interleaved(device, storage, kRows16, {1, 512, 512}, 1); });
  }
  for (std::thread& thread : threads) thread.join();
  for (const auto& each : found) EXPECT_EQ(each, found.front());
}

TEST(PackedWeights, AreTheSameWithAnyNumberOfThreads) {
  PackedWeights one, two;
  const auto storage = q8_storage({3, 1000, 1024});
  const auto a = interleaved(one, storage, kRows16, {3, 1000, 1024}, 1);
  const auto b = interleaved(two, storage, kRows16, {3, 1000, 1024}, 2);
  ASSERT_EQ(a->bytes.size(), b->bytes.size());
  EXPECT_EQ(std::memcmp(a->bytes.data(), b->bytes.data(), a->bytes.size()), 0);
}

// Chunks of many weights are packed by any thread, and lie where they do if each weight is packed alone.
TEST(PackedWeights, AreTheSameOneByOneAndTogether) {
  std::vector<WantedWeight> wanted;
  for (const int64_t rows : {1, 40, 16000, 333})
    wanted.push_back({q8_storage({2, rows, 512}), {kRows16, {2, rows, 512}}});
  wanted.push_back(wanted[1]);
  PackedWeights device, other;
  const auto together = device.interleaved(wanted, 2);
  ASSERT_EQ(together.size(), wanted.size());
  EXPECT_EQ(together[4], together[1]);
  for (size_t i = 0; i < wanted.size(); ++i) {
    const auto alone = other.interleaved({&wanted[i], 1}, 1).front();
    ASSERT_EQ(alone->bytes.size(), together[i]->bytes.size());
    EXPECT_EQ(std::memcmp(alone->bytes.data(), together[i]->bytes.data(), alone->bytes.size()), 0) << i;
    EXPECT_EQ(together[i]->storage, wanted[i].storage);
    EXPECT_FALSE(together[i]->is_mapped);
  }
}

TEST(PackedWeights, CanBeHeldFromElsewhere) {
  PackedWeights device;
  const auto storage = q8_storage({40, 64});
  const WantedWeight wanted{storage, {kRows16, {1, 40, 64}}};
  EXPECT_FALSE(device.holds({&wanted, 1}));
  const auto bytes = std::make_shared<std::vector<std::byte>>(100);
  const auto held = device.hold(wanted, *bytes, bytes);
  EXPECT_EQ(held->bytes.data(), bytes->data());
  EXPECT_TRUE(held->is_mapped);
  EXPECT_TRUE(device.holds({&wanted, 1}));
  EXPECT_EQ(device.interleaved({&wanted, 1}, 1).front(), held);
  // What the device has stays.
  EXPECT_EQ(device.hold(wanted, {}, nullptr), held);
}

WeightLayouts layouts_of(const StepCase& step_case) {
  return choose_weight_layouts(step_case.graph, step_case.max_extents.data());
}

TEST(WeightLayouts, Q8IsInterleavedWhereItsRowsAreOutputs) {
  const WeightLayouts layouts = layouts_of(linear_case(3, 40, 64, Format::q8_0));
  ASSERT_EQ(layouts.size(), 1u);
  EXPECT_EQ(layouts.begin()->second, (ChosenLayout{kRows16, {1, 40, 64}}));
  EXPECT_TRUE(layouts_of(linear_case(3, 40, 256, Format::f16)).empty());
}

// Each row meets several matrices, along an axis that only the ids have: the weight is read in place, not copied for
// each.
TEST(WeightLayouts, ExpertsThatRowsChooseAreInterleaved) {
  CaseBuilder c(StepKind::contract, "experts");
  const AxisId pos = c.axis("pos", 5), choice = c.axis("choice", 2), expert = c.axis("expert", 3),
               out = c.axis("out", 40), in = c.axis("in", 64);
  const int ids = c.operand(c.ids("ids", {pos, choice}, 0, 3));
  const int lhs = c.lhs(c.operand(c.input("x", {pos, in})));
  const int w =
      c.operand(c.weight("w", {expert, out, in}, Format::q8_0), {gathered(expert, ids), whole(out), whole(in)});
  ScalarBuilder body;
  c.contraction(lhs, w, {in});
  c.body({pos, choice, out}, body.finish(body.contraction(0)));
  const StepCase step_case = c.build();
  const WeightLayouts layouts = layouts_of(step_case);
  ASSERT_EQ(layouts.size(), 1u);
  EXPECT_EQ(layouts.begin()->second, (ChosenLayout{kRows16, {3, 40, 64}}));
  for (const Precision precision : {Precision::exact, Precision::fast}) {
    for (const KernelRange& kernel : cpu_kernels(step_case, precision))
      EXPECT_NE(kernel.name.find("x16"), std::string::npos);
  }
}

// A map that reads a weight reads it as stored, so contractions must too.
TEST(WeightLayouts, WhatSomethingElseReadsStaysAsStored) {
  CaseBuilder c(StepKind::contract, "both");
  const AxisId pos = c.axis("pos", 3), out = c.axis("out", 16), in = c.axis("in", 32);
  const ValueId weight = c.weight("w", {out, in}, Format::q8_0);
  const int x = c.operand(c.input("x", {pos, in}));
  const int w = c.operand(weight);
  ScalarBuilder left, body;
  const int lhs = c.lhs({pos, in}, left.finish(left.load(x)));
  c.contraction(lhs, w, {in});
  c.body({pos, out}, body.finish(body.contraction(0)));
  StepCase step_case = c.build();
  ASSERT_EQ(layouts_of(step_case).size(), 1u);
  // The same weight once more, as an operand of the prologue.
  Region& region = step_case.graph.steps[0].regions[0];
  region.lhs[0].program.code[0].imm = w;
  EXPECT_TRUE(layouts_of(step_case).empty());
}

}  // namespace
}  // namespace weft
