// Layouts of weights: packing and unpacking are each other's inverse, for every format that has one and odd extents.
#include "core/record/layout.h"

#include <gtest/gtest.h>

#include <cstring>
#include <random>
#include <vector>

#include "core/error.h"
#include "core/format/format.h"

namespace weft {
namespace {

std::vector<Layout> layouts() { return {kRows16, {8, 4}, {16, 8}, {4, 2}, {16, 1}}; }

std::vector<std::byte> random_bytes(size_t count) {
  std::mt19937_64 random(count);
  std::vector<std::byte> bytes(count);
  for (std::byte& byte : bytes) byte = static_cast<std::byte>(random());
  return bytes;
}

TEST(Layout, UnpackingGivesTheStoredBytesBack) {
  for (const Format format : kFloatFormats) {
    ASSERT_TRUE(Interleaved::exists(format, kRows16)) << name(format);
    const int64_t block = info(format).block_elements;
    for (const Layout& layout : layouts()) {
      for (const int64_t rows : {1, 3, 15, 16, 17, 40}) {
        for (const int64_t blocks : {1, 2, 5, 33}) {
          for (const int64_t slices : {1, 3}) {
            const MatrixShape shape{slices, rows, blocks * block};
            const Interleaved to(format, layout, shape);
            const size_t row_size = row_bytes(format, static_cast<size_t>(shape.k));
            const auto stored = random_bytes(row_size * static_cast<size_t>(rows * slices));
            std::vector<std::byte> packed(to.bytes());
            for (int64_t g = 0; g < slices * to.groups(); ++g) {
              to.pack_groups(stored.data() + to.stored_at(g), g, 1,
                             packed.data() + static_cast<size_t>(g) * to.group_bytes());
            }
            std::vector<std::byte> row(row_size);
            for (int64_t r = 0; r < rows * slices; ++r) {
              to.unpack_row(packed.data(), r, row.data());
              ASSERT_EQ(std::memcmp(row.data(), stored.data() + static_cast<size_t>(r) * row_size, row_size), 0)
                  << name(format) << " " << name(layout) << ", run " << int{layout.run} << ": row " << r << " of "
                  << rows << " x " << shape.k;
            }
          }
        }
      }
    }
  }
}

// What the kernels rely on, spelled out: Q8_0 as groups of 16 rows, chunks of 8 blocks: scales, then runs of 4
// elements.
TEST(Layout, ValuesLieWhereTheFormulaSays) {
  constexpr int64_t kRows = 20, kBlocks = 11, kDepth = kBlocks * 32;
  const Interleaved to(Format::q8_0, kRows16, {1, kRows, kDepth});
  ASSERT_EQ(Interleaved::chunk_blocks(info(Format::q8_0).sections, 32, kRows16), 8);
  const size_t row_size = row_bytes(Format::q8_0, kDepth);
  const auto stored = random_bytes(row_size * kRows);
  ASSERT_EQ(to.groups(), 2);
  ASSERT_EQ(to.group_bytes(), 5984u + 32);  // 11 blocks of 544, to whole cache lines
  for (int64_t g = 0; g < 2; ++g) {
    std::vector<std::byte> group(to.group_bytes(), std::byte{0xee});
    to.pack_groups(stored.data() + to.stored_at(g), g, 1, group.data());
    for (int64_t b = 0; b < kBlocks; ++b) {
      const int64_t in = b % 8, chunk = (b - in) * 544, count = b < 8 ? 8 : 3;
      for (int64_t r = 0; r < 16; ++r) {
        const auto from = static_cast<size_t>(g * 16 + r) * row_size + static_cast<size_t>(b) * 34;
        const bool is_there = g * 16 + r < kRows;
        for (int64_t i = 0; i < 32; ++i) {
          const auto at = static_cast<size_t>(chunk + count * 32 + in * 512 + i / 4 * 64 + r * 4 + i % 4);
          ASSERT_EQ(group[at], is_there ? stored[from + 2 + static_cast<size_t>(i)] ^ std::byte{0x80} : std::byte{0});
        }
        for (size_t i = 0; i < 2; ++i) {
          const auto at = static_cast<size_t>(chunk + in * 32 + r * 2) + i;
          ASSERT_EQ(group[at], is_there ? stored[from + i] : std::byte{0});
        }
      }
    }
  }
}

// Vectors are aligned, and what leads a chunk is little and whole cache lines.
TEST(Layout, ChunksAreOfAFewBlocks) {
  const auto blocks = [](Format format) {
    return Interleaved::chunk_blocks(info(format).sections, info(format).block_elements, kRows16);
  };
  EXPECT_EQ(blocks(Format::q4_0), 8);
  EXPECT_EQ(blocks(Format::mxfp4), 8);
  EXPECT_EQ(blocks(Format::nvfp4), 4);
  EXPECT_EQ(blocks(Format::q4_k), 1);
  EXPECT_EQ(blocks(Format::q6_k), 2);
  EXPECT_EQ(blocks(Format::q3_k), 2);
  EXPECT_EQ(blocks(Format::q8_k), 1);
}

TEST(Layout, RefusesWhatItCannotHold) {
  EXPECT_FALSE(Interleaved::exists(Format::q8_0, kStored));
  EXPECT_FALSE(Interleaved::exists(Format::i32, kRows16));
  EXPECT_THROW(Interleaved(Format::i32, kRows16, {1, 1, 1}), Error);
  EXPECT_THROW(Interleaved(Format::q8_0, kRows16, {1, 1, 33}), Error);
  EXPECT_EQ(name(kStored), "stored");
  EXPECT_EQ(name(kRows16), "x16");
}

}  // namespace
}  // namespace weft
