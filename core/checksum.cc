#include "core/checksum.h"

#include <cstring>

namespace weft {
namespace {

// Multiplying by an odd number and folding the upper half into the lower can both be undone, so states that differ stay
// different, and the fold lets upper bits reach all others.
constexpr uint64_t mixed(uint64_t state, uint64_t word) {
  state = (state ^ word) * 0x9e3779b97f4a7c15u;
  return state ^ state >> 32;
}

uint64_t word_at(const std::byte* from, size_t bytes) {
  uint64_t word = 0;
  std::memcpy(&word, from, bytes);
  return word;
}

}  // namespace

uint64_t checksum(std::span<const std::byte> bytes) {
  constexpr size_t kLanes = 8, kWord = sizeof(uint64_t);  // lanes: a product takes longer than until the next can begin
  uint64_t lanes[kLanes] = {1, 2, 3, 4, 5, 6, 7, 8};
  const std::byte* at = bytes.data();
  size_t left = bytes.size();
  for (; left >= kLanes * kWord; left -= kLanes * kWord, at += kLanes * kWord) {
    for (size_t i = 0; i < kLanes; ++i) lanes[i] = mixed(lanes[i], word_at(at + i * kWord, kWord));
  }
  uint64_t sum = bytes.size();
  for (; left >= kWord; left -= kWord, at += kWord) sum = mixed(sum, word_at(at, kWord));
  if (left != 0) sum = mixed(sum, word_at(at, left));
  for (const uint64_t lane : lanes) sum = mixed(sum, lane);
  return sum;
}

}  // namespace weft
