// Products of f32 activations with Q8_0 rows that are interleaved by 16: a few left-hand rows, for which weights are
// decoded in registers. Lanes are outputs.
#include <cstring>
#include <utility>

#include "ops/contract/kernels.h"
#include "ops/contract/products.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "ops/contract/f32_x16.cc"
#include "hwy/foreach_target.h"
#include "hwy/highway.h"
#include "ops/cpu/decode-inl.h"

HWY_BEFORE_NAMESPACE();
namespace weft {
namespace HWY_NAMESPACE {

constexpr int64_t kGroupRows = 16;
constexpr int64_t kBlock = 32;

// kRows of the `stride` left-hand rows of a tile against the outputs of lanes [lane, lane + kLanes) of a group.
template <int64_t kRows>
HWY_INLINE void x16_lanes(const std::byte* group, int64_t lane, const float* left, int64_t stride, int64_t k,
                          float* const* out, int64_t column) {
  const DF df;
  const hn::RebindToSigned<DF> di;
  const hn::RebindToUnsigned<DF> du;
  // Elements of k take turns with two sums, so that a few rows have enough of them to hide the latency of the
  // additions.
  constexpr int64_t kSums = kRows < 4 ? 4 : 1;
  VF sum[kRows][kSums];
  WEFT_UNROLL
  for (int64_t m = 0; m < kRows; ++m) {
    WEFT_UNROLL
    for (int64_t s = 0; s < kSums; ++s) sum[m][s] = hn::Zero(df);
  }
  const std::byte* scales = group + static_cast<size_t>(k * kGroupRows) + static_cast<size_t>(lane) * 2;
  const std::byte* values = group + static_cast<size_t>(lane) * 4;
  for (int64_t i = 0; i < k; i += kBlock, scales += kGroupRows * 2) {
    const VF scale = half_to_float(hn::LoadU(DU16(), reinterpret_cast<const uint16_t*>(scales)));
    for (int64_t j = i; j < i + kBlock; j += 4, values += kGroupRows * 4) {
      const auto bytes = hn::Xor(hn::LoadU(du, reinterpret_cast<const uint32_t*>(values)), hn::Set(du, 0x80808080u));
      const auto add = [&](hn::Vec<decltype(du)> top, int64_t at, int64_t s) HWY_ATTR {
        const VF weight = hn::Mul(hn::ConvertTo(df, hn::ShiftRight<24>(hn::BitCast(di, top))), scale);
        const float* by = left + (j + at) * stride;
        WEFT_UNROLL
        for (int64_t m = 0; m < kRows; ++m)
          sum[m][s % kSums] = hn::MulAdd(weight, hn::Set(df, by[m]), sum[m][s % kSums]);
      };
      add(hn::ShiftLeft<24>(bytes), 0, 0);
      add(hn::ShiftLeft<16>(bytes), 1, 1);
      add(hn::ShiftLeft<8>(bytes), 2, 2);
      add(bytes, 3, 3);
    }
  }
  WEFT_UNROLL
  for (int64_t m = 0; m < kRows; ++m) {
    VF total = sum[m][0];
    WEFT_UNROLL
    for (int64_t s = 1; s < kSums; ++s) total = hn::Add(total, sum[m][s]);
    hn::StoreU(total, df, out[m] + column);
  }
}

template <int64_t kRows>
HWY_NOINLINE void x16_rows(const ProductArgs& args, const float* left, int64_t stride, float* const* out) {
  for (int64_t j = 0; j < args.columns; j += kLanes) {
    x16_lanes<kRows>(args.right[j / kGroupRows], j % kGroupRows, left, stride, args.k, out, j);
  }
}

void f32_x16_products(const ProductArgs& args) {
  constexpr int64_t kMostRows = HWY_TARGET <= HWY_AVX3 ? 12 : 6;
  for (int64_t first = 0; first < args.rows; first += kRowTile) {
    const int64_t stride = HWY_MIN(kRowTile, args.rows - first);
    const auto* tile = reinterpret_cast<const float*>(args.left[first / kRowTile]);
    for (int64_t m = 0; m < stride;) {
      const int64_t rows = HWY_MIN(kMostRows, stride - m);
      const float* left = tile + m;
      float* const* out = args.out + first + m;
      switch (rows) {
        case 1: x16_rows<1>(args, left, stride, out); break;
        case 2: x16_rows<2>(args, left, stride, out); break;
        case 3: x16_rows<3>(args, left, stride, out); break;
        case 4: x16_rows<4>(args, left, stride, out); break;
        case 5: x16_rows<5>(args, left, stride, out); break;
        case 6: x16_rows<6>(args, left, stride, out); break;
#if HWY_TARGET <= HWY_AVX3
        case 7: x16_rows<7>(args, left, stride, out); break;
        case 8: x16_rows<8>(args, left, stride, out); break;
        case 9: x16_rows<9>(args, left, stride, out); break;
        case 10: x16_rows<10>(args, left, stride, out); break;
        case 11: x16_rows<11>(args, left, stride, out); break;
        default: x16_rows<12>(args, left, stride, out); break;
#else
        default: break;
#endif
      }
      m += rows;
    }
  }
}

}  // namespace HWY_NAMESPACE
}  // namespace weft
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace weft {
HWY_EXPORT(f32_x16_products);

namespace {
constexpr const char* kName = "f32-x16";

const char* run_f32_x16(const ProductArgs& args) {
  HWY_DYNAMIC_DISPATCH(f32_x16_products)(args);
  return kName;
}
}  // namespace

void add_f32_x16(KernelTable& table) {
  ProductKernel row;
  row.name = kName;
  row.formats = {Format::q8_0};
  row.layout = kRows16;
  row.activations = {ActivationElement::floats, kRowTile};
  row.run = run_f32_x16;
  table.add(std::move(row));
}

}  // namespace weft
#endif
