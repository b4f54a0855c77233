#include "ops/harness/random_blocks.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>

#include "core/format/format_blocks.h"

namespace weft {
namespace {

// Where a block's floats lie: one or two, f16 but for Q8_K.
struct ScaleFields {
  size_t at[2];
  int count;
};

ScaleFields scale_fields(Format format) {
  switch (format) {
    case Format::q4_1:
    case Format::q5_1: return {{0, 2}, 2};
    case Format::q2_k: return {{q2_k::kScale, q2_k::kMinimum}, 2};
    case Format::q3_k: return {{q3_k::kScale, 0}, 1};
    case Format::q4_k:
    case Format::q5_k: return {{q4_k::kScale, q4_k::kMinimum}, 2};
    case Format::q6_k: return {{q6_k::kScale, 0}, 1};
    default: return {{0, 0}, 1};
  }
}

void set_scales(Format format, float value, uint8_t* block) {
  const ScaleFields fields = scale_fields(format);
  for (int i = 0; i < fields.count; ++i) {
    if (format == Format::q8_k) {
      std::memcpy(block + fields.at[i], &value, 4);
    } else {
      const uint16_t half = f32_to_f16(value);
      std::memcpy(block + fields.at[i], &half, 2);
    }
  }
}

}  // namespace

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
      continue;
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
