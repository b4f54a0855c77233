#include "runtime/text/tokenizer/text_hash.h"

#include <cstring>
#include <random>

namespace weft {
namespace {

uint64_t random_seed() {
  std::random_device device;
  return uint64_t{device()} << 32 | device();
}

// The finalizer of MurmurHash3: every bit of the input reaches every bit of the result.
uint64_t mix(uint64_t x) {
  x ^= x >> 33;
  x *= 0xFF51AFD7ED558CCDu;
  x ^= x >> 33;
  x *= 0xC4CEB9FE1A85EC53u;
  return x ^ x >> 33;
}

}  // namespace

size_t TextHash::operator()(std::string_view text) const {
  static const uint64_t seed = random_seed();
  uint64_t hash = seed ^ text.size();
  while (text.size() >= 8) {
    uint64_t word;
    std::memcpy(&word, text.data(), 8);
    hash = mix(hash ^ word) + seed;
    text.remove_prefix(8);
  }
  uint64_t last = 0;
  std::memcpy(&last, text.data(), text.size());
  return mix(hash ^ last);
}

}  // namespace weft
