// Checksums find damage: changed bits, and bytes that are missing or too many.
#include "core/checksum.h"

#include <gtest/gtest.h>

#include <set>
#include <string>

namespace weft {
namespace {

TEST(Checksum, DiffersForEveryChangedBit) {
  std::string bytes(203, '\0');  // whole rounds of lanes, words after them, and the rest
  for (size_t i = 0; i < bytes.size(); ++i) bytes[i] = static_cast<char>(i * 31);
  std::set<uint64_t> seen = {checksum(bytes)};
  EXPECT_TRUE(seen.contains(checksum(bytes)));
  for (size_t bit = 0; bit < 8 * bytes.size(); ++bit) {
    bytes[bit / 8] = static_cast<char>(bytes[bit / 8] ^ 1 << bit % 8);
    EXPECT_TRUE(seen.insert(checksum(bytes)).second) << "bit " << bit;
    bytes[bit / 8] = static_cast<char>(bytes[bit / 8] ^ 1 << bit % 8);
  }
}

TEST(Checksum, DiffersForEveryNumberOfZeros) {
  std::set<uint64_t> seen;
  const std::string zeros(300, '\0');
  for (size_t size = 0; size <= zeros.size(); ++size) {
    EXPECT_TRUE(seen.insert(checksum(zeros.substr(0, size))).second) << size;
  }
}

// The highest bit of a product is that of the factors alone: two such changes must not cancel each other.
TEST(Checksum, DiffersForTwoChangedSigns) {
  std::string bytes(256, '\0');
  const uint64_t whole = checksum(bytes);
  bytes[7] = bytes[64 + 7] = static_cast<char>(0x80);
  EXPECT_NE(checksum(bytes), whole);
}

}  // namespace
}  // namespace weft
