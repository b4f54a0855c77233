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
#include "ops/contract/x16-inl.h"

HWY_BEFORE_NAMESPACE();
namespace weft {
namespace HWY_NAMESPACE {

// kRows of the `stride` left-hand rows of a tile against the outputs of lanes [lane, lane + kLanes) of a group.
template <int64_t kRows>
HWY_INLINE void x16_lanes(const std::byte* group, int64_t lane, const float* left, int64_t stride, int64_t k,
                          float* const* out, int64_t column) {
  const DF df;
  // Elements of a run take turns with the sums, so that a few rows have enough of them to hide the latency of the
  // additions.
  constexpr int64_t kSums = kRows < 4 ? kGroupRun : 1;
  VF sum[kRows][kSums];
  WEFT_UNROLL
  for (int64_t m = 0; m < kRows; ++m) {
    WEFT_UNROLL
    for (int64_t s = 0; s < kSums; ++s) sum[m][s] = hn::Zero(df);
  }
  decode_group(group, k, lane, 0, k, [&](int64_t i, int64_t at, VF weight) HWY_ATTR {
    const float* by = left + (i + at) * stride;
    WEFT_UNROLL
    for (int64_t m = 0; m < kRows; ++m) {
      sum[m][at % kSums] = hn::MulAdd(weight, hn::Set(df, by[m]), sum[m][at % kSums]);
    }
  });
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
  ProductKernel row = x16_row(ActivationElement::floats);
  row.name = kName;
  row.run = run_f32_x16;
  table.add(std::move(row));
}

}  // namespace weft
#endif
