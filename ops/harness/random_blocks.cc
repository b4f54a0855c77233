#include "ops/harness/random_blocks.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>

#include "core/format/formats.h"

namespace weft {
void set_scales(Format format, float value, uint8_t* block) {
  visit_block_format(format, [&]<Format kFormat>() { FormatTraits<kFormat>::set_scales(value, block); });
}

void random_blocks(Format format, size_t elements, float magnitude, double nonfinite,
                   const std::function<uint64_t()>& random, std::byte* bytes) {
  const FormatInfo& f = info(format);
  auto* block = reinterpret_cast<uint8_t*>(bytes);
  const auto uniform = [&] { return static_cast<double>(random() >> 11) * 0x1p-53; };
  for (size_t first = 0; first < elements; first += f.block_elements, block += f.block_bytes) {
    for (uint32_t i = 0; i < f.block_bytes; i += 8) {
      const uint64_t bits = random();
      std::memcpy(block + i, &bits, std::min<size_t>(8, f.block_bytes - i));
    }
    if (uniform() < nonfinite) {
      constexpr float kInfinity = std::numeric_limits<float>::infinity();
      constexpr float kValues[] = {std::numeric_limits<float>::quiet_NaN(), kInfinity, -kInfinity};
      set_scales(format, kValues[random() % 3], block);
      if (!std::isfinite(decode_element(format, block, 0))) continue;  // else the format has no such scales
    }
    set_scales(format, 1, block);
    float decoded[kMaxBlockElements];
    decode_row(format, block, f.block_elements, decoded);
    float largest = 1;
    for (uint32_t i = 0; i < f.block_elements; ++i) largest = std::max(largest, std::fabs(decoded[i]));
    const double share = (0.25 + 0.75 * uniform()) * (random() % 2 == 0 ? 1 : -1);
    set_scales(format, static_cast<float>(magnitude * share) / largest, block);
  }
}

}  // namespace weft
